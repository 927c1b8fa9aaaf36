//! `launch.toml`: processes, labels, slices and the old bill of materials of one buildpack.

use crate::api::BuildpackApi;
use crate::build_plan::Require;
use crate::document::DocumentError;

/// The content of `launch.toml`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LaunchToml {
    /// `[[bom]]`, the unstructured bill of materials of old APIs.
    pub bom: Vec<Require>,
    /// `[[labels]]`.
    pub labels: Vec<Label>,
    /// `[[processes]]`.
    pub processes: Vec<ProcessEntry>,
    /// `[[slices]]`.
    pub slices: Vec<Slice>,
}

/// An image label.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Label {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A part of the application that becomes a layer of its own.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Slice {
    /// Patterns of paths.
    pub paths: Vec<String>,
}

/// A process as a buildpack defines it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProcessEntry {
    /// Its type, not yet checked: the export does.
    pub process_type: String,
    /// The command: one element up to Buildpack API 0.8, a list (possibly empty) from 0.9.
    pub command: Vec<String>,
    /// Arguments; `None` if the key is absent.
    pub args: Option<Vec<String>>,
    /// Whether it is started without a shell. Always so from Buildpack API 0.9.
    pub direct: bool,
    /// Whether it is the image's default process.
    pub default: bool,
    /// Working directory; the application's if `None`.
    pub working_dir: Option<String>,
    /// Execution environments in which it exists; none means all.
    pub exec_env: Vec<String>,
}

/// Parses `launch.toml` as the buildpack's API defines it.
///
/// More than one default process and `direct` from Buildpack API 0.9 are refused here. A working
/// directory at Buildpack API 0.7 is kept: the caller drops it with a warning.
pub fn parse_launch(
    file: &str,
    bytes: &[u8],
    api: BuildpackApi,
) -> Result<LaunchToml, DocumentError> {
    let _ = api;
    crate::document::unfinished(file, bytes)
}
