//! The workers of a runner: some are started ahead of need, and those of a detect phase serve many runs.

use std::io;
use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use cnbw_lifecycle::ports::{Access, Outlook, Program};

use super::WorkerProgram;
use super::process::WorkerProcess;

type Started = io::Result<WorkerProcess>;

/// Starts workers, and keeps those that wait for a job.
///
/// A worker dies with the thread that started it, so that one thread, which lives as long as this value, starts
/// them all.
#[derive(Debug)]
pub(super) struct Crew {
    worker: WorkerProgram,
    jailed: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    starter: Option<Sender<SyncSender<Started>>>,
    /// Workers that nothing of a guest has been near.
    fresh: Vec<Receiver<Started>>,
    /// Runs to come that want a fresh worker.
    wanted: usize,
    /// What detect programs can be given, while detection lasts.
    reach: Option<Reach>,
    /// Workers of this detection that are between two runs.
    idle: Vec<WorkerProcess>,
}

/// Directories that all workers of a detect phase may use.
pub(super) type Reach = Arc<[(Arc<Dir>, Access)]>;

/// A worker for one run.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) worker: WorkerProcess,
    /// The directories to name in its first job, if it is one that serves many runs and has not served any.
    pub(super) reach: Option<Reach>,
    /// Whether it can be given back after the run.
    pub(super) returns: bool,
}

impl Crew {
    pub(super) fn new(worker: WorkerProgram, jailed: bool) -> Self {
        Self {
            worker,
            jailed,
            state: Mutex::default(),
        }
    }

    /// Starts a worker ahead of need.
    pub(super) fn warm_up(&self) {
        let mut state = self.state();
        state.wanted = state.wanted.max(1);
        self.top_up(&mut state, 1);
    }

    /// Gets ready for a phase, and ends the workers of the one before.
    pub(super) fn expect(&self, outlook: &Outlook) {
        let mut state = self.state();
        state.idle.clear();
        match outlook.program {
            Program::Detect => {
                state.reach = Some(outlook.shared.clone().into());
                // One for the first build, which is likely to come.
                let most = std::thread::available_parallelism().map_or(1, NonZero::get);
                state.wanted = outlook.runs.min(most).saturating_add(1);
                let ahead = state.wanted;
                self.top_up(&mut state, ahead);
            }
            Program::Build => {
                state.reach = None;
                state.wanted = outlook.runs;
                self.top_up(&mut state, 1);
            }
        }
    }

    /// Gives a worker for a run of the program.
    pub(super) fn assign(&self, program: Program) -> io::Result<Assigned> {
        let mut state = self.state();
        let reach = match program {
            Program::Detect => state.reach.clone(),
            Program::Build => None,
        };
        if reach.is_some()
            && let Some(worker) = state.idle.pop()
        {
            return Ok(Assigned {
                worker,
                reach: None,
                returns: true,
            });
        }
        let fresh = state.fresh.pop();
        state.wanted = state.wanted.saturating_sub(1);
        if program == Program::Build {
            self.top_up(&mut state, 1);
        }
        drop(state);
        let returns = reach.is_some();
        Ok(Assigned {
            worker: self.started(fresh)?,
            reach,
            returns,
        })
    }

    /// A worker for something else than a run: there is no outlook for these.
    pub(super) fn extra(&self) -> io::Result<WorkerProcess> {
        self.started(None)
    }

    /// Takes a worker back that has ended its run as it should.
    pub(super) fn give_back(&self, worker: WorkerProcess) {
        let mut state = self.state();
        if state.reach.is_some() {
            state.idle.push(worker);
        }
    }

    fn started(&self, fresh: Option<Receiver<Started>>) -> Started {
        let fresh = fresh.map_or_else(|| self.order(&mut self.state()), Some);
        match fresh.and_then(|fresh| fresh.recv().ok()) {
            Some(started) => started,
            // No thread could be started; this one will do.
            None => WorkerProcess::spawn(&self.worker, self.jailed),
        }
    }

    fn top_up(&self, state: &mut State, most: usize) {
        while state.fresh.len() < most.min(state.wanted) {
            let Some(ordered) = self.order(state) else {
                return;
            };
            state.fresh.push(ordered);
        }
    }

    /// Has a worker started, without waiting for it.
    fn order(&self, state: &mut State) -> Option<Receiver<Started>> {
        if state.starter.is_none() {
            state.starter = self.starter();
        }
        let (sender, receiver) = sync_channel(1);
        let sent = state.starter.as_ref()?.send(sender);
        sent.is_ok().then_some(receiver)
    }

    fn starter(&self) -> Option<Sender<SyncSender<Started>>> {
        let (orders, inbox) = channel::<SyncSender<Started>>();
        let (worker, jailed) = (self.worker.clone(), self.jailed);
        let thread = std::thread::Builder::new().name("start-workers".to_owned());
        let started = thread.spawn(move || {
            for order in inbox {
                // Whoever does not want it any more drops it, which ends it.
                let _unwanted = order.send(WorkerProcess::spawn(&worker, jailed));
            }
        });
        started.is_ok().then_some(orders)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
