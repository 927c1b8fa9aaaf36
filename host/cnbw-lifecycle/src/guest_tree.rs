//! Reading what guests made: by handle, no link followed, no special file opened, every read capped.

use std::io::{self, Read};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, File, OpenOptions};

/// Most entries of one directory that are looked at. A buildpack has tens of layers.
const MAX_ENTRIES: usize = 100_000;

/// Something a guest made that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GuestTreeError {
    /// The system refused.
    #[error("cannot {action} `{}`", path.escape_debug())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Path in the image.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// A link, a device, a pipe or a directory where a file has to be.
    #[error("`{}` is {found}, and only a regular file is read here", path.escape_debug())]
    NotAFile {
        /// Path in the image.
        path: String,
        /// What it is, with its article.
        found: &'static str,
    },
    /// More bytes than such a file may have.
    #[error("`{}` is larger than {limit} bytes", path.escape_debug())]
    TooLarge {
        /// Path in the image.
        path: String,
        /// The limit.
        limit: usize,
    },
    /// More entries than are looked at.
    #[error("`{}` has more than {MAX_ENTRIES} entries", path.escape_debug())]
    TooMany {
        /// Path in the image.
        path: String,
    },
}

/// What an entry of a directory is, itself, not what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    Special,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// A directory that a guest made, with its path in the image.
#[derive(Debug)]
pub(crate) struct GuestTree<'d> {
    dir: &'d Dir,
    path: &'d str,
}

impl<'d> GuestTree<'d> {
    pub(crate) fn new(dir: &'d Dir, path: &'d str) -> Self {
        Self { dir, path }
    }

    /// The entries, sorted by the bytes of their names. Names that are not UTF-8 name nothing that
    /// the specification knows, so they are left out.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, GuestTreeError> {
        let io = |source| self.io("list", "", source);
        let mut entries = Vec::new();
        for entry in self.dir.entries().map_err(io)? {
            let entry = entry.map_err(io)?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let file_type = entry.file_type().map_err(io)?;
            let kind = if file_type.is_dir() {
                Kind::Directory
            } else if file_type.is_symlink() {
                Kind::Link
            } else if file_type.is_file() {
                Kind::File
            } else {
                Kind::Special
            };
            entries.push(Entry { name, kind });
            if entries.len() > MAX_ENTRIES {
                return Err(GuestTreeError::TooMany {
                    path: self.path.to_owned(),
                });
            }
        }
        entries.sort_by(|one, two| one.name.as_bytes().cmp(two.name.as_bytes()));
        Ok(entries)
    }

    /// What is there under a name, if anything.
    pub(crate) fn kind(&self, name: &str) -> Result<Option<Kind>, GuestTreeError> {
        match self.dir.symlink_metadata(name) {
            Ok(metadata) if metadata.is_dir() => Ok(Some(Kind::Directory)),
            Ok(metadata) if metadata.is_symlink() => Ok(Some(Kind::Link)),
            Ok(metadata) if metadata.is_file() => Ok(Some(Kind::File)),
            Ok(_) => Ok(Some(Kind::Special)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.io("look at", name, source)),
        }
    }

    /// A directory below, or `None` if nothing is there.
    pub(crate) fn directory(&self, name: &str) -> Result<Option<Dir>, GuestTreeError> {
        match self.dir.open_dir_nofollow(name) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.io("open directory", name, source)),
        }
    }

    /// The content of a file, or `None` if nothing is there.
    pub(crate) fn read(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>, GuestTreeError> {
        let Some(mut file) = self.open(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let cap = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        (&mut file)
            .take(cap)
            .read_to_end(&mut bytes)
            .map_err(|source| self.io("read", name, source))?;
        if bytes.len() > limit {
            let path = self.join(name);
            return Err(GuestTreeError::TooLarge { path, limit });
        }
        Ok(Some(bytes))
    }

    /// Opens a regular file, or `None` if nothing is there.
    ///
    /// The kind is asked of the open file, so nothing can be exchanged in between; without blocking,
    /// so that a pipe cannot hold up the build.
    pub(crate) fn open(&self, name: &str) -> Result<Option<File>, GuestTreeError> {
        let mut options = OpenOptions::new();
        options.read(true).follow(FollowSymlinks::No).nonblock(true);
        let file = match self.dir.open_with(name, &options) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return match self.kind(name) {
                    Ok(Some(kind)) if kind != Kind::File => Err(self.not_a_file(name, kind)),
                    _ => Err(self.io("open", name, source)),
                };
            }
        };
        let metadata = file
            .metadata()
            .map_err(|source| self.io("look at", name, source))?;
        if metadata.is_dir() {
            return Err(self.not_a_file(name, Kind::Directory));
        }
        if !metadata.is_file() {
            return Err(self.not_a_file(name, Kind::Special));
        }
        Ok(Some(file))
    }

    /// Gives something in this directory another name in it.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.dir.rename(from, self.dir, to)
    }

    /// The path in the image of something below.
    pub(crate) fn join(&self, name: &str) -> String {
        if name.is_empty() {
            return self.path.to_owned();
        }
        format!("{}/{name}", self.path)
    }

    pub(crate) fn io(&self, action: &'static str, name: &str, source: io::Error) -> GuestTreeError {
        GuestTreeError::Io {
            action,
            path: self.join(name),
            source,
        }
    }

    pub(crate) fn not_a_file(&self, name: &str, kind: Kind) -> GuestTreeError {
        let found = match kind {
            Kind::File => "a file",
            Kind::Directory => "a directory",
            Kind::Link => "a symbolic link",
            Kind::Special => "a special file",
        };
        GuestTreeError::NotAFile {
            path: self.join(name),
            found,
        }
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    fn temporary() -> (tempfile::TempDir, Dir) {
        let temporary = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temporary.path(), ambient_authority()).unwrap();
        (temporary, dir)
    }

    #[test]
    fn only_regular_files_are_read() {
        let (_temporary, dir) = temporary();
        dir.write("file", "content").unwrap();
        dir.symlink("file", "link").unwrap();
        dir.symlink("nowhere", "dangling").unwrap();
        dir.create_dir("directory").unwrap();
        rustix::fs::mkfifoat(&dir, "pipe", 0o644.into()).unwrap();
        let tree = GuestTree::new(&dir, "/layers/a");
        assert_eq!(tree.read("file", 7).unwrap().unwrap(), b"content");
        assert!(tree.read("absent", 7).unwrap().is_none());
        for (name, says) in [
            ("link", "`/layers/a/link` is a symbolic link"),
            ("dangling", "`/layers/a/dangling` is a symbolic link"),
            ("directory", "`/layers/a/directory` is a directory"),
            ("pipe", "`/layers/a/pipe` is a special file"),
        ] {
            let error = tree.read(name, 7).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }

    #[test]
    fn a_file_beyond_the_limit_is_refused() {
        let (_temporary, dir) = temporary();
        dir.write("file", "content").unwrap();
        let error = GuestTree::new(&dir, "/x").read("file", 6).unwrap_err();
        assert_eq!(error.to_string(), "`/x/file` is larger than 6 bytes");
    }

    #[test]
    fn entries_are_sorted_by_bytes() {
        let (_temporary, dir) = temporary();
        for name in ["b.toml", "a.toml", "a-b.toml", "B"] {
            dir.write(name, "").unwrap();
        }
        let entries = GuestTree::new(&dir, "/x").entries().unwrap();
        let names: Vec<_> = entries.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["B", "a-b.toml", "a.toml", "b.toml"]);
    }
}
