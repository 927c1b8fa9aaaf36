//! Manifests and indexes, of the Docker and of the OCI family.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::compress::Compression;
use crate::descriptor::Descriptor;

/// The largest manifest or index that is read, in bytes. Registries refuse larger ones too.
pub const MANIFEST_CAP: u64 = 4 * 1024 * 1024;

/// Media types that occur in images.
pub mod media_type {
    /// An OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image configuration.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// An uncompressed OCI layer.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// An OCI layer compressed with gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// An OCI layer compressed with zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// A Docker manifest list.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// A Docker manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker image configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// An uncompressed Docker layer.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// A Docker layer compressed with gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
}

/// Reads JSON's `null` as an empty value: Docker writes it for empty lists and maps.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Which of the two sets of media types an image uses. One image never mixes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// The types of the OCI image specification.
    #[default]
    Oci,
    /// The types of Docker's schema 2.
    Docker,
}

impl Family {
    /// The family to which a manifest's, index's, config's or layer's media type belongs.
    pub fn of(media_type: &str) -> Option<Self> {
        if media_type.starts_with("application/vnd.oci.") {
            Some(Self::Oci)
        } else if media_type.starts_with("application/vnd.docker.") {
            Some(Self::Docker)
        } else {
            None
        }
    }

    /// Media type of manifests.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_MANIFEST,
            Self::Docker => media_type::DOCKER_MANIFEST,
        }
    }

    /// Media type of configurations.
    pub fn config(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_CONFIG,
            Self::Docker => media_type::DOCKER_CONFIG,
        }
    }

    /// Media type of indexes.
    pub fn index(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_INDEX,
            Self::Docker => media_type::DOCKER_INDEX,
        }
    }

    /// Media type of layers; `None` for zstd in the Docker family, which does not have it.
    pub fn layer(self, compression: Compression) -> Option<&'static str> {
        match (self, compression) {
            (Self::Oci, Compression::None) => Some(media_type::OCI_LAYER),
            (Self::Oci, Compression::Gzip) => Some(media_type::OCI_LAYER_GZIP),
            (Self::Oci, Compression::Zstd) => Some(media_type::OCI_LAYER_ZSTD),
            (Self::Docker, Compression::None) => Some(media_type::DOCKER_LAYER),
            (Self::Docker, Compression::Gzip) => Some(media_type::DOCKER_LAYER_GZIP),
            (Self::Docker, Compression::Zstd) => None,
        }
    }
}

/// Lists an image's configuration and layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u64,
    /// What the document says of itself; OCI manifests may leave it out.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub media_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, base layer first.
    #[serde(deserialize_with = "null_as_default")]
    pub layers: Vec<Descriptor>,
    /// Annotations.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub annotations: BTreeMap<String, String>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Manifest {
    /// A manifest of a family, with no annotations.
    pub fn new(family: Family, config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: family.manifest().to_owned(),
            config,
            layers,
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        }
    }

    /// The family, by the manifest's own type or, where it is left out, by its configuration's.
    pub fn family(&self) -> Family {
        Family::of(&self.media_type)
            .or_else(|| Family::of(&self.config.media_type))
            .unwrap_or_default()
    }
}

/// Lists several images, usually one for each platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u64,
    /// What the document says of itself; OCI indexes may leave it out.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub media_type: String,
    /// The images, each a manifest or a further index.
    #[serde(deserialize_with = "null_as_default")]
    pub manifests: Vec<Descriptor>,
    /// Annotations.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub annotations: BTreeMap<String, String>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Index {
    /// An index of a family, with no annotations.
    pub fn new(family: Family, manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: family.index().to_owned(),
            manifests,
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        }
    }
}
