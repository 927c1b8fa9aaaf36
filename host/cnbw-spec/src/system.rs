//! `system.toml`: buildpacks that a platform puts before and after every group.

use crate::document::DocumentError;
use crate::id::BuildpackRef;

/// The content of `system.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct System {
    /// Before each group.
    pub pre: Vec<SystemBuildpack>,
    /// After each group.
    pub post: Vec<SystemBuildpack>,
}

/// A buildpack of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemBuildpack {
    /// Id and version.
    pub buildpack: BuildpackRef,
    /// In the specification but not in the reference, which ignores it.
    pub optional: bool,
}

/// Parses `system.toml`.
pub fn parse_system(file: &str, bytes: &[u8]) -> Result<System, DocumentError> {
    crate::document::unfinished(file, bytes)
}
