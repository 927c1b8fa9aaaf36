//! Images in one tar file: an OCI layout (`oci-archive:`), what `docker load` takes (`docker-archive:`), or both at once.
//!
//! Both kinds use the same blobs, so the file that is both is hardly larger than either. Equal images give equal bytes.

mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::ArchiveSource;
pub use write::{ArchiveOptions, ArchiveSink};

/// Which documents an archive has, and which of them count when it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// `oci-layout` and `index.json`.
    Oci,
    /// `manifest.json` in the form of `docker save`.
    Docker,
    /// Both. When reading: those of OCI if they are there, else those of Docker.
    #[default]
    Both,
}

impl ArchiveFormat {
    fn has_oci(self) -> bool {
        matches!(self, Self::Oci | Self::Both)
    }

    fn has_docker(self) -> bool {
        matches!(self, Self::Docker | Self::Both)
    }
}

/// One image of Docker's `manifest.json`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    #[serde(default, deserialize_with = "crate::manifest::null_as_default")]
    repo_tags: Vec<String>,
    #[serde(deserialize_with = "crate::manifest::null_as_default")]
    layers: Vec<String>,
}
