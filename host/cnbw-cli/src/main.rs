//! The `cnbw` command.
//!
//! One program with four faces: the command that people type, the lifecycle's phases (by the name under which it is
//! started, or as `cnbw lifecycle PHASE`), the worker process that runs guests, and the
//! broker process that downloads for them.

mod args;
mod build;
mod cache;
mod descriptor;
mod downloads;
mod environment;
mod error;
mod image;
mod interrupts;
mod lifecycle;
mod places;
mod rebase;
mod report;
mod run_image;
mod variables;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let first = arguments.get(1);
    if first.is_some_and(|first| first == cnbw_sandbox::WORKER_ARGUMENT) {
        return cnbw_sandbox::worker_main();
    }
    if first.is_some_and(|first| first == cnbw_broker::BROKER_ARGUMENT) {
        return cnbw_broker::broker_main();
    }
    if let Some(code) = lifecycle::start(&arguments, environment::all) {
        return code;
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a closed output is no reason for one.
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match cli.command {
        Command::Build(args) => build::run(&args, cli.output),
        Command::Image(command) => image::run(&command, cli.output),
        Command::RunImage(command) => run_image::run(&command, cli.output),
        Command::Rebase(args) => rebase::run(&args, cli.output),
        Command::Cache(command) => cache::run(&command, cli.output),
    }
}
