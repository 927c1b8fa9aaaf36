//! Reading what guests made, by handle: no link is followed, nothing special is opened, every read has a cap.

use std::io::{self, Read};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

/// Opens a regular file for reading. A link or anything else in its place is an error.
pub(crate) fn open_regular(dir: &Dir, path: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .follow(FollowSymlinks::No)
        // A fifo in the place of a file must not make the host wait.
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = dir.open_with(path, &options)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

/// Reads a regular file of at most `cap` bytes; `None` if there is none.
pub(crate) fn read_capped(dir: &Dir, path: &str, cap: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match open_regular(dir, path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.take(cap as u64 + 1).read_to_end(&mut content)?;
    if content.len() > cap {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {cap} bytes"),
        ));
    }
    Ok(Some(content))
}

/// Opens a directory, which may be a path of several components, no link among them; `None` if there is none.
pub(crate) fn open_dir(dir: &Dir, path: &str) -> io::Result<Option<Dir>> {
    let mut current: Option<Dir> = None;
    for component in path.split('/') {
        let parent = current.as_ref().unwrap_or(dir);
        match parent.open_dir_nofollow(component) {
            Ok(next) => current = Some(next),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    current.map_or_else(|| dir.try_clone().map(Some), |found| Ok(Some(found)))
}

/// A descriptor of the directory that can be locked, synced and changed: the handle itself may only name it.
pub(crate) fn descriptor(dir: &Dir) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, ".", flags, Mode::empty())?)
}

/// Sets a directory's permission bits.
pub(crate) fn set_mode(dir: &Dir, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(
        descriptor(dir)?,
        Mode::from_raw_mode(mode),
    )?)
}

/// Names in a directory, sorted bytewise. Names that are not UTF-8 are left out: no document can name them.
pub(crate) fn sorted_names(dir: &Dir) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in dir.entries()? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes whatever is at a name, directories with all they hold. Nothing there is no error.
pub(crate) fn remove(dir: &Dir, name: &str) -> io::Result<()> {
    match dir.symlink_metadata(name) {
        Ok(found) if found.is_dir() => dir.remove_dir_all(name),
        Ok(_) => dir.remove_file(name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes a file with mode 0644 whatever the umask, in place of any file or link of that name.
pub(crate) fn write_file(dir: &Dir, name: &str, content: &[u8]) -> io::Result<()> {
    use std::io::Write as _;

    match dir.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = dir.open_with(name, &options)?;
    file.write_all(content)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    Ok(())
}

/// Opens a directory, made with mode 0755 whatever the umask if it is missing; no link among the components.
pub(crate) fn make_dirs(dir: &Dir, path: &str) -> io::Result<Dir> {
    let mut current = dir.try_clone()?;
    for component in path.split('/') {
        let made = match current.create_dir(component) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        current = current.open_dir_nofollow(component)?;
        if made {
            set_mode(&current, 0o755)?;
        }
    }
    Ok(current)
}
