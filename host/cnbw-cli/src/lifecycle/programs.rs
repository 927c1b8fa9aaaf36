//! What phases that run programs need: directories by handle, the sandbox, a private directory.

use std::io;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw_lifecycle::buildpacks::Buildpacks;
use cnbw_lifecycle::programs::{GuestDirectory, Programs, target_or};
use cnbw_sandbox::{SandboxRunner, SandboxSettings};
use cnbw_spec::analyzed::{Analyzed, parse_analyzed};
use cnbw_spec::api::PlatformApi;
use cnbw_spec::target::TargetMetadata;

use super::{Context, Failure, read_document};
use crate::interrupts::PrivateDirectory;

/// Opens a directory that has to be there.
pub(crate) fn open_directory(path: &str, code: u8) -> Result<Arc<Dir>, Failure> {
    let opened = Dir::open_ambient_dir(path, ambient_authority());
    opened.map(Arc::new).map_err(|error| {
        let path = path.escape_debug();
        Failure::new(code, format!("open directory `{path}`")).because(error.to_string())
    })
}

/// Opens a directory that may be absent.
pub(crate) fn open_optional(path: &str, code: u8) -> Result<Option<Arc<Dir>>, Failure> {
    match Dir::open_ambient_dir(path, ambient_authority()) {
        Ok(dir) => Ok(Some(Arc::new(dir))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let path = path.escape_debug();
            let failure = Failure::new(code, format!("open directory `{path}`"));
            Err(failure.because(error.to_string()))
        }
    }
}

/// Opens a directory, and makes it if it is not there.
pub(crate) fn make_directory(path: &str, code: u8) -> Result<Dir, Failure> {
    let made = Dir::create_ambient_dir_all(path, ambient_authority());
    made.and_then(|()| Dir::open_ambient_dir(path, ambient_authority()))
        .map_err(|error| {
            let path = path.escape_debug();
            Failure::new(code, format!("make directory `{path}`")).because(error.to_string())
        })
}

/// Modules below a directory like `/cnb/buildpacks`; none if it is absent.
pub(crate) fn open_modules(path: &str, code: u8) -> Result<Buildpacks, Failure> {
    let mut modules = Buildpacks::new();
    if let Some(dir) = open_optional(path, code)? {
        modules.add_directory(dir, path);
    }
    Ok(modules)
}

/// Reads `analyzed.toml`. Its absence is worth a warning, no more.
pub(crate) fn read_analyzed(context: &Context) -> Result<Analyzed, Failure> {
    let path = context.inputs.analyzed_path();
    let analyzed = read_document("analyzed file", &path, parse_analyzed)?;
    Ok(analyzed.unwrap_or_else(|| {
        let path = path.escape_debug();
        let warning = format!("No analyzed metadata found at path `{path}`");
        context.logger.warning(&warning);
        Analyzed::default()
    }))
}

/// The target of the run image, as far as it is known.
pub(crate) fn run_image_target(analyzed: &Analyzed) -> TargetMetadata {
    let run_image = analyzed.run_image.as_ref();
    let target = run_image.and_then(|it| it.target.clone());
    target_or(target.unwrap_or_default(), machine())
}

/// The architecture of this machine in the words of image configurations.
pub(crate) fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// What all programs of a phase are given, and the private directory that goes away with it.
pub(crate) struct PhasePrograms {
    pub(crate) programs: Programs,
    _removed_with_this: PrivateDirectory,
}

impl PhasePrograms {
    pub(crate) fn open(
        context: &Context,
        target: TargetMetadata,
        code: u8,
    ) -> Result<Self, Failure> {
        let inputs = &context.inputs;
        let (private, scratch) = context.temporary.directory().map_err(|error| {
            Failure::new(code, "make a private directory").because(error.to_string())
        })?;
        // The directory has a default from Platform API 0.10 on, its flag from 0.11.
        let build_config = if inputs.platform_api >= PlatformApi::V0_10 {
            open_optional(&inputs.build_config_dir, code)?
        } else {
            None
        };
        let programs = Programs {
            app: GuestDirectory {
                guest_path: inputs.app_dir.clone(),
                dir: open_directory(&inputs.app_dir, code)?,
            },
            platform_path: inputs.platform_dir.clone(),
            platform: open_optional(&inputs.platform_dir, code)?,
            build_config,
            inherited: context.environ.inherited(),
            target,
            exec_env: inputs.exec_env.clone(),
            scratch: Arc::new(scratch),
        };
        Ok(Self {
            programs,
            _removed_with_this: private,
        })
    }
}

/// The sandbox that runs the programs of a phase.
pub(crate) fn sandbox(context: &Context) -> SandboxRunner {
    let runner = SandboxRunner::new(SandboxSettings {
        compile_cache: crate::places::compile_cache(),
        ..SandboxSettings::default()
    });
    runner.warm_up();
    context.temporary.with_workers(runner.interrupt_handle());
    runner
}
