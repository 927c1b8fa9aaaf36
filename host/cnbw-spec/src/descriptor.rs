//! `buildpack.toml` and `extension.toml`: what a buildpack says about itself.

use crate::document::DocumentError;
use crate::id::BuildpackRef;
use crate::order::OrderGroup;
use crate::target::Target;
use crate::value::Table;

/// A descriptor of a buildpack. It is composite if its order is not empty, else a component.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildpackDescriptor {
    /// Buildpack API as written, not yet checked.
    pub api: String,
    /// Id and version.
    pub buildpack: BuildpackRef,
    /// Name for people; may be empty.
    pub name: String,
    /// Homepage.
    pub homepage: Option<String>,
    /// Whether the program is run without the user's environment.
    pub clear_env: bool,
    /// SBOM media types that it may write.
    pub sbom_formats: Vec<String>,
    /// Execution environments; none means all.
    pub exec_env: Vec<String>,
    /// Groups, if the buildpack is composite.
    pub order: Vec<OrderGroup>,
    /// Targets as declared, or as old stacks imply.
    pub targets: Vec<Target>,
    /// `[metadata]`, free-form.
    pub metadata: Option<Table>,
}

/// A descriptor of an image extension.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtensionDescriptor {
    /// Buildpack API as written, not yet checked.
    pub api: String,
    /// Id and version.
    pub extension: BuildpackRef,
    /// Name for people; may be empty.
    pub name: String,
    /// Homepage.
    pub homepage: Option<String>,
    /// Whether the program is run without the user's environment.
    pub clear_env: bool,
    /// Targets as declared.
    pub targets: Vec<Target>,
}

impl BuildpackDescriptor {
    /// Whether the buildpack has an order instead of programs.
    pub fn is_composite(&self) -> bool {
        !self.order.is_empty()
    }

    /// The targets, where a buildpack that declares none is for linux if it has a build program.
    pub fn targets_with_program(&self, has_build_program: bool) -> Vec<Target> {
        if self.targets.is_empty() && has_build_program {
            return vec![Target {
                os: "linux".to_owned(),
                ..Target::default()
            }];
        }
        self.targets.clone()
    }
}

/// Parses `buildpack.toml`.
pub fn parse_buildpack(file: &str, bytes: &[u8]) -> Result<BuildpackDescriptor, DocumentError> {
    crate::document::unfinished(file, bytes)
}

/// Parses `extension.toml`.
pub fn parse_extension(file: &str, bytes: &[u8]) -> Result<ExtensionDescriptor, DocumentError> {
    crate::document::unfinished(file, bytes)
}
