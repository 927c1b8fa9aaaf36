//! Where a buildpack's program is, and what kind of file it is.

use std::io::Read as _;

use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt as _};
use cnbw_lifecycle::ports::{GuestFault, Program};

use crate::limits::Limits;

/// The file name that is reserved for the typed world: one component for detect and build.
const TYPED_PROGRAM: &str = "buildpack.wasm";

/// Characters of a file that a message quotes at most.
const QUOTED_CHARACTERS: usize = 60;

/// A program, read into memory: what is hashed is what is compiled.
#[derive(Debug)]
pub(crate) struct ProgramFile {
    /// Path relative to the buildpack's directory.
    pub(crate) path: String,
    /// The whole file.
    pub(crate) bytes: Vec<u8>,
}

/// The name of a program below `bin/`, which is also how guests know it.
pub(crate) fn program_name(program: Program) -> &'static str {
    match program {
        Program::Detect => "detect",
        Program::Build => "build",
    }
}

/// Looks a program up and reads it. Nothing but its first bytes is interpreted.
pub(crate) fn read_program(
    buildpack_dir: &Dir,
    program: Program,
    limits: &Limits,
) -> Result<ProgramFile, GuestFault> {
    if buildpack_dir.symlink_metadata(TYPED_PROGRAM).is_ok() {
        return Err(unloadable(
            TYPED_PROGRAM,
            "programs for the typed world are not supported yet; ship `bin/detect` and `bin/build`",
        ));
    }
    let plain = format!("bin/{}", program_name(program));
    for path in [format!("{plain}.wasm"), plain.clone()] {
        if let Some(file) = open_program(buildpack_dir, &path)? {
            let bytes = read_capped(file, &path, limits.program_size)?;
            check_kind(&path, &bytes)?;
            return Ok(ProgramFile { path, bytes });
        }
    }
    Err(GuestFault::NoProgram { wanted: plain })
}

/// Opens a regular file, following links inside the buildpack's directory only.
fn open_program(buildpack_dir: &Dir, path: &str) -> Result<Option<File>, GuestFault> {
    match buildpack_dir.symlink_metadata(path) {
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(unloadable(path, &error.to_string())),
        Ok(_) => {}
    }
    // The kind is looked at before the open, so that no device is opened; O_NONBLOCK keeps a FIFO that
    // takes the file's place in between from blocking.
    let metadata = buildpack_dir
        .metadata(path)
        .map_err(|error| link_fault(path, &error))?;
    if !metadata.is_file() {
        return Err(unloadable(path, "it is not a regular file"));
    }
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = buildpack_dir
        .open_with(
            path,
            OpenOptions::new().read(true).custom_flags(nonblocking),
        )
        .map_err(|error| link_fault(path, &error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(Some(file)),
        Ok(_) => Err(unloadable(path, "it is not a regular file")),
        Err(error) => Err(unloadable(path, &error.to_string())),
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

fn link_fault(path: &str, error: &std::io::Error) -> GuestFault {
    if is_missing(error) {
        unloadable(path, "it is a link to nothing")
    } else if error.kind() == std::io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
    {
        unloadable(
            path,
            "it is a link that leads out of the buildpack's directory",
        )
    } else {
        unloadable(path, &error.to_string())
    }
}

fn read_capped(file: File, path: &str, limit: u64) -> Result<Vec<u8>, GuestFault> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| unloadable(path, &error.to_string()))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(unloadable(
            path,
            &format!("it is larger than the {limit} bytes allowed for a program"),
        ))
    }
}

fn unloadable(path: &str, reason: &str) -> GuestFault {
    GuestFault::Unloadable {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Lets WebAssembly binaries pass and says what everything else is.
fn check_kind(path: &str, bytes: &[u8]) -> Result<(), GuestFault> {
    if let Some(version) = bytes.strip_prefix(b"\0asm") {
        return match version {
            [1, 0, 0, 0, ..] | [0x0d, 0, 1, 0, ..] => Ok(()),
            [_, _, _, _, ..] => Err(unloadable(
                path,
                "it is a WebAssembly binary of an unknown version",
            )),
            _ => Err(unloadable(
                path,
                "it is truncated: its header is incomplete",
            )),
        };
    }
    Err(GuestFault::NotWebAssembly {
        path: path.to_owned(),
        found: describe_kind(bytes),
    })
}

/// Names the kind of a file that is no WebAssembly binary, with its article.
fn describe_kind(bytes: &[u8]) -> String {
    let known: Option<&str> = match bytes {
        [] => Some("an empty file"),
        // Programs compiled ahead by the engine are ELF files with an OS ABI of their own.
        [0x7f, b'E', b'L', b'F', _, _, _, 200, ..] => {
            Some("a precompiled program (.cwasm), which holds native code")
        }
        [0x7f, b'E', b'L', b'F', ..] => Some("a native executable (ELF)"),
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..]
        | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..]
        | [0xca, 0xfe, 0xba, 0xbe, ..] => Some("a native executable (Mach-O)"),
        [b'M', b'Z', ..] => Some("a native executable (PE)"),
        [0, ..] if b"\0asm".starts_with(bytes) => Some("a truncated WebAssembly file"),
        _ => None,
    };
    if let Some(known) = known {
        return known.to_owned();
    }
    if bytes.starts_with(b"#!") {
        return format!("a script (`{}`)", quote_first_line(bytes));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if is_wasm_text(text) => {
            "WebAssembly text, which must be assembled first".to_owned()
        }
        Ok(text) if !text.contains('\0') => "a text file".to_owned(),
        _ => "a file of an unknown kind".to_owned(),
    }
}

fn is_wasm_text(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("(module") || text.starts_with("(component")
}

fn quote_first_line(bytes: &[u8]) -> String {
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    crate::runner::escape(line.trim_end(), QUOTED_CHARACTERS)
}

#[cfg(test)]
mod tests;
