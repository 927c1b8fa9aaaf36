//! A worker program for tests: it does nothing but be a worker.

use std::process::ExitCode;

fn main() -> ExitCode {
    cnbw_sandbox::worker_main()
}
