//! `project-metadata.toml`: where the application's source comes from.

use crate::document::DocumentError;
use crate::value::Table;

/// The content of `project-metadata.toml`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProjectMetadata {
    /// `[source]`.
    pub source: Option<ProjectSource>,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProjectSource {
    /// Such as `git`; may be empty.
    pub source_type: String,
    /// Free-form, such as the commit.
    pub version: Option<Table>,
    /// Free-form, such as the repository.
    pub metadata: Option<Table>,
}

/// Parses `project-metadata.toml`.
pub fn parse_project_metadata(file: &str, bytes: &[u8]) -> Result<ProjectMetadata, DocumentError> {
    crate::document::unfinished(file, bytes)
}
