//! The black-box suite: building what it runs, and running it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::run::{Count, cargo, run_counted, target_dir};
use crate::tools;

#[derive(Args, Debug, Default)]
pub(crate) struct ConformanceArgs {
    /// A folder of cases; the project's own if none is given. May be given several times.
    #[arg(long = "cases", value_name = "DIR")]
    cases: Vec<PathBuf>,
    /// A directory with the reference lifecycle's phase binaries, to run the cases against those.
    #[arg(long, value_name = "DIR")]
    lifecycle: Option<PathBuf>,
    /// Run only cases whose name contains this text.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Further arguments for the runner.
    #[arg(last = true)]
    more: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct CoverageArgs {
    /// Further arguments for the runner.
    #[arg(last = true)]
    more: Vec<String>,
}

pub(crate) fn run(args: &ConformanceArgs) -> Result<()> {
    let (count, good) = run_cases(args)?;
    anyhow::ensure!(
        good && count.failed == 0,
        "{} conformance cases failed",
        count.failed
    );
    Ok(())
}

/// Builds the commands and the runner, and runs the cases.
pub(crate) fn run_cases(args: &ConformanceArgs) -> Result<(Count, bool)> {
    tools::ensure_targets()?;
    run_cargo_build()?;
    let debug = target_dir().join("debug");
    let mut command = std::process::Command::new(debug.join("conformance"));
    command
        .current_dir(crate::run::root())
        .arg("--bin")
        .arg(debug.join("cnbw"));
    for cases in &args.cases {
        command.arg("--cases").arg(cases);
    }
    if let Some(lifecycle) = &args.lifecycle {
        command.arg("--lifecycle").arg(lifecycle);
    }
    if let Some(filter) = &args.filter {
        command.arg("--filter").arg(filter);
    }
    run_counted(command.args(&args.more))
}

pub(crate) fn coverage(args: &CoverageArgs) -> Result<()> {
    crate::run::run(&mut cargo(&[
        "build",
        "--quiet",
        "--locked",
        "-p",
        "conformance",
    ]))?;
    let mut command = std::process::Command::new(target_dir().join("debug/conformance"));
    run_in_root(command.arg("coverage").args(&args.more))
}

fn run_cargo_build() -> Result<()> {
    crate::run::run(&mut cargo(&[
        "build",
        "--quiet",
        "--locked",
        "--workspace",
        "--bins",
    ]))
}

fn run_in_root(command: &mut std::process::Command) -> Result<()> {
    crate::run::run(command.current_dir(crate::run::root()))
}
