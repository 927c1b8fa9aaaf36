//! Why a build failed.

use std::io;

use cnbw_lifecycle::analyze::AnalyzeError;
use cnbw_lifecycle::build::BuildError as LifecycleBuildError;
use cnbw_lifecycle::detect::DetectError;
use cnbw_lifecycle::export::ExportError;
use cnbw_lifecycle::restore::RestoreError;
use cnbw_oci::image::StoreError;
use cnbw_spec::exit;

use crate::buildpacks::BuildpackError;
use crate::intake::IntakeError;

/// Why a build failed: the phase, and the phase's own error below it.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The application cannot be taken in.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// The buildpacks cannot be had.
    #[error(transparent)]
    Buildpacks(#[from] BuildpackError),
    /// A private directory or file cannot be made.
    #[error("cannot {action} in the build's private directory")]
    Scratch {
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// There is no launcher for the platform.
    #[error(
        "there is no launcher for `{platform}`; cnbw makes images for linux/amd64 and linux/arm64"
    )]
    NoLauncher {
        /// The platform.
        platform: String,
    },
    /// The run image is not there.
    #[error("there is no run image `{}`", name.escape_debug())]
    NoRunImage {
        /// Its name.
        name: String,
    },
    /// Analysis failed.
    #[error(transparent)]
    Analyze(#[from] AnalyzeError),
    /// Detection failed.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// Restoring failed.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Building failed.
    #[error(transparent)]
    Build(#[from] LifecycleBuildError),
    /// Export failed.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The index over several images could not be written.
    #[error("cannot write the index")]
    Index {
        /// The cause.
        source: StoreError,
    },
    /// The caller wanted the build to end.
    #[error("the build was interrupted")]
    Interrupted,
}

impl BuildError {
    /// The exit status that the specification, or cnbw's documentation, gives to this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Intake(_) | Self::Buildpacks(_) | Self::Scratch { .. } => exit::FAILED,
            Self::NoLauncher { .. } => exit::INVALID_ARGS,
            Self::NoRunImage { .. } | Self::Analyze(_) => exit::ANALYZE,
            Self::Detect(error) => error.exit_code(),
            Self::Restore(_) => exit::RESTORE,
            Self::Build(error) => error.exit_code(),
            Self::Export(_) | Self::Index { .. } => exit::EXPORT,
            Self::Interrupted => 130,
        }
    }
}
