//! What the lifecycle needs from the world outside: a program runner and a listener.
//!
//! Image sources and sinks are the traits of `cnbw-oci`.

use std::sync::Arc;

use cap_std::fs::Dir;
use cnbw_spec::id::BuildpackRef;

use crate::event::Event;

/// Which of a buildpack's two programs is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `bin/detect`.
    Detect,
    /// `bin/build`.
    Build,
}

/// What a guest may do below a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Look and read.
    ReadOnly,
    /// Look, read, create, change and remove.
    ReadWrite,
}

/// A directory that a guest sees, and where it sees it.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Absolute path in the guest, which is also the path in the final image.
    pub guest_path: String,
    /// The directory itself; the runner never learns its host path.
    pub dir: Arc<Dir>,
    /// What is allowed below it.
    pub access: Access,
}

/// Everything that one run of a buildpack's program is given.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Whose program it is, for messages and limits.
    pub buildpack: BuildpackRef,
    /// Which program.
    pub program: Program,
    /// The buildpack's directory, where the program file is looked up. It is also among the mounts.
    pub buildpack_dir: Arc<Dir>,
    /// Guest path of the buildpack's directory: `/cnb/buildpacks/<escaped id>/<version>`.
    pub guest_buildpack_dir: String,
    /// Positional arguments after the program's own name.
    pub args: Vec<String>,
    /// The complete environment, in the order in which it is given. Values are bytes.
    pub env: Vec<(String, Vec<u8>)>,
    /// Guest path of the working directory.
    pub working_dir: String,
    /// Everything that the guest can reach. Nothing else exists for it.
    pub mounts: Vec<Mount>,
}

/// What a phase is about to run.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// Which programs.
    pub program: Program,
    /// How many runs at most.
    pub runs: usize,
    /// For detect programs: directories in or below which all mounts of these runs lie. The phase may be served
    /// by processes that can reach all of them, while each program sees its own mounts only.
    pub shared: Vec<(Arc<Dir>, Access)>,
}

/// One of a program's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Receives output as it comes, in chunks; chunks need not end at line ends.
pub type OutputSink<'a> = dyn FnMut(Stream, &[u8]) + Send + 'a;

/// Why a program ended without an exit status, or never started.
///
/// A fault is not a verdict: a detect program that says no exits with 100, and that is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestFault {
    /// The buildpack has no such program.
    #[error("the buildpack has no program `{wanted}`")]
    NoProgram {
        /// What was looked for, relative to the buildpack's directory.
        wanted: String,
    },
    /// The program file is something else than WebAssembly.
    #[error("`{path}` is {found}, and cnbw runs WebAssembly programs only")]
    NotWebAssembly {
        /// The file, relative to the buildpack's directory.
        path: String,
        /// What the file is, with its article: `a native executable (ELF)`.
        found: String,
    },
    /// The program is damaged, or asks for what this version does not offer.
    #[error("`{path}` cannot be loaded: {reason}")]
    Unloadable {
        /// The file, relative to the buildpack's directory.
        path: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// The program stopped with a trap.
    #[error("the program crashed: {reason}")]
    Trap {
        /// What the engine says.
        reason: String,
    },
    /// The wall-clock limit passed.
    #[error("the program ran past its limit of {seconds} s")]
    OutOfTime {
        /// The limit in seconds.
        seconds: u64,
    },
    /// The program needed more memory than its limit.
    #[error("the program needed more than its {limit_mib} MiB of memory")]
    OutOfMemory {
        /// The limit in MiB.
        limit_mib: u64,
    },
    /// The program failed after it was refused more room in its directories.
    #[error("the program failed after {0}")]
    Quota(Quota),
    /// Compiling the program took more time or memory than allowed.
    #[error("`{path}` is too complex to compile within the limits: {reason}")]
    TooComplex {
        /// The file, relative to the buildpack's directory.
        path: String,
        /// Which limit.
        reason: String,
    },
    /// The build was interrupted from outside.
    #[error("interrupted")]
    Interrupted,
    /// The runner itself failed: nothing is said about the buildpack.
    #[error("the sandbox failed: {reason}")]
    Sandbox {
        /// What happened.
        reason: String,
    },
}

/// What a program was refused more of in its directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Quota {
    /// Bytes, with the limit.
    #[error("it was refused to write more than its {0} bytes into its directories")]
    Bytes(u64),
    /// Files, directories and links, with the limit.
    #[error("it was refused to make more than its {0} files, directories and links")]
    Files(u64),
    /// Directories below each other, with the limit.
    #[error("it was refused to make something more than its {0} directories deep")]
    Depth(u64),
    /// Nothing by a limit: the disk itself, or the user's share of it, is full.
    #[error("the disk below its directories was full")]
    Disk,
}

impl GuestFault {
    /// Whether the fault says nothing about the program: it was interrupted, or the runner failed.
    pub fn is_of_the_sandbox(&self) -> bool {
        matches!(self, Self::Interrupted | Self::Sandbox { .. })
    }
}

/// Runs buildpack programs. Implemented by the sandbox, and by closures in tests.
pub trait BuildpackRunner: Sync {
    /// Is told what a phase is about to run, so that it can get ready. No result depends on it.
    fn expect(&self, _outlook: &Outlook) {}

    /// Runs a program to its end and returns its exit status.
    ///
    /// May be called from several threads at once.
    fn run(&self, invocation: &Invocation, output: &mut OutputSink<'_>) -> Result<i32, GuestFault>;
}

/// Listens to what the lifecycle does.
pub trait Events: Sync {
    /// Takes one event. Called from several threads, in order for each buildpack.
    fn emit(&self, event: Event<'_>);
}
