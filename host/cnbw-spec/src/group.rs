//! `group.toml`: the buildpacks that detection chose.

use crate::document::DocumentError;
use crate::id::BuildpackRef;

/// The chosen buildpacks and extensions.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Group {
    /// Buildpacks, in order.
    pub group: Vec<GroupElement>,
    /// Extensions, in order.
    pub group_extensions: Vec<GroupElement>,
}

/// One chosen buildpack or extension, as `group.toml`, `metadata.toml` and the labels show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupElement {
    /// Id and version.
    pub buildpack: BuildpackRef,
    /// Buildpack API as the descriptor spells it. Not yet checked: a group file may name any.
    pub api: Option<String>,
    /// Homepage.
    pub homepage: Option<String>,
    /// Whether it is an extension.
    pub extension: bool,
    /// Whether it was optional in its order. Kept where a file says so; never set by detection.
    pub optional: bool,
}

impl GroupElement {
    /// An element with an id and a version, and nothing else.
    pub fn new(buildpack: BuildpackRef) -> Self {
        Self {
            buildpack,
            api: None,
            homepage: None,
            extension: false,
            optional: false,
        }
    }
}

/// Parses `group.toml`.
pub fn parse_group(file: &str, bytes: &[u8]) -> Result<Group, DocumentError> {
    crate::document::unfinished(file, bytes)
}

/// Prints `group.toml`.
pub fn print_group(group: &Group) -> String {
    format!("{group:?}")
}
