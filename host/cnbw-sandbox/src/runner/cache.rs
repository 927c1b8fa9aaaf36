//! Compiled programs on disk, for the next process.
//!
//! An entry is two files: `<key>` holds the digest of the compiled program, which lies in `<digest>.cwasm`. The
//! key is made of the program's digest and of all that compiling depends on. A file is used only if its digest
//! is the recorded one; files appear by rename, so that readers and writers in other processes never see half
//! of one, and a file that somebody has mapped is never written to.

use std::fmt::Write as _;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::{Dir, File, MetadataExt as _, OpenOptions};
use cap_std::fs::{OpenOptionsExt as _, PermissionsExt as _};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use super::artifacts::ProgramDigest;

/// Changes whenever this program makes something else of the same input: a changed adapter, say.
const FORMAT: &[u8] = b"cnbw compiled program 1\0";

/// A digest in hexadecimal.
const HEX_BYTES: usize = 64;

/// A directory of compiled programs.
#[derive(Debug)]
pub(super) struct CompileCache {
    dir: Dir,
    compatibility: [u8; 32],
    next: AtomicU64,
}

impl CompileCache {
    /// Opens a cache. A directory that others can write to is not used: its files are native code.
    pub(super) fn new(dir: Dir, compatibility: [u8; 32]) -> Option<Self> {
        let metadata = dir.dir_metadata().ok()?;
        let own = rustix::process::geteuid().as_raw();
        let is_private = metadata.uid() == own && metadata.permissions().mode() & 0o022 == 0;
        is_private.then_some(Self {
            dir,
            compatibility,
            next: AtomicU64::new(0),
        })
    }

    pub(super) fn directory(&self) -> &Dir {
        &self.dir
    }

    fn key(&self, program: ProgramDigest) -> String {
        let hasher = Sha256::new()
            .chain_update(FORMAT)
            .chain_update(self.compatibility);
        hex(&hasher.chain_update(program.0).finalize())
    }

    /// Gives a compiled program that is there and whole.
    pub(super) fn load(&self, program: ProgramDigest) -> Option<OwnedFd> {
        let mut recorded = String::new();
        let entry = self.open(&self.key(program)).ok()?;
        entry
            .take(HEX_BYTES as u64 + 1)
            .read_to_string(&mut recorded)
            .ok()?;
        let is_digest =
            recorded.len() == HEX_BYTES && recorded.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_digest {
            return None;
        }
        let mut file = self.open(&format!("{recorded}.cwasm")).ok()?;
        (digest(&mut file).ok()? == recorded).then(|| file.into_std().into())
    }

    /// Lets `write` make a file and keeps it. The file is given for reading only.
    pub(super) fn store<E>(
        &self,
        program: ProgramDigest,
        write: impl FnOnce(&File) -> Result<(), E>,
    ) -> io::Result<Result<OwnedFd, E>> {
        let (name, mut file) = self.create()?;
        let stored = match write(&file) {
            Ok(()) => self.keep(program, &name, &mut file).map(Ok),
            Err(error) => Ok(Err(error)),
        };
        // Gone already if it was renamed.
        let _is_gone = self.dir.remove_file(&name);
        stored
    }

    fn keep(&self, program: ProgramDigest, name: &str, file: &mut File) -> io::Result<OwnedFd> {
        let digest = digest(file)?;
        let stored = format!("{digest}.cwasm");
        self.dir.rename(name, &self.dir, &stored)?;
        let (entry_name, mut entry) = self.create()?;
        let recorded = entry
            .write_all(digest.as_bytes())
            .and_then(|()| self.dir.rename(&entry_name, &self.dir, self.key(program)));
        if let Err(error) = recorded {
            let _may_be_gone = self.dir.remove_file(&entry_name);
            return Err(error);
        }
        Ok(self.open(&stored)?.into_std().into())
    }

    fn open(&self, name: &str) -> io::Result<File> {
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits());
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags.unwrap_or_default());
        let file = self.dir.open_with(name, &options)?;
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    fn create(&self) -> io::Result<(String, File)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let name = format!("new-{}-{number}", std::process::id());
            match self.dir.open_with(&name, &options) {
                Ok(file) => return Ok((name, file)),
                // Left by a process that was killed and had the same number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn digest(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(HEX_BYTES);
    for byte in bytes {
        let _cannot_fail = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use tempfile::TempDir;

    use super::*;

    const PROGRAM: ProgramDigest = ProgramDigest([1; 32]);

    fn cache(directory: &TempDir, compatibility: u8) -> CompileCache {
        let dir = Dir::open_ambient_dir(directory.path(), ambient_authority()).unwrap();
        CompileCache::new(dir, [compatibility; 32]).unwrap()
    }

    fn store(cache: &CompileCache, content: &[u8]) {
        let written = cache.store(PROGRAM, |file| {
            let mut file = file;
            file.write_all(content)
        });
        drop(written.unwrap().unwrap());
    }

    fn load(cache: &CompileCache) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = std::fs::File::from(cache.load(PROGRAM)?);
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        Some(bytes)
    }

    #[test]
    fn what_is_stored_is_found_again_by_another_process_and_nothing_else_is_left() {
        let directory = TempDir::new().unwrap();
        assert_eq!(load(&cache(&directory, 0)), None);
        store(&cache(&directory, 0), b"native code");
        assert_eq!(load(&cache(&directory, 0)).unwrap(), b"native code");
        assert_eq!(cache(&directory, 0).dir.entries().unwrap().count(), 2);
    }

    #[test]
    fn other_settings_do_not_find_it() {
        let directory = TempDir::new().unwrap();
        store(&cache(&directory, 0), b"native code");
        assert_eq!(load(&cache(&directory, 1)), None);
    }

    #[test]
    fn a_changed_or_cut_file_is_not_used_and_is_replaced() {
        for damage in [b"native c0de".as_slice(), b"native", b""] {
            let directory = TempDir::new().unwrap();
            let cache = cache(&directory, 0);
            store(&cache, b"native code");
            let name = cache
                .dir
                .entries()
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .find(|name| name.len() > HEX_BYTES)
                .unwrap();
            cache.dir.write(&name, damage).unwrap();
            assert_eq!(load(&cache), None);
            store(&cache, b"native code");
            assert_eq!(load(&cache).unwrap(), b"native code");
        }
    }

    #[test]
    fn an_entry_that_is_no_digest_is_not_followed() {
        for entry in ["../../etc/passwd", "", &"g".repeat(64), &"a".repeat(65)] {
            let directory = TempDir::new().unwrap();
            let cache = cache(&directory, 0);
            cache.dir.write(cache.key(PROGRAM), entry).unwrap();
            assert_eq!(load(&cache), None, "{entry}");
        }
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_not_used() {
        let directory = TempDir::new().unwrap();
        let dir = Dir::open_ambient_dir(directory.path(), ambient_authority()).unwrap();
        rustix::fs::chmod(directory.path(), rustix::fs::Mode::from_raw_mode(0o777)).unwrap();
        assert!(CompileCache::new(dir, [0; 32]).is_none());
    }

    #[test]
    fn a_failed_compilation_leaves_nothing() {
        let directory = TempDir::new().unwrap();
        let cache = cache(&directory, 0);
        assert_eq!(
            cache
                .store(PROGRAM, |_| Err("too complex"))
                .unwrap()
                .unwrap_err(),
            "too complex"
        );
        assert_eq!(cache.dir.entries().unwrap().count(), 0);
    }
}
