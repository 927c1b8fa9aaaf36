//! Where buildpacks and extensions are found, and their descriptors.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;
use cnbw_spec::api::{ApiError, BuildpackApi};
use cnbw_spec::descriptor::{
    BuildpackDescriptor, ExtensionDescriptor, parse_buildpack, parse_extension,
};
use cnbw_spec::document::{DocumentError, MAX_DOCUMENT_BYTES};
use cnbw_spec::id::BuildpackRef;
use cnbw_spec::target::Target;

use crate::guest_tree::{GuestTree, GuestTreeError};

/// Whether a module is a buildpack or an image extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModuleKind {
    /// A buildpack.
    Buildpack,
    /// An image extension.
    Extension,
}

impl fmt::Display for ModuleKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Buildpack => "buildpack",
            Self::Extension => "extension",
        })
    }
}

/// The directory of one buildpack or extension.
#[derive(Clone, Debug)]
pub struct Module {
    /// The directory that holds its descriptor.
    pub dir: Arc<Dir>,
    /// Where programs see it.
    pub guest_path: String,
}

/// Where modules of one kind are found: single directories first, then directories of many.
#[derive(Clone, Debug, Default)]
pub struct Buildpacks {
    single: HashMap<BuildpackRef, Arc<Dir>>,
    many: Vec<(Arc<Dir>, String)>,
}

/// Where programs see modules that were given as single directories.
const SINGLE_ROOT: &str = "/cnb/buildpacks";

impl Buildpacks {
    /// A place without anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one module. Programs see it where a builder image would have it.
    pub fn add(&mut self, buildpack: BuildpackRef, dir: Arc<Dir>) {
        self.single.insert(buildpack, dir);
    }

    /// The directories in which all modules lie.
    pub(crate) fn directories(&self) -> impl Iterator<Item = &Arc<Dir>> {
        self.single
            .values()
            .chain(self.many.iter().map(|(dir, _)| dir))
    }

    /// Adds a directory laid out like `/cnb/buildpacks`: `<escaped id>/<version>`.
    ///
    /// `guest_path` is where programs see that directory.
    pub fn add_directory(&mut self, dir: Arc<Dir>, guest_path: &str) {
        let guest_path = guest_path.trim_end_matches('/').to_owned();
        self.many.push((dir, guest_path));
    }

    /// Finds a module.
    pub fn find(&self, kind: ModuleKind, wanted: &BuildpackRef) -> Result<Module, ModuleError> {
        let below = format!("{}/{}", wanted.id.escaped(), wanted.version);
        if let Some(dir) = self.single.get(wanted) {
            return Ok(Module {
                dir: Arc::clone(dir),
                guest_path: format!("{SINGLE_ROOT}/{below}"),
            });
        }
        for (root, guest_path) in &self.many {
            match root.open_dir(&below) {
                Ok(dir) => {
                    return Ok(Module {
                        dir: Arc::new(dir),
                        guest_path: format!("{guest_path}/{below}"),
                    });
                }
                Err(error) if is_absent(&error) => {}
                Err(source) => {
                    return Err(ModuleError::Unreadable {
                        kind,
                        module: wanted.clone(),
                        source: Box::new(GuestTreeError::Io {
                            action: "open directory",
                            path: format!("{guest_path}/{below}"),
                            source,
                        }),
                    });
                }
            }
        }
        Err(ModuleError::Missing {
            kind,
            module: wanted.clone(),
        })
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A buildpack or extension that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// It is nowhere.
    #[error("there is no {kind} `{module}`")]
    Missing {
        /// Buildpack or extension.
        kind: ModuleKind,
        /// Which one.
        module: BuildpackRef,
    },
    /// Its descriptor cannot be read.
    #[error("cannot read the descriptor of {kind} `{module}`")]
    Unreadable {
        /// Buildpack or extension.
        kind: ModuleKind,
        /// Which one.
        module: BuildpackRef,
        /// The cause.
        source: Box<GuestTreeError>,
    },
    /// Its descriptor breaks a rule.
    #[error("the descriptor of {kind} `{module}` is malformed")]
    Malformed {
        /// Buildpack or extension.
        kind: ModuleKind,
        /// Which one.
        module: BuildpackRef,
        /// The cause.
        source: Box<DocumentError>,
    },
    /// Its Buildpack API is not implemented.
    #[error("the API of {kind} `{module}` cannot be used")]
    Api {
        /// Buildpack or extension.
        kind: ModuleKind,
        /// Which one.
        module: BuildpackRef,
        /// The cause.
        source: Box<ApiError>,
    },
}

/// A buildpack and what its descriptor says.
#[derive(Clone, Debug)]
pub(crate) struct LoadedBuildpack {
    pub(crate) module: Module,
    pub(crate) descriptor: BuildpackDescriptor,
    pub(crate) targets: Vec<Target>,
}

/// An extension and what its descriptor says.
#[derive(Clone, Debug)]
pub(crate) struct LoadedExtension {
    pub(crate) module: Module,
    pub(crate) descriptor: ExtensionDescriptor,
    pub(crate) targets: Vec<Target>,
}

/// Programs that make a component of a directory: native name, WebAssembly, and the typed world.
const BUILD_PROGRAMS: [&str; 3] = ["bin/build", "bin/build.wasm", "buildpack.wasm"];

/// Finds a buildpack and reads its descriptor.
pub(crate) fn load_buildpack(
    buildpacks: &Buildpacks,
    wanted: &BuildpackRef,
) -> Result<LoadedBuildpack, ModuleError> {
    const KIND: ModuleKind = ModuleKind::Buildpack;
    let module = buildpacks.find(KIND, wanted)?;
    let (file, bytes) = read_descriptor(KIND, wanted, &module, "buildpack.toml")?;
    let malformed = |source| ModuleError::Malformed {
        kind: KIND,
        module: wanted.clone(),
        source: Box::new(source),
    };
    let descriptor = parse_buildpack(&file, &bytes).map_err(malformed)?;
    let has_program = BUILD_PROGRAMS.iter().any(|it| module.dir.exists(it));
    let targets = descriptor.targets_with_program(has_program);
    Ok(LoadedBuildpack {
        module,
        descriptor,
        targets,
    })
}

/// Finds an extension and reads its descriptor.
pub(crate) fn load_extension(
    extensions: &Buildpacks,
    wanted: &BuildpackRef,
) -> Result<LoadedExtension, ModuleError> {
    const KIND: ModuleKind = ModuleKind::Extension;
    let module = extensions.find(KIND, wanted)?;
    let (file, bytes) = read_descriptor(KIND, wanted, &module, "extension.toml")?;
    let malformed = |source| ModuleError::Malformed {
        kind: KIND,
        module: wanted.clone(),
        source: Box::new(source),
    };
    let descriptor = parse_extension(&file, &bytes).map_err(malformed)?;
    let mut targets = descriptor.targets.clone();
    if targets.is_empty() {
        targets.push(Target::default());
    }
    Ok(LoadedExtension {
        module,
        descriptor,
        targets,
    })
}

/// Parses the API that a descriptor names.
pub(crate) fn module_api(
    kind: ModuleKind,
    module: &BuildpackRef,
    api: &str,
) -> Result<BuildpackApi, ModuleError> {
    BuildpackApi::parse(api).map_err(|source| ModuleError::Api {
        kind,
        module: module.clone(),
        source: Box::new(source),
    })
}

fn read_descriptor(
    kind: ModuleKind,
    wanted: &BuildpackRef,
    module: &Module,
    name: &str,
) -> Result<(String, Vec<u8>), ModuleError> {
    let tree = GuestTree::new(&module.dir, &module.guest_path);
    match tree.read(name, MAX_DOCUMENT_BYTES) {
        Ok(Some(bytes)) => Ok((tree.join(name), bytes)),
        Ok(None) => Err(ModuleError::Missing {
            kind,
            module: wanted.clone(),
        }),
        Err(source) => Err(ModuleError::Unreadable {
            kind,
            module: wanted.clone(),
            source: Box::new(source),
        }),
    }
}
