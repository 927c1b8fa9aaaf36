//! Files that phase commands read and write, by the paths that the platform gives.
#![expect(
    clippy::disallowed_methods,
    reason = "the command line names files by paths; what is behind this edge takes handles"
)]

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use cnbw_spec::document::{DocumentError, MAX_DOCUMENT_BYTES};
use cnbw_spec::exit;

use super::failure::Failure;

/// Reads and parses a file, or gives `None` if there is none.
///
/// `what` says in a message what the file is: `group file`.
pub(crate) fn read_document<T>(
    what: &str,
    path: &str,
    parse: impl FnOnce(&str, &[u8]) -> Result<T, DocumentError>,
) -> Result<Option<T>, Failure> {
    let failed = || Failure::new(exit::FAILED, format!("read {what}"));
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed().because(cannot("open", path, &error))),
    };
    let mut bytes = Vec::new();
    let cap = u64::try_from(MAX_DOCUMENT_BYTES).unwrap_or(u64::MAX);
    let read = file.take(cap + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed().because(cannot("read", path, &error)))?;
    if bytes.len() > MAX_DOCUMENT_BYTES {
        let path = path.escape_debug();
        let cause = format!("`{path}` is larger than {MAX_DOCUMENT_BYTES} bytes");
        return Err(failed().because(cause));
    }
    parse(path, &bytes)
        .map(Some)
        .map_err(|error| failed().because_of(error))
}

/// Reads and parses a file that has to be there.
pub(crate) fn read_existing<T>(
    what: &str,
    path: &str,
    parse: impl FnOnce(&str, &[u8]) -> Result<T, DocumentError>,
) -> Result<T, Failure> {
    let missing = || {
        let cause = format!("there is no file `{}`", path.escape_debug());
        Failure::new(exit::FAILED, format!("read {what}")).because(cause)
    };
    read_document(what, path, parse)?.ok_or_else(missing)
}

/// Writes a file, and makes the directories above it.
pub(crate) fn write_document(what: &str, path: &str, text: &str) -> Result<(), Failure> {
    let parent = Path::new(path)
        .parent()
        .filter(|it| !it.as_os_str().is_empty());
    let written = parent
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, text));
    written.map_err(|error| {
        Failure::new(exit::FAILED, format!("write {what}")).because(cannot("write", path, &error))
    })
}

fn cannot(action: &str, path: &str, error: &io::Error) -> String {
    format!("cannot {action} `{}`: {error}", path.escape_debug())
}
