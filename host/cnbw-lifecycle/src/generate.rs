//! Image extensions, as far as they can be honored without running Dockerfiles.
//!
//! An extension that passed detection may say that another run image is to be used: a
//! `run.Dockerfile` with nothing but `FROM`. Everything else that extensions do changes an image by
//! running commands in it, which takes a container engine; that is refused in so many words.

use std::io;

use cap_std::fs::Dir;
use cnbw_spec::api::PlatformApi;
use cnbw_spec::group::GroupElement;
use cnbw_spec::id::BuildpackRef;
use cnbw_spec::plan::Plan;

use crate::buildpacks::{Buildpacks, Module, ModuleError, ModuleKind};
use crate::guest_tree::{GuestTree, GuestTreeError};

/// Largest Dockerfile in bytes.
const MAX_DOCKERFILE_BYTES: usize = 1024 * 1024;

/// Exit status if an extension's program fails.
const GENERATE_PROGRAM: u8 = 91;
/// Exit status of other errors of this step.
const GENERATE: u8 = 92;

/// What is given.
#[derive(Debug)]
pub struct GenerateRequest<'a> {
    /// Version of the Platform API.
    pub platform_api: PlatformApi,
    /// The extensions that passed detection, in order.
    pub group_extensions: &'a [GroupElement],
    /// The resolved build plan.
    pub plan: &'a Plan,
    /// Where extensions are.
    pub extensions: &'a Buildpacks,
    /// Where what they generate goes.
    pub generated: &'a Dir,
}

/// What the extensions want.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Generated {
    /// The plan without what extensions provide.
    pub plan: Plan,
    /// The run image that the last of them names.
    pub run_image: Option<String>,
}

/// Why the extensions cannot be honored.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// An extension is not there any more.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// An extension wants to run a program that makes Dockerfiles.
    #[error(
        "extension `{extension}` has a program `bin/generate`: cnbw runs none, because it cannot run the Dockerfiles either, which takes a container engine"
    )]
    Program {
        /// Which extension.
        extension: BuildpackRef,
    },
    /// A Dockerfile that is malformed, or asks for more than another run image.
    #[error("`{file}` of extension `{extension}` cannot be used: {reason}")]
    Dockerfile {
        /// Which extension.
        extension: BuildpackRef,
        /// Name of the file.
        file: &'static str,
        /// The rule that it breaks.
        reason: String,
    },
    /// A file of an extension cannot be read.
    #[error("cannot read what extension `{extension}` provides")]
    Unreadable {
        /// Which extension.
        extension: BuildpackRef,
        /// The cause.
        source: GuestTreeError,
    },
    /// The directory for generated files cannot be used.
    #[error("cannot write generated files of extension `{extension}`")]
    Write {
        /// Which extension.
        extension: BuildpackRef,
        /// The cause.
        source: io::Error,
    },
}

impl GenerateError {
    /// The exit status that the specification gives to this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Program { .. } => GENERATE_PROGRAM,
            Self::Module(_)
            | Self::Dockerfile { .. }
            | Self::Unreadable { .. }
            | Self::Write { .. } => GENERATE,
        }
    }
}

/// Takes what extensions have prepared in their `generate` directories.
pub fn generate(request: &GenerateRequest<'_>) -> Result<Generated, GenerateError> {
    let mut generated = Generated {
        plan: request.plan.clone(),
        run_image: None,
    };
    for element in request.group_extensions {
        let extension = &element.buildpack;
        let module = request.extensions.find(ModuleKind::Extension, extension)?;
        if module.dir.exists("bin/generate") || module.dir.exists("bin/generate.wasm") {
            let extension = extension.clone();
            return Err(GenerateError::Program { extension });
        }
        let dockerfile = run_dockerfile(extension, &module)?;
        write(request, extension, dockerfile.as_deref()).map_err(|source| {
            GenerateError::Write {
                extension: extension.clone(),
                source,
            }
        })?;
        if let Some(text) = dockerfile {
            let base = base_of(&text).map_err(|reason| GenerateError::Dockerfile {
                extension: extension.clone(),
                file: "run.Dockerfile",
                reason,
            })?;
            // The last one counts.
            generated.run_image = base.or(generated.run_image);
        }
        let met: Vec<String> = provided_by(&generated.plan, extension);
        generated.plan.remove_met(&met);
    }
    Ok(generated)
}

/// Names of all requirements that an extension provides for.
fn provided_by(plan: &Plan, extension: &BuildpackRef) -> Vec<String> {
    let provided = plan.entries.iter().filter(|entry| {
        let mut providers = entry.providers.iter();
        providers.any(|it| it.extension && it.buildpack.id == extension.id)
    });
    let requires = provided.flat_map(|entry| &entry.requires);
    requires.map(|it| it.name.clone()).collect()
}

/// The text of a prepared `run.Dockerfile`. A `build.Dockerfile` is refused.
fn run_dockerfile(
    extension: &BuildpackRef,
    module: &Module,
) -> Result<Option<String>, GenerateError> {
    let unreadable = |source| GenerateError::Unreadable {
        extension: extension.clone(),
        source,
    };
    let root = GuestTree::new(&module.dir, &module.guest_path);
    let Some(dir) = root.directory("generate").map_err(unreadable)? else {
        return Ok(None);
    };
    let path = root.join("generate");
    let tree = GuestTree::new(&dir, &path);
    if tree.kind("build.Dockerfile").map_err(unreadable)?.is_some() {
        return Err(GenerateError::Dockerfile {
            extension: extension.clone(),
            file: "build.Dockerfile",
            reason: NEEDS_ENGINE.to_owned(),
        });
    }
    let bytes = tree.read("run.Dockerfile", MAX_DOCKERFILE_BYTES);
    let bytes = bytes.map_err(unreadable)?;
    Ok(bytes.map(|it| String::from_utf8_lossy(&it).into_owned()))
}

const NEEDS_ENGINE: &str = "cnbw runs no Dockerfiles, because that takes a container engine; \
                            it takes a `run.Dockerfile` with nothing but `FROM`";

/// From Platform API 0.13 on each extension has a directory; before, each Dockerfile has one.
fn write(
    request: &GenerateRequest<'_>,
    extension: &BuildpackRef,
    dockerfile: Option<&str>,
) -> io::Result<()> {
    let name = extension.id.escaped();
    if request.platform_api >= PlatformApi::V0_13 {
        return request.generated.create_dir_all(name);
    }
    let Some(text) = dockerfile else {
        return Ok(());
    };
    let directory = format!("run/{name}");
    request.generated.create_dir_all(&directory)?;
    request
        .generated
        .write(format!("{directory}/Dockerfile"), text)
}

/// The image that a Dockerfile switches to, or `None` if it names the base image it is given.
fn base_of(text: &str) -> Result<Option<String>, String> {
    let mut base: Option<String> = None;
    for line in instructions(text) {
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default().to_ascii_uppercase();
        match (instruction.as_str(), &base) {
            ("FROM", None) => base = Some(image_of(words)?),
            ("FROM", Some(_)) => {
                return Err("it is not permitted to use multistage build".to_owned());
            }
            // What is before the only stage is for a build that never happens.
            ("ARG", None) => {}
            (_, None) => return Err("it has to begin with `FROM`".to_owned()),
            (_, Some(_)) => return Err(NEEDS_ENGINE.to_owned()),
        }
    }
    let base = base.ok_or("it should have at least one stage")?;
    Ok(Some(base).filter(|it| it != "${base_image}"))
}

/// The image of a `FROM`: what is left of flags and a name for the stage.
fn image_of<'a>(words: impl Iterator<Item = &'a str>) -> Result<String, String> {
    let words: Vec<&str> = words.skip_while(|it| it.starts_with("--")).collect();
    match words.as_slice() {
        [image] => Ok((*image).to_owned()),
        [image, keyword, _] if keyword.eq_ignore_ascii_case("as") => Ok((*image).to_owned()),
        _ => Err("`FROM` takes one image".to_owned()),
    }
}

/// Lines without comments, with continued ones put together.
fn instructions(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(part) => {
                open.push_str(part);
                open.push(' ');
            }
            None => lines.push(std::mem::take(&mut open) + line),
        }
    }
    if !open.trim().is_empty() {
        lines.push(open);
    }
    lines
}

#[cfg(test)]
mod tests {
    use cnbw_spec::plan::parse_plan;

    use super::*;
    use crate::scripted::World;

    #[test]
    fn only_a_switch_of_the_run_image_is_taken() {
        for (text, expected) in [
            ("FROM other/run:1\n", Ok(Some("other/run:1"))),
            (
                "# note\n\nfrom --platform=linux/amd64 \\\n  other AS base\n",
                Ok(Some("other")),
            ),
            ("ARG base_image\nFROM ${base_image}\n", Ok(None)),
            ("FROM a\nFROM b\n", Err("multistage")),
            ("FROM a\nRUN x\n", Err("container engine")),
            ("FROM a b\n", Err("one image")),
            ("RUN x\nFROM a\n", Err("begin with `FROM`")),
            ("", Err("at least one stage")),
        ] {
            match (base_of(text), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected, "{text}"),
                (Err(found), Err(says)) => assert!(found.contains(says), "{found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    fn run(world: &World, api: PlatformApi, ids: &[&str]) -> Result<Generated, u8> {
        let plan = "[[entries]]\n[[entries.providers]]\nid = \"e\"\nversion = \"1\"\nextension = true\n[[entries.requires]]\nname = \"x\"\n";
        let plan = parse_plan("plan.toml", plan.as_bytes()).unwrap();
        let elements = ids.iter().map(|id| {
            world
                .root
                .create_dir_all(format!("extensions/{id}/1"))
                .unwrap();
            GroupElement::new(BuildpackRef::parse(id, "1").unwrap())
        });
        world.root.create_dir_all("generated").unwrap();
        generate(&GenerateRequest {
            platform_api: api,
            group_extensions: &elements.collect::<Vec<_>>(),
            plan: &plan,
            extensions: &world.extensions(),
            generated: &world.dir("generated"),
        })
        .map_err(|error| error.exit_code())
    }

    #[test]
    fn the_last_run_image_counts_and_what_extensions_provide_is_met() {
        let world = World::new();
        world.write("extensions/e/1/generate/run.Dockerfile", "FROM one\n");
        world.write("extensions/f/1/generate/run.Dockerfile", "FROM two\n");
        let generated = run(&world, PlatformApi::V0_13, &["e", "f", "g"]).unwrap();
        assert_eq!(generated.run_image.as_deref(), Some("two"));
        assert!(generated.plan.entries.is_empty());
        assert!(world.dir("generated").exists("g"));
        run(&world, PlatformApi::V0_12, &["e"]).unwrap();
        let copy = world.dir("generated").read_to_string("run/e/Dockerfile");
        assert_eq!(copy.unwrap(), "FROM one\n");
    }

    #[test]
    fn whatever_would_run_in_an_image_is_refused() {
        for (path, code) in [("bin/generate", 91), ("generate/build.Dockerfile", 92)] {
            let world = World::new();
            world.write(&format!("extensions/e/1/{path}"), "");
            assert_eq!(run(&world, PlatformApi::V0_15, &["e"]), Err(code), "{path}");
        }
    }
}
