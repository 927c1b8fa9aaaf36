//! Tar: entry after entry, in one pass.

mod extended;
mod header;

use crate::error::{EntryName, Limit, Rule, UnpackError};
use crate::input::Input;
use crate::name::{Name, check_target};
use crate::options::{Format, Options};
use crate::tree::Tree;
use crate::unpack::refused;

use extended::Extended;
use header::{BLOCK, Header, Type};

pub(crate) use header::looks_like_tar;

/// Unpacks a tar archive.
pub(crate) fn unpack(
    input: &mut Input<'_>,
    tree: &mut Tree<'_>,
    options: &Options,
) -> Result<(), UnpackError> {
    let mut read_entries = 0;
    while let Some((header, extended)) = next(input, options)? {
        read_entries += 1;
        if read_entries > options.limits.read_entries {
            return Err(UnpackError::Limit {
                entry: EntryName::new(&input.entry),
                limit: Limit::ReadEntries(options.limits.read_entries),
            });
        }
        unpack_entry(input, tree, options, &header, &extended)?;
    }
    // The check of a compressed archive stands at its end.
    input.copy_all(|_| Ok(()))
}

/// Reads the next header with what extends it; `None` at the end.
fn next(
    input: &mut Input<'_>,
    options: &Options,
) -> Result<Option<(Header, Extended)>, UnpackError> {
    let mut extended = Extended::default();
    loop {
        let mut block = [0; BLOCK];
        match input.read_up_to(&mut block)? {
            BLOCK => {}
            // A compressed archive says itself that it is complete; some writers leave the end marker out.
            0 if input.format != Format::Tar && extended.is_empty() => return Ok(None),
            _ => return Err(input.truncated()),
        }
        if block == [0; BLOCK] {
            if !extended.is_empty() {
                return Err(input.damaged("an extended header stands for no entry"));
            }
            return match input.read_up_to(&mut block)? {
                0 => Ok(None),
                BLOCK if block == [0; BLOCK] => Ok(None),
                BLOCK => Err(input.damaged("entries follow after a block of zeros")),
                _ => Err(input.truncated()),
            };
        }
        let header = Header::parse(&block).map_err(|fault| input.damaged(fault))?;
        let entry = &mut input.entry;
        entry.clear();
        entry.extend_from_slice(&header.name);
        match header.kind {
            Type::LongName | Type::LongLink | Type::Extended | Type::Global => {
                extended.read(&header, input, options)?;
            }
            Type::File
            | Type::Directory
            | Type::HardLink
            | Type::Symlink
            | Type::Special
            | Type::Sparse
            | Type::Other(_) => return Ok(Some((header, extended))),
        }
    }
}

fn unpack_entry(
    input: &mut Input<'_>,
    tree: &mut Tree<'_>,
    options: &Options,
    header: &Header,
    extended: &Extended,
) -> Result<(), UnpackError> {
    let raw = extended.name().unwrap_or(&header.name);
    input.entry.clear();
    input.entry.extend_from_slice(raw);
    let refuse = |rule| refused(raw, rule);
    let size = extended.size(header).map_err(refuse)?;
    let name = Name::parse(raw, &options.limits)?;
    // Directories of old archives are files whose names end in a slash.
    let kind = if header.kind == Type::File && name.trailing_slash {
        Type::Directory
    } else {
        header.kind
    };
    match kind {
        Type::File => {}
        Type::Directory | Type::HardLink | Type::Symlink if size == 0 => {}
        Type::Directory | Type::HardLink | Type::Symlink => return Err(refuse(Rule::Content)),
        Type::Sparse => return Err(refuse(Rule::Sparse)),
        Type::Special => return Err(refuse(Rule::Special)),
        Type::Other(flag) => return Err(refuse(Rule::Type(flag))),
        Type::LongName | Type::LongLink | Type::Extended | Type::Global => {
            return Err(input.damaged("a header extends nothing"));
        }
    }
    // What is refused is refused even where it is not wanted; what is left out only has to be read over.
    let link = extended.link().unwrap_or(&header.link);
    if kind == Type::Symlink {
        check_target(link).map_err(refuse)?;
    }
    let Some(path) = name
        .strip(options.strip)
        .filter(|_| options.filter.wants(name.as_bytes()))
    else {
        if !name.as_bytes().is_empty() {
            tree.summary.left_out += 1;
        } else if kind != Type::Directory {
            return Err(refuse(Rule::NoName));
        }
        return input.skip(padded(size).ok_or_else(|| input.damaged("a size is too large"))?);
    };
    if kind == Type::Directory {
        tree.make_directory(path, header.mode)
    } else if kind == Type::Symlink {
        tree.make_symlink(path, link)
    } else if kind == Type::HardLink {
        let target = Name::parse(link, &options.limits).map_err(|_| refuse(Rule::HardLink))?;
        let target = target
            .strip(options.strip)
            .ok_or_else(|| refuse(Rule::HardLink))?;
        tree.copy_file(path, target)
    } else {
        tree.check_room(path, size)?;
        let mut file = tree.create_file(path, header.mode)?;
        input.copy(size, |piece| file.write(piece))?;
        file.finish()?;
        let padding = padded(size).ok_or_else(|| input.damaged("a size is too large"))? - size;
        input.skip(padding)
    }
}

/// Returns the size with the padding to whole blocks.
fn padded(size: u64) -> Option<u64> {
    size.checked_next_multiple_of(BLOCK as u64)
}
