//! Images into registries.

use std::collections::BTreeSet;

use cnbw_oci::assemble::{Assembled, assemble, assemble_index};
use cnbw_oci::compress::Compression;
use cnbw_oci::descriptor::Descriptor;
use cnbw_oci::digest::BlobDigest;
use cnbw_oci::image::{
    ImageSink, IndexSink, LayerContent, NewImage, StoreError, WrittenImage, WrittenIndex,
};
use cnbw_oci::reference::{RegistryRef, Version};

use crate::client::{Client, Place};
use crate::content::Content;
use crate::error::RegistryError;
use crate::parallel::for_each;
use crate::push::{push_blob, put_manifest};
use crate::source::parse_name;

/// The tags that one repository gets.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) registry: String,
    pub(crate) repository: String,
    pub(crate) tags: Vec<String>,
}

/// A blob to be brought to a repository.
#[derive(Debug)]
struct Wanted<'a> {
    descriptor: &'a Descriptor,
    content: Content<'a>,
    /// Registry and repository that have it already, if one does.
    home: Option<(&'a str, &'a str)>,
}

impl ImageSink for Client {
    fn compression(&self) -> Compression {
        self.options().compression
    }

    fn write(&self, image: NewImage, names: &[String]) -> Result<WrittenImage, StoreError> {
        let assembled = assemble(&image)?;
        let images = [(&image, &assembled)];
        let (descriptor, bytes) = (&assembled.written.manifest, &assembled.manifest);
        self.push_images(&images, false, descriptor, bytes, names)
            .map_err(|error| error.into_store("write", subject(names)))?;
        Ok(assembled.written)
    }
}

impl IndexSink for Client {
    fn write_index(
        &self,
        images: Vec<NewImage>,
        names: &[String],
    ) -> Result<WrittenIndex, StoreError> {
        let Some(first) = images.first() else {
            let reason = "an index without images cannot be used";
            return Err(StoreError::invalid("write", subject(names), reason));
        };
        let family = first.family;
        let assembled: Vec<Assembled> = images.iter().map(assemble).collect::<Result<_, _>>()?;
        let (bytes, written) = assemble_index(&assembled, family)?;
        let pairs: Vec<_> = images.iter().zip(&assembled).collect();
        self.push_images(&pairs, true, &written.index, &bytes, names)
            .map_err(|error| error.into_store("write", subject(names)))?;
        Ok(written)
    }
}

fn subject(names: &[String]) -> &str {
    names.first().map(String::as_str).unwrap_or_default()
}

impl Client {
    /// Brings everything that a document lists to every repository, and then names the document.
    fn push_images(
        &self,
        images: &[(&NewImage, &Assembled)],
        listed: bool,
        descriptor: &Descriptor,
        bytes: &[u8],
        names: &[String],
    ) -> Result<(), RegistryError> {
        let targets = targets(names)?;
        let wanted = distinct(images.iter().flat_map(|(image, assembled)| {
            let config = Wanted {
                descriptor: &assembled.written.config,
                content: Content::Bytes(&assembled.config),
                home: None,
            };
            image
                .layers
                .iter()
                .map(|layer| wanted(&layer.content))
                .chain([config])
        }));
        let mut places: Vec<Place> = Vec::new();
        for target in &targets {
            let place = self.place(&target.registry, &target.repository)?;
            self.push_blobs(&place, &wanted, places.first())?;
            for (_, assembled) in images.iter().filter(|_| listed) {
                let descriptor = &assembled.written.manifest;
                let digest = descriptor.digest.to_string();
                put_manifest(self, &place, &digest, descriptor, &assembled.manifest)?;
            }
            places.push(place);
        }
        self.name(&targets, &places, descriptor, bytes)
    }

    /// Brings blobs to a repository, several at once. `sister` has all of them already.
    fn push_blobs(
        &self,
        place: &Place,
        wanted: &[Wanted<'_>],
        sister: Option<&Place>,
    ) -> Result<(), RegistryError> {
        let sister = sister.filter(|sister| sister.host.registry == place.host.registry);
        for_each(self.options().parallel, wanted, |blob| {
            let from = match (sister, blob.home) {
                (Some(sister), _) => Some(sister.repository.as_str()),
                (None, Some((registry, repository))) if registry == place.host.registry => {
                    Some(repository)
                }
                _ => None,
            };
            push_blob(self, place, blob.descriptor, blob.content, from).map(drop)
        })
    }

    /// Puts the manifest everywhere, and then the tags. A registry that refuses the manifest does so
    /// before any tag has moved; a failure between two tags is the only way to have some of them only.
    pub(crate) fn name(
        &self,
        targets: &[Target],
        places: &[Place],
        descriptor: &Descriptor,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let tags: usize = targets.iter().map(|target| target.tags.len()).sum();
        for (target, place) in targets.iter().zip(places) {
            // With one tag, its own request says the same.
            if tags != 1 || target.tags.is_empty() {
                put_manifest(
                    self,
                    place,
                    &descriptor.digest.to_string(),
                    descriptor,
                    bytes,
                )?;
            }
        }
        for (target, place) in targets.iter().zip(places) {
            for tag in &target.tags {
                put_manifest(self, place, tag, descriptor, bytes)?;
            }
        }
        Ok(())
    }
}

/// Sorts names by repository, in the order in which repositories first appear.
pub(crate) fn targets(names: &[String]) -> Result<Vec<Target>, RegistryError> {
    let mut targets: Vec<Target> = Vec::new();
    for name in names {
        let RegistryRef {
            registry,
            repository,
            version,
        } = parse_name(name)?;
        let Version::Tag(tag) = version else {
            return Err(RegistryError::Rule {
                host: registry,
                rule: format!(
                    "`{}` has a digest, and an image is written under tags only",
                    name.escape_debug()
                ),
            });
        };
        let known = targets
            .iter_mut()
            .find(|target| target.registry == registry && target.repository == repository);
        match known {
            Some(target) if target.tags.contains(&tag) => {}
            Some(target) => target.tags.push(tag),
            None => targets.push(Target {
                registry,
                repository,
                tags: vec![tag],
            }),
        }
    }
    if targets.is_empty() {
        return Err(RegistryError::Option {
            option: "names",
            rule: "an image in a registry needs at least one name".to_owned(),
        });
    }
    Ok(targets)
}

fn wanted(content: &LayerContent) -> Wanted<'_> {
    match content {
        LayerContent::Existing { descriptor, blobs } => Wanted {
            descriptor,
            content: Content::Blob(blobs.as_ref(), descriptor),
            home: blobs.home(),
        },
        LayerContent::File { descriptor, file } => Wanted {
            descriptor,
            content: Content::File(file, descriptor.size),
            home: None,
        },
    }
}

/// One of each: an image may list a layer twice, and images share layers.
fn distinct<'a>(blobs: impl Iterator<Item = Wanted<'a>>) -> Vec<Wanted<'a>> {
    let mut seen: BTreeSet<BlobDigest> = BTreeSet::new();
    blobs
        .filter(|blob| seen.insert(blob.descriptor.digest))
        .collect()
}
