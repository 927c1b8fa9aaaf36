//! What an archive's first bytes say, and the decoders that its compression needs.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;

use crate::input::Source;
use crate::options::Format;
use crate::tar::looks_like_tar;

/// Enough to know every format: a tar header.
pub(crate) const MAGIC_BYTES: usize = 512;

/// The largest dictionary that an xz archive may ask for, in KiB: what `xz -9` makes, with what the decoder needs.
const XZ_MEMORY_KIB: u32 = 72 * 1024;

/// The largest window that a zstd archive may ask for, as a power of two: what `zstd --ultra -22` makes.
const ZSTD_WINDOW_LOG: u32 = 27;

/// What an archive is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Known(Format),
    /// Something else, in words.
    Other(&'static str),
}

/// Reads the magic.
pub(crate) fn recognize(begin: &[u8]) -> Found {
    match begin {
        [] => Found::Other("empty"),
        [0x1f, 0x8b, ..] => Found::Known(Format::TarGz),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Found::Known(Format::TarXz),
        // The second is a frame to be skipped, with which some writers begin.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Found::Known(Format::TarZst)
        }
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Found::Known(Format::Zip),
        [b'B', b'Z', b'h', ..] => Found::Other("compressed with bzip2"),
        [b'7', b'z', 0xbc, 0xaf, ..] => Found::Other("a 7z archive"),
        [b'R', b'a', b'r', b'!', ..] => Found::Other("a rar archive"),
        [0x7f, b'E', b'L', b'F', ..] => Found::Other("a program"),
        [b'<', ..] => Found::Other("a web page or XML document"),
        _ if looks_like_tar(begin) => Found::Known(Format::Tar),
        _ => Found::Other("no archive of a known kind"),
    }
}

impl Found {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Known(Format::TarGz) => "compressed with gzip",
            Self::Known(Format::TarXz) => "compressed with xz",
            Self::Known(Format::TarZst) => "compressed with zstd",
            Self::Known(Format::Zip) => "a zip archive",
            Self::Known(Format::Tar | Format::Auto | Format::Raw) => "a tar archive",
            Self::Other(words) => words,
        }
    }
}

/// Puts the decoder of a format before an archive.
pub(crate) fn decoder<'a, R: Read + 'a>(
    format: Format,
    source: Source<R>,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match format {
        Format::TarGz => Box::new(Members::new(BufReader::with_capacity(64 * 1024, source))),
        Format::TarXz => {
            let buffered = BufReader::with_capacity(64 * 1024, source);
            Box::new(XzReader::new_mem_limit(buffered, true, XZ_MEMORY_KIB))
        }
        Format::TarZst => {
            let mut decoder = zstd::Decoder::new(source)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
        Format::Auto | Format::Tar | Format::Zip | Format::Raw => Box::new(source),
    })
}

/// Reads the members of a gzip file one after the other, and zeros after the last one, as `gzip` does.
struct Members<R> {
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    fn new(source: R) -> Self {
        Self {
            member: Some(GzDecoder::new(source)),
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            // The member has ended, and its check was right.
            let padded = member.get_mut().fill_buf()?.first() == Some(&0);
            if padded {
                skip_zeros(member.get_mut())?;
            }
            let over = padded || member.get_mut().fill_buf()?.is_empty();
            self.member = match self.member.take() {
                Some(member) if !over => Some(GzDecoder::new(member.into_inner())),
                _ => None,
            };
        }
        Ok(0)
    }
}

fn skip_zeros(source: &mut impl BufRead) -> io::Result<()> {
    loop {
        let available = source.fill_buf()?;
        let length = available.len();
        if length == 0 {
            return Ok(());
        }
        if available.iter().any(|byte| *byte != 0) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "something else follows after the compressed data",
            ));
        }
        source.consume(length);
    }
}
