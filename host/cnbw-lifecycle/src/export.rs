//! Export: makes the image, and fills the cache.

use std::collections::BTreeMap;

use cap_std::fs::Dir;
use cnbw_oci::digest::DiffId;
use cnbw_oci::image::{Image, StoreError, WrittenImage};
use cnbw_oci::layer::{LayerError, Owner};
use cnbw_spec::api::PlatformApi;
use cnbw_spec::document::DocumentError;
use cnbw_spec::group::GroupElement;
use cnbw_spec::labels::{LabelError, LauncherMetadata, LifecycleMetadata};
use cnbw_spec::metadata::{BomEntry, BuildMetadata};
use cnbw_spec::project_metadata::ProjectMetadata;
use cnbw_spec::run::RunImageNames;

use crate::tree::Tree;

mod cache;
mod glob;
mod image;
mod layers;
mod plan;
mod slices;

pub use cache::{CacheRequest, fill_cache};
pub use glob::GlobError;
pub use image::export;

/// The launcher that goes into the image.
#[derive(Clone, Debug)]
pub struct Launcher<'a> {
    /// The program, for the image's platform.
    pub program: &'a [u8],
    /// What the build metadata say of it.
    pub metadata: LauncherMetadata,
    /// SBOM files about it, by name: `sbom.cdx.json`.
    pub sboms: Vec<SbomFile>,
    /// SBOM files about the lifecycle, by name.
    pub lifecycle_sboms: Vec<SbomFile>,
}

/// An SBOM file that the host brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SbomFile {
    /// Its name, one path component.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// What an export is given.
#[derive(Debug)]
pub struct ExportRequest<'a> {
    /// Version of the Platform API.
    pub platform_api: PlatformApi,
    /// The run image.
    pub run_image: &'a Image,
    /// What identifies it in labels: `run-image.reference` of `analyzed.toml`.
    pub run_image_reference: &'a str,
    /// Its name and mirrors, for a later rebase.
    pub run_image_names: &'a RunImageNames,
    /// The image of the build before, from which layers are reused.
    pub previous_image: Option<&'a Image>,
    /// What analysis read from the previous image.
    pub previous_metadata: &'a LifecycleMetadata,
    /// Buildpacks of the group, in order.
    pub group: &'a [GroupElement],
    /// What the build programs contributed.
    pub build_metadata: &'a BuildMetadata,
    /// Where the source comes from.
    pub project_metadata: &'a ProjectMetadata,
    /// The application directory.
    pub app: &'a Tree<'a>,
    /// The layers directory.
    pub layers: &'a Tree<'a>,
    /// The launcher.
    pub launcher: &'a Launcher<'a>,
    /// Who owns application and layers in the image.
    pub owner: Owner,
    /// Default process type that the user wants.
    pub default_process: Option<&'a str>,
    /// The execution environment.
    pub exec_env: &'a str,
    /// Creation time of the image in seconds since 1970; file times do not depend on it.
    pub created: i64,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Names of the new image, as the sink understands them; the first is the main one.
    pub names: &'a [String],
    /// A private directory for temporary files.
    pub scratch: &'a Dir,
    /// How many threads may work. At least one.
    pub workers: usize,
}

/// What an export made.
#[derive(Debug)]
pub struct Exported {
    /// The image as written.
    pub image: WrittenImage,
    /// Its layers above the run image, in order.
    pub layers: Vec<ExportedLayer>,
    /// The label with the lifecycle's metadata, as a value.
    pub metadata: LifecycleMetadata,
    /// The bill of materials of the build, of old APIs only; for the report.
    pub build_bom: Vec<BomEntry>,
}

/// A layer of the new image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedLayer {
    /// What it is: `a:jre` for a buildpack's layer, `slice-1`, `buildpacksio/lifecycle:launcher`.
    pub id: String,
    /// Digest of its tar.
    pub diff_id: DiffId,
    /// Size of the blob as stored.
    pub size: u64,
    /// Whether it comes from the previous image.
    pub reused: bool,
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A document of the build could not be read or is wrong.
    #[error("a document of the build is wrong")]
    Document {
        /// The cause.
        source: Box<DocumentError>,
    },
    /// Some `<layer>.toml` are wrong.
    #[error("metadata of layers cannot be read: {}", list(.layers))]
    MalformedLayers {
        /// The layers, as `buildpack:layer`.
        layers: Vec<String>,
        /// What is wrong with the first.
        source: Box<DocumentError>,
    },
    /// A layer that should be cached has no content.
    #[error("layer `{}` is `cache = true` but has no content", layer.escape_debug())]
    CacheWithoutContent {
        /// The layer, as `buildpack:layer`.
        layer: String,
    },
    /// A layer without content is not in the previous image either.
    #[error("layer `{}` has no content, and the previous image has no such layer to reuse", layer.escape_debug())]
    NothingToReuse {
        /// The layer, as `buildpack:layer`.
        layer: String,
    },
    /// The layers directory of a buildpack could not be read.
    #[error("cannot read the layers directory of buildpack `{}`", buildpack.escape_debug())]
    LayersDir {
        /// Id of the buildpack.
        buildpack: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A pattern of a slice is malformed.
    #[error("a slice cannot be made")]
    Slice {
        /// The cause.
        source: GlobError,
    },
    /// A layer could not be written.
    #[error("cannot make layer `{}`", id.escape_debug())]
    Layer {
        /// Which layer.
        id: String,
        /// The cause.
        source: LayerError,
    },
    /// A file or directory could not be read or written.
    #[error("cannot {action} `{}`", path.escape_debug())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Path in the image.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A process type cannot become a link.
    #[error("process type `{}` cannot be used", process_type.escape_debug())]
    ProcessType {
        /// The type.
        process_type: String,
        /// The rule.
        source: cnbw_spec::id::NameError,
    },
    /// The user wants a default process that nobody defined.
    #[error("there is no process `{}` to be the default", wanted.escape_debug())]
    NoSuchProcess {
        /// The type.
        wanted: String,
        /// The types there are.
        defined: Vec<String>,
    },
    /// A label cannot be written down.
    #[error("a label cannot be written")]
    Label {
        /// The cause.
        source: LabelError,
    },
    /// The image could not be written.
    #[error("cannot write the image")]
    Store {
        /// The cause.
        source: Box<StoreError>,
    },
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests;
