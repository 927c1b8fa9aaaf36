//! Variables for the build: `--env`, `--env-file`, and the project descriptor.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A variable that has no meaning.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VariableError {
    /// Nothing before the equals sign.
    #[error("`{text}` in {place} names no variable; write NAME=VALUE, or NAME to pass a value on")]
    NoName {
        /// What was given.
        text: String,
        /// Where.
        place: String,
    },
    /// A name that cannot become a file of the platform directory.
    #[error("variable `{name}` in {place} has a name with `/` or NUL in it")]
    BadName {
        /// The name.
        name: String,
        /// Where.
        place: String,
    },
}

/// Reads the arguments of `--env`. A name without a value is looked up in the environment; if it is not there, it is left out.
pub(crate) fn from_arguments(
    arguments: &[String],
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<(String, Vec<u8>)>, VariableError> {
    arguments
        .iter()
        .filter_map(|text| one(text, "--env", &environment).transpose())
        .collect()
}

/// Reads the lines of an `--env-file`; empty lines and those that begin with `#` say nothing.
pub(crate) fn from_file(
    content: &str,
    place: &str,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<(String, Vec<u8>)>, VariableError> {
    content
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| one(line, place, &environment).transpose())
        .collect()
}

fn one(
    text: &str,
    place: &str,
    environment: &impl Fn(&str) -> Option<OsString>,
) -> Result<Option<(String, Vec<u8>)>, VariableError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.as_bytes().to_vec())),
        None => (
            text.trim_end(),
            environment(text.trim_end())
                .as_deref()
                .map(OsStr::as_bytes)
                .map(<[u8]>::to_vec),
        ),
    };
    if name.is_empty() {
        return Err(VariableError::NoName {
            text: text.to_owned(),
            place: place.to_owned(),
        });
    }
    if name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(VariableError::BadName {
            name: name.to_owned(),
            place: place.to_owned(),
        });
    }
    Ok(value.map(|value| (name.to_owned(), value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<OsString> {
        (name == "HOST").then(|| OsString::from("value"))
    }

    #[test]
    fn values_are_taken_whole_and_names_alone_are_looked_up() {
        let arguments = [
            "A=1=2".to_owned(),
            "B=".to_owned(),
            "HOST".to_owned(),
            "ABSENT".to_owned(),
        ];
        let expected = [("A", "1=2"), ("B", ""), ("HOST", "value")]
            .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        assert_eq!(from_arguments(&arguments, environment).unwrap(), expected);
    }

    #[test]
    fn files_have_comments_and_empty_lines() {
        let expected = [
            ("A".to_owned(), b"1 # no comment".to_vec()),
            ("HOST".to_owned(), b"value".to_vec()),
        ];
        assert_eq!(
            from_file("# c\n\n  A=1 # no comment\nHOST\n", "vars", environment).unwrap(),
            expected
        );
    }

    #[test]
    fn names_that_would_be_paths_are_refused() {
        for text in ["=x", "", "a/b=1", "..=1"] {
            assert!(
                from_arguments(&[text.to_owned()], environment).is_err(),
                "{text}"
            );
        }
    }
}
