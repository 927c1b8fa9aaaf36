//! `bin/detect` of the static site buildpack.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program's output is its log"
)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use static_site_buildpack::{
    DetectError, WEB_ROOT_VARIABLE, configured_web_root, describe, detect,
};

/// The exit status that says "this application is not for me".
const NOT_DETECTED: u8 = 100;

fn main() -> ExitCode {
    let Some(plan) = env::var_os("CNB_BUILD_PLAN_PATH") else {
        eprintln!("`CNB_BUILD_PLAN_PATH` is not set; this program is started by a CNB lifecycle");
        return ExitCode::FAILURE;
    };
    let platform = env::var_os("CNB_PLATFORM_DIR").map(PathBuf::from);
    let configured = configured_web_root(env::var(WEB_ROOT_VARIABLE).ok(), platform.as_deref());
    match detect(Path::new("."), configured.as_deref(), Path::new(&plan)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(DetectError::NoSite(reason)) => {
            println!("{reason}");
            ExitCode::from(NOT_DETECTED)
        }
        Err(error @ DetectError::Path(_)) => {
            eprintln!("{}", describe(&error));
            ExitCode::FAILURE
        }
    }
}
