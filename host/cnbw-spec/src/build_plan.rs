//! The build plan: what one buildpack's detect program provides and requires.
//!
//! <https://github.com/buildpacks/spec/blob/main/buildpack.md#build-plan-toml>

use crate::document::{Document, DocumentError, Reader};
use crate::print::Fields;
use crate::value::Table;

/// The file that a detect program writes. An empty file is a plan without anything.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct BuildPlan {
    /// The plan of the top level, tried first.
    pub first: PlanSections,
    /// The alternatives of `[[or]]`, in order.
    pub or: Vec<PlanSections>,
}

/// One alternative.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PlanSections {
    /// Names that the buildpack needs.
    pub requires: Vec<Require>,
    /// Names that it offers.
    pub provides: Vec<Provide>,
}

/// A need, by name, with metadata for whoever provides it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Require {
    /// The name.
    pub name: String,
    /// A version at the top level: only old plans have it.
    pub version: Option<String>,
    /// Free-form; `None` if the table is absent.
    pub metadata: Option<Table>,
}

/// An offer, by name.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Provide {
    /// The name.
    pub name: String,
}

impl BuildPlan {
    /// All alternatives, in the order in which they are tried.
    pub fn alternatives(&self) -> impl Iterator<Item = &PlanSections> {
        std::iter::once(&self.first).chain(&self.or)
    }
}

/// Parses a build plan; a `version` beside `name` is refused, as at all supported APIs.
pub fn parse_build_plan(file: &str, bytes: &[u8]) -> Result<BuildPlan, DocumentError> {
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    Ok(BuildPlan {
        first: read_sections(&root)?,
        or: root.each("or", read_sections)?,
    })
}

fn read_sections(reader: &Reader<'_>) -> Result<PlanSections, DocumentError> {
    Ok(PlanSections {
        requires: reader.each("requires", read_detected_require)?,
        provides: reader.each("provides", |provide| {
            Ok(Provide {
                name: provide.text("name")?,
            })
        })?,
    })
}

fn read_detected_require(reader: &Reader<'_>) -> Result<Require, DocumentError> {
    let require = read_require(reader)?;
    if require.version.is_some() {
        let reason = "a version belongs into `metadata`, not beside the name";
        return Err(reader.error("version", reason));
    }
    Ok(require)
}

/// Reads name, version and metadata.
pub(crate) fn read_require(reader: &Reader<'_>) -> Result<Require, DocumentError> {
    Ok(Require {
        name: reader.text("name")?,
        version: reader.filled("version")?,
        metadata: reader.free_table("metadata")?,
    })
}

/// The keys of a requirement, in the reference's order.
pub(crate) fn require_fields(require: &Require) -> Fields {
    let mut fields = Fields::new();
    fields
        .text("name", &require.name)
        .filled("version", require.version.as_deref())
        .free_table("metadata", require.metadata.as_ref());
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BuildPlan, DocumentError> {
        parse_build_plan("plan.toml", text.as_bytes())
    }

    #[test]
    fn an_empty_file_is_a_plan_without_anything() {
        assert_eq!(parse("").unwrap(), BuildPlan::default());
        assert_eq!(BuildPlan::default().alternatives().count(), 1);
    }

    #[test]
    fn the_top_level_is_the_first_alternative() {
        let plan = parse(
            "[[provides]]\nname = \"p\"\n[[requires]]\nname = \"r\"\n[requires.metadata]\nx = [1]\n\
             [[or]]\n[[or.requires]]\nname = \"s\"\n[[or]]\n",
        )
        .unwrap();
        let names = |sections: &PlanSections| {
            let requires = sections.requires.iter().map(|require| require.name.clone());
            requires
                .chain(sections.provides.iter().map(|provide| provide.name.clone()))
                .collect()
        };
        let shown: Vec<Vec<String>> = plan.alternatives().map(names).collect();
        assert_eq!(shown, [vec!["r", "p"], vec!["s"], vec![]]);
        let metadata = plan
            .first
            .requires
            .first()
            .and_then(|require| require.metadata.clone());
        assert_eq!(metadata, Some("x = [1]".parse().unwrap()));
    }

    #[test]
    fn a_version_beside_the_name_is_refused_wherever_it_stands() {
        let cases = [
            (
                "[[requires]]\nname = \"x\"\nversion = \"1\"",
                3,
                "requires[0].version",
            ),
            (
                "[[or]]\n[[or.requires]]\nversion = \"1\"\n[or.requires.metadata]\nversion = \"1\"",
                3,
                "or[0].requires[0].version",
            ),
        ];
        for (text, line, key) in cases {
            let error = parse(text).unwrap_err();
            assert_eq!(
                (error.line, error.key.as_str()),
                (Some(line), key),
                "{error}"
            );
        }
        assert!(parse("[[requires]]\nname = \"x\"\nversion = \"\"").is_ok());
        assert!(parse("[[requires]]\nname = \"x\"\nversion = 1").is_err());
    }
}
