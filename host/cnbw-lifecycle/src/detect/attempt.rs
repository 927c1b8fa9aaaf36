//! Tries one candidate group: runs what has not run, counts verdicts, resolves the build plans.

use std::collections::HashMap;
use std::sync::Mutex;

use cnbw_spec::build_plan::{BuildPlan, PlanSections};
use cnbw_spec::group::{Group, GroupElement};
use cnbw_spec::plan::{Plan, PlanEntry, Provider};

use super::components::{Component, Components, Key, Known};
use super::log::Log;
use super::program::{Outcome, Run, Runs};
use super::{DetectError, DetectRequest, Detected};
use crate::buildpacks::ModuleKind;
use crate::order::{Candidates, Element, Looked, Verdict};
use crate::ports::BuildpackRunner;
use crate::programs::{PrivateDirectory, Variables};
use crate::resolve::{Alternative, Cause, Member, Refusal, Resolution, Settled, resolve};

/// All attempts of one detection.
pub(super) struct Attempts<'a> {
    request: &'a DetectRequest<'a>,
    runner: &'a dyn BuildpackRunner,
    variables: Variables,
    components: Components<'a>,
    runs: HashMap<Key, Run>,
    unused: Mutex<Vec<PrivateDirectory>>,
    log: &'a mut Log,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(
        request: &'a DetectRequest<'a>,
        runner: &'a dyn BuildpackRunner,
        components: Components<'a>,
        log: &'a mut Log,
    ) -> Self {
        Self {
            request,
            runner,
            variables: Variables::read(request.programs),
            components,
            runs: HashMap::new(),
            unused: Mutex::default(),
            log,
        }
    }

    /// Runs what belongs to the candidate and has not run in an earlier one.
    fn run_missing(&mut self, candidate: &[Element]) -> Result<(), DetectError> {
        let mut missing: Vec<(Key, &Component)> = Vec::new();
        for element in candidate {
            let key = key_of(element);
            let component = self.components.component(element);
            let component = component.filter(|it| it.matches_target);
            if let Some(component) = component.filter(|_| !self.runs.contains_key(&key)) {
                missing.push((key, component));
            }
        }
        let runs = Runs {
            request: self.request,
            runner: self.runner,
            variables: &self.variables,
            unused: &self.unused,
        };
        let answers = runs.run_all(&missing)?;
        let keys = missing.into_iter().map(|(key, _)| key);
        self.runs.extend(keys.zip(answers));
        Ok(())
    }

    /// What an element said, or that its targets do not fit.
    fn said(&self, element: &Element) -> Said<'_> {
        match self.runs.get(&key_of(element)) {
            Some(run) => Said::Ran(run),
            None => Said::OtherTarget,
        }
    }

    /// Writes down what the programs printed; that of a program that erred is always of interest.
    fn log_outputs(&mut self, candidate: &[Element]) {
        for element in candidate {
            let name = &element.module;
            let mut lines = Vec::new();
            let mut erred = false;
            match self.said(element) {
                Said::Ran(run) => {
                    if !run.output.is_empty() {
                        lines.push(format!("======== Output: {name} ========"));
                        lines.push(String::from_utf8_lossy(&run.output).into_owned());
                    }
                    if let Outcome::Errored { reason, .. } = &run.outcome {
                        erred = true;
                        if let Some(reason) = reason {
                            lines.push(format!("======== Error: {name} ========"));
                            lines.push(reason.clone());
                        }
                    }
                }
                Said::OtherTarget if !element.optional => {
                    erred = true;
                    lines.push(format!("======== Error: {name} ========"));
                    lines.push(
                        "unable to satisfy target os/arch constraints of the run image".into(),
                    );
                }
                Said::OtherTarget => {}
            }
            for line in lines {
                if erred {
                    self.log.info(line);
                } else {
                    self.log.debug(line);
                }
            }
        }
    }

    /// Counts the verdicts of a candidate: the members that passed, or how it failed.
    fn count(&mut self, candidate: &[Element]) -> Verdict<Vec<(Element, BuildPlan)>> {
        self.log.debug("======== Results ========".to_owned());
        let mut passed = Vec::new();
        let (mut holds, mut erred) = (true, false);
        for element in candidate {
            let name = &element.module;
            let line = match self.said(element) {
                Said::Ran(Run { outcome, .. }) => match outcome {
                    Outcome::Passed(plan) => {
                        let plan = plan.clone();
                        self.log.debug(format!("pass: {name}"));
                        passed.push((element.clone(), plan));
                        continue;
                    }
                    Outcome::Failed if element.optional => Err(format!("skip: {name}")),
                    Outcome::Failed => Err(format!("fail: {name}")),
                    Outcome::Errored { code: None, .. } => Ok(format!("err:  {name}")),
                    Outcome::Errored {
                        code: Some(code), ..
                    } => Ok(format!("err:  {name} ({code})")),
                },
                // The targets of an optional buildpack say that it is not for this image.
                Said::OtherTarget if element.optional => Err(format!("skip: {name}")),
                Said::OtherTarget => Ok(format!("err:  {name}")),
            };
            holds &= element.optional;
            match line {
                Ok(line) => {
                    erred = true;
                    self.log.info(line);
                }
                Err(line) => self.log.debug(line),
            }
        }
        if !holds {
            return if erred {
                Verdict::Errored
            } else {
                Verdict::Failed
            };
        }
        if !passed
            .iter()
            .any(|(it, _)| it.kind == ModuleKind::Buildpack)
        {
            self.log
                .debug("fail: no viable buildpacks in group".to_owned());
            return Verdict::Failed;
        }
        Verdict::Passed(passed)
    }

    /// Resolves the build plans of the members that passed.
    fn resolve(
        &mut self,
        candidate: usize,
        passed: &[(Element, BuildPlan)],
    ) -> Result<Verdict<Detected>, DetectError> {
        let members: Vec<Member<'_>> = passed
            .iter()
            .map(|(element, plan)| Member {
                optional: element.optional,
                alternatives: plan.alternatives().map(names_of).collect(),
            })
            .collect();
        self.log.debug("Resolving plan... (try #1)".to_owned());
        match resolve(&members, self.request.limits.resolution)? {
            Resolution::Resolved { number, settled } => {
                if number > 1 {
                    self.log.debug(format!("Resolving plan... (try #{number})"));
                }
                self.log_dropped(passed, &settled.dropped, "skip");
                self.log_chosen(candidate, passed, &settled);
                Ok(Verdict::Passed(self.detected(passed, &settled)))
            }
            Resolution::Unresolved(Refusal::Broken(broken)) => {
                self.log_dropped(passed, &broken, "fail");
                Ok(Verdict::Failed)
            }
            Resolution::Unresolved(Refusal::NothingLeft) => {
                self.log
                    .debug("fail: no viable buildpacks in group".to_owned());
                Ok(Verdict::Failed)
            }
        }
    }

    fn log_dropped(
        &mut self,
        passed: &[(Element, BuildPlan)],
        dropped: &[(usize, Cause)],
        word: &str,
    ) {
        for (at, cause) in dropped {
            let Some((element, _)) = passed.get(*at) else {
                continue;
            };
            let name = &element.module;
            self.log.debug(match cause {
                Cause::Unmet(wanted) => format!("{word}: {name} requires {wanted}"),
                Cause::Unused(offered) => format!("{word}: {name} provides unused {offered}"),
            });
        }
    }

    fn log_chosen(&mut self, candidate: usize, passed: &[(Element, BuildPlan)], settled: &Settled) {
        let chosen: Vec<&Element> = kept(passed, settled).map(|(it, _)| it).collect();
        if chosen.len() != candidate {
            let count = chosen.len();
            self.log
                .info(format!("{count} of {candidate} buildpacks participating"));
        }
        let width = chosen.iter().map(|it| it.module.id.as_str().len()).max();
        let width = width.unwrap_or_default();
        for element in chosen {
            let (id, version) = (element.module.id.as_str(), &element.module.version);
            self.log.info(format!("{id:width$} {version}"));
        }
    }

    fn detected(&self, passed: &[(Element, BuildPlan)], settled: &Settled) -> Detected {
        let mut group = Group::default();
        for (element, _) in kept(passed, settled) {
            let mut chosen = GroupElement::new(element.module.clone());
            if let Some(component) = self.components.component(element) {
                chosen.api = Some(component.api_text.clone());
                chosen.homepage.clone_from(&component.homepage);
            }
            match element.kind {
                ModuleKind::Buildpack => group.group.push(chosen),
                ModuleKind::Extension => group.group_extensions.push(chosen),
            }
        }
        let plan = plan_of(passed, settled);
        Detected { group, plan }
    }
}

impl Candidates for Attempts<'_> {
    type Passed = Detected;
    type Error = DetectError;

    fn look_up(&mut self, element: &Element) -> Result<Looked, DetectError> {
        let known = self.components.look_up(element);
        let component = match known.map_err(|source| DetectError::Nested { source })? {
            Known::Composite(groups) => return Ok(Looked::Composite(groups.clone())),
            Known::Component(component) => component,
        };
        // What does not fit the target is judged by that first.
        if component.matches_target && !component.matches_exec_env {
            let current = &self.request.programs.exec_env;
            let name = &element.module;
            self.log.debug(format!(
                "Skipping {name}: it is not for the execution environment {current}"
            ));
            return Ok(Looked::Skipped);
        }
        Ok(Looked::Component)
    }

    fn attempt(&mut self, candidate: &[Element]) -> Result<Verdict<Detected>, DetectError> {
        self.run_missing(candidate)?;
        self.log_outputs(candidate);
        match self.count(candidate) {
            Verdict::Passed(passed) => self.resolve(candidate.len(), &passed),
            Verdict::Failed => Ok(Verdict::Failed),
            Verdict::Errored => Ok(Verdict::Errored),
        }
    }
}

/// What an element said.
enum Said<'r> {
    Ran(&'r Run),
    /// It was not run, because none of its targets is that of the run image.
    OtherTarget,
}

fn key_of(element: &Element) -> Key {
    (element.kind, element.module.clone())
}

fn names_of(sections: &PlanSections) -> Alternative<'_> {
    Alternative {
        provides: sections
            .provides
            .iter()
            .map(|it| it.name.as_str())
            .collect(),
        requires: sections
            .requires
            .iter()
            .map(|it| it.name.as_str())
            .collect(),
    }
}

/// The members that were kept, each with the alternative that was picked.
fn kept<'p>(
    passed: &'p [(Element, BuildPlan)],
    settled: &'p Settled,
) -> impl Iterator<Item = (&'p Element, &'p PlanSections)> {
    let members = passed.iter().zip(&settled.picked);
    members.filter_map(|((element, plan), picked)| {
        let sections = plan.alternatives().nth((*picked)?)?;
        Some((element, sections))
    })
}

/// The resolved plan with what providers and requires say.
fn plan_of(passed: &[(Element, BuildPlan)], settled: &Settled) -> Plan {
    let provider = |at: &usize| {
        let (element, _) = passed.get(*at)?;
        Some(Provider {
            buildpack: element.module.clone(),
            extension: element.kind == ModuleKind::Extension,
        })
    };
    let require = |(at, index): &(usize, usize)| {
        let (_, plan) = passed.get(*at)?;
        let picked = (*settled.picked.get(*at)?)?;
        let sections = plan.alternatives().nth(picked)?;
        sections.requires.get(*index).cloned()
    };
    let entries = settled.entries.iter().map(|entry| PlanEntry {
        providers: entry.providers.iter().filter_map(provider).collect(),
        requires: entry.requires.iter().filter_map(require).collect(),
    });
    Plan {
        entries: entries.collect(),
    }
}
