//! What parent and worker say to each other: length-capped frames on a socket pair.
//!
//! A frame is one byte for its kind, four bytes for its length (little-endian) and its payload. File
//! descriptors travel beside single bytes right after the job. The worker is not trusted: whatever it
//! sends is decoded by [`FrameDecoder`], which never holds more than one frame of the largest size.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};

/// Largest job that the parent sends, in bytes: environment and arguments are part of it.
pub(crate) const MAX_JOB_BYTES: usize = 16 * 1024 * 1024;

/// Largest frame that the parent takes from a worker, in bytes.
pub(crate) const MAX_REPLY_BYTES: usize = 64 * 1024;

/// Most descriptors beside one byte: the kernel takes 253.
const DESCRIPTORS_PER_BYTE: usize = 64;

const HEADER_BYTES: usize = 5;
const JOB: u8 = 1;
const STDOUT: u8 = 2;
const STDERR: u8 = 3;
const OUTCOME: u8 = 4;
const START: u8 = 5;

/// A conversation that broke the rules, or broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProtocolError {
    /// The other side is gone.
    #[error("the socket was closed in the middle of a message")]
    Closed,
    /// A frame of an unknown kind, or of a kind that does not come in this direction.
    #[error("a frame of kind {0} is not expected")]
    Kind(u8),
    /// A frame larger than allowed.
    #[error("a frame of {0} bytes is too large")]
    TooLarge(usize),
    /// A payload that is not what it should be.
    #[error("a payload cannot be understood")]
    Payload(#[source] serde_json::Error),
    /// Not as many descriptors as announced.
    #[error("{got} descriptors came beside a byte and {wanted} were announced")]
    Descriptors {
        /// How many came.
        got: usize,
        /// How many were announced.
        wanted: usize,
    },
    /// The socket failed.
    #[error("the socket failed")]
    Socket(#[source] rustix::io::Errno),
}

/// What a worker is asked to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// How many descriptors follow: those of the task, then those of the reach.
    pub(crate) descriptors: usize,
    /// Directories that this job and all later ones of the worker may use, and whether they may write there.
    /// Counts in the first job, which closes the jail. If it is empty, the mounts of that job are all.
    pub(crate) reach: Vec<bool>,
    /// What to do.
    pub(crate) task: Task,
}

/// The kinds of work.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Turn a program into native code. Descriptors: the program, the file for the result.
    Compile(CompileTask),
    /// Run a compiled program. Descriptors: the compiled program, then one per mount.
    Run(Box<RunTask>),
}

/// Limits of a compilation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CompileTask {
    /// CPU seconds.
    pub(crate) cpu_seconds: u64,
    /// Address space in bytes.
    pub(crate) memory: u64,
}

/// Everything that a run needs besides the descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunTask {
    /// Whether the compiled program is a file in a directory, whose reading must be allowed.
    pub(crate) program_on_disk: bool,
    /// Arguments, the program's own name first.
    pub(crate) args: Vec<String>,
    /// The environment in order.
    pub(crate) env: Vec<(String, String)>,
    /// Guest path of the working directory.
    pub(crate) working_dir: String,
    /// The mounts, in the order of their descriptors.
    pub(crate) mounts: Vec<MountPoint>,
    /// Milliseconds until the engine interrupts the guest. The parent's clock decides; this one only
    /// makes for a gentler end.
    pub(crate) time_ms: u64,
    /// Linear memory in bytes.
    pub(crate) memory: u64,
    /// Elements of all tables.
    pub(crate) table_elements: usize,
    /// Core instances.
    pub(crate) instances: usize,
    /// Handles.
    pub(crate) handles: usize,
    /// Bytes that may be added to the mounts.
    pub(crate) written_bytes: u64,
    /// Entries that may be added to the mounts.
    pub(crate) written_files: u64,
    /// Directories below each other.
    pub(crate) depth: usize,
    /// Seconds since 1970 that the guest's wall clock shows, and that files have as their times.
    pub(crate) wall_clock: u64,
    /// Seed of the guest's random numbers.
    pub(crate) seed: [u8; 32],
}

/// A directory that a guest sees.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MountPoint {
    /// Absolute guest path.
    pub(crate) guest_path: String,
    /// Whether the guest may change what is below.
    pub(crate) writable: bool,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// A program ended with this status.
    Exited(i32),
    /// A program was compiled.
    Compiled,
    /// A program trapped.
    Trapped(String),
    /// The engine's deadline passed.
    OutOfTime,
    /// The program trapped after it was refused memory.
    OutOfMemory,
    /// The program ended with a status other than 0, or trapped, after it was refused room.
    OutOfSpace {
        /// What there was no more of when it was first refused.
        refused: Refused,
        /// The status; `None` says that it trapped.
        status: Option<i32>,
    },
    /// The program cannot be loaded: the rule that it breaks.
    Unloadable(String),
    /// The worker itself failed, or cannot lock itself in.
    Failed(String),
}

/// What a guest's directories have no more room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refused {
    /// Bytes, by the limit.
    Bytes,
    /// Files, directories and links, by the limit.
    Files,
    /// Directories below each other, by the limit.
    Depth,
    /// Anything: the disk is full.
    Disk,
}

/// What a worker sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Standard output of the guest.
    Stdout(Vec<u8>),
    /// Standard error of the guest.
    Stderr(Vec<u8>),
    /// The last message.
    Outcome(Outcome),
}

/// Tells a new worker whether it locks itself in, ahead of its first job: what can be made ready before the
/// job is known then is.
pub(crate) fn send_start(socket: BorrowedFd<'_>, jailed: bool) -> Result<(), ProtocolError> {
    send_frame(socket, START, &[u8::from(jailed)])
}

/// Receives whether to lock oneself in.
pub(crate) fn receive_start(socket: BorrowedFd<'_>) -> Result<bool, ProtocolError> {
    let mut header = [0; HEADER_BYTES];
    receive_exact(socket, &mut header)?;
    let (kind, length) = parse_header(header);
    if kind != START {
        return Err(ProtocolError::Kind(kind));
    }
    if length != 1 {
        return Err(ProtocolError::TooLarge(length));
    }
    let mut jailed = [0];
    receive_exact(socket, &mut jailed)?;
    // Whatever is not a clear no is a yes.
    Ok(jailed != [0])
}

/// Sends a job with its descriptors. Blocks until the worker has taken it.
pub(crate) fn send_job(
    socket: BorrowedFd<'_>,
    job: &Job,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), ProtocolError> {
    let payload = serde_json::to_vec(job).map_err(ProtocolError::Payload)?;
    if payload.len() > MAX_JOB_BYTES {
        return Err(ProtocolError::TooLarge(payload.len()));
    }
    send_frame(socket, JOB, &payload)?;
    for batch in descriptors.chunks(DESCRIPTORS_PER_BYTE) {
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_PER_BYTE))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(batch));
        rustix::net::sendmsg(
            socket,
            &[IoSlice::new(&[0])],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )
        .map_err(ProtocolError::Socket)?;
    }
    Ok(())
}

/// Receives a job with its descriptors.
pub(crate) fn receive_job(socket: BorrowedFd<'_>) -> Result<(Job, Vec<OwnedFd>), ProtocolError> {
    let mut header = [0; HEADER_BYTES];
    receive_exact(socket, &mut header)?;
    let (kind, length) = parse_header(header);
    if kind != JOB {
        return Err(ProtocolError::Kind(kind));
    }
    if length > MAX_JOB_BYTES {
        return Err(ProtocolError::TooLarge(length));
    }
    let mut payload = vec![0; length];
    receive_exact(socket, &mut payload)?;
    let job: Job = serde_json::from_slice(&payload).map_err(ProtocolError::Payload)?;
    let mut descriptors = Vec::new();
    while descriptors.len() < job.descriptors {
        let wanted = (job.descriptors - descriptors.len()).min(DESCRIPTORS_PER_BYTE);
        let before = descriptors.len();
        receive_descriptors(socket, &mut descriptors)?;
        let got = descriptors.len() - before;
        if got != wanted {
            return Err(ProtocolError::Descriptors { got, wanted });
        }
    }
    Ok((job, descriptors))
}

fn receive_descriptors(
    socket: BorrowedFd<'_>,
    descriptors: &mut Vec<OwnedFd>,
) -> Result<(), ProtocolError> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_PER_BYTE))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )
    .map_err(ProtocolError::Socket)?;
    if received.bytes == 0 {
        return Err(ProtocolError::Closed);
    }
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(())
}

/// Sends a chunk of guest output. Blocks while the parent does not read.
pub(crate) fn send_output(
    socket: BorrowedFd<'_>,
    is_stdout: bool,
    bytes: &[u8],
) -> Result<(), ProtocolError> {
    let kind = if is_stdout { STDOUT } else { STDERR };
    for chunk in bytes.chunks(MAX_REPLY_BYTES) {
        send_frame(socket, kind, chunk)?;
    }
    Ok(())
}

/// Sends the last message.
pub(crate) fn send_outcome(socket: BorrowedFd<'_>, outcome: &Outcome) -> Result<(), ProtocolError> {
    let payload = serde_json::to_vec(outcome).map_err(ProtocolError::Payload)?;
    send_frame(socket, OUTCOME, &payload)
}

fn send_frame(socket: BorrowedFd<'_>, kind: u8, payload: &[u8]) -> Result<(), ProtocolError> {
    let length =
        u32::try_from(payload.len()).map_err(|_| ProtocolError::TooLarge(payload.len()))?;
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.push(kind);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(payload);
    let mut rest = frame.as_slice();
    while !rest.is_empty() {
        match rustix::net::send(socket, rest, SendFlags::NOSIGNAL) {
            Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(ProtocolError::Socket(errno)),
        }
    }
    Ok(())
}

fn receive_exact(socket: impl AsFd, mut buffer: &mut [u8]) -> Result<(), ProtocolError> {
    while !buffer.is_empty() {
        match rustix::io::read(&socket, &mut *buffer) {
            Ok(0) => return Err(ProtocolError::Closed),
            Ok(count) => buffer = buffer.get_mut(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(ProtocolError::Socket(errno)),
        }
    }
    Ok(())
}

fn parse_header([kind, a, b, c, d]: [u8; HEADER_BYTES]) -> (u8, usize) {
    let length = u32::from_le_bytes([a, b, c, d]);
    (kind, usize::try_from(length).unwrap_or(usize::MAX))
}

/// Puts a worker's frames together from whatever pieces arrive.
#[derive(Debug, Default)]
pub(crate) struct FrameDecoder {
    pending: Vec<u8>,
}

impl FrameDecoder {
    /// Takes bytes from the socket. Call [`Self::next_reply`] until it has none before the next push.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Takes the next complete reply out.
    pub(crate) fn next_reply(&mut self) -> Result<Option<Reply>, ProtocolError> {
        let Some(header) = self.pending.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let (kind, length) = parse_header(*header);
        if !matches!(kind, STDOUT | STDERR | OUTCOME) {
            return Err(ProtocolError::Kind(kind));
        }
        if length > MAX_REPLY_BYTES {
            return Err(ProtocolError::TooLarge(length));
        }
        let end = HEADER_BYTES + length;
        let Some(payload) = self.pending.get(HEADER_BYTES..end) else {
            return Ok(None);
        };
        let reply = match kind {
            STDOUT => Reply::Stdout(payload.to_vec()),
            STDERR => Reply::Stderr(payload.to_vec()),
            _ => Reply::Outcome(serde_json::from_slice(payload).map_err(ProtocolError::Payload)?),
        };
        self.pending.drain(..end);
        Ok(Some(reply))
    }

    /// Whether a frame has begun and not ended.
    pub(crate) fn is_in_the_middle(&self) -> bool {
        !self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap()
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn a_job_arrives_with_all_its_descriptors_in_order() {
        let (parent, worker) = pair();
        let files: Vec<_> = (0..150_u64)
            .map(|size| {
                let file =
                    rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
                rustix::fs::ftruncate(&file, size).unwrap();
                file
            })
            .collect();
        let job = Job {
            descriptors: files.len(),
            reach: Vec::new(),
            task: Task::Compile(CompileTask {
                cpu_seconds: 1,
                memory: 2,
            }),
        };
        let borrowed: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        send_job(parent.as_fd(), &job, &borrowed).unwrap();
        let (received, descriptors) = receive_job(worker.as_fd()).unwrap();
        assert_eq!(received.descriptors, 150);
        let sizes: Vec<_> = descriptors
            .iter()
            .map(|file| rustix::fs::fstat(file).unwrap().st_size)
            .collect();
        assert_eq!(sizes, (0..150).collect::<Vec<i64>>());
    }

    #[test]
    fn a_job_with_missing_descriptors_is_refused() {
        let (parent, worker) = pair();
        let job = Job {
            descriptors: 2,
            reach: Vec::new(),
            task: Task::Compile(CompileTask {
                cpu_seconds: 1,
                memory: 2,
            }),
        };
        send_job(parent.as_fd(), &job, &[parent.as_fd()]).unwrap();
        let error = receive_job(worker.as_fd()).unwrap_err();
        assert!(matches!(
            error,
            ProtocolError::Descriptors { got: 1, wanted: 2 }
        ));
    }

    #[test]
    fn a_start_says_whether_there_is_a_jail_and_nothing_else_is_taken_for_one() {
        let (parent, worker) = pair();
        for jailed in [true, false] {
            send_start(parent.as_fd(), jailed).unwrap();
            assert_eq!(receive_start(worker.as_fd()).unwrap(), jailed);
        }
        rustix::io::write(&parent, &frame(START, &[7])).unwrap();
        assert!(receive_start(worker.as_fd()).unwrap());
        rustix::io::write(&parent, &frame(START, &[])).unwrap();
        let error = receive_start(worker.as_fd()).unwrap_err();
        assert!(matches!(error, ProtocolError::TooLarge(0)));
        rustix::io::write(&parent, &frame(JOB, &[1])).unwrap();
        let error = receive_start(worker.as_fd()).unwrap_err();
        assert!(matches!(error, ProtocolError::Kind(JOB)));
    }

    #[test]
    fn a_closed_socket_ends_a_job_with_an_error() {
        let (parent, worker) = pair();
        drop(parent);
        assert!(matches!(
            receive_job(worker.as_fd()).unwrap_err(),
            ProtocolError::Closed
        ));
    }

    #[test]
    fn frames_that_are_too_large_or_of_unknown_kind_are_refused() {
        let mut decoder = FrameDecoder::default();
        decoder.push(&[STDOUT, 0xff, 0xff, 0xff, 0x7f]);
        assert!(matches!(
            decoder.next_reply(),
            Err(ProtocolError::TooLarge(0x7fff_ffff))
        ));
        let mut decoder = FrameDecoder::default();
        decoder.push(&frame(JOB, b"{}"));
        assert!(matches!(
            decoder.next_reply(),
            Err(ProtocolError::Kind(JOB))
        ));
        let mut decoder = FrameDecoder::default();
        decoder.push(&frame(OUTCOME, b"\"Nonsense\""));
        assert!(matches!(
            decoder.next_reply(),
            Err(ProtocolError::Payload(_))
        ));
    }

    proptest! {
        #[test]
        fn replies_survive_any_cut_into_pieces(
            chunks in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)), 0..20),
            cuts in prop::collection::vec(1_usize..50, 1..20),
        ) {
            let mut bytes = Vec::new();
            for (is_stdout, chunk) in &chunks {
                bytes.extend(frame(if *is_stdout { STDOUT } else { STDERR }, chunk));
            }
            bytes.extend(frame(OUTCOME, &serde_json::to_vec(&Outcome::Exited(100)).unwrap()));
            let mut decoder = FrameDecoder::default();
            let mut replies = Vec::new();
            let mut rest = bytes.as_slice();
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                decoder.push(piece);
                while let Some(reply) = decoder.next_reply().unwrap() {
                    replies.push(reply);
                }
                rest = after;
            }
            let expected: Vec<_> = chunks
                .into_iter()
                .map(|(is_stdout, chunk)| if is_stdout { Reply::Stdout(chunk) } else { Reply::Stderr(chunk) })
                .chain([Reply::Outcome(Outcome::Exited(100))])
                .collect();
            prop_assert_eq!(replies, expected);
            prop_assert!(!decoder.is_in_the_middle());
        }

        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let mut decoder = FrameDecoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next_reply() {}
        }
    }
}
