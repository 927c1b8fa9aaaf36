//! What detect and build programs are given alike: directories, environment, target.

use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;
use cnbw_spec::env::{EnvFile, Environment};
use cnbw_spec::target::TargetMetadata;

use crate::ports::{Access, Mount};

mod environment;
mod private;

pub use environment::EnvironmentError;
pub(crate) use environment::{Phase, ProgramEnvironment, Variables};
pub(crate) use private::PrivateDirectory;

/// A directory that programs see, and where they see it.
#[derive(Clone, Debug)]
pub struct GuestDirectory {
    /// Absolute path in the guest, which is also the path in the final image: `/workspace`.
    pub guest_path: String,
    /// The directory; its host path is never asked for.
    pub dir: Arc<Dir>,
}

impl GuestDirectory {
    pub(crate) fn mount(&self, access: Access) -> Mount {
        Mount {
            guest_path: self.guest_path.clone(),
            dir: Arc::clone(&self.dir),
            access,
        }
    }
}

/// What all programs of a build are given.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The application: the working directory of every program.
    pub app: GuestDirectory,
    /// Guest path of the platform directory: `/platform`.
    pub platform_path: String,
    /// The platform directory, with the user's variables below `env`. May be absent.
    pub platform: Option<Arc<Dir>>,
    /// The operator's directory, with variables below `env`. May be absent.
    pub build_config: Option<Arc<Dir>>,
    /// What programs inherit: see [`Environment::for_build`].
    pub inherited: Environment,
    /// Target of the run image. Fields without a value are not told to programs, so operating
    /// system and architecture should have one: see [`target_or`].
    pub target: TargetMetadata,
    /// The execution environment; [`cnbw_spec::exec_env::DEFAULT`] if the platform names none.
    pub exec_env: String,
    /// An empty private directory, for plans and each program's `/tmp`.
    pub scratch: Arc<Dir>,
}

impl Programs {
    pub(crate) fn platform_mount(&self) -> Option<Mount> {
        let dir = self.platform.as_ref()?;
        Some(Mount {
            guest_path: self.platform_path.clone(),
            dir: Arc::clone(dir),
            access: Access::ReadOnly,
        })
    }
}

/// The target with what it leaves open filled in: Linux, and the given architecture.
#[must_use]
pub fn target_or(mut target: TargetMetadata, arch: &str) -> TargetMetadata {
    if target.os.is_empty() {
        "linux".clone_into(&mut target.os);
    }
    if target.arch.is_empty() {
        arch.clone_into(&mut target.arch);
    }
    target
}

/// Reads the variables of an operator's or user's directory: the files below `env`.
///
/// Links are followed inside the directory: platforms that project secrets make them. A missing
/// `env` has no variables; directories in it are skipped.
fn read_env_directory(dir: &Dir, shown: &str) -> Result<Vec<EnvFile>, EnvironmentError> {
    let failed = |name: &str, source: io::Error| EnvironmentError::Unreadable {
        path: format!("{shown}/env{name}"),
        source,
    };
    let entries = match dir.read_dir("env") {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed("", source)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| failed("", source))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("env/{name}");
        let shown_name = format!("/{name}");
        let metadata = dir
            .metadata(&path)
            .map_err(|source| failed(&shown_name, source))?;
        if metadata.is_dir() {
            continue;
        }
        if !metadata.is_file() || metadata.len() > environment::MAX_VALUE_BYTES {
            return Err(EnvironmentError::Unusable {
                path: format!("{shown}/env{shown_name}"),
            });
        }
        let value = dir
            .read(&path)
            .map_err(|source| failed(&shown_name, source))?;
        files.push(EnvFile { name, value });
    }
    files.sort_by(|one, two| one.name.as_bytes().cmp(two.name.as_bytes()));
    Ok(files)
}
