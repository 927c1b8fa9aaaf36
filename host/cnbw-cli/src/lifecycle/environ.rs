//! The environment of a phase command, read once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use cnbw_spec::env::Environment;

/// Variables by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environ(BTreeMap<OsString, OsString>);

impl Environ {
    pub(crate) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.into(), value.into());
    }

    /// A variable as it is.
    pub(crate) fn raw(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// A variable as text, unless it is unset or empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let value = self.raw(name).filter(|it| !it.is_empty())?;
        Some(value.to_string_lossy().into_owned())
    }

    /// A switch: what is neither true nor false in the reference's words is false.
    pub(crate) fn switch(&self, name: &str) -> bool {
        self.text(name).and_then(|it| parse_switch(&it)) == Some(true)
    }

    /// A number, zero if there is none.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.text(name).and_then(|it| it.parse().ok()).unwrap_or(0)
    }

    /// What build programs inherit.
    pub(crate) fn inherited(&self) -> Environment {
        let variables = self.0.iter().filter_map(|(name, value)| {
            let name = name.to_str()?;
            Some((name, value.as_bytes()))
        });
        Environment::for_build(variables)
    }
}

/// Reads a switch: `1`, `t`, `T`, `true`, `True`, `TRUE` and their opposites.
pub(crate) fn parse_switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}
