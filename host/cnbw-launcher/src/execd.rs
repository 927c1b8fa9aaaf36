//! Programs of layers that add variables just before a process starts.
//!
//! An exec.d program writes TOML to its descriptor 3. It belongs to the image like the process itself, so it is not
//! confined; but it must not fill the launcher's memory or make it wait forever.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::environment::Environment;
use crate::files::shown;
use crate::toml::{self, TomlError, Value};

/// The descriptor that the specification gives to exec.d programs.
const OUTPUT_DESCRIPTOR: i32 = 3;
/// Bytes that a program may write there. All variables of a process may have 6 MiB at most.
const MAX_OUTPUT: usize = 8 << 20;
/// How long one program may take. The reference waits forever; no container's start does.
const TIME_LIMIT: Duration = Duration::from_mins(5);

/// Why an exec.d program did not give variables.
#[derive(Debug, thiserror::Error)]
#[error("exec.d program {}", shown(path))]
pub(crate) struct ExecDError {
    path: PathBuf,
    source: ExecDFault,
}

/// What went wrong with one program.
#[derive(Debug, thiserror::Error)]
enum ExecDFault {
    #[error("cannot make a pipe for it")]
    Pipe(#[source] Errno),
    #[error("cannot start it")]
    Start(#[source] std::io::Error),
    #[error("cannot read what it wrote")]
    Read(#[source] Errno),
    #[error("it ended with {0}")]
    Status(ExitStatus),
    #[error("it did not end within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("it wrote more than {0} bytes to descriptor {OUTPUT_DESCRIPTOR}")]
    TooMuch(usize),
    #[error("it wrote malformed TOML")]
    Malformed(#[from] TomlError),
    #[error("it wrote no string for the key {}, but {found}", shown(key))]
    NotAString { key: String, found: &'static str },
    #[error("it wrote {}, which is no name of a variable", shown(.0))]
    BadName(String),
}

/// Runs one program in the environment built so far and applies what it gives.
pub(crate) fn run_exec_d(path: &Path, environment: &mut Environment) -> Result<(), ExecDError> {
    let output = run(path, environment, TIME_LIMIT);
    let variables = output.and_then(|output| parse_output(&output));
    let variables = variables.map_err(|source| ExecDError {
        path: path.to_owned(),
        source,
    })?;
    for (name, value) in variables {
        environment.set(name, value);
    }
    Ok(())
}

fn run(path: &Path, environment: &Environment, limit: Duration) -> Result<Vec<u8>, ExecDFault> {
    let deadline = Instant::now() + limit;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(ExecDFault::Pipe)?;
    let mut command = Command::new(path);
    command
        .stdin(Stdio::null())
        .env_clear()
        .envs(environment.iter());
    let mapping = FdMapping {
        parent_fd: writer,
        child_fd: OUTPUT_DESCRIPTOR,
    };
    command
        .fd_mappings(vec![mapping])
        .map_err(|error| ExecDFault::Start(std::io::Error::other(error)))?;
    let mut child = command.spawn().map_err(ExecDFault::Start)?;
    // The command holds the launcher's copy of the write end: the pipe would never end otherwise.
    drop(command);

    let result = read_until_closed(&reader, deadline, limit).and_then(|output| {
        let status = wait_until(&mut child, deadline, limit)?;
        if status.success() {
            Ok(output)
        } else {
            Err(ExecDFault::Status(status))
        }
    });
    if result.is_err() {
        // Ends what is still running; a program that has ended already is no error.
        let (_killed, _reaped) = (child.kill(), child.wait());
    }
    result
}

fn read_until_closed(
    reader: &OwnedFd,
    deadline: Instant,
    limit: Duration,
) -> Result<Vec<u8>, ExecDFault> {
    let mut output = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        if !wait_readable(reader, deadline).map_err(ExecDFault::Read)? {
            return Err(ExecDFault::TimedOut(limit));
        }
        match rustix::io::read(reader, &mut buffer) {
            Ok(0) => return Ok(output),
            Ok(count) => output.extend(buffer.iter().take(count)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(ExecDFault::Read(error)),
        }
        if output.len() > MAX_OUTPUT {
            return Err(ExecDFault::TooMuch(MAX_OUTPUT));
        }
    }
}

/// Waits for a program that has closed its output, which most do by ending.
fn wait_until(
    child: &mut Child,
    deadline: Instant,
    limit: Duration,
) -> Result<ExitStatus, ExecDFault> {
    let mut pause = Duration::from_micros(50);
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().map_err(ExecDFault::Start)? {
            return Ok(status);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Err(ExecDFault::TimedOut(limit))
}

/// Waits until a descriptor can be read or its other end is closed; false once the deadline has passed.
fn wait_readable(descriptor: impl AsFd, deadline: Instant) -> Result<bool, Errno> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Parses a flat table of strings.
fn parse_output(output: &[u8]) -> Result<Vec<(String, String)>, ExecDFault> {
    let document = toml::parse(output)?;
    let mut variables = Vec::new();
    for (name, value) in document.iter() {
        let Value::String(text) = value else {
            return Err(ExecDFault::NotAString {
                key: name.to_owned(),
                found: value.kind(),
            });
        };
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(ExecDFault::BadName(name.to_owned()));
        }
        variables.push((name.to_owned(), text.clone()));
    }
    Ok(variables)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests make files in temporary places"
)]
mod tests;
