//! One worker process: spawned with nothing, spoken to, and dead or waiting before the answer is used.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use cnbw_lifecycle::ports::{GuestFault, OutputSink, Stream};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{MAX_REASON_CHARACTERS, WorkerProgram, escape, sandbox_fault};
use crate::protocol::{self, FrameDecoder, Job, Outcome, ProtocolError, Reply};

pub(super) const SIGABRT: i32 = 6;
pub(super) const SIGSEGV: i32 = 11;
pub(super) const SIGXCPU: i32 = 24;

/// What a worker can leave as last words on its standard error, in bytes.
const LAST_WORDS_BYTES: u64 = 4096;

const READ_BYTES: usize = 64 * 1024;

/// A worker that has been started. Dropping it kills it.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    child: Child,
    socket: OwnedFd,
    last_words: OwnedFd,
}

/// How a conversation with a worker ended. The worker is dead, unless it reported an outcome.
#[derive(Debug)]
pub(super) enum Ending {
    /// It reported an outcome.
    Outcome(Outcome),
    /// It went away without one.
    Died {
        /// The signal that killed it.
        signal: Option<i32>,
        /// What it wrote to its standard error, escaped.
        last_words: String,
    },
    /// The deadline passed, and it was killed.
    Deadline,
    /// It was killed because of an interrupt.
    Interrupted,
    /// It said something that makes no sense.
    Broken(ProtocolError),
}

impl Ending {
    /// The fault of an ending that says nothing about the guest.
    pub(super) fn into_fault(self) -> GuestFault {
        match self {
            Self::Interrupted => GuestFault::Interrupted,
            Self::Outcome(Outcome::Failed(reason)) => {
                sandbox_fault(&escape(&reason, MAX_REASON_CHARACTERS))
            }
            Self::Outcome(other) => sandbox_fault(&escape(
                &format!("the worker gave an answer that does not fit its job: {other:?}"),
                MAX_REASON_CHARACTERS,
            )),
            Self::Died { signal, last_words } => {
                let how = match signal {
                    Some(signal) => format!("the worker was killed by signal {signal}"),
                    None => "the worker ended without an answer".to_owned(),
                };
                if last_words.is_empty() {
                    sandbox_fault(&how)
                } else {
                    sandbox_fault(&format!("{how}: {last_words}"))
                }
            }
            Self::Deadline => sandbox_fault("the worker did not end in time"),
            Self::Broken(error) => {
                sandbox_fault(&format!("the worker broke the protocol: {error}"))
            }
        }
    }
}

impl WorkerProcess {
    /// Starts a worker: no environment, no descriptors but its socket and a capped memory file for last
    /// words, and a process group of its own, so that a terminal's Ctrl-C reaches the parent only.
    ///
    /// It dies with the thread that calls this.
    pub(super) fn spawn(program: &WorkerProgram, jailed: bool) -> io::Result<Self> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let last_words = capped_memory_file()?;
        let child = Command::new(&program.path)
            .args(&program.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::from(last_words.try_clone()?))
            .process_group(0)
            .spawn()?;
        let worker = Self {
            child,
            socket: ours,
            last_words,
        };
        // One that is dead already is found out with its first job.
        let _dead = protocol::send_start(worker.socket.as_fd(), jailed);
        Ok(worker)
    }

    /// Gives the worker its job and listens until it is done, dead, late or interrupted.
    pub(super) fn converse(
        &mut self,
        job: &Job,
        descriptors: &[BorrowedFd<'_>],
        deadline: Instant,
        interrupt: BorrowedFd<'_>,
        output: &mut OutputSink<'_>,
    ) -> Ending {
        let ending = match protocol::send_job(self.socket.as_fd(), job, descriptors) {
            Ok(()) => self.listen(deadline, interrupt, output),
            // The worker hung up before it had everything.
            Err(ProtocolError::Socket(Errno::PIPE | Errno::CONNRESET)) => Ok(None),
            Err(error) => Err(error),
        };
        if let Ok(Some(ending @ Ending::Outcome(_))) = ending {
            return ending;
        }
        let status = self.kill();
        match ending {
            Ok(Some(ending)) => ending,
            Ok(None) => Ending::Died {
                signal: status.ok().and_then(|status| status.signal()),
                last_words: self.read_last_words(),
            },
            Err(error) => Ending::Broken(error),
        }
    }

    /// Listens. `None` says that the worker closed its end without an outcome; it is waited for.
    fn listen(
        &mut self,
        deadline: Instant,
        interrupt: BorrowedFd<'_>,
        output: &mut OutputSink<'_>,
    ) -> Result<Option<Ending>, ProtocolError> {
        let mut decoder = FrameDecoder::default();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Ok(Some(Ending::Deadline));
            };
            let timeout = Timespec::try_from(left).unwrap_or(Timespec {
                tv_sec: i64::MAX,
                tv_nsec: 0,
            });
            let mut fds = [
                PollFd::from_borrowed_fd(interrupt, PollFlags::IN),
                PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN),
            ];
            match rustix::event::poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Ok(Some(Ending::Deadline)),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(ProtocolError::Socket(errno)),
            }
            if !fds[0].revents().is_empty() {
                return Ok(Some(Ending::Interrupted));
            }
            let count = match rustix::io::read(&self.socket, &mut *buffer) {
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(Errno::CONNRESET) => 0,
                Err(errno) => return Err(ProtocolError::Socket(errno)),
            };
            if count == 0 {
                // It closed its end: it is ending by itself, and its own status tells more than a kill.
                let _status = self.child.wait();
                return if decoder.is_in_the_middle() {
                    Err(ProtocolError::Closed)
                } else {
                    Ok(None)
                };
            }
            decoder.push(buffer.get(..count).unwrap_or_default());
            while let Some(reply) = decoder.next_reply()? {
                match reply {
                    Reply::Stdout(bytes) => output(Stream::Stdout, &bytes),
                    Reply::Stderr(bytes) => output(Stream::Stderr, &bytes),
                    Reply::Outcome(outcome) => return Ok(Some(Ending::Outcome(outcome))),
                }
            }
        }
    }

    /// Kills the worker, if it still lives, and waits until it is gone.
    fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Ok(status);
        }
        self.child.kill()?;
        self.child.wait()
    }

    fn read_last_words(&self) -> String {
        let mut buffer = [0; 4096];
        let count = rustix::io::pread(&self.last_words, &mut buffer, 0).unwrap_or_default();
        let words = buffer.get(..count).unwrap_or_default();
        let words = words.split(|byte| *byte == 0).next().unwrap_or_default();
        escape(String::from_utf8_lossy(words).trim(), MAX_REASON_CHARACTERS)
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let _gone_already = self.kill();
    }
}

/// A memory file that cannot grow, so that its writer cannot fill memory.
fn capped_memory_file() -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create(
        "worker-stderr",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?;
    rustix::fs::ftruncate(&file, LAST_WORDS_BYTES)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

/// A memory file with the given content.
pub(super) fn memory_file(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?;
    let mut rest = content;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(file)
}
