//! Files by their digest, in a directory that several processes share.
//!
//! ```text
//! sha256/<hex>      the files; their names say what is in them
//! index/<algorithm>-<hex>   for the other algorithms: the sha256 digest of the same file
//! tmp/              what is still being written, locked by its writer
//! ```
//!
//! A file gets its name when it is whole, synced and verified. Before a file is handed out it is read and verified
//! again, once per process as long as it does not change; one that is damaged is removed and was never there.

mod clean;
mod write;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::sync::{Mutex, PoisonError};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _};
use cnbw_spec::download::ContentDigest;
use rustix::fs::{Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use crate::digest::{Hasher, algorithm, digits};

pub use clean::{Held, Pruned};
pub use write::StoreWriter;

const FILES: &str = "sha256";
const INDEX: &str = "index";
const TEMPORARY: &str = "tmp";

/// Something could not be done with the store's files.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{name}` in the store of downloads")]
pub struct StoreError {
    /// What was tried.
    pub action: &'static str,
    /// With which file, below the store's directory.
    pub name: String,
    /// The cause.
    pub source: io::Error,
}

/// A file of the store, at its begin and for reading only.
#[derive(Debug)]
pub struct Blob {
    /// The content. It was verified.
    pub file: File,
    /// The digest that it is stored by.
    pub digest: ContentDigest,
    /// Its size in bytes.
    pub size: u64,
}

/// The store.
#[derive(Debug)]
pub struct Store {
    dir: Dir,
    /// Files that this process has verified, by name, as they were then.
    verified: Mutex<HashMap<String, Seen>>,
}

/// What tells that a file is as it was. Nobody can set the time of the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    inode: u64,
    size: u64,
    changed: (i64, u64),
}

impl Seen {
    fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            size: size_of(stat),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

impl Store {
    /// Opens the store in a directory, which should be for this user only.
    pub fn open(dir: Dir) -> Result<Self, StoreError> {
        let mut private = DirBuilder::new();
        private.mode(0o700);
        for name in [FILES, INDEX, TEMPORARY] {
            match dir.create_dir_with(name, &private) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed("make the directory", name, error));
                }
                _ => {}
            }
        }
        Ok(Self {
            dir,
            verified: Mutex::default(),
        })
    }

    /// Returns a file if it is there, after verifying it.
    pub fn get(&self, digest: &ContentDigest) -> Result<Option<Blob>, StoreError> {
        let name = if algorithm(digest) == "sha256" {
            Some(digits(digest.as_str()).to_owned())
        } else {
            self.indexed(digest)?
        };
        let Some(name) = name else {
            return Ok(None);
        };
        let path = format!("{FILES}/{name}");
        let Some(mut file) = self.open_file(&path)? else {
            return Ok(None);
        };
        let read = |error| failed("read", &path, error);
        let stat = rustix::fs::fstat(&file).map_err(|errno| read(errno.into()))?;
        // Under a name of another algorithm the file has to have that digest as well.
        let known = self.is_verified(&name, &stat) && algorithm(digest) == "sha256";
        if !known {
            let hashes = hash(&mut file, digest).map_err(read)?;
            if !hashes.is(digest) || digits(&hashes.sha256) != name {
                self.remove(&path)?;
                return Ok(None);
            }
        }
        self.touch(&file, &name, &path)?;
        file.rewind().map_err(read)?;
        let digest = format!("sha256:{name}");
        Ok(Some(Blob {
            file,
            digest: parsed(&digest, &path)?,
            size: size_of(&stat),
        }))
    }

    /// Starts a new file. With a digest it will be stored only if it has that.
    pub fn writer(&self, expected: Option<&ContentDigest>) -> Result<StoreWriter<'_>, StoreError> {
        StoreWriter::new(self, expected)
    }

    /// Reads which file has a digest of another algorithm.
    fn indexed(&self, digest: &ContentDigest) -> Result<Option<String>, StoreError> {
        let path = index_path(digest);
        let Some(file) = self.open_file(&path)? else {
            return Ok(None);
        };
        let mut text = String::new();
        let read = file.take(128).read_to_string(&mut text);
        match read.map(|_| ContentDigest::parse(&text)) {
            Ok(Ok(found)) if algorithm(&found) == "sha256" => Ok(Some(digits(&text).to_owned())),
            // Whatever it is, it does not say where the file is.
            _ => {
                self.remove(&path)?;
                Ok(None)
            }
        }
    }

    /// Opens a regular file; `None` if there is none.
    fn open_file(&self, path: &str) -> Result<Option<File>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.dir, path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed("open", path, errno.into())),
        };
        let metadata = file
            .metadata()
            .map_err(|error| failed("open", path, error))?;
        if !metadata.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidData, "it is no regular file");
            return Err(failed("open", path, error));
        }
        Ok(Some(file))
    }

    fn remove(&self, path: &str) -> Result<(), StoreError> {
        match self.dir.remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", path, error))
            }
            _ => Ok(()),
        }
    }

    /// Marks a file as just used, and as verified.
    fn touch(&self, file: &File, name: &str, path: &str) -> Result<(), StoreError> {
        const NOW: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        };
        const OMIT: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        };
        let times = Timestamps {
            last_access: OMIT,
            last_modification: NOW,
        };
        // A store that cannot be written can be read all the same.
        if rustix::fs::futimens(file, &times).is_ok() {
            let stat =
                rustix::fs::fstat(file).map_err(|errno| failed("read", path, errno.into()))?;
            let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            verified.insert(name.to_owned(), Seen::of(&stat));
        }
        Ok(())
    }

    fn is_verified(&self, name: &str, stat: &Stat) -> bool {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.get(name) == Some(&Seen::of(stat))
    }
}

fn hash(file: &mut File, digest: &ContentDigest) -> io::Result<crate::digest::Hashes> {
    let mut hasher = Hasher::new(Some(digest));
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn index_path(digest: &ContentDigest) -> String {
    format!("{INDEX}/{}-{}", algorithm(digest), digits(digest.as_str()))
}

fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

fn parsed(digest: &str, path: &str) -> Result<ContentDigest, StoreError> {
    ContentDigest::parse(digest).map_err(|error| {
        failed(
            "name",
            path,
            io::Error::new(io::ErrorKind::InvalidData, error),
        )
    })
}

fn failed(action: &'static str, name: &str, source: io::Error) -> StoreError {
    StoreError {
        action,
        name: name.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
