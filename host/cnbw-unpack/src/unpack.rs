//! The way in.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use cap_std::fs::Dir;

use crate::decode::{Found, MAGIC_BYTES, decoder, recognize};
use crate::error::{EntryName, UnpackError};
use crate::input::{Input, Source, failure};
use crate::name::Name;
use crate::options::{Format, Options};
use crate::tree::{Made, Summary, Tree};
use crate::{tar, zip};

/// Unpacks an archive below a directory. `observe` is told of each thing that was made.
///
/// The archive is read from its begin to its end, whatever its position is.
pub fn unpack<R: Read + Seek>(
    mut archive: R,
    into: &Dir,
    options: &Options,
    observe: &mut dyn FnMut(&Made<'_>),
) -> Result<Summary, UnpackError> {
    let read = |source| UnpackError::Read { source };
    archive.rewind().map_err(read)?;
    let begin = read_begin(&mut archive)?;
    let format = choose(options.format, &begin)?;
    archive.seek(SeekFrom::Start(0)).map_err(read)?;
    let mut tree = Tree::new(into, options.limits, observe);
    if format == Format::Zip {
        zip::unpack(Source(archive), &mut tree, options)?;
    } else {
        unpack_from(archive, format, &mut tree, options)?;
    }
    tree.finish()
}

/// Unpacks an archive that can be read only once. A zip archive cannot be unpacked so: what it holds stands at its end.
pub fn unpack_stream<R: Read>(
    mut archive: R,
    into: &Dir,
    options: &Options,
    observe: &mut dyn FnMut(&Made<'_>),
) -> Result<Summary, UnpackError> {
    let begin = read_begin(&mut archive)?;
    let format = choose(options.format, &begin)?;
    if format == Format::Zip {
        return Err(UnpackError::Read {
            source: io::Error::new(
                io::ErrorKind::NotSeekable,
                "a zip archive has to be a file; it cannot be read from a stream",
            ),
        });
    }
    let mut tree = Tree::new(into, options.limits, observe);
    unpack_from(
        Cursor::new(begin).chain(archive),
        format,
        &mut tree,
        options,
    )?;
    tree.finish()
}

fn unpack_from<R: Read>(
    archive: R,
    format: Format,
    tree: &mut Tree<'_>,
    options: &Options,
) -> Result<(), UnpackError> {
    let decoder = decoder(format, Source(archive)).map_err(|error| failure(error, format, b""))?;
    let mut input = Input::new(decoder, format, options.limits.decoded_bytes);
    if format == Format::Raw {
        return write_raw(&mut input, tree, options);
    }
    tar::unpack(&mut input, tree, options)
}

/// Writes the whole input as one file.
fn write_raw(
    input: &mut Input<'_>,
    tree: &mut Tree<'_>,
    options: &Options,
) -> Result<(), UnpackError> {
    let name = Name::parse(&options.file_name, &options.limits)?;
    input.entry.clone_from(&options.file_name);
    let mode = if options.executable { 0o755 } else { 0o644 };
    let mut file = tree.create_file(name.as_bytes(), mode)?;
    input.copy_all(|piece| file.write(piece))?;
    file.finish()
}

/// Reads as much as is needed to know what it is.
fn read_begin(archive: &mut impl Read) -> Result<Vec<u8>, UnpackError> {
    let mut begin = Vec::new();
    archive
        .take(MAGIC_BYTES as u64)
        .read_to_end(&mut begin)
        .map_err(|source| UnpackError::Read { source })?;
    Ok(begin)
}

fn choose(asked: Format, begin: &[u8]) -> Result<Format, UnpackError> {
    if asked == Format::Raw {
        return Ok(asked);
    }
    let found = recognize(begin);
    if let Found::Known(format) = found
        && (asked == Format::Auto || asked == format)
    {
        return Ok(format);
    }
    // The header's own fault can be named better than that it does not look like one.
    if asked == Format::Tar && matches!(found, Found::Other(_)) && begin.len() == MAGIC_BYTES {
        return Ok(asked);
    }
    Err(UnpackError::Format {
        expected: asked,
        found: found.words(),
    })
}

pub(crate) fn refused(entry: &[u8], rule: crate::error::Rule) -> UnpackError {
    UnpackError::Refused {
        entry: EntryName::new(entry),
        rule,
    }
}
