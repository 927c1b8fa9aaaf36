//! The buildpack for variables: `BPE_NAME=value` sets `NAME` for the processes of the image.
#![expect(clippy::print_stdout, reason = "a program's output is its log")]

use std::process::ExitCode;

use cnbw_buildpack::{Build, Buildpack, Built, Change, Detect, Detection, Error, Layer, Variables};

/// Start of the variables' names.
const PREFIX: &str = "BPE_";

/// What may stand between the prefix and the name; without any of these a variable is simply set.
const CHANGES: [(&str, Change); 5] = [
    ("APPEND_", Change::Append),
    ("DEFAULT_", Change::Default),
    ("DELIM_", Change::Delimiter),
    ("OVERRIDE_", Change::Override),
    ("PREPEND_", Change::Prepend),
];

struct EnvironmentVariables;

impl Buildpack for EnvironmentVariables {
    fn detect(&self, detect: &Detect) -> Result<Detection, Error> {
        if changes(&detect.variables)?.is_empty() {
            return Ok(Detection::fail("no variable `BPE_…`"));
        }
        Ok(Detection::pass()
            .provides("environment-variables")
            .requires("environment-variables"))
    }

    fn build(&self, build: &Build) -> Result<Built, Error> {
        let mut layer = Layer::new("environment-variables").launch();
        for (name, change, value) in changes(&build.variables)? {
            // Values may be secrets, and logs are not the place for them.
            println!("{name}");
            layer = layer.launch_variable(name, change, value);
        }
        Ok(Built::new().layer(layer))
    }
}

fn changes(variables: &Variables) -> Result<Vec<(String, Change, String)>, Error> {
    let mut changes = Vec::new();
    for (rest, value) in variables.with_prefix(PREFIX) {
        let known = CHANGES
            .iter()
            .find_map(|(word, change)| Some((rest.strip_prefix(word)?, *change)));
        let (name, change) = known.unwrap_or((rest, Change::Override));
        // The name becomes one of a file, and the lifecycle reads what follows a dot as something else.
        let is_name = !name.is_empty()
            && name
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || character == '_');
        if !is_name {
            return Err(Error::new(format!(
                "`{PREFIX}{}` names no variable: names have letters, digits and `_`",
                rest.escape_debug()
            )));
        }
        changes.push((name.to_owned(), change, value.to_owned()));
    }
    Ok(changes)
}

fn main() -> ExitCode {
    cnbw_buildpack::run(&EnvironmentVariables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(&str, &str)]) -> Result<Vec<(String, Change, String)>, Error> {
        changes(&list.iter().copied().collect())
    }

    #[test]
    fn the_word_after_the_prefix_says_how() {
        let found = of(&[
            ("BPE_A", "1"),
            ("BPE_APPEND_B", "2"),
            ("BPE_DEFAULT_C", "3"),
            ("BPE_DELIM_B", ":"),
            ("BPE_OVERRIDE_D", ""),
            ("BPE_PREPEND_E", "5"),
            ("BP_X", "6"),
            ("PATH", "7"),
        ])
        .unwrap();
        let expected = [
            ("A", Change::Override, "1"),
            ("B", Change::Append, "2"),
            ("C", Change::Default, "3"),
            ("B", Change::Delimiter, ":"),
            ("D", Change::Override, ""),
            ("E", Change::Prepend, "5"),
        ];
        let expected = expected.map(|(name, how, value)| (name.to_owned(), how, value.to_owned()));
        assert_eq!(found, expected);
        assert!(of(&[("HOME", "x")]).unwrap().is_empty());
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for name in ["BPE_", "BPE_APPEND_", "BPE_a.b", "BPE_../x"] {
            let error = of(&[(name, "x")]).unwrap_err().to_string();
            assert!(error.contains("names no variable"), "{error}");
        }
    }
}
