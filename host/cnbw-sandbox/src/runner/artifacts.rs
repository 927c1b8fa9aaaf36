//! Compiled programs: each is compiled once, however many runs want it at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::Dir;
use cnbw_lifecycle::ports::GuestFault;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

use super::cache::CompileCache;
use super::{process, sandbox_fault};
use crate::worker;

/// The SHA-256 of a program file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProgramDigest(pub(super) [u8; 32]);

/// A compiled program.
#[derive(Clone, Debug)]
pub(super) struct Artifact {
    pub(super) file: Arc<OwnedFd>,
    /// Whether it is a file of a directory, and not memory.
    pub(super) on_disk: bool,
}

type Slot = Arc<Mutex<Option<Artifact>>>;

/// The compiled programs of a runner.
#[derive(Debug)]
pub(super) struct Artifacts {
    slots: Mutex<HashMap<ProgramDigest, Slot>>,
    cache: Option<CompileCache>,
}

impl Artifacts {
    /// Without a directory, or with one that is not private, compiled programs live as long as this value.
    pub(super) fn new(cache: Option<Dir>) -> Self {
        let cache = cache.and_then(|dir| {
            // An engine that does not start is reported by the worker, in the words of the engine.
            let compatibility = worker::compatibility().ok()?;
            CompileCache::new(dir, compatibility)
        });
        Self {
            slots: Mutex::default(),
            cache,
        }
    }

    /// Where compiled programs lie, if they lie anywhere.
    pub(super) fn directory(&self) -> Option<&Dir> {
        self.cache.as_ref().map(CompileCache::directory)
    }

    /// Gives the compiled program, and calls `compile` with a file for the result if there is none yet.
    ///
    /// A fault is not remembered: the next run tries again.
    pub(super) fn get_or_compile(
        &self,
        digest: ProgramDigest,
        compile: impl Fn(BorrowedFd<'_>) -> Result<(), GuestFault>,
    ) -> Result<Artifact, GuestFault> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(digest).or_default())
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(artifact) = &*slot {
            return Ok(artifact.clone());
        }
        let artifact = self.find_or_compile(digest, compile)?;
        *slot = Some(artifact.clone());
        Ok(artifact)
    }

    fn find_or_compile(
        &self,
        digest: ProgramDigest,
        compile: impl Fn(BorrowedFd<'_>) -> Result<(), GuestFault>,
    ) -> Result<Artifact, GuestFault> {
        let on_disk = |file| Artifact {
            file: Arc::new(file),
            on_disk: true,
        };
        if let Some(cache) = &self.cache {
            if let Some(file) = cache.load(digest) {
                return Ok(on_disk(file));
            }
            // A cache that cannot be written to, on a full disk say, is no reason not to build.
            if let Ok(stored) = cache.store(digest, |file| compile(file.as_fd())) {
                return stored.map(on_disk);
            }
        }
        let file = process::memory_file("compiled-program", b"").map_err(|error| {
            sandbox_fault(&format!(
                "cannot hold a compiled program in memory: {error}"
            ))
        })?;
        compile(file.as_fd())?;
        Ok(Artifact {
            file: Arc::new(file),
            on_disk: false,
        })
    }
}
