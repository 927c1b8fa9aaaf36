//! The one place where the environment enters.

#![expect(
    clippy::disallowed_methods,
    reason = "the environment enters here and nowhere else"
)]

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use crate::lifecycle::Environ;

/// A variable of the environment.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The whole environment, for the phases.
pub(crate) fn all() -> Environ {
    Environ::new(std::env::vars_os())
}

/// Whether standard error gets color.
pub(crate) fn wants_color(no_color: bool) -> bool {
    !no_color
        && variable("NO_COLOR").is_none_or(|value| value.is_empty())
        && variable("TERM").is_none_or(|term| term != "dumb")
        && std::io::stderr().is_terminal()
}

/// `SOURCE_DATE_EPOCH` as seconds, or its text if that is no number.
pub(crate) fn source_date_epoch() -> Result<Option<i64>, String> {
    match variable("SOURCE_DATE_EPOCH") {
        None => Ok(None),
        Some(value) => {
            let text = value.to_string_lossy().into_owned();
            text.parse().map(Some).map_err(|_| text)
        }
    }
}

/// Where caches go: `$XDG_CACHE_HOME/cnbw`, or `~/.cache/cnbw`; nowhere if neither is absolute.
pub(crate) fn cache_home() -> Option<PathBuf> {
    let xdg = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let home = || {
        variable("HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .map(|home| home.join(".cache"))
    };
    xdg.or_else(home).map(|path| path.join("cnbw"))
}
