//! Response bodies: bytes in memory, or a part of a file that is read as the client takes it.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use cap_std::fs::File;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::task::JoinHandle;

/// Bytes that are read at a time; one connection holds no more than this.
const CHUNK: u64 = 64 << 10;

/// A response's body.
#[derive(Debug)]
pub(crate) struct Body {
    remaining: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Memory(Bytes),
    File(File),
    Reading(JoinHandle<(File, io::Result<Bytes>)>),
    Ended,
}

impl Body {
    /// No bytes.
    pub(crate) fn empty() -> Self {
        Self {
            remaining: 0,
            source: Source::Ended,
        }
    }

    /// These bytes.
    pub(crate) fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            remaining: bytes.len() as u64,
            source: Source::Memory(bytes),
        }
    }

    /// So many bytes of a file, from where it stands.
    pub(crate) fn from_file(file: File, length: u64) -> Self {
        Self {
            remaining: length,
            source: if length == 0 {
                Source::Ended
            } else {
                Source::File(file)
            },
        }
    }
}

/// Reads a chunk; a file that has become shorter is an error, because its length has been announced.
fn read_chunk(file: &mut File, length: u64) -> io::Result<Bytes> {
    let mut chunk = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(length).read_to_end(&mut chunk)?;
    if chunk.len() as u64 == length {
        Ok(chunk.into())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match std::mem::replace(&mut self.source, Source::Ended) {
                Source::Ended => return Poll::Ready(None),
                Source::Memory(bytes) => {
                    self.remaining = 0;
                    return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
                }
                Source::File(mut file) => {
                    let length = self.remaining.min(CHUNK);
                    self.source = Source::Reading(tokio::task::spawn_blocking(move || {
                        let chunk = read_chunk(&mut file, length);
                        (file, chunk)
                    }));
                }
                Source::Reading(mut reading) => {
                    let Poll::Ready(outcome) = Pin::new(&mut reading).poll(context) else {
                        self.source = Source::Reading(reading);
                        return Poll::Pending;
                    };
                    let (file, chunk) = outcome.map_err(io::Error::other)?;
                    let chunk = chunk?;
                    self.remaining -= chunk.len() as u64;
                    if self.remaining > 0 {
                        self.source = Source::File(file);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}
