//! `cargo xtask test`: every proof of the tree, in one command, with one count at the end.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::conformance::{ConformanceArgs, run_cases};
use crate::run::{Count, cargo, root, run as run_command, run_counted};
use crate::{structure, tools};

#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Leave out format, lints and licenses.
    #[arg(long)]
    quick: bool,
}

struct Session {
    count: Count,
    broken: Vec<&'static str>,
    times: Vec<(&'static str, f64)>,
}

impl Session {
    /// Runs one step; a step that fails does not keep later ones from running.
    fn step(&mut self, name: &'static str, action: impl FnOnce() -> Result<(Count, bool)>) {
        println!("\n===> {name}");
        let start = Instant::now();
        let (count, good) = action().unwrap_or_else(|error| {
            println!("error: {error:#}");
            (Count::default(), false)
        });
        self.count.add(count);
        self.times.push((name, start.elapsed().as_secs_f64()));
        if !good {
            self.broken.push(name);
        }
    }
}

/// A step that passes or fails as a whole counts as one test.
fn whole(result: Result<()>) -> Result<(Count, bool)> {
    result?;
    Ok((
        Count {
            passed: 1,
            failed: 0,
            skipped: 0,
        },
        true,
    ))
}

pub(crate) fn run(args: &TestArgs) -> Result<()> {
    let mut session = Session {
        count: Count::default(),
        broken: Vec::new(),
        times: Vec::new(),
    };
    tools::ensure_targets()?;
    if !args.quick {
        session.step("format", || whole(format()));
        session.step("lints", || whole(lints()));
        session.step("licenses and sources", || whole(licenses()));
    }
    session.step("structure", || whole(structure::check()));
    session.step("unit and integration tests", || {
        run_counted(&mut cargo(&[
            "test",
            "--workspace",
            "--locked",
            "--no-fail-fast",
        ]))
    });
    session.step("guest tests", guests);
    session.step("conformance", || run_cases(&ConformanceArgs::default()));
    finish(&session)
}

fn finish(session: &Session) -> Result<()> {
    println!("\n===> summary");
    for (name, seconds) in &session.times {
        let mark = if session.broken.contains(name) {
            "FAILED"
        } else {
            "ok"
        };
        println!("{mark:>6}  {seconds:>7.1} s  {name}");
    }
    let mut count = session.count;
    if !session.broken.is_empty() && count.failed == 0 {
        count.failed = session.broken.len() as u64;
    }
    println!(
        "\n{} passed, {} failed, {} skipped",
        count.passed, count.failed, count.skipped
    );
    if count.failed > 0 || !session.broken.is_empty() {
        bail!("failed: {}", session.broken.join(", "));
    }
    Ok(())
}

fn format() -> Result<()> {
    run_command(&mut cargo(&["fmt", "--all", "--check"]))?;
    run_command(cargo(&["fmt", "--all", "--check"]).current_dir(root().join("guest-examples")))
}

fn lints() -> Result<()> {
    run_command(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))?;
    run_command(
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ])
        .current_dir(root().join("guest-examples")),
    )
}

fn licenses() -> Result<()> {
    let deny = tools::cargo_deny()?;
    run_command(
        std::process::Command::new(deny)
            .args([
                "--locked",
                "--log-level",
                "error",
                "check",
                "licenses",
                "bans",
                "sources",
            ])
            .current_dir(root()),
    )
}

fn guests() -> Result<(Count, bool)> {
    run_counted(
        cargo(&["test", "--workspace", "--locked", "--no-fail-fast"])
            .current_dir(root().join("guest-examples")),
    )
}
