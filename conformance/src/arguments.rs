//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs conformance cases against cnbw, or against the phase programs of another lifecycle.
///
/// Exit status: 0 all cases passed, 1 some failed, 2 wrong usage or a broken case, 3 this machine cannot run them.
#[derive(Debug, Parser)]
#[command(name = "conformance", args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// What else than running cases.
    #[command(subcommand)]
    pub(crate) command: Option<Other>,
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

/// Arguments of a run.
#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Directories with cases, each case a directory with a `case.toml`; a single case will do, too. The
    /// project's own cases unless given.
    #[arg(long, value_name = "DIR")]
    pub(crate) cases: Vec<PathBuf>,
    /// The file that describes the run images. `run-images.toml` beside a directory of cases, or the project's
    /// own.
    #[arg(long, value_name = "FILE")]
    pub(crate) run_images: Option<PathBuf>,
    /// Tests the phase programs in this directory instead of cnbw, whatever the next two say.
    #[arg(long, value_name = "DIR")]
    pub(crate) lifecycle: Option<PathBuf>,
    /// The cnbw program. The one beside this program unless given.
    #[arg(long, value_name = "FILE")]
    pub(crate) bin: Option<PathBuf>,
    /// The launcher. `cnbw-launcher` beside the cnbw program unless given.
    #[arg(long, value_name = "FILE")]
    pub(crate) launcher: Option<PathBuf>,
    /// The kind of program that buildpacks consist of.
    #[arg(long, value_enum, default_value_t = Guest::Preview1)]
    pub(crate) guest: Guest,
    /// The program that buildpacks consist of. Built from `conformance/fixture` unless given.
    #[arg(long, value_name = "FILE")]
    pub(crate) fixture: Option<PathBuf>,
    /// Runs the cases whose name contains this. May be given more than once.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Vec<String>,
    /// How many cases run at once. As many as there are processors unless given.
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Shows the output of phases with each failure, and the cases that passed.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// The kinds of program that the fixture is built as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Guest {
    /// A core module for WASI preview 1.
    Preview1,
    /// A component for WASI 0.2.
    Component,
}

/// Everything but running cases.
#[derive(Debug, Subcommand)]
pub(crate) enum Other {
    /// Says for every requirement which cases and tests show it.
    Coverage(CoverageArguments),
    /// Runs the one case that standard input describes. For internal use: it must be alone in its namespace.
    #[command(hide = true)]
    Case,
}

/// Arguments of `coverage`.
#[derive(Args, Debug)]
pub(crate) struct CoverageArguments {
    /// Shows the missing requirements only.
    #[arg(long)]
    pub(crate) missing: bool,
    /// Writes a page in Markdown to this file as well.
    #[arg(long, value_name = "FILE")]
    pub(crate) page: Option<PathBuf>,
    /// Fails unless that file is as it would be written.
    #[arg(long, requires = "page")]
    pub(crate) check: bool,
}
