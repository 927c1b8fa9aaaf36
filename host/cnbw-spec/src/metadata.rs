//! `metadata.toml`: what the builder hands to the export and to the launcher in the image.
//!
//! <https://github.com/buildpacks/spec/blob/main/platform.md#metadatatoml-toml>

use crate::api::PlatformApi;
use crate::build_plan::{Require, read_require, require_fields};
use crate::document::{Document, DocumentError, Reader};
use crate::group::{GroupElement, group_element_fields, read_group_element};
use crate::json::push_quoted;
use crate::launch::{Label, Slice, read_label, read_slice};
use crate::print::Fields;

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
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    Ok(BuildMetadata {
        bom: root.each("bom", read_bom_entry)?,
        buildpacks: root.each("buildpacks", read_group_element)?,
        extensions: root.each("extensions", read_group_element)?,
        labels: root.each("labels", read_label)?,
        processes: root.each("processes", |process| {
            Ok(read_process(process)?.for_platform(api))
        })?,
        slices: root.each("slices", read_slice)?,
        buildpack_default_process_type: root.filled("buildpack-default-process-type")?,
    })
}

fn read_bom_entry(reader: &Reader<'_>) -> Result<BomEntry, DocumentError> {
    let Some(buildpack) = reader.table("buildpack")? else {
        return Err(reader.error("buildpack", "missing"));
    };
    Ok(BomEntry {
        require: read_require(reader)?,
        buildpack: read_group_element(&buildpack)?,
    })
}

fn read_process(reader: &Reader<'_>) -> Result<Process, DocumentError> {
    Ok(Process {
        process_type: reader.text("type")?,
        command: reader.string_or_list("command")?,
        args: reader.strings("args")?,
        direct: reader.is("direct")?,
        default: reader.is("default")?,
        buildpack_id: reader.text("buildpack-id")?,
        working_dir: reader.filled("working-dir")?,
        exec_env: reader.strings("exec-env")?.unwrap_or_default(),
    })
}

/// Prints `metadata.toml`, byte for byte as the reference does: the file is part of an image layer.
pub fn print_build_metadata(metadata: &BuildMetadata, api: PlatformApi) -> String {
    let mut fields = Fields::new();
    if metadata.processes.is_empty() {
        // The reference's list of processes is always there, unlike its other lists.
        fields.texts("processes", &[]);
    }
    fields
        .filled(
            "buildpack-default-process-type",
            metadata.buildpack_default_process_type.as_deref(),
        )
        .each("bom", &metadata.bom, bom_entry_fields)
        .each("buildpacks", &metadata.buildpacks, group_element_fields)
        .each("extensions", &metadata.extensions, group_element_fields)
        .each("labels", &metadata.labels, |label| {
            let mut fields = Fields::new();
            fields.text("key", &label.key).text("value", &label.value);
            fields
        })
        .each("processes", &metadata.processes, |process| {
            process_fields(&process.clone().for_platform(api), api)
        })
        .each("slices", &metadata.slices, |slice| {
            let mut fields = Fields::new();
            if let Some(paths) = &slice.paths {
                fields.texts("paths", paths);
            }
            fields
        });
    fields.print()
}

/// The keys of an entry of the old bill of materials, in the reference's order.
pub(crate) fn bom_entry_fields(entry: &BomEntry) -> Fields {
    let mut fields = require_fields(&entry.require);
    fields.table("buildpack", group_element_fields(&entry.buildpack));
    fields
}

fn process_fields(process: &Process, api: PlatformApi) -> Fields {
    let mut fields = Fields::new();
    fields
        .text("type", &process.process_type)
        .raw("command", printed_command(&process.command, api));
    if let Some(args) = &process.args {
        fields.texts("args", args);
    }
    fields
        .raw("direct", if process.direct { "true" } else { "false" })
        .set_flag("default", process.default)
        .text("buildpack-id", &process.buildpack_id)
        .filled("working-dir", process.working_dir.as_deref())
        .filled_texts("exec-env", &process.exec_env);
    fields
}

/// A command, which the reference prints with the escapes of JSON. One difference: DEL is escaped,
/// because TOML that contains it cannot be read.
fn printed_command(command: &[String], api: PlatformApi) -> String {
    let mut printed = String::new();
    if api.has_command_lists() {
        printed.push('[');
        for (index, part) in command.iter().enumerate() {
            if index > 0 {
                printed.push_str(", ");
            }
            push_quoted(part, &mut printed);
        }
        printed.push(']');
    } else {
        push_quoted(command.first().map_or("", String::as_str), &mut printed);
    }
    printed.replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests;
