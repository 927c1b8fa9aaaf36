//! How much a guest may add to its directories.

use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::error::CodeResult;

/// What is left of the limits. Shared with the streams of open files.
#[derive(Debug)]
pub(super) struct Quota {
    bytes: AtomicU64,
    entries: AtomicU64,
}

impl Quota {
    pub(super) fn new(bytes: u64, entries: u64) -> Self {
        Self {
            bytes: AtomicU64::new(bytes),
            entries: AtomicU64::new(entries),
        }
    }

    /// Takes bytes for a file that grows.
    pub(super) fn take_bytes(&self, count: u64) -> CodeResult<()> {
        take(&self.bytes, count)
    }

    /// Takes one file, directory or link.
    pub(super) fn take_entry(&self) -> CodeResult<()> {
        take(&self.entries, 1)
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

fn take(left: &AtomicU64, count: u64) -> CodeResult<()> {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(count)
    })
    .map(drop)
    .map_err(|_| ErrorCode::InsufficientSpace)
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
        quota.return_bytes(1);
        quota.take_bytes(1).unwrap();
        quota.take_entry().unwrap();
        assert_eq!(
            quota.take_entry().unwrap_err(),
            ErrorCode::InsufficientSpace
        );
    }
}
