//! Images in memory, for tests.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex};

use cnbw_oci::compress::Compression;
use cnbw_oci::config::{History, ImageConfig};
use cnbw_oci::descriptor::{Descriptor, Platform};
use cnbw_oci::digest::{BlobDigest, DiffId};
use cnbw_oci::image::{
    Blobs, Image, ImageSink, ImageSource, LayerContent, NewImage, StoreError, StoreErrorKind,
    WrittenImage,
};
use cnbw_oci::manifest::{Family, Manifest};

use crate::event::Event;
use crate::ports::Events;

/// A place for images that forgets everything at its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryStore {
    blobs: Arc<MemoryBlobs>,
    images: Arc<Mutex<HashMap<String, Image>>>,
    pub(crate) compression: Compression,
}

#[derive(Debug, Default)]
struct MemoryBlobs(Mutex<HashMap<BlobDigest, Vec<u8>>>);

impl Blobs for MemoryBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        match self.0.lock().unwrap().get(&descriptor.digest) {
            Some(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
            None => Err(StoreError {
                action: "open",
                subject: descriptor.digest.to_string(),
                reason: "no such blob".to_owned(),
                kind: StoreErrorKind::Invalid,
                source: None,
            }),
        }
    }
}

impl MemoryStore {
    fn keep(&self, bytes: Vec<u8>) {
        let digest = BlobDigest::of(&bytes);
        self.blobs.0.lock().unwrap().insert(digest, bytes);
    }

    /// How many blobs there are.
    pub(crate) fn blob_count(&self) -> usize {
        self.blobs.0.lock().unwrap().len()
    }

    /// An image that was written before.
    pub(crate) fn image(&self, name: &str) -> Image {
        self.images.lock().unwrap().get(name).unwrap().clone()
    }

    /// The uncompressed tar of a layer.
    pub(crate) fn tar(image: &Image, index: usize) -> Vec<u8> {
        let blob = image.blobs.open(&image.manifest.layers[index]).unwrap();
        let mut tar = Vec::new();
        cnbw_oci::compress::open(blob)
            .unwrap()
            .read_to_end(&mut tar)
            .unwrap();
        tar
    }

    /// Makes a run image whose layers hold these bytes.
    pub(crate) fn add_run_image(&self, name: &str, layers: &[&str], config: &str) -> Image {
        let mut config: ImageConfig = serde_json::from_str(config).unwrap();
        let mut descriptors = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            let family = Family::Docker;
            descriptors.push(Descriptor::of(
                family.layer(Compression::None).unwrap(),
                layer.as_bytes(),
            ));
            config.rootfs.diff_ids.push(DiffId::of(layer.as_bytes()));
            config.history.push(History {
                created_by: format!("run layer {index}"),
                ..History::default()
            });
            self.keep(layer.as_bytes().to_vec());
        }
        self.put(name, Family::Docker, config, descriptors, BTreeMap::new());
        self.image(name)
    }

    fn put(
        &self,
        name: &str,
        family: Family,
        config: ImageConfig,
        layers: Vec<Descriptor>,
        annotations: BTreeMap<String, String>,
    ) -> WrittenImage {
        let bytes = serde_json::to_vec(&config).unwrap();
        let mut manifest = Manifest::new(family, Descriptor::of(family.config(), &bytes), layers);
        manifest.annotations = annotations;
        self.keep(bytes);
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let written = WrittenImage {
            manifest: Descriptor::of(family.manifest(), &bytes),
            config: manifest.config.clone(),
        };
        let image = Image {
            name: name.to_owned(),
            descriptor: written.manifest.clone(),
            manifest,
            config,
            blobs: self.blobs.clone(),
        };
        self.images.lock().unwrap().insert(name.to_owned(), image);
        written
    }
}

impl ImageSource for MemoryStore {
    fn open(&self, name: &str, _: Option<&Platform>) -> Result<Option<Image>, StoreError> {
        Ok(self.images.lock().unwrap().get(name).cloned())
    }
}

impl ImageSink for MemoryStore {
    fn compression(&self) -> Compression {
        self.compression
    }

    fn write(&self, image: NewImage, names: &[String]) -> Result<WrittenImage, StoreError> {
        check(&image);
        let mut descriptors = Vec::new();
        for layer in image.layers {
            match layer.content {
                LayerContent::Existing { descriptor, blobs } => {
                    let mut bytes = Vec::new();
                    blobs.open(&descriptor)?.read_to_end(&mut bytes).unwrap();
                    self.keep(bytes);
                    descriptors.push(descriptor);
                }
                LayerContent::File {
                    descriptor,
                    mut file,
                } => {
                    let mut bytes = Vec::new();
                    file.seek(SeekFrom::Start(0)).unwrap();
                    file.read_to_end(&mut bytes).unwrap();
                    check_blob(&bytes, &descriptor);
                    self.keep(bytes);
                    descriptors.push(descriptor);
                }
            }
        }
        let mut written = None;
        for name in names {
            let layers = descriptors.clone();
            let config = image.config.clone();
            written = Some(self.put(
                name,
                image.family,
                config,
                layers,
                image.annotations.clone(),
            ));
        }
        Ok(written.unwrap())
    }
}

fn check(image: &NewImage) {
    assert_eq!(image.layers.len(), image.config.rootfs.diff_ids.len());
    assert_eq!(image.layers.len(), image.config.history.len());
}

fn check_blob(bytes: &[u8], descriptor: &Descriptor) {
    assert_eq!(BlobDigest::of(bytes), descriptor.digest);
}

/// Remembers messages.
#[derive(Debug, Default)]
pub(crate) struct Messages(Mutex<Vec<String>>);

impl Messages {
    pub(crate) fn contain(&self, text: &str) -> bool {
        self.0
            .lock()
            .unwrap()
            .iter()
            .any(|message| message.contains(text))
    }
}

impl Events for Messages {
    fn emit(&self, event: Event<'_>) {
        if let Event::Info(text) | Event::Warning(text) | Event::Debug(text) = event {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
}
