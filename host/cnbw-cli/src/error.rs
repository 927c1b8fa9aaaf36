//! Errors of the command line, their exit status, and what to do next.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use cnbw::{BuildError, BuildpackError};
use cnbw_lifecycle::build::BuildError as LifecycleBuildError;
use cnbw_lifecycle::cache::CacheError;
use cnbw_lifecycle::detect::DetectError;
use cnbw_lifecycle::ports::GuestFault;
use cnbw_lifecycle::rebase::RebaseError;
use cnbw_lifecycle::run_image::SelectError;
use cnbw_oci::descriptor::PlatformError;
use cnbw_oci::image::{StoreError, StoreErrorKind};
use cnbw_oci::reference::ReferenceError;
use cnbw_spec::exit;

use crate::descriptor::DescriptorError;
use crate::interrupts::INTERRUPTED;
use crate::variables::VariableError;

/// A file or directory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub(crate) struct PathError {
    pub(crate) action: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error("`--platform` has no meaning")]
    Platform { source: PlatformError },
    #[error(transparent)]
    Variable(#[from] VariableError),
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    #[error("`--workspace {}` is no directory for an application: it must be absolute, without `..`, and outside of what the lifecycle uses", path.escape_debug())]
    Workspace { path: String },
    #[error("SOURCE_DATE_EPOCH is `{}`; it must be a number of seconds", value.escape_debug())]
    SourceDateEpoch { value: String },
    #[error("`--tag {tag}` is in another place than `{image}`; one build writes to one place")]
    TagElsewhere { tag: String, image: String },
    #[error("registries cannot be used")]
    Registries {
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("cannot watch for signals")]
    Signals { source: io::Error },
    #[error("cannot print the result")]
    Output { source: io::Error },
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no image `{}`", name.escape_debug())]
    NoImage { name: String },
    #[error("`{}` is not valid: {} found", name.escape_debug(), count(*faults))]
    Invalid { name: String, faults: usize },
    #[error("{failed} of {total} images are not rebased")]
    NotRebased { failed: usize, total: usize },
    #[error(transparent)]
    Rebase(#[from] RebaseError),
    #[error(transparent)]
    RunImage(#[from] SelectError),
    #[error("`{}` cannot be changed in its place: only images in registries and layouts can", name.escape_debug())]
    NotInPlace { name: String },
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("downloads cannot be stored")]
    Downloads {
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("cannot look up packages")]
    Packages(#[from] cnbw_debian::ResolveError),
    #[error(transparent)]
    PackageList(#[from] cnbw_debian::LockError),
    #[error("cannot make the run image for {platform}")]
    CreateRunImage {
        platform: String,
        source: cnbw_debian::ImageError,
    },
}

fn count(faults: usize) -> String {
    if faults == 1 {
        "1 fault".to_owned()
    } else {
        format!("{faults} faults")
    }
}

impl CliError {
    /// The error to show: a wrapper that adds nothing is left out.
    pub(crate) fn shown(&self) -> &dyn Error {
        self
    }

    /// The exit status, as `cnbw build --help` lists it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Reference(_)
            | Self::Platform { .. }
            | Self::Variable(_)
            | Self::Workspace { .. }
            | Self::SourceDateEpoch { .. }
            | Self::NotInPlace { .. }
            | Self::TagElsewhere { .. } => exit::INVALID_ARGS,
            Self::NotRebased { .. } | Self::Rebase(_) | Self::RunImage(_) => exit::REBASE,
            Self::Build(BuildError::Interrupted) => INTERRUPTED,
            Self::Build(error) => error.exit_code(),
            Self::Path(_)
            | Self::Descriptor(_)
            | Self::Registries { .. }
            | Self::Signals { .. }
            | Self::Output { .. }
            | Self::Store(_)
            | Self::NoImage { .. }
            | Self::Cache(_)
            | Self::Downloads { .. }
            | Self::Packages(_)
            | Self::PackageList(_)
            | Self::CreateRunImage { .. }
            | Self::Invalid { .. } => exit::FAILED,
        }
    }

    /// What to do next, where there is something that helps.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "most errors need no hint, and a new one may get one later"
    )]
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Build(error) => hint_for_build(error),
            Self::Store(error) => hint_for_store(error),
            _ => None,
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most errors need no hint, and a new one may get one later"
)]
fn hint_for_build(error: &BuildError) -> Option<String> {
    match error {
        BuildError::Detect(DetectError::NoGroup) => Some("the lines above say what each buildpack looked for; `--buildpack DIR` uses one of your own".to_owned()),
        BuildError::Detect(DetectError::NoGroupWithErrors) => Some("the lines above say what failed; raise limits with `--guest-timeout SECONDS` and `--guest-memory MIB`".to_owned()),
        BuildError::Build(LifecycleBuildError::Fault { source, .. }) => hint_for_fault(source),
        BuildError::Build(LifecycleBuildError::Program { .. }) => Some("the buildpack's own output above says why".to_owned()),
        BuildError::Buildpacks(BuildpackError::Unknown { .. }) => Some("a directory is given as a path: `--buildpack ./my-buildpack`".to_owned()),
        BuildError::Buildpacks(BuildpackError::NoDescriptor { .. }) => Some("a buildpack is a directory with `buildpack.toml`, `bin/detect` and `bin/build`".to_owned()),
        _ => None,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most errors need no hint, and a new one may get one later"
)]
fn hint_for_fault(fault: &GuestFault) -> Option<String> {
    match fault {
        GuestFault::OutOfTime { .. } => {
            Some("raise the limit with `--guest-timeout SECONDS`".to_owned())
        }
        GuestFault::OutOfMemory { .. } => {
            Some("raise the limit with `--guest-memory MIB`".to_owned())
        }
        GuestFault::NotWebAssembly { .. } => {
            Some("compile the program to WASI, for Rust with `--target wasm32-wasip1`".to_owned())
        }
        _ => None,
    }
}

fn hint_for_store(error: &StoreError) -> Option<String> {
    match error.kind {
        StoreErrorKind::Denied => Some(
            "log in with `docker login` or `podman login`, or set CNB_REGISTRY_AUTH".to_owned(),
        ),
        StoreErrorKind::Unreachable | StoreErrorKind::Invalid | StoreErrorKind::Io => None,
    }
}
