//! Reproducible layers: entries in, one blob out.
//!
//! A [`LayerWriter`] takes entries in the order in which the caller adds them and writes exactly the bytes that
//! the reference lifecycle writes for the same entries. Paths are absolute (`/layers/x`), without a slash at the end.
//!
//! ```no_run
//! # fn example(scratch: &cap_std::fs::Dir, tree: &cap_std::fs::Dir) -> Result<(), cnbw_oci::layer::LayerError> {
//! use cnbw_oci::layer::{LayerOptions, LayerWriter, Owner};
//! let mut layer = LayerWriter::create(scratch, &LayerOptions::default())?;
//! layer.add_directory("/layers", Owner::ROOT, 0o755)?;
//! layer.add_tree("/layers/example_java/jre", tree, Owner { uid: 1000, gid: 1000 })?;
//! let blob = layer.finish()?;
//! # Ok(()) }
//! ```

use std::fs::File;
use std::path::PathBuf;

use cap_std::fs::Dir;

use crate::compress::Compression;
use crate::descriptor::Descriptor;
use crate::digest::DiffId;
use crate::image::{LayerContent, NewLayer};
use crate::manifest::Family;

mod header;
#[cfg(test)]
mod tests;
mod walk;
mod write;

pub use write::LayerWriter;

/// Modification time of every entry unless the user asks for another: 1980-01-01T00:00:01Z.
pub const NORMALIZED_TIME: i64 = 315_532_801;

/// Who owns an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Numeric user.
    pub uid: u64,
    /// Numeric group.
    pub gid: u64,
}

impl Owner {
    /// The superuser.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// What is the same for all entries and for the blob.
#[derive(Clone, Copy, Debug)]
pub struct LayerOptions {
    /// Decides the blob's media type.
    pub family: Family,
    /// How the blob is stored.
    pub compression: Compression,
    /// Modification time of every entry, in seconds since 1970.
    pub mtime: i64,
    /// How many threads may compress blocks; the bytes do not depend on it. At least one.
    pub workers: usize,
}

impl Default for LayerOptions {
    fn default() -> Self {
        Self {
            family: Family::Oci,
            compression: Compression::None,
            mtime: NORMALIZED_TIME,
            workers: 1,
        }
    }
}

/// What is at a path of a scanned tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A socket: it is known, but never becomes an entry.
    Socket,
}

/// One path of a tree, as [`scan_tree`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedPath {
    /// Relative to the tree's root; never empty, never with `.` or `..`.
    pub path: PathBuf,
    /// What is there.
    pub kind: EntryKind,
}

/// A finished layer.
#[derive(Debug)]
pub struct LayerBlob {
    /// The blob as stored.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// Length of the uncompressed tar.
    pub tar_size: u64,
    /// The blob's bytes; the file has no name any more.
    pub file: File,
}

impl From<LayerBlob> for NewLayer {
    fn from(blob: LayerBlob) -> Self {
        Self {
            diff_id: blob.diff_id,
            content: LayerContent::File {
                descriptor: blob.descriptor,
                file: blob.file,
            },
        }
    }
}

/// Why a layer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Reading the tree or writing the blob failed.
    #[error("cannot {action} `{}`", path.escape_debug())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which entry, as it is called in the layer.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// An entry cannot be in a layer.
    #[error("`{}` cannot be in a layer: {rule}", path.escape_debug())]
    Refused {
        /// The entry, as it is called in the layer.
        path: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The Docker family has no such media type.
    #[error("an image with Docker media types cannot have layers compressed with zstd")]
    NoMediaType,
}

/// Lists everything below a directory, sorted by full path bytewise, as slices need it.
///
/// Links are listed and never followed. A fifo or a device is refused.
pub fn scan_tree(tree: &Dir) -> Result<Vec<ScannedPath>, LayerError> {
    write::scan_tree(tree)
}

/// Prints the header of a file in a tar, in the same way as in layers. The path may be relative.
pub(crate) fn tar_header(path: &str, owner: Owner, mode: u32, size: u64, mtime: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = header::Header {
        path: path.as_bytes(),
        link: b"",
        kind: header::TypeFlag::File,
        mode,
        owner,
        size,
        mtime,
    };
    header.print(&mut bytes);
    bytes
}

/// The zeros that follow a file's content in a tar.
pub(crate) fn tar_padding(size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    header::pad(size, &mut bytes);
    bytes
}
