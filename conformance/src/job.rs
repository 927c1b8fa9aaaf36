//! One case, from its files to its verdict, in a process of its own.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cnbw_testkit::Registry;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::case::{Case, Step};
use crate::compare::Comparison;
use crate::images::Registries;
use crate::names::Names;
use crate::observe::Observer;
use crate::world::Programs;
use crate::{change, json, phase, run_images, world};

/// What the process is told.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Job {
    /// The directory of the case.
    pub(crate) case: PathBuf,
    /// An empty directory where the case's root is mounted.
    pub(crate) mount_point: PathBuf,
    /// A directory that all cases share: where cnbw keeps compiled programs.
    pub(crate) compiled: PathBuf,
    /// The file that describes the run images.
    pub(crate) run_images: PathBuf,
    /// What is tested.
    pub(crate) programs: Programs,
    /// The program of all buildpacks.
    pub(crate) fixture: PathBuf,
}

/// What the process answers.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Verdict {
    /// What the case is about.
    pub(crate) title: String,
    /// Differences, each in a few lines.
    pub(crate) differences: Vec<String>,
    /// What the phases printed, step by step.
    pub(crate) output: String,
    /// Why the case could not be run at all.
    pub(crate) broken: Option<String>,
    /// The announcement of a difference from the reference, which leaves open what the outcome is.
    pub(crate) announced: Option<String>,
}

/// Runs a case in the namespace of this process.
pub(crate) fn run(job: &Job) -> Verdict {
    run_case(job).unwrap_or_else(|error| Verdict {
        broken: Some(format!("{error:#}")),
        ..Verdict::default()
    })
}

/// The name of a case: that of its directory.
pub(crate) fn name_of(case: &Path) -> String {
    case.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn run_case(job: &Job) -> Result<Verdict> {
    let case = Case::read(&job.case)?;
    let (expected, announced) = expectation(job, &case)?;
    let (first, second) = (Registry::start(), Registry::start());
    let mut names = Names::new(&name_of(&job.case), &first.address(), &second.address());
    let run_layers = run_images::push_all(&job.run_images, [&first, &second], &mut names)?;
    let registries = Registries {
        first,
        second,
        run_layers,
    };
    world::enter(job)?;
    world::furnish(&case, &job.programs, &names)?;

    let observer = Observer {
        case: &case,
        names: &names,
        registries: &registries,
    };
    let mut actual = Vec::new();
    let mut output = String::new();
    for step in case.steps()? {
        let step = match step {
            Step::Change(change) => {
                change::make(&change, &registries, &names)?;
                continue;
            }
            Step::Run(step) => step,
        };
        let outcome = phase::run(&case, &step, &names)?;
        writeln!(
            output,
            "-- step {} ({} {}) ended with {}{}\n{}",
            actual.len() + 1,
            step.run,
            step.args.join(" "),
            outcome.exit,
            if outcome.hung {
                ", because it hung"
            } else {
                ""
            },
            outcome.output.trim_end(),
        )?;
        let recorded = expected
            .get(actual.len())
            .context("the outcome file has fewer steps than the case")?;
        actual.push(observer.observe(&step, &outcome, recorded)?);
    }
    if actual.len() != expected.len() {
        bail!(
            "the outcome file has {} steps, the case runs {}",
            expected.len(),
            actual.len()
        );
    }
    let differences = Comparison::new(&names).compare(&expected, &actual);
    let differences = differences.iter().map(ToString::to_string).collect();
    Ok(Verdict {
        title: case.title.clone(),
        differences,
        output,
        broken: None,
        announced,
    })
}

/// The recorded steps. Our own programs are held to `own.json` where they mean to differ from the reference.
fn expectation(job: &Job, case: &Case) -> Result<(Vec<Value>, Option<String>)> {
    let read = |name: &str| -> Result<Value> {
        let path = job.case.join(name);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))
    };
    let mut expected = read("expect.json")?;
    let mut announced = None;
    if matches!(job.programs, Programs::Ours { .. }) {
        if world::exists(&job.case.join("own.json")) {
            json::merge(&mut expected, &read("own.json")?);
        } else {
            announced.clone_from(&case.differs);
        }
    }
    let steps = expected
        .get("steps")
        .and_then(Value::as_array)
        .context("the outcome file has no steps")?;
    Ok((steps.clone(), announced))
}
