//! Compiled programs: each is compiled once, however many runs want it at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::Dir;
use cnbw_lifecycle::ports::GuestFault;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{process, sandbox_fault};

/// The SHA-256 of a program file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProgramDigest(pub(super) [u8; 32]);

type Slot = Arc<Mutex<Option<Arc<OwnedFd>>>>;

/// The compiled programs of a runner.
#[derive(Debug)]
pub(super) struct Artifacts {
    slots: Mutex<HashMap<ProgramDigest, Slot>>,
    cache: Option<Dir>,
}

impl Artifacts {
    pub(super) fn new(cache: Option<Dir>) -> Self {
        Self {
            slots: Mutex::default(),
            cache,
        }
    }

    /// Gives the compiled program, and calls `compile` with a file for the result if there is none yet.
    ///
    /// A fault is not remembered: the next run tries again.
    pub(super) fn get_or_compile(
        &self,
        digest: ProgramDigest,
        compile: impl FnOnce(BorrowedFd<'_>) -> Result<(), GuestFault>,
    ) -> Result<Arc<OwnedFd>, GuestFault> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(digest).or_default())
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(artifact) = &*slot {
            return Ok(Arc::clone(artifact));
        }
        let _ = &self.cache;
        let file = process::memory_file("compiled-program", b"").map_err(|error| {
            sandbox_fault(&format!(
                "cannot hold a compiled program in memory: {error}"
            ))
        })?;
        compile(file.as_fd())?;
        let artifact = Arc::new(file);
        *slot = Some(Arc::clone(&artifact));
        Ok(artifact)
    }
}
