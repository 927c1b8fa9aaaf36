//! `analyzed.toml`: the images that a build starts from.

use crate::document::DocumentError;
use crate::labels::LifecycleMetadata;
use crate::target::TargetMetadata;

/// The content of `analyzed.toml`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Analyzed {
    /// Reference of the previous image, if there is one: `[image] reference`.
    pub previous_image: Option<String>,
    /// Reference of the build image, with extensions only: `[build-image] reference`.
    pub build_image: Option<String>,
    /// Label of the previous image: `[metadata]`.
    pub metadata: LifecycleMetadata,
    /// The run image: `[run-image]`.
    pub run_image: Option<AnalyzedRunImage>,
}

/// The run image that was found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AnalyzedRunImage {
    /// Reference with digest; may be empty where an image could not be read.
    pub reference: String,
    /// Name as given or selected.
    pub image: Option<String>,
    /// Whether extensions extend it.
    pub extend: bool,
    /// Its target, if known.
    pub target: Option<TargetMetadata>,
}

/// Parses `analyzed.toml`.
pub fn parse_analyzed(file: &str, bytes: &[u8]) -> Result<Analyzed, DocumentError> {
    crate::document::unfinished(file, bytes)
}

/// Prints `analyzed.toml`.
pub fn print_analyzed(analyzed: &Analyzed) -> String {
    format!("{analyzed:?}")
}
