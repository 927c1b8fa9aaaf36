//! Runs one phase in the world of a case.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::case::{Case, RunStep};
use crate::names::Names;
use crate::tree::CNB;
use crate::world;

/// No phase of any case takes longer unless it hangs, not even on a machine that is busy with other work.
const LIMIT: Duration = Duration::from_mins(5);

/// What a phase did.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Its exit code; 128 and the number of the signal that ended it.
    pub(crate) exit: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Everything it printed: in order, except for the launcher.
    pub(crate) output: String,
    /// Whether it was ended because it took too long.
    pub(crate) hung: bool,
}

/// Runs a phase.
pub(crate) fn run(case: &Case, step: &RunStep, names: &Names) -> Result<Outcome> {
    let launcher = step.run == "launcher";
    let arguments = step.args.iter().map(|argument| names.expand(argument));
    let own = format!("/cnb/lifecycle/{}", step.run);
    // The launcher is called by many names; a phase only by its own or as a part of the whole.
    let program = match &step.argv0 {
        Some(name) if !launcher => name.clone(),
        _ => own.clone(),
    };
    let mut command = Command::new(program);
    command
        .arg0(step.argv0.as_ref().unwrap_or(&own))
        .args(arguments);
    command
        .current_dir("/")
        .env_clear()
        .envs(environment(case, step, names));
    command.stdin(Stdio::null()).process_group(0);
    let user = if runs_as_root(step) { 0 } else { CNB.0 };
    world::choose_compiled(user)?;
    if user != 0 {
        command.uid(CNB.0).gid(CNB.1);
    }
    let (out, err) = (scratch("out")?, scratch("err")?);
    command.stdout(out.writer.try_clone()?);
    command.stderr(if launcher {
        err.writer.try_clone()?
    } else {
        out.writer.try_clone()?
    });
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {own}"))?;
    let group = Pid::from_child(&child);
    let (done, finished) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let hung = finished.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout);
        if hung {
            let _ = kill_process_group(group, Signal::KILL);
        }
        hung
    });
    let status = child.wait()?;
    drop(done);
    let hung = watchdog.join().unwrap_or(false);
    let (stdout, stderr) = (out.text()?, err.text()?);
    let exit = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(-1);
    Ok(Outcome {
        exit,
        output: format!("{stdout}{stderr}"),
        stdout,
        hung,
    })
}

fn runs_as_root(step: &RunStep) -> bool {
    step.user.as_deref() == Some("root")
        || !matches!(step.run.as_str(), "detector" | "builder" | "launcher")
}

fn environment(case: &Case, step: &RunStep, names: &Names) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    if step.run != "launcher" {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let ordinary = [
            ("CNB_PLATFORM_API", case.platform_api.as_str()),
            ("CNB_USER_ID", "1001"),
            ("CNB_GROUP_ID", "1000"),
            ("CNB_NO_COLOR", "true"),
            ("HOME", "/home/cnb"),
            ("PATH", path),
        ];
        variables.extend(ordinary.map(|(name, value)| (name.to_owned(), value.to_owned())));
        variables.extend(
            case.env
                .iter()
                .map(|(name, value)| (name.clone(), names.expand(value))),
        );
    }
    variables.extend(
        step.env
            .iter()
            .map(|(name, value)| (name.clone(), names.expand(value))),
    );
    variables.retain(|name, _| !step.unset.contains(name));
    variables
}

/// A file without a name: unlike a pipe it never fills up, and is complete when the phase has ended even if
/// something that the phase left behind still holds it open.
struct Scratch {
    writer: File,
    reader: File,
}

impl Scratch {
    fn text(mut self) -> Result<String> {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut self.reader, &mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn scratch(name: &str) -> Result<Scratch> {
    let path = format!("/.{name}");
    let writer = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)?;
    let reader = File::open(&path)?;
    fs::remove_file(&path)?;
    Ok(Scratch { writer, reader })
}
