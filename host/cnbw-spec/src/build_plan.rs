//! The build plan: what one buildpack's detect program provides and requires.

use crate::document::DocumentError;
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
    crate::document::unfinished(file, bytes)
}
