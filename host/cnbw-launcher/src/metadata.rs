//! `<layers>/config/metadata.toml`: the buildpacks of an image and its processes.

use std::path::Path;

use crate::api::{ApiError, ApiVersion};
use crate::files::{FileError, Links, join, read_file, shown};
use crate::toml::{self, Table, TomlError, Value};

/// Bytes that the file may have; real ones have some kilobytes.
const MAX_METADATA: usize = 16 << 20;

/// What an image knows about its processes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// In the order in which they built.
    pub(crate) buildpacks: Vec<Buildpack>,
    /// In the order of the file.
    pub(crate) processes: Vec<Process>,
}

/// A buildpack that took part in the build.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Buildpack {
    /// Its id, unescaped.
    pub(crate) id: String,
    /// Its Buildpack API, as it stands in the file.
    pub(crate) api: String,
}

/// A process that can be started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its type; empty for a command of the user.
    pub(crate) r#type: String,
    /// The command: one text, or a list whose tail user arguments do not replace.
    pub(crate) command: Vec<String>,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Whether it is started without a shell.
    pub(crate) direct: bool,
    /// The buildpack that defined it; empty for a command of the user.
    pub(crate) buildpack_id: String,
    /// The directory to start it in; empty for the application directory.
    pub(crate) working_directory: String,
    /// The execution environments it is meant for; none means all.
    pub(crate) exec_env: Vec<String>,
}

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetadataError {
    /// It could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not TOML.
    #[error("malformed TOML")]
    Malformed(#[from] TomlError),
    /// A key has a value of the wrong type.
    #[error("`{key}` must be {expected}, not {found}")]
    WrongType {
        /// The key, with the table it stands in.
        key: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A buildpack names an API that is not supported.
    #[error(
        "buildpack {} has the API {}, which is {problem}",
        shown(id),
        shown(api)
    )]
    BuildpackApi {
        /// The buildpack.
        id: String,
        /// What the file says.
        api: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Metadata {
    /// Reads the file of a layers directory.
    pub(crate) fn read(layers: &Path) -> Result<Self, MetadataError> {
        let content = read_file(
            &join(layers, "config/metadata.toml"),
            MAX_METADATA,
            Links::Refused,
        )?;
        Self::parse(&content)
    }

    /// Parses the file's text; unknown keys are ignored.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, MetadataError> {
        let document = toml::parse(text)?;
        let root = Section {
            name: "",
            table: &document,
        };
        let mut metadata = Self::default();
        for table in root.tables("buildpacks")? {
            let section = Section {
                name: "buildpacks",
                table,
            };
            metadata.buildpacks.push(Buildpack {
                id: section.text("id")?,
                api: section.text("api")?,
            });
        }
        for table in root.tables("processes")? {
            metadata.processes.push(Process::from_section(&Section {
                name: "processes",
                table,
            })?);
        }
        Ok(metadata)
    }

    /// Checks the Buildpack API of every buildpack, whether it has layers or not.
    pub(crate) fn verify_buildpack_apis(&self) -> Result<(), MetadataError> {
        for buildpack in &self.buildpacks {
            ApiVersion::parse_buildpack(&buildpack.api).map_err(|error| {
                MetadataError::BuildpackApi {
                    id: buildpack.id.clone(),
                    api: buildpack.api.clone(),
                    problem: match error {
                        ApiError::Malformed => "no version",
                        ApiError::Unsupported => "incompatible with this launcher",
                    },
                }
            })?;
        }
        Ok(())
    }
}

impl Process {
    fn from_section(section: &Section<'_>) -> Result<Self, MetadataError> {
        let command = match section.value("command") {
            Some(Value::String(command)) => vec![command.clone()],
            _ => section.list("command", word)?,
        };
        Ok(Self {
            r#type: section.text("type")?,
            command,
            args: section.list("args", text)?,
            direct: section.boolean("direct")?,
            buildpack_id: section.text("buildpack-id")?,
            working_directory: section.text("working-dir")?,
            exec_env: section.list("exec-env", text)?,
        })
    }
}

/// One table of the file, with typed access to its keys.
struct Section<'a> {
    name: &'static str,
    table: &'a Table,
}

impl<'a> Section<'a> {
    /// Finds a key; like the reference's reader, takes another case of its letters for want of the exact name.
    fn value(&self, key: &str) -> Option<&'a Value> {
        let other_case = || {
            self.table
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key))
                .map(|(_, value)| value)
        };
        self.table.get(key).or_else(other_case)
    }

    fn wrong_type(&self, key: &str, expected: &'static str, found: &Value) -> MetadataError {
        let dot = if self.name.is_empty() { "" } else { "." };
        MetadataError::WrongType {
            key: format!("{}{dot}{key}", self.name),
            expected,
            found: found.kind(),
        }
    }

    fn text(&self, key: &str) -> Result<String, MetadataError> {
        match self.value(key) {
            None => Ok(String::new()),
            Some(value) => text(value).ok_or_else(|| self.wrong_type(key, "a string", value)),
        }
    }

    fn boolean(&self, key: &str) -> Result<bool, MetadataError> {
        match self.value(key) {
            None => Ok(false),
            Some(Value::Boolean(value)) => Ok(*value),
            Some(value) => Err(self.wrong_type(key, "true or false", value)),
        }
    }

    fn list(
        &self,
        key: &str,
        element: fn(&Value) -> Option<String>,
    ) -> Result<Vec<String>, MetadataError> {
        const EXPECTED: &str = "a list of strings";
        let word = |item: &Value| element(item).ok_or_else(|| self.wrong_type(key, EXPECTED, item));
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items.iter().map(word).collect(),
            Some(value) => Err(self.wrong_type(key, EXPECTED, value)),
        }
    }

    fn tables(&self, key: &str) -> Result<Vec<&'a Table>, MetadataError> {
        const EXPECTED: &str = "a list of tables";
        let table = |item: &'a Value| {
            if let Value::Table(table) = item {
                Ok(table)
            } else {
                Err(self.wrong_type(key, EXPECTED, item))
            }
        };
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::Tables(tables)) => Ok(tables.iter().collect()),
            Some(Value::Array(items)) => items.iter().map(table).collect(),
            Some(value) => Err(self.wrong_type(key, EXPECTED, value)),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    if let Value::String(text) = value {
        Some(text.clone())
    } else {
        None
    }
}

/// Reads an element of a command, where the reference also takes numbers and truth values.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(integer) => Some(integer.to_string()),
        Value::Boolean(boolean) => Some(boolean.to_string()),
        Value::Float | Value::Datetime | Value::Array(_) | Value::Tables(_) | Value::Table(_) => {
            None
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests make files in temporary places"
)]
mod tests;
