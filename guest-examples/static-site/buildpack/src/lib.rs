//! The buildpack for static sites: it finds the directory to serve and puts a small file server into the image.
//!
//! Both programs of the Buildpack API's `command` contract live here as plain functions over directories; the
//! binaries in `src/bin` only collect what the lifecycle hands over. It never touches the application's files.
//! Start reading at [`detect`] and [`build`].

mod build;
mod detect;
mod layer;
mod site;

pub use build::{BuildError, BuildInputs, build};
pub use detect::{DetectError, detect};
pub use layer::LayerError;
pub use site::{NoSite, find_web_root};

use std::path::{Path, PathBuf};

/// The variable with which users choose the directory to serve.
pub const WEB_ROOT_VARIABLE: &str = "BP_WEB_ROOT";

/// An error about one path: what could not be done there.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct PathError {
    /// What was tried, as a verb in the infinitive.
    pub action: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Why not.
    pub source: std::io::Error,
}

impl PathError {
    fn at(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Returns the user's choice of a web root: the process environment, else the platform directory's `env`.
///
/// A lifecycle puts the platform's variables into the environment unless a buildpack asks for `clear-env`; the
/// files are read for lifecycles that leave that to the buildpack.
pub fn configured_web_root(
    from_environment: Option<String>,
    platform: Option<&Path>,
) -> Option<String> {
    from_environment
        .or_else(|| std::fs::read_to_string(platform?.join("env").join(WEB_ROOT_VARIABLE)).ok())
        .filter(|value| !value.trim().is_empty())
}

/// Renders an error with its causes on one line.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
