//! Listings: complete, sorted by bytes, and with the mounts in their places.

use std::collections::BTreeMap;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::bindings::sync::filesystem::types::DirectoryEntry;

use super::descriptor::descriptor_type;
use super::error::{CodeResult, code};
use super::namespace::{FileSystem, Node};

/// Most names of one directory: its listing is held in memory.
const MAX_NAMES: usize = 1_000_000;

/// A listing on its way to the guest. Each name is delivered once; a name that is not UTF-8 is an error in
/// its place.
#[derive(Debug)]
pub(super) struct Listing {
    entries: std::vec::IntoIter<CodeResult<DirectoryEntry>>,
}

impl Listing {
    pub(super) fn next(&mut self) -> CodeResult<Option<DirectoryEntry>> {
        self.entries.next().transpose()
    }
}

impl FileSystem {
    /// Lists a directory.
    pub(super) fn list(&self, node: &Node) -> CodeResult<Listing> {
        let mut names = BTreeMap::new();
        if node.dir().is_some() {
            read_names(node, &mut names)?;
        }
        for name in self.mounted_children(node) {
            names.insert(name, FileType::Directory);
        }
        let entries: Vec<_> = names
            .into_iter()
            .map(|(name, file_type)| {
                let name = String::from_utf8(name).map_err(|_| ErrorCode::IllegalByteSequence)?;
                Ok(DirectoryEntry {
                    type_: descriptor_type(file_type),
                    name,
                })
            })
            .collect();
        Ok(Listing {
            entries: entries.into_iter(),
        })
    }
}

fn read_names(node: &Node, names: &mut BTreeMap<Vec<u8>, FileType>) -> CodeResult<()> {
    let dir = node.dir().ok_or(ErrorCode::NoEntry)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(dir, ".", flags, Mode::empty()).map_err(code)?;
    let reader = rustix::fs::Dir::new(opened).map_err(code)?;
    for entry in reader {
        let entry = entry.map_err(code)?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if names.len() == MAX_NAMES {
            return Err(ErrorCode::Overflow);
        }
        let mut file_type = entry.file_type();
        if file_type == FileType::Unknown {
            file_type = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(code(errno)),
            };
        }
        names.insert(name.to_vec(), file_type);
    }
    Ok(())
}
