//! From the decision to the process: directories, variables, exec.d programs, and the exec itself.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Access, AtFlags, CWD, FileType, accessat};

use crate::environment::Environment;
use crate::execd::{ExecDError, run_exec_d};
use crate::files::{FileError, join, kind_of, shown};
use crate::layers::{apply_layers, list_files, list_layers};
use crate::metadata::Metadata;
use crate::process::{Invocation, ProcessError, Start};
use crate::shell::{SHELL, list_profiles, shell_arguments};

/// Why a process was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// There is nothing to start.
    #[error("determine start command")]
    Process(#[from] ProcessError),
    /// A directory cannot be entered.
    #[error("change to the {role} {}", shown(path))]
    ChangeDirectory {
        /// Which one.
        role: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The layers cannot be read.
    #[error("read layers")]
    Layers(#[source] FileError),
    /// Variables cannot be applied.
    #[error("modify env")]
    Environment(#[source] FileError),
    /// An exec.d program failed.
    #[error("exec.d")]
    ExecD(#[from] ExecDError),
    /// The profile scripts cannot be listed.
    #[error("find profiles")]
    Profiles(#[source] FileError),
    /// The metadata has a process without a command.
    #[error("no command provided for process type {}", shown(.0))]
    NoCommand(String),
    /// The command cannot be found.
    #[error("path lookup: {} {problem}", shown(command))]
    Lookup {
        /// The command.
        command: OsString,
        /// What was found instead.
        problem: &'static str,
    },
    /// The system refused to start the program.
    #[error("exec {}{hint}", shown(program))]
    Exec {
        /// The program.
        program: PathBuf,
        /// What the user can do, if there is something to say.
        hint: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

/// The image's directories.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directories<'a> {
    /// Where the layers are.
    pub(crate) layers: &'a Path,
    /// Where the application is.
    pub(crate) app: &'a Path,
}

/// Replaces the launcher by the process; returns only if that cannot be done.
pub(crate) fn launch(
    directories: Directories<'_>,
    metadata: &Metadata,
    invocation: &Invocation<'_>,
    mut environment: Environment,
) -> Result<Infallible, LaunchError> {
    let start = invocation.select(metadata)?;
    change_directory("application directory", directories.app)?;
    let r#type = start.r#type.as_deref();
    let buildpacks = list_layers(directories.layers, metadata).map_err(LaunchError::Layers)?;
    apply_layers(&mut environment, &buildpacks, r#type).map_err(LaunchError::Environment)?;
    for program in list_files(&buildpacks, "exec.d", r#type).map_err(LaunchError::Layers)? {
        run_exec_d(&program, &mut environment)?;
    }
    let working_directory = match start.working_directory.as_os_str() {
        none if none.is_empty() => directories.app,
        directory => Path::new(directory),
    };
    if start.direct {
        return launch_directly(&start, working_directory, &environment);
    }
    let profiles =
        list_profiles(&buildpacks, r#type, directories.app).map_err(LaunchError::Profiles)?;
    start.verify_buildpack(metadata)?;
    let arguments = shell_arguments(invocation.argv0, &start, &profiles, working_directory);
    let hint = "; a process that is no direct one needs bash in the run image";
    exec(
        Path::new(SHELL),
        OsStr::new("bash"),
        &arguments,
        &environment,
        hint,
    )
}

fn launch_directly(
    start: &Start,
    directory: &Path,
    environment: &Environment,
) -> Result<Infallible, LaunchError> {
    let Some((command, rest)) = start.command.split_first() else {
        return Err(LaunchError::NoCommand(
            start.r#type.clone().unwrap_or_default(),
        ));
    };
    let program = look_up(command, environment.value("PATH"))?;
    change_directory("working directory", directory)?;
    let arguments = [rest, &start.args].concat();
    exec(&program, command, &arguments, environment, "")
}

fn change_directory(role: &'static str, path: &Path) -> Result<(), LaunchError> {
    std::env::set_current_dir(path).map_err(|source| LaunchError::ChangeDirectory {
        role,
        path: path.to_owned(),
        source,
    })
}

fn exec(
    program: &Path,
    argv0: &OsStr,
    arguments: &[OsString],
    environment: &Environment,
    hint: &'static str,
) -> Result<Infallible, LaunchError> {
    let source = Command::new(program)
        .arg0(argv0)
        .args(arguments)
        .env_clear()
        .envs(environment.iter())
        .exec();
    Err(LaunchError::Exec {
        program: program.to_owned(),
        hint,
        source,
    })
}

/// Finds the program of a command, in `PATH` unless the command has a slash.
///
/// The result is absolute, so that a later change of directory does not change what is started. An empty or relative
/// element of `PATH` is refused where it would be used, as Go's lookup does: what it means depends on the directory.
fn look_up(command: &OsStr, path: &OsStr) -> Result<PathBuf, LaunchError> {
    let failed = |problem| LaunchError::Lookup {
        command: command.to_owned(),
        problem,
    };
    if command.as_bytes().contains(&b'/') {
        check_executable(Path::new(command)).map_err(failed)?;
        return std::path::absolute(command).map_err(|_| failed("cannot be made absolute"));
    }
    for directory in path.as_bytes().split(|&byte| byte == b':') {
        let candidate = join(Path::new(OsStr::from_bytes(directory)), command);
        if check_executable(&candidate).is_ok() {
            return if candidate.is_absolute() {
                Ok(candidate)
            } else {
                Err(failed("is found relative to a directory"))
            };
        }
    }
    Err(failed("is not an executable file in PATH"))
}

fn check_executable(path: &Path) -> Result<(), &'static str> {
    match kind_of(path) {
        Ok(Some(FileType::Directory)) => Err("is a directory"),
        Ok(Some(_)) if accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok() => Ok(()),
        Ok(Some(_)) => Err("is not executable"),
        Ok(None) => Err("does not exist"),
        Err(_) => Err("cannot be inspected"),
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests make files in temporary places"
)]
mod tests;
