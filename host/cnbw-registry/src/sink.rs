//! Images into registries.

use std::collections::BTreeSet;

use cnbw_oci::compress::Compression;
use cnbw_oci::descriptor::Descriptor;
use cnbw_oci::digest::BlobDigest;
use cnbw_oci::document::print;
use cnbw_oci::image::{ImageSink, LayerContent, NewImage, StoreError, WrittenImage};
use cnbw_oci::manifest::{Family, Manifest, media_type};
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
        let subject = names.first().map(String::as_str).unwrap_or_default();
        self.write_image(&image, names)
            .map_err(|error| error.into_store("write", subject))
    }
}

impl Client {
    fn write_image(
        &self,
        image: &NewImage,
        names: &[String],
    ) -> Result<WrittenImage, RegistryError> {
        let targets = targets(names)?;
        let config_bytes = print(&image.config);
        let config = Descriptor::of(image.family.config(), &config_bytes);
        let layers: Vec<Wanted<'_>> = image
            .layers
            .iter()
            .map(|layer| wanted(&layer.content))
            .collect();
        let listed = layers
            .iter()
            .map(|layer| listing(layer.descriptor, image.family))
            .collect::<Result<_, _>>()?;
        let mut manifest = Manifest::new(image.family, config.clone(), listed);
        manifest.annotations.clone_from(&image.annotations);
        let manifest_bytes = print(&manifest);
        let descriptor = Descriptor::of(image.family.manifest(), &manifest_bytes);

        let mut wanted = distinct(layers);
        wanted.push(Wanted {
            descriptor: &config,
            content: Content::Bytes(&config_bytes),
            home: None,
        });
        let mut places: Vec<Place> = Vec::new();
        for target in &targets {
            let place = self.place(&target.registry, &target.repository)?;
            self.push_blobs(&place, &wanted, places.first())?;
            places.push(place);
        }
        self.name(&targets, &places, &descriptor, &manifest_bytes)?;
        Ok(WrittenImage {
            manifest: descriptor,
            config,
        })
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

/// How a manifest lists a layer: with the type of the image's family, whatever image the layer comes from.
fn listing(descriptor: &Descriptor, family: Family) -> Result<Descriptor, RegistryError> {
    let kind = descriptor.media_type.as_str();
    let media_type = match compression_of(kind) {
        Some(compression) => family
            .layer(compression)
            .ok_or_else(|| RegistryError::Option {
                option: "compression",
                rule: "an image with Docker's media types cannot have zstd layers".to_owned(),
            })?,
        None => kind,
    };
    let mut listed = Descriptor::new(media_type, descriptor.digest, descriptor.size);
    listed.annotations.clone_from(&descriptor.annotations);
    Ok(listed)
}

fn compression_of(kind: &str) -> Option<Compression> {
    match kind {
        media_type::OCI_LAYER | media_type::DOCKER_LAYER => Some(Compression::None),
        media_type::OCI_LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => Some(Compression::Gzip),
        media_type::OCI_LAYER_ZSTD => Some(Compression::Zstd),
        _ => None,
    }
}

/// One of each: an image may list a layer twice.
fn distinct(layers: Vec<Wanted<'_>>) -> Vec<Wanted<'_>> {
    let mut seen: BTreeSet<BlobDigest> = BTreeSet::new();
    layers
        .into_iter()
        .filter(|layer| seen.insert(layer.descriptor.digest))
        .collect()
}
