//! `buildpack.toml` and `extension.toml`: what a buildpack says about itself.
//!
//! <https://github.com/buildpacks/spec/blob/main/buildpack.md#buildpacktoml-toml>

use crate::api::BuildpackApi;
use crate::document::{Document, DocumentError, Reader};
use crate::id::BuildpackRef;
use crate::order::{OrderGroup, read_order_groups};
use crate::target::{Distro, Target};
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
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    let Some(buildpack) = root.table("buildpack")? else {
        return Err(root.error("buildpack", "missing"));
    };
    let api = root.text("api")?;
    let declared = root.each("targets", read_target)?;
    let stacks = root.each("stacks", |stack| stack.text("id"))?;
    Ok(BuildpackDescriptor {
        buildpack: buildpack.buildpack_ref()?,
        name: buildpack.text("name")?,
        homepage: buildpack.filled("homepage")?,
        clear_env: buildpack.is("clear-env")?,
        sbom_formats: buildpack.strings("sbom-formats")?.unwrap_or_default(),
        exec_env: buildpack.strings_or_named("exec-env", "name")?,
        order: read_order_groups(&root, "order")?,
        targets: if declared.is_empty() {
            targets_of_stacks(&stacks, &api)
        } else {
            declared
        },
        metadata: root.free_table("metadata")?,
        api,
    })
}

fn read_target(reader: &Reader<'_>) -> Result<Target, DocumentError> {
    let variant = match reader.filled("arch-variant")? {
        Some(variant) => variant,
        None => reader.text("variant")?,
    };
    Ok(Target {
        os: reader.text("os")?,
        arch: reader.text("arch")?,
        variant,
        distros: reader.each("distros", |distro| {
            Ok(Distro {
                name: distro.text("name")?,
                version: distro.text("version")?,
            })
        })?,
    })
}

/// Targets that stacks of older descriptors stand for.
fn targets_of_stacks(stacks: &[String], api: &str) -> Vec<Target> {
    let knows_targets = BuildpackApi::parse(api).is_ok_and(BuildpackApi::passes_target_in_env);
    let target = |stack: &String| match stack.as_str() {
        "io.buildpacks.stacks.bionic" if knows_targets || stacks.len() == 1 => Some(Target {
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            variant: String::new(),
            distros: vec![Distro {
                name: "ubuntu".to_owned(),
                version: "18.04".to_owned(),
            }],
        }),
        "*" => Some(Target::default()),
        _ => None,
    };
    stacks.iter().filter_map(target).collect()
}

/// Parses `extension.toml`.
pub fn parse_extension(file: &str, bytes: &[u8]) -> Result<ExtensionDescriptor, DocumentError> {
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    let Some(extension) = root.table("extension")? else {
        return Err(root.error("extension", "missing"));
    };
    Ok(ExtensionDescriptor {
        api: root.text("api")?,
        extension: extension.buildpack_ref()?,
        name: extension.text("name")?,
        homepage: extension.filled("homepage")?,
        clear_env: extension.is("clear-env")?,
        targets: root.each("targets", read_target)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BuildpackDescriptor, DocumentError> {
        parse_buildpack("buildpack.toml", text.as_bytes())
    }

    fn target(os: &str, arch: &str, variant: &str) -> Target {
        Target {
            os: os.to_owned(),
            arch: arch.to_owned(),
            variant: variant.to_owned(),
            distros: Vec::new(),
        }
    }

    const HEAD: &str = "api = \"0.12\"\n[buildpack]\nid = \"acme/a\"\nversion = \"1\"\n";

    #[test]
    fn all_keys_of_a_component_are_read() {
        let text = format!(
            "{HEAD}name = \"A\"\nhomepage = \"h\"\nclear-env = true\nsbom-formats = [\"f\"]\n\
             exec-env = [\"test\"]\nlater = 1\n[[targets]]\nos = \"linux\"\n[[targets.distros]]\n\
             name = \"ubuntu\"\n[metadata]\nx = 1\n"
        );
        let descriptor = parse(&text).unwrap();
        let expected = BuildpackDescriptor {
            api: "0.12".to_owned(),
            buildpack: BuildpackRef::parse("acme/a", "1").unwrap(),
            name: "A".to_owned(),
            homepage: Some("h".to_owned()),
            clear_env: true,
            sbom_formats: vec!["f".to_owned()],
            exec_env: vec!["test".to_owned()],
            order: Vec::new(),
            targets: vec![Target {
                distros: vec![Distro {
                    name: "ubuntu".to_owned(),
                    version: String::new(),
                }],
                ..target("linux", "", "")
            }],
            metadata: Some("x = 1".parse().unwrap()),
        };
        assert!(!descriptor.is_composite());
        assert_eq!(descriptor, expected);
    }

    #[test]
    fn both_spellings_of_variant_and_of_exec_env_are_read() {
        for key in ["variant", "arch-variant"] {
            let text = format!("{HEAD}[[targets]]\narch = \"arm\"\n{key} = \"v7\"");
            assert_eq!(parse(&text).unwrap().targets, [target("", "arm", "v7")]);
        }
        let text = format!("{HEAD}[[buildpack.exec-env]]\nname = \"test\"");
        assert_eq!(parse(&text).unwrap().exec_env, ["test"]);
        assert!(parse(&format!("{HEAD}exec-env = [1]")).is_err());
    }

    #[test]
    fn a_descriptor_with_an_order_is_composite() {
        let text = format!("{HEAD}[[order]]\n[[order.group]]\nid = \"b\"\nversion = \"2\"");
        let descriptor = parse(&text).unwrap();
        assert!(descriptor.is_composite());
        let child = descriptor
            .order
            .first()
            .and_then(|group| group.group.first())
            .unwrap();
        assert_eq!(child.buildpack.to_string(), "b@2");
    }

    #[test]
    fn stacks_stand_for_targets_only_where_none_are_declared() {
        let bionic = "[[stacks]]\nid = \"io.buildpacks.stacks.bionic\"\n";
        let ubuntu = Target {
            distros: vec![Distro {
                name: "ubuntu".to_owned(),
                version: "18.04".to_owned(),
            }],
            ..target("linux", "amd64", "")
        };
        let cases = [
            ("0.12", bionic.to_owned(), vec![ubuntu.clone()]),
            ("0.9", bionic.to_owned(), vec![ubuntu.clone()]),
            ("0.9", format!("{bionic}[[stacks]]\nid = \"x\"\n"), vec![]),
            (
                "0.10",
                format!("{bionic}[[stacks]]\nid = \"x\"\n"),
                vec![ubuntu],
            ),
            (
                "0.9",
                "[[stacks]]\nid = \"*\"\n".to_owned(),
                vec![Target::default()],
            ),
            (
                "0.12",
                format!("{bionic}[[targets]]\nos = \"x\""),
                vec![target("x", "", "")],
            ),
        ];
        for (api, rest, expected) in cases {
            let text = format!("{HEAD}{rest}").replace("0.12", api);
            assert_eq!(parse(&text).unwrap().targets, expected, "{text}");
        }
    }

    #[test]
    fn without_targets_a_build_program_means_linux() {
        let descriptor = parse(HEAD).unwrap();
        assert_eq!(
            descriptor.targets_with_program(true),
            [target("linux", "", "")]
        );
        assert_eq!(descriptor.targets_with_program(false), []);
    }

    #[test]
    fn a_descriptor_without_its_table_is_refused() {
        let error = parse("api = \"0.12\"").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`buildpack.toml`, line 1, key `buildpack`: missing"
        );
        assert!(parse_extension("extension.toml", HEAD.as_bytes()).is_err());
    }

    #[test]
    fn an_extension_is_read() {
        let text = HEAD.replace("[buildpack]", "[extension]");
        let extension = parse_extension("extension.toml", text.as_bytes()).unwrap();
        assert_eq!(extension.extension.to_string(), "acme/a@1");
        assert_eq!(extension.api, "0.12");
    }
}
