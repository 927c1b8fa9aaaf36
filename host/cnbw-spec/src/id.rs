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

pub(crate) const BUILDPACK_ID: &str = "buildpack id";
pub(crate) const BUILDPACK_VERSION: &str = "buildpack version";

/// Ids whose directories below `<layers>` or `/cnb` are used for something else.
const RESERVED_IDS: [&str; 4] = ["app", "config", "generated", "sbom"];

/// Longest name in bytes: what Linux file systems allow for one path component.
pub const MAX_NAME_BYTES: usize = 255;

impl BuildpackId {
    /// Parses an id.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty { kind: BUILDPACK_ID });
        }
        let escaped = text.replace('/', "_");
        check_component(BUILDPACK_ID, text, &escaped)?;
        let is_reserved = |name: &&str| name.eq_ignore_ascii_case(&escaped);
        if RESERVED_IDS.iter().any(is_reserved) {
            return Err(NameError::Reserved {
                kind: BUILDPACK_ID,
                name: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }

    /// Checks what the specification asks of an id beyond what the reference needs: ASCII letters,
    /// digits, `.`, `/` and `-` only. For tools that make buildpacks and builders.
    pub fn check_characters(&self) -> Result<(), NameError> {
        let is_allowed = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '.' | '/' | '-')
        };
        check_characters(BUILDPACK_ID, &self.0, is_allowed)
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
            check_component(BUILDPACK_VERSION, text, text)?;
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
    /// Parses a process type by the specification's rule: ASCII letters, digits, `.`, `_` and `-`.
    ///
    /// The reference only refuses what a path cannot have. `.` and `..`, which both let pass, are
    /// refused too: the type names a link below `/cnb/process`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const KIND: &str = "process type";
        if text.is_empty() {
            return Err(NameError::Empty { kind: KIND });
        }
        let is_allowed = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
        };
        check_component(KIND, text, text)?;
        check_characters(KIND, text, is_allowed)?;
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

impl NameError {
    /// What is named: `buildpack id`, `buildpack version`, `layer name`, `process type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Empty { kind }
            | Self::TooLong { kind, .. }
            | Self::Reserved { kind, .. }
            | Self::NotAComponent { kind, .. }
            | Self::Character { kind, .. } => kind,
        }
    }
}

fn check_characters(
    kind: &'static str,
    name: &str,
    is_allowed: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    match name.chars().find(|character| !is_allowed(*character)) {
        None => Ok(()),
        Some(character) => Err(NameError::Character {
            kind,
            name: name.to_owned(),
            character,
        }),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_escaped_to_one_path_component() {
        let id = BuildpackId::parse("acme/tools/node").unwrap();
        assert_eq!(id.as_str(), "acme/tools/node");
        assert_eq!(id.escaped(), "acme_tools_node");
        assert_eq!(
            BuildpackRef::parse("a/b", "1.0.0").unwrap().to_string(),
            "a/b@1.0.0"
        );
    }

    // shows: buildpack-descriptor-009
    #[test]
    fn ids_that_would_lead_elsewhere_are_refused() {
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        let cases = [
            ("", "buildpack id is empty"),
            (".", "buildpack id `.` is not a single path component"),
            ("..", "buildpack id `..` is not a single path component"),
            (
                "a\\b",
                "buildpack id `a\\\\b` is not a single path component",
            ),
            (
                "a\0",
                "buildpack id `a\\0` has the character `\\0`, which is not allowed",
            ),
            (
                "a\nb",
                "buildpack id `a\\nb` has the character `\\n`, which is not allowed",
            ),
            ("sbom", "buildpack id `sbom` is reserved"),
            ("Config", "buildpack id `Config` is reserved"),
            (&long, "buildpack id of 256 bytes is longer than 255"),
        ];
        for (text, message) in cases {
            assert_eq!(BuildpackId::parse(text).unwrap_err().to_string(), message);
        }
        assert!(BuildpackId::parse(&"a".repeat(MAX_NAME_BYTES)).is_ok());
        assert!(
            BuildpackId::parse("../..").is_ok(),
            "one component once it is escaped"
        );
    }

    // shows: buildpack-descriptor-008
    #[test]
    fn the_characters_of_the_specification_are_checked_on_request() {
        for (text, is_allowed) in [("io.x/y-z.1", true), ("foo_bar", false), ("foo bar", false)] {
            let id = BuildpackId::parse(text).unwrap();
            assert_eq!(id.check_characters().is_ok(), is_allowed, "{text}");
        }
    }

    #[test]
    fn a_version_is_an_opaque_directory_name() {
        for text in ["", "1.0.0", "01", "latest", "v1+meta"] {
            assert_eq!(BuildpackVersion::parse(text).unwrap().as_str(), text);
        }
        for text in [".", "..", "1/2", "1\\2", "\u{7f}"] {
            let error = BuildpackVersion::parse(text).unwrap_err();
            assert_eq!(error.kind(), "buildpack version");
        }
    }

    #[test]
    fn layer_names_of_other_documents_are_reserved() {
        for text in ["build", "launch", "store"] {
            let error = LayerName::parse(text).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("layer name `{text}` is reserved")
            );
        }
        for text in ["", ".", "..", "a/b", "../x"] {
            assert!(LayerName::parse(text).is_err(), "{text}");
        }
        for text in ["a", "a.b", "Build", "x y", ".hidden"] {
            assert_eq!(LayerName::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn process_types_keep_to_the_characters_of_the_specification() {
        for text in ["web", "a.b", "A_1-x", "..."] {
            assert_eq!(ProcessType::parse(text).unwrap().as_str(), text);
        }
        for text in ["", ".", "..", "a b", "a/b", "a:b", "a\\b", "é", "a&b"] {
            assert!(ProcessType::parse(text).is_err(), "{text}");
        }
        assert!(ProcessType::parse(&"a".repeat(300)).is_err());
    }

    proptest! {
        #[test]
        fn an_accepted_id_is_always_one_safe_component(text in any::<String>()) {
            if let Ok(id) = BuildpackId::parse(&text) {
                let escaped = id.escaped();
                prop_assert!(!escaped.contains(['/', '\\', '\0']));
                prop_assert!(!matches!(escaped.as_str(), "" | "." | ".."));
            }
        }
    }
}
