//! Starting programs and counting what they report.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// How many tests a step reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Count {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .components()
        .collect::<PathBuf>()
        .canonicalize()
        .unwrap_or_else(|_| PathBuf::from("."))
}

/// Where cargo puts what it builds here.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Cargo, in the repository's root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Runs a program and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", show(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", show(command));
    }
    Ok(())
}

/// Runs a program, shows its output, and adds up the test results in it.
pub(crate) fn run_counted(command: &mut Command) -> Result<(Count, bool)> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", show(command)))?;
    let mut count = Count::default();
    let stdout = child.stdout.take().context("no standard output")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        if let Some(found) = parse_result(&line) {
            count.add(found);
        }
    }
    let status = child.wait()?;
    Ok((count, status.success()))
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …` and `12 passed, 0 failed, 1 skipped`.
fn parse_result(line: &str) -> Option<Count> {
    let rest = match line.strip_prefix("test result: ") {
        Some(rest) => rest.split_once(". ")?.1,
        None => line,
    };
    let mut count = Count::default();
    let mut seen = false;
    for part in rest.split([';', ',']) {
        let mut words = part.split_whitespace();
        let number = words.next().and_then(|number| number.parse().ok());
        let (Some(number), Some(word)) = (number, words.next()) else {
            // `finished in 0.00s` ends a result; a line that begins with something else is none.
            break;
        };
        match word {
            "passed" => {
                count.passed = number;
                seen = true;
            }
            "failed" => count.failed = number,
            "ignored" | "skipped" => count.skipped = number,
            _ => {}
        }
    }
    seen.then_some(count)
}

fn show(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Count, parse_result};

    #[test]
    fn results_of_both_shapes_are_counted() {
        let cargo = "test result: ok. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(
            parse_result(cargo),
            Some(Count {
                passed: 3,
                failed: 1,
                skipped: 2
            })
        );
        assert_eq!(
            parse_result("430 passed, 0 failed, 4 skipped"),
            Some(Count {
                passed: 430,
                failed: 0,
                skipped: 4
            })
        );
        assert_eq!(parse_result("hello, 3 passed"), None);
        assert_eq!(parse_result("running 4 tests"), None);
    }
}
