//! The writer behind [`super::LayerWriter`].
use std::path::Path;

use cap_std::fs::Dir;

use super::{LayerBlob, LayerError, LayerOptions, Owner, ScannedPath};

/// Writes one layer, entry by entry, in one pass and with little memory.
#[derive(Debug)]
pub struct LayerWriter {
    options: LayerOptions,
}

impl LayerWriter {
    /// Starts a layer whose bytes go to a nameless file in `scratch`.
    pub fn create(scratch: &Dir, options: &LayerOptions) -> Result<Self, LayerError> {
        let _ = scratch;
        Ok(Self { options: *options })
    }

    /// Adds a directory alone.
    pub fn add_directory(&mut self, path: &str, owner: Owner, mode: u32) -> Result<(), LayerError> {
        unwritten(path, owner, mode)
    }

    /// Adds a file whose content is at hand.
    pub fn add_file(
        &mut self,
        path: &str,
        owner: Owner,
        mode: u32,
        content: &[u8],
    ) -> Result<(), LayerError> {
        let _ = content;
        unwritten(path, owner, mode)
    }

    /// Adds a symbolic link. The reference gives its own links 0755 and those of trees 0777.
    pub fn add_symlink(
        &mut self,
        path: &str,
        owner: Owner,
        mode: u32,
        target: &str,
    ) -> Result<(), LayerError> {
        let _ = target;
        unwritten(path, owner, mode)
    }

    /// Adds `path` itself, with the mode of `tree`'s root, and everything below, in the order in which the reference walks:
    /// names of one directory sorted bytewise, a directory's content right after it.
    ///
    /// Modes come from the tree; owners do not.
    pub fn add_tree(&mut self, path: &str, tree: &Dir, owner: Owner) -> Result<(), LayerError> {
        let _ = tree;
        unwritten(path, owner, 0)
    }

    /// Adds what is at `relative` below `tree`, alone, as `path/relative`. An empty `relative` is the tree's root.
    pub fn add_path(
        &mut self,
        path: &str,
        tree: &Dir,
        relative: &Path,
        owner: Owner,
    ) -> Result<(), LayerError> {
        let _ = (tree, relative);
        unwritten(path, owner, 0)
    }

    /// Closes the tar and says what was written.
    pub fn finish(self) -> Result<LayerBlob, LayerError> {
        let _ = self.options;
        unwritten("", Owner::ROOT, 0)
    }
}

fn unwritten<T>(path: &str, _owner: Owner, _mode: u32) -> Result<T, LayerError> {
    Err(LayerError::Refused {
        path: path.to_owned(),
        rule: "the layer writer is not there yet",
    })
}

pub(super) fn scan_tree(tree: &Dir) -> Result<Vec<ScannedPath>, LayerError> {
    let _ = tree;
    unwritten("", Owner::ROOT, 0)
}
