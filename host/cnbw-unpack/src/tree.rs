//! Making files, directories and links below a directory, by handle and never through a link.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Write as _};

use cap_std::fs::Dir;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{EntryName, Limit, Rule, UnpackError};
use crate::name::{components, split_last};
use crate::options::Limits;
use crate::unpack::refused;

/// Of directories that no entry names.
const DIRECTORY_MODE: u32 = 0o755;

/// What an unpacker needs of a directory in order to write below it.
const OWNER_ALL: u32 = 0o700;

/// Permission bits; setuid, setgid and sticky are dropped.
const KEPT_BITS: u32 = 0o777;

/// For entering a directory, whatever its mode is.
const ENTER: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Regular files, hard links among them.
    pub files: u64,
    /// Directories that were not there before.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Hard links, each of which became a file of its own.
    pub hard_links: u64,
    /// Sum of the sizes of the files that were written. One that a later entry replaced still counts.
    pub bytes: u64,
    /// Entries that the filter or the stripping left out.
    pub left_out: u64,
}

/// What kind of thing was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// Something that was made, or a directory whose mode was set.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// Where, below the directory.
    pub path: &'a [u8],
    /// What.
    pub kind: Kind,
    /// Its permission bits; of a symbolic link 0777.
    pub mode: u32,
    /// The size of a file.
    pub size: u64,
}

/// The directory that is being filled.
pub(crate) struct Tree<'a> {
    root: BorrowedFd<'a>,
    /// Handles of the directories from the root to where the last entry was.
    open: Vec<(Vec<u8>, OwnedFd)>,
    /// Hashes of the paths of files made here: what hard links may lead to. A hash has 8 bytes however long the path
    /// is, and its key is random, so that nobody can make two paths meet.
    files: HashSet<u64>,
    hasher: RandomState,
    /// Modes that would keep us from writing below, set at the end.
    deferred: HashMap<Vec<u8>, u32>,
    limits: Limits,
    bytes_left: u64,
    entries_left: u64,
    pub(crate) summary: Summary,
    observe: &'a mut dyn FnMut(&Made<'_>),
}

impl<'a> Tree<'a> {
    pub(crate) fn new(
        root: &'a Dir,
        limits: Limits,
        observe: &'a mut dyn FnMut(&Made<'_>),
    ) -> Self {
        Self {
            root: root.as_fd(),
            open: Vec::new(),
            files: HashSet::new(),
            hasher: RandomState::new(),
            deferred: HashMap::new(),
            limits,
            bytes_left: limits.bytes,
            entries_left: limits.entries,
            summary: Summary::default(),
            observe,
        }
    }

    /// Makes a directory, or sets the mode of one that is there.
    pub(crate) fn make_directory(&mut self, path: &[u8], mode: u32) -> Result<(), UnpackError> {
        let mode = mode & KEPT_BITS;
        self.enter(path)?;
        let usable = mode & OWNER_ALL == OWNER_ALL;
        // The last word on a directory counts.
        if usable {
            self.deferred.remove(path);
            set_directory_mode(self.current(), b".", mode)
                .map_err(|errno| failed("set the mode of", path, errno))?;
        } else {
            self.deferred.insert(path.to_vec(), mode);
        }
        (self.observe)(&Made {
            path,
            kind: Kind::Directory,
            mode,
            size: 0,
        });
        Ok(())
    }

    /// Makes a symbolic link. Its target was checked.
    pub(crate) fn make_symlink(&mut self, path: &[u8], target: &[u8]) -> Result<(), UnpackError> {
        let (parent, last) = split_last(path);
        self.enter(parent)?;
        self.count_entry(path)?;
        let dir = self.current();
        let made = match rustix::fs::symlinkat(target, dir, last) {
            Err(Errno::EXIST) => {
                clear(dir, path, last)?;
                rustix::fs::symlinkat(target, dir, last)
            }
            other => other,
        };
        made.map_err(|errno| failed("make the link", path, errno))?;
        self.files.remove(&self.hasher.hash_one(path));
        self.summary.symlinks += 1;
        (self.observe)(&Made {
            path,
            kind: Kind::Symlink,
            mode: 0o777,
            size: 0,
        });
        Ok(())
    }

    /// Makes a file of its own with the content of one that was unpacked before.
    pub(crate) fn copy_file(&mut self, path: &[u8], target: &[u8]) -> Result<(), UnpackError> {
        if path == target || !self.files.contains(&self.hasher.hash_one(target)) {
            return Err(refused(path, Rule::HardLink));
        }
        let read = |errno| failed("read", target, errno);
        let (parent, last) = split_last(target);
        self.enter(parent)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.current(), last, flags, Mode::empty()).map_err(read)?;
        let stat = rustix::fs::fstat(&file).map_err(read)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused(path, Rule::HardLink));
        }
        let mut source = File::from(file);
        let mut copy = self.create_file(path, stat.st_mode)?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => copy.write(buffer.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(UnpackError::Write {
                        action: "read",
                        path: EntryName::new(target),
                        source,
                    });
                }
            }
        }
        copy.finish()?;
        self.summary.hard_links += 1;
        Ok(())
    }

    /// Makes an empty file in place of whatever file or link is there. Its content is to be written, then finished.
    pub(crate) fn create_file<'t>(
        &'t mut self,
        path: &'t [u8],
        mode: u32,
    ) -> Result<NewFile<'t, 'a>, UnpackError> {
        let (parent, last) = split_last(path);
        if last.is_empty() {
            return Err(refused(path, Rule::NoName));
        }
        self.enter(parent)?;
        self.count_entry(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = self.current();
        let create = || rustix::fs::openat(dir, last, flags, Mode::RUSR | Mode::WUSR);
        let file = match create() {
            Err(Errno::EXIST) => {
                clear(dir, path, last)?;
                create()
            }
            other => other,
        };
        let file = file.map_err(|errno| failed("create", path, errno))?;
        Ok(NewFile {
            file: File::from(file),
            path,
            mode: mode & KEPT_BITS,
            size: 0,
            done: false,
            tree: self,
        })
    }

    /// Returns an error if this many more bytes are too many.
    pub(crate) fn check_room(&self, path: &[u8], bytes: u64) -> Result<(), UnpackError> {
        if bytes > self.bytes_left {
            return Err(UnpackError::Limit {
                entry: EntryName::new(path),
                limit: Limit::Bytes(self.limits.bytes),
            });
        }
        Ok(())
    }

    /// Sets the modes that had to wait.
    pub(crate) fn finish(mut self) -> Result<Summary, UnpackError> {
        let mut deferred: Vec<_> = std::mem::take(&mut self.deferred).into_iter().collect();
        // What is inside comes first: its parents may become closed.
        deferred.sort_by_key(|(path, _)| std::cmp::Reverse(components(path).count()));
        for (path, mode) in &deferred {
            self.enter(path)?;
            set_directory_mode(self.current(), b".", *mode)
                .map_err(|errno| failed("set the mode of", path, errno))?;
        }
        Ok(self.summary)
    }

    fn count_entry(&mut self, path: &[u8]) -> Result<(), UnpackError> {
        self.entries_left = self
            .entries_left
            .checked_sub(1)
            .ok_or_else(|| UnpackError::Limit {
                entry: EntryName::new(path),
                limit: Limit::Entries(self.limits.entries),
            })?;
        Ok(())
    }

    fn current(&self) -> BorrowedFd<'_> {
        self.open
            .last()
            .map_or(self.root, |(_, handle)| handle.as_fd())
    }

    /// Makes `path` the current directory, making what is missing on the way.
    fn enter(&mut self, path: &[u8]) -> Result<(), UnpackError> {
        let mut depth = 0;
        let mut end = 0;
        for component in components(path) {
            end += component.len() + usize::from(depth > 0);
            if self
                .open
                .get(depth)
                .is_some_and(|(open, _)| open == component)
            {
                depth += 1;
                continue;
            }
            self.open.truncate(depth);
            let here = path.get(..end).unwrap_or(path);
            if depth >= self.limits.depth {
                return Err(UnpackError::Limit {
                    entry: EntryName::new(path),
                    limit: Limit::Depth(self.limits.depth),
                });
            }
            let handle = self.open_or_make(here, component)?;
            self.open.push((component.to_vec(), handle));
            depth += 1;
        }
        self.open.truncate(depth);
        Ok(())
    }

    fn open_or_make(&mut self, path: &[u8], name: &[u8]) -> Result<OwnedFd, UnpackError> {
        let open = |dir: BorrowedFd<'_>| rustix::fs::openat(dir, name, ENTER, Mode::empty());
        match open(self.current()) {
            Ok(handle) => return Ok(handle),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(not_entered(self.current(), path, name, errno)),
        }
        self.count_entry(path)?;
        let dir = self.current();
        rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(OWNER_ALL))
            .and_then(|()| set_directory_mode(dir, name, DIRECTORY_MODE))
            .map_err(|errno| failed("make the directory", path, errno))?;
        let handle = open(dir).map_err(|errno| failed("open the directory", path, errno))?;
        self.summary.directories += 1;
        (self.observe)(&Made {
            path,
            kind: Kind::Directory,
            mode: DIRECTORY_MODE,
            size: 0,
        });
        Ok(handle)
    }
}

/// A file that is being written. Without [`NewFile::finish`] it is removed again.
pub(crate) struct NewFile<'t, 'a> {
    file: File,
    path: &'t [u8],
    mode: u32,
    size: u64,
    done: bool,
    tree: &'t mut Tree<'a>,
}

impl NewFile<'_, '_> {
    pub(crate) fn write(&mut self, piece: &[u8]) -> Result<(), UnpackError> {
        self.tree.check_room(self.path, piece.len() as u64)?;
        self.file
            .write_all(piece)
            .map_err(|source| UnpackError::Write {
                action: "write",
                path: EntryName::new(self.path),
                source,
            })?;
        self.tree.bytes_left -= piece.len() as u64;
        self.size += piece.len() as u64;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<(), UnpackError> {
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(self.mode))
            .map_err(|errno| failed("set the mode of", self.path, errno))?;
        self.done = true;
        let tree = &mut *self.tree;
        tree.files.insert(tree.hasher.hash_one(self.path));
        tree.summary.files += 1;
        tree.summary.bytes += self.size;
        (tree.observe)(&Made {
            path: self.path,
            kind: Kind::File,
            mode: self.mode,
            size: self.size,
        });
        Ok(())
    }
}

impl Drop for NewFile<'_, '_> {
    fn drop(&mut self) {
        if !self.done {
            let (_, last) = split_last(self.path);
            // The error that led here says more than that this failed too.
            rustix::fs::unlinkat(self.tree.current(), last, AtFlags::empty()).ok();
        }
    }
}

/// Removes the file or link that is in the place of a new one.
fn clear(dir: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<(), UnpackError> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // Linux says the first, POSIX the second.
        Err(Errno::ISDIR | Errno::PERM) if kind_of(dir, name) == Some(FileType::Directory) => {
            Err(refused(path, Rule::DirectoryInTheWay))
        }
        Err(errno) => Err(failed("replace", path, errno)),
    }
}

/// Sets the mode of a directory that is there. A link in its place is not followed.
fn set_directory_mode(dir: BorrowedFd<'_>, name: &[u8], mode: u32) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    rustix::fs::fchmod(handle, Mode::from_raw_mode(mode))
}

fn not_entered(dir: BorrowedFd<'_>, path: &[u8], name: &[u8], errno: Errno) -> UnpackError {
    match (errno, kind_of(dir, name)) {
        (Errno::NOTDIR | Errno::LOOP, Some(FileType::Symlink)) => refused(path, Rule::ThroughLink),
        (Errno::NOTDIR, Some(_)) => refused(path, Rule::FileInTheWay),
        _ => failed("open the directory", path, errno),
    }
}

fn kind_of(dir: BorrowedFd<'_>, name: &[u8]) -> Option<FileType> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(stat.st_mode))
}

fn failed(action: &'static str, path: &[u8], errno: Errno) -> UnpackError {
    UnpackError::Write {
        action,
        path: EntryName::new(path),
        source: errno.into(),
    }
}
