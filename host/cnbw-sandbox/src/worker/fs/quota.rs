//! How much a guest may add to its directories.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::error::{CodeResult, code};
use crate::protocol::Refused;

/// What is left of the limits. Shared with the streams of open files.
#[derive(Debug)]
pub(super) struct Quota {
    bytes: AtomicU64,
    entries: AtomicU64,
    /// What was refused first, which is the reason if the guest fails later.
    refused: OnceLock<Refused>,
}

impl Quota {
    pub(super) fn new(bytes: u64, entries: u64) -> Self {
        Self {
            bytes: AtomicU64::new(bytes),
            entries: AtomicU64::new(entries),
            refused: OnceLock::new(),
        }
    }

    /// Takes bytes for a file that grows.
    pub(super) fn take_bytes(&self, count: u64) -> CodeResult<()> {
        take(&self.bytes, count).ok_or_else(|| self.refuse(Refused::Bytes))
    }

    /// Takes one file, directory or link.
    pub(super) fn take_entry(&self) -> CodeResult<()> {
        take(&self.entries, 1).ok_or_else(|| self.refuse(Refused::Files))
    }

    /// Notes that something was refused, and gives the code for the guest.
    pub(super) fn refuse(&self, refused: Refused) -> ErrorCode {
        self.refused.get_or_init(|| refused);
        ErrorCode::InsufficientSpace
    }

    /// The code of a failed write, which is noted if the disk is full.
    pub(super) fn code(&self, errno: Errno) -> ErrorCode {
        if matches!(errno, Errno::NOSPC | Errno::DQUOT) {
            self.refused.get_or_init(|| Refused::Disk);
        }
        code(errno)
    }

    /// What was refused first, if anything was.
    pub(super) fn refused(&self) -> Option<Refused> {
        self.refused.get().copied()
    }

    /// Gives bytes back: a file shrank or is gone.
    pub(super) fn return_bytes(&self, count: u64) {
        give(&self.bytes, count);
    }

    /// Gives one entry back.
    pub(super) fn return_entry(&self) {
        give(&self.entries, 1);
    }
}

fn take(left: &AtomicU64, count: u64) -> Option<()> {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(count)
    })
    .map(drop)
    .ok()
}

fn give(left: &AtomicU64, count: u64) {
    let _previous = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        Some(left.saturating_add(count))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_can_be_taken_and_one_more_cannot() {
        let quota = Quota::new(10, 1);
        quota.take_bytes(10).unwrap();
        assert_eq!(
            quota.take_bytes(1).unwrap_err(),
            ErrorCode::InsufficientSpace
        );
        assert_eq!(quota.refused(), Some(Refused::Bytes));
        quota.return_bytes(1);
        quota.take_bytes(1).unwrap();
        quota.take_entry().unwrap();
        assert_eq!(
            quota.take_entry().unwrap_err(),
            ErrorCode::InsufficientSpace
        );
        // The first refusal is the one that is told.
        assert_eq!(quota.refused(), Some(Refused::Bytes));
    }

    #[test]
    fn a_full_disk_is_noted_and_other_errors_are_not() {
        let quota = Quota::new(10, 1);
        assert_eq!(quota.code(Errno::ACCESS), ErrorCode::Access);
        assert_eq!(quota.refused(), None);
        assert_eq!(quota.code(Errno::NOSPC), ErrorCode::InsufficientSpace);
        assert_eq!(quota.refused(), Some(Refused::Disk));
    }
}
