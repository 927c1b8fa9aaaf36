//! The cache: layers that one build leaves for the next.
//!
//! [`DirectoryCache`] keeps them in a directory as the reference lifecycle does, [`ImageCache`] in an image.
//! Both are replaced as a whole: an interrupted build leaves the old cache.

use std::fmt::Debug;
use std::io::Read;

use cnbw_oci::digest::DiffId;
use cnbw_oci::image::StoreError;
use cnbw_oci::layer::{LayerBlob, LayerError, LayerOptions};
use cnbw_spec::labels::BuildpackLayers;

mod directory;
mod image;
mod inventory;
mod metadata;

pub use directory::DirectoryCache;
pub use image::ImageCache;
pub use inventory::{CacheEntry, list_caches, prune_caches, verify_cache};

/// What a cache says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CacheMetadata {
    /// Diff ID of the layer with SBOM files, if there is one.
    pub sbom: Option<String>,
    /// Cached layers of each buildpack.
    pub buildpacks: Vec<BuildpackLayers>,
}

/// A layer as the cache has it.
pub enum CachedLayer {
    /// Its tar, uncompressed. A read error may still come where the cache cannot check beforehand.
    Usable(Box<dyn Read + Send>),
    /// It is missing or damaged; the text says how.
    Unusable(String),
}

impl Debug for CachedLayer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usable(_) => formatter.write_str("Usable"),
            Self::Unusable(reason) => formatter.debug_tuple("Unusable").field(reason).finish(),
        }
    }
}

/// Layers that one build leaves for the next.
pub trait Cache: Send + Sync + Debug {
    /// Its name, for messages.
    fn name(&self) -> String;

    /// Whether an earlier build left anything.
    fn exists(&self) -> bool;

    /// What the earlier build left. Metadata that cannot be understood is empty metadata.
    fn metadata(&self) -> Result<CacheMetadata, CacheError>;

    /// Opens a layer.
    fn open_layer(&self, diff_id: &DiffId) -> Result<CachedLayer, CacheError>;

    /// How layers should be written for [`Cache::replace`].
    fn layer_options(&self) -> LayerOptions;

    /// Replaces everything, or nothing if it fails.
    fn replace(&self, metadata: &CacheMetadata, layers: Vec<LayerBlob>) -> Result<(), CacheError>;
}

/// Why a cache could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file of the cache could not be read or written.
    #[error("cannot {action} `{}` of the cache", path.escape_debug())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Relative to the cache's directory.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The cache image could not be read or written.
    #[error("cannot use the cache image")]
    Store {
        /// The cause.
        source: StoreError,
    },
    /// A layer could not be written.
    #[error("cannot make a layer for the cache")]
    Layer {
        /// The cause.
        source: LayerError,
    },
    /// The layers of the build could not be read.
    #[error("cannot read the layers that should be cached")]
    Layers {
        /// The cause.
        source: Box<crate::export::ExportError>,
    },
    /// The metadata cannot be written down.
    #[error("metadata of the cache cannot be written: {reason}")]
    Metadata {
        /// What is wrong.
        reason: String,
    },
}
