//! Image labels: their names, and the JSON that three of them hold.
//!
//! <https://github.com/buildpacks/spec/blob/main/platform.md#labels>

mod parse;
mod print;
mod toml_form;

use indexmap::IndexMap;

use crate::layer::LayerToml;
use crate::run::RunImageNames;
use crate::stack::Stack;
use crate::store::StoreToml;

pub use parse::{parse_cache_metadata, parse_lifecycle_metadata};
pub use print::{
    print_build_label, print_cache_metadata, print_legacy_bom, print_lifecycle_metadata,
    print_project_label,
};
pub(crate) use toml_form::{lifecycle_fields, read_lifecycle_metadata};

/// Label with [`LifecycleMetadata`].
pub const LIFECYCLE_METADATA: &str = "io.buildpacks.lifecycle.metadata";
/// Label of a cache image, and name of the file in a cache directory, with [`CacheMetadata`].
pub const CACHE_METADATA: &str = "io.buildpacks.lifecycle.cache.metadata";
/// Label with the build metadata.
pub const BUILD_METADATA: &str = "io.buildpacks.build.metadata";
/// Label with the project metadata.
pub const PROJECT_METADATA: &str = "io.buildpacks.project.metadata";
/// Label that says whether an image may be rebased.
pub const REBASABLE: &str = "io.buildpacks.rebasable";
/// Label with the execution environment.
pub const EXEC_ENV: &str = "io.buildpacks.exec-env";
/// Label with the id of the stack.
pub const STACK_ID: &str = "io.buildpacks.stack.id";
/// Label with the mixins of a stack.
pub const STACK_MIXINS: &str = "io.buildpacks.stack.mixins";
/// Label with the id of the base image.
pub const BASE_ID: &str = "io.buildpacks.base.id";
/// Label with the name of the base image's distribution.
pub const BASE_DISTRO_NAME: &str = "io.buildpacks.base.distro.name";
/// Label with the version of the base image's distribution.
pub const BASE_DISTRO_VERSION: &str = "io.buildpacks.base.distro.version";

/// What the label [`LIFECYCLE_METADATA`] says. Hashes are texts here: a label may hold anything.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LifecycleMetadata {
    /// Diff IDs of the application's layers (slices).
    pub app: Vec<String>,
    /// Diff ID of the layer with SBOM files, if there is one.
    pub sbom: Option<String>,
    /// Layers of each buildpack.
    pub buildpacks: Vec<BuildpackLayers>,
    /// Diff ID of the layer with `metadata.toml`.
    pub config: String,
    /// Diff ID of the launcher's layer.
    pub launcher: String,
    /// Diff ID of the layer with process links; empty if there are no processes.
    pub process_types: String,
    /// The run image.
    pub run_image: RunImageMetadata,
    /// The old form of the run image's names.
    pub stack: Option<Stack>,
}

/// The layers of one buildpack in an image.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct BuildpackLayers {
    /// Id as written.
    pub id: String,
    /// Version as written.
    pub version: String,
    /// Layers by name, as written.
    pub layers: IndexMap<String, LayerRecord>,
    /// What `store.toml` held.
    pub store: Option<StoreToml>,
}

/// One layer in an image.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LayerRecord {
    /// Diff ID.
    pub sha: String,
    /// Types and metadata.
    pub layer: LayerToml,
}

/// The run image below an application.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RunImageMetadata {
    /// Diff ID of its topmost layer.
    pub top_layer: String,
    /// Reference with digest.
    pub reference: String,
    /// Name and mirrors.
    pub names: RunImageNames,
}

/// What a lifecycle says about itself in the build metadata.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LauncherMetadata {
    /// Version of the launcher.
    pub version: String,
    /// Repository of its source.
    pub repository: String,
    /// Commit of its source.
    pub commit: String,
}

/// What a cache remembers.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CacheMetadata {
    /// Diff ID of the layer with SBOM files; empty if there is none.
    pub sbom: String,
    /// Layers of each buildpack.
    pub buildpacks: Vec<BuildpackLayers>,
}

impl LifecycleMetadata {
    /// The layers of one buildpack.
    pub fn buildpack(&self, id: &str) -> Option<&BuildpackLayers> {
        self.buildpacks.iter().find(|buildpack| buildpack.id == id)
    }
}

impl CacheMetadata {
    /// The layers of one buildpack.
    pub fn buildpack(&self, id: &str) -> Option<&BuildpackLayers> {
        self.buildpacks.iter().find(|buildpack| buildpack.id == id)
    }
}

/// A value that JSON cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label `{label}` cannot hold `{value}` at `{key}`: JSON has no such number")]
pub struct LabelError {
    /// The label.
    pub label: &'static str,
    /// Path of the key.
    pub key: String,
    /// `nan` or `inf`.
    pub value: String,
}

#[cfg(test)]
mod tests;
