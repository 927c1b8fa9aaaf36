//! Ctrl-C: ends the build, and leaves nothing behind.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw::Interrupt;
use cnbw_sandbox::InterruptHandle;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tempfile::TempDir;

/// Exit status of an interrupted build.
pub(crate) const INTERRUPTED: u8 = 130;

/// How long a build may take to end by itself after the first signal.
const GRACE: Duration = Duration::from_secs(3);

/// The build's private directory, which goes away when the build ends or is made to end.
#[derive(Clone, Debug)]
pub(crate) struct Scratch(Arc<Mutex<Option<TempDir>>>);

impl Scratch {
    pub(crate) fn new(dir: TempDir) -> Self {
        Self(Arc::new(Mutex::new(Some(dir))))
    }

    /// Removes the directory. Removing it twice is harmless.
    pub(crate) fn remove(&self) {
        let dir = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(dir) = dir {
            // Guests may have made directories that even their owner may not enter.
            crate::places::make_removable(dir.path());
            // What cannot be removed stays; the build's own result is not changed by that.
            dir.close().ok();
        }
    }
}

/// Private directories of a lifecycle phase, which a signal ends at once and leaves nothing of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Temporary(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    directories: Vec<Scratch>,
    workers: Vec<InterruptHandle>,
}

impl Temporary {
    /// Makes a directory that goes away with the returned value, or with the process when a signal ends it.
    pub(crate) fn directory(&self) -> io::Result<(PrivateDirectory, Dir)> {
        let dir = tempfile::Builder::new().prefix("cnbw-").tempdir()?;
        let opened = Dir::open_ambient_dir(dir.path(), ambient_authority())?;
        let scratch = Scratch::new(dir);
        let first = {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            held.directories.push(scratch.clone());
            held.directories.len() == 1
        };
        if first {
            self.watch()?;
        }
        Ok((PrivateDirectory(scratch), opened))
    }

    /// Ends these workers too: they work in the directories.
    pub(crate) fn with_workers(&self, workers: InterruptHandle) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.workers.push(workers);
    }

    fn watch(&self) -> io::Result<()> {
        let held = Arc::clone(&self.0);
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                if signals.forever().next().is_some() {
                    // Held until the process is gone, so that no directory is made after this.
                    let held = held.lock().unwrap_or_else(PoisonError::into_inner);
                    for workers in &held.workers {
                        workers.interrupt();
                    }
                    leave(&held.directories);
                }
            })
            .map(drop)
    }
}

/// Removes its directory when it is dropped.
#[derive(Debug)]
pub(crate) struct PrivateDirectory(Scratch);

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// Watches for signals until the process ends.
///
/// The first one kills the workers and asks the build to end; a second one, or a build that does not end in time, ends
/// the process at once. In both cases the private directory is removed.
pub(crate) fn watch(
    scratch: Scratch,
    workers: InterruptHandle,
    build: Interrupt,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut arrived = signals.forever();
            if arrived.next().is_some() {
                build.set();
                workers.interrupt();
                let late = scratch.clone();
                thread::spawn(move || {
                    thread::sleep(GRACE);
                    leave(&[late]);
                });
                arrived.next();
                leave(&[scratch]);
            }
        })?;
    Ok(())
}

#[expect(
    clippy::exit,
    reason = "the main thread is in the middle of something that it cannot leave"
)]
fn leave(scratch: &[Scratch]) {
    for scratch in scratch {
        scratch.remove();
    }
    std::process::exit(i32::from(INTERRUPTED));
}
