//! One pass from content to blob: digest of the content, compression, digest of the blob, file.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use crate::compress::Compression;
use crate::compress::gzip::{BLOCK, GzipWriter};
use crate::digest::{BlobDigest, Digest, Hasher};

/// Level of zstd. Part of what decides the bytes, so it never changes lightly.
const ZSTD_LEVEL: i32 = 3;

/// Takes content in any pieces, and cuts it into blocks of one size, on which alone the blob's bytes depend.
pub(crate) struct BlobWriter {
    block: Box<[u8]>,
    filled: usize,
    content: Hasher,
    encoder: Encoder,
}

/// A finished blob.
pub(crate) struct FinishedBlob {
    pub(crate) digest: BlobDigest,
    pub(crate) size: u64,
    pub(crate) content_digest: Digest,
    pub(crate) content_size: u64,
    pub(crate) file: File,
}

enum Encoder {
    Plain(File),
    Gzip(Box<GzipWriter<HashedFile>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, HashedFile>>),
}

/// A file whose bytes are hashed while they are written.
struct HashedFile {
    file: File,
    hasher: Hasher,
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl std::fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobWriter")
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}

impl BlobWriter {
    pub(crate) fn new(file: File, compression: Compression, workers: usize) -> io::Result<Self> {
        let hashed = |file| HashedFile {
            file,
            hasher: Hasher::new(),
        };
        let encoder = match compression {
            Compression::None => Encoder::Plain(file),
            Compression::Gzip => Encoder::Gzip(Box::new(GzipWriter::new(hashed(file), workers)?)),
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(hashed(file), ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Encoder::Zstd(Box::new(encoder))
            }
        };
        Ok(Self {
            block: vec![0; BLOCK].into_boxed_slice(),
            filled: 0,
            content: Hasher::new(),
            encoder,
        })
    }

    /// Takes the next piece of content.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.block.get_mut(self.filled..).unwrap_or_default();
            let (now, later) = bytes.split_at_checked(room.len()).unwrap_or((bytes, b""));
            if let Some(to) = room.get_mut(..now.len()) {
                to.copy_from_slice(now);
            }
            self.filled += now.len();
            bytes = later;
            self.send_if_full()?;
        }
        Ok(())
    }

    /// Takes exactly so many bytes from a file, without copying them twice.
    pub(crate) fn copy_from(&mut self, file: impl AsFd, size: u64) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let room = self.block.get_mut(self.filled..).unwrap_or_default();
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(room.len());
            let read = match rustix::io::read(&file, room.get_mut(..wanted).unwrap_or_default()) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            if read == 0 {
                let reason = "the file became shorter while it was read";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
            }
            self.filled += read;
            left = left.saturating_sub(read as u64);
            self.send_if_full()?;
        }
        Ok(())
    }

    /// Writes what is left, and says what the blob is.
    pub(crate) fn finish(mut self) -> io::Result<FinishedBlob> {
        self.send()?;
        let content_size = self.content.length();
        let content_digest = self.content.finish();
        let (digest, size, file) = match self.encoder {
            Encoder::Plain(file) => (content_digest, content_size, file),
            Encoder::Gzip(writer) => finish_hashed(writer.finish()?),
            Encoder::Zstd(writer) => finish_hashed(writer.finish()?),
        };
        Ok(FinishedBlob {
            digest: BlobDigest::new(digest),
            size,
            content_digest,
            content_size,
            file,
        })
    }

    fn send_if_full(&mut self) -> io::Result<()> {
        if self.filled == self.block.len() {
            self.send()
        } else {
            Ok(())
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let content = self.block.get(..self.filled).unwrap_or_default();
        self.content.update(content);
        self.filled = 0;
        match &mut self.encoder {
            Encoder::Plain(file) => file.write_all(content),
            Encoder::Gzip(writer) => writer.write_block(content),
            Encoder::Zstd(writer) => writer.write_all(content),
        }
    }
}

fn finish_hashed(output: HashedFile) -> (Digest, u64, File) {
    let size = output.hasher.length();
    (output.hasher.finish(), size, output.file)
}
