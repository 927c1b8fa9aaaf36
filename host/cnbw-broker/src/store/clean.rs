//! What the store holds, and making it smaller.

use std::io;

use cnbw_spec::download::ContentDigest;
use rustix::fs::{FlockOperation, Mode, OFlags};

use super::{FILES, INDEX, Store, StoreError, TEMPORARY, failed};

/// A file that the store has. It was not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its digest, as its name says.
    pub digest: ContentDigest,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last used: seconds since 1970, and nanoseconds.
    pub used: (i64, u32),
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    /// Lists the files, the one that was not used for the longest time first.
    pub fn list(&self) -> Result<Vec<Held>, StoreError> {
        let mut held = Vec::new();
        for name in self.names(FILES)? {
            let path = format!("{FILES}/{name}");
            // What is no digest was put there by somebody else, and is nobody's business here.
            let Ok(digest) = ContentDigest::parse(&format!("sha256:{name}")) else {
                continue;
            };
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            match rustix::fs::statat(&self.dir, &path, flags) {
                Ok(stat) => held.push(Held {
                    digest,
                    size: u64::try_from(stat.st_size).unwrap_or_default(),
                    used: (
                        stat.st_mtime,
                        u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
                    ),
                }),
                // Somebody else cleans up, too.
                Err(rustix::io::Errno::NOENT) => {}
                Err(errno) => return Err(failed("look at", &path, errno.into())),
            }
        }
        held.sort_by(|one, other| (one.used, &one.digest).cmp(&(other.used, &other.digest)));
        Ok(held)
    }

    /// Removes files that were not used for the longest time, until at most this many bytes are left, and what dead
    /// writers left behind. Files that somebody reads stay readable for them.
    pub fn prune(&self, keep_bytes: u64) -> Result<Pruned, StoreError> {
        self.remove_leftovers()?;
        let held = self.list()?;
        let mut total: u64 = held.iter().map(|held| held.size).sum();
        let mut pruned = Pruned::default();
        for held in held {
            if total <= keep_bytes {
                break;
            }
            self.remove(&format!(
                "{FILES}/{}",
                crate::digest::digits(held.digest.as_str())
            ))?;
            total -= held.size;
            pruned.files += 1;
            pruned.bytes += held.size;
        }
        self.remove_dead_index()?;
        Ok(pruned)
    }

    fn remove_leftovers(&self) -> Result<(), StoreError> {
        for name in self.names(TEMPORARY)? {
            let path = format!("{TEMPORARY}/{name}");
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            // Who has not got its lock yet is found in the next round.
            let Ok(file) = rustix::fs::openat(&self.dir, &path, flags, Mode::empty()) else {
                continue;
            };
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                self.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes what leads to files that are gone.
    fn remove_dead_index(&self) -> Result<(), StoreError> {
        for name in self.names(INDEX)? {
            let path = format!("{INDEX}/{name}");
            let target = self.dir.read_to_string(&path).unwrap_or_default();
            let target = format!("{FILES}/{}", crate::digest::digits(&target));
            if !self.dir.exists(&target) {
                self.remove(&path)?;
            }
        }
        Ok(())
    }

    fn names(&self, directory: &'static str) -> Result<Vec<String>, StoreError> {
        let list = |error: io::Error| failed("list", directory, error);
        let mut names = Vec::new();
        for entry in self.dir.read_dir(directory).map_err(list)? {
            let name = entry.map_err(list)?.file_name();
            names.extend(name.into_string());
        }
        names.sort_unstable();
        Ok(names)
    }
}
