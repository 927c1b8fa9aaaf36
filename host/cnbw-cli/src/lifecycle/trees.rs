//! Directories of a phase as the image phases take them: by handle, with the owners that are on the disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw_lifecycle::tree::{Ancestors, DirectoryAttributes, Tree};
use cnbw_oci::layer::Owner;

use super::Failure;

/// An open directory and its path.
#[derive(Debug)]
pub(crate) struct OpenTree {
    dir: Dir,
    path: String,
    above: Vec<(String, DirectoryAttributes)>,
}

impl OpenTree {
    /// Opens a directory, which is made if it is missing.
    pub(crate) fn open_or_make(path: &str, code: u8) -> Result<Self, Failure> {
        make(path, code)?;
        Self::open(path, code)
    }

    /// Opens a directory.
    pub(crate) fn open(path: &str, code: u8) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            let action = format!("open directory `{}`", path.escape_debug());
            Failure::new(code, action).because(error.to_string())
        };
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(failed)?;
        let mut above = Vec::new();
        let mut ancestors: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        ancestors.reverse();
        // The first one is the root directory, which no layer lists.
        for ancestor in ancestors.into_iter().skip(1) {
            let metadata = fs::metadata(ancestor).map_err(failed)?;
            let attributes = DirectoryAttributes {
                owner: Owner {
                    uid: u64::from(metadata.uid()),
                    gid: u64::from(metadata.gid()),
                },
                mode: metadata.mode() & 0o7777,
            };
            above.push((ancestor.to_string_lossy().into_owned(), attributes));
        }
        Ok(Self {
            dir,
            path: path.to_owned(),
            above,
        })
    }

    /// The directory as requests take it.
    pub(crate) fn tree(&self) -> Tree<'_> {
        Tree {
            dir: &self.dir,
            path: &self.path,
            ancestors: Ancestors::Disk(self.above.clone()),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the platform names the directory by its path"
)]
fn make(path: &str, code: u8) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| {
        let action = format!("make directory `{}`", path.escape_debug());
        Failure::new(code, action).because(error.to_string())
    })
}
