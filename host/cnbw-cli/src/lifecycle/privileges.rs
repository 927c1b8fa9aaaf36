//! Phases that need credentials start as root and go on as the user of the build.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown, lchown};
use std::path::Path;

use cnbw_spec::exit;
use rustix::process::{Gid, Uid, getgid, getuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::{Context, Failure};

const GROUP_WRITE: u32 = 0o020;
const WORLD_WRITE: u32 = 0o002;

/// Gives directories to the user of the build, and becomes that user.
///
/// Must be called before the process has a second thread: Linux changes the user of a thread, and new threads inherit it.
pub(crate) fn drop_privileges(context: &Context, directories: &[&str]) -> Result<(), Failure> {
    let (uid, gid) = ids(context)?;
    for path in directories.iter().filter(|path| !path.is_empty()) {
        ensure_owner(Path::new(path), uid, gid).map_err(|error| {
            let action = format!("give `{}` to {uid}:{gid}", path.escape_debug());
            Failure::new(exit::FAILED, action).because(error.to_string())
        })?;
    }
    become_user(uid, gid).map_err(|error| {
        let action = format!("go on as user {uid}:{gid}");
        Failure::new(exit::FAILED, action).because(error.to_string())
    })
}

/// User and group of the build.
pub(crate) fn ids(context: &Context) -> Result<(u32, u32), Failure> {
    let id = |flag: &str, number: i64| {
        u32::try_from(number).map_err(|_| {
            let cause = format!("`{number}` is not between 0 and {}", u32::MAX);
            Failure::new(exit::INVALID_ARGS, format!("parse -{flag}")).because(cause)
        })
    };
    Ok((
        id("uid", context.inputs.uid)?,
        id("gid", context.inputs.gid)?,
    ))
}

fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    if getuid() == user && getgid() == group {
        return Ok(());
    }
    // Further groups of root would stay otherwise.
    if getuid().is_root() {
        set_thread_groups(&[group])?;
    }
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(())
}

/// Changes the owner of a directory and all that is in it, unless the user can write there already.
fn ensure_owner(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mode = metadata.mode();
    let can_write = metadata.uid() == uid
        || (metadata.gid() == gid && mode & GROUP_WRITE != 0)
        || mode & WORLD_WRITE != 0;
    if can_write {
        return Ok(());
    }
    change_owner(path, uid, gid)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the platform names the directory by its path, and root walks it before any guest runs"
)]
fn change_owner(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    chown(path, Some(uid), Some(gid))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            change_owner(&entry.path(), uid, gid)?;
        } else {
            lchown(entry.path(), Some(uid), Some(gid))?;
        }
    }
    Ok(())
}
