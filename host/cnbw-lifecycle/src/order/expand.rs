//! Candidates: the flat groups that an order with composite buildpacks and extensions stands for.

use std::collections::HashSet;
use std::rc::Rc;

use cnbw_spec::id::{BuildpackId, BuildpackRef};

use super::{Element, Item};
use crate::buildpacks::ModuleKind;

/// How far an order may expand. Honest orders stay far below: builders have tens of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpansionLimits {
    /// Candidates that are tried.
    pub candidates: u64,
    /// Elements looked at, over all candidates.
    pub elements: u64,
    /// Composite buildpacks and extension orders that are open at once.
    pub depth: usize,
}

impl Default for ExpansionLimits {
    fn default() -> Self {
        Self {
            candidates: 100_000,
            elements: 10_000_000,
            depth: 200,
        }
    }
}

/// An order that cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A composite buildpack contains itself.
    #[error(
        "composite buildpacks contain each other without end: {}",
        shown(cycle)
    )]
    Cycle {
        /// From the buildpack to itself.
        cycle: Vec<BuildpackRef>,
    },
    /// Composite buildpacks are nested too deeply.
    #[error("the order is nested more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// The order stands for too many candidates.
    #[error("the order stands for more than {limit} groups, and none of those passed")]
    TooManyCandidates {
        /// The limit.
        limit: u64,
    },
    /// The candidates have too many elements.
    #[error("the order stands for groups of more than {limit} elements in all, and none passed")]
    TooManyElements {
        /// The limit.
        limit: u64,
    },
}

fn shown(cycle: &[BuildpackRef]) -> String {
    let names: Vec<String> = cycle.iter().map(ToString::to_string).collect();
    names.join(" > ")
}

/// What an element turns out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// It has programs.
    Component,
    /// It stands for one of these groups.
    Composite(Vec<Vec<Element>>),
    /// It does not exist in this build.
    Skipped,
}

/// How a candidate, or an order, fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<T> {
    Passed(T),
    Failed,
    /// Failed, and something that was required ended with an error.
    Errored,
}

/// What the expansion asks.
pub(crate) trait Candidates {
    type Passed;
    type Error: From<OrderError>;

    fn look_up(&mut self, element: &Element) -> Result<Looked, Self::Error>;
    fn attempt(&mut self, candidate: &[Element]) -> Result<Verdict<Self::Passed>, Self::Error>;
}

/// Tries the candidates of an order, in order, until one passes.
pub(crate) fn expand<C: Candidates>(
    order: Vec<Vec<Item>>,
    limits: ExpansionLimits,
    candidates: &mut C,
) -> Result<Verdict<C::Passed>, C::Error> {
    let mut expansion = Expansion {
        candidates,
        limits,
        tried: 0,
        looked_at: 0,
        done: Done::default(),
    };
    let groups = order.into_iter().map(Rc::from).collect();
    expansion.try_order(groups, None, None, false, 0)
}

/// The composite buildpacks that an element comes from.
struct Ancestor {
    module: BuildpackRef,
    above: Option<Rc<Self>>,
}

/// What of a group is still to come: the rest of the innermost group, then that of the outer one.
#[derive(Clone)]
struct Rest {
    group: Rc<[Item]>,
    at: usize,
    ancestors: Option<Rc<Ancestor>>,
    outer: Option<Rc<Self>>,
}

/// The candidate so far.
#[derive(Default)]
struct Done {
    elements: Vec<Element>,
    ids: HashSet<(ModuleKind, BuildpackId)>,
}

impl Done {
    fn contains(&self, element: &Element) -> bool {
        let id = (element.kind, element.module.id.clone());
        self.ids.contains(&id)
    }

    fn push(&mut self, element: Element) {
        self.ids.insert((element.kind, element.module.id.clone()));
        self.elements.push(element);
    }

    fn truncate(&mut self, length: usize) {
        for element in self.elements.drain(length..) {
            self.ids.remove(&(element.kind, element.module.id));
        }
    }
}

struct Expansion<'c, C> {
    candidates: &'c mut C,
    limits: ExpansionLimits,
    tried: u64,
    looked_at: u64,
    done: Done,
}

impl<C: Candidates> Expansion<'_, C> {
    /// Tries each group of an order in front of the rest; at last, if the order is optional, the
    /// rest alone.
    fn try_order(
        &mut self,
        order: Vec<Rc<[Item]>>,
        ancestors: Option<&Rc<Ancestor>>,
        rest: Option<Rc<Rest>>,
        optional: bool,
        depth: usize,
    ) -> Result<Verdict<C::Passed>, C::Error> {
        if depth > self.limits.depth {
            let limit = self.limits.depth;
            return Err(OrderError::TooDeep { limit }.into());
        }
        let done = self.done.elements.len();
        let mut errored = false;
        for group in order {
            let group = Rest {
                group,
                at: 0,
                ancestors: ancestors.cloned(),
                outer: rest.clone(),
            };
            let verdict = self.try_group(Some(Rc::new(group)), depth)?;
            self.done.truncate(done);
            match verdict {
                Verdict::Passed(passed) => return Ok(Verdict::Passed(passed)),
                Verdict::Failed => {}
                Verdict::Errored => errored = true,
            }
        }
        if optional {
            // Its verdict counts alone: what went wrong inside the order was optional.
            return self.try_group(rest, depth);
        }
        Ok(if errored {
            Verdict::Errored
        } else {
            Verdict::Failed
        })
    }

    /// Takes elements from the rest until it is empty or one stands for an order.
    fn try_group(
        &mut self,
        mut rest: Option<Rc<Rest>>,
        depth: usize,
    ) -> Result<Verdict<C::Passed>, C::Error> {
        while let Some(here) = rest.take() {
            let Some(item) = here.group.get(here.at) else {
                rest.clone_from(&here.outer);
                continue;
            };
            self.count_element()?;
            let mut after = Rest::clone(&here);
            after.at += 1;
            let after = Some(Rc::new(after));
            match item {
                Item::Extensions(groups) => {
                    let order = in_items(groups.clone());
                    return self.try_order(order, None, after, true, depth + 1);
                }
                // The first occurrence of an id wins.
                Item::Element(element) if self.done.contains(element) => {}
                Item::Element(element) => match self.candidates.look_up(element)? {
                    Looked::Skipped => {}
                    Looked::Component => self.done.push(element.clone()),
                    Looked::Composite(groups) => {
                        let ancestor = enter(&element.module, here.ancestors.as_ref())?;
                        let order = in_items(groups);
                        let optional = element.optional;
                        return self.try_order(order, Some(&ancestor), after, optional, depth + 1);
                    }
                },
            }
            rest = after;
        }
        self.tried += 1;
        if self.tried > self.limits.candidates {
            let limit = self.limits.candidates;
            return Err(OrderError::TooManyCandidates { limit }.into());
        }
        self.candidates.attempt(&self.done.elements)
    }

    fn count_element(&mut self) -> Result<(), C::Error> {
        self.looked_at += 1;
        if self.looked_at > self.limits.elements {
            let limit = self.limits.elements;
            return Err(OrderError::TooManyElements { limit }.into());
        }
        Ok(())
    }
}

fn in_items(groups: Vec<Vec<Element>>) -> Vec<Rc<[Item]>> {
    let items = |it: Vec<Element>| it.into_iter().map(Item::Element).collect();
    groups.into_iter().map(items).collect()
}

/// Opens a composite buildpack, unless it is being opened already.
fn enter(module: &BuildpackRef, above: Option<&Rc<Ancestor>>) -> Result<Rc<Ancestor>, OrderError> {
    let mut cycle = vec![module.clone()];
    let mut next = above;
    while let Some(ancestor) = next {
        cycle.push(ancestor.module.clone());
        if ancestor.module == *module {
            cycle.reverse();
            return Err(OrderError::Cycle { cycle });
        }
        next = ancestor.above.as_ref();
    }
    Ok(Rc::new(Ancestor {
        module: module.clone(),
        above: above.cloned(),
    }))
}
