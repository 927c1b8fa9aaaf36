//! Plan resolution: which alternatives of the members' build plans hold together.
//!
//! A *trial* picks one alternative for each member of a group. Trials have an order: the last
//! member varies fastest, the top-level section comes before each `[[or]]`. The first trial that
//! holds decides, exactly as if all were tried one after the other; [`search`] finds it without
//! doing so.
//!
//! Whether a trial holds is decided by three rules, for each name on its own:
//! - a member's provides count before its requires;
//! - a require is met if a member at or before it provides the name;
//! - a provide is used if a member at or after it requires the name.
//!
//! A member with an unmet require or an unused provide is dropped with all it contributes, if it
//! may be: it is optional, and its **last** alternative was picked. Otherwise the trial fails.
//! Dropping a member never helps another one, so the order of dropping changes nothing.
//!
//! Nothing here reads files or knows documents; members are numbers, names are strings.

mod search;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

pub use search::WorkLimit;

/// One section of a build plan, by names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alternative<'a> {
    /// Names this alternative provides, in file order.
    pub provides: Vec<&'a str>,
    /// Names this alternative requires, in file order.
    pub requires: Vec<&'a str>,
}

/// A member of the group whose detect program passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member<'a> {
    /// Whether the group holds without it.
    pub optional: bool,
    /// The top-level section, then each `[[or]]` section. Never empty.
    pub alternatives: Vec<Alternative<'a>>,
}

impl Member<'_> {
    /// Whether the member may be dropped when this alternative is picked.
    fn droppable(&self, alternative: usize) -> bool {
        self.optional && alternative + 1 == self.alternatives.len()
    }
}

/// One dependency of the resolved plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name that providers and requires share.
    pub name: String,
    /// Positions of the members that provide it, one for each provide.
    pub providers: Vec<usize>,
    /// Member, and index into the requires of its picked alternative.
    pub requires: Vec<(usize, usize)>,
}

/// Why a member does not hold in a trial.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It requires a name that nobody at or before it provides.
    Unmet(String),
    /// It provides a name that nobody at or after it requires.
    Unused(String),
}

/// A trial that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// For each member the alternative picked, or `None` if the member was dropped.
    pub picked: Vec<Option<usize>>,
    /// The resolved plan, in order of first appearance of the names.
    pub entries: Vec<Entry>,
    /// What was dropped and why, in the order of dropping.
    pub dropped: Vec<(usize, Cause)>,
}

/// A trial that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// These members may not be dropped.
    Broken(Vec<(usize, Cause)>),
    /// Every member was dropped.
    NothingLeft,
}

/// The answer for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// A trial holds.
    Resolved {
        /// Its number, counted from one; `u128::MAX` stands for all that is beyond.
        number: u128,
        /// What it gives.
        settled: Settled,
    },
    /// No trial holds. The refusal is that of the first trial, which is the one authors mean.
    Unresolved(Refusal),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The alternatives are entangled beyond what a build plan needs.
    #[error(
        "the build plans of {members} members are too entangled: no answer within {limit} steps"
    )]
    TooMuchWork {
        /// Size of the group.
        members: usize,
        /// The limit that was reached.
        limit: u64,
    },
}

/// Finds the first trial that holds.
pub fn resolve(members: &[Member<'_>], limit: WorkLimit) -> Result<Resolution, ResolveError> {
    // Almost every group holds at once, and its refusal is worth telling if none does.
    let first = vec![0; members.len()];
    let refusal = match settle(members, &first) {
        Ok(settled) => return Ok(Resolution::Resolved { number: 1, settled }),
        Err(refusal) => refusal,
    };
    let Some(trial) = search::first_holding(members, limit)? else {
        return Ok(Resolution::Unresolved(refusal));
    };
    // A trial that holds and drops everybody picks the last alternative everywhere: it is the
    // last one, so there is no later trial to go on with.
    Ok(match settle(members, &trial) {
        Ok(settled) => Resolution::Resolved {
            number: number_of(members, &trial),
            settled,
        },
        Err(_) => Resolution::Unresolved(refusal),
    })
}

/// Drops members of one trial until all that is left holds.
fn settle(members: &[Member<'_>], trial: &[usize]) -> Result<Settled, Refusal> {
    let mut kept: Vec<bool> = vec![true; members.len()];
    let mut dropped = Vec::new();
    loop {
        let left = alternatives_of(members, trial, &kept);
        let (entries, loose) = connect(&left);
        let mut seen = HashSet::new();
        let mut broken = Vec::new();
        for (member, cause) in loose {
            let droppable = members
                .get(member)
                .zip(trial.get(member))
                .is_some_and(|(it, alternative)| it.droppable(*alternative));
            if !droppable {
                broken.push((member, cause));
            } else if seen.insert(member) {
                dropped.push((member, cause));
            }
        }
        if !broken.is_empty() {
            return Err(Refusal::Broken(broken));
        }
        if seen.is_empty() {
            if left.is_empty() {
                return Err(Refusal::NothingLeft);
            }
            let picked = (trial.iter().zip(&kept)).map(|(it, kept)| kept.then_some(*it));
            return Ok(Settled {
                picked: picked.collect(),
                entries,
                dropped,
            });
        }
        for (member, kept) in kept.iter_mut().enumerate() {
            *kept &= !seen.contains(&member);
        }
    }
}

/// The picked alternatives of those members that are still there.
fn alternatives_of<'a>(
    members: &'a [Member<'a>],
    trial: &[usize],
    kept: &[bool],
) -> Vec<(usize, &'a Alternative<'a>)> {
    let all = members.iter().zip(trial).zip(kept).enumerate();
    all.filter(|(_, (_, kept))| **kept)
        .filter_map(|(at, ((member, pick), _))| Some((at, member.alternatives.get(*pick)?)))
        .collect()
}

/// What is known of a name while the members are gone through in order.
#[derive(Default)]
struct Ties {
    providers: Vec<usize>,
    requires: Vec<(usize, usize)>,
    waiting: Vec<usize>,
    unmet: Vec<usize>,
}

/// Ties provides and requires together. Also gives what stays loose.
fn connect(left: &[(usize, &Alternative<'_>)]) -> (Vec<Entry>, Vec<(usize, Cause)>) {
    let mut ties: IndexMap<&str, Ties> = IndexMap::new();
    for (member, alternative) in left {
        for name in &alternative.provides {
            ties.entry(name).or_default().waiting.push(*member);
        }
        for (index, name) in alternative.requires.iter().enumerate() {
            let ties = ties.entry(name).or_default();
            ties.providers.append(&mut ties.waiting);
            if ties.providers.is_empty() {
                ties.unmet.push(*member);
            } else {
                ties.requires.push((*member, index));
            }
        }
    }
    let mut loose = Vec::new();
    for (name, ties) in &ties {
        let unmet = ties.unmet.iter();
        loose.extend(unmet.map(|member| (*member, Cause::Unmet((*name).to_owned()))));
        let unused = ties.waiting.iter();
        loose.extend(unused.map(|member| (*member, Cause::Unused((*name).to_owned()))));
    }
    let entries = ties.into_iter().map(|(name, ties)| Entry {
        name: name.to_owned(),
        providers: ties.providers,
        requires: ties.requires,
    });
    (entries.collect(), loose)
}

/// The place of a trial in the order of all trials, counted from one.
fn number_of(members: &[Member<'_>], trial: &[usize]) -> u128 {
    let mut digits = members.iter().zip(trial);
    let before = digits.try_fold(0_u128, |number, (member, pick)| {
        let base = u128::try_from(member.alternatives.len()).ok()?;
        let shifted = number.checked_mul(base)?;
        shifted.checked_add(u128::try_from(*pick).ok()?)
    });
    before.and_then(|it| it.checked_add(1)).unwrap_or(u128::MAX)
}

/// Names as small numbers.
#[derive(Debug, Default)]
struct Names<'a>(HashMap<&'a str, usize>);

impl<'a> Names<'a> {
    fn number(&mut self, name: &'a str) -> usize {
        let next = self.0.len();
        *self.0.entry(name).or_insert(next)
    }
}
