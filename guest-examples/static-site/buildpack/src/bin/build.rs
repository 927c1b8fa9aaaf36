//! `bin/build` of the static site buildpack.
#![expect(clippy::print_stderr, reason = "a program's output is its log")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use static_site_buildpack::{BuildInputs, WEB_ROOT_VARIABLE, build, configured_web_root, describe};

fn main() -> ExitCode {
    let (Some(layers), Some(buildpack), Ok(architecture)) = (
        env::var_os("CNB_LAYERS_DIR"),
        env::var_os("CNB_BUILDPACK_DIR"),
        env::var("CNB_TARGET_ARCH"),
    ) else {
        eprintln!(
            "`CNB_LAYERS_DIR`, `CNB_BUILDPACK_DIR` and `CNB_TARGET_ARCH` are not all set; this program is started by \
             a CNB lifecycle"
        );
        return ExitCode::FAILURE;
    };
    let platform = env::var_os("CNB_PLATFORM_DIR").map(PathBuf::from);
    let configured = configured_web_root(env::var(WEB_ROOT_VARIABLE).ok(), platform.as_deref());
    let inputs = BuildInputs {
        app: Path::new("."),
        configured_web_root: configured.as_deref(),
        layers: Path::new(&layers),
        buildpack: Path::new(&buildpack),
        architecture: &architecture,
    };
    match build(&inputs, &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", describe(&error));
            ExitCode::FAILURE
        }
    }
}
