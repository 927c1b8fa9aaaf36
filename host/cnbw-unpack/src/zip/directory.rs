//! The directory at the end of a zip archive.

use std::io::{Read, Seek};

use crate::error::{EntryName, Limit, Rule, UnpackError};
use crate::options::Limits;

use super::fields::{
    Bytes, CENTRAL_BYTES, CENTRAL_SIGNATURE, END_BYTES, END_SIGNATURE, END64_BYTES,
    END64_SIGNATURE, LOCAL_BYTES, LOCATOR_BYTES, LOCATOR_SIGNATURE, UNREADABLE_FLAGS,
    central_values, second_name,
};
use super::{Archive, damaged};

/// The largest comment at the end, which has to be looked past.
const MAX_COMMENT: usize = 65_535;

/// The largest directory, which is held in memory: some half a million entries.
const MAX_DIRECTORY: u64 = 64 * 1024 * 1024;

/// Modes where the archive has none.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    File,
    Directory,
    Symlink,
}

/// An entry as the directory has it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) kind: Result<Type, Rule>,
    pub(super) mode: u32,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) compressed: u64,
    pub(super) size: u64,
    /// Where the header before its content begins.
    pub(super) offset: u64,
}

/// All entries, in the directory's order.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) entries: Vec<Entry>,
    /// Where entries begin, sorted, and the directory after them.
    offsets: Vec<u64>,
}

/// Where the directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    entries: u64,
    size: u64,
    offset: u64,
}

impl Directory {
    pub(super) fn read<R: Read + Seek>(
        archive: &mut Archive<R>,
        limits: &Limits,
    ) -> Result<Self, UnpackError> {
        let place = find(archive)?;
        if place.entries > limits.read_entries {
            return Err(limit(Limit::ReadEntries(limits.read_entries)));
        }
        if place.size > MAX_DIRECTORY {
            return Err(limit(Limit::ZipDirectory(MAX_DIRECTORY)));
        }
        let mut bytes = vec![0; usize::try_from(place.size).unwrap_or_default()];
        archive.go_to(place.offset)?;
        archive.read_exact(&mut bytes, b"")?;
        let mut rest = Bytes(&bytes);
        let mut entries = Vec::new();
        while !rest.0.is_empty() {
            let last = |entries: &Vec<Entry>| {
                entries
                    .last()
                    .map(|entry: &Entry| entry.name.clone())
                    .unwrap_or_default()
            };
            let entry = read_entry(&mut rest).map_err(|fault| fault.into_error(&last(&entries)))?;
            entries.push(entry);
        }
        if entries.len() as u64 != place.entries {
            return Err(damaged(
                b"",
                "the directory does not have as many entries as it says",
            ));
        }
        let mut offsets: Vec<u64> = entries.iter().map(|entry| entry.offset).collect();
        offsets.push(place.offset);
        offsets.sort_unstable();
        if offsets.last() != Some(&place.offset) {
            return Err(damaged(b"", "an entry begins after the directory"));
        }
        if let Some([_, twice]) = offsets.array_windows().find(|[one, next]| one == next) {
            let name = entries.iter().find(|entry| entry.offset == *twice);
            return Err(crate::unpack::refused(
                name.map(|entry| entry.name.as_slice()).unwrap_or_default(),
                Rule::Zip("it overlaps another entry"),
            ));
        }
        Ok(Self { entries, offsets })
    }

    /// Returns where the next thing begins after the entry that begins at an offset.
    pub(super) fn end_of_room(&self, offset: u64) -> u64 {
        let next = self.offsets.partition_point(|begin| *begin <= offset);
        self.offsets.get(next).copied().unwrap_or_default()
    }
}

fn limit(limit: Limit) -> UnpackError {
    UnpackError::Limit {
        entry: EntryName::default(),
        limit,
    }
}

/// Finds the end record, which stands at the end of the file but for a comment.
fn find<R: Read + Seek>(archive: &mut Archive<R>) -> Result<Place, UnpackError> {
    let length = archive.length()?;
    let tail_length = length.min((END_BYTES + MAX_COMMENT + LOCATOR_BYTES) as u64);
    let tail_begin = length - tail_length;
    let mut tail = vec![0; usize::try_from(tail_length).unwrap_or_default()];
    archive.go_to(tail_begin)?;
    archive.read_exact(&mut tail, b"")?;
    // The comment may hold something that looks like the record, and must then end elsewhere than the file does.
    let mut found = None;
    for begin in 0..tail.len().saturating_sub(END_BYTES - 1) {
        let record = tail.get(begin..).unwrap_or_default();
        if record.starts_with(&END_SIGNATURE.to_le_bytes())
            && let Some(comment) = record.get(20..22)
            && let Ok(comment) = comment.try_into().map(u16::from_le_bytes)
            && record.len() == END_BYTES + usize::from(comment)
            && found.replace(begin).is_some()
        {
            return Err(damaged(b"", "it has two ends"));
        }
    }
    let begin = found.ok_or_else(|| damaged(b"", "it has no directory at its end"))?;
    let end = tail_begin + begin as u64;
    let record = tail.get(begin..).unwrap_or_default();
    let short = read_end(record).ok_or_else(|| damaged(b"", "its end is not readable"))?;
    let locator = begin
        .checked_sub(LOCATOR_BYTES)
        .and_then(|begin| tail.get(begin..))
        .filter(|locator| locator.starts_with(&LOCATOR_SIGNATURE.to_le_bytes()));
    let (place, end) = match locator {
        None => (short, end),
        Some(locator) => find64(archive, locator, short, end - LOCATOR_BYTES as u64)?,
    };
    // Bytes between would be read by some programs and not by others.
    if place.offset.checked_add(place.size) != Some(end) {
        return Err(damaged(b"", "its directory is not where its end says"));
    }
    Ok(place)
}

/// Reads the end record; `None` for an archive in several files.
fn read_end(record: &[u8]) -> Option<Place> {
    let mut record = Bytes(record.get(4..)?);
    let (disk, first_disk) = (record.u16()?, record.u16()?);
    let (here, entries) = (record.u16()?, record.u16()?);
    let size = record.u32()?;
    let offset = record.u32()?;
    if disk != first_disk || !matches!(disk, 0 | u16::MAX) || here != entries {
        return None;
    }
    Some(Place {
        entries: u64::from(entries),
        size: u64::from(size),
        offset: u64::from(offset),
    })
}

/// Reads the 64-bit end record. What the short one says must be the same or say that it does not know.
fn find64<R: Read + Seek>(
    archive: &mut Archive<R>,
    locator: &[u8],
    short: Place,
    locator_begin: u64,
) -> Result<(Place, u64), UnpackError> {
    let unreadable = || damaged(b"", "its 64-bit end is not readable");
    let mut locator = Bytes(locator.get(8..).unwrap_or_default());
    let begin = locator.u64().ok_or_else(unreadable)?;
    let mut record = [0; END64_BYTES];
    if begin
        .checked_add(END64_BYTES as u64)
        .is_none_or(|end| end > locator_begin)
    {
        return Err(unreadable());
    }
    archive.go_to(begin)?;
    archive.read_exact(&mut record, b"")?;
    let mut record = Bytes(&record);
    let mut place = || {
        if record.u32()? != END64_SIGNATURE {
            return None;
        }
        let length = record.u64()?;
        let _versions = record.u32()?;
        let (disk, first_disk) = (record.u32()?, record.u32()?);
        let (here, entries) = (record.u64()?, record.u64()?);
        let place = Place {
            entries,
            size: record.u64()?,
            offset: record.u64()?,
        };
        let end = begin.checked_add(12)?.checked_add(length)?;
        (disk == 0 && first_disk == 0 && here == entries && end == locator_begin).then_some(place)
    };
    let place = place().ok_or_else(unreadable)?;
    let agrees = |short: u64, unknown: u64, long: u64| short == unknown || short == long;
    if !agrees(short.entries, u64::from(u16::MAX), place.entries)
        || !agrees(short.size, u64::from(u32::MAX), place.size)
        || !agrees(short.offset, u64::from(u32::MAX), place.offset)
    {
        return Err(damaged(b"", "its two ends say different things"));
    }
    Ok((place, begin))
}

/// Why an entry of the directory cannot be taken.
enum Fault {
    Torn,
    Refused(Vec<u8>, Rule),
}

impl Fault {
    fn into_error(self, last: &[u8]) -> UnpackError {
        match self {
            Self::Torn => damaged(last, "an entry of its directory is not readable"),
            Self::Refused(name, rule) => crate::unpack::refused(&name, rule),
        }
    }
}

fn read_entry(rest: &mut Bytes<'_>) -> Result<Entry, Fault> {
    let torn = || Fault::Torn;
    let mut header = Bytes(rest.take(CENTRAL_BYTES).ok_or_else(torn)?);
    if header.u32() != Some(CENTRAL_SIGNATURE) {
        return Err(Fault::Torn);
    }
    let made_by = header.u16().ok_or_else(torn)?;
    let _needed = header.u16().ok_or_else(torn)?;
    let flags = header.u16().ok_or_else(torn)?;
    let method = header.u16().ok_or_else(torn)?;
    let _time = header.u32().ok_or_else(torn)?;
    let crc = header.u32().ok_or_else(torn)?;
    let compressed = header.u32().ok_or_else(torn)?;
    let size = header.u32().ok_or_else(torn)?;
    let name_length = header.u16().ok_or_else(torn)?;
    let extra_length = header.u16().ok_or_else(torn)?;
    let comment_length = header.u16().ok_or_else(torn)?;
    let disk = header.u16().ok_or_else(torn)?;
    let _internal = header.u16().ok_or_else(torn)?;
    let external = header.u32().ok_or_else(torn)?;
    let offset = header.u32().ok_or_else(torn)?;
    let name = rest.take(usize::from(name_length)).ok_or_else(torn)?;
    let extra = rest.take(usize::from(extra_length)).ok_or_else(torn)?;
    let _comment = rest.take(usize::from(comment_length)).ok_or_else(torn)?;
    let refuse = |what| Fault::Refused(name.to_vec(), Rule::Zip(what));
    if flags & UNREADABLE_FLAGS != 0 {
        return Err(refuse("it is encrypted or patched"));
    }
    if !matches!(disk, 0 | u16::MAX) {
        return Err(refuse("it is in another file"));
    }
    if second_name(extra).is_some_and(|second| second != name) {
        return Err(refuse("it has two names"));
    }
    // The 64-bit values stand in this order, each only if its own field is full.
    let mut long = central_values(extra);
    let mut value = |short: u32| match &mut long {
        Some(long) if short == u32::MAX => long.u64().ok_or_else(torn),
        _ => Ok(u64::from(short)),
    };
    let size = value(size)?;
    let compressed = value(compressed)?;
    let offset = value(offset)?;
    if offset.checked_add(LOCAL_BYTES as u64).is_none() {
        return Err(Fault::Torn);
    }
    let (kind, mode) = kind_and_mode(made_by, external, name);
    Ok(Entry {
        name: name.to_vec(),
        kind,
        mode,
        method,
        crc,
        compressed,
        size,
        offset,
    })
}

/// Reads the attributes that the writer's system gave the entry.
fn kind_and_mode(made_by: u16, external: u32, name: &[u8]) -> (Result<Type, Rule>, u32) {
    const UNIX: u16 = 3;
    const MAC: u16 = 19;
    const DOS_DIRECTORY: u32 = 0x10;
    let slash = name.ends_with(b"/");
    let unix = external >> 16;
    if !matches!(made_by >> 8, UNIX | MAC) || unix == 0 {
        return if slash || external & DOS_DIRECTORY != 0 {
            (Ok(Type::Directory), DIRECTORY_MODE)
        } else {
            (Ok(Type::File), FILE_MODE)
        };
    }
    let kind = match unix & 0o170_000 {
        0o040_000 => Ok(Type::Directory),
        0o120_000 => Ok(Type::Symlink),
        0 | 0o100_000 if slash => Ok(Type::Directory),
        0 | 0o100_000 => Ok(Type::File),
        _ => Err(Rule::Special),
    };
    let mode = match (unix & 0o7777, kind) {
        (0, Ok(Type::Directory)) => DIRECTORY_MODE,
        (0, _) => FILE_MODE,
        (mode, _) => mode,
    };
    (kind, mode)
}
