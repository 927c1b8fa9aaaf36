//! `build.toml`: what a buildpack did not meet, and the old bill of materials of the build.
//!
//! <https://github.com/buildpacks/spec/blob/main/buildpack.md#buildtoml-toml>

use crate::build_plan::{Require, read_require};
use crate::document::{Document, DocumentError};

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
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    Ok(BuildToml {
        bom: root.each("bom", read_require)?,
        unmet: root.each("unmet", |unmet| {
            Ok(Unmet {
                name: unmet.text("name")?,
            })
        })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmet_names_and_the_old_bill_of_materials_are_read() {
        let text = b"[[unmet]]\nname = \"x\"\n[[unmet]]\n[[bom]]\nname = \"b\"\nversion = \"1\"\n";
        let build = parse_build_toml("build.toml", text).unwrap();
        let names: Vec<&str> = build
            .unmet
            .iter()
            .map(|unmet| unmet.name.as_str())
            .collect();
        assert_eq!(names, ["x", ""]);
        let version = build.bom.first().and_then(|entry| entry.version.as_deref());
        assert_eq!(
            version,
            Some("1"),
            "the caller refuses it, naming the entry"
        );
    }

    #[test]
    fn a_name_that_is_no_text_is_refused() {
        let error = parse_build_toml("build.toml", b"[[unmet]]\nname = 1").unwrap_err();
        assert_eq!(error.key, "unmet[0].name");
    }
}
