//! The buildpack plan: what a build program reads.
//!
//! <https://github.com/buildpacks/spec/blob/main/buildpack.md#buildpack-plan-toml>

use crate::build_plan::{Require, read_require, require_fields};
use crate::build_toml::Unmet;
use crate::document::{Document, DocumentError};
use crate::print::Fields;

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
    let document = Document::parse(file, bytes)?;
    Ok(BuildpackPlan {
        entries: document.root().each("entries", read_require)?,
    })
}

/// Prints a buildpack plan.
pub fn print_buildpack_plan(plan: &BuildpackPlan) -> String {
    let mut fields = Fields::new();
    fields.each("entries", &plan.entries, require_fields);
    fields.print()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buildpack_plan_is_read_and_printed() {
        let text = "[[entries]]\n  name = \"x\"\n  [entries.metadata]\n    d = 1979-05-27\n\n\
                    [[entries]]\n  name = \"y\"\n";
        let plan = parse_buildpack_plan("plan.toml", text.as_bytes()).unwrap();
        assert_eq!(print_buildpack_plan(&plan), text);
        assert_eq!(print_buildpack_plan(&BuildpackPlan::default()), "");
    }

    #[test]
    fn what_is_not_listed_as_unmet_is_met() {
        let plan = parse_buildpack_plan(
            "plan.toml",
            b"entries = [{name = \"x\"}, {name = \"y\"}, {name = \"x\"}]",
        )
        .unwrap();
        let unmet = [Unmet {
            name: "y".to_owned(),
        }];
        assert_eq!(plan.met_names(&unmet), ["x", "x"]);
        assert_eq!(plan.met_names(&[]), ["x", "y", "x"]);
    }
}
