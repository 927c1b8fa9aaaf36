//! `launch.toml`: processes, labels, slices and the old bill of materials of one buildpack.
//!
//! <https://github.com/buildpacks/spec/blob/main/buildpack.md#launchtoml-toml>

use crate::api::BuildpackApi;
use crate::build_plan::{Require, read_require};
use crate::document::{Document, DocumentError, Reader};

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
    /// Patterns of paths; `None` if the key is absent, which is the same as none.
    pub paths: Option<Vec<String>>,
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
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    let launch = LaunchToml {
        bom: root.each("bom", read_require)?,
        labels: root.each("labels", read_label)?,
        processes: root.each("processes", |process| read_process_entry(process, api))?,
        slices: root.each("slices", read_slice)?,
    };
    if launch
        .processes
        .iter()
        .filter(|process| process.default)
        .count()
        > 1
    {
        return Err(root.error("processes", "more than one process is marked as default"));
    }
    Ok(launch)
}

/// Reads key and value.
pub(crate) fn read_label(reader: &Reader<'_>) -> Result<Label, DocumentError> {
    Ok(Label {
        key: reader.text("key")?,
        value: reader.text("value")?,
    })
}

/// Reads the patterns.
pub(crate) fn read_slice(reader: &Reader<'_>) -> Result<Slice, DocumentError> {
    Ok(Slice {
        paths: reader.strings("paths")?,
    })
}

fn read_process_entry(
    reader: &Reader<'_>,
    api: BuildpackApi,
) -> Result<ProcessEntry, DocumentError> {
    let direct = reader.flag("direct")?;
    let (command, direct) = if api.has_command_lists() {
        if direct.is_some() {
            let reason = format!("`direct` does not exist at Buildpack API {api}");
            return Err(reader.error("direct", reason));
        }
        (reader.strings("command")?.unwrap_or_default(), true)
    } else {
        (vec![reader.text("command")?], direct.unwrap_or_default())
    };
    Ok(ProcessEntry {
        process_type: reader.text("type")?,
        command,
        args: reader.strings("args")?,
        direct,
        default: reader.is("default")?,
        working_dir: reader.filled("working-dir")?,
        exec_env: reader.strings("exec-env")?.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEW: BuildpackApi = BuildpackApi::V0_9;
    const OLD: BuildpackApi = BuildpackApi::V0_8;

    fn parse(text: &str, api: BuildpackApi) -> Result<LaunchToml, DocumentError> {
        parse_launch("launch.toml", text.as_bytes(), api)
    }

    fn process(text: &str, api: BuildpackApi) -> Result<ProcessEntry, DocumentError> {
        let launch = parse(&format!("[[processes]]\ntype = \"web\"\n{text}"), api)?;
        Ok(launch.processes.into_iter().next().unwrap())
    }

    #[test]
    fn a_command_is_a_text_before_0_9_and_a_list_from_then_on() {
        let old = process("command = \"run it\"", OLD).unwrap();
        assert_eq!(
            (old.command, old.direct),
            (vec!["run it".to_owned()], false)
        );
        let new = process("command = [\"run\", \"it\"]", NEW).unwrap();
        assert_eq!(
            (new.command, new.direct),
            (vec!["run".to_owned(), "it".to_owned()], true)
        );
        let error = process("command = [\"run\"]", OLD).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`launch.toml`, line 3, key `processes[0].command`: expected a string, found an array"
        );
        assert!(process("command = \"run\"", NEW).is_err());
        assert_eq!(process("", OLD).unwrap().command, [""]);
        assert_eq!(process("", NEW).unwrap().command, Vec::<String>::new());
    }

    #[test]
    fn direct_is_known_to_old_apis_only() {
        assert!(
            process("command = \"x\"\ndirect = true", OLD)
                .unwrap()
                .direct
        );
        for value in ["true", "false"] {
            let error = process(&format!("direct = {value}"), NEW).unwrap_err();
            assert_eq!(error.reason, "`direct` does not exist at Buildpack API 0.9");
        }
    }

    #[test]
    fn all_keys_of_a_process_are_read() {
        let text =
            "command = []\nargs = []\ndefault = true\nworking-dir = \"/w\"\nexec-env = [\"test\"]";
        let expected = ProcessEntry {
            process_type: "web".to_owned(),
            command: Vec::new(),
            args: Some(Vec::new()),
            direct: true,
            default: true,
            working_dir: Some("/w".to_owned()),
            exec_env: vec!["test".to_owned()],
        };
        assert_eq!(process(text, NEW).unwrap(), expected);
    }

    #[test]
    fn two_defaults_are_refused() {
        let text = "[[processes]]\ntype = \"a\"\ndefault = true\n".repeat(2);
        assert_eq!(parse(&text, NEW).unwrap_err().key, "processes");
    }

    #[test]
    fn labels_slices_and_the_old_bill_of_materials_are_read() {
        let launch = parse(
            "[[labels]]\nkey = \"k\"\nvalue = \"v\"\n[[slices]]\npaths = [\"a\"]\n[[slices]]\n\
             [[bom]]\nname = \"b\"\n",
            NEW,
        )
        .unwrap();
        assert_eq!(
            launch.labels.first().map(|label| label.value.as_str()),
            Some("v")
        );
        let paths: Vec<_> = launch.slices.into_iter().map(|slice| slice.paths).collect();
        assert_eq!(paths, [Some(vec!["a".to_owned()]), None]);
        assert_eq!(launch.bom.len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\[\\[processes\\]\\]\n|[a-z\\-]{1,9} ?= ?[\"a\\[\\]0]{0,5}\n){0,6}") {
            let _verdict = (parse(&text, OLD), parse(&text, NEW));
        }
    }
}
