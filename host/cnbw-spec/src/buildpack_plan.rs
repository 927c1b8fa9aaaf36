//! The buildpack plan: what a build program reads.

use crate::build_plan::Require;
use crate::build_toml::Unmet;
use crate::document::DocumentError;

/// The requirements that one buildpack is to meet.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct BuildpackPlan {
    /// In order of the group.
    pub entries: Vec<Require>,
}

impl BuildpackPlan {
    /// Names that were met: those of entries that are not listed as unmet.
    pub fn met_names(&self, unmet: &[Unmet]) -> Vec<String> {
        self.entries
            .iter()
            .filter(|entry| !unmet.iter().any(|unmet| unmet.name == entry.name))
            .map(|entry| entry.name.clone())
            .collect()
    }
}

/// Parses a buildpack plan.
pub fn parse_buildpack_plan(file: &str, bytes: &[u8]) -> Result<BuildpackPlan, DocumentError> {
    crate::document::unfinished(file, bytes)
}

/// Prints a buildpack plan.
pub fn print_buildpack_plan(plan: &BuildpackPlan) -> String {
    format!("{plan:?}")
}
