//! A directory for one run of one program: its `/tmp`, with its plan in it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::Dir;
use cnbw_spec::document::MAX_DOCUMENT_BYTES;

use crate::guest_tree::{GuestTree, GuestTreeError};
use crate::ports::{Access, Mount};

/// Name of the plan's file.
const PLAN_FILE: &str = "plan.toml";

/// Where programs see the directory.
const GUEST_PATH: &str = "/tmp";

/// A private directory. It is removed when the value is dropped.
#[derive(Debug)]
pub(crate) struct PrivateDirectory {
    scratch: Arc<Dir>,
    name: String,
    dir: Arc<Dir>,
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
        let directory = Self {
            scratch: Arc::clone(scratch),
            name,
            dir,
        };
        directory.dir.create_dir(&directory.name)?;
        directory
            .dir
            .write(format!("{}/{PLAN_FILE}", directory.name), plan)?;
        Ok(directory)
    }

    /// Where the program sees its plan.
    pub(crate) fn plan_path(&self) -> String {
        format!("{GUEST_PATH}/{}/{PLAN_FILE}", self.name)
    }

    /// What the program has left of its plan. A missing file is an empty plan to nobody, so it is
    /// an error.
    pub(crate) fn read_plan(&self) -> Result<Vec<u8>, GuestTreeError> {
        let top = GuestTree::new(&self.dir, GUEST_PATH);
        let missing = || top.io("open", &self.name, io::ErrorKind::NotFound.into());
        let dir = top.directory(&self.name)?.ok_or_else(missing)?;
        let path = top.join(&self.name);
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

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // Best effort: whoever made the scratch directory removes it as a whole.
        self.scratch.remove_dir_all(&self.name).ok();
    }
}
