//! What a case says: its files, its buildpacks and its steps.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// A case as its `case.toml` has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What the case is about.
    pub(crate) title: String,
    /// Ids of the requirements that it shows.
    #[serde(default)]
    pub(crate) requirements: Vec<String>,
    /// What an implementation does instead of what the reference did.
    pub(crate) differs: Option<String>,
    /// `CNB_PLATFORM_API` of every phase.
    pub(crate) platform_api: String,
    /// More variables of every phase.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Text of `/cnb/order.toml`.
    pub(crate) order: Option<String>,
    /// Text of `/cnb/run.toml`.
    pub(crate) run: Option<String>,
    /// Text of `/cnb/stack.toml`.
    pub(crate) stack: Option<String>,
    /// Text of `/cnb/system.toml`.
    pub(crate) system: Option<String>,
    /// Entries below the application directory.
    #[serde(default)]
    pub(crate) app: Vec<Entry>,
    /// The application directory, relative to the root.
    pub(crate) app_dir: Option<String>,
    /// Entries below `/platform`.
    #[serde(default)]
    pub(crate) platform: Vec<Entry>,
    /// Entries anywhere.
    #[serde(default)]
    pub(crate) files: Vec<Entry>,
    /// The buildpacks.
    #[serde(default)]
    pub(crate) buildpacks: Vec<Buildpack>,
    /// What happens, in order.
    pub(crate) steps: Vec<toml::Table>,
    // Raw layers beside a case are for people: their diff IDs are compared anyway.
    #[serde(default, rename = "keep_tars")]
    _keep_tars: bool,
}

/// A file, directory or link.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Where it is.
    pub(crate) path: String,
    /// `file` unless said.
    #[serde(default)]
    pub(crate) r#type: EntryType,
    /// Content as text.
    pub(crate) text: Option<String>,
    /// Content in base64.
    pub(crate) b64: Option<String>,
    /// Content of so many bytes `fill`.
    pub(crate) size: Option<usize>,
    /// The byte that `size` repeats.
    pub(crate) fill: Option<String>,
    /// Permission bits in octal.
    pub(crate) mode: Option<String>,
    /// Where a link points.
    pub(crate) target: Option<String>,
    /// Owner.
    pub(crate) uid: Option<u32>,
    /// Group.
    pub(crate) gid: Option<u32>,
    /// Modification time in seconds.
    pub(crate) mtime: Option<i64>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EntryType {
    /// A regular file.
    #[default]
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A hard link.
    Hardlink,
}

/// A buildpack whose programs do what the case says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Buildpack {
    /// Its id.
    pub(crate) id: String,
    /// Its version.
    pub(crate) version: String,
    /// Text of `buildpack.toml`.
    pub(crate) descriptor: Option<String>,
    /// Operations of `bin/detect`; absent: no such program.
    pub(crate) detect: Option<Vec<toml::Table>>,
    /// Operations of `bin/build`; absent: no such program.
    pub(crate) build: Option<Vec<toml::Table>>,
    /// Permission bits of `bin/detect`.
    pub(crate) detect_mode: Option<String>,
    /// Permission bits of `bin/build`.
    pub(crate) build_mode: Option<String>,
}

/// One phase to run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunStep {
    /// The phase.
    pub(crate) run: String,
    /// Its arguments.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// The name it is started by.
    pub(crate) argv0: Option<String>,
    /// More variables.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Variables it does not get.
    #[serde(default)]
    pub(crate) unset: Vec<String>,
    /// `root`, or nothing.
    pub(crate) user: Option<String>,
    /// The layers directory whose documents are recorded.
    pub(crate) layers_dir: Option<String>,
    // The following say what was recorded. What is compared follows from the outcome file alone.
    #[serde(default, rename = "record")]
    _record: Vec<String>,
    #[serde(default, rename = "show")]
    _show: Vec<String>,
    #[serde(default, rename = "images")]
    _images: Vec<String>,
    #[serde(default, rename = "layouts")]
    _layouts: Vec<String>,
    #[serde(default, rename = "grep")]
    _grep: Vec<String>,
    #[serde(default, rename = "files")]
    _files: Vec<String>,
}

/// A change between two phases.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum ChangeStep {
    /// Writes a file.
    Write(Entry),
    /// Makes a directory.
    Mkdir(Entry),
    /// Makes a symbolic link.
    Symlink(Entry),
    /// Adds to a file.
    Append(Entry),
    /// Removes a file or tree.
    Remove {
        /// Which.
        path: String,
    },
    /// Removes everything inside a directory.
    Empty {
        /// Which.
        path: String,
    },
    /// Sets permission bits.
    Chmod {
        /// Of what.
        path: String,
        /// In octal.
        mode: String,
    },
    /// Replaces what a buildpack is given for.
    SetBuildpack(Buildpack),
    /// Changes one bit in each file whose name matches.
    FlipByte {
        /// The directory.
        path: String,
        /// A pattern for names.
        r#match: String,
    },
    /// Removes each file whose name matches.
    RemoveMatch {
        /// The directory.
        path: String,
        /// A pattern for names.
        r#match: String,
    },
    /// Makes an OCI layout of an image in a registry.
    PullLayout {
        /// The image.
        image: String,
        /// The layout's directory.
        path: String,
        /// Whether the layers' blobs are left out.
        #[serde(default)]
        sparse: bool,
    },
    /// Gives an image another configuration.
    Relabel(Relabel),
}

/// How a configuration is changed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Relabel {
    /// Whose.
    pub(crate) image: String,
    /// Labels to set.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// Labels to drop.
    #[serde(default)]
    pub(crate) drop_labels: Vec<String>,
    /// Label → path in its JSON → value.
    #[serde(default)]
    pub(crate) patch_label: BTreeMap<String, BTreeMap<String, toml::Value>>,
    /// Variables to drop.
    #[serde(default)]
    pub(crate) drop_env: Vec<String>,
    /// Variables to add, as `NAME=VALUE`.
    #[serde(default)]
    pub(crate) add_env: Vec<String>,
}

/// A step of a case.
#[derive(Debug)]
pub(crate) enum Step {
    /// A phase runs.
    Run(Box<RunStep>),
    /// Something changes.
    Change(Box<ChangeStep>),
}

impl Case {
    /// Reads `case.toml` in a directory.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join("case.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))
    }

    /// The steps, each understood.
    pub(crate) fn steps(&self) -> Result<Vec<Step>> {
        self.steps.iter().map(step).collect()
    }

    /// The application directory, absolute.
    pub(crate) fn app_directory(&self) -> String {
        format!("/{}", self.app_dir.as_deref().unwrap_or("workspace"))
    }
}

fn step(table: &toml::Table) -> Result<Step> {
    if table.contains_key("run") {
        let step = table
            .clone()
            .try_into()
            .with_context(|| format!("cannot understand the step `{table}`"))?;
        return Ok(Step::Run(Box::new(step)));
    }
    if !table.contains_key("do") {
        bail!("a step has neither `run` nor `do`: `{table}`");
    }
    let step = table
        .clone()
        .try_into()
        .with_context(|| format!("cannot understand the step `{table}`"))?;
    Ok(Step::Change(Box::new(step)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Step>> {
        let case: Case = toml::from_str(&format!("title = 't'\nplatform_api = '0.15'\n{text}"))?;
        case.steps()
    }

    #[test]
    fn a_step_with_a_key_that_nobody_knows_is_refused() {
        let error = parse("[[steps]]\nrun = 'detector'\nargz = []").unwrap_err();
        assert!(format!("{error:#}").contains("argz"), "{error:#}");
        let error = parse("[[steps]]\ndo = 'remove'\npath = '/x'\nforce = true").unwrap_err();
        assert!(format!("{error:#}").contains("force"), "{error:#}");
    }

    #[test]
    fn a_step_that_does_nothing_is_refused() {
        assert!(parse("[[steps]]\npath = '/x'").is_err());
        assert!(parse("[[steps]]\ndo = 'dance'").is_err());
    }

    #[test]
    fn changes_are_told_apart_by_their_verb() {
        let steps = parse(
            "[[steps]]\ndo = 'flip-byte'\npath = '/c'\nmatch = 'x'\n[[steps]]\ndo = 'write'\npath = '/f'\ntext = 'x'",
        )
        .unwrap();
        let [Step::Change(flip), Step::Change(write)] = steps.as_slice() else {
            panic!("{steps:?}")
        };
        assert!(matches!(&**flip, ChangeStep::FlipByte { path, .. } if path == "/c"));
        assert!(matches!(&**write, ChangeStep::Write(entry) if entry.text.as_deref() == Some("x")));
    }
}
