//! The worker's side: makes itself ready, takes a job, locks itself in, does it, and may take another one.

mod adapter;
mod compile;
mod engine;
mod fs;
mod guest;
mod host;
mod jail;

use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::Mode;
use rustix::process::Signal;

use self::guest::Kit;
use crate::protocol::{self, Job, Outcome, Task};
use crate::raw;

/// What a new file of a guest may have at most.
const UMASK: Mode = Mode::from_raw_mode(0o022);

/// Is a worker: the whole life of a worker process. To be called first thing in `main`, before threads and
/// open files exist; the caller returns what it returns.
///
/// A worker that was not started by a [`SandboxRunner`](crate::SandboxRunner) ends with an error.
pub fn worker_main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is a small memory file that the parent reads.
            let _nobody_to_tell = rustix::io::write(rustix::stdio::stderr(), error.as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// What compiled programs depend on besides the program. The only thing that the parent asks the engine.
pub(crate) fn compatibility() -> Result<[u8; 32], wasmtime::Error> {
    Ok(engine::compatibility(&engine::engine()?))
}

fn serve() -> Result<(), String> {
    // The parent may be dead by now; then its end of the socket is closed, and no job comes.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("cannot bind the worker's life to its parent's: {error}"))?;
    raw::close_inherited_descriptors()
        .map_err(|error| format!("cannot close inherited descriptors: {error}"))?;
    rustix::process::umask(UMASK);
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)
        .map_err(|error| format!("cannot take the socket: {error}"))?;
    let no_job = |error| format!("no job came: {error}");
    let jailed = protocol::receive_start(socket.as_fd()).map_err(no_job)?;
    if jailed {
        jail::leave_namespaces();
    }
    // Nothing of a guest goes into these, so that they can be made while nobody waits for them.
    let kit = Kit::new();
    let (job, descriptors) = protocol::receive_job(socket.as_fd()).map_err(no_job)?;
    if let Err(reason) = lock_in(&job, &descriptors, jailed, &socket) {
        return report(&socket, &Outcome::Failed(reason));
    }
    // The main thread's stack is as large as the user's limits say. A guest's must not depend on it.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("guest".to_owned())
            .stack_size(guest::STACK_BYTES)
            .spawn_scoped(scope, || do_jobs(job, descriptors, &kit, &socket));
        match thread {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|_| report(&socket, &failed("the worker panicked"))),
            Err(error) => report(&socket, &failed(&format!("cannot start a thread: {error}"))),
        }
    })
}

/// Does the first job, and further ones as they come. The parent kills workers that it has no more jobs for.
fn do_jobs(
    mut job: Job,
    mut descriptors: Vec<OwnedFd>,
    kit: &Kit,
    socket: &OwnedFd,
) -> Result<(), String> {
    loop {
        report(socket, &do_job(job, descriptors, kit, socket))?;
        (job, descriptors) = protocol::receive_job(socket.as_fd())
            .map_err(|error| format!("no further job came: {error}"))?;
    }
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed(reason.to_owned())
}

fn report(socket: &OwnedFd, outcome: &Outcome) -> Result<(), String> {
    protocol::send_outcome(socket.as_fd(), outcome)
        .map_err(|error| format!("cannot report the outcome: {error}"))
}

fn lock_in(
    job: &Job,
    descriptors: &[OwnedFd],
    jailed: bool,
    socket: &OwnedFd,
) -> Result<(), String> {
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    jail::enter(job, &borrowed, jailed)?;
    watch_parent(socket)
}

fn do_job(job: Job, mut descriptors: Vec<OwnedFd>, kit: &Kit, socket: &OwnedFd) -> Outcome {
    // Those of the reach have done their service when the jail was closed.
    descriptors.truncate(descriptors.len().saturating_sub(job.reach.len()));
    match job.task {
        Task::Compile(_) => compile::compile(kit, descriptors),
        Task::Run(task) => guest::run(&task, kit, descriptors, socket),
    }
}

/// Ends the process when the parent's end of the socket closes: a second way to go when the parent dies.
fn watch_parent(socket: &OwnedFd) -> Result<(), String> {
    let socket = socket
        .try_clone()
        .map_err(|error| format!("cannot take the socket: {error}"))?;
    let watch = move || {
        // No event is asked for, so that only a hang-up or an error ends the wait.
        let mut fds = [PollFd::new(&socket, PollFlags::empty())];
        while let Ok(0) | Err(rustix::io::Errno::INTR) = rustix::event::poll(&mut fds, None) {}
        let own = rustix::process::getpid();
        let _cannot_fail = rustix::process::kill_process(own, Signal::KILL);
    };
    std::thread::Builder::new()
        .name("watch-parent".to_owned())
        .spawn(watch)
        .map(drop)
        .map_err(|error| format!("cannot start a thread: {error}"))
}
