//! What is sent: bytes at hand, a file, or a blob of another place. All can be read again from any offset.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use cnbw_oci::descriptor::Descriptor;
use cnbw_oci::image::Blobs;

/// The body of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    /// Bytes at hand, perhaps none.
    Bytes(&'a [u8]),
    /// The first so many bytes of a file.
    File(&'a File, u64),
    /// A blob that another place has.
    Blob(&'a dyn Blobs, &'a Descriptor),
}

impl<'a> Content<'a> {
    /// A request without a body.
    pub(crate) const NOTHING: Content<'static> = Content::Bytes(&[]);

    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
            Self::Blob(_, descriptor) => descriptor.size,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length() == 0
    }

    /// Says in a message what is sent.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Bytes(_) => "a document".to_owned(),
            Self::File(..) => "a file".to_owned(),
            Self::Blob(_, descriptor) => descriptor.digest.to_string(),
        }
    }

    /// Opens what comes after an offset.
    pub(crate) fn open(&self, offset: u64) -> io::Result<Box<dyn Read + Send + 'a>> {
        match *self {
            Self::Bytes(bytes) => {
                let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                Ok(Box::new(bytes.get(offset..).unwrap_or_default()))
            }
            Self::File(file, length) => Ok(Box::new(FilePart {
                file,
                position: offset,
                end: length,
            })),
            Self::Blob(blobs, descriptor) => {
                let mut reader = blobs.open(descriptor).map_err(io::Error::other)?;
                let skipped = io::copy(&mut (&mut reader).take(offset), &mut io::sink())?;
                if skipped < offset {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(reader)
            }
        }
    }
}

/// Reads a part of a file wherever its own position is: several threads may send one file.
struct FilePart<'a> {
    file: &'a File,
    position: u64,
    end: u64,
}

impl Read for FilePart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let Some(part) = buffer.get_mut(..wanted) else {
            return Ok(0);
        };
        let read = self.file.read_at(part, self.position)?;
        if read == 0 && wanted > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file is shorter than its descriptor says",
            ));
        }
        self.position += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(content: Content<'_>, offset: u64) -> io::Result<String> {
        let mut text = String::new();
        content.open(offset)?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn bytes_and_files_are_read_from_any_offset() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello and more").unwrap();
        for (offset, expected) in [(0, "hello"), (2, "llo"), (5, ""), (9, "")] {
            assert_eq!(read(Content::Bytes(b"hello"), offset).unwrap(), expected);
            assert_eq!(read(Content::File(&file, 5), offset).unwrap(), expected);
        }
    }

    #[test]
    fn a_file_that_is_too_short_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hel").unwrap();
        let error = read(Content::File(&file, 5), 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
