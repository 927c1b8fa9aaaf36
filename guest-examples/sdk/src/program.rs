//! The whole `main` of a buildpack's program.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::context::required;
use crate::{Build, Buildpack, Detect, Detection, Error, Target, Variables};

/// The exit status that says "this application is not for me".
const NOT_DETECTED: u8 = 100;

/// Runs a buildpack: `detect` or `build`, by the name under which the program was started.
#[expect(clippy::print_stderr, reason = "a program's output is its log")]
pub fn run(buildpack: &impl Buildpack) -> ExitCode {
    match run_named(buildpack) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a program's output is its log")]
fn run_named(buildpack: &impl Buildpack) -> Result<ExitCode, Error> {
    let program = std::env::args_os().next().map(PathBuf::from);
    let name = program.as_deref().and_then(Path::file_stem);
    let platform = std::env::var_os("CNB_PLATFORM_DIR").map(PathBuf::from);
    let variables = Variables::read(platform.as_deref());
    let target = Target {
        os: variables.get("CNB_TARGET_OS").unwrap_or("linux").to_owned(),
        arch: variables
            .get("CNB_TARGET_ARCH")
            .unwrap_or_default()
            .to_owned(),
    };
    let app = PathBuf::from(".");
    match name.and_then(|name| name.to_str()) {
        Some("detect") => {
            let detect = Detect {
                app,
                buildpack: required("CNB_BUILDPACK_DIR")?,
                variables,
                target,
            };
            let path = required("CNB_BUILD_PLAN_PATH")?;
            let detection = buildpack.detect(&detect)?;
            if let Detection::Fail(reason) = &detection {
                println!("{reason}");
            }
            let Some(plan) = detection.plan() else {
                return Ok(ExitCode::from(NOT_DETECTED));
            };
            std::fs::write(&path, plan).map_err(Error::at("write the build plan", &path))?;
        }
        Some("build") => {
            let build = Build {
                app,
                buildpack: required("CNB_BUILDPACK_DIR")?,
                layers: required("CNB_LAYERS_DIR")?,
                variables,
                target,
            };
            buildpack.build(&build)?.write(&build.layers)?;
        }
        _ => {
            return Err(Error::new(
                "this program is a buildpack's `bin/detect` or `bin/build`, and was started by neither name",
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
