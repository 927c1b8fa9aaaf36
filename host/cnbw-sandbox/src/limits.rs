//! How much a guest may take. Every limit has a default and ends in a fault of its own.

use std::time::Duration;

use cnbw_lifecycle::ports::{Program, Quota};

use crate::protocol::Refused;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// The limits of one run of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time of one detect program. Default: 30 s.
    pub detect_time: Duration,
    /// Wall-clock time of one build program. Default: 15 min.
    pub build_time: Duration,
    /// Linear memory of a guest, all its memories together, in bytes. Default: 1 GiB.
    pub memory: u64,
    /// Output of a guest, both streams together, in bytes; the rest is dropped. Default: 16 MiB.
    pub output: u64,
    /// One line of output in bytes; the rest of the line is dropped. Default: 16 KiB.
    pub output_line: u64,
    /// A program file in bytes. Default: 64 MiB.
    pub program_size: u64,
    /// CPU time for compiling one program. Default: 120 s.
    pub compile_time: Duration,
    /// Address space for compiling one program, in bytes. Default: 4 GiB.
    pub compile_memory: u64,
    /// Elements of all tables of a guest. Default: 100 000.
    pub table_elements: usize,
    /// Core instances of a guest. Default: 64.
    pub instances: usize,
    /// Open files, streams and other handles of a guest. Default: 4096.
    pub handles: usize,
    /// Bytes that a guest may add to its directories. Default: 8 GiB.
    pub written_bytes: u64,
    /// Files, directories and links that a guest may add. Default: 1 000 000.
    pub written_files: u64,
    /// Directories below each other in a path. Default: 256.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            detect_time: Duration::from_secs(30),
            build_time: Duration::from_mins(15),
            memory: GIB,
            output: 16 * MIB,
            output_line: 16 * KIB,
            program_size: 64 * MIB,
            compile_time: Duration::from_mins(2),
            compile_memory: 4 * GIB,
            table_elements: 100_000,
            instances: 64,
            handles: 4096,
            written_bytes: 8 * GIB,
            written_files: 1_000_000,
            depth: 256,
        }
    }
}

impl Limits {
    /// The wall-clock limit of a program.
    pub fn wall_time(&self, program: Program) -> Duration {
        match program {
            Program::Detect => self.detect_time,
            Program::Build => self.build_time,
        }
    }

    /// What a guest was refused, with the limit that it met.
    pub(crate) fn quota(&self, refused: Refused) -> Quota {
        match refused {
            Refused::Bytes => Quota::Bytes(self.written_bytes),
            Refused::Files => Quota::Files(self.written_files),
            Refused::Depth => Quota::Depth(u64::try_from(self.depth).unwrap_or(u64::MAX)),
            Refused::Disk => Quota::Disk,
        }
    }

    /// The memory limit in whole MiB, for messages.
    pub(crate) fn memory_mib(&self) -> u64 {
        self.memory / MIB
    }
}
