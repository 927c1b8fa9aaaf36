//! Prints the documents of a new image.

use std::collections::BTreeSet;

use crate::compress::Compression;
use crate::descriptor::Descriptor;
use crate::document::print;
use crate::image::{LayerContent, NewImage, NewLayer, StoreError, WrittenImage, WrittenIndex};
use crate::manifest::{Family, Index, Manifest};

/// The documents of a new image, ready to be written.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// The configuration's bytes.
    pub config: Vec<u8>,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// Descriptors of the layers, base layer first, as the manifest lists them.
    pub layers: Vec<Descriptor>,
    /// Descriptors of both documents.
    pub written: WrittenImage,
}

impl NewLayer {
    /// The blob's descriptor, as it was when the layer was made.
    pub fn descriptor(&self) -> &Descriptor {
        match &self.content {
            LayerContent::Existing { descriptor, .. } | LayerContent::File { descriptor, .. } => {
                descriptor
            }
        }
    }
}

/// Prints manifest and configuration; all media types become those of the image's family.
pub fn assemble(image: &NewImage) -> Result<Assembled, StoreError> {
    check_counts(image)?;
    let layers: Vec<Descriptor> = image
        .layers
        .iter()
        .map(|layer| in_family(layer.descriptor(), image.family))
        .collect::<Result<_, _>>()?;
    let config = print(&image.config);
    let config_descriptor = Descriptor::of(image.family.config(), &config);
    let mut document = Manifest::new(image.family, config_descriptor.clone(), layers.clone());
    document.annotations.clone_from(&image.annotations);
    let manifest = print(&document);
    let mut manifest_descriptor = Descriptor::of(image.family.manifest(), &manifest);
    manifest_descriptor.platform =
        Some(image.config.platform()).filter(|platform| !platform.os.is_empty());
    Ok(Assembled {
        config,
        manifest,
        layers,
        written: WrittenImage {
            manifest: manifest_descriptor,
            config: config_descriptor,
        },
    })
}

/// Prints an index over images.
pub fn assemble_index(
    images: &[Assembled],
    family: Family,
) -> Result<(Vec<u8>, WrittenIndex), StoreError> {
    let mut platforms = BTreeSet::new();
    for image in images {
        let platform = image.written.manifest.platform.clone().unwrap_or_default();
        let name = platform.to_string();
        if Family::of(&image.written.manifest.media_type) != Some(family) {
            return Err(StoreError::invalid(
                "write",
                name,
                "an index cannot mix Docker and OCI images",
            ));
        }
        if !platforms.insert(platform) {
            return Err(StoreError::invalid(
                "write",
                name,
                "an index has one image for each platform",
            ));
        }
    }
    let written: Vec<WrittenImage> = images.iter().map(|image| image.written.clone()).collect();
    let manifests = written.iter().map(|image| image.manifest.clone()).collect();
    let bytes = print(&Index::new(family, manifests));
    let index = Descriptor::of(family.index(), &bytes);
    Ok((
        bytes,
        WrittenIndex {
            index,
            images: written,
        },
    ))
}

/// The same blob, described in the words of a family.
fn in_family(descriptor: &Descriptor, family: Family) -> Result<Descriptor, StoreError> {
    let mut descriptor = descriptor.clone();
    descriptor.platform = None;
    if Family::of(&descriptor.media_type) != Some(family) {
        let compression = Compression::of_media_type(&descriptor.media_type);
        let media_type = family.layer(compression).ok_or_else(|| {
            let reason = "an image with Docker media types cannot have layers compressed with zstd";
            StoreError::invalid("write", descriptor.digest.to_string(), reason)
        })?;
        media_type.clone_into(&mut descriptor.media_type);
    }
    Ok(descriptor)
}

fn check_counts(image: &NewImage) -> Result<(), StoreError> {
    let wrong = |reason: String| Err(StoreError::invalid("write", "the image", reason));
    let layers = image.layers.iter().map(|layer| layer.diff_id);
    if !layers.eq(image.config.rootfs.diff_ids.iter().copied()) {
        return wrong("its configuration lists other layers than it has".to_owned());
    }
    let history = &image.config.history;
    let made = history.iter().filter(|entry| !entry.empty_layer).count();
    if !history.is_empty() && made != image.layers.len() {
        return wrong(format!(
            "its history tells of {made} layers, and it has {}",
            image.layers.len()
        ));
    }
    Ok(())
}
