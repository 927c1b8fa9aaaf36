//! Reading an archive: every byte is counted, and whose fault a failure is stays known.

use std::io::{self, BufRead, BufReader, Read};

use crate::error::{EntryName, Limit, UnpackError};
use crate::options::Format;

/// Content goes from this buffer straight into files.
const BUFFER_BYTES: usize = 256 * 1024;

/// The archive as it was given. Marks its own failures, so that they are not taken for those of a decoder.
#[derive(Debug)]
pub(crate) struct Source<R>(pub(crate) R);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct SourceFailed(io::Error);

#[derive(Debug, thiserror::Error)]
#[error("more than {0} bytes come out")]
struct TooMuch(u64);

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return error;
            }
            io::Error::new(error.kind(), SourceFailed(error))
        })
    }
}

/// Lets a number of bytes pass.
struct Counted<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other(TooMuch(self.limit)))?;
        Ok(count)
    }
}

/// What comes out of decompression.
pub(crate) struct Input<'a> {
    reader: BufReader<Counted<Box<dyn Read + 'a>>>,
    pub(crate) format: Format,
    /// The last entry that was begun, for messages.
    pub(crate) entry: Vec<u8>,
}

impl<'a> Input<'a> {
    pub(crate) fn new(decoder: Box<dyn Read + 'a>, format: Format, limit: u64) -> Self {
        let counted = Counted {
            inner: decoder,
            left: limit,
            limit,
        };
        Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, counted),
            format,
            entry: Vec::new(),
        }
    }

    /// Reads until the buffer is full or there is no more, and returns how much there was.
    pub(crate) fn read_up_to(&mut self, buffer: &mut [u8]) -> Result<usize, UnpackError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(filled)
    }

    /// Passes exactly this many bytes on, in pieces.
    pub(crate) fn copy(
        &mut self,
        mut count: u64,
        mut to: impl FnMut(&[u8]) -> Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        while count > 0 {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed(error)),
            };
            if available.is_empty() {
                return Err(self.truncated());
            }
            let length =
                usize::try_from(count).map_or(available.len(), |count| count.min(available.len()));
            to(available.get(..length).unwrap_or_default())?;
            self.reader.consume(length);
            count -= length as u64;
        }
        Ok(())
    }

    /// Passes everything on that is left.
    pub(crate) fn copy_all(
        &mut self,
        mut to: impl FnMut(&[u8]) -> Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        loop {
            let available = match self.reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed(error)),
            };
            let length = available.len();
            to(available)?;
            self.reader.consume(length);
        }
    }

    pub(crate) fn skip(&mut self, count: u64) -> Result<(), UnpackError> {
        self.copy(count, |_| Ok(()))
    }

    pub(crate) fn truncated(&self) -> UnpackError {
        self.damaged("it ends too early")
    }

    pub(crate) fn damaged(&self, fault: &'static str) -> UnpackError {
        UnpackError::Damaged {
            entry: EntryName::new(&self.entry),
            format: self.format,
            fault,
        }
    }

    fn failed(&self, error: io::Error) -> UnpackError {
        failure(error, self.format, &self.entry)
    }
}

/// Says whose fault a failure is.
pub(crate) fn failure(error: io::Error, format: Format, entry: &[u8]) -> UnpackError {
    let inner = error.get_ref();
    if let Some(TooMuch(limit)) = inner.and_then(|inner| inner.downcast_ref()) {
        return UnpackError::Limit {
            entry: EntryName::new(entry),
            limit: Limit::DecodedBytes(*limit),
        };
    }
    if inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<SourceFailed>) {
        return UnpackError::Read { source: error };
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return UnpackError::Damaged {
            entry: EntryName::new(entry),
            format,
            fault: "it ends too early",
        };
    }
    UnpackError::Decode {
        entry: EntryName::new(entry),
        format,
        source: error,
    }
}
