//! One gzip member out of blocks that are compressed independently, so that threads can share the work.
//!
//! Each block starts with a fresh compressor and no dictionary: the bytes depend on the content alone, not on how
//! it arrived or on who compressed it. A block that does not shrink is stored.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flate2::{Compress, Crc, FlushCompress, Status};

/// Length of a block of content. Part of what decides the bytes.
pub(crate) const BLOCK: usize = 1024 * 1024;

/// Level of deflate: smaller than what the reference makes (Go's level 1), and several times faster. Part of what decides
/// the bytes.
const LEVEL: u32 = 2;

/// How much of a block is tried first, at its start and in its middle.
const PROBE: usize = 16 * 1024;

/// Longest content of a stored deflate block, by the format.
const STORED: usize = 65_535;

/// Method deflate, no name, no time, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// An empty last block.
const LAST: [u8; 2] = [3, 0];

/// Writes one member.
pub(crate) struct GzipWriter<W> {
    output: W,
    checksum: Crc,
    compressed: Vec<u8>,
    blocks: u64,
    workers: usize,
    pool: Option<Pool>,
}

impl<W: Write> GzipWriter<W> {
    pub(crate) fn new(mut output: W, workers: usize) -> io::Result<Self> {
        output.write_all(&HEADER)?;
        Ok(Self {
            output,
            checksum: Crc::new(),
            compressed: Vec::new(),
            blocks: 0,
            workers,
            pool: None,
        })
    }

    /// Compresses the next block. All but the last have the length [`BLOCK`]; it is the caller who sees to that.
    pub(crate) fn write_block(&mut self, block: &[u8]) -> io::Result<()> {
        if block.is_empty() {
            return Ok(());
        }
        self.checksum.update(block);
        self.blocks += 1;
        // Most layers are a single block: no threads are started for these.
        if self.workers < 2 || self.blocks == 1 {
            self.compressed.clear();
            compress_block(block, &mut self.compressed)?;
            return self.output.write_all(&self.compressed);
        }
        let workers = self.workers;
        let pool = self.pool.get_or_insert_with(|| Pool::start(workers));
        if pool.is_full() {
            pool.write_next(&mut self.output)?;
        }
        pool.submit(block)
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        if let Some(mut pool) = self.pool {
            while pool.waiting > 0 {
                pool.write_next(&mut self.output)?;
            }
        }
        self.output.write_all(&LAST)?;
        self.output.write_all(&self.checksum.sum().to_le_bytes())?;
        self.output
            .write_all(&self.checksum.amount().to_le_bytes())?;
        self.output.flush()?;
        Ok(self.output)
    }
}

/// Threads that take blocks in turn, so that results are found in the order of the blocks.
struct Pool {
    workers: Vec<Worker>,
    submitted: usize,
    written: usize,
    waiting: usize,
    spare: Vec<Job>,
}

struct Worker {
    jobs: SyncSender<Job>,
    results: Receiver<io::Result<Job>>,
}

#[derive(Default)]
struct Job {
    content: Vec<u8>,
    compressed: Vec<u8>,
}

/// Blocks that one thread may have before it: one at work, one waiting.
const JOBS_PER_WORKER: usize = 2;

impl Pool {
    fn start(workers: usize) -> Self {
        let start = |_| {
            let (jobs, todo) = sync_channel::<Job>(JOBS_PER_WORKER);
            let (done, results) = sync_channel(JOBS_PER_WORKER);
            // The thread ends when either channel's other end is gone.
            std::thread::spawn(move || {
                for mut job in todo {
                    job.compressed.clear();
                    let result = compress_block(&job.content, &mut job.compressed);
                    if done.send(result.map(|()| job)).is_err() {
                        break;
                    }
                }
            });
            Worker { jobs, results }
        };
        Self {
            workers: (0..workers).map(start).collect(),
            submitted: 0,
            written: 0,
            waiting: 0,
            spare: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.waiting >= self.workers.len() * JOBS_PER_WORKER
    }

    fn submit(&mut self, block: &[u8]) -> io::Result<()> {
        let mut job = self.spare.pop().unwrap_or_default();
        job.content.clear();
        job.content.extend_from_slice(block);
        let turn = self.submitted % self.workers.len().max(1);
        let worker = self.workers.get(turn).ok_or_else(gone)?;
        worker.jobs.send(job).map_err(|_| gone())?;
        self.submitted += 1;
        self.waiting += 1;
        Ok(())
    }

    fn write_next(&mut self, output: &mut impl Write) -> io::Result<()> {
        let turn = self.written % self.workers.len().max(1);
        let worker = self.workers.get(turn).ok_or_else(gone)?;
        let job = worker.results.recv().map_err(|_| gone())??;
        output.write_all(&job.compressed)?;
        self.written += 1;
        self.waiting -= 1;
        self.spare.push(job);
        Ok(())
    }
}

fn gone() -> io::Error {
    io::Error::other("a thread that compresses is gone")
}

/// Appends a block as deflate that ends at a byte boundary and is not the last.
pub(crate) fn compress_block(block: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
    let start = output.len();
    if looks_random(block)? || !deflate(block, LEVEL, output)? {
        output.truncate(start);
        store(block, output);
    }
    Ok(())
}

/// Whether two samples say that compressing is a waste of time.
fn looks_random(block: &[u8]) -> io::Result<bool> {
    let middle = block.len() / 2;
    let samples = [block.get(..PROBE), block.get(middle..middle + PROBE)];
    let mut output = Vec::new();
    for sample in samples {
        let Some(sample) = sample else {
            return Ok(false);
        };
        output.clear();
        // A sample that shrinks by less than 2 % counts as random.
        if deflate(sample, 1, &mut output)? && output.len() < PROBE - PROBE / 50 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Appends the result of a fresh compressor; `false`, and nothing of use, if it would not be shorter than the content.
fn deflate(content: &[u8], level: u32, output: &mut Vec<u8>) -> io::Result<bool> {
    let start = output.len();
    // How much room there is may decide the bytes, so it is always the content's length.
    output.resize(start + content.len(), 0);
    let room = output.get_mut(start..).unwrap_or_default();
    let mut compress = Compress::new(flate2::Compression::new(level), false);
    let status = compress
        .compress(content, room, FlushCompress::Sync)
        .map_err(io::Error::other)?;
    let (read, written) = (compress.total_in(), compress.total_out());
    output.truncate(start + usize::try_from(written).unwrap_or(0));
    Ok(status == Status::Ok && read == content.len() as u64 && written < read)
}

fn store(content: &[u8], output: &mut Vec<u8>) {
    for piece in content.chunks(STORED) {
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        output.push(0);
        output.extend_from_slice(&length.to_le_bytes());
        output.extend_from_slice(&(!length).to_le_bytes());
        output.extend_from_slice(piece);
    }
}
