//! Building: runs the build programs of the chosen group, one after the other, and collects what
//! they leave behind.

mod layers;
mod outputs;
mod processes;
mod program;
mod sboms;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;
use cnbw_spec::api::{ApiError, BuildpackApi, PlatformApi};
use cnbw_spec::document::DocumentError;
use cnbw_spec::env::Environment;
use cnbw_spec::exit;
use cnbw_spec::group::{Group, GroupElement};
use cnbw_spec::id::{BuildpackRef, NameError};
use cnbw_spec::launch::{Label, Slice};
use cnbw_spec::metadata::{BomEntry, BuildMetadata, print_build_metadata};
use cnbw_spec::plan::Plan;

use crate::buildpacks::{Buildpacks, ModuleError, ModuleKind, load_buildpack, module_api};
use crate::event::Event;
use crate::guest_tree::{GuestTree, GuestTreeError};
use crate::ports::{BuildpackRunner, Events, GuestFault, Outlook, Program};
use crate::programs::{EnvironmentError, GuestDirectory, Programs, Variables};

/// What building is given.
#[derive(Clone, Debug)]
pub struct BuildRequest<'a> {
    /// Version of the Platform API.
    pub platform_api: PlatformApi,
    /// The chosen group.
    pub group: &'a Group,
    /// The resolved build plan.
    pub plan: &'a Plan,
    /// Where buildpacks are.
    pub buildpacks: &'a Buildpacks,
    /// What programs are given. They may write to the application.
    pub programs: &'a Programs,
    /// The layers directory. Each buildpack gets one below it, named for its escaped id; SBOM files
    /// are collected in `sbom`, and `config/metadata.toml` is written at the end.
    pub layers: &'a GuestDirectory,
}

/// What was built. Layers and SBOM files are in the layers directory.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Built {
    /// Content of `metadata.toml`, which was also written.
    pub metadata: BuildMetadata,
}

/// Why building failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The group names a Buildpack API that is not implemented. Nothing ran.
    #[error("the API of buildpack `{buildpack}` cannot be used")]
    Api {
        /// Which buildpack.
        buildpack: BuildpackRef,
        /// The cause.
        source: ApiError,
    },
    /// A buildpack of the group cannot be used.
    #[error("the group cannot be built")]
    Module {
        /// The cause.
        source: ModuleError,
    },
    /// Two buildpacks of the group would write into the same directory.
    #[error("buildpacks `{first}` and `{second}` have the same layers directory")]
    SameDirectory {
        /// The one that comes first.
        first: BuildpackRef,
        /// The other one.
        second: BuildpackRef,
    },
    /// The environment of a program cannot be made.
    #[error("cannot make the environment of `{buildpack}`")]
    Environment {
        /// Which buildpack.
        buildpack: BuildpackRef,
        /// The cause.
        source: Arc<EnvironmentError>,
    },
    /// A build program ended with another status than zero.
    #[error("the build program of `{buildpack}` ended with status {status}")]
    Program {
        /// Whose program.
        buildpack: BuildpackRef,
        /// The exit status.
        status: i32,
    },
    /// A build program ended without a status, or was never started.
    #[error("the build program of `{buildpack}` could not run to its end")]
    Fault {
        /// Whose program.
        buildpack: BuildpackRef,
        /// What happened.
        source: GuestFault,
    },
    /// What a program left behind breaks rules; all that were found.
    #[error("what `{buildpack}` built cannot be used")]
    Outputs {
        /// Whose outputs.
        buildpack: BuildpackRef,
        /// The cause.
        source: Box<OutputError>,
    },
    /// The layers directory, or a private one, cannot be used.
    #[error("cannot {action} `{}`", path.escape_debug())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Path in the image.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

/// What a build program left behind and may not.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A document breaks a rule.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A file or directory cannot be read.
    #[error(transparent)]
    Unreadable(#[from] GuestTreeError),
    /// A layer has a name that no layer can have.
    #[error("`{}` names no layer", file.escape_debug())]
    LayerName {
        /// The file, relative to the buildpack's layers directory.
        file: String,
        /// The cause.
        source: NameError,
    },
    /// A layer without types has to be renamed, but the new name is taken.
    #[error(
        "layer `{layer}` has no types and is to become `{layer}.ignore`, but that exists already"
    )]
    IgnoredExists {
        /// The layer.
        layer: String,
    },
    /// A name is said to be unmet that the plan does not hold.
    #[error(
        "unmet.name `{}` of `build.toml` must match a requested dependency",
        name.escape_debug()
    )]
    UnknownUnmet {
        /// The name.
        name: String,
    },
    /// An unmet entry without a name.
    #[error("unmet.name is required in each entry of `build.toml`")]
    NamelessUnmet,
    /// An entry of the old bill of materials has a version of its own.
    #[error(
        "bom entry `{}` has a top level version, which is not allowed; it belongs in `metadata.version`",
        name.escape_debug()
    )]
    BomVersion {
        /// Name of the entry.
        name: String,
    },
    /// An SBOM file in a format that does not exist.
    #[error(
        "unsupported SBOM file format: `{}` has none of the endings `.sbom.cdx.json`, `.sbom.spdx.json` and `.sbom.syft.json`",
        file.escape_debug()
    )]
    SbomFormat {
        /// The file, relative to the buildpack's layers directory.
        file: String,
    },
    /// An SBOM file in a format that the descriptor does not list.
    #[error(
        "undeclared SBOM media type `{media_type}` of `{}`: the descriptor's `sbom-formats` does not list it",
        file.escape_debug()
    )]
    UndeclaredSbom {
        /// The file, relative to the buildpack's layers directory.
        file: String,
        /// Its media type.
        media_type: &'static str,
    },
    /// A process type with a character that the specification does not allow.
    #[error("process type `{}` has a character other than letters, digits, `.`, `_` and `-`", process_type.escape_debug())]
    ProcessType {
        /// The type.
        process_type: String,
    },
}

impl BuildError {
    /// The exit status that the specification gives to this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Api { .. }
            | Self::Module {
                source: ModuleError::Api { .. },
            } => exit::BUILDPACK_API,
            Self::Fault { source, .. } if !source.is_of_the_sandbox() => exit::BUILD_PROGRAM,
            Self::Program { .. } => exit::BUILD_PROGRAM,
            Self::Fault { .. }
            | Self::Module { .. }
            | Self::SameDirectory { .. }
            | Self::Environment { .. }
            | Self::Outputs { .. }
            | Self::Io { .. } => exit::BUILD,
        }
    }
}

/// Runs the build programs of the group.
pub fn build(
    request: &BuildRequest<'_>,
    runner: &dyn BuildpackRunner,
    events: &dyn Events,
) -> Result<Built, BuildError> {
    check_group(request.group)?;
    // What an earlier build collected says nothing about this one.
    remove(&request.layers.dir, "sbom")
        .map_err(|source| request.failed("remove", "sbom", source))?;
    runner.expect(&Outlook {
        program: Program::Build,
        runs: request.group.group.len(),
        shared: Vec::new(),
    });
    let mut state = State::new(request);
    for element in &request.group.group {
        state.build_one(element, runner, events)?;
    }
    state.finish()
}

/// Refuses a group that cannot be built, before anything runs.
fn check_group(group: &Group) -> Result<(), BuildError> {
    let mut directories: HashMap<String, &BuildpackRef> = HashMap::new();
    for element in &group.group {
        let buildpack = &element.buildpack;
        let api = element.api.as_deref().unwrap_or_default();
        BuildpackApi::parse(api).map_err(|source| BuildError::Api {
            buildpack: buildpack.clone(),
            source,
        })?;
        // `a/b` and `a_b` are two ids and one directory.
        if let Some(first) = directories.insert(buildpack.id.escaped(), buildpack) {
            return Err(BuildError::SameDirectory {
                first: first.clone(),
                second: buildpack.clone(),
            });
        }
    }
    Ok(())
}

impl BuildRequest<'_> {
    fn failed(&self, action: &'static str, below: &str, source: io::Error) -> BuildError {
        let path = format!("{}/{below}", self.layers.guest_path);
        BuildError::Io {
            action,
            path,
            source,
        }
    }
}

/// What the buildpacks that already ran gave.
struct State<'a> {
    request: &'a BuildRequest<'a>,
    variables: Variables,
    /// The environment that the next program gets, as far as earlier layers make it.
    environment: Environment,
    /// Layers directories of those buildpacks, to be seen by later ones.
    earlier: Vec<GuestDirectory>,
    /// What of the plan is still open.
    plan: Plan,
    processes: processes::Processes,
    labels: Vec<Label>,
    slices: Vec<Slice>,
    launch_bom: Vec<BomEntry>,
    build_bom: Vec<BomEntry>,
    sboms: Vec<sboms::SbomFile>,
}

impl<'a> State<'a> {
    fn new(request: &'a BuildRequest<'a>) -> Self {
        Self {
            request,
            variables: Variables::read(request.programs),
            environment: request.programs.inherited.clone(),
            earlier: Vec::new(),
            plan: request.plan.clone(),
            processes: processes::Processes::default(),
            labels: Vec::new(),
            slices: Vec::new(),
            launch_bom: Vec::new(),
            build_bom: Vec::new(),
            sboms: Vec::new(),
        }
    }

    fn build_one(
        &mut self,
        element: &GroupElement,
        runner: &dyn BuildpackRunner,
        events: &dyn Events,
    ) -> Result<(), BuildError> {
        let buildpack = &element.buildpack;
        let module = |source| BuildError::Module { source };
        let loaded = load_buildpack(self.request.buildpacks, buildpack).map_err(module)?;
        let api = module_api(ModuleKind::Buildpack, buildpack, &loaded.descriptor.api);
        let api = api.map_err(module)?;
        let layers = self.own_layers(buildpack)?;
        let plan = self.plan.for_buildpack(&buildpack.id);
        let program = program::BuildProgram {
            request: self.request,
            loaded: &loaded,
            buildpack,
            api,
            layers: &layers,
            earlier: &self.earlier,
        };
        program.run(&plan, &self.environment, &self.variables, runner, events)?;

        let outputs = outputs::Context {
            buildpack,
            api,
            sbom_formats: &loaded.descriptor.sbom_formats,
            layers: GuestTree::new(&layers.dir, &layers.guest_path),
            plan: &plan,
            events,
        };
        let outputs = outputs.read(&mut self.environment);
        let outputs = outputs.map_err(|source| BuildError::Outputs {
            buildpack: buildpack.clone(),
            source: Box::new(source),
        })?;
        self.take(outputs, events);
        self.earlier.push(layers);
        Ok(())
    }

    /// The layers directory of one buildpack, made if it is not there.
    fn own_layers(&self, buildpack: &BuildpackRef) -> Result<GuestDirectory, BuildError> {
        let name = buildpack.id.escaped();
        let root = &self.request.layers.dir;
        match root.create_dir(&name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(self.request.failed("make directory", &name, source)),
        }
        let dir = root.open_dir_nofollow(&name);
        let dir = dir.map_err(|source| self.request.failed("open directory", &name, source))?;
        Ok(GuestDirectory {
            guest_path: format!("{}/{name}", self.request.layers.guest_path),
            dir: Arc::new(dir),
        })
    }

    fn take(&mut self, outputs: outputs::Outputs, events: &dyn Events) {
        self.plan.remove_met(&outputs.met);
        self.labels.extend(outputs.labels);
        self.slices.extend(outputs.slices);
        self.launch_bom.extend(outputs.launch_bom);
        self.build_bom.extend(outputs.build_bom);
        self.sboms.extend(outputs.sboms);
        if let Some(redefined) = self.processes.add(outputs.processes) {
            events.emit(Event::Warning(&format!(
                "the default process type {redefined} is defined again by a process that is not marked as default, so there is no default any more"
            )));
        }
    }

    /// Collects SBOM files and writes `metadata.toml`.
    fn finish(mut self) -> Result<Built, BuildError> {
        let request = self.request;
        let api = request.platform_api;
        if api.collects_sbom_files() {
            sboms::collect(request.layers, &self.earlier, &self.sboms)?;
        }
        if api.writes_legacy_bom_files() {
            sboms::write_legacy(request.layers, "launch", &self.launch_bom)?;
            sboms::write_legacy(request.layers, "build", &self.build_bom)?;
            self.launch_bom.clear();
        }
        let (processes, default_type) = self.processes.finish(api);
        let metadata = BuildMetadata {
            bom: self.launch_bom,
            buildpacks: request.group.group.clone(),
            extensions: request.group.group_extensions.iter().map(plain).collect(),
            labels: self.labels,
            processes,
            slices: self.slices,
            buildpack_default_process_type: default_type,
        };
        let text = print_build_metadata(&metadata, api);
        write_below(request.layers, "config", "metadata.toml", text.as_bytes())?;
        Ok(Built { metadata })
    }
}

/// An element without what goes without saying of extensions.
fn plain(extension: &GroupElement) -> GroupElement {
    GroupElement {
        extension: false,
        optional: false,
        ..extension.clone()
    }
}

/// Removes a file or a whole directory, if it is there, without following a link.
fn remove(dir: &Dir, name: &str) -> io::Result<()> {
    let removed = match dir.symlink_metadata(name) {
        Ok(metadata) if metadata.is_dir() => dir.remove_dir_all(name),
        Ok(_) => dir.remove_file(name),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Writes a file of the lifecycle's own into a directory of the layers directory.
fn write_below(
    layers: &GuestDirectory,
    directory: &str,
    name: &str,
    content: &[u8],
) -> Result<(), BuildError> {
    let write = || {
        layers.dir.create_dir_all(directory)?;
        layers.dir.open_dir(directory)?.write(name, content)
    };
    write().map_err(|source| BuildError::Io {
        action: "write",
        path: format!("{}/{directory}/{name}", layers.guest_path),
        source,
    })
}
