//! Images out of registries.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use cnbw_oci::config::CONFIG_CAP;
use cnbw_oci::descriptor::{Descriptor, Platform};
use cnbw_oci::document::{Document, choose, parse_config};
use cnbw_oci::image::{Blobs, Image, ImageSource, StoreError};
use cnbw_oci::manifest::{Manifest, media_type};
use cnbw_oci::reference::{RegistryRef, Version};

use crate::client::{Client, Place};
use crate::error::{RegistryError, shown};
use crate::origin::{Origin, Scheme};
use crate::pull::{Fetched, fetch_manifest, open_blob, read_whole};

/// How deep indexes may lie in one another.
const INDEX_DEPTH: usize = 2;

/// The blobs of a repository.
#[derive(Clone)]
pub(crate) struct RegistryBlobs {
    client: Client,
    place: Place,
    /// The repository's own registry and name, also if the bytes come from a mirror of it.
    home: Option<(String, String)>,
}

impl RegistryBlobs {
    pub(crate) fn new(client: Client, place: Place, home: Option<(String, String)>) -> Self {
        Self {
            client,
            place,
            home,
        }
    }
}

impl fmt::Debug for RegistryBlobs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "RegistryBlobs({}/{})",
            self.place.host.registry, self.place.repository
        )
    }
}

impl Blobs for RegistryBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        let reader = open_blob(&self.client, &self.place, descriptor)
            .map_err(|error| error.into_store("read", &descriptor.digest.to_string()))?;
        Ok(Box::new(reader))
    }

    fn home(&self) -> Option<(&str, &str)> {
        let (registry, repository) = self.home.as_ref()?;
        Some((registry, repository))
    }
}

impl ImageSource for Client {
    fn open(&self, name: &str, platform: Option<&Platform>) -> Result<Option<Image>, StoreError> {
        self.find(name, platform)
            .map_err(|error| error.into_store("read", name))
    }
}

impl Client {
    fn find(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<Option<Image>, RegistryError> {
        let reference = parse_name(name)?;
        let Some((place, fetched)) = self.fetch(&reference)? else {
            return Ok(None);
        };
        let here = Platform::new("linux", machine());
        let fetched = self.choose(&place, fetched, platform.unwrap_or(&here))?;
        let Document::Manifest(manifest) = fetched.document else {
            return Ok(None);
        };
        check_manifest(&place, &manifest)?;
        let bytes = read_whole(self, &place, &manifest.config, CONFIG_CAP)?;
        let config = parse_config(&bytes).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let cause = shown(&cause.unwrap_or_default(), &[]);
            rule(&place, format!("{error}: {cause}"))
        })?;
        let mirrored = place.host.registry != reference.registry;
        let home = (!mirrored).then(|| (reference.registry.clone(), reference.repository.clone()));
        let blobs = RegistryBlobs::new(self.clone(), place, home);
        Ok(Some(Image {
            name: reference.to_string(),
            descriptor: fetched.descriptor,
            manifest: *manifest,
            config,
            blobs: Arc::new(blobs),
        }))
    }

    /// Fetches what a reference leads to, from a mirror if one has it.
    pub(crate) fn fetch(
        &self,
        reference: &RegistryRef,
    ) -> Result<Option<(Place, Fetched)>, RegistryError> {
        for mirror in &self.options().mirrors {
            if mirror.registry != reference.registry {
                continue;
            }
            let place = self.mirror_place(&mirror.location, &reference.repository);
            let found = place.and_then(|place| {
                let fetched = fetch_manifest(self, &place, &reference.version)?;
                Ok(fetched.map(|fetched| (place, fetched)))
            });
            // A mirror that lacks it, refuses or is down only costs time. One that lies is an error.
            match found {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None)
                | Err(
                    RegistryError::Unreachable { .. }
                    | RegistryError::Denied { .. }
                    | RegistryError::Status { .. }
                    | RegistryError::Missing { .. },
                ) => {}
                Err(error) => return Err(error),
            }
        }
        let place = self.place_of(reference)?;
        let fetched = fetch_manifest(self, &place, &reference.version)?;
        Ok(fetched.map(|fetched| (place, fetched)))
    }

    fn mirror_place(&self, location: &str, repository: &str) -> Result<Place, RegistryError> {
        let bare = location.trim_end_matches('/');
        match bare.split_once('/') {
            Some((host, prefix)) => self.place(host, &format!("{prefix}/{repository}")),
            None => self.place(bare, repository),
        }
    }

    /// Goes from an index to the image for a platform.
    pub(crate) fn choose(
        &self,
        place: &Place,
        mut fetched: Fetched,
        platform: &Platform,
    ) -> Result<Fetched, RegistryError> {
        for _ in 0..=INDEX_DEPTH {
            let Document::Index(index) = &fetched.document else {
                return Ok(fetched);
            };
            let descriptor = choose(index, Some(platform))
                .map_err(|error| rule(place, shown(&error.to_string(), &[])))?;
            let version = Version::Digest(descriptor.digest.digest());
            let next = fetch_manifest(self, place, &version)?.ok_or_else(|| {
                rule(
                    place,
                    format!(
                        "the index lists `{}`, which is not there",
                        descriptor.digest
                    ),
                )
            })?;
            if next.descriptor.size != descriptor.size {
                return Err(rule(
                    place,
                    format!(
                        "the manifest `{}` has {} bytes, and the index says {}",
                        descriptor.digest, next.descriptor.size, descriptor.size
                    ),
                ));
            }
            fetched = next;
        }
        Err(rule(
            place,
            "indexes lie in one another more than 2 deep".to_owned(),
        ))
    }
}

/// Refuses what is listed in a manifest but is no image that can be used.
fn check_manifest(place: &Place, manifest: &Manifest) -> Result<(), RegistryError> {
    let known = [media_type::OCI_CONFIG, media_type::DOCKER_CONFIG];
    if !known.contains(&manifest.config.media_type.as_str()) {
        return Err(rule(
            place,
            format!(
                "it has an artifact of the type `{}` there, which is no container image",
                shown(&manifest.config.media_type, &[])
            ),
        ));
    }
    Ok(())
}

/// Reads the name of an image in a registry, with or without `docker://`.
pub(crate) fn parse_name(name: &str) -> Result<RegistryRef, RegistryError> {
    let bare = name.strip_prefix("docker://").unwrap_or(name);
    let reference = bare
        .parse::<RegistryRef>()
        .map_err(|source| RegistryError::Name {
            name: shown(name, &[]),
            source,
        })?;
    // What the reference grammar lets through must still be a host and nothing else.
    let url = format!("https://{}/", reference.registry);
    match Origin::split(&url) {
        Some((origin, path))
            if path == "/" && origin == Origin::new(Scheme::Https, &reference.registry) =>
        {
            Ok(reference)
        }
        _ => Err(RegistryError::Rule {
            host: shown(&reference.registry, &[]),
            rule: "the name of a registry is a host and perhaps a port".to_owned(),
        }),
    }
}

/// The architecture of this machine in Go's words.
fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn rule(place: &Place, rule: String) -> RegistryError {
    RegistryError::Rule {
        host: place.host.registry.clone(),
        rule,
    }
}
