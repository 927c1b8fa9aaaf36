//! Names of images: where they are, and what they are called there.

use std::fmt;
use std::path::PathBuf;

use crate::digest::Digest;

/// An image's name with the transport that leads to it, as skopeo and podman write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageName {
    /// `docker://NAME`, or a plain name.
    Registry(RegistryRef),
    /// `oci:DIR[:TAG]`.
    Layout {
        /// The layout's directory.
        path: PathBuf,
        /// Which image of it.
        tag: Option<String>,
    },
    /// `oci-archive:FILE[:TAG]`.
    OciArchive {
        /// The archive.
        path: PathBuf,
        /// Which image of it.
        tag: Option<String>,
    },
    /// `docker-archive:FILE[:NAME]`.
    DockerArchive {
        /// The archive.
        path: PathBuf,
        /// Which image of it.
        tag: Option<String>,
    },
}

/// An image in a registry: always a registry, a repository, and a tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryRef {
    /// Host and perhaps port: `index.docker.io` for Docker Hub.
    pub registry: String,
    /// Path of the repository: `library/alpine`.
    pub repository: String,
    /// A tag or a digest.
    pub version: Version,
}

/// Which image of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The one that has this tag now.
    Tag(String),
    /// The one with this digest, for ever.
    Digest(Digest),
}

/// A text that does not name an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` does not name an image: {rule}", name.escape_debug())]
pub struct ReferenceError {
    /// The text.
    pub name: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl fmt::Display for RegistryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match &self.version {
            Version::Tag(tag) => write!(f, ":{tag}"),
            Version::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}
