//! Cloud Native Buildpacks documents, ids, API versions and environment rules as values.
//!
//! Everything here is pure: text goes in, values come out, and back. This crate must never do I/O,
//! read the clock or read the environment.
//!
//! Start reading at [`document`] (what all parsers share), then at the document of interest:
//! each `parse_*` function takes the file's name (for messages) and its bytes, each `print_*`
//! function returns the text to write.

pub mod analyzed;
pub mod api;
pub mod build_plan;
pub mod build_toml;
pub mod buildpack_plan;
pub mod descriptor;
pub mod document;
pub mod download;
pub mod env;
pub mod exec_env;
pub mod exit;
pub mod group;
pub mod id;
pub mod labels;
pub mod launch;
pub mod layer;
pub mod metadata;
pub mod order;
pub mod plan;
pub mod project;
pub mod project_metadata;
pub mod report;
pub mod run;
pub mod sbom;
pub mod stack;
pub mod store;
pub mod system;
pub mod target;
pub mod value;

mod json;
mod print;
