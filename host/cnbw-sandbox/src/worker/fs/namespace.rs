//! Guest paths to handles, one component at a time.
//!
//! Invariant: the host never follows a link. Links are read as data and followed here, in the guest's
//! name space, where `/` is a read-only skeleton that holds the mounts. Every call to the system names
//! one component below an open directory, with `O_NOFOLLOW`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::error::{CodeResult, code};
use super::quota::Quota;
use crate::protocol::MountPoint;
use crate::protocol::Refused;

/// Links that one path may lead over, as on Linux.
const MAX_LINKS: usize = 40;

/// Longest path in bytes, as on Linux.
const MAX_PATH_BYTES: usize = 4096;

/// Flags of every directory that is walked through: it can be looked into, not read.
const WALK: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The guest's file system.
#[derive(Debug)]
pub(crate) struct FileSystem {
    mounts: Vec<Mount>,
    mount_points: HashMap<Vec<u8>, usize>,
    skeleton: HashSet<Vec<u8>>,
    working_dir: Node,
    depth: usize,
    pub(super) quota: Arc<Quota>,
    /// The one time that all files have.
    pub(super) times: Datetime,
    /// Device and inode of regular files that the guest made and whose mode it did not set.
    pub(super) fresh: HashSet<(u64, u64)>,
    /// Numbers that stand for device and inode, in the order in which the guest met them.
    pub(super) numbers: HashMap<(u64, u64), u64>,
}

#[derive(Debug)]
struct Mount {
    path: Vec<u8>,
    dir: Arc<OwnedFd>,
    writable: bool,
}

/// A directory, with its path in the guest's name space. The path has no links, no `.` and no `..`;
/// the root's is empty.
#[derive(Clone, Debug)]
pub(super) struct Node {
    path: Vec<u8>,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    /// Part of the skeleton: exists only as a name.
    Skeleton,
    /// In or below a mount.
    Mounted { mount: usize, dir: Arc<OwnedFd> },
}

/// Where a path starts if it is not absolute.
#[derive(Clone, Debug)]
pub(super) enum Base {
    /// At a directory.
    Node(Node),
    /// At the working directory, but names that exist in the root win: this is the `.` of programs whose
    /// library cannot tell `x` from `/x`.
    Working,
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// To a directory that needs no name: a root, a mount point, or what `.` and `..` mean.
    Directory(Node),
    /// To a name in a directory, which exists or not.
    Entry(Entry),
}

/// A name in a directory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The directory.
    pub(super) parent: Node,
    /// One component, neither `.` nor `..`.
    pub(super) name: Vec<u8>,
    /// The path ended in a slash: only a directory will do.
    pub(super) must_be_directory: bool,
}

impl Node {
    /// The directory's handle. Directories of the skeleton have none.
    pub(super) fn dir(&self) -> Option<BorrowedFd<'_>> {
        match &self.place {
            Place::Skeleton => None,
            Place::Mounted { dir, .. } => Some(dir.as_fd()),
        }
    }

    /// The path of a name in this directory.
    fn child_path(&self, name: &[u8]) -> Vec<u8> {
        let mut path = Vec::with_capacity(self.path.len() + 1 + name.len());
        path.extend_from_slice(&self.path);
        path.push(b'/');
        path.extend_from_slice(name);
        path
    }

    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }
}

impl FileSystem {
    /// Joins the mounts. Guest paths must be absolute, without `.`, `..` and empty parts, and different
    /// from each other; the working directory must exist.
    pub(crate) fn new(
        mount_points: &[MountPoint],
        dirs: Vec<OwnedFd>,
        working_dir: &str,
        quota: (u64, u64),
        depth: usize,
        wall_clock: u64,
    ) -> Result<Self, String> {
        let mut mounts = Vec::new();
        let mut by_path = HashMap::new();
        let mut skeleton = HashSet::from([Vec::new()]);
        for (point, dir) in mount_points.iter().zip(dirs) {
            let path = mount_path(&point.guest_path)?;
            for (index, byte) in path.iter().enumerate() {
                if *byte == b'/' {
                    skeleton.insert(path.get(..index).unwrap_or_default().to_vec());
                }
            }
            if by_path.insert(path.clone(), mounts.len()).is_some() {
                return Err(format!(
                    "two mounts have the guest path `{}`",
                    point.guest_path
                ));
            }
            mounts.push(Mount {
                path,
                dir: Arc::new(dir),
                writable: point.writable,
            });
        }
        let mut file_system = Self {
            mounts,
            mount_points: by_path,
            skeleton,
            working_dir: Node {
                path: Vec::new(),
                place: Place::Skeleton,
            },
            depth,
            quota: Arc::new(Quota::new(quota.0, quota.1)),
            times: Datetime {
                seconds: wall_clock,
                nanoseconds: 0,
            },
            fresh: HashSet::new(),
            numbers: HashMap::new(),
        };
        file_system.working_dir = file_system
            .open_directory(&mount_path(working_dir)?)
            .map_err(|error| format!("the working directory `{working_dir}`: {error}"))?;
        Ok(file_system)
    }

    /// The root of the name space.
    pub(super) fn root(&self) -> Node {
        self.mounted_node(Vec::new()).unwrap_or(Node {
            path: Vec::new(),
            place: Place::Skeleton,
        })
    }

    /// The working directory.
    pub(super) fn working_dir(&self) -> &Node {
        &self.working_dir
    }

    /// The node of a mount point or skeleton directory, if the path is one.
    fn mounted_node(&self, path: Vec<u8>) -> Option<Node> {
        if let Some(index) = self.mount_points.get(&path) {
            let mount = self.mounts.get(*index)?;
            let place = Place::Mounted {
                mount: *index,
                dir: Arc::clone(&mount.dir),
            };
            return Some(Node { path, place });
        }
        self.skeleton.contains(&path).then_some(Node {
            path,
            place: Place::Skeleton,
        })
    }

    /// Names below a directory that come from mounts, not from the disk.
    pub(super) fn mounted_children(&self, node: &Node) -> Vec<Vec<u8>> {
        let mut prefix = node.path.clone();
        prefix.push(b'/');
        self.mounts
            .iter()
            .filter_map(|mount| mount.path.strip_prefix(prefix.as_slice()))
            .filter_map(|rest| rest.split(|byte| *byte == b'/').next())
            .map(<[u8]>::to_vec)
            .collect()
    }

    /// Whether the guest may change what a directory holds.
    pub(super) fn is_writable(&self, node: &Node) -> bool {
        match &node.place {
            Place::Skeleton => false,
            Place::Mounted { mount, .. } => {
                self.mounts.get(*mount).is_some_and(|mount| mount.writable)
            }
        }
    }

    /// Whether a directory is the root of a mount, or part of the skeleton.
    pub(super) fn is_fixed(&self, node: &Node) -> bool {
        self.mount_points.contains_key(&node.path) || self.skeleton.contains(&node.path)
    }

    /// Whether a mount lies at or below a name.
    pub(super) fn has_mount_below(&self, entry: &Entry) -> bool {
        let path = entry.parent.child_path(&entry.name);
        self.mounts.iter().any(|mount| {
            mount
                .path
                .strip_prefix(path.as_slice())
                .is_some_and(|rest| rest.starts_with(b"/"))
        })
    }

    /// Writable mounts: path, handle, and whether it is or holds the working directory.
    pub(super) fn writable_mounts(&self) -> impl Iterator<Item = (&[u8], BorrowedFd<'_>, bool)> {
        self.mounts
            .iter()
            .filter(|mount| mount.writable)
            .map(|mount| {
                let is_app = self.working_dir.path.starts_with(&mount.path);
                (mount.path.as_slice(), mount.dir.as_fd(), is_app)
            })
    }

    /// What the guest was refused room for first, if it ever was.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.quota.refused()
    }

    /// Whether something may be made below a directory, by depth and length of names.
    pub(super) fn check_new_name(&self, entry: &Entry) -> CodeResult<()> {
        let path = entry.parent.child_path(&entry.name);
        let depth = path.split(|byte| *byte == b'/').count() - 1;
        if path.len() > MAX_PATH_BYTES {
            return Err(ErrorCode::NameTooLong);
        }
        if depth > self.depth {
            return Err(self.quota.refuse(Refused::Depth));
        }
        Ok(())
    }

    /// The node of a directory entry that was opened.
    pub(super) fn child(parent: &Node, name: &[u8], dir: OwnedFd) -> Node {
        let path = parent.child_path(name);
        let place = match &parent.place {
            Place::Skeleton => Place::Skeleton,
            Place::Mounted { mount, .. } => Place::Mounted {
                mount: *mount,
                dir: Arc::new(dir),
            },
        };
        Node { path, place }
    }

    /// Opens a directory by its canonical path.
    fn open_directory(&self, path: &[u8]) -> CodeResult<Node> {
        let mut node = self.root();
        for name in path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
        {
            node = self.step(&node, name)?.ok_or(ErrorCode::NotDirectory)?;
        }
        Ok(node)
    }

    /// Goes one name down. `None` says that it is there and no directory: perhaps a link.
    fn step(&self, node: &Node, name: &[u8]) -> CodeResult<Option<Node>> {
        if let Some(mounted) = self.mounted_node(node.child_path(name)) {
            return Ok(Some(mounted));
        }
        let Some(dir) = node.dir() else {
            return Err(ErrorCode::NoEntry);
        };
        match rustix::fs::openat(dir, name, WALK, Mode::empty()) {
            Ok(opened) => Ok(Some(Self::child(node, name, opened))),
            Err(Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(code(errno)),
        }
    }

    /// Finds out where a path leads. The last component's link is followed if `follow` says so.
    pub(super) fn resolve(&self, base: &Base, path: &str, follow: bool) -> CodeResult<Target> {
        let path = path.as_bytes();
        if path.is_empty() {
            return Err(ErrorCode::NoEntry);
        }
        let mut walk = Walk {
            file_system: self,
            stack: vec![self.start(base, path)],
            pending: Vec::new(),
            links: 0,
            must_be_directory: false,
        };
        walk.push(path)?;
        walk.run(follow)
    }

    fn start(&self, base: &Base, path: &[u8]) -> Node {
        if path.starts_with(b"/") {
            return self.root();
        }
        match base {
            Base::Node(node) => node.clone(),
            Base::Working => {
                let mut names = path.split(|byte| *byte == b'/');
                let first = names.find(|name| !matches!(*name, b"" | b"."));
                let root = self.root();
                let is_in_root = first.is_some_and(|name| {
                    name != b".." && self.mounted_node(root.child_path(name)).is_some()
                });
                if is_in_root {
                    root
                } else {
                    self.working_dir.clone()
                }
            }
        }
    }
}

/// A path on its way.
struct Walk<'a> {
    file_system: &'a FileSystem,
    /// Directories walked through; the last one is where the walk is.
    stack: Vec<Node>,
    /// Components to come, the next one last.
    pending: Vec<Vec<u8>>,
    links: usize,
    must_be_directory: bool,
}

impl Walk<'_> {
    /// Puts a path before what is still to come.
    fn push(&mut self, path: &[u8]) -> CodeResult<()> {
        if path.contains(&0) {
            return Err(ErrorCode::Invalid);
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(ErrorCode::NameTooLong);
        }
        if self.pending.is_empty() {
            self.must_be_directory |= path.ends_with(b"/");
        }
        let names = path.split(|byte| *byte == b'/').rev();
        self.pending.extend(
            names
                .filter(|name| !matches!(*name, b"" | b"."))
                .map(<[u8]>::to_vec),
        );
        Ok(())
    }

    fn run(mut self, follow: bool) -> CodeResult<Target> {
        while let Some(name) = self.pending.pop() {
            if name == b".." {
                self.up()?;
                continue;
            }
            let here = self.here();
            if let Some(mounted) = self.file_system.mounted_node(here.child_path(&name)) {
                self.stack.push(mounted);
                continue;
            }
            if self.pending.is_empty() {
                if (follow || self.must_be_directory) && self.follow(&here, &name)? {
                    continue;
                }
                return Ok(Target::Entry(Entry {
                    parent: here,
                    name,
                    must_be_directory: self.must_be_directory,
                }));
            }
            match self.file_system.step(&here, &name)? {
                Some(node) => self.stack.push(node),
                None if self.follow(&here, &name)? => {}
                None => return Err(ErrorCode::NotDirectory),
            }
        }
        Ok(Target::Directory(self.here()))
    }

    fn here(&self) -> Node {
        self.stack
            .last()
            .cloned()
            .unwrap_or_else(|| self.file_system.root())
    }

    fn up(&mut self) -> CodeResult<()> {
        let here = self.here();
        self.stack.pop();
        if self.stack.is_empty() {
            let end = here
                .path
                .iter()
                .rposition(|byte| *byte == b'/')
                .unwrap_or_default();
            let parent = here.path.get(..end).unwrap_or_default();
            self.stack.push(self.file_system.open_directory(parent)?);
        }
        Ok(())
    }

    /// Goes on with a link's target, if the name is a link.
    fn follow(&mut self, here: &Node, name: &[u8]) -> CodeResult<bool> {
        let Some(dir) = here.dir() else {
            return Ok(false);
        };
        let target = match rustix::fs::readlinkat(dir, name, Vec::new()) {
            Ok(target) => target.into_bytes(),
            Err(Errno::INVAL | Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(code(errno)),
        };
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(ErrorCode::Loop);
        }
        if target.starts_with(b"/") {
            self.stack = vec![self.file_system.root()];
        }
        self.push(&target)?;
        Ok(true)
    }
}

/// A mount's guest path without its trailing slash; the root's is empty.
fn mount_path(guest_path: &str) -> Result<Vec<u8>, String> {
    let refuse = || {
        format!(
            "the guest path `{}` is not absolute and plain",
            guest_path.escape_debug()
        )
    };
    let path = guest_path.strip_prefix('/').ok_or_else(refuse)?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Vec::new());
    }
    if path.contains('\0') || path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err(refuse());
    }
    Ok(format!("/{path}").into_bytes())
}

#[cfg(test)]
mod tests;
