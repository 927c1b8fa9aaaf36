//! The parent's side: finds a program, has it compiled, runs it in a worker, and watches.

mod artifacts;
mod cache;
mod crew;
mod output;
mod process;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use cap_std::fs::Dir;
use cnbw_lifecycle::ports::{
    Access, BuildpackRunner, GuestFault, Invocation, Outlook, OutputSink, Program, Stream,
};
use rustix::event::EventfdFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use sha2::{Digest as _, Sha256};

use self::artifacts::{Artifact, Artifacts, ProgramDigest};
use self::crew::Crew;
use self::output::OutputCap;
use self::process::Ending;
use crate::limits::Limits;
use crate::program::{ProgramFile, program_name, read_program};
use crate::protocol::{CompileTask, Job, MountPoint, Outcome, RunTask, Task};

/// First argument of the program when it shall be a worker.
pub const WORKER_ARGUMENT: &str = "__worker";

/// What the guest's clock shows unless told otherwise: 1980-01-01T00:00:01Z, the time that the
/// lifecycle gives to files.
const DEFAULT_WALL_CLOCK: u64 = 315_532_801;

/// Characters of a worker's text that go into a message at most.
const MAX_REASON_CHARACTERS: usize = 600;

/// How much more wall-clock time than CPU time a compilation may take: other work may hold the CPUs.
const COMPILE_WALL_FACTOR: u32 = 10;

/// The program that workers are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerProgram {
    /// The executable file.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl WorkerProgram {
    /// The program that is running now, with [`WORKER_ARGUMENT`]. It stays the same file even if the
    /// file's name is given to another one in the meantime.
    pub fn current() -> Self {
        Self {
            path: PathBuf::from("/proc/self/exe"),
            args: vec![OsString::from(WORKER_ARGUMENT)],
        }
    }
}

/// How a worker is locked in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Resource limits, namespaces where the host allows them, Landlock and seccomp. A host without
    /// Landlock is refused.
    #[default]
    Jailed,
    /// A process of its own and nothing more: only the engine stands between guest and host. For hosts
    /// without Landlock and guests that are trusted; whoever chooses this records it.
    ProcessOnly,
}

/// What a [`SandboxRunner`] is made from.
#[derive(Debug)]
pub struct SandboxSettings {
    /// The program that workers are made of. Default: the running one.
    pub worker: WorkerProgram,
    /// The limits of each run.
    pub limits: Limits,
    /// How workers are locked in.
    pub isolation: Isolation,
    /// Directory for compiled programs, which only the user may write to: any other one is not used.
    /// Without one, programs are compiled once per runner.
    pub compile_cache: Option<Dir>,
    /// What the guest's wall clock shows, in seconds since 1970. It stands still.
    pub wall_clock: u64,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            worker: WorkerProgram::current(),
            limits: Limits::default(),
            isolation: Isolation::default(),
            compile_cache: None,
            wall_clock: DEFAULT_WALL_CLOCK,
        }
    }
}

/// Runs buildpack programs: build programs each in a worker process of its own, the detect programs of a phase
/// in as many as run at once.
#[derive(Debug)]
pub struct SandboxRunner {
    crew: Crew,
    limits: Limits,
    isolation: Isolation,
    wall_clock: u64,
    artifacts: Artifacts,
    interrupt: InterruptHandle,
}

/// Ends all runs of a runner, present and future, with [`GuestFault::Interrupted`].
#[derive(Clone, Debug)]
pub struct InterruptHandle {
    // Readable from the first interrupt on; nobody ever reads it. Missing if the system had none to give,
    // which the first run reports.
    event: Option<Arc<OwnedFd>>,
}

impl InterruptHandle {
    fn new() -> Self {
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Self {
            event: event.ok().map(Arc::new),
        }
    }

    /// Kills the workers that run and keeps new ones from starting. May be called from a signal
    /// thread, and more than once.
    pub fn interrupt(&self) {
        if let Some(event) = &self.event {
            // Fails only when the counter is full, and then the event is readable already.
            let _full = rustix::io::write(event, &1_u64.to_ne_bytes());
        }
    }

    fn as_fd(&self) -> Result<BorrowedFd<'_>, GuestFault> {
        match &self.event {
            Some(event) => Ok(event.as_fd()),
            None => Err(sandbox_fault("the system has no event descriptor to give")),
        }
    }
}

impl SandboxRunner {
    /// Makes a runner. Starts nothing yet.
    pub fn new(settings: SandboxSettings) -> Self {
        Self {
            crew: Crew::new(settings.worker, settings.isolation == Isolation::Jailed),
            limits: settings.limits,
            isolation: settings.isolation,
            wall_clock: settings.wall_clock,
            artifacts: Artifacts::new(settings.compile_cache),
            interrupt: InterruptHandle::new(),
        }
    }

    /// How workers are locked in, for reports.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// A handle that ends all runs.
    pub fn interrupt_handle(&self) -> InterruptHandle {
        self.interrupt.clone()
    }

    /// Starts a worker ahead of need: it gets ready while the caller prepares what it will work on.
    pub fn warm_up(&self) {
        self.crew.warm_up();
    }

    /// Compiles a program ahead of need. A program that cannot be used is no error here but when it is
    /// run.
    pub fn prepare(&self, buildpack_dir: &Dir, program: Program) {
        if let Ok(file) = read_program(buildpack_dir, program, &self.limits) {
            let _reported_when_run = self.compiled(&file);
        }
    }

    /// The compiled program, from memory, from the cache or from a compile worker.
    fn compiled(&self, program: &ProgramFile) -> Result<(Artifact, ProgramDigest), GuestFault> {
        let digest = ProgramDigest(Sha256::digest(&program.bytes).into());
        let artifact = self
            .artifacts
            .get_or_compile(digest, |result| self.compile(program, result))?;
        Ok((artifact, digest))
    }

    fn compile(&self, program: &ProgramFile, result: BorrowedFd<'_>) -> Result<(), GuestFault> {
        let source = process::memory_file("program", &program.bytes)
            .map_err(|error| sandbox_fault(&format!("cannot hold a program in memory: {error}")))?;
        let task = Task::Compile(CompileTask {
            cpu_seconds: self.limits.compile_time.as_secs().max(1),
            memory: self.limits.compile_memory,
        });
        let deadline =
            Instant::now() + self.limits.compile_time.saturating_mul(COMPILE_WALL_FACTOR);
        let descriptors = [source.as_fd(), result];
        let job = Job {
            descriptors: descriptors.len(),
            reach: Vec::new(),
            task,
        };
        let mut worker = self.crew.extra().map_err(|error| no_worker(&error))?;
        let interrupt = self.interrupt.as_fd()?;
        let ending = worker.converse(
            &job,
            &descriptors,
            deadline,
            interrupt,
            &mut |_: Stream, _: &[u8]| {},
        );
        // Dead before its result is used.
        drop(worker);
        let too_complex = |reason: String| GuestFault::TooComplex {
            path: program.path.clone(),
            reason,
        };
        match ending {
            Ending::Outcome(Outcome::Compiled) => Ok(()),
            Ending::Outcome(Outcome::Unloadable(reason)) => Err(GuestFault::Unloadable {
                path: program.path.clone(),
                reason: escape(&reason, MAX_REASON_CHARACTERS),
            }),
            Ending::Deadline => Err(too_complex("it took too long".to_owned())),
            Ending::Died {
                signal: Some(process::SIGXCPU),
                ..
            } => Err(too_complex(format!(
                "it took more than {} s of processor time",
                self.limits.compile_time.as_secs()
            ))),
            // How the engine's own process ends when the allocator is refused memory, or a stack is.
            Ending::Died {
                signal: Some(process::SIGABRT | process::SIGSEGV),
                ..
            } => Err(too_complex(format!(
                "it took more than {} MiB of memory",
                self.limits.compile_memory / (1024 * 1024)
            ))),
            other @ (Ending::Outcome(_)
            | Ending::Died { .. }
            | Ending::Interrupted
            | Ending::Broken(_)) => Err(other.into_fault()),
        }
    }

    /// Has a worker run a program. A worker that built is dead afterwards, and one that detected may wait for
    /// the next program.
    fn work(
        &self,
        task: Task,
        descriptors: &[BorrowedFd<'_>],
        program: Program,
        output: &mut OutputSink<'_>,
    ) -> Result<Ending, GuestFault> {
        let deadline = Instant::now() + self.limits.wall_time(program);
        let interrupt = self.interrupt.as_fd()?;
        let mut assigned = self
            .crew
            .assign(program)
            .map_err(|error| no_worker(&error))?;
        let reach = assigned.reach.take();
        let shared: Vec<(BorrowedFd<'_>, bool)> = match &reach {
            Some(dirs) => dirs
                .iter()
                .map(|(dir, access)| (dir.as_fd(), *access == Access::ReadWrite))
                .chain(self.artifacts.directory().map(|dir| (dir.as_fd(), false)))
                .collect(),
            None => Vec::new(),
        };
        let shared_dirs = shared.iter().map(|(dir, _)| *dir);
        let descriptors: Vec<_> = descriptors.iter().copied().chain(shared_dirs).collect();
        let job = Job {
            descriptors: descriptors.len(),
            reach: shared.iter().map(|(_, writable)| *writable).collect(),
            task,
        };
        let ending = assigned
            .worker
            .converse(&job, &descriptors, deadline, interrupt, output);
        if assigned.returns && matches!(ending, Ending::Outcome(Outcome::Exited(_))) {
            self.crew.give_back(assigned.worker);
        }
        Ok(ending)
    }

    fn run_task(
        &self,
        invocation: &Invocation,
        digest: ProgramDigest,
        program_on_disk: bool,
    ) -> Result<RunTask, GuestFault> {
        let name = program_name(invocation.program);
        let own_path = format!("{}/bin/{name}", invocation.guest_buildpack_dir);
        let mut args = vec![own_path];
        args.extend_from_slice(&invocation.args);
        let env = invocation
            .env
            .iter()
            .map(|(name, value)| match String::from_utf8(value.clone()) {
                Ok(value) => Ok((name.clone(), value)),
                Err(_) => Err(sandbox_fault(&format!(
                    "the environment variable `{}` is not UTF-8, and WebAssembly programs know no other text",
                    name.escape_debug()
                ))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mounts = invocation
            .mounts
            .iter()
            .map(|mount| MountPoint {
                guest_path: mount.guest_path.clone(),
                writable: mount.access == Access::ReadWrite,
            })
            .collect();
        let limits = &self.limits;
        let wall_time = limits.wall_time(invocation.program);
        Ok(RunTask {
            program_on_disk,
            args,
            env,
            working_dir: invocation.working_dir.clone(),
            mounts,
            time_ms: u64::try_from(wall_time.as_millis()).unwrap_or(u64::MAX),
            memory: limits.memory,
            table_elements: limits.table_elements,
            instances: limits.instances,
            handles: limits.handles,
            written_bytes: limits.written_bytes,
            written_files: limits.written_files,
            depth: limits.depth,
            wall_clock: self.wall_clock,
            seed: seed(invocation, digest),
        })
    }
}

impl BuildpackRunner for SandboxRunner {
    fn expect(&self, outlook: &Outlook) {
        self.crew.expect(outlook);
    }

    fn run(&self, invocation: &Invocation, output: &mut OutputSink<'_>) -> Result<i32, GuestFault> {
        let program = read_program(&invocation.buildpack_dir, invocation.program, &self.limits)?;
        let (artifact, digest) = self.compiled(&program)?;
        let task = Task::Run(Box::new(self.run_task(
            invocation,
            digest,
            artifact.on_disk,
        )?));
        let mut descriptors = vec![artifact.file.as_fd()];
        descriptors.extend(invocation.mounts.iter().map(|mount| mount.dir.as_fd()));
        let mut cap = OutputCap::new(self.limits.output, self.limits.output_line);
        let ending = self.work(
            task,
            &descriptors,
            invocation.program,
            &mut |stream, bytes| {
                cap.pass(stream, bytes, output);
            },
        )?;
        match ending {
            Ending::Outcome(Outcome::Exited(status)) => Ok(status),
            Ending::Outcome(Outcome::Trapped(reason)) => Err(GuestFault::Trap {
                reason: escape(&reason, MAX_REASON_CHARACTERS),
            }),
            Ending::Outcome(Outcome::OutOfTime) | Ending::Deadline => Err(GuestFault::OutOfTime {
                seconds: self.limits.wall_time(invocation.program).as_secs(),
            }),
            Ending::Outcome(Outcome::OutOfMemory) => Err(GuestFault::OutOfMemory {
                limit_mib: self.limits.memory_mib(),
            }),
            Ending::Outcome(Outcome::OutOfSpace { refused, status }) => {
                // A detect program that says no says no, whatever it was refused before.
                match status {
                    Some(100) if invocation.program == Program::Detect => Ok(100),
                    _ => Err(GuestFault::Quota(self.limits.quota(refused))),
                }
            }
            Ending::Outcome(Outcome::Unloadable(reason)) => Err(GuestFault::Unloadable {
                path: program.path,
                reason: escape(&reason, MAX_REASON_CHARACTERS),
            }),
            other @ (Ending::Outcome(_)
            | Ending::Died { .. }
            | Ending::Interrupted
            | Ending::Broken(_)) => Err(other.into_fault()),
        }
    }
}

/// The seed of a guest's random numbers: the same program in the same place draws the same ones.
fn seed(invocation: &Invocation, digest: ProgramDigest) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(digest.0);
    hasher.update(invocation.guest_buildpack_dir.as_bytes());
    hasher.update([0]);
    hasher.update(program_name(invocation.program).as_bytes());
    hasher.finalize().into()
}

fn no_worker(error: &std::io::Error) -> GuestFault {
    sandbox_fault(&format!("cannot start a worker: {error}"))
}

fn sandbox_fault(reason: &str) -> GuestFault {
    GuestFault::Sandbox {
        reason: reason.to_owned(),
    }
}

/// Makes text from a guest, or about one, fit to be shown.
pub(crate) fn escape(text: &str, max_characters: usize) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == max_characters {
            shown.push('…');
            break;
        }
        // Quotes are left alone: they are harmless, and the engine's messages are full of them.
        match character {
            '\'' | '"' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_text_is_cut() {
        assert_eq!(escape("a\x1b[0m\n\"b\"", 100), "a\\u{1b}[0m\\n\"b\"");
        assert_eq!(escape("abcdef", 3), "abc…");
        assert_eq!(escape("abc", 3), "abc");
    }
}
