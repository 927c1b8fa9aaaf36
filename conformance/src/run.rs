//! Runs many cases: finds them, builds what they need, gives each a process, and reports.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::arguments::{Guest, RunArguments};
use crate::job::{Job, Verdict, name_of};
use crate::namespace::Namespace;
use crate::report::{Report, Result as Outcome};
use crate::world::{self, Programs};

/// Where this crate lies.
pub(crate) fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs what the arguments ask for. Returns the exit status.
pub(crate) fn run(arguments: &RunArguments) -> Result<u8> {
    let cases = find_cases(arguments)?;
    if cases.is_empty() {
        bail!("no case has that name");
    }
    let namespace = match Namespace::find() {
        Ok(namespace) => namespace,
        Err(reason) => {
            Report::unable(&reason);
            return Ok(3);
        }
    };
    let programs = programs(arguments)?;
    let fixture = match &arguments.fixture {
        Some(file) => {
            fs::canonicalize(file).with_context(|| format!("there is no {}", file.display()))?
        }
        None => build_fixture(&programs, arguments.guest)?,
    };
    let known = if matches!(programs, Programs::Ours { .. }) {
        known_failing()?
    } else {
        BTreeMap::new()
    };
    let mount_point = tempfile::tempdir().context("cannot make a temporary directory")?;
    let compiled = tempfile::tempdir().context("cannot make a temporary directory")?;
    world::make_compiled(compiled.path())?;
    let report = Mutex::new(Report::new(arguments.verbose, known));
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let work = || {
        while let Some((case, run_images)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let job = Job {
                case: case.clone(),
                mount_point: mount_point.path().to_owned(),
                compiled: compiled.path().to_owned(),
                run_images: run_images.clone(),
                programs: programs.clone(),
                fixture: fixture.clone(),
            };
            let verdict = run_apart(&namespace, &job).unwrap_or_else(|error| Verdict {
                broken: Some(format!("{error:#}")),
                ..Verdict::default()
            });
            if let Ok(mut report) = report.lock() {
                report.add(&name_of(case), &verdict);
            }
        }
    };
    let jobs = arguments
        .jobs
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    let report = report
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(match report.close(start.elapsed()) {
        Outcome::Passed => 0,
        Outcome::Failed => 1,
    })
}

/// All cases that are asked for, each with its file of run images, sorted by name.
fn find_cases(arguments: &RunArguments) -> Result<Vec<(PathBuf, PathBuf)>> {
    let own = [home().join("cases")];
    let directories = if arguments.cases.is_empty() {
        &own[..]
    } else {
        &arguments.cases
    };
    let mut found = Vec::new();
    for directory in directories {
        let directory = fs::canonicalize(directory)
            .with_context(|| format!("there is no {}", directory.display()))?;
        let images = run_images(arguments, &directory)?;
        if directory.join("case.toml").exists() {
            found.push((directory, images));
            continue;
        }
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.join("case.toml").exists() {
                found.push((path, images.clone()));
            } else if path.join("cases").is_dir()
                || path.file_name().is_some_and(|name| name == "cases")
            {
                let inner = if path.join("cases").is_dir() {
                    path.join("cases")
                } else {
                    path
                };
                let images = run_images(arguments, &inner)?;
                for entry in fs::read_dir(inner)? {
                    let path = entry?.path();
                    if path.join("case.toml").exists() {
                        found.push((path, images.clone()));
                    }
                }
            }
        }
    }
    let wanted = |name: &str| {
        arguments.filter.is_empty() || arguments.filter.iter().any(|part| name.contains(part))
    };
    found.retain(|(path, _)| wanted(&name_of(path)));
    found.sort();
    Ok(found)
}

fn run_images(arguments: &RunArguments, cases: &Path) -> Result<PathBuf> {
    let beside = cases
        .ancestors()
        .take(3)
        .map(|directory| directory.join("run-images.toml"));
    let file = match &arguments.run_images {
        Some(file) => file.clone(),
        None => beside
            .into_iter()
            .find(|file| file.exists())
            .unwrap_or_else(|| home().join("run-images.toml")),
    };
    fs::canonicalize(&file).with_context(|| format!("there is no {}", file.display()))
}

fn programs(arguments: &RunArguments) -> Result<Programs> {
    let found = |file: &Path| {
        fs::canonicalize(file).with_context(|| format!("there is no {}", file.display()))
    };
    if let Some(directory) = &arguments.lifecycle {
        return Ok(Programs::Reference(found(directory)?));
    }
    let cnbw = match &arguments.bin {
        Some(file) => found(file)?,
        None => found(&std::env::current_exe()?.with_file_name("cnbw"))?,
    };
    let launcher = match &arguments.launcher {
        Some(file) => found(file)?,
        None => found(&cnbw.with_file_name("cnbw-launcher"))?,
    };
    Ok(Programs::Ours { cnbw, launcher })
}

/// Builds the fixture for the programs under test and returns where it is.
fn build_fixture(programs: &Programs, guest: Guest) -> Result<PathBuf> {
    let (target, name) = match (programs, guest) {
        (Programs::Reference(_), _) => ("x86_64-unknown-linux-musl", "fixture"),
        (Programs::Ours { .. }, Guest::Preview1) => ("wasm32-wasip1", "fixture.wasm"),
        (Programs::Ours { .. }, Guest::Component) => ("wasm32-wasip2", "fixture.wasm"),
    };
    let directory = home().join("fixture");
    // Not within the workspace's own directory: that one is locked while something else builds.
    let target_directory = match std::env::current_exe()?.parent() {
        Some(beside) => beside.join("conformance-fixture"),
        None => directory.join("target"),
    };
    let status = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--target",
            target,
        ])
        .arg("--manifest-path")
        .arg(directory.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_directory)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("cannot build the fixture for {target}");
    }
    Ok(target_directory.join(target).join("release").join(name))
}

/// Cases that are known to fail, with the reason: a line each, the name first.
fn known_failing() -> Result<BTreeMap<String, String>> {
    let path = home().join("known-failing.txt");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(BTreeMap::new());
    };
    let mut known = BTreeMap::new();
    for line in text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let Some((name, reason)) = line.split_once(' ') else {
            bail!("{} gives no reason for `{line}`", path.display());
        };
        known.insert(name.to_owned(), reason.trim().to_owned());
    }
    Ok(known)
}

/// Runs a case in a process and namespace of its own.
fn run_apart(namespace: &Namespace, job: &Job) -> Result<Verdict> {
    let mut child = namespace
        .command()
        .arg("case")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start a process for the case")?;
    let mut stdin = child.stdin.take().context("the process takes no input")?;
    stdin.write_all(&serde_json::to_vec(job)?)?;
    drop(stdin);
    let output = child.wait_with_output()?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "the case's process broke: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}
