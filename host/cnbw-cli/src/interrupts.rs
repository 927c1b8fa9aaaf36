//! Ctrl-C: ends the build, and leaves nothing behind.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

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
                    leave(&late);
                });
                arrived.next();
                leave(&scratch);
            }
        })?;
    Ok(())
}

#[expect(
    clippy::exit,
    reason = "the main thread is in the middle of something that it cannot leave"
)]
fn leave(scratch: &Scratch) {
    scratch.remove();
    std::process::exit(i32::from(INTERRUPTED));
}
