//! The world of a case: a root of its own, with what the host lends it.
//!
//! The process that calls [`enter`] must be alone in a mount namespace. Afterwards its root is the case's root,
//! and everything in it vanishes with the process.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::CWD;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use serde::{Deserialize, Serialize};

use crate::case::{Buildpack, Case, Entry};
use crate::job::Job;
use crate::names::Names;
use crate::tree::{self, CNB};
use crate::{ops, scripts};

/// The programs under test, by their places outside of the world.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Programs {
    /// One program that is told by its name which phase to be, and the launcher.
    Ours {
        /// The `cnbw` program.
        cnbw: PathBuf,
        /// The launcher.
        launcher: PathBuf,
    },
    /// A directory with one program for each phase.
    Reference(PathBuf),
}

/// All phases that a case may run, beside the launcher.
const PHASES: [&str; 8] = [
    "analyzer", "builder", "creator", "detector", "exporter", "extender", "rebaser", "restorer",
];

/// Directories of the host that programs need: libraries, and the shell of launch cases.
const LENT: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr"];

/// Devices that programs may expect.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Makes the root at `mount_point` and enters it.
pub(crate) fn enter(job: &Job) -> Result<()> {
    let mount_point = job.mount_point.as_path();
    rustix::mount::mount(
        "cnbw-case",
        mount_point,
        "tmpfs",
        MountFlags::empty(),
        c"mode=0755",
    )
    .context("cannot mount a tmpfs")?;
    lend_system(mount_point)?;
    lend_programs(mount_point, &job.programs)?;
    if matches!(job.programs, Programs::Ours { .. }) {
        lend_compiled(mount_point, &job.compiled)?;
    }
    // Buildpack programs are hard links to it, because links cost nothing and copies add up.
    fs::copy(&job.fixture, mount_point.join(FIXTURE)).context("cannot copy the fixture")?;
    fs::set_permissions(mount_point.join(FIXTURE), fs::Permissions::from_mode(0o755))?;
    rustix::process::chdir(mount_point)?;
    rustix::process::pivot_root(".", ".").context("cannot change the root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).context("cannot leave the old root")?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// Where the fixture is in the world.
pub(crate) const FIXTURE: &str = ".fixture";

fn lend_system(root: &Path) -> Result<()> {
    for name in LENT {
        let host = Path::new("/").join(name);
        let here = root.join(name);
        let Ok(found) = fs::symlink_metadata(&host) else {
            continue;
        };
        if found.is_symlink() {
            symlink(fs::read_link(&host)?, &here)?;
        } else if found.is_dir() {
            fs::create_dir(&here)?;
            bind(&host, &here)?;
            // A namespace may forbid to change a mount that it inherited; the cases write nothing there anyway.
            let flags = MountFlags::BIND | MountFlags::RDONLY;
            let _ = rustix::mount::mount_remount(&here, flags, c"");
        }
    }
    let dev = root.join("dev");
    fs::create_dir(&dev)?;
    for name in DEVICES {
        let host = Path::new("/dev").join(name);
        if host.exists() {
            fs::write(dev.join(name), "")?;
            bind(&host, &dev.join(name))?;
        }
    }
    for (name, target) in [
        ("fd", "fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ] {
        symlink(format!("/proc/self/{target}"), dev.join(name))?;
    }
    fs::create_dir(root.join("proc"))?;
    bind(Path::new("/proc"), &root.join("proc"))
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    rustix::mount::mount_bind_recursive(from, to)
        .with_context(|| format!("cannot mount {} at {}", from.display(), to.display()))?;
    rustix::mount::mount_change(
        to,
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    Ok(())
}

/// Where cnbw looks for compiled programs.
const COMPILED: &str = "home/cnb/.cache/cnbw/compiled";

/// Where they are, with a directory for each user: cnbw trusts none that others can write to.
const COMPILED_BY: &str = ".compiled-by";

/// Lends the place where cnbw keeps compiled programs: every case has the same program, and to compile it costs
/// more than all the rest of a case.
fn lend_compiled(root: &Path, compiled: &Path) -> Result<()> {
    let place = root.join(COMPILED);
    tree::make_directories(&root.join("home"), (0, 0))?;
    tree::make_directories(place.parent().unwrap_or(root), CNB)?;
    let here = root.join(COMPILED_BY);
    fs::create_dir(&here)?;
    bind(compiled, &here)
}

/// Makes the directories that [`choose_compiled`] chooses from.
pub(crate) fn make_compiled(directory: &Path) -> Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    for user in [0, CNB.0] {
        let own = directory.join(user.to_string());
        fs::create_dir(&own)?;
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700))?;
        chown(&own, Some(user), Some(user))?;
    }
    Ok(())
}

/// Shows a phase the compiled programs of its user.
pub(crate) fn choose_compiled(user: u32) -> Result<()> {
    let place = Path::new("/").join(COMPILED);
    if !place.parent().is_some_and(Path::is_dir) {
        return Ok(());
    }
    tree::remove(&place)?;
    symlink(
        Path::new("/").join(COMPILED_BY).join(user.to_string()),
        &place,
    )?;
    Ok(())
}

fn lend_programs(root: &Path, programs: &Programs) -> Result<()> {
    let here = root.join("cnb/lifecycle");
    fs::create_dir_all(&here)?;
    let lend = |from: &Path, name: &str| -> Result<()> {
        fs::write(here.join(name), "")?;
        bind(from, &here.join(name))
    };
    match programs {
        Programs::Ours { cnbw, launcher } => {
            lend(cnbw, "lifecycle")?;
            for phase in PHASES {
                symlink("lifecycle", here.join(phase))?;
            }
            lend(launcher, "launcher")
        }
        Programs::Reference(directory) => {
            for name in PHASES.iter().chain(&["lifecycle", "launcher"]) {
                let program = directory.join(name);
                if program.exists() {
                    lend(&program, name)?;
                }
            }
            Ok(())
        }
    }
}

/// Fills the entered root with what every case has and what this one adds.
pub(crate) fn furnish(case: &Case, programs: &Programs, names: &Names) -> Result<()> {
    let root = Path::new("/");
    for name in ["layers", "workspace", "platform", "cache", "out"] {
        tree::make_directories(&root.join(name), CNB)?;
    }
    tree::make_directories(&root.join("srv"), (0, 0))?;
    fs::create_dir(root.join("tmp"))?;
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    tree::make_directories(&root.join("etc"), (0, 0))?;
    let users = "root:x:0:0:root:/root:/bin/sh\ncnb:x:1001:1000::/home/cnb:/bin/sh\n";
    fs::write(root.join("etc/passwd"), users)?;
    fs::write(
        root.join("etc/os-release"),
        "ID=\"fixture\"\nVERSION_ID=\"1.0\"\n",
    )?;
    let documents = [
        ("order.toml", &case.order),
        ("run.toml", &case.run),
        ("stack.toml", &case.stack),
        ("system.toml", &case.system),
    ];
    for (name, text) in documents {
        if let Some(text) = text {
            fs::write(root.join("cnb").join(name), names.expand(text))?;
        }
    }
    for buildpack in &case.buildpacks {
        make_buildpack(buildpack, names)?;
    }
    let app = PathBuf::from(case.app_directory());
    tree::make_directories(&app, CNB)?;
    let groups: [(&Path, &[Entry]); 3] = [
        (&app, &case.app),
        (Path::new("/platform"), &case.platform),
        (root, &case.files),
    ];
    for (base, entries) in groups {
        for entry in entries {
            match (programs, scripts::exit_code(entry)) {
                (Programs::Ours { .. }, Some(code)) => scripts::make(base, entry, code, names)?,
                _ => tree::make(base, entry, CNB, names)?,
            }
        }
    }
    Ok(())
}

/// Writes a buildpack, or those parts of it that are given.
pub(crate) fn make_buildpack(buildpack: &Buildpack, names: &Names) -> Result<()> {
    let directory = Path::new("/cnb/buildpacks")
        .join(buildpack.id.replace('/', "_"))
        .join(&buildpack.version);
    tree::make_directories(&directory, (0, 0))?;
    if let Some(text) = &buildpack.descriptor {
        fs::write(directory.join("buildpack.toml"), names.expand(text))?;
    }
    let programs = [
        ("detect", &buildpack.detect, &buildpack.detect_mode),
        ("build", &buildpack.build, &buildpack.build_mode),
    ];
    for (name, ops, mode) in programs {
        let Some(ops) = ops else { continue };
        tree::make_directories(&directory.join("bin"), (0, 0))?;
        fs::write(
            directory.join(format!("ops-{name}")),
            ops::write(ops, names)?,
        )?;
        let program = directory.join("bin").join(name);
        tree::remove(&program)?;
        match tree::mode(mode.as_deref())? {
            None => fs::hard_link(Path::new("/").join(FIXTURE), &program)?,
            Some(mode) => {
                fs::copy(Path::new("/").join(FIXTURE), &program)?;
                fs::set_permissions(&program, fs::Permissions::from_mode(mode))?;
            }
        }
        chown(&program, Some(0), Some(0))?;
    }
    Ok(())
}

/// Whether a path is there at all, whatever it is.
pub(crate) fn exists(path: &Path) -> bool {
    rustix::fs::statat(CWD, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok()
}
