//! What the runner prints.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::job::Verdict;

/// Whether the run is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Result {
    /// Every case did what it should.
    Passed,
    /// One did not.
    Failed,
}

/// Prints verdicts as they come and counts them.
#[derive(Debug)]
pub(crate) struct Report {
    verbose: bool,
    known: BTreeMap<String, String>,
    passed: usize,
    failed: usize,
    known_failed: usize,
    announced: usize,
}

impl Report {
    /// A report on nothing yet. `known` are the cases that are expected to fail.
    pub(crate) fn new(verbose: bool, known: BTreeMap<String, String>) -> Self {
        Self {
            verbose,
            known,
            passed: 0,
            failed: 0,
            known_failed: 0,
            announced: 0,
        }
    }

    /// Says why no case can be run.
    pub(crate) fn unable(reason: &str) {
        println!("conformance cases were NOT run: {reason}");
    }

    /// Adds a verdict.
    pub(crate) fn add(&mut self, name: &str, verdict: &Verdict) {
        let good = verdict.differences.is_empty() && verdict.broken.is_none();
        if let Some(reason) = self.known.get(name) {
            if good {
                self.failed += 1;
                println!("FAIL {name}\n  it passes, but is listed as known to fail: {reason}");
            } else {
                self.known_failed += 1;
                if self.verbose {
                    println!("known {name}: {reason}");
                    self.details(verdict);
                }
            }
            return;
        }
        if good {
            self.passed += 1;
            if self.verbose {
                println!("ok   {name}");
            }
        } else if let (Some(words), None) = (&verdict.announced, &verdict.broken) {
            self.announced += 1;
            println!("differs {name}, as its case announces: {words}");
            self.details(verdict);
        } else {
            self.failed += 1;
            println!("FAIL {name}: {}", verdict.title);
            self.details(verdict);
        }
    }

    fn details(&self, verdict: &Verdict) {
        if let Some(reason) = &verdict.broken {
            println!("  the case could not be run: {reason}");
        }
        for difference in &verdict.differences {
            print!("{}", indented(difference));
        }
        if self.verbose && !verdict.output.is_empty() {
            print!("{}", indented(&verdict.output));
        }
    }

    /// Prints the closing line.
    pub(crate) fn close(&self, time: Duration) -> Result {
        let mut notes = Vec::new();
        if self.announced > 0 {
            notes.push(format!(", {} differ as announced", self.announced));
        }
        if self.known_failed > 0 {
            notes.push(format!(
                ", {} known to fail (conformance/known-failing.txt)",
                self.known_failed
            ));
        }
        let notes = notes.concat();
        println!(
            "{} passed, {} failed{notes} in {:.1} s",
            self.passed,
            self.failed,
            time.as_secs_f64()
        );
        if self.failed == 0 {
            Result::Passed
        } else {
            Result::Failed
        }
    }
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}
