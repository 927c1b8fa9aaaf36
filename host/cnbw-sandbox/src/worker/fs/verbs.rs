//! The host verb `files`: modes, and links with any target.

use rustix::fs::{FileType, Mode, OFlags};
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use self::bindings::cnbw::buildpack::files;
use super::descriptor::View;
use super::error::{CodeResult, code};
use super::namespace::{Base, Entry, FileSystem, Target};
use super::operations::{entry_dir, file_type, open_regular, stat_entry};

mod bindings {
    wasmtime::component::bindgen!({ path: "../../wit", world: "cnbw:buildpack/verbs" });
}

/// Bits that a mode may have at all.
const ALL_MODE_BITS: u32 = 0o7777;

/// Bits that are kept.
const PERMISSION_BITS: u32 = 0o777;

struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = View<'a>;
}

/// Puts `cnbw:buildpack/files` into a linker.
pub(crate) fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> View<'_>,
) -> wasmtime::Result<()> {
    files::add_to_linker::<_, HasFiles>(linker, view)
}

impl files::Host for View<'_> {
    fn set_mode(&mut self, path: String, mode: u32) -> Result<(), files::FileError> {
        self.files.set_mode(&path, mode).map_err(file_error)
    }

    fn get_mode(&mut self, path: String) -> Result<u32, files::FileError> {
        self.files.get_mode(&path).map_err(file_error)
    }

    fn symlink(&mut self, target: String, path: String) -> Result<(), files::FileError> {
        self.files
            .symlink(&target, &Base::Working, &path)
            .map_err(file_error)
    }
}

impl FileSystem {
    fn set_mode(&mut self, path: &str, mode: u32) -> CodeResult<()> {
        if mode & !ALL_MODE_BITS != 0 {
            return Err(ErrorCode::Invalid);
        }
        let mode = Mode::from_raw_mode(mode & PERMISSION_BITS);
        let entry = match self.resolve(&verb_base(), path, true)? {
            Target::Directory(node) => {
                self.check_writable(&node)?;
                if self.is_fixed(&node) {
                    return Err(ErrorCode::NotPermitted);
                }
                let dir = node.dir().ok_or(ErrorCode::NotPermitted)?;
                return rustix::fs::chmodat(dir, ".", mode, rustix::fs::AtFlags::empty())
                    .map_err(code);
            }
            Target::Entry(entry) => entry,
        };
        let stat = stat_entry(&entry)?.ok_or(ErrorCode::NoEntry)?;
        self.check_writable(&entry.parent)?;
        set_entry_mode(&entry, file_type(&stat), mode)?;
        self.fresh.remove(&(stat.st_dev, stat.st_ino));
        Ok(())
    }

    fn get_mode(&self, path: &str) -> CodeResult<u32> {
        let stat = self.stat(&verb_base(), path, true)?;
        Ok(stat.map_or(0o755, |stat| stat.st_mode & PERMISSION_BITS))
    }
}

fn verb_base() -> Base {
    Base::Working
}

/// Sets the mode of a file or directory by a handle that followed no link.
fn set_entry_mode(entry: &Entry, file_type: FileType, mode: Mode) -> CodeResult<()> {
    let dir = entry_dir(entry)?;
    match file_type {
        FileType::RegularFile => match open_regular(entry, OFlags::RDONLY) {
            Ok(file) => rustix::fs::fchmod(file, mode).map_err(code),
            // A file that its owner may not read has no handle to change it by. Nobody but this guest
            // works here, so that the name still means the file that was looked at.
            Err(ErrorCode::Access) => rustix::fs::chmodat(
                dir,
                entry.name.as_slice(),
                mode,
                rustix::fs::AtFlags::empty(),
            )
            .map_err(code),
            Err(error) => Err(error),
        },
        FileType::Directory => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(dir, entry.name.as_slice(), flags, Mode::empty())
                .map_err(code)?;
            match rustix::fs::chmodat(&opened, ".", mode, rustix::fs::AtFlags::empty()) {
                // Not searchable, so that `.` cannot be looked up in it; see above.
                Err(rustix::io::Errno::ACCESS) => rustix::fs::chmodat(
                    dir,
                    entry.name.as_slice(),
                    mode,
                    rustix::fs::AtFlags::empty(),
                )
                .map_err(code),
                other => other.map_err(code),
            }
        }
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Err(ErrorCode::NotPermitted),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the verbs have fewer words than WASI"
)]
fn file_error(code: ErrorCode) -> files::FileError {
    use files::FileError;
    match code {
        ErrorCode::NoEntry => FileError::NotFound,
        ErrorCode::Exist => FileError::Exists,
        ErrorCode::ReadOnly => FileError::ReadOnly,
        ErrorCode::NotPermitted | ErrorCode::Access | ErrorCode::Busy => FileError::NotPermitted,
        ErrorCode::NotDirectory => FileError::NotDirectory,
        ErrorCode::Loop => FileError::TooManyLinks,
        ErrorCode::Invalid => FileError::Invalid,
        ErrorCode::NameTooLong => FileError::NameTooLong,
        ErrorCode::InsufficientSpace | ErrorCode::Quota => FileError::NoSpace,
        _ => FileError::Io,
    }
}
