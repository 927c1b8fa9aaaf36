//! Reads trees that guests made: by handle, never through a link, never opening anything special.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::{EntryKind, LayerError};

/// How deep directories may be nested. Each level keeps a file descriptor open.
const DEPTH_CAP: usize = 1_024;

/// One thing that a walk comes to.
pub(super) struct Visit<'a> {
    /// The directory that it is in.
    pub(super) parent: BorrowedFd<'a>,
    /// Its name there.
    pub(super) name: &'a CStr,
    /// Its path, from the tree's root.
    pub(super) path: &'a [u8],
    pub(super) kind: EntryKind,
    /// If it is a directory: the directory itself.
    pub(super) directory: Option<BorrowedFd<'a>>,
}

struct Level {
    directory: OwnedFd,
    names: Names,
    next: usize,
    path_length: usize,
}

/// Visits everything below a directory, a directory before its content, siblings sorted bytewise.
///
/// `base` is what the tree is called in errors.
pub(super) fn walk<F>(root: BorrowedFd<'_>, base: &str, mut visit: F) -> Result<(), LayerError>
where
    F: FnMut(&Visit<'_>) -> Result<(), LayerError>,
{
    let mut path = Vec::new();
    let directory = open_directory(root, c".").map_err(|source| io("open", base, b"", source))?;
    let mut levels = vec![enter(directory, base, &path)?];
    while let Some(level) = levels.last_mut() {
        path.truncate(level.path_length);
        let Some((name, kind)) = level.names.get(level.next) else {
            levels.pop();
            continue;
        };
        level.next += 1;
        if level.path_length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        let parent = level.directory.as_fd();
        let kind = kind_of(parent, name, kind, base, &path)?;
        if kind == EntryKind::Directory {
            let inner =
                open_directory(parent, name).map_err(|source| io("open", base, &path, source))?;
            let directory = Some(inner.as_fd());
            visit(&Visit {
                parent,
                name,
                path: &path,
                kind,
                directory,
            })?;
            if levels.len() >= DEPTH_CAP {
                return Err(refused(
                    base,
                    &path,
                    "directories are nested more than 1024 deep",
                ));
            }
            levels.push(enter(inner, base, &path)?);
        } else {
            visit(&Visit {
                parent,
                name,
                path: &path,
                kind,
                directory: None,
            })?;
        }
    }
    Ok(())
}

fn enter(directory: OwnedFd, base: &str, path: &[u8]) -> Result<Level, LayerError> {
    let names = Names::read(&directory).map_err(|source| io("list", base, path, source))?;
    Ok(Level {
        directory,
        names,
        next: 0,
        path_length: path.len(),
    })
}

/// Opens a directory that is really one, not a link to one.
pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Says what is at a name, asking the file system only if listing the directory did not tell.
pub(super) fn kind_of(
    parent: BorrowedFd<'_>,
    name: &CStr,
    listed: FileType,
    base: &str,
    path: &[u8],
) -> Result<EntryKind, LayerError> {
    let found = if listed == FileType::Unknown {
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|source| io("look at", base, path, source))?;
        FileType::from_raw_mode(stat.st_mode)
    } else {
        listed
    };
    match found {
        FileType::RegularFile => Ok(EntryKind::File),
        FileType::Directory => Ok(EntryKind::Directory),
        FileType::Symlink => Ok(EntryKind::Symlink),
        FileType::Socket => Ok(EntryKind::Socket),
        FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => {
            Err(refused(base, path, "it is a fifo or a device"))
        }
    }
}

/// Names of one directory, in little memory: a directory may hold millions.
struct Names {
    /// The names, each with its closing zero byte.
    bytes: Vec<u8>,
    entries: Vec<(u32, FileType)>,
}

impl Names {
    fn read(directory: &OwnedFd) -> Result<Self, Errno> {
        let mut names = Self {
            bytes: Vec::new(),
            entries: Vec::new(),
        };
        let mut buffer = Vec::with_capacity(32 * 1024);
        let mut listing = RawDir::new(directory, buffer.spare_capacity_mut());
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                let start = u32::try_from(names.bytes.len()).map_err(|_| Errno::OVERFLOW)?;
                names.entries.push((start, entry.file_type()));
                names.bytes.extend_from_slice(name.to_bytes_with_nul());
            }
        }
        let Self { bytes, entries } = &mut names;
        entries.sort_unstable_by(|left, right| name_at(bytes, left.0).cmp(name_at(bytes, right.0)));
        Ok(names)
    }

    fn get(&self, index: usize) -> Option<(&CStr, FileType)> {
        let (start, kind) = self.entries.get(index)?;
        Some((name_at(&self.bytes, *start), *kind))
    }
}

fn name_at(bytes: &[u8], start: u32) -> &CStr {
    let rest = bytes.get(start as usize..).unwrap_or_default();
    CStr::from_bytes_until_nul(rest).unwrap_or_default()
}

/// Handles of the directories on the way to the last path that was asked for: paths that come sorted share most of it.
pub(super) struct Chain<'a> {
    root: BorrowedFd<'a>,
    open: Vec<(Vec<u8>, OwnedFd)>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(root: BorrowedFd<'a>) -> Self {
        Self {
            root,
            open: Vec::new(),
        }
    }

    /// Opens the directory with these components below the root, going through no link.
    pub(super) fn open(&mut self, components: &[&[u8]]) -> Result<BorrowedFd<'_>, Errno> {
        if components.len() >= DEPTH_CAP {
            return Err(Errno::NAMETOOLONG);
        }
        let same = |((have, _), want): &(&(Vec<u8>, OwnedFd), &&[u8])| have.as_slice() == **want;
        let shared = self.open.iter().zip(components).take_while(same).count();
        self.open.truncate(shared);
        for component in components.iter().skip(shared) {
            let name = std::ffi::CString::new(*component).map_err(|_| Errno::INVAL)?;
            let next = open_directory(self.last(), &name)?;
            self.open.push((component.to_vec(), next));
        }
        Ok(self.last())
    }

    fn last(&self) -> BorrowedFd<'_> {
        self.open
            .last()
            .map_or(self.root, |(_, directory)| directory.as_fd())
    }
}

/// What a path below a tree is called in an error.
pub(super) fn shown(base: &str, path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    match (base.is_empty(), path.is_empty()) {
        (true, _) => path.into_owned(),
        (false, true) => base.to_owned(),
        (false, false) => format!("{base}/{path}"),
    }
}

pub(super) fn io(
    action: &'static str,
    base: &str,
    path: &[u8],
    source: impl Into<std::io::Error>,
) -> LayerError {
    LayerError::Io {
        action,
        path: shown(base, path),
        source: source.into(),
    }
}

pub(super) fn refused(base: &str, path: &[u8], rule: &'static str) -> LayerError {
    LayerError::Refused {
        path: shown(base, path),
        rule,
    }
}
