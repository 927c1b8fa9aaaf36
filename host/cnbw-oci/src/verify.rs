//! Readers that check what they deliver.

use std::io::{self, Read};

use crate::descriptor::Descriptor;
use crate::digest::{BlobDigest, Hasher};

/// A blob's reader that fails unless digest and size are those of the descriptor.
///
/// The digest is known at the end only: nothing may be done for good with the bytes before the end was reached.
#[derive(Debug)]
pub struct Verified<R> {
    inner: R,
    hasher: Option<Hasher>,
    digest: BlobDigest,
    size: u64,
}

impl<R> Verified<R> {
    /// Checks a reader against a descriptor.
    pub fn new(inner: R, descriptor: &Descriptor) -> Self {
        Self {
            inner,
            hasher: Some(Hasher::new()),
            digest: descriptor.digest,
            size: descriptor.size,
        }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let Some(hasher) = &mut self.hasher else {
            return Ok(0);
        };
        hasher.update(buffer.get(..read).unwrap_or_default());
        let length = hasher.length();
        if length > self.size {
            return Err(invalid(format!(
                "the blob has more than the {} bytes that it should have",
                self.size
            )));
        }
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        if length < self.size {
            return Err(invalid(format!(
                "the blob has {length} bytes and should have {}",
                self.size
            )));
        }
        match self.hasher.take().map(Hasher::finish) {
            Some(found) if found != self.digest.digest() => {
                Err(invalid(format!("the blob's digest is {found}")))
            }
            _ => Ok(0),
        }
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], descriptor: &Descriptor) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        Verified::new(content, descriptor)
            .read_to_end(&mut read)
            .map(|_| read)
    }

    #[test]
    fn only_the_blob_itself_gets_through() {
        let descriptor = Descriptor::of("", b"hello");
        assert_eq!(read(b"hello", &descriptor).unwrap(), b"hello");
        for wrong in ["hell", "hello!", "hellx", ""] {
            let error = read(wrong.as_bytes(), &descriptor).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{wrong}");
        }
    }

    #[test]
    fn the_end_stays_the_end() {
        let mut reader = Verified::new(b"a".as_slice(), &Descriptor::of("", b"a"));
        let mut buffer = [0; 4];
        assert_eq!(reader.read(&mut buffer).unwrap(), 1);
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
    }
}
