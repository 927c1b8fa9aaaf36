//! Project tasks: one home for what a developer or a CI machine runs.
//!
//! `cargo xtask test` proves the tree, `cargo xtask demo` shows the main job.

#![expect(
    clippy::print_stdout,
    reason = "a task runner talks to the person who runs it"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "what indexes JSON values by name gets null, not a panic"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a development tool works on the tree of whoever runs it, by paths and environment"
)]

mod bench;
mod conformance;
mod demo;
mod http;
mod layout;
mod rootfs;
mod run;
mod structure;
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser, Debug)]
#[command(name = "cargo xtask", about = "Project tasks of cnbw")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand, Debug)]
enum Task {
    /// Run everything that proves the tree: format, lints, licenses, unit, integration, guest and conformance tests.
    Test(test::TestArgs),
    /// Check the structure of the tree: crate arrows, file sizes.
    Check,
    /// Build the sample site into an image and start it.
    Demo(demo::DemoArgs),
    /// Run conformance cases against our commands or the reference's phase binaries.
    Conformance(conformance::ConformanceArgs),
    /// Say which requirement is shown by which case or test.
    Coverage(conformance::CoverageArgs),
    /// Time the scenarios that the documentation makes claims about.
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Test(args) => test::run(&args),
        Task::Check => structure::check(),
        Task::Demo(args) => demo::run(&args),
        Task::Conformance(args) => conformance::run(&args),
        Task::Coverage(args) => conformance::coverage(&args),
        Task::Bench(args) => bench::run(&args),
    };
    if let Err(error) = done {
        println!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
