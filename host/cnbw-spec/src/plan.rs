//! `plan.toml`: the resolved build plan of a group.
//!
//! <https://github.com/buildpacks/spec/blob/main/platform.md#plantoml-toml>

use crate::build_plan::{Require, read_require, require_fields};
use crate::buildpack_plan::BuildpackPlan;
use crate::document::{Document, DocumentError};
use crate::id::{BuildpackId, BuildpackRef};
use crate::print::Fields;

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
    let document = Document::parse(file, bytes)?;
    let entries = document.root().each("entries", |entry| {
        Ok(PlanEntry {
            providers: entry.each("providers", |provider| {
                Ok(Provider {
                    buildpack: provider.buildpack_ref()?,
                    extension: provider.is("extension")?,
                })
            })?,
            requires: entry.each("requires", read_require)?,
        })
    })?;
    Ok(Plan { entries })
}

/// Prints `plan.toml`.
pub fn print_plan(plan: &Plan) -> String {
    let mut fields = Fields::new();
    fields.each("entries", &plan.entries, |entry| {
        let mut fields = Fields::new();
        fields.each("providers", &entry.providers, |provider| {
            let mut fields = Fields::new();
            fields
                .text("id", provider.buildpack.id.as_str())
                .text("version", provider.buildpack.version.as_str())
                .set_flag("extension", provider.extension);
            fields
        });
        fields.each("requires", &entry.requires, require_fields);
        fields
    });
    fields.print()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::print::tests::any_table;

    const PLAN: &str = "[[entries]]

  [[entries.providers]]
    id = \"acme/a\"
    version = \"1\"

  [[entries.providers]]
    id = \"b\"
    version = \"2\"

  [[entries.requires]]
    name = \"x\"
    [entries.requires.metadata]
      k = \"v\"

  [[entries.requires]]
    name = \"x\"

[[entries]]

  [[entries.providers]]
    id = \"b\"
    version = \"2\"
    extension = true

  [[entries.requires]]
    name = \"y\"
";

    #[test]
    fn a_plan_is_read_and_printed_as_the_reference_does() {
        let plan = parse_plan("plan.toml", PLAN.as_bytes()).unwrap();
        assert_eq!(plan.entries.len(), 2);
        assert_eq!(print_plan(&plan), PLAN);
    }

    #[test]
    fn a_provider_gets_the_requirements_of_its_entries() {
        let plan = parse_plan("plan.toml", PLAN.as_bytes()).unwrap();
        let names = |id: &str| -> Vec<String> {
            let plan = plan.for_buildpack(&BuildpackId::parse(id).unwrap());
            plan.entries.into_iter().map(|entry| entry.name).collect()
        };
        assert_eq!(names("acme/a"), ["x", "x"]);
        assert_eq!(
            names("b"),
            ["x", "x"],
            "an extension of that id is somebody else"
        );
        assert_eq!(names("c"), Vec::<String>::new());
    }

    #[test]
    fn what_was_met_leaves_the_plan() {
        let mut plan = parse_plan("plan.toml", PLAN.as_bytes()).unwrap();
        plan.remove_met(&["x".to_owned()]);
        let left: Vec<&str> = plan
            .entries
            .iter()
            .flat_map(|entry| entry.requires.iter().map(|require| require.name.as_str()))
            .collect();
        assert_eq!(left, ["y"]);
    }

    prop_compose! {
        fn any_require()(
            name in any::<String>(),
            metadata in proptest::option::of(any_table()),
        ) -> Require {
            Require { name, version: None, metadata }
        }
    }

    proptest! {
        #[test]
        fn a_printed_plan_is_read_back(requires in proptest::collection::vec(any_require(), 0..4)) {
            let buildpack = BuildpackRef::parse("a", "1").unwrap();
            let providers = vec![Provider { buildpack, extension: false }];
            let plan = Plan { entries: vec![PlanEntry { providers, requires }] };
            prop_assert_eq!(parse_plan("p", print_plan(&plan).as_bytes()).unwrap(), plan);
        }
    }
}
