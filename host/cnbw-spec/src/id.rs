//! Names that become parts of paths, parsed once. A value of one of these types is never a path
//! that leads elsewhere.

use std::fmt;

/// The id of a buildpack or extension, such as `examples/node`.
///
/// The specification allows ASCII letters, digits, `.`, `/` and `-`. The reference checks nothing;
/// this type takes what the reference takes as long as the escaped id is one path component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildpackId(String);

/// The version of a buildpack or extension. May be empty where a document gives none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BuildpackVersion(String);

/// One buildpack or extension: id and version, shown as `id@version`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildpackRef {
    /// The id.
    pub id: BuildpackId,
    /// The version.
    pub version: BuildpackVersion,
}

/// The name of a layer: one path component, and not the name of another document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerName(String);

/// The type of a process: one path component below `/cnb/process`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessType(String);

/// A text that cannot be used as a name, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("{kind} is empty")]
    Empty {
        /// What is named: `buildpack id`, `layer name`.
        kind: &'static str,
    },
    /// Longer than file systems and messages bear.
    #[error("{kind} of {length} bytes is longer than {MAX_NAME_BYTES}")]
    TooLong {
        /// What is named.
        kind: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// Used for something else.
    #[error("{kind} `{name}` is reserved")]
    Reserved {
        /// What is named.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// Not one component of a path.
    #[error("{kind} `{}` is not a single path component", name.escape_debug())]
    NotAComponent {
        /// What is named.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A character that the name may not have.
    #[error("{kind} `{}` has the character `{}`, which is not allowed", name.escape_debug(), character.escape_debug())]
    Character {
        /// What is named.
        kind: &'static str,
        /// The name.
        name: String,
        /// The character.
        character: char,
    },
}

/// Longest name in bytes: what Linux file systems allow for one path component.
pub const MAX_NAME_BYTES: usize = 255;

impl BuildpackId {
    /// Parses an id.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const KIND: &str = "buildpack id";
        if text.is_empty() {
            return Err(NameError::Empty { kind: KIND });
        }
        check_component(KIND, text, &text.replace('/', "_"))?;
        Ok(Self(text.to_owned()))
    }

    /// The id as one path component: `/` becomes `_`.
    pub fn escaped(&self) -> String {
        self.0.replace('/', "_")
    }

    /// The id as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl BuildpackVersion {
    /// Parses a version.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if !text.is_empty() {
            check_component("buildpack version", text, text)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// The version as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl BuildpackRef {
    /// Parses id and version.
    pub fn parse(id: &str, version: &str) -> Result<Self, NameError> {
        Ok(Self {
            id: BuildpackId::parse(id)?,
            version: BuildpackVersion::parse(version)?,
        })
    }
}

impl LayerName {
    /// Parses a layer's name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const KIND: &str = "layer name";
        match text {
            "" => Err(NameError::Empty { kind: KIND }),
            "build" | "launch" | "store" => Err(NameError::Reserved {
                kind: KIND,
                name: text.to_owned(),
            }),
            _ => {
                check_component(KIND, text, text)?;
                Ok(Self(text.to_owned()))
            }
        }
    }

    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ProcessType {
    /// Parses a process type by the reference's rules, which are wider than the specification's.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const KIND: &str = "process type";
        if text.is_empty() {
            return Err(NameError::Empty { kind: KIND });
        }
        let forbidden = |character: char| "/><:|&\\".contains(character);
        if let Some(character) = text.chars().find(|character| forbidden(*character)) {
            return Err(NameError::Character {
                kind: KIND,
                name: text.to_owned(),
                character,
            });
        }
        check_component(KIND, text, text)?;
        Ok(Self(text.to_owned()))
    }

    /// The type as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BuildpackId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for BuildpackVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for BuildpackRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.id, self.version)
    }
}

impl fmt::Display for LayerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for ProcessType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn check_component(kind: &'static str, name: &str, component: &str) -> Result<(), NameError> {
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong {
            kind,
            length: name.len(),
        });
    }
    if let Some(character) = name.chars().find(|character| character.is_control()) {
        return Err(NameError::Character {
            kind,
            name: name.to_owned(),
            character,
        });
    }
    if matches!(component, "." | "..") || component.contains(['/', '\\']) {
        return Err(NameError::NotAComponent {
            kind,
            name: name.to_owned(),
        });
    }
    Ok(())
}
