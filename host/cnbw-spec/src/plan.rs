//! `plan.toml`: the resolved build plan of a group.

use crate::build_plan::Require;
use crate::buildpack_plan::BuildpackPlan;
use crate::document::DocumentError;
use crate::id::{BuildpackId, BuildpackRef};

/// All names that are provided and required.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Plan {
    /// One entry for each name.
    pub entries: Vec<PlanEntry>,
}

/// One name: who provides it, and what is required of it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PlanEntry {
    /// Providers, in order of the group.
    pub providers: Vec<Provider>,
    /// Requirements, in order of the group.
    pub requires: Vec<Require>,
}

/// A buildpack or extension that provides a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Id and version.
    pub buildpack: BuildpackRef,
    /// Whether it is an extension.
    pub extension: bool,
}

impl Plan {
    /// The buildpack plan of one provider: the requirements of all entries that it provides.
    pub fn for_buildpack(&self, id: &BuildpackId) -> BuildpackPlan {
        let provided = self.entries.iter().filter(|entry| {
            entry
                .providers
                .iter()
                .any(|provider| provider.buildpack.id == *id && !provider.extension)
        });
        BuildpackPlan {
            entries: provided.flat_map(|entry| entry.requires.clone()).collect(),
        }
    }

    /// Removes each entry that requires one of `names`: a provider met it.
    pub fn remove_met(&mut self, names: &[String]) {
        self.entries.retain(|entry| {
            !entry
                .requires
                .iter()
                .any(|require| names.contains(&require.name))
        });
    }
}

/// Parses `plan.toml`.
pub fn parse_plan(file: &str, bytes: &[u8]) -> Result<Plan, DocumentError> {
    crate::document::unfinished(file, bytes)
}

/// Prints `plan.toml`.
pub fn print_plan(plan: &Plan) -> String {
    format!("{plan:?}")
}
