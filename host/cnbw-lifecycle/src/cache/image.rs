//! A cache in an image: cached layers are its layers, a label holds the metadata.

use std::collections::BTreeMap;

use cap_std::fs::Dir;
use cnbw_oci::config::{History, ImageConfig, format_time};
use cnbw_oci::digest::DiffId;
use cnbw_oci::image::{Image, ImageSink, ImageSource, NewImage, NewLayer, StoreErrorKind};
use cnbw_oci::layer::{LayerBlob, LayerOptions, LayerWriter, NORMALIZED_TIME};
use cnbw_oci::manifest::Family;

use super::metadata::{self, METADATA};
use super::{Cache, CacheError, CacheMetadata, CachedLayer};
use crate::analyze::find_layer;

/// A cache in an image.
#[derive(Debug)]
pub struct ImageCache<'a> {
    name: String,
    /// The image of the build before, if it can be used.
    image: Option<Image>,
    sink: &'a dyn ImageSink,
    scratch: &'a Dir,
    workers: usize,
}

impl<'a> ImageCache<'a> {
    /// Looks for the image; a missing or damaged one is an empty cache.
    pub fn open(
        name: &str,
        source: &dyn ImageSource,
        sink: &'a dyn ImageSink,
        scratch: &'a Dir,
        workers: usize,
    ) -> Result<Self, CacheError> {
        let image = match source.open(name, None) {
            Ok(image) => image,
            Err(error) if error.kind == StoreErrorKind::Invalid => None,
            Err(source) => return Err(CacheError::Store { source }),
        };
        let is_sound =
            |image: &Image| image.manifest.layers.len() == image.config.rootfs.diff_ids.len();
        Ok(Self {
            name: name.to_owned(),
            image: image.filter(is_sound),
            sink,
            scratch,
            workers,
        })
    }
}

impl Cache for ImageCache<'_> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn exists(&self) -> bool {
        self.image.is_some()
    }

    fn metadata(&self) -> Result<CacheMetadata, CacheError> {
        let label = self
            .image
            .as_ref()
            .and_then(|image| image.config.label(METADATA));
        Ok(label.map_or_else(CacheMetadata::default, metadata::parse))
    }

    fn open_layer(&self, diff_id: &DiffId) -> Result<CachedLayer, CacheError> {
        let unusable = |reason: String| Ok(CachedLayer::Unusable(reason));
        let image = self.image.as_ref();
        let found = image.and_then(|image| Some((image, find_layer(image, &diff_id.to_string())?)));
        let Some((image, descriptor)) = found else {
            return unusable(format!("the cache has no layer `{diff_id}`"));
        };
        let blob = match image.blobs.open(descriptor) {
            Ok(blob) => blob,
            Err(error) => return unusable(error.to_string()),
        };
        match cnbw_oci::compress::open(blob) {
            Ok(tar) => Ok(CachedLayer::Usable(tar)),
            Err(error) => unusable(error.to_string()),
        }
    }

    fn layer_options(&self) -> LayerOptions {
        LayerOptions {
            family: Family::Oci,
            compression: self.sink.compression(),
            workers: self.workers,
            ..LayerOptions::default()
        }
    }

    fn replace(
        &self,
        metadata: &CacheMetadata,
        mut layers: Vec<LayerBlob>,
    ) -> Result<(), CacheError> {
        if layers.is_empty() {
            // Not every registry takes an image without layers.
            let empty = LayerWriter::create(self.scratch, &self.layer_options())
                .and_then(LayerWriter::finish)
                .map_err(|source| CacheError::Layer { source })?;
            layers.push(empty);
        }
        let created = format_time(NORMALIZED_TIME);
        let mut config = ImageConfig {
            os: "linux".to_owned(),
            created: created.clone(),
            ..ImageConfig::default()
        };
        config.set_label(METADATA, metadata::print(metadata)?);
        let mut new_layers: Vec<NewLayer> = Vec::new();
        for layer in layers {
            if !config.rootfs.diff_ids.contains(&layer.diff_id) {
                config.rootfs.diff_ids.push(layer.diff_id);
                config.history.push(History {
                    created: created.clone(),
                    ..History::default()
                });
                new_layers.push(layer.into());
            }
        }
        let image = NewImage {
            family: Family::Oci,
            config,
            layers: new_layers,
            annotations: BTreeMap::new(),
        };
        self.sink
            .write(image, std::slice::from_ref(&self.name))
            .map(|_| ())
            .map_err(|source| CacheError::Store { source })
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use cnbw_oci::layer::Owner;

    use super::*;
    use crate::test_images::MemoryStore;

    fn layer(cache: &ImageCache<'_>, scratch: &Dir, content: &str) -> LayerBlob {
        let mut writer = LayerWriter::create(scratch, &cache.layer_options()).unwrap();
        let content = content.as_bytes();
        writer
            .add_file("/layers/a/l", Owner::ROOT, 0o644, content)
            .unwrap();
        writer.finish().unwrap()
    }

    // shows: restore-023 restore-024
    #[test]
    fn layers_and_metadata_come_back_from_the_image() {
        let temp = tempfile::tempdir().unwrap();
        let scratch = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let store = MemoryStore::default();
        let open = || ImageCache::open("r.io/cache", &store, &store, &scratch, 1).unwrap();
        let empty = open();
        assert!(!empty.exists());
        assert_eq!(empty.metadata().unwrap(), CacheMetadata::default());
        let blob = layer(&empty, &scratch, "1");
        let diff_id = blob.diff_id;
        let metadata = CacheMetadata {
            sbom: Some(diff_id.to_string()),
            buildpacks: Vec::new(),
        };
        let twice = vec![blob, layer(&empty, &scratch, "1")];
        empty.replace(&metadata, twice).unwrap();
        let full = open();
        assert!(full.exists());
        assert_eq!(full.metadata().unwrap(), metadata);
        let found = full.open_layer(&diff_id).unwrap();
        assert!(matches!(found, CachedLayer::Usable(_)), "{found:?}");
        let image = store.image("r.io/cache");
        assert_eq!(
            image.config.rootfs.diff_ids,
            [diff_id],
            "a layer is listed once"
        );
        full.replace(&CacheMetadata::default(), Vec::new()).unwrap();
        let image = store.image("r.io/cache");
        assert_eq!(MemoryStore::tar(&image, 0), vec![0; 1024]);
        let gone = open().open_layer(&diff_id).unwrap();
        assert!(matches!(gone, CachedLayer::Unusable(_)));
    }
}
