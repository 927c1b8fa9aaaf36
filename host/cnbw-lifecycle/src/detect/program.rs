//! Runs detect programs and reads what they say.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use cnbw_spec::build_plan::{BuildPlan, parse_build_plan};
use cnbw_spec::document::MAX_DOCUMENT_BYTES;

use super::components::{Component, Key};
use super::{DetectError, DetectRequest};
use crate::buildpacks::ModuleKind;
use crate::guest_tree::GuestTree;
use crate::ports::{Access, BuildpackRunner, Invocation, Mount, Program};
use crate::programs::{Phase, PrivateDirectory, ProgramEnvironment, Variables};

/// Most output that is kept of one program, in bytes.
const MAX_OUTPUT_BYTES: usize = 1024 * 1024;

/// What a program said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Passed(BuildPlan),
    /// The program does not apply.
    Failed,
    /// Something went wrong: the exit status if there was one, or what happened.
    Errored {
        code: Option<i32>,
        reason: Option<String>,
    },
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) outcome: Outcome,
    pub(super) output: Vec<u8>,
}

/// Runs detect programs.
#[derive(Clone, Copy)]
pub(super) struct Runs<'a> {
    pub(super) request: &'a DetectRequest<'a>,
    pub(super) runner: &'a dyn BuildpackRunner,
    pub(super) variables: &'a Variables,
    /// Private directories that no program is using, empty but for an empty plan.
    pub(super) unused: &'a Mutex<Vec<PrivateDirectory>>,
}

impl Runs<'_> {
    /// Runs programs, several at once. The answers are in the order of the components.
    pub(super) fn run_all(
        &self,
        components: &[(Key, &Component)],
    ) -> Result<Vec<Run>, DetectError> {
        let next = AtomicUsize::new(0);
        let answers: Mutex<Vec<(usize, Result<Run, DetectError>)>> = Mutex::default();
        let work = || {
            while let Some((at, (key, component))) = {
                let at = next.fetch_add(1, Ordering::Relaxed);
                components.get(at).map(|it| (at, it))
            } {
                let answer = self.run(key, component);
                let stop = answer.is_err();
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                answers.push((at, answer));
                if stop {
                    next.store(components.len(), Ordering::Relaxed);
                }
            }
        };
        let workers = self.request.workers.clamp(1, components.len().max(1));
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
        let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        answers.sort_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Runs one program. An error says nothing about the buildpack.
    fn run(&self, key: &Key, component: &Component) -> Result<Run, DetectError> {
        if key.0 == ModuleKind::Extension && !has_detect_program(component) {
            let outcome = prepared(key, component).unwrap_or_else(errored);
            let output = Vec::new();
            return Ok(Run { outcome, output });
        }
        let programs = self.request.programs;
        let unused = self
            .unused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let private = match unused {
            Some(private) => private,
            None => PrivateDirectory::with_plan(&programs.scratch, b"")
                .map_err(|source| DetectError::Scratch { source })?,
        };
        let mut output = Vec::new();
        let outcome = match self.invocation(key, component, &private) {
            Err(reason) => errored(reason),
            Ok(invocation) => {
                let ended = self.runner.run(&invocation, &mut |_, bytes| {
                    let room = MAX_OUTPUT_BYTES.saturating_sub(output.len());
                    output.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                });
                match ended {
                    Ok(0) => passed(key, &private),
                    Ok(100) => Outcome::Failed,
                    Ok(code) => Outcome::Errored {
                        code: Some(code),
                        reason: None,
                    },
                    Err(source) if source.is_of_the_sandbox() => {
                        let buildpack = key.1.clone();
                        return Err(DetectError::Runner { buildpack, source });
                    }
                    Err(fault) => errored(fault.to_string()),
                }
            }
        };
        if let Some(private) = private.emptied() {
            let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
            unused.push(private);
        }
        Ok(Run { outcome, output })
    }

    fn invocation(
        &self,
        key: &Key,
        component: &Component,
        private: &PrivateDirectory,
    ) -> Result<Invocation, String> {
        let programs = self.request.programs;
        let guest_path = component.module.guest_path.as_str();
        let plan_path = PrivateDirectory::plan_path();
        let environment = ProgramEnvironment {
            phase: Phase::Detect,
            api: component.api,
            clear_env: component.clear_env,
            root: match key.0 {
                ModuleKind::Buildpack => ("CNB_BUILDPACK_DIR", guest_path),
                ModuleKind::Extension => ("CNB_EXTENSION_DIR", guest_path),
            },
            plan_path: &plan_path,
            layers_dir: None,
        };
        let env = environment
            .complete(programs, self.variables, &programs.inherited)
            .map_err(|error| with_causes(&error))?;
        let buildpack_dir = Arc::clone(&component.module.dir);
        let mut mounts = vec![
            programs.app.mount(Access::ReadOnly),
            Mount {
                guest_path: guest_path.to_owned(),
                dir: Arc::clone(&buildpack_dir),
                access: Access::ReadOnly,
            },
            private.mount(),
        ];
        mounts.extend(programs.platform_mount());
        Ok(Invocation {
            buildpack: key.1.clone(),
            program: Program::Detect,
            buildpack_dir,
            guest_buildpack_dir: guest_path.to_owned(),
            args: vec![programs.platform_path.clone(), plan_path],
            env,
            working_dir: programs.app.guest_path.clone(),
            mounts,
        })
    }
}

/// The plan that an extension without a program ships.
fn prepared(key: &Key, component: &Component) -> Result<Outcome, String> {
    let tree = GuestTree::new(&component.module.dir, &component.module.guest_path);
    let dir = tree.directory("detect");
    let Some(dir) = dir.map_err(|error| with_causes(&error))? else {
        return Ok(Outcome::Passed(BuildPlan::default()));
    };
    let path = tree.join("detect");
    let tree = GuestTree::new(&dir, &path);
    let plan = tree.read("plan.toml", MAX_DOCUMENT_BYTES);
    let plan = plan.map_err(|error| with_causes(&error))?;
    Ok(judged(
        key,
        &tree.join("plan.toml"),
        &plan.unwrap_or_default(),
    ))
}

fn has_detect_program(component: &Component) -> bool {
    let dir = &component.module.dir;
    dir.exists("bin/detect") || dir.exists("bin/detect.wasm")
}

fn passed(key: &Key, private: &PrivateDirectory) -> Outcome {
    match private.read_plan() {
        Ok(plan) => judged(key, &PrivateDirectory::plan_path(), &plan),
        Err(error) => errored(with_causes(&error)),
    }
}

fn judged(key: &Key, file: &str, plan: &[u8]) -> Outcome {
    match parse_build_plan(file, plan) {
        Err(error) => errored(with_causes(&error)),
        Ok(plan) if key.0 == ModuleKind::Extension && requires_something(&plan) => {
            errored(format!(
                "extension `{}` requires something in its build plan, which is not allowed",
                key.1
            ))
        }
        Ok(plan) => Outcome::Passed(plan),
    }
}

fn requires_something(plan: &BuildPlan) -> bool {
    plan.alternatives().any(|it| !it.requires.is_empty())
}

fn errored(reason: String) -> Outcome {
    Outcome::Errored {
        code: None,
        reason: Some(reason),
    }
}

/// An error and what caused it, in one line. The log is the only place where this text goes.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        // Writing to a string does not fail.
        write!(text, ": {cause}").ok();
        next = cause.source();
    }
    text
}
