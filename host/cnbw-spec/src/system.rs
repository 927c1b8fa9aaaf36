//! `system.toml`: buildpacks that a platform puts before and after every group.
//!
//! <https://github.com/buildpacks/spec/blob/main/platform.md#systemtoml-toml>

use crate::document::{Document, DocumentError, Reader};
use crate::id::BuildpackRef;

/// The content of `system.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct System {
    /// Before each group.
    pub pre: Vec<SystemBuildpack>,
    /// After each group.
    pub post: Vec<SystemBuildpack>,
}

/// A buildpack of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemBuildpack {
    /// Id and version.
    pub buildpack: BuildpackRef,
    /// In the specification but not in the reference, which ignores it.
    pub optional: bool,
}

/// Parses `system.toml`.
pub fn parse_system(file: &str, bytes: &[u8]) -> Result<System, DocumentError> {
    let document = Document::parse(file, bytes)?;
    let Some(system) = document.root().table("system")? else {
        return Ok(System::default());
    };
    Ok(System {
        pre: read_buildpacks(&system, "pre")?,
        post: read_buildpacks(&system, "post")?,
    })
}

fn read_buildpacks(system: &Reader<'_>, name: &str) -> Result<Vec<SystemBuildpack>, DocumentError> {
    let Some(part) = system.table(name)? else {
        return Ok(Vec::new());
    };
    part.each("buildpacks", |buildpack| {
        Ok(SystemBuildpack {
            buildpack: buildpack.buildpack_ref()?,
            optional: buildpack.is("optional")?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_are_read() {
        let text = b"[[system.pre.buildpacks]]\nid = \"a\"\nversion = \"1\"\noptional = true\n\
                     [[system.post.buildpacks]]\nid = \"b\"\nversion = \"2\"\n";
        let system = parse_system("system.toml", text).unwrap();
        let shown: Vec<String> = [&system.pre, &system.post]
            .into_iter()
            .flatten()
            .map(|entry| format!("{} {}", entry.buildpack, entry.optional))
            .collect();
        assert_eq!(shown, ["a@1 true", "b@2 false"]);
    }

    #[test]
    fn a_file_without_the_table_names_nothing() {
        for text in ["", "[system]", "[system.pre]"] {
            assert_eq!(
                parse_system("s", text.as_bytes()).unwrap(),
                System::default()
            );
        }
        assert!(parse_system("s", b"system = 1").is_err());
    }
}
