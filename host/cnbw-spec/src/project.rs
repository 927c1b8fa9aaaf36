//! `project.toml`: an application's own description, schema 0.1 and 0.2, as `pack` reads it.

use crate::document::DocumentError;
use crate::value::Table;

/// The content of `project.toml`, both schemas in one shape.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Project {
    /// Schema version: `0.1` (also if none is given) or `0.2`.
    pub schema: ProjectSchema,
    /// `[_] id` or `[project] id`.
    pub id: Option<String>,
    /// Name for people.
    pub name: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Where it lives: `source-url`.
    pub source_url: Option<String>,
    /// Authors.
    pub authors: Vec<String>,
    /// Documentation.
    pub documentation_url: Option<String>,
    /// Licenses.
    pub licenses: Vec<License>,
    /// Builder image or file.
    pub builder: Option<String>,
    /// Patterns of files to take; empty means all.
    pub include: Vec<String>,
    /// Patterns of files to leave out.
    pub exclude: Vec<String>,
    /// Buildpacks instead of the builder's order.
    pub group: Vec<ProjectBuildpack>,
    /// Buildpacks before the builder's order.
    pub pre: Vec<ProjectBuildpack>,
    /// Buildpacks after it.
    pub post: Vec<ProjectBuildpack>,
    /// Environment of the build.
    pub build_env: Vec<ProjectVariable>,
    /// `[_.metadata]` or `[metadata]`, free-form.
    pub metadata: Option<Table>,
}

/// Schema of a project descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ProjectSchema {
    /// 0.1: `[project]`, `[build]`.
    #[default]
    V0_1,
    /// 0.2: `[_]`, `[io.buildpacks]`.
    V0_2,
}

/// A license.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct License {
    /// SPDX id.
    pub license_type: Option<String>,
    /// Address of its text.
    pub uri: Option<String>,
}

/// A buildpack that a project names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProjectBuildpack {
    /// Id.
    pub id: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Where it is fetched from.
    pub uri: Option<String>,
    /// Inline script.
    pub script: Option<ProjectScript>,
}

/// An inline buildpack.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProjectScript {
    /// Buildpack API.
    pub api: Option<String>,
    /// Text of the script.
    pub inline: Option<String>,
    /// Its shell.
    pub shell: Option<String>,
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProjectVariable {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// Parses `project.toml`.
pub fn parse_project(file: &str, bytes: &[u8]) -> Result<Project, DocumentError> {
    crate::document::unfinished(file, bytes)
}
