//! Runs WebAssembly buildpacks in jailed worker processes.
//!
//! [`SandboxRunner`] implements the lifecycle's port
//! [`BuildpackRunner`](cnbw_lifecycle::ports::BuildpackRunner). For each run it spawns a worker process
//! from a program that the embedder names, usually its own, passes the directory handles of the
//! invocation and a job over a socket, and returns the exit status or the fault. The program must
//! call [`worker_main`] first thing in `main` when its first argument is [`WORKER_ARGUMENT`]:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     if std::env::args_os().nth(1).is_some_and(|first| first == cnbw_sandbox::WORKER_ARGUMENT) {
//!         return cnbw_sandbox::worker_main();
//!     }
//!     // … the program's own work:
//!     let runner = cnbw_sandbox::SandboxRunner::new(cnbw_sandbox::SandboxSettings::default());
//!     let interrupt = runner.interrupt_handle(); // for the Ctrl-C handler
//!     drop((runner, interrupt));
//!     ExitCode::SUCCESS
//! }
//! ```
//!
//! This crate is the only user of the WebAssembly engine. It never names a registry or a credential,
//! and the process that calls it never compiles, loads or runs a guest's bytes: it looks at the first
//! few of them to say what a file is, and hashes them.
//!
//! Start reading at [`runner`] for the parent's side and at [`worker`] for the worker's.

mod limits;
mod program;
mod protocol;
mod raw;
pub mod runner;
pub mod worker;

pub use limits::Limits;
pub use runner::{
    InterruptHandle, Isolation, SandboxRunner, SandboxSettings, WORKER_ARGUMENT, WorkerProgram,
};
pub use worker::worker_main;
