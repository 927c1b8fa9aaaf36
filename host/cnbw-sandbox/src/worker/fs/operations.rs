//! What can be done at a path: look, open, make, link, rename, remove.

use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::error::{CodeResult, code};
use super::namespace::{Base, Entry, FileSystem, Node, Target};
use crate::protocol::Refused;

/// Permission bits of new files, before anything else is said.
const NEW_FILE_MODE: Mode = Mode::from_raw_mode(0o644);

/// Permission bits of new directories.
const NEW_DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// Longest target of a link in bytes.
const MAX_TARGET_BYTES: usize = 4095;

/// What an open asks for.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the independent flags of the interface"
)]
pub(super) struct OpenRequest {
    pub(super) follow: bool,
    pub(super) create: bool,
    pub(super) directory: bool,
    pub(super) exclusive: bool,
    pub(super) truncate: bool,
    pub(super) read: bool,
    pub(super) write: bool,
}

/// An open file.
#[derive(Clone, Debug)]
pub(super) struct OpenFile {
    pub(super) file: Arc<OwnedFd>,
    pub(super) readable: bool,
    pub(super) writable: bool,
}

/// What an open gives.
#[derive(Debug)]
pub(super) enum Opened {
    Directory(Node),
    File(OpenFile),
}

/// What is known about a file. A directory of the skeleton has no [`Stat`].
pub(super) type MaybeStat = Option<Stat>;

pub(super) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// A size as the system gives it, which is never negative.
pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

impl FileSystem {
    /// Looks at what a path leads to.
    pub(super) fn stat(&self, base: &Base, path: &str, follow: bool) -> CodeResult<MaybeStat> {
        match self.resolve(base, path, follow)? {
            Target::Directory(node) => stat_node(&node),
            Target::Entry(entry) => {
                let stat = stat_entry(&entry)?.ok_or(ErrorCode::NoEntry)?;
                if entry.must_be_directory && file_type(&stat) != FileType::Directory {
                    return Err(ErrorCode::NotDirectory);
                }
                Ok(Some(stat))
            }
        }
    }

    /// Opens a file or directory, or makes a file. Special files are not opened.
    pub(super) fn open(
        &mut self,
        base: &Base,
        path: &str,
        request: OpenRequest,
    ) -> CodeResult<Opened> {
        if request.create && request.directory {
            return Err(ErrorCode::Invalid);
        }
        let follow = request.follow && !(request.create && request.exclusive);
        let entry = match self.resolve(base, path, follow)? {
            Target::Directory(node) => return open_directory_node(node, request),
            Target::Entry(entry) => entry,
        };
        let Some(stat) = stat_entry(&entry)? else {
            return self.create(&entry, request);
        };
        if request.create && request.exclusive {
            return Err(ErrorCode::Exist);
        }
        match file_type(&stat) {
            FileType::Directory => {
                let node = Self::open_child(&entry)?;
                open_directory_node(node, request)
            }
            FileType::RegularFile => {
                if request.directory || entry.must_be_directory {
                    return Err(ErrorCode::NotDirectory);
                }
                self.open_file(&entry, &stat, request)
            }
            FileType::Symlink => Err(ErrorCode::Loop),
            // A FIFO blocks, a device acts, a socket is a way out: none of them is a buildpack's business.
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Err(ErrorCode::NotPermitted),
        }
    }

    fn open_child(entry: &Entry) -> CodeResult<Node> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = entry_dir(entry)?;
        let opened =
            rustix::fs::openat(dir, entry.name.as_slice(), flags, Mode::empty()).map_err(code)?;
        Ok(Self::child(&entry.parent, &entry.name, opened))
    }

    fn open_file(&self, entry: &Entry, stat: &Stat, request: OpenRequest) -> CodeResult<Opened> {
        if request.write || request.truncate {
            self.check_writable(&entry.parent)?;
        }
        let mut flags = access_flags(request);
        flags.set(OFlags::TRUNC, request.truncate);
        let file = open_regular(entry, flags)?;
        if request.truncate {
            self.quota.return_bytes(size(stat));
        }
        Ok(Opened::File(open_file(file, request)))
    }

    fn create(&mut self, entry: &Entry, request: OpenRequest) -> CodeResult<Opened> {
        if !request.create {
            return Err(ErrorCode::NoEntry);
        }
        if entry.must_be_directory {
            return Err(ErrorCode::IsDirectory);
        }
        self.check_new(entry)?;
        self.quota.take_entry()?;
        let flags = access_flags(request) | OFlags::CREATE | OFlags::EXCL;
        match open_regular(entry, flags) {
            Ok(file) => {
                let stat = rustix::fs::fstat(&file).map_err(code)?;
                self.fresh.insert((stat.st_dev, stat.st_ino));
                Ok(Opened::File(open_file(file, request)))
            }
            Err(error) => {
                self.quota.return_entry();
                if matches!(error, ErrorCode::InsufficientSpace | ErrorCode::Quota) {
                    self.quota.refuse(Refused::Disk);
                }
                Err(error)
            }
        }
    }

    /// Makes a directory.
    pub(super) fn create_directory(&self, base: &Base, path: &str) -> CodeResult<()> {
        let Target::Entry(entry) = self.resolve(base, path, false)? else {
            return Err(ErrorCode::Exist);
        };
        if stat_entry(&entry)?.is_some() {
            return Err(ErrorCode::Exist);
        }
        self.check_new(&entry)?;
        self.quota.take_entry()?;
        rustix::fs::mkdirat(
            entry_dir(&entry)?,
            entry.name.as_slice(),
            NEW_DIRECTORY_MODE,
        )
        .map_err(|errno| self.give_entry_back(errno))
    }

    /// Makes a symbolic link with any target.
    pub(super) fn symlink(&self, target: &str, base: &Base, path: &str) -> CodeResult<()> {
        if target.is_empty() || target.contains('\0') {
            return Err(ErrorCode::Invalid);
        }
        if target.len() > MAX_TARGET_BYTES {
            return Err(ErrorCode::NameTooLong);
        }
        let Target::Entry(entry) = self.resolve(base, path, false)? else {
            return Err(ErrorCode::Exist);
        };
        if stat_entry(&entry)?.is_some() {
            return Err(ErrorCode::Exist);
        }
        if entry.must_be_directory {
            return Err(ErrorCode::NoEntry);
        }
        self.check_new(&entry)?;
        self.quota.take_entry()?;
        rustix::fs::symlinkat(target, entry_dir(&entry)?, entry.name.as_slice())
            .map_err(|errno| self.give_entry_back(errno))
    }

    /// Makes a hard link. Both ends must be writable, or a link would make a read-only file writable.
    pub(super) fn hard_link(
        &self,
        from: (&Base, &str),
        follow: bool,
        to: (&Base, &str),
    ) -> CodeResult<()> {
        let Target::Entry(old) = self.resolve(from.0, from.1, follow)? else {
            return Err(ErrorCode::NotPermitted);
        };
        let stat = stat_entry(&old)?.ok_or(ErrorCode::NoEntry)?;
        if file_type(&stat) != FileType::RegularFile {
            return Err(ErrorCode::NotPermitted);
        }
        let Target::Entry(new) = self.resolve(to.0, to.1, false)? else {
            return Err(ErrorCode::Exist);
        };
        if stat_entry(&new)?.is_some() {
            return Err(ErrorCode::Exist);
        }
        self.check_writable(&old.parent)?;
        self.check_new(&new)?;
        self.quota.take_entry()?;
        rustix::fs::linkat(
            entry_dir(&old)?,
            old.name.as_slice(),
            entry_dir(&new)?,
            new.name.as_slice(),
            AtFlags::empty(),
        )
        .map_err(|errno| self.give_entry_back(errno))
    }

    /// Moves a name. What was at the new name is gone.
    pub(super) fn rename(&self, from: (&Base, &str), to: (&Base, &str)) -> CodeResult<()> {
        let (Target::Entry(old), Target::Entry(new)) = (
            self.resolve(from.0, from.1, false)?,
            self.resolve(to.0, to.1, false)?,
        ) else {
            return Err(ErrorCode::Busy);
        };
        if self.has_mount_below(&old) || self.has_mount_below(&new) {
            return Err(ErrorCode::Busy);
        }
        stat_entry(&old)?.ok_or(ErrorCode::NoEntry)?;
        let replaced = stat_entry(&new)?;
        self.check_writable(&old.parent)?;
        self.check_new(&new)?;
        rustix::fs::renameat(
            entry_dir(&old)?,
            old.name.as_slice(),
            entry_dir(&new)?,
            new.name.as_slice(),
        )
        .map_err(code)?;
        if let Some(stat) = replaced {
            self.credit(&stat);
        }
        Ok(())
    }

    /// Reads a link as data.
    pub(super) fn read_link(&self, base: &Base, path: &str) -> CodeResult<String> {
        let Target::Entry(entry) = self.resolve(base, path, false)? else {
            return Err(ErrorCode::Invalid);
        };
        let target = rustix::fs::readlinkat(entry_dir(&entry)?, entry.name.as_slice(), Vec::new())
            .map_err(code)?;
        target
            .into_string()
            .map_err(|_| ErrorCode::IllegalByteSequence)
    }

    /// Removes a file or link, or an empty directory.
    pub(super) fn remove(&mut self, base: &Base, path: &str, directory: bool) -> CodeResult<()> {
        let Target::Entry(entry) = self.resolve(base, path, false)? else {
            return Err(if directory {
                ErrorCode::Busy
            } else {
                ErrorCode::IsDirectory
            });
        };
        if self.has_mount_below(&entry) {
            return Err(ErrorCode::Busy);
        }
        let stat = stat_entry(&entry)?.ok_or(ErrorCode::NoEntry)?;
        let is_directory = file_type(&stat) == FileType::Directory;
        if directory && !is_directory {
            return Err(ErrorCode::NotDirectory);
        }
        if !directory && is_directory {
            return Err(ErrorCode::IsDirectory);
        }
        self.check_writable(&entry.parent)?;
        let flags = if directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        rustix::fs::unlinkat(entry_dir(&entry)?, entry.name.as_slice(), flags).map_err(code)?;
        self.credit(&stat);
        if stat.st_nlink <= 1 {
            // The inode may come back as another file, which is fresh or not by its own right.
            self.fresh.remove(&(stat.st_dev, stat.st_ino));
        }
        Ok(())
    }

    /// Times are the same for all files and stay so: setting them is accepted where writing would be.
    pub(super) fn set_times(&self, base: &Base, path: &str, follow: bool) -> CodeResult<()> {
        match self.resolve(base, path, follow)? {
            Target::Directory(node) => self.check_writable(&node),
            Target::Entry(entry) => {
                stat_entry(&entry)?.ok_or(ErrorCode::NoEntry)?;
                self.check_writable(&entry.parent)
            }
        }
    }

    pub(super) fn check_writable(&self, node: &Node) -> CodeResult<()> {
        if self.is_writable(node) {
            Ok(())
        } else {
            Err(ErrorCode::ReadOnly)
        }
    }

    fn check_new(&self, entry: &Entry) -> CodeResult<()> {
        self.check_writable(&entry.parent)?;
        self.check_new_name(entry)
    }

    fn give_entry_back(&self, errno: Errno) -> ErrorCode {
        self.quota.return_entry();
        self.quota.code(errno)
    }

    /// Gives back what a removed name held.
    fn credit(&self, stat: &Stat) {
        self.quota.return_entry();
        if file_type(stat) == FileType::RegularFile && stat.st_nlink <= 1 {
            self.quota.return_bytes(size(stat));
        }
    }
}

/// The handle of the directory that an entry is in. The skeleton has none, and holds no entries.
pub(super) fn entry_dir(entry: &Entry) -> CodeResult<BorrowedFd<'_>> {
    entry.parent.dir().ok_or(ErrorCode::NoEntry)
}

pub(super) fn stat_node(node: &Node) -> CodeResult<MaybeStat> {
    node.dir()
        .map(|dir| rustix::fs::fstat(dir).map_err(code))
        .transpose()
}

/// Looks at an entry itself, not at what it links to. `None` says that there is nothing.
pub(super) fn stat_entry(entry: &Entry) -> CodeResult<Option<Stat>> {
    let Some(dir) = entry.parent.dir() else {
        return Ok(None);
    };
    match rustix::fs::statat(dir, entry.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(code(errno)),
    }
}

fn access_flags(request: OpenRequest) -> OFlags {
    match (request.read, request.write || request.truncate) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        _ => OFlags::RDONLY,
    }
}

/// Opens an entry and makes sure that it is a regular file. `O_NONBLOCK` keeps an open of anything else
/// from waiting.
pub(super) fn open_regular(entry: &Entry, flags: OFlags) -> CodeResult<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(
        entry_dir(entry)?,
        entry.name.as_slice(),
        flags,
        NEW_FILE_MODE,
    )
    .map_err(code)?;
    let stat = rustix::fs::fstat(file.as_fd()).map_err(code)?;
    if file_type(&stat) == FileType::RegularFile {
        Ok(file)
    } else {
        Err(ErrorCode::NotPermitted)
    }
}

fn open_file(file: OwnedFd, request: OpenRequest) -> OpenFile {
    OpenFile {
        file: Arc::new(file),
        readable: request.read || !request.write,
        writable: request.write,
    }
}

fn open_directory_node(node: Node, request: OpenRequest) -> CodeResult<Opened> {
    if request.create && request.exclusive {
        return Err(ErrorCode::Exist);
    }
    if request.write || request.truncate || request.create {
        return Err(ErrorCode::IsDirectory);
    }
    Ok(Opened::Directory(node))
}
