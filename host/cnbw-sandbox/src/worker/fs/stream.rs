//! File contents as streams, and the counted write that all writers use.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::error::{CodeResult, code};
use super::operations::size;
use super::quota::Quota;

/// Most bytes that one read gives: the buffer is made before it is known how much there is.
const MAX_READ_BYTES: usize = 1024 * 1024;

/// Bytes that a stream takes at a time.
const WRITE_PERMIT: usize = 1024 * 1024;

/// Reads from a place in a file.
pub(super) fn read_at(file: &OwnedFd, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; length.min(MAX_READ_BYTES)];
    let count = loop {
        match rustix::io::pread(file, &mut buffer, offset) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    buffer.truncate(count);
    Ok(buffer)
}

/// Writes all bytes at a place in a file, within the quota.
pub(super) fn write_at(
    file: &OwnedFd,
    quota: &Quota,
    mut offset: u64,
    mut bytes: &[u8],
) -> CodeResult<()> {
    let length = u64::try_from(bytes.len()).map_err(|_| ErrorCode::FileTooLarge)?;
    let end = offset.checked_add(length).ok_or(ErrorCode::FileTooLarge)?;
    let before = size(&rustix::fs::fstat(file.as_fd()).map_err(code)?);
    let growth = end.saturating_sub(before);
    quota.take_bytes(growth)?;
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                offset = offset.saturating_add(u64::try_from(count).unwrap_or_default());
            }
            Err(Errno::INTR) => {}
            Err(errno) => {
                quota.return_bytes(growth.min(end.saturating_sub(offset)));
                return Err(quota.code(errno));
            }
        }
    }
    Ok(())
}

/// Reads a file from a position on.
#[derive(Debug)]
pub(super) struct FileInput {
    pub(super) file: Arc<OwnedFd>,
    pub(super) position: u64,
}

#[async_trait]
impl Pollable for FileInput {
    async fn ready(&mut self) {}
}

#[async_trait]
impl InputStream for FileInput {
    fn read(&mut self, length: usize) -> StreamResult<Bytes> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let bytes = read_at(&self.file, self.position, length)
            .map_err(|errno| StreamError::LastOperationFailed(io::Error::from(errno).into()))?;
        if bytes.is_empty() {
            return Err(StreamError::Closed);
        }
        self.position = self
            .position
            .saturating_add(u64::try_from(bytes.len()).unwrap_or_default());
        Ok(Bytes::from(bytes))
    }
}

/// Writes a file from a position on, or at its end.
#[derive(Debug)]
pub(super) struct FileOutput {
    pub(super) file: Arc<OwnedFd>,
    pub(super) quota: Arc<Quota>,
    /// `None` appends.
    pub(super) position: Option<u64>,
}

#[async_trait]
impl Pollable for FileOutput {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for FileOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let failed = |error: ErrorCode| StreamError::LastOperationFailed(CodeError(error).into());
        let offset = match self.position {
            Some(position) => position,
            None => rustix::fs::fstat(self.file.as_fd())
                .map(|stat| size(&stat))
                .map_err(|errno| failed(code(errno)))?,
        };
        write_at(&self.file, &self.quota, offset, &bytes).map_err(failed)?;
        if let Some(position) = &mut self.position {
            *position = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or_default());
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_PERMIT)
    }
}

/// A code inside a stream's error, from where `filesystem-error-code` takes it out again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct CodeError(pub(super) ErrorCode);
