//! `metadata.toml`: what the builder hands to the export and to the launcher in the image.

use crate::api::PlatformApi;
use crate::build_plan::Require;
use crate::document::DocumentError;
use crate::group::GroupElement;
use crate::launch::{Label, Slice};

/// The build metadata.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct BuildMetadata {
    /// The unstructured bill of materials of old APIs.
    pub bom: Vec<BomEntry>,
    /// Buildpacks of the group, with their APIs.
    pub buildpacks: Vec<GroupElement>,
    /// Extensions of the group.
    pub extensions: Vec<GroupElement>,
    /// Labels of all buildpacks.
    pub labels: Vec<Label>,
    /// Processes of all buildpacks.
    pub processes: Vec<Process>,
    /// Slices of all buildpacks.
    pub slices: Vec<Slice>,
    /// The default process type, if a buildpack set one.
    pub buildpack_default_process_type: Option<String>,
}

/// An entry of the unstructured bill of materials, with the buildpack that made it.
#[derive(Clone, Debug, PartialEq)]
pub struct BomEntry {
    /// Name and metadata.
    pub require: Require,
    /// Id and version of the buildpack.
    pub buildpack: GroupElement,
}

/// A process as the image knows it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Process {
    /// Its type.
    pub process_type: String,
    /// The command: one element up to Buildpack API 0.8, a list from 0.9.
    pub command: Vec<String>,
    /// Arguments; `None` if never given.
    pub args: Option<Vec<String>>,
    /// Whether it is started without a shell.
    pub direct: bool,
    /// Whether the file marks it as default; the builder clears this when it writes.
    pub default: bool,
    /// Id of the buildpack that defined it, as written.
    pub buildpack_id: String,
    /// Working directory; the application's if `None`.
    pub working_dir: Option<String>,
    /// Execution environments in which it exists; none means all.
    pub exec_env: Vec<String>,
}

impl Process {
    /// The process as a Platform API shows it: before 0.10 all but the first element of the command
    /// are moved to the arguments.
    #[must_use]
    pub fn for_platform(mut self, api: PlatformApi) -> Self {
        if !api.has_command_lists() && !self.command.is_empty() {
            let mut args = self.command.split_off(1);
            args.extend(self.args.take().unwrap_or_default());
            self.args = Some(args);
        }
        self
    }
}

/// Parses `metadata.toml`. Commands may be strings or lists.
pub fn parse_build_metadata(
    file: &str,
    bytes: &[u8],
    api: PlatformApi,
) -> Result<BuildMetadata, DocumentError> {
    let _ = api;
    crate::document::unfinished(file, bytes)
}

/// Prints `metadata.toml`, byte for byte as the reference does: the file is part of an image layer.
pub fn print_build_metadata(metadata: &BuildMetadata, api: PlatformApi) -> String {
    format!("{metadata:?} {api}")
}
