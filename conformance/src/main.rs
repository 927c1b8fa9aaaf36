//! Runs conformance cases as a black box: only programs and files, none of cnbw's crates.
//!
//! A case is data: a root directory, buildpacks that do what a list of operations says, phases to run; beside it
//! lies what has to come of it. `README.md` of this directory describes the format. Start reading at
//! `job::run`, which is one case from its files to its verdict.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program: paths, clock and output are its business"
)]

mod arguments;
mod case;
mod change;
mod compare;
mod coverage;
mod images;
mod job;
mod json;
mod names;
mod namespace;
mod observe;
mod ops;
mod phase;
mod report;
mod run;
mod run_images;
mod scripts;
mod tar;
mod tree;
mod world;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::arguments::{Arguments, Other};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        None => run::run(&arguments.run),
        Some(Other::Coverage(arguments)) => coverage::run(arguments),
        Some(Other::Case) => one_case(),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn one_case() -> Result<u8> {
    // A case without a runner would be of use to nobody.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let job =
        serde_json::from_reader(std::io::stdin().lock()).context("cannot understand the job")?;
    serde_json::to_writer(std::io::stdout().lock(), &job::run(&job))?;
    Ok(0)
}
