//! The variables of a process, and how files of layers change them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Variables that are for the launcher and not for the process.
const LAUNCHER_ONLY: [&str; 5] = [
    "CNB_APP_DIR",
    "CNB_DEPRECATION_MODE",
    "CNB_LAYERS_DIR",
    "CNB_PLATFORM_API",
    "CNB_PROCESS_TYPE",
];

/// Directories of the launcher itself, which a process must not find in its `PATH`.
const LAUNCHER_DIRECTORIES: [&[u8]; 2] = [b"/cnb/process", b"/cnb/lifecycle"];

/// The separator of lists of paths.
const PATH_SEPARATOR: &[u8] = b":";

/// The variables of the process to be, ordered by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

/// What a file in an `env` directory does with its variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Puts the value in front, with the file's delimiter or none.
    Prepend,
    /// Puts the value in front, with the file's delimiter or a colon.
    PrependPath,
    /// Puts the value behind, with the file's delimiter or none.
    Append,
    /// Replaces what was there.
    Override,
    /// Is used only where the variable is unset or empty.
    Default,
}

impl Action {
    /// Splits a file name into variable and action, at the first dot; `None` for files that mean nothing.
    pub(crate) fn of_file(name: &OsStr) -> Option<(&OsStr, Self)> {
        let bytes = name.as_bytes();
        let Some(dot) = bytes.iter().position(|&byte| byte == b'.') else {
            return Some((name, Self::Override));
        };
        let (variable, suffix) = bytes.split_at(dot);
        let action = match suffix {
            b".prepend" => Self::Prepend,
            b".append" => Self::Append,
            b".override" => Self::Override,
            b".default" => Self::Default,
            b"." => Self::PrependPath,
            _ => return None,
        };
        Some((OsStr::from_bytes(variable), action))
    }

    /// Tells whether a `.delim` file matters to this action.
    pub(crate) fn uses_delimiter(self) -> bool {
        match self {
            Self::Prepend | Self::PrependPath | Self::Append => true,
            Self::Override | Self::Default => false,
        }
    }
}

impl Environment {
    /// Takes over the container's variables, without what belongs to the launcher.
    ///
    /// Of a name that occurs twice the first value counts, as it does for `getenv`.
    pub(crate) fn from_container(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let mut taken = BTreeMap::new();
        for (name, value) in variables {
            if !LAUNCHER_ONLY.iter().any(|own| name == *own) {
                taken.entry(name).or_insert(value);
            }
        }
        if let Some(path) = taken.get_mut(OsStr::new("PATH")) {
            let kept: Vec<&[u8]> = path
                .as_bytes()
                .split(|&byte| byte == b':')
                .filter(|element| !LAUNCHER_DIRECTORIES.contains(element))
                .collect();
            *path = OsString::from_vec(kept.join(&b':'));
        }
        Self(taken)
    }

    /// Returns a value; an unset variable is empty.
    pub(crate) fn value(&self, name: impl AsRef<OsStr>) -> &OsStr {
        self.0
            .get(name.as_ref())
            .map_or(OsStr::new(""), OsString::as_os_str)
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.insert(name.into(), value.into());
    }

    /// Puts a directory in front of a list of paths.
    pub(crate) fn prepend_path(&mut self, name: &str, directory: &OsStr) {
        self.apply(
            OsStr::new(name),
            Action::PrependPath,
            directory.as_bytes(),
            None,
        );
    }

    /// Applies one file of an `env` directory.
    pub(crate) fn apply(
        &mut self,
        name: &OsStr,
        action: Action,
        value: &[u8],
        delimiter: Option<&[u8]>,
    ) {
        let old = self.value(name).as_bytes();
        let new = match action {
            Action::Override => value.to_vec(),
            Action::Default if old.is_empty() => value.to_vec(),
            Action::Default => return,
            Action::Prepend | Action::PrependPath | Action::Append if old.is_empty() => {
                value.to_vec()
            }
            Action::Prepend => [value, delimiter.unwrap_or_default(), old].concat(),
            Action::PrependPath => [value, delimiter.unwrap_or(PATH_SEPARATOR), old].concat(),
            Action::Append => [old, delimiter.unwrap_or_default(), value].concat(),
        };
        self.set(name, OsString::from_vec(new));
    }

    /// Lists the variables.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_container(
            variables
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
    }

    #[test]
    fn file_names_split_at_the_first_dot() {
        let cases: [(&str, Option<(&str, Action)>); 10] = [
            ("A", Some(("A", Action::Override))),
            ("A.override", Some(("A", Action::Override))),
            ("A.default", Some(("A", Action::Default))),
            ("A.append", Some(("A", Action::Append))),
            ("A.prepend", Some(("A", Action::Prepend))),
            ("A.", Some(("A", Action::PrependPath))),
            ("A.delim", None),
            ("A.b.append", None),
            (".append", Some(("", Action::Append))),
            (".hidden", None),
        ];
        for (name, expected) in cases {
            let expected = expected.map(|(variable, action)| (OsStr::new(variable), action));
            assert_eq!(Action::of_file(OsStr::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn actions_treat_an_empty_variable_as_unset() {
        use Action::{Append, Default, Override, Prepend, PrependPath};
        for (old, action, delimiter, expected) in [
            ("o", Override, None, "v"),
            ("o", Default, None, "o"),
            ("", Default, None, "v"),
            ("o", Append, None, "ov"),
            ("o", Append, Some(";"), "o;v"),
            ("", Append, Some(";"), "v"),
            ("o", Prepend, None, "vo"),
            ("o", Prepend, Some(";"), "v;o"),
            ("", Prepend, Some(";"), "v"),
            ("o", PrependPath, None, "v:o"),
            ("o", PrependPath, Some(";"), "v;o"),
            ("o", PrependPath, Some(""), "vo"),
            ("", PrependPath, None, "v"),
        ] {
            let mut environment = environment(&[("A", old)]);
            environment.apply(OsStr::new("A"), action, b"v", delimiter.map(str::as_bytes));
            assert_eq!(
                environment.value("A"),
                expected,
                "{old:?} {action:?} {delimiter:?}"
            );
        }
    }

    #[test]
    fn what_belongs_to_the_launcher_is_removed() {
        let found = environment(&[
            ("CNB_LAYERS_DIR", "1"),
            ("CNB_APP_DIR", "1"),
            ("CNB_PROCESS_TYPE", "1"),
            ("CNB_PLATFORM_API", "1"),
            ("CNB_DEPRECATION_MODE", "1"),
            ("CNB_EXEC_ENV", "test"),
            (
                "PATH",
                "/cnb/process:/a:/cnb/lifecycle:/cnb/process/x:/cnb/process/::/cnb/process",
            ),
            ("A", "first"),
            ("A", "second"),
        ]);
        let expected = [
            ("A", "first"),
            ("CNB_EXEC_ENV", "test"),
            ("PATH", "/a:/cnb/process/x:/cnb/process/:"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| (OsStr::new(name), OsStr::new(value)))
            .collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn values_are_bytes() {
        let mut environment = environment(&[]);
        environment.apply(OsStr::new("A"), Action::Override, b"\xff\n", None);
        assert_eq!(environment.value("A").as_bytes(), b"\xff\n");
    }
}
