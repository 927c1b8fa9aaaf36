//! Detection: chooses the group of buildpacks and resolves their build plans.
//!
//! Groups are tried in order and the first that passes ends the phase. Each detect program runs at
//! most once, together with the others of its group; what it said counts in every later group.

mod attempt;
mod components;
mod log;
mod program;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use cnbw_spec::api::PlatformApi;
use cnbw_spec::exit;
use cnbw_spec::group::Group;
use cnbw_spec::id::BuildpackRef;
use cnbw_spec::order::Order;
use cnbw_spec::plan::Plan;
use cnbw_spec::system::System;

use crate::buildpacks::{Buildpacks, ModuleError};
use crate::order::{self, Element, ExpansionLimits, Item, OrderError, Verdict};
use crate::ports::{Access, BuildpackRunner, Events, GuestFault, Outlook, Program};
use crate::programs::Programs;
use crate::resolve::{ResolveError, WorkLimit};

/// What detection is given.
#[derive(Clone, Debug)]
pub struct DetectRequest<'a> {
    /// Version of the Platform API.
    pub platform_api: PlatformApi,
    /// What to try.
    pub order: &'a Order,
    /// Buildpacks of the system. Counts from Platform API 0.15.
    pub system: &'a System,
    /// Where buildpacks are.
    pub buildpacks: &'a Buildpacks,
    /// Where extensions are.
    pub extensions: &'a Buildpacks,
    /// What programs are given. They may not write anywhere but to their `/tmp`.
    pub programs: &'a Programs,
    /// How many programs run at once; at least one.
    pub workers: usize,
    /// How far a search may go.
    pub limits: DetectLimits,
}

/// Bounds that turn hostile orders and plans into errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DetectLimits {
    /// For the order.
    pub expansion: ExpansionLimits,
    /// For the plans of one group.
    pub resolution: WorkLimit,
}

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Detected {
    /// The group: content of `group.toml`.
    pub group: Group,
    /// The resolved build plan: content of `plan.toml`.
    pub plan: Plan,
}

/// Why nothing was chosen.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// Something that the order names cannot be used; no program ran.
    #[error("the order cannot be tried")]
    Order {
        /// The cause.
        source: ModuleError,
    },
    /// Something that a composite buildpack names cannot be used.
    #[error("a nested order cannot be tried")]
    Nested {
        /// The cause.
        source: ModuleError,
    },
    /// The order cannot be expanded.
    #[error(transparent)]
    Expansion(#[from] OrderError),
    /// The build plans of a group cannot be resolved.
    #[error(transparent)]
    Resolution(#[from] ResolveError),
    /// No group passed.
    #[error("no group of buildpacks passed detection")]
    NoGroup,
    /// No group passed, and in one of them a required program ended with an error.
    #[error("no group of buildpacks passed detection, and at least one buildpack errored")]
    NoGroupWithErrors,
    /// A program could not be run for a reason that says nothing about it.
    #[error("cannot run the detect program of `{buildpack}`")]
    Runner {
        /// Whose program.
        buildpack: BuildpackRef,
        /// The cause.
        source: GuestFault,
    },
    /// A private directory could not be made.
    #[error("cannot make a private directory for a detect program")]
    Scratch {
        /// The cause.
        source: io::Error,
    },
}

impl DetectError {
    /// The exit status that the specification gives to this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Order {
                source: ModuleError::Api { .. },
            }
            | Self::Nested {
                source: ModuleError::Api { .. },
            } => exit::BUILDPACK_API,
            Self::Order { .. } => exit::FAILED,
            Self::NoGroup => exit::DETECT_NO_GROUP,
            Self::NoGroupWithErrors => exit::DETECT_NO_GROUP_WITH_ERRORS,
            Self::Nested { .. }
            | Self::Expansion(_)
            | Self::Resolution(_)
            | Self::Runner { .. }
            | Self::Scratch { .. } => exit::DETECT,
        }
    }
}

/// Chooses the first group of the order that passes.
pub fn detect(
    request: &DetectRequest<'_>,
    runner: &dyn BuildpackRunner,
    events: &dyn Events,
) -> Result<Detected, DetectError> {
    let no_system = System::default();
    let system = if request.platform_api >= PlatformApi::V0_15 {
        request.system
    } else {
        &no_system
    };
    let order = order::complete(request.order, system);
    let mut components = components::Components::new(request);
    verify(&order, &mut components)?;
    runner.expect(&outlook(request, &order));
    let mut log = log::Log::default();
    let mut attempts = attempt::Attempts::new(request, runner, components, &mut log);
    let verdict = order::expand(order, request.limits.expansion, &mut attempts);
    let verdict = verdict.and_then(|verdict| match verdict {
        Verdict::Passed(detected) => Ok(detected),
        Verdict::Failed => Err(DetectError::NoGroup),
        Verdict::Errored => Err(DetectError::NoGroupWithErrors),
    });
    log.tell(events, verdict.is_err());
    verdict
}

/// What detection is going to run: at most so many programs at once, in directories that are known before any
/// group is tried.
fn outlook(request: &DetectRequest<'_>, order: &[Vec<Item>]) -> Outlook {
    let programs = request.programs;
    let read = [&programs.app.dir]
        .into_iter()
        .chain(&programs.platform)
        .chain(request.buildpacks.directories())
        .chain(request.extensions.directories());
    let mut shared: Vec<_> = read
        .map(|dir| (Arc::clone(dir), Access::ReadOnly))
        .collect();
    shared.push((Arc::clone(&programs.scratch), Access::ReadWrite));
    let elements: usize = order.iter().map(Vec::len).sum();
    Outlook {
        program: Program::Detect,
        runs: elements.min(request.workers),
        shared,
    }
}

/// Looks up everything that the order names itself, also in groups that may never be tried.
fn verify(
    order: &[Vec<Item>],
    components: &mut components::Components<'_>,
) -> Result<(), DetectError> {
    for item in order.iter().flatten() {
        let elements: Vec<&Element> = match item {
            Item::Element(element) => vec![element],
            Item::Extensions(groups) => groups.iter().flatten().collect(),
        };
        for element in elements {
            let checked = components.check(element);
            checked.map_err(|source| DetectError::Order { source })?;
        }
    }
    Ok(())
}
