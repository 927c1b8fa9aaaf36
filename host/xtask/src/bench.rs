//! `cargo xtask bench`: whole commands, timed side by side with the reference lifecycle.
//!
//! Every run gets fresh directories and starts a new process; what is made between runs is not timed.
//! The two sides alternate, so that whatever else the machine does falls on both.

mod detect;
mod reference;
mod site;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::run::{cargo, run as run_command, target_dir};
use crate::tools;

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// A directory with the reference lifecycle's phase binaries, to time them on the same work.
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Timed runs of each side.
    #[arg(long, default_value_t = 25)]
    runs: usize,
}

/// Wall times of one side of a scenario.
#[derive(Debug, Default)]
struct Times(Vec<Duration>);

impl Times {
    fn median(&mut self) -> Duration {
        self.0.sort();
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    fn min(&self) -> Duration {
        self.0.iter().min().copied().unwrap_or_default()
    }
}

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    tools::ensure_targets()?;
    println!("building cnbw as released …");
    run_command(&mut cargo(&[
        "build",
        "--release",
        "--locked",
        "-p",
        "cnbw-cli",
    ]))?;
    let cnbw = target_dir().join("release/cnbw");
    let work = tempfile::Builder::new().prefix("cnbw-bench-").tempdir()?;
    // One of the reference's programs has to run as another user.
    std::fs::set_permissions(work.path(), std::fs::Permissions::from_mode(0o755))?;
    println!("\n{:<22} {:>10} {:>10}", "scenario", "min", "median");
    cold_small(args, &cnbw, work.path())?;
    version(args, &cnbw)?;
    detect_many(args, &cnbw, work.path(), 100)?;
    detect_many(args, &cnbw, work.path(), 1000)
}

/// The start of the command, without anything to do.
fn version(args: &BenchArgs, cnbw: &Path) -> Result<()> {
    let mut times = Times::default();
    for _ in 0..args.runs {
        times.0.push(timed(Command::new(cnbw).arg("--version"))?);
    }
    row("start (--version)", &mut times);
    Ok(())
}

/// One group of so many distinct buildpacks, whose programs were compiled before.
fn detect_many(args: &BenchArgs, cnbw: &Path, work: &Path, count: usize) -> Result<()> {
    let detector = work.join("detector");
    if !detector.exists() {
        std::os::unix::fs::symlink(cnbw, &detector)?;
    }
    let own = detect::World::of_modules(work.join(format!("modules-{count}")), count)?;
    let reference = args
        .reference
        .as_deref()
        .map(|dir| {
            let world = detect::World::of_scripts(work.join(format!("scripts-{count}")), count)?;
            anyhow::Ok((dir.join("detector").canonicalize()?, world))
        })
        .transpose()?;
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for round in 0..=args.runs {
        let time = timed(&mut own.detect(&detector))?;
        // The first round fills the compile cache and is not counted.
        if round > 0 {
            ours.0.push(time);
        }
        if let Some((detector, world)) = &reference {
            let time = timed(&mut world.detect_as_nobody(detector)?)?;
            if round > 0 {
                theirs.0.push(time);
            }
        }
    }
    row(&format!("detect-{count}"), &mut ours);
    if reference.is_some() {
        ratio("  reference's detector", &mut ours, &mut theirs);
    }
    Ok(())
}

/// A small site, no cache of images or layers, a new layout: what a first build costs.
fn cold_small(args: &BenchArgs, cnbw: &Path, work: &Path) -> Result<()> {
    let site = work.join("site");
    site::write(&site)?;
    let reference = args
        .reference
        .as_deref()
        .map(|dir| reference::Reference::new(dir, work))
        .transpose()?;
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for round in 0..=args.runs {
        let layout = work.join(format!("layout-{round}"));
        let time = timed(
            Command::new(cnbw)
                .arg("build")
                .arg(format!("oci:{}", layout.display()))
                .arg("--quiet")
                .arg("--path")
                .arg(&site),
        )?;
        // The first round fills the compile cache and is not counted.
        if round > 0 {
            ours.0.push(time);
        }
        std::fs::remove_dir_all(&layout)
            .with_context(|| format!("no layout at {}", layout.display()))?;
        if let Some(reference) = &reference {
            let time = timed(&mut reference.creator(&site, round)?)?;
            if round > 0 {
                theirs.0.push(time);
            }
        }
    }
    row("cold-small@layout", &mut ours);
    if reference.is_some() {
        ratio("  reference's creator", &mut ours, &mut theirs);
    }
    Ok(())
}

fn ratio(name: &str, ours: &mut Times, theirs: &mut Times) {
    row(name, theirs);
    println!(
        "  ratio of medians: {:.1}",
        theirs.median().as_secs_f64() / ours.median().as_secs_f64()
    );
}

fn row(name: &str, times: &mut Times) {
    println!(
        "{name:<22} {:>7.1} ms {:>7.1} ms",
        times.min().as_secs_f64() * 1e3,
        times.median().as_secs_f64() * 1e3
    );
}

/// Runs a command to its end and says how long that took.
fn timed(command: &mut Command) -> Result<Duration> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.output()?;
    let time = start.elapsed();
    if !output.status.success() {
        bail!(
            "{:?} ended with {}:\n{}{}",
            command,
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(time)
}
