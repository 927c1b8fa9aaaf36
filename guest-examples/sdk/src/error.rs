//! Why a buildpack gives up.

use std::fmt;
use std::path::Path;

/// A reason in words, with its causes.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// A reason in words.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }

    /// For `map_err`: what was tried, on which path.
    pub fn at(action: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let text = format!("cannot {action} `{}`", path.display());
        move |source| Self(format!("{text}: {source}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
