//! The modes of files whose mode nobody set, once a guest has ended.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::error::{CodeResult, code};
use super::namespace::FileSystem;
use super::stream::read_at;

const EXECUTABLE: Mode = Mode::from_raw_mode(0o755);

/// A directory that is still to be walked.
struct Pending {
    dir: OwnedFd,
    /// How many names below the mount it is.
    depth: usize,
    /// Whether everything below is a program by its place.
    holds_programs: bool,
}

impl FileSystem {
    /// Makes fresh files executable that look like programs or lie where programs lie.
    pub(crate) fn settle_modes(&self) -> CodeResult<()> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        for (_, dir, is_app) in self.writable_mounts() {
            let root = open_to_list(dir, b".")?;
            let mut pending = vec![Pending {
                dir: root,
                depth: 0,
                holds_programs: false,
            }];
            while let Some(directory) = pending.pop() {
                self.settle_directory(directory, is_app, &mut pending)?;
            }
        }
        Ok(())
    }

    fn settle_directory(
        &self,
        directory: Pending,
        is_app: bool,
        pending: &mut Vec<Pending>,
    ) -> CodeResult<()> {
        let Pending {
            dir,
            depth,
            holds_programs,
        } = directory;
        let reader = rustix::fs::Dir::read_from(&dir).map_err(code)?;
        for entry in reader {
            let entry = entry.map_err(code)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let mut file_type = entry.file_type();
            if file_type == FileType::Unknown {
                let stat = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW);
                file_type = FileType::from_raw_mode(stat.map_err(code)?.st_mode);
            }
            match file_type {
                FileType::Directory => {
                    // `<layer>/bin` is the second name below a layers directory.
                    let is_bin = !is_app && depth == 1 && name == b"bin";
                    // A directory that the guest locked keeps its files as they are.
                    if let Ok(child) = open_to_list(dir.as_fd(), name) {
                        pending.push(Pending {
                            dir: child,
                            depth: depth + 1,
                            holds_programs: holds_programs || is_bin || name == b"exec.d",
                        });
                    }
                }
                FileType::RegularFile => self.settle_file(dir.as_fd(), name, holds_programs)?,
                // Links and special files have no mode that counts.
                FileType::Unknown
                | FileType::Symlink
                | FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice => {}
            }
        }
        Ok(())
    }

    fn settle_file(&self, dir: BorrowedFd<'_>, name: &[u8], is_program: bool) -> CodeResult<()> {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(code)?;
        if !self.fresh.contains(&(stat.st_dev, stat.st_ino)) {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(code)?;
        let is_program = is_program || {
            let magic = read_at(&file, 0, 4).map_err(code)?;
            magic.starts_with(b"\x7fELF") || magic.starts_with(b"#!")
        };
        if is_program {
            rustix::fs::fchmod(&file, EXECUTABLE).map_err(code)?;
        }
        Ok(())
    }
}

fn open_to_list(dir: BorrowedFd<'_>, name: &[u8]) -> CodeResult<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(code)
}
