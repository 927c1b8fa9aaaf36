//! Turns entries into the bytes of a tar, and these into a blob.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::header::{Header, TAR_BLOCK, TypeFlag, pad};
use super::walk::{Chain, Visit, io, kind_of, refused, walk};
use super::{EntryKind, LayerBlob, LayerError, LayerOptions, Owner, ScannedPath};
use crate::blob::BlobWriter;
use crate::descriptor::Descriptor;
use crate::digest::DiffId;

/// Bits of a file's mode that an entry keeps: permissions, set-id and sticky bits.
const MODE_BITS: u32 = 0o7777;

/// Mode of the symbolic links of a tree, whatever the file system says.
const LINK_MODE: u32 = 0o777;

/// Writes one layer, entry by entry, in one pass and with little memory.
#[derive(Debug)]
pub struct LayerWriter {
    options: LayerOptions,
    media_type: &'static str,
    blob: BlobWriter,
    buffer: Vec<u8>,
}

impl LayerWriter {
    /// Starts a layer whose bytes go to a nameless file in `scratch`.
    pub fn create(scratch: &Dir, options: &LayerOptions) -> Result<Self, LayerError> {
        let media_type = options
            .family
            .layer(options.compression)
            .ok_or(LayerError::NoMediaType)?;
        let blob = crate::scratch::nameless_file(scratch)
            .and_then(|file| BlobWriter::new(file, options.compression, options.workers))
            .map_err(|source| LayerError::Io {
                action: "create",
                path: "a temporary file".to_owned(),
                source,
            })?;
        Ok(Self {
            options: *options,
            media_type,
            blob,
            buffer: Vec::new(),
        })
    }

    /// Adds a directory alone.
    pub fn add_directory(&mut self, path: &str, owner: Owner, mode: u32) -> Result<(), LayerError> {
        self.add_entry(path.as_bytes(), b"", TypeFlag::Directory, mode, owner, 0)
    }

    /// Adds a file whose content is at hand.
    pub fn add_file(
        &mut self,
        path: &str,
        owner: Owner,
        mode: u32,
        content: &[u8],
    ) -> Result<(), LayerError> {
        let size = content.len() as u64;
        self.add_entry(path.as_bytes(), b"", TypeFlag::File, mode, owner, size)?;
        self.store(
            path,
            |blob, padding| {
                blob.write(content)?;
                blob.write(padding)
            },
            size,
        )
    }

    /// Adds a symbolic link. The reference gives the links it makes 0755, and those it finds in trees 0777.
    pub fn add_symlink(
        &mut self,
        path: &str,
        owner: Owner,
        mode: u32,
        target: &str,
    ) -> Result<(), LayerError> {
        self.add_entry(
            path.as_bytes(),
            target.as_bytes(),
            TypeFlag::Symlink,
            mode,
            owner,
            0,
        )
    }

    /// Adds `path` itself, with the mode of `tree`'s root, and everything below, in the order in which the reference
    /// walks: names of one directory sorted bytewise, a directory's content right after it.
    ///
    /// Modes come from the tree, owners do not. Links stay links, of hard links each name becomes a file, sockets are left
    /// out; fifos, devices and names that mean a deletion in a layer (`.wh.`) are refused.
    pub fn add_tree(&mut self, path: &str, tree: &Dir, owner: Owner) -> Result<(), LayerError> {
        self.add_root(path, tree, owner)?;
        walk(tree.as_fd(), path, |visit| {
            self.add_visit(path, visit, owner)
        })
    }

    /// Adds what is at `relative` below `tree`, alone, as `path/relative`. An empty `relative` is the tree's root.
    ///
    /// For many paths of one tree [`Self::add_paths`] is much faster.
    pub fn add_path(
        &mut self,
        path: &str,
        tree: &Dir,
        relative: &Path,
        owner: Owner,
    ) -> Result<(), LayerError> {
        self.add_paths(path, tree, [relative], owner)
    }

    /// Adds what is at each path below `tree`, alone and in the order given, with the rules of [`Self::add_tree`].
    pub fn add_paths<I>(
        &mut self,
        path: &str,
        tree: &Dir,
        relatives: I,
        owner: Owner,
    ) -> Result<(), LayerError>
    where
        I: IntoIterator,
        I::Item: AsRef<Path>,
    {
        let mut chain = Chain::new(tree.as_fd());
        for relative in relatives {
            let relative = relative.as_ref();
            let shown = relative.as_os_str().as_bytes();
            let mut components = normal_components(relative)
                .ok_or_else(|| refused(path, shown, "its path has parts other than names"))?;
            let Some(name) = components.pop() else {
                self.add_root(path, tree, owner)?;
                continue;
            };
            let name = std::ffi::CString::new(name)
                .map_err(|_| refused(path, shown, "its name has a zero byte"))?;
            let parent = chain
                .open(&components)
                .map_err(|source| io("open", path, shown, source))?;
            let kind = kind_of(parent, &name, FileType::Unknown, path, shown)?;
            self.add_visit(
                path,
                &Visit {
                    parent,
                    name: &name,
                    path: shown,
                    kind,
                    directory: None,
                },
                owner,
            )?;
        }
        Ok(())
    }

    /// Closes the tar and says what was written.
    pub fn finish(mut self) -> Result<LayerBlob, LayerError> {
        let finished = self
            .blob
            .write(&[0; 2 * TAR_BLOCK])
            .and_then(|()| self.blob.finish())
            .map_err(|source| LayerError::Io {
                action: "finish",
                path: "the layer".to_owned(),
                source,
            })?;
        Ok(LayerBlob {
            descriptor: Descriptor::new(self.media_type, finished.digest, finished.size),
            diff_id: DiffId::new(finished.content_digest),
            tar_size: finished.content_size,
            file: finished.file,
        })
    }

    fn add_root(&mut self, path: &str, tree: &Dir, owner: Owner) -> Result<(), LayerError> {
        let stat = rustix::fs::fstat(tree).map_err(|source| io("look at", path, b"", source))?;
        self.add_directory(path, owner, stat.st_mode & MODE_BITS)
    }

    fn add_visit(&mut self, base: &str, visit: &Visit<'_>, owner: Owner) -> Result<(), LayerError> {
        if visit.name.to_bytes().starts_with(b".wh.") {
            return Err(refused(
                base,
                visit.path,
                "names that start with `.wh.` mean a deletion in a layer",
            ));
        }
        let path = [base.as_bytes(), b"/", visit.path].concat();
        match visit.kind {
            EntryKind::File => self.add_open_file(&path, visit, owner),
            EntryKind::Directory => {
                let stat = match visit.directory {
                    Some(directory) => rustix::fs::fstat(directory),
                    None => rustix::fs::statat(visit.parent, visit.name, AtFlags::SYMLINK_NOFOLLOW),
                };
                let stat = stat.map_err(|source| io("look at", base, visit.path, source))?;
                self.add_entry(
                    &path,
                    b"",
                    TypeFlag::Directory,
                    stat.st_mode & MODE_BITS,
                    owner,
                    0,
                )
            }
            EntryKind::Symlink => {
                let target = rustix::fs::readlinkat(visit.parent, visit.name, Vec::new())
                    .map_err(|source| io("read the link", base, visit.path, source))?;
                self.add_entry(
                    &path,
                    target.to_bytes(),
                    TypeFlag::Symlink,
                    LINK_MODE,
                    owner,
                    0,
                )
            }
            EntryKind::Socket => Ok(()),
        }
    }

    fn add_open_file(
        &mut self,
        path: &[u8],
        visit: &Visit<'_>,
        owner: Owner,
    ) -> Result<(), LayerError> {
        let failed = |action, source: rustix::io::Errno| io(action, "", path, source);
        let file = open_file(visit.parent, visit.name).map_err(|source| failed("open", source))?;
        let stat = rustix::fs::fstat(&file).map_err(|source| failed("look at", source))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused(
                "",
                path,
                "it changed into something else than a file while it was read",
            ));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.add_entry(
            path,
            b"",
            TypeFlag::File,
            stat.st_mode & MODE_BITS,
            owner,
            size,
        )?;
        self.store(
            &String::from_utf8_lossy(path),
            |blob, padding| {
                blob.copy_from(&file, size)?;
                blob.write(padding)
            },
            size,
        )
    }

    fn add_entry(
        &mut self,
        path: &[u8],
        link: &[u8],
        kind: TypeFlag,
        mode: u32,
        owner: Owner,
        size: u64,
    ) -> Result<(), LayerError> {
        if !is_clean(path) {
            return Err(refused(
                "",
                path,
                "paths in a layer start with a slash and have no empty, `.` or `..` part",
            ));
        }
        self.buffer.clear();
        let mtime = self.options.mtime;
        Header {
            path,
            link,
            kind,
            mode,
            owner,
            size,
            mtime,
        }
        .print(&mut self.buffer);
        let written = self.blob.write(&self.buffer);
        written.map_err(|source| io("write", "", path, source))
    }

    /// Stores content of a known size; the callback also gets the zeros that follow it.
    fn store<F>(&mut self, path: &str, write: F, size: u64) -> Result<(), LayerError>
    where
        F: FnOnce(&mut BlobWriter, &[u8]) -> std::io::Result<()>,
    {
        self.buffer.clear();
        pad(size, &mut self.buffer);
        write(&mut self.blob, &self.buffer).map_err(|source| io("add", path, b"", source))
    }
}

fn open_file(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, rustix::io::Errno> {
    // Should the file have become a fifo since it was listed, opening it must not block.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn normal_components(path: &Path) -> Option<Vec<&[u8]>> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.as_bytes()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    };
    path.components().map(name).collect()
}

fn is_clean(path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(b"/") else {
        return false;
    };
    let named =
        |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
    rest.split(|byte| *byte == b'/').all(named)
}

pub(super) fn scan_tree(tree: &Dir) -> Result<Vec<ScannedPath>, LayerError> {
    let mut found = Vec::new();
    walk(tree.as_fd(), "", |visit| {
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(visit.path));
        found.push(ScannedPath {
            path,
            kind: visit.kind,
        });
        Ok(())
    })?;
    found.sort_unstable_by(|left, right| left.path.as_os_str().cmp(right.path.as_os_str()));
    Ok(found)
}
