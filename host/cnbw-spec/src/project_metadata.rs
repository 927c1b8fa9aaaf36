//! `project-metadata.toml`: where the application's source comes from.
//!
//! <https://github.com/buildpacks/spec/blob/main/platform.md#project-metadatatoml-toml>

use crate::document::{Document, DocumentError};
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
    let document = Document::parse(file, bytes)?;
    let Some(source) = document.root().table("source")? else {
        return Ok(ProjectMetadata::default());
    };
    let source = ProjectSource {
        source_type: source.text("type")?,
        version: source.free_table("version")?,
        metadata: source.free_table("metadata")?,
    };
    Ok(ProjectMetadata {
        source: Some(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_and_unknown_keys_are_skipped() {
        let text = b"later = 1\n[source]\ntype = \"git\"\n[source.version]\ncommit = \"abc\"";
        let source = parse_project_metadata("p", text).unwrap().source.unwrap();
        assert_eq!(source.source_type, "git");
        assert_eq!(source.version, Some("commit = \"abc\"".parse().unwrap()));
        assert_eq!(source.metadata, None);
        assert_eq!(
            parse_project_metadata("p", b"").unwrap(),
            ProjectMetadata::default()
        );
    }

    #[test]
    fn a_version_that_is_no_table_is_refused() {
        let error = parse_project_metadata("p", b"[source]\nversion = \"1\"").unwrap_err();
        assert_eq!(error.key, "source.version");
    }
}
