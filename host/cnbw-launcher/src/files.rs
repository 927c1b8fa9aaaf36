//! Reading what lies in an image, within bounds.
//!
//! Buildpacks wrote these files and the image's user may have replaced them. So a named pipe must not make the
//! launcher wait, a device must not be read, and nothing may fill the memory.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Entries that one directory may have; real ones have a few dozen.
const MAX_ENTRIES: usize = 100_000;

/// Why a path could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The system said no.
    #[error("cannot {action} {}", shown(path))]
    System {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: Errno,
    },
    /// It is a pipe, a device or a directory.
    #[error("{} is not a regular file", shown(.0))]
    NotRegular(PathBuf),
    /// It is larger than anything that could be meant.
    #[error("{} is larger than {limit} bytes", shown(path))]
    TooLarge {
        /// Where.
        path: PathBuf,
        /// The cap.
        limit: usize,
    },
    /// A directory has more entries than anything that could be meant.
    #[error("{} has more than {MAX_ENTRIES} entries", shown(.0))]
    TooManyEntries(PathBuf),
}

impl FileError {
    /// Attaches an action and a path to a system error.
    pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> Self {
        move |source| Self::System {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Renders a path or name for a message: in backticks, control characters escaped.
pub(crate) fn shown(text: impl AsRef<OsStr>) -> String {
    let text = text.as_ref().to_string_lossy();
    let mut out = String::with_capacity(text.len() + 2);
    out.push('`');
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out.push('`');
    out
}

/// Whether the last component of a path may be a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// It may: the reference follows links in layers, and layers use them.
    Followed,
    /// It may not.
    Refused,
}

/// Reads a regular file of at most `limit` bytes.
pub(crate) fn read_file(path: &Path, limit: usize, links: Links) -> Result<Vec<u8>, FileError> {
    read_from(CWD, path, path, limit, links)
}

/// Reads a file by its name below a directory; `path` is for messages.
fn read_from(
    base: BorrowedFd<'_>,
    name: &Path,
    path: &Path,
    limit: usize,
    links: Links,
) -> Result<Vec<u8>, FileError> {
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if links == Links::Refused {
        flags |= OFlags::NOFOLLOW;
    }
    let descriptor = rustix::fs::openat(base, name, flags, Mode::empty())
        .map_err(FileError::at("open", path))?;
    let stat = rustix::fs::fstat(&descriptor).map_err(FileError::at("inspect", path))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(FileError::NotRegular(path.to_owned()));
    }
    let size = usize::try_from(stat.st_size).unwrap_or_default();
    let content = read_sized(std::fs::File::from(descriptor), size, limit);
    let content = content.map_err(|error| FileError::at("read", path)(errno(&error)))?;
    if content.len() > limit {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(content)
}

/// Reads a file to its end or beyond the limit. The size is what the system said; some files say zero and have content.
fn read_sized(mut file: std::fs::File, size: usize, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut content = vec![0; size.min(limit)];
    let count = file.read(&mut content)?;
    content.truncate(count);
    // Most files are read whole at once, and need not be asked again.
    if count == 0 || count != size {
        let rest = limit.saturating_add(1).saturating_sub(count);
        file.take(u64::try_from(rest).unwrap_or(u64::MAX))
            .read_to_end(&mut content)?;
    }
    Ok(content)
}

/// Returns the system's number for an error of the standard library.
pub(crate) fn errno(error: &std::io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::IO, Errno::from_raw_os_error)
}

/// A directory, and what was in it when it was listed.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Its path.
    pub(crate) path: PathBuf,
    /// Its entries, in the bytewise order of their names.
    pub(crate) entries: Vec<Entry>,
    descriptor: OwnedFd,
}

/// One entry of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: OsString,
    /// Whether it is a directory itself; a link to one is not.
    pub(crate) is_directory: bool,
    /// Whether it is a symbolic link.
    pub(crate) is_link: bool,
}

impl Directory {
    /// Lists a directory; `None` if it does not exist.
    pub(crate) fn list(path: PathBuf) -> Result<Option<Self>, FileError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        let descriptor = match rustix::fs::open(&path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.map_err(FileError::at("list", &path))?,
        };
        let mut directory = Self {
            path,
            entries: Vec::new(),
            descriptor,
        };
        directory.read_entries()?;
        Ok(Some(directory))
    }

    fn read_entries(&mut self) -> Result<(), FileError> {
        let path = &self.path;
        let reader =
            rustix::fs::Dir::read_from(&self.descriptor).map_err(FileError::at("list", path))?;
        for entry in reader {
            let entry = entry.map_err(FileError::at("list", path))?;
            let bytes = entry.file_name().to_bytes();
            if matches!(bytes, b"." | b"..") {
                continue;
            }
            if self.entries.len() == MAX_ENTRIES {
                return Err(FileError::TooManyEntries(path.clone()));
            }
            let mut kind = entry.file_type();
            if kind == FileType::Unknown {
                let stat = rustix::fs::statat(
                    &self.descriptor,
                    entry.file_name(),
                    AtFlags::SYMLINK_NOFOLLOW,
                );
                kind = FileType::from_raw_mode(
                    stat.map_err(FileError::at("inspect an entry of", path))?
                        .st_mode,
                );
            }
            self.entries.push(Entry {
                name: OsString::from_vec(bytes.to_vec()),
                is_directory: kind == FileType::Directory,
                is_link: kind == FileType::Symlink,
            });
        }
        self.entries
            .sort_unstable_by(|left, right| left.name.cmp(&right.name));
        Ok(())
    }

    /// Tells whether there is an entry of a name.
    pub(crate) fn has(&self, name: &OsStr) -> bool {
        self.entries
            .binary_search_by(|entry| entry.name.as_os_str().cmp(name))
            .is_ok()
    }

    /// Reads a regular file in it, links followed, of at most `limit` bytes.
    pub(crate) fn read_file(&self, name: &OsStr, limit: usize) -> Result<Vec<u8>, FileError> {
        let path = join(&self.path, name);
        read_from(
            self.descriptor.as_fd(),
            Path::new(name),
            &path,
            limit,
            Links::Followed,
        )
    }

    /// Lists the paths of its directories, or of everything else in it.
    pub(crate) fn paths(&self, directories: bool) -> impl Iterator<Item = PathBuf> {
        let wanted = move |entry: &&Entry| entry.is_directory == directories;
        self.entries
            .iter()
            .filter(wanted)
            .map(|entry| join(&self.path, &entry.name))
    }
}

/// Returns the type of what a path leads to, links followed; `None` if there is nothing.
pub(crate) fn kind_of(path: &Path) -> Result<Option<FileType>, FileError> {
    match rustix::fs::statat(CWD, path, AtFlags::empty()) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(FileError::at("inspect", path)(error)),
    }
}

/// Joins paths and removes `.`, `..` and doubled slashes by their text alone.
///
/// These paths become visible (in `PATH`, in profile scripts, as the name of exec.d programs), so their spelling is
/// part of the contract.
pub(crate) fn join(base: &Path, rest: impl AsRef<OsStr>) -> PathBuf {
    let mut text = base.as_os_str().as_bytes().to_vec();
    text.push(b'/');
    text.extend_from_slice(rest.as_ref().as_bytes());
    let absolute = text.first() == Some(&b'/') && !base.as_os_str().is_empty();
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in text.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if absolute => {}
            part => parts.push(part),
        }
    }
    let mut clean = if absolute { b"/".to_vec() } else { Vec::new() };
    clean.extend_from_slice(&parts.join(&b'/'));
    if clean.is_empty() {
        clean.push(b'.');
    }
    PathBuf::from(OsString::from_vec(clean))
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests make files in temporary places"
)]
mod tests;
