//! Temporary files that have no name, and so are gone when they are closed, even after a crash.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// Distinguishes the names of one process' temporary files.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Creates a file without a name in a directory, for reading and writing, for this user only.
pub fn nameless_file(directory: &Dir) -> io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, c".", flags, mode) {
        Ok(file) => Ok(file.into()),
        // Some file systems cannot: overlay in old kernels, NFS.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
            let (file, name) = named_file(directory, ".cnbw-")?;
            rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
            Ok(file)
        }
        Err(error) => Err(error.into()),
    }
}

/// Creates a file whose name starts with `prefix` and is not taken yet.
pub(crate) fn named_file(directory: &Dir, prefix: &str) -> io::Result<(File, String)> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}{}-{number}", std::process::id());
        match rustix::fs::openat(directory, name.as_str(), flags, Mode::from_raw_mode(0o644)) {
            Ok(file) => return Ok((file.into(), name)),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    #[test]
    fn a_nameless_file_keeps_its_bytes_and_leaves_no_trace() {
        let place = cap_std_dir();
        let mut file = nameless_file(&place.1).unwrap();
        file.write_all(b"abc").unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        assert_eq!(place.1.entries().unwrap().count(), 0);
    }

    #[test]
    fn names_that_are_taken_are_passed_over() {
        let place = cap_std_dir();
        let (_, first) = named_file(&place.1, "x-").unwrap();
        let (_, second) = named_file(&place.1, "x-").unwrap();
        assert_ne!(first, second);
        assert!(place.1.exists(&first) && place.1.exists(&second));
    }

    fn cap_std_dir() -> (tempfile::TempDir, Dir) {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(place.path(), cap_std::ambient_authority()).unwrap();
        (place, dir)
    }
}
