//! Images byte for byte: copies whose digests stay what they are.

use std::sync::Arc;

use cnbw_oci::descriptor::{Descriptor, Platform};
use cnbw_oci::document::{Document, read_small};
use cnbw_oci::image::{Blobs, StoreError};
use cnbw_oci::manifest::{Index, MANIFEST_CAP};
use cnbw_oci::reference::Version;

use crate::client::{Client, Place};
use crate::content::Content;
use crate::error::{RegistryError, shown};
use crate::parallel::for_each;
use crate::pull::{Fetched, fetch_manifest, parse};
use crate::push::{push_blob, put_manifest};
use crate::sink::targets;
use crate::source::{RegistryBlobs, parse_name};

/// Layers of these types may be kept elsewhere, and registries do not have to hold them.
const FOREIGN: [&str; 2] = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
];
/// How deep indexes may lie in one another.
const INDEX_DEPTH: usize = 2;
/// The largest number of images in one index that is copied.
const INDEX_ENTRIES: usize = 1000;

/// A manifest or index as its bytes are, with everything that it lists.
#[derive(Clone, Debug)]
pub struct RawImage {
    /// Kind, digest and size of the bytes.
    pub descriptor: Descriptor,
    /// The document.
    pub bytes: Vec<u8>,
    /// For an index: what it lists.
    pub children: Vec<Self>,
    /// Where config and layers are.
    pub blobs: Arc<dyn Blobs>,
}

impl RawImage {
    /// Reads a manifest, or an index with everything below it, from a place that keeps documents among its
    /// blobs: a layout or an archive. Its blobs can then go to a registry as they are.
    pub fn from_blobs(descriptor: &Descriptor, blobs: &Arc<dyn Blobs>) -> Result<Self, StoreError> {
        Self::read_document(descriptor, blobs, 0)
    }

    fn read_document(
        descriptor: &Descriptor,
        blobs: &Arc<dyn Blobs>,
        depth: usize,
    ) -> Result<Self, StoreError> {
        let subject = descriptor.digest.to_string();
        let invalid = |reason: String| StoreError::invalid("read", subject.as_str(), reason);
        let bytes = read_small(blobs.as_ref(), descriptor, MANIFEST_CAP)?;
        let (media_type, document) = parse(&bytes, &descriptor.media_type).map_err(invalid)?;
        let mut children = Vec::new();
        if let Document::Index(index) = document {
            check_index(&index, depth).map_err(invalid)?;
            for entry in &index.manifests {
                children.push(Self::read_document(entry, blobs, depth + 1)?);
            }
        }
        Ok(Self {
            descriptor: Descriptor::new(media_type, descriptor.digest, descriptor.size),
            bytes,
            children,
            blobs: Arc::clone(blobs),
        })
    }
}

/// Bounds what is copied with one index.
fn check_index(index: &Index, depth: usize) -> Result<(), String> {
    if depth >= INDEX_DEPTH {
        return Err(format!(
            "indexes lie in one another more than {INDEX_DEPTH} deep"
        ));
    }
    if index.manifests.len() > INDEX_ENTRIES {
        let entries = index.manifests.len();
        return Err(format!(
            "the index lists {entries} images, and {INDEX_ENTRIES} are copied"
        ));
    }
    Ok(())
}

impl Client {
    /// Fetches a manifest, or an index with everything below it; `None` if there is none of that name.
    ///
    /// With a platform, an index is left for the one image of it that runs there.
    pub fn read_raw(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<Option<RawImage>, StoreError> {
        self.fetch_raw(name, platform)
            .map_err(|error| error.into_store("read", name))
    }

    /// Writes an image or index byte for byte, under tags of one or more repositories. Returns its descriptor.
    pub fn write_raw(&self, image: &RawImage, names: &[String]) -> Result<Descriptor, StoreError> {
        let subject = names.first().map(String::as_str).unwrap_or_default();
        self.push_raw(image, names)
            .map_err(|error| error.into_store("write", subject))
    }

    /// Copies an image, or an index with all its images, from one registry name to others.
    ///
    /// Blobs are mounted where the registry is the same. `None` if there is no image of that name.
    pub fn copy(
        &self,
        from: &str,
        platform: Option<&Platform>,
        to: &[String],
    ) -> Result<Option<Descriptor>, StoreError> {
        match self.read_raw(from, platform)? {
            Some(image) => self.write_raw(&image, to).map(Some),
            None => Ok(None),
        }
    }

    fn fetch_raw(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<Option<RawImage>, RegistryError> {
        let reference = parse_name(name)?;
        let Some((place, fetched)) = self.fetch(&reference)? else {
            return Ok(None);
        };
        let fetched = match platform {
            Some(platform) => self.choose(&place, fetched, platform)?,
            None => fetched,
        };
        let home = (place.host.registry == reference.registry)
            .then(|| (reference.registry.clone(), reference.repository.clone()));
        let blobs: Arc<dyn Blobs> = Arc::new(RegistryBlobs::new(self.clone(), place.clone(), home));
        self.complete(&place, fetched, &blobs, 0).map(Some)
    }

    fn complete(
        &self,
        place: &Place,
        fetched: Fetched,
        blobs: &Arc<dyn Blobs>,
        depth: usize,
    ) -> Result<RawImage, RegistryError> {
        let rule = |rule: String| RegistryError::Rule {
            host: place.host.registry.clone(),
            rule,
        };
        let mut children = Vec::new();
        if let Document::Index(index) = &fetched.document {
            check_index(index, depth).map_err(rule)?;
            for entry in &index.manifests {
                let version = Version::Digest(entry.digest.digest());
                let child = fetch_manifest(self, place, &version)?.ok_or_else(|| {
                    rule(format!(
                        "the index lists `{}`, which is not there",
                        entry.digest
                    ))
                })?;
                children.push(self.complete(place, child, blobs, depth + 1)?);
            }
        }
        Ok(RawImage {
            descriptor: fetched.descriptor,
            bytes: fetched.bytes,
            children,
            blobs: Arc::clone(blobs),
        })
    }

    fn push_raw(&self, image: &RawImage, names: &[String]) -> Result<Descriptor, RegistryError> {
        let targets = targets(names)?;
        let mut places = Vec::new();
        for target in &targets {
            let place = self.place(&target.registry, &target.repository)?;
            self.push_content(&place, image)?;
            places.push(place);
        }
        self.name(&targets, &places, &image.descriptor, &image.bytes)?;
        Ok(image.descriptor.clone())
    }

    /// Brings everything that a document lists, but not the document itself.
    fn push_content(&self, place: &Place, image: &RawImage) -> Result<(), RegistryError> {
        let (_, document) =
            parse(&image.bytes, &image.descriptor.media_type).map_err(|reason| {
                RegistryError::Option {
                    option: "image",
                    rule: shown(&reason, &[]),
                }
            })?;
        let Document::Manifest(manifest) = document else {
            for child in &image.children {
                self.push_content(place, child)?;
                let digest = child.descriptor.digest.to_string();
                put_manifest(self, place, &digest, &child.descriptor, &child.bytes)?;
            }
            return Ok(());
        };
        let mut wanted: Vec<&Descriptor> = manifest
            .layers
            .iter()
            .filter(|layer| !FOREIGN.contains(&layer.media_type.as_str()))
            .chain([&manifest.config])
            .collect();
        wanted.sort_by_key(|descriptor| descriptor.digest);
        wanted.dedup_by_key(|descriptor| descriptor.digest);
        let from = image
            .blobs
            .home()
            .filter(|(registry, _)| *registry == place.host.registry)
            .map(|(_, repository)| repository);
        for_each(self.options().parallel, &wanted, |descriptor| {
            let content = Content::Blob(image.blobs.as_ref(), descriptor);
            push_blob(self, place, descriptor, content, from).map(drop)
        })
    }
}
