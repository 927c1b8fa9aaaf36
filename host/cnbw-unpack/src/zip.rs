//! Zip: the directory at the end is the truth, and what stands before each entry must agree with it.

mod directory;
mod fields;

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use crate::error::{EntryName, Rule, UnpackError};
use crate::input::{Source, failure};
use crate::name::{Name, check_target};
use crate::options::{Format, Options};
use crate::tree::Tree;
use crate::unpack::refused;

use directory::{Directory, Entry, Type};
use fields::{Bytes, LOCAL_BYTES, LOCAL_SIGNATURE};

const BUFFER_BYTES: usize = 64 * 1024;

/// The largest target of a symbolic link that is read.
const TARGET_BYTES: u64 = 4096;

/// Unpacks a zip archive.
pub(crate) fn unpack<R: Read + Seek>(
    archive: Source<R>,
    tree: &mut Tree<'_>,
    options: &Options,
) -> Result<(), UnpackError> {
    let mut archive = Archive {
        reader: BufReader::with_capacity(BUFFER_BYTES, archive),
    };
    let directory = Directory::read(&mut archive, &options.limits)?;
    for entry in &directory.entries {
        unpack_entry(&mut archive, tree, options, &directory, entry)?;
    }
    Ok(())
}

/// The file, with errors that name what was being read.
pub(crate) struct Archive<R> {
    reader: BufReader<Source<R>>,
}

impl<R: Read + Seek> Archive<R> {
    /// Returns the length of the file.
    fn length(&mut self) -> Result<u64, UnpackError> {
        self.reader
            .get_mut()
            .0
            .seek(SeekFrom::End(0))
            .map_err(|source| UnpackError::Read { source })
    }

    fn go_to(&mut self, position: u64) -> Result<(), UnpackError> {
        self.reader
            .seek(SeekFrom::Start(position))
            .map(drop)
            .map_err(|source| UnpackError::Read { source })
    }

    fn read_exact(&mut self, buffer: &mut [u8], entry: &[u8]) -> Result<(), UnpackError> {
        self.reader
            .read_exact(buffer)
            .map_err(|error| failure(error, Format::Zip, entry))
    }
}

impl<R: Read + Seek> Seek for Source<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.0.seek(position)
    }
}

fn damaged(entry: &[u8], fault: &'static str) -> UnpackError {
    UnpackError::Damaged {
        entry: EntryName::new(entry),
        format: Format::Zip,
        fault,
    }
}

fn unpack_entry<R: Read + Seek>(
    archive: &mut Archive<R>,
    tree: &mut Tree<'_>,
    options: &Options,
    directory: &Directory,
    entry: &Entry,
) -> Result<(), UnpackError> {
    let refuse = |rule| refused(&entry.name, rule);
    if entry.name.contains(&b'\\') {
        return Err(refuse(Rule::ForeignPath));
    }
    let name = Name::parse(&entry.name, &options.limits)?;
    let kind = entry.kind.map_err(refuse)?;
    if kind != Type::Directory && (name.trailing_slash || name.as_bytes().is_empty()) {
        return Err(refuse(Rule::NoName));
    }
    if kind == Type::Directory && (entry.size != 0 || entry.crc != 0) {
        return Err(refuse(Rule::Content));
    }
    if kind == Type::Symlink && (entry.size == 0 || entry.size > TARGET_BYTES) {
        return Err(refuse(Rule::LinkTarget));
    }
    find_content(archive, directory, entry)?;
    let Some(path) = name
        .strip(options.strip)
        .filter(|_| options.filter.wants(name.as_bytes()))
    else {
        if !name.as_bytes().is_empty() {
            tree.summary.left_out += 1;
        }
        return Ok(());
    };
    if kind == Type::Directory {
        tree.make_directory(path, entry.mode)
    } else if kind == Type::Symlink {
        let mut target = Vec::new();
        read_content(archive, entry, |piece| {
            target.extend_from_slice(piece);
            Ok(())
        })?;
        check_target(&target).map_err(refuse)?;
        tree.make_symlink(path, &target)
    } else {
        tree.check_room(path, entry.size)?;
        let mut file = tree.create_file(path, entry.mode)?;
        read_content(archive, entry, |piece| file.write(piece))?;
        file.finish()
    }
}

/// Goes to an entry's content, comparing the header before it with the directory.
fn find_content<R: Read + Seek>(
    archive: &mut Archive<R>,
    directory: &Directory,
    entry: &Entry,
) -> Result<(), UnpackError> {
    let differs = |what| refused(&entry.name, Rule::Zip(what));
    let torn = || damaged(&entry.name, "the header before an entry is too short");
    archive.go_to(entry.offset)?;
    let mut header = [0; LOCAL_BYTES];
    archive.read_exact(&mut header, &entry.name)?;
    let mut header = Bytes(&header);
    if header.u32() != Some(LOCAL_SIGNATURE) {
        return Err(damaged(
            &entry.name,
            "there is no entry where the directory says",
        ));
    }
    let _version = header.u16().ok_or_else(torn)?;
    let flags = header.u16().ok_or_else(torn)?;
    let method = header.u16().ok_or_else(torn)?;
    let _time = header.u32().ok_or_else(torn)?;
    let crc = header.u32().ok_or_else(torn)?;
    let compressed = header.u32().ok_or_else(torn)?;
    let size = header.u32().ok_or_else(torn)?;
    let name_length = header.u16().ok_or_else(torn)?;
    let extra_length = header.u16().ok_or_else(torn)?;
    if flags & fields::UNREADABLE_FLAGS != 0 {
        return Err(differs("it is encrypted or patched"));
    }
    if method != entry.method {
        return Err(differs("its two headers give two ways of compression"));
    }
    let mut name = vec![0; usize::from(name_length)];
    archive.read_exact(&mut name, &entry.name)?;
    if name != entry.name {
        return Err(differs("its two headers give two names"));
    }
    let mut extra = vec![0; usize::from(extra_length)];
    archive.read_exact(&mut extra, &entry.name)?;
    // With this flag the values stand after the content, and the header has zeros.
    let later = flags & fields::VALUES_FOLLOW != 0;
    let long = fields::local_sizes(&extra);
    let is = |short: u32, long: Option<u64>, expected: u64| {
        let said = match long {
            Some(long) if short == u32::MAX => long,
            _ => u64::from(short),
        };
        said == expected || (later && said == 0)
    };
    if !is(size, long.map(|(size, _)| size), entry.size)
        || !is(
            compressed,
            long.map(|(_, compressed)| compressed),
            entry.compressed,
        )
        || !(crc == entry.crc || (later && crc == 0))
    {
        return Err(differs("its two headers give two sizes or checksums"));
    }
    let begin =
        entry.offset + LOCAL_BYTES as u64 + u64::from(name_length) + u64::from(extra_length);
    let end = begin.checked_add(entry.compressed);
    if end.is_none_or(|end| end > directory.end_of_room(entry.offset)) {
        return Err(differs("it overlaps another entry"));
    }
    Ok(())
}

/// Passes an entry's content on and checks it. The position is at its begin.
fn read_content<R: Read + Seek>(
    archive: &mut Archive<R>,
    entry: &Entry,
    to: impl FnMut(&[u8]) -> Result<(), UnpackError>,
) -> Result<(), UnpackError> {
    let mut content = (&mut archive.reader).take(entry.compressed);
    match entry.method {
        fields::STORED if entry.compressed == entry.size => copy(&mut content, entry, to)?,
        fields::DEFLATED => copy(&mut DeflateDecoder::new(&mut content), entry, to)?,
        fields::STORED => return Err(damaged(&entry.name, "an entry's two sizes differ")),
        _ => {
            let rule = Rule::Zip("its way of compression is neither `stored` nor `deflated`");
            return Err(refused(&entry.name, rule));
        }
    }
    if content.limit() != 0 {
        return Err(damaged(
            &entry.name,
            "something follows after an entry's content",
        ));
    }
    Ok(())
}

fn copy(
    from: &mut impl Read,
    entry: &Entry,
    mut to: impl FnMut(&[u8]) -> Result<(), UnpackError>,
) -> Result<(), UnpackError> {
    let mut crc = Crc::new();
    let mut left = entry.size;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failure(error, Format::Zip, &entry.name)),
        };
        let piece = buffer.get(..count).unwrap_or_default();
        left = left
            .checked_sub(count as u64)
            .ok_or_else(|| damaged(&entry.name, "an entry is larger than the directory says"))?;
        crc.update(piece);
        to(piece)?;
    }
    if left != 0 {
        return Err(damaged(
            &entry.name,
            "an entry is smaller than the directory says",
        ));
    }
    if crc.sum() != entry.crc {
        return Err(damaged(&entry.name, "the checksum of an entry is wrong"));
    }
    Ok(())
}
