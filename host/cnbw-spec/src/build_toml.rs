//! `build.toml`: what a buildpack did not meet, and the old bill of materials of the build.

use crate::build_plan::Require;
use crate::document::DocumentError;

/// The content of `build.toml`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct BuildToml {
    /// `[[bom]]`, the unstructured bill of materials of old APIs.
    pub bom: Vec<Require>,
    /// `[[unmet]]`.
    pub unmet: Vec<Unmet>,
}

/// A requirement that is left to later providers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Unmet {
    /// Its name, not yet compared with the buildpack plan.
    pub name: String,
}

/// Parses `build.toml`.
pub fn parse_build_toml(file: &str, bytes: &[u8]) -> Result<BuildToml, DocumentError> {
    crate::document::unfinished(file, bytes)
}
