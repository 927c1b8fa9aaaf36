//! A directory for one run of one program: its `/tmp`, with its plan in it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::fs::{Dir, MetadataExt as _, OpenOptions};
use cnbw_spec::document::MAX_DOCUMENT_BYTES;

use crate::guest_tree::{GuestTree, GuestTreeError};
use crate::ports::{Access, Mount};

/// Name of the plan's file.
const PLAN_FILE: &str = "plan.toml";

/// Name of the directory with the plan, the same for every program: programs see it.
const PLAN_DIR: &str = "plan.0";

/// Where programs see the directory.
const GUEST_PATH: &str = "/tmp";

/// A private directory. It is removed when the value is dropped.
#[derive(Debug)]
pub(crate) struct PrivateDirectory {
    scratch: Arc<Dir>,
    name: String,
    dir: Arc<Dir>,
    /// Modes of the plan's directory and file, as they were made.
    modes: [u32; 2],
}

/// Numbers directories within the process, so that programs that run at once get different ones.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl PrivateDirectory {
    /// Makes a directory with a plan in it.
    pub(crate) fn with_plan(scratch: &Arc<Dir>, plan: &[u8]) -> io::Result<Self> {
        let name = loop {
            let name = format!("plan.{}", NEXT.fetch_add(1, Ordering::Relaxed));
            match scratch.create_dir(&name) {
                Ok(()) => break name,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        let dir = Arc::new(scratch.open_dir(&name)?);
        let mut directory = Self {
            scratch: Arc::clone(scratch),
            name,
            dir,
            modes: [0; 2],
        };
        directory.dir.create_dir(PLAN_DIR)?;
        directory
            .dir
            .write(format!("{PLAN_DIR}/{PLAN_FILE}"), plan)?;
        directory.modes = directory.look()?;
        Ok(directory)
    }

    /// The directory for another program, with an empty plan, if this one left nothing else in it: making and removing
    /// directories is most of what a short program costs.
    pub(crate) fn emptied(self) -> Option<Self> {
        let is_as_made = || -> io::Result<bool> {
            let plan_dir = self.dir.open_dir_nofollow(PLAN_DIR)?;
            if self.look()? != self.modes
                || !holds_only(&self.dir, PLAN_DIR)?
                || !holds_only(&plan_dir, PLAN_FILE)?
            {
                return Ok(false);
            }
            let mut options = OpenOptions::new();
            options
                .write(true)
                .truncate(true)
                .follow(FollowSymlinks::No);
            let file = plan_dir.open_with(PLAN_FILE, &options)?;
            let metadata = file.metadata()?;
            Ok(metadata.is_file() && metadata.nlink() == 1)
        };
        is_as_made().unwrap_or(false).then_some(self)
    }

    /// The modes of the plan's directory and file.
    fn look(&self) -> io::Result<[u32; 2]> {
        let file = format!("{PLAN_DIR}/{PLAN_FILE}");
        Ok([
            self.dir.symlink_metadata(PLAN_DIR)?.mode(),
            self.dir.symlink_metadata(file)?.mode(),
        ])
    }

    /// Where the program sees its plan.
    pub(crate) fn plan_path() -> String {
        format!("{GUEST_PATH}/{PLAN_DIR}/{PLAN_FILE}")
    }

    /// What the program has left of its plan. A missing file is an empty plan to nobody, so it is
    /// an error.
    pub(crate) fn read_plan(&self) -> Result<Vec<u8>, GuestTreeError> {
        let top = GuestTree::new(&self.dir, GUEST_PATH);
        let missing = || top.io("open", PLAN_DIR, io::ErrorKind::NotFound.into());
        let dir = top.directory(PLAN_DIR)?.ok_or_else(missing)?;
        let path = top.join(PLAN_DIR);
        let tree = GuestTree::new(&dir, &path);
        let plan = tree.read(PLAN_FILE, MAX_DOCUMENT_BYTES)?;
        plan.ok_or_else(|| tree.io("open", PLAN_FILE, io::ErrorKind::NotFound.into()))
    }

    pub(crate) fn mount(&self) -> Mount {
        Mount {
            guest_path: GUEST_PATH.to_owned(),
            dir: Arc::clone(&self.dir),
            access: Access::ReadWrite,
        }
    }
}

/// Whether a directory has this entry and no other.
fn holds_only(dir: &Dir, name: &str) -> io::Result<bool> {
    let mut entries = dir.entries()?;
    let first = entries.next().transpose()?;
    Ok(first.is_some_and(|entry| entry.file_name() == name) && entries.next().is_none())
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // Best effort: whoever made the scratch directory removes it as a whole.
        self.scratch.remove_dir_all(&self.name).ok();
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use cap_std::fs::{Permissions, PermissionsExt as _};

    use super::*;

    #[test]
    fn a_directory_in_which_nothing_is_left_serves_again_and_another_one_does_not() {
        const PLAN: &str = "plan.0/plan.toml";
        let temp = tempfile::tempdir().unwrap();
        let scratch = Arc::new(Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap());
        let make = || PrivateDirectory::with_plan(&scratch, b"").unwrap();
        let directory = make();
        directory.dir.write(PLAN, "said").unwrap();
        let mut directory = directory.emptied().unwrap();
        assert_eq!(directory.read_plan().unwrap(), b"");

        let leave: [fn(&Dir) -> io::Result<()>; 6] = [
            |dir| dir.write("more", ""),
            |dir| dir.write("plan.0/more", ""),
            |dir| dir.remove_dir_all("plan.0"),
            |dir| dir.set_permissions(PLAN, Permissions::from_mode(0o600)),
            |dir| {
                dir.remove_file(PLAN)?;
                dir.symlink_contents("/etc/passwd", PLAN)
            },
            |dir| {
                dir.rename(PLAN, dir, "moved")?;
                dir.hard_link("moved", dir, PLAN)
            },
        ];
        for left in leave {
            assert!(directory.dir.exists(PLAN));
            left(&directory.dir).unwrap();
            assert!(directory.emptied().is_none());
            directory = make();
        }
    }
}
