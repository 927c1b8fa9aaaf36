//! Finds the first trial that holds, without trying them all.
//!
//! A trial holds if some subset of its droppable members can be dropped so that nothing stays
//! loose: holding subsets can be united, so this says the same as dropping step by step.
//! Hence members can be decided one after the other, each as *picked and kept* or *picked and
//! dropped*, and all that later members need to know of the earlier ones is, for each name,
//! whether somebody provides it and whether a provide still waits for a require. Equal knowledge
//! at the same member has an equal best ending, so every such point is worked out once.
//!
//! What is done is counted, and a limit turns an entangled plan into an error.
#![expect(
    clippy::indexing_slicing,
    reason = "levels, names and nodes are numbers that this module hands out itself"
)]

use std::collections::HashMap;
use std::rc::Rc;

use super::{Member, Names, ResolveError};

/// How much may be done for one group, in names looked at.
///
/// The default is some tenths of a second; honest plans stay below a thousandth of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkLimit(pub u64);

impl Default for WorkLimit {
    fn default() -> Self {
        Self(20_000_000)
    }
}

/// The picks of the first trial that holds, if one does.
pub(super) fn first_holding(
    members: &[Member<'_>],
    limit: WorkLimit,
) -> Result<Option<Vec<usize>>, ResolveError> {
    let mut work = Work {
        done: 0,
        limit: limit.0,
        members: members.len(),
    };
    let mut trial = vec![0; members.len()];
    // Members that share no name, directly or over others, do not influence each other.
    for component in components(members) {
        let chosen: Vec<&Member<'_>> = component.iter().map(|at| &members[*at]).collect();
        let problem = Problem::new(&chosen);
        let Some(picks) = Search::new(&problem, &mut work).run()? else {
            return Ok(None);
        };
        for (member, pick) in component.into_iter().zip(picks) {
            trial[member] = pick;
        }
    }
    Ok(Some(trial))
}

/// Members grouped by shared names; each group in order.
fn components(members: &[Member<'_>]) -> Vec<Vec<usize>> {
    fn root(parents: &mut [usize], mut at: usize) -> usize {
        while parents[at] != at {
            parents[at] = parents[parents[at]];
            at = parents[at];
        }
        at
    }
    let mut parents: Vec<usize> = (0..members.len()).collect();
    let mut owner: HashMap<&str, usize> = HashMap::new();
    for (at, member) in members.iter().enumerate() {
        for alternative in &member.alternatives {
            for name in alternative.provides.iter().chain(&alternative.requires) {
                let other = *owner.entry(name).or_insert(at);
                let (one, two) = (root(&mut parents, at), root(&mut parents, other));
                parents[one.max(two)] = one.min(two);
            }
        }
    }
    let mut found: Vec<Vec<usize>> = vec![Vec::new(); members.len()];
    for at in 0..members.len() {
        found[root(&mut parents, at)].push(at);
    }
    found.retain(|it| !it.is_empty());
    found
}

/// Counts what is done.
struct Work {
    done: u64,
    limit: u64,
    members: usize,
}

impl Work {
    fn add(&mut self, steps: usize) -> Result<(), ResolveError> {
        self.done = self.done.saturating_add(steps as u64);
        if self.done > self.limit {
            return Err(ResolveError::TooMuchWork {
                members: self.members,
                limit: self.limit,
            });
        }
        Ok(())
    }
}

/// A name in an alternative, and whether the alternative itself has the other side of it.
struct Use {
    name: usize,
    own: bool,
}

struct Alternative {
    provides: Vec<Use>,
    requires: Vec<Use>,
}

struct Level {
    alternatives: Vec<Alternative>,
    /// Whether the last alternative may be dropped.
    droppable: bool,
    /// Names that this level or a later one may require.
    requirable: Names64,
}

/// One component, in numbers.
struct Problem {
    levels: Vec<Level>,
    names: usize,
    /// From this level on every member has one alternative, so that all endings are equally good.
    single_from: usize,
    /// Names in all alternatives together: the price of one look at everything.
    size: usize,
}

impl Problem {
    fn new(members: &[&Member<'_>]) -> Self {
        let mut names = Names::default();
        let mut size = 1;
        let mut levels: Vec<Level> = Vec::with_capacity(members.len());
        for member in members {
            let mut alternatives = Vec::with_capacity(member.alternatives.len());
            for it in &member.alternatives {
                size += 1 + it.provides.len() + it.requires.len();
                let provides = numbered(&mut names, &it.provides, &it.requires);
                let requires = numbered(&mut names, &it.requires, &it.provides);
                alternatives.push(Alternative { provides, requires });
            }
            levels.push(Level {
                alternatives,
                droppable: member.optional,
                requirable: Names64::default(),
            });
        }
        let count = names.0.len();
        let mut requirable = Names64::new(count);
        for level in levels.iter_mut().rev() {
            for required in level.alternatives.iter().flat_map(|it| &it.requires) {
                requirable.insert(required.name);
            }
            level.requirable = requirable.clone();
        }
        let singles = levels
            .iter()
            .rev()
            .take_while(|it| it.alternatives.len() == 1);
        let single_from = levels.len() - singles.count();
        Self {
            levels,
            names: count,
            single_from,
            size,
        }
    }
}

fn numbered<'a>(names: &mut Names<'a>, these: &[&'a str], others: &[&'a str]) -> Vec<Use> {
    let others: std::collections::HashSet<&str> = others.iter().copied().collect();
    let mut seen = std::collections::HashSet::new();
    let these = these.iter().filter(|name| seen.insert(**name));
    these
        .map(|name| Use {
            name: names.number(name),
            own: others.contains(name),
        })
        .collect()
}

/// A set of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Names64(Vec<u64>);

impl Names64 {
    fn new(names: usize) -> Self {
        Self(vec![0; names.div_ceil(64)])
    }
    fn insert(&mut self, name: usize) {
        self.0[name / 64] |= 1 << (name % 64);
    }
    fn remove(&mut self, name: usize) {
        self.0[name / 64] &= !(1 << (name % 64));
    }
    fn contains(&self, name: usize) -> bool {
        self.0[name / 64] & (1 << (name % 64)) != 0
    }
    fn is_subset(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(one, two)| one & !two == 0)
    }
    fn retain(&mut self, other: &Self) {
        for (one, two) in self.0.iter_mut().zip(&other.0) {
            *one &= two;
        }
    }
}

/// What the members from some level on need to know of those before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// Names somebody provides, as far as a later member may require them.
    provided: Names64,
    /// Names whose provides wait for a require.
    waiting: Names64,
}

/// What is known of a state at a level.
#[derive(Clone, Copy)]
enum Answer {
    Open,
    Hopeless,
    /// The best ending starts with this pick and goes on at that node.
    Best {
        pick: usize,
        next: usize,
    },
    End,
}

struct Node {
    level: usize,
    state: Rc<State>,
    answer: Answer,
}

/// A node that is being worked on.
struct Frame {
    node: usize,
    branch: usize,
    best: Option<(usize, usize)>,
    /// Keeping costs nothing here, so dropping cannot be better.
    keep_is_free: bool,
}

struct Search<'p> {
    problem: &'p Problem,
    work: &'p mut Work,
    nodes: Vec<Node>,
    known: HashMap<(usize, Rc<State>), usize>,
    first_provider: Vec<usize>,
    last_requirer: Vec<usize>,
}

/// Stands for "no member" where a position of a member is meant.
const NOBODY: usize = usize::MAX;

impl<'p> Search<'p> {
    fn new(problem: &'p Problem, work: &'p mut Work) -> Self {
        Self {
            problem,
            work,
            nodes: Vec::new(),
            known: HashMap::new(),
            first_provider: Vec::new(),
            last_requirer: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Option<Vec<usize>>, ResolveError> {
        let nothing = State {
            provided: Names64::new(self.problem.names),
            waiting: Names64::new(self.problem.names),
        };
        let Some(root) = self.node(0, nothing)? else {
            return Ok(None);
        };
        let mut stack = vec![Frame::new(root)];
        while let Some(mut frame) = stack.pop() {
            if let Some(child) = self.advance(&mut frame)? {
                stack.extend([frame, Frame::new(child)]);
            } else {
                let best = frame.best;
                self.nodes[frame.node].answer =
                    best.map_or(Answer::Hopeless, |(pick, next)| Answer::Best { pick, next });
            }
        }
        Ok(self.read(root))
    }

    /// Goes on with a node: gives a node that has to be answered first, or `None` at the end.
    fn advance(&mut self, frame: &mut Frame) -> Result<Option<usize>, ResolveError> {
        let problem = self.problem;
        let level = self.nodes[frame.node].level;
        let alternatives = problem.levels[level].alternatives.len();
        let branches = alternatives + usize::from(problem.levels[level].droppable);
        while frame.branch < branches {
            let keep = frame.branch < alternatives;
            let pick = frame.branch.min(alternatives - 1);
            if let Some((best, _)) = frame.best {
                // An earlier pick ends the search; a drop may only improve what follows.
                if best < pick || (!keep && level + 1 >= problem.single_from) {
                    break;
                }
            }
            if !keep && frame.keep_is_free {
                break;
            }
            if let Some(child) = self.follow(frame, pick, keep)? {
                match self.nodes[child].answer {
                    Answer::Open => return Ok(Some(child)),
                    Answer::Hopeless => {}
                    Answer::Best { .. } | Answer::End => {
                        if frame
                            .best
                            .is_none_or(|(_, best)| self.precedes(child, best))
                        {
                            frame.best = Some((pick, child));
                        }
                    }
                }
            }
            frame.branch += 1;
        }
        Ok(None)
    }

    /// Takes a branch. `None` if something can already not hold.
    fn follow(
        &mut self,
        frame: &mut Frame,
        pick: usize,
        keep: bool,
    ) -> Result<Option<usize>, ResolveError> {
        let problem = self.problem;
        let Node { level, state, .. } = &self.nodes[frame.node];
        let (level, before) = (*level, Rc::clone(state));
        let mut state = (*before).clone();
        if keep {
            let alternative = &problem.levels[level].alternatives[pick];
            self.work
                .add(1 + alternative.provides.len() + alternative.requires.len())?;
            for required in &alternative.requires {
                if !required.own && !state.provided.contains(required.name) {
                    return Ok(None);
                }
                state.waiting.remove(required.name);
            }
            for provided in &alternative.provides {
                state.provided.insert(provided.name);
                if !provided.own {
                    state.waiting.insert(provided.name);
                }
            }
            frame.keep_is_free = state.waiting.is_subset(&before.waiting);
        }
        self.node(level + 1, state)
    }

    /// The node of a state, or `None` if it is plain that no ending exists.
    fn node(&mut self, level: usize, mut state: State) -> Result<Option<usize>, ResolveError> {
        let nothing = Names64::new(self.problem.names);
        let requirable = self.problem.levels.get(level).map(|it| &it.requirable);
        let requirable = requirable.unwrap_or(&nothing);
        if !state.waiting.is_subset(requirable) {
            return Ok(None);
        }
        state.provided.retain(requirable);
        let state = Rc::new(state);
        if let Some(node) = self.known.get(&(level, Rc::clone(&state))) {
            return Ok(Some(*node));
        }
        let last = level == self.problem.levels.len();
        let answer = if last {
            Answer::End
        } else if self.plausible(level, &state)? {
            Answer::Open
        } else {
            Answer::Hopeless
        };
        let node = self.nodes.len();
        self.nodes.push(Node {
            level,
            state: Rc::clone(&state),
            answer,
        });
        self.known.insert((level, state), node);
        Ok(Some(node))
    }

    /// Rules out alternatives that can hold in no ending, until nothing changes.
    ///
    /// `false` if a waiting name or a member that may not be dropped is left without any.
    fn plausible(&mut self, level: usize, state: &State) -> Result<bool, ResolveError> {
        let levels = &self.problem.levels;
        let mut alive: Vec<Vec<bool>> = levels[level..]
            .iter()
            .map(|it| vec![true; it.alternatives.len()])
            .collect();
        loop {
            self.work.add(self.problem.size)?;
            self.survey(level, &alive);
            let mut changed = false;
            for (offset, alive) in alive.iter_mut().enumerate() {
                let at = level + offset;
                for (alternative, alive) in levels[at].alternatives.iter().zip(alive) {
                    let can_hold = alternative.requires.iter().all(|it| {
                        let first = self.first_provider[it.name];
                        it.own || state.provided.contains(it.name) || first < at
                    }) && alternative.provides.iter().all(|it| {
                        let last = self.last_requirer[it.name];
                        it.own || (last != NOBODY && last > at)
                    });
                    changed |= *alive && !can_hold;
                    *alive &= can_hold;
                }
            }
            let stuck =
                |(level, alive): (&Level, &Vec<bool>)| !level.droppable && !alive.contains(&true);
            if levels[level..].iter().zip(&alive).any(stuck) {
                return Ok(false);
            }
            if !changed {
                let waits = |name: &usize| state.waiting.contains(*name);
                let mut waiting = (0..self.problem.names).filter(waits);
                return Ok(waiting.all(|name| self.last_requirer[name] != NOBODY));
            }
        }
    }

    /// Notes where each name is first provided and last required by what may still be kept.
    fn survey(&mut self, level: usize, alive: &[Vec<bool>]) {
        self.first_provider.clear();
        self.first_provider.resize(self.problem.names, NOBODY);
        self.last_requirer.clear();
        self.last_requirer.resize(self.problem.names, NOBODY);
        for (offset, alive) in alive.iter().enumerate() {
            let at = level + offset;
            let alternatives = self.problem.levels[at].alternatives.iter().zip(alive);
            for (alternative, _) in alternatives.filter(|(_, alive)| **alive) {
                for provided in &alternative.provides {
                    let first = &mut self.first_provider[provided.name];
                    *first = (*first).min(at);
                }
                for required in &alternative.requires {
                    self.last_requirer[required.name] = at;
                }
            }
        }
    }

    /// Whether the best ending of one node comes before that of another at the same level.
    fn precedes(&self, mut one: usize, mut two: usize) -> bool {
        loop {
            let (
                Answer::Best {
                    pick: a,
                    next: after_one,
                },
                Answer::Best {
                    pick: b,
                    next: after_two,
                },
            ) = (self.nodes[one].answer, self.nodes[two].answer)
            else {
                return false;
            };
            if a != b || one == two {
                return a < b;
            }
            (one, two) = (after_one, after_two);
        }
    }

    fn read(&self, mut node: usize) -> Option<Vec<usize>> {
        let mut picks = Vec::new();
        loop {
            match self.nodes[node].answer {
                Answer::Best { pick, next } => {
                    picks.push(pick);
                    node = next;
                }
                Answer::End => return Some(picks),
                Answer::Open | Answer::Hopeless => return None,
            }
        }
    }
}

impl Frame {
    fn new(node: usize) -> Self {
        Self {
            node,
            branch: 0,
            best: None,
            keep_is_free: false,
        }
    }
}
