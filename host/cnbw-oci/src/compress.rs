//! How layers are compressed, and readers for all ways.

use std::io::{self, BufReader, Chain, Cursor, Read};

pub(crate) mod gzip;

/// How the bytes of a layer are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// As one gzip member.
    Gzip,
    /// As zstd. The Docker family does not have it.
    Zstd,
}

impl Compression {
    /// The compression that a layer's media type announces. Blobs do not always keep what it says, so readers look
    /// at the first bytes instead: see [`open`].
    pub fn of_media_type(media_type: &str) -> Self {
        if media_type.ends_with("gzip") {
            Self::Gzip
        } else if media_type.ends_with("zstd") {
            Self::Zstd
        } else {
            Self::None
        }
    }

    /// The compression by a blob's first bytes.
    pub fn of_bytes(start: &[u8]) -> Self {
        if start.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else {
            Self::None
        }
    }
}

/// Reads the content of a blob, whichever way it is compressed; gzip may have several members.
///
/// What comes out can be much longer than what goes in: put [`Capped`] around it.
pub fn open<'a, R: Read + Send + 'a>(mut blob: R) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut start = Vec::new();
    blob.by_ref().take(4).read_to_end(&mut start)?;
    let compression = Compression::of_bytes(&start);
    let whole: Chain<Cursor<Vec<u8>>, R> = Cursor::new(start).chain(blob);
    Ok(match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(
            BufReader::with_capacity(BUFFER, whole),
        )),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(whole)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

const BUFFER: usize = 64 * 1024;

/// Largest window of a zstd blob that is accepted: 2^27 bytes, what the format's own tools accept unasked.
const ZSTD_WINDOW_LOG: u32 = 27;

/// A reader that fails when more comes than it was told to expect.
#[derive(Debug)]
pub struct Capped<R> {
    inner: R,
    left: u64,
    cap: u64,
}

impl<R> Capped<R> {
    /// Lets at most `cap` bytes through.
    pub fn new(inner: R, cap: u64) -> Self {
        Self {
            inner,
            left: cap,
            cap,
        }
    }
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let Some(left) = self.left.checked_sub(read as u64) else {
            let reason = format!(
                "there is more than the {} bytes that are accepted",
                self.cap
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        };
        self.left = left;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn read(blob: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        open(blob).unwrap().read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn every_compression_is_recognized_by_its_bytes() {
        assert_eq!(read(&gzip(b"hello")), b"hello");
        assert_eq!(
            read(&zstd::encode_all(b"hello".as_slice(), 1).unwrap()),
            b"hello"
        );
        for plain in ["hello", "", "h"] {
            assert_eq!(read(plain.as_bytes()), plain.as_bytes());
        }
    }

    #[test]
    fn all_members_of_a_gzip_file_are_read() {
        assert_eq!(read(&[gzip(b"a"), gzip(b"b")].concat()), b"ab");
    }

    #[test]
    fn a_capped_reader_fails_only_past_its_cap() {
        let mut content = Vec::new();
        Capped::new(b"abc".as_slice(), 3)
            .read_to_end(&mut content)
            .unwrap();
        assert_eq!(content, b"abc");
        let error = Capped::new(b"abcd".as_slice(), 3)
            .read_to_end(&mut content)
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn media_types_tell_the_compression() {
        use crate::manifest::media_type as media;
        for (media_type, compression) in [
            (media::OCI_LAYER, Compression::None),
            (media::OCI_LAYER_GZIP, Compression::Gzip),
            (media::OCI_LAYER_ZSTD, Compression::Zstd),
            (media::DOCKER_LAYER, Compression::None),
            (media::DOCKER_LAYER_GZIP, Compression::Gzip),
        ] {
            assert_eq!(
                Compression::of_media_type(media_type),
                compression,
                "{media_type}"
            );
        }
    }
}
