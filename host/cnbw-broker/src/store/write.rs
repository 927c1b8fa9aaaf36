//! A file on its way into the store.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use cnbw_spec::download::ContentDigest;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::digest::{Hasher, Hashes, algorithm, digits};

use super::{Blob, FILES, Store, StoreError, TEMPORARY, failed, index_path, parsed};

/// Distinguishes the names of one process' temporary files.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A file that is being written. Dropped without [`StoreWriter::finish`] it is gone.
pub struct StoreWriter<'s> {
    store: &'s Store,
    file: File,
    path: String,
    expected: Option<ContentDigest>,
    hasher: Hasher,
    size: u64,
    /// Whether the name is still the temporary one.
    temporary: bool,
}

impl std::fmt::Debug for StoreWriter<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "StoreWriter({}, {} bytes)", self.path, self.size)
    }
}

impl<'s> StoreWriter<'s> {
    pub(super) fn new(
        store: &'s Store,
        expected: Option<&ContentDigest>,
    ) -> Result<Self, StoreError> {
        let (file, path) = temporary_file(store)?;
        Ok(Self {
            store,
            file,
            path,
            expected: expected.cloned(),
            hasher: Hasher::new(expected),
            size: 0,
            temporary: true,
        })
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all(bytes)
            .map_err(|error| failed("write", &self.path, error))?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// The number of bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Gives the file its name, if it has the expected digest; otherwise the digest that it has comes back, and the
    /// file is gone.
    pub fn finish(mut self) -> Result<Result<Blob, String>, StoreError> {
        let hashes = std::mem::replace(&mut self.hasher, Hasher::new(None)).finish();
        if let Some(expected) = &self.expected
            && !hashes.is(expected)
        {
            return Ok(Err(hashes.like(expected).to_owned()));
        }
        let name = digits(&hashes.sha256).to_owned();
        let write = |error| failed("write", &self.path, error);
        rustix::fs::fchmod(&self.file, Mode::RUSR).map_err(|errno| write(errno.into()))?;
        self.file.sync_data().map_err(write)?;
        let Some(file) = self.store.open_file(&self.path)? else {
            return Err(write(io::ErrorKind::NotFound.into()));
        };
        let path = format!("{FILES}/{name}");
        rustix::fs::renameat(&self.store.dir, &self.path, &self.store.dir, &path)
            .map_err(|errno| failed("name", &path, errno.into()))?;
        self.temporary = false;
        self.index(&hashes)?;
        self.store.touch(&file, &name, &path)?;
        Ok(Ok(Blob {
            file,
            digest: parsed(&hashes.sha256, &path)?,
            size: self.size,
        }))
    }

    /// Writes down under which digest of another algorithm the file is asked for.
    fn index(&self, hashes: &Hashes) -> Result<(), StoreError> {
        let Some(expected) = self
            .expected
            .as_ref()
            .filter(|expected| algorithm(expected) != "sha256")
        else {
            return Ok(());
        };
        let (mut file, path) = temporary_file(self.store)?;
        file.write_all(hashes.sha256.as_bytes())
            .map_err(|error| failed("write", &path, error))?;
        let name = index_path(expected);
        rustix::fs::renameat(&self.store.dir, &path, &self.store.dir, &name)
            .map_err(|errno| failed("name", &name, errno.into()))
    }
}

impl Drop for StoreWriter<'_> {
    fn drop(&mut self) {
        if self.temporary {
            // What stays behind is found by the next cleaning.
            self.store.remove(&self.path).ok();
        }
    }
}

/// Makes a new file. Its lock tells that its writer lives.
fn temporary_file(store: &Store) -> Result<(File, String), StoreError> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = format!("{TEMPORARY}/{}-{number}", std::process::id());
        let mode = Mode::RUSR | Mode::WUSR;
        match rustix::fs::openat(&store.dir, &path, flags, mode) {
            Ok(file) => {
                // Without locks, on some network file systems, nothing is cleaned either.
                rustix::fs::flock(&file, FlockOperation::LockExclusive).ok();
                // Who cleaned just now may have taken it for a leftover before it was locked.
                let stat = rustix::fs::fstat(&file)
                    .map_err(|errno| failed("look at", &path, errno.into()))?;
                if stat.st_nlink > 0 {
                    return Ok((file.into(), path));
                }
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed("create", &path, errno.into())),
        }
    }
}
