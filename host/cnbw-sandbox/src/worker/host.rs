//! What a guest finds besides files: output, clocks, random numbers, and limits.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand_core::TryRng;
use rustix::fd::{AsFd as _, OwnedFd};
use sha2::{Digest as _, Sha256};
use wasmtime::component::{Resource, ResourceTable};
use wasmtime::{ResourceLimiter, Result};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{
    DynPollable, OutputStream, Pollable, StreamError, StreamResult, subscribe,
};
use wasmtime_wasi::{HostWallClock, async_trait};

use crate::protocol;

/// Bytes of output that a guest may write at once.
const OUTPUT_PERMIT: usize = 64 * 1024;

/// How much time passes between two looks at the clock, in nanoseconds.
const CLOCK_STEP: u64 = 1000;

/// Most linear memories, tables of a guest.
const MAX_OBJECTS: usize = 1024;

/// One of a guest's output streams: each write goes to the parent at once.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) socket: Arc<OwnedFd>,
    pub(super) is_stdout: bool,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only later versions of the interface ask for this one, and they are not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        protocol::send_output(self.socket.as_fd(), self.is_stdout, &bytes)
            .map_err(|_| StreamError::Closed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_PERMIT)
    }
}

/// A wall clock that stands still.
#[derive(Clone, Copy, Debug)]
pub(super) struct FixedClock(pub(super) u64);

impl HostWallClock for FixedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(self.0)
    }
}

/// A clock that moves when it is looked at, and when somebody sleeps: sleeping takes no time outside.
#[derive(Clone, Debug, Default)]
pub(super) struct StepClock(Arc<AtomicU64>);

/// The clock during a call.
pub(super) struct ClockView<'a> {
    pub(super) clock: &'a StepClock,
    pub(super) table: &'a mut ResourceTable,
}

impl monotonic_clock::Host for ClockView<'_> {
    fn now(&mut self) -> Result<u64> {
        Ok(self.clock.0.fetch_add(CLOCK_STEP, Ordering::Relaxed))
    }

    fn resolution(&mut self) -> Result<u64> {
        Ok(CLOCK_STEP)
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        let sleep = Sleep {
            clock: self.clock.clone(),
            until: when,
        };
        let sleep = self.table.push(sleep)?;
        subscribe(self.table, sleep)
    }

    fn subscribe_duration(&mut self, duration: u64) -> Result<Resource<DynPollable>> {
        let now = self.clock.0.load(Ordering::Relaxed);
        self.subscribe_instant(now.saturating_add(duration))
    }
}

struct Sleep {
    clock: StepClock,
    until: u64,
}

#[async_trait]
impl Pollable for Sleep {
    async fn ready(&mut self) {
        self.clock.0.fetch_max(self.until, Ordering::Relaxed);
    }
}

/// Random numbers that are the same in each run: SHA-256 over a seed and a counter.
#[derive(Debug)]
pub(super) struct SeededRandom {
    seed: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl SeededRandom {
    /// Streams with different names are independent of each other.
    pub(super) fn new(seed: &[u8; 32], name: &str) -> Self {
        let seed = Sha256::new()
            .chain_update(seed)
            .chain_update(name)
            .finalize()
            .into();
        Self {
            seed,
            counter: 0,
            block: [0; 32],
            used: 32,
        }
    }

    fn next_byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            let hasher = Sha256::new().chain_update(self.seed);
            self.block = hasher
                .chain_update(self.counter.to_le_bytes())
                .finalize()
                .into();
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        let byte = self.block.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        byte
    }
}

impl TryRng for SeededRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(std::array::from_fn(|_| {
            self.next_byte()
        })))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(std::array::from_fn(|_| {
            self.next_byte()
        })))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.next_byte();
        }
        Ok(())
    }
}

/// Keeps a guest's memories and tables within their limits, all of a kind together.
#[derive(Debug)]
pub(super) struct Limiter {
    pub(super) memory_left: u64,
    pub(super) table_elements_left: usize,
    pub(super) instances: usize,
    /// Whether memory was ever refused.
    pub(super) refused_memory: bool,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let growth = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX);
        let left = self.memory_left.checked_sub(growth);
        self.refused_memory |= left.is_none();
        self.memory_left = left.unwrap_or(self.memory_left);
        Ok(left.is_some())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        match self
            .table_elements_left
            .checked_sub(desired.saturating_sub(current))
        {
            Some(left) => {
                self.table_elements_left = left;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        MAX_OBJECTS
    }

    fn memories(&self) -> usize {
        MAX_OBJECTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_repeat_between_runs_and_not_within_one() {
        let draw = |name| {
            let mut random = SeededRandom::new(&[7; 32], name);
            let Ok(numbers): Result<Vec<u64>, Infallible> =
                (0..1000).map(|_| random.try_next_u64()).collect();
            numbers
        };
        assert_eq!(draw("a"), draw("a"));
        assert_ne!(draw("a"), draw("b"));
        let mut numbers = draw("a");
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 1000);
    }

    #[test]
    fn memory_is_counted_over_all_memories() {
        let mut limiter = Limiter {
            memory_left: 100,
            table_elements_left: 10,
            instances: 1,
            refused_memory: false,
        };
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 41, None).unwrap());
        assert!(limiter.refused_memory);
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(!limiter.table_growing(0, 1, None).unwrap());
    }
}
