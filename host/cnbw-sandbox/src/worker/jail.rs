//! Locks the worker in before it reads any guest byte.
//!
//! The engine is the first wall; this is the second, and it must hold when the first one has fallen: for
//! native code of the guest's making in this very process. Such code can do what is left here, which is to
//! work in the directories of its mounts, to use up its share of memory and time, and to talk to the parent,
//! which does not trust it. The order matters: each step is one that the next may take away.

mod landlock_rules;
mod syscalls;

use self::landlock_rules::Reachable;
use rustix::fd::BorrowedFd;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

use crate::protocol::{Job, Task};

/// Memory of the worker itself beside a guest's, in bytes: engine, stacks, compiled code.
const OWN_MEMORY: u64 = 512 * 1024 * 1024;

/// Descriptors of the worker itself beside the mounts.
const OWN_DESCRIPTORS: u64 = 64;

/// Largest compiled program in bytes.
const COMPILED_BYTES: u64 = 1024 * 1024 * 1024;

/// Enters the jail. Limits on resources hold without it too. [`leave_namespaces`] comes first.
pub(super) fn enter(job: &Job, descriptors: &[BorrowedFd<'_>], jailed: bool) -> Result<(), String> {
    limit_resources(job)?;
    if !jailed {
        return Ok(());
    }
    drop_capabilities();
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| format!("cannot give up new privileges: {error}"))?;
    landlock_rules::restrict(&reachable(job, descriptors))?;
    syscalls::restrict()
}

/// What the process may still open: the mounts, and the compiled program if it has a name; or, for a worker
/// with more than one job, the directories in which all of these lie.
fn reachable<'fd>(job: &Job, descriptors: &[BorrowedFd<'fd>]) -> Vec<Reachable<'fd>> {
    let directory = |(dir, writable): (&BorrowedFd<'fd>, bool)| {
        if writable {
            Reachable::WritableDirectory(*dir)
        } else {
            Reachable::Directory(*dir)
        }
    };
    let (own, reach) = descriptors
        .split_at_checked(descriptors.len().saturating_sub(job.reach.len()))
        .unwrap_or_default();
    if !reach.is_empty() {
        let writable = job.reach.iter().copied();
        return reach.iter().zip(writable).map(directory).collect();
    }
    let (Task::Run(task), Some((program, dirs))) = (&job.task, own.split_first()) else {
        return Vec::new();
    };
    let mut reachable = Vec::new();
    if task.program_on_disk {
        reachable.push(Reachable::File(*program));
    }
    let writable = task.mounts.iter().map(|mount| mount.writable);
    reachable.extend(dirs.iter().zip(writable).map(directory));
    reachable
}

fn limit_resources(job: &Job) -> Result<(), String> {
    lower(Resource::Core, 0)?;
    match &job.task {
        Task::Compile(task) => {
            lower(Resource::As, task.memory)?;
            lower(Resource::Cpu, task.cpu_seconds)?;
            lower(Resource::Fsize, COMPILED_BYTES)?;
        }
        Task::Run(task) => {
            // Counts what can be written to, not what is reserved.
            lower(Resource::Data, task.memory.saturating_add(OWN_MEMORY))?;
            lower(Resource::Fsize, task.written_bytes)?;
            let handles = u64::try_from(task.handles.saturating_add(job.descriptors));
            let handles = handles.unwrap_or(u64::MAX).saturating_add(OWN_DESCRIPTORS);
            lower(Resource::Nofile, handles)?;
        }
    }
    Ok(())
}

/// Sets a limit, or keeps the lower one that the host has set.
fn lower(resource: Resource, limit: u64) -> Result<(), String> {
    let hard = rustix::process::getrlimit(resource).maximum;
    let limit = hard.map_or(limit, |hard| hard.min(limit));
    let rlimit = Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    rustix::process::setrlimit(resource, rlimit)
        .map_err(|error| format!("cannot limit {resource:?}: {error}"))
}

/// Leaves the host's network and System V objects behind, where the host allows it. Nothing rests on this
/// alone: sockets are out of reach by the system call filter too.
///
/// To be called before threads exist, and before anything of a job is known: it takes longer than all the rest.
pub(super) fn leave_namespaces() {
    let namespaces = UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if unshare(namespaces).is_err() {
        let _not_allowed_here = unshare(namespaces | UnshareFlags::NEWUSER);
    }
}

fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    crate::raw::unshare(flags)
}

/// Gives up what root may do, except what makes files of other users usable: a build that runs as root may
/// work for the owner of its directories, and Landlock says which files are meant.
fn drop_capabilities() {
    let keep = CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER;
    let Ok(now) = rustix::thread::capabilities(None) else {
        return;
    };
    let _has_none = rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: now.effective & keep,
            permitted: now.permitted & keep,
            inheritable: CapabilitySet::empty(),
        },
    );
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use rustix::fs::{AtFlags, FileType, Mode, OFlags};
    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketType};
    use tempfile::TempDir;

    use super::*;

    const READ: OFlags = OFlags::RDONLY;
    const MODE: Mode = Mode::from_raw_mode(0o644);

    fn open_dir(directory: &TempDir) -> rustix::fd::OwnedFd {
        rustix::fs::open(directory.path(), READ | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    /// Landlock and seccomp restrict a thread and those that it starts: the test's thread can go to jail
    /// alone. What is tried there goes past the engine and its file system, as code that broke out would.
    fn in_jail(test: impl FnOnce(&rustix::fd::OwnedFd, &rustix::fd::OwnedFd) + Send) {
        let (read_only, writable) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (read_only_dir, writable_dir) = (open_dir(&read_only), open_dir(&writable));
        for dir in [&read_only_dir, &writable_dir] {
            rustix::fs::openat(dir, "file", OFlags::WRONLY | OFlags::CREATE, MODE).unwrap();
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                rustix::thread::set_no_new_privs(true).unwrap();
                landlock_rules::restrict(&[
                    Reachable::Directory(read_only_dir.as_fd()),
                    Reachable::WritableDirectory(writable_dir.as_fd()),
                ])
                .unwrap();
                syscalls::restrict().unwrap();
                test(&read_only_dir, &writable_dir);
            });
        });
    }

    #[test]
    fn only_the_mounts_are_within_reach() {
        in_jail(|read_only, writable| {
            let here = rustix::fs::CWD;
            let open =
                |path: &str| rustix::fs::openat(here, path, READ, Mode::empty()).unwrap_err();
            assert_eq!(open("/etc/passwd"), Errno::ACCESS);
            assert_eq!(open("/proc/self/environ"), Errno::ACCESS);
            for dir in [read_only, writable] {
                rustix::fs::openat(dir, "file", READ, Mode::empty()).unwrap();
                let up = rustix::fs::openat(dir, "../../etc/passwd", READ, Mode::empty());
                assert_eq!(up.unwrap_err(), Errno::ACCESS);
            }
        });
    }

    #[test]
    fn read_only_means_read_only_below_the_engine_too() {
        in_jail(|read_only, writable| {
            let write = OFlags::WRONLY;
            for flags in [write, READ | OFlags::TRUNC, write | OFlags::CREATE] {
                let opened = rustix::fs::openat(read_only, "file", flags, MODE);
                assert_eq!(opened.unwrap_err(), Errno::ACCESS, "{flags:?}");
            }
            let made = rustix::fs::mkdirat(read_only, "dir", MODE);
            assert_eq!(made.unwrap_err(), Errno::ACCESS);
            let removed = rustix::fs::unlinkat(read_only, "file", AtFlags::empty());
            assert_eq!(removed.unwrap_err(), Errno::ACCESS);
            let link = rustix::fs::linkat(read_only, "file", writable, "link", AtFlags::empty());
            assert!(link.is_err());
            let moved = rustix::fs::renameat(read_only, "file", writable, "moved");
            assert!(moved.is_err());
            rustix::fs::openat(writable, "new", write | OFlags::CREATE, MODE).unwrap();
            rustix::fs::mkdirat(writable, "dir", Mode::from_raw_mode(0o755)).unwrap();
            rustix::fs::renameat(writable, "new", writable, "dir/new").unwrap();
        });
    }

    #[test]
    fn sockets_special_files_and_programs_are_out_of_reach() {
        in_jail(|_, writable| {
            let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
            assert_eq!(socket.unwrap_err(), Errno::PERM);
            let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None);
            assert_eq!(socket.unwrap_err(), Errno::PERM);
            let fifo = rustix::fs::mknodat(writable, "fifo", FileType::Fifo, MODE, 0);
            assert_eq!(fifo.unwrap_err(), Errno::PERM);
            assert!(std::process::Command::new("/bin/true").spawn().is_err());
            assert_eq!(rustix::process::chdir("/").unwrap_err(), Errno::PERM);
            let init = rustix::process::Pid::INIT;
            let killed = rustix::process::kill_process(init, rustix::process::Signal::TERM);
            assert_eq!(killed.unwrap_err(), Errno::PERM);
        });
    }

    #[test]
    fn threads_can_be_started() {
        in_jail(|_, _| {
            assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
        });
    }
}
