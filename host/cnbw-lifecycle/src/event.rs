//! What the lifecycle tells while it works. Reporters decide how it looks.

use cnbw_spec::id::BuildpackRef;

use crate::ports::{Program, Stream};

/// A phase of the lifecycle, named as the specification names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reads the images a build starts from.
    Analyze,
    /// Chooses the group of buildpacks and the build plan.
    Detect,
    /// Brings back layers of earlier builds.
    Restore,
    /// Runs the build programs.
    Build,
    /// Makes the image.
    Export,
    /// Puts a new run image below an application.
    Rebase,
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A phase begins.
    PhaseStarted(Phase),
    /// A phase ended without an error.
    PhaseFinished(Phase),
    /// A program wrote something. The bytes are the program's own, unescaped.
    BuildpackOutput {
        /// Whose program.
        buildpack: &'a BuildpackRef,
        /// Which program.
        program: Program,
        /// Which stream.
        stream: Stream,
        /// A chunk of output.
        bytes: &'a [u8],
    },
    /// Information at the reference lifecycle's level `info`.
    Info(&'a str),
    /// A warning.
    Warning(&'a str),
    /// Detail for those who ask for it.
    Debug(&'a str),
}
