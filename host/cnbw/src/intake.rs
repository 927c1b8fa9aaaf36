//! Takes the application in: a private copy of its directory, made before any guest runs.
//!
//! Links are data and stay links; only regular files, directories and links are taken; the copy
//! is bounded. What a project descriptor excludes is left out.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{
    Dir, DirBuilder, DirBuilderExt, FileType, FileTypeExt, OpenOptions, OpenOptionsExt,
    Permissions, PermissionsExt,
};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// How much an application may be.
#[derive(Clone, Copy, Debug)]
pub struct IntakeLimits {
    /// Sum of the file sizes, in bytes.
    pub bytes: u64,
    /// Files, directories and links together.
    pub entries: u64,
    /// Directories below each other.
    pub depth: usize,
}

impl IntakeLimits {
    /// 8 GiB in a million files, 256 directories deep.
    pub const DEFAULT: Self = Self {
        bytes: 8 << 30,
        entries: 1_000_000,
        depth: 256,
    };
}

/// Why an application cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Reading or copying failed.
    #[error("cannot {action} `{}` of the application", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Relative to the application's directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Something that an image cannot hold.
    #[error("`{}` in the application is {kind}; only files, directories and links can become part of an image", path.display())]
    SpecialFile {
        /// Relative to the application's directory.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// One of [`IntakeLimits`].
    #[error("the application has more than {limit} {what}")]
    TooMuch {
        /// The limit.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// There is nothing to build.
    #[error("the application's directory is empty")]
    Empty,
    /// A pattern in the project descriptor.
    #[error(
        "pattern `{pattern}` under `{key}` in the project descriptor is no gitignore pattern: {reason}"
    )]
    Pattern {
        /// `include` or `exclude`.
        key: &'static str,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Chooses which files of the application take part.
#[derive(Debug)]
pub enum Filter {
    /// All of them.
    Everything,
    /// All but those that match.
    Exclude(Gitignore),
    /// Only those that match.
    Include(Gitignore),
}

impl Filter {
    /// Reads the patterns of a project descriptor; `include` and `exclude` are never both given.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, IntakeError> {
        if !include.is_empty() {
            return Ok(Self::Include(patterns("include", include)?));
        }
        if !exclude.is_empty() {
            return Ok(Self::Exclude(patterns("exclude", exclude)?));
        }
        Ok(Self::Everything)
    }

    fn takes(&self, path: &Path, is_dir: bool) -> bool {
        match self {
            Self::Everything => true,
            Self::Exclude(patterns) => !patterns.matched(path, is_dir).is_ignore(),
            // A directory is entered always: something below it may match. It is kept only if something did.
            Self::Include(patterns) => {
                is_dir
                    || patterns
                        .matched_path_or_any_parents(path, is_dir)
                        .is_ignore()
            }
        }
    }
}

fn patterns(key: &'static str, list: &[String]) -> Result<Gitignore, IntakeError> {
    let mut builder = GitignoreBuilder::new("");
    for pattern in list {
        builder
            .add_line(None, pattern)
            .map_err(|error| IntakeError::Pattern {
                key,
                pattern: pattern.clone(),
                reason: error.to_string(),
            })?;
    }
    builder.build().map_err(|error| IntakeError::Pattern {
        key,
        pattern: String::new(),
        reason: error.to_string(),
    })
}

struct Intake {
    limits: IntakeLimits,
    bytes: u64,
    entries: u64,
}

/// Copies the application from `source` into the empty directory `target`.
pub(crate) fn take_in(
    source: &Dir,
    target: &Dir,
    filter: &Filter,
    limits: IntakeLimits,
) -> Result<(), IntakeError> {
    let mut intake = Intake {
        limits,
        bytes: 0,
        entries: 0,
    };
    // An own stack: an application may be deeper than a thread's stack is long.
    let clone = |dir: &Dir| {
        dir.try_clone()
            .map_err(|source| io_error("open", Path::new("."), source))
    };
    let mut stack = vec![(clone(source)?, clone(target)?, PathBuf::new(), 1)];
    let mut found_any = false;
    while let Some((from, to, path, depth)) = stack.pop() {
        if depth > limits.depth {
            return Err(IntakeError::TooMuch {
                limit: limits.depth as u64,
                what: "directories below each other",
            });
        }
        for name in intake.names(&from, &path)? {
            found_any = true;
            let child = path.join(&name);
            let metadata = from
                .symlink_metadata(&name)
                .map_err(|source| io_error("look at", &child, source))?;
            if !filter.takes(&child, metadata.is_dir()) {
                continue;
            }
            let mode = metadata.permissions().mode() & 0o777;
            if metadata.is_dir() {
                let mut builder = DirBuilder::new();
                builder.mode(0o700);
                to.create_dir_with(&name, &builder)
                    .map_err(|source| io_error("create", &child, source))?;
                let next_from = from
                    .open_dir_nofollow_at(&name)
                    .map_err(|source| io_error("open", &child, source))?;
                let next_to = to
                    .open_dir_nofollow_at(&name)
                    .map_err(|source| io_error("open", &child, source))?;
                to.set_permissions(&name, Permissions::from_mode(mode | 0o700))
                    .map_err(|source| io_error("set the mode of", &child, source))?;
                stack.push((next_from, next_to, child, depth + 1));
            } else if metadata.is_symlink() {
                let destination = from
                    .read_link_contents(&name)
                    .map_err(|source| io_error("read the link", &child, source))?;
                to.symlink_contents(destination, &name)
                    .map_err(|source| io_error("create the link", &child, source))?;
            } else if metadata.is_file() {
                intake.copy_file(&from, &to, &name, &child, mode)?;
            } else {
                return Err(IntakeError::SpecialFile {
                    path: child,
                    kind: describe(metadata.file_type()),
                });
            }
        }
    }
    if !found_any {
        return Err(IntakeError::Empty);
    }
    if matches!(filter, Filter::Include(_)) {
        remove_empty(target)?;
    }
    Ok(())
}

impl Intake {
    /// The names in a directory, sorted, so that the copy never depends on the disk's order.
    fn names(&mut self, dir: &Dir, path: &Path) -> Result<Vec<OsString>, IntakeError> {
        let error = |source| io_error("list", path, source);
        let mut names = Vec::new();
        for entry in dir.entries().map_err(error)? {
            names.push(entry.map_err(error)?.file_name());
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(IntakeError::TooMuch {
                    limit: self.limits.entries,
                    what: "files and directories",
                });
            }
        }
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        Ok(names)
    }

    fn copy_file(
        &mut self,
        from: &Dir,
        to: &Dir,
        name: &OsString,
        path: &Path,
        mode: u32,
    ) -> Result<(), IntakeError> {
        let mut read = OpenOptions::new();
        // The file may have become a FIFO since it was looked at; opening one must not hang.
        read.read(true)
            .follow(FollowSymlinks::No)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let source = from
            .open_with(name, &read)
            .map_err(|source| io_error("open", path, source))?;
        let metadata = source
            .metadata()
            .map_err(|source| io_error("look at", path, source))?;
        if !metadata.is_file() {
            return Err(IntakeError::SpecialFile {
                path: path.to_owned(),
                kind: describe(metadata.file_type()),
            });
        }
        self.bytes += metadata.len();
        if self.bytes > self.limits.bytes {
            return Err(IntakeError::TooMuch {
                limit: self.limits.bytes,
                what: "bytes",
            });
        }
        let mut write = OpenOptions::new();
        write.write(true).create_new(true).mode(0o600);
        let target = to
            .open_with(name, &write)
            .map_err(|source| io_error("create", path, source))?;
        let (mut source, mut target) = (source.into_std(), target.into_std());
        io::copy(&mut source, &mut target).map_err(|source| io_error("copy", path, source))?;
        rustix::fs::fchmod(&target, rustix::fs::Mode::from_raw_mode(mode | 0o600))
            .map_err(|source| io_error("set the mode of", path, source.into()))
    }
}

/// Removes directories that the filter left without any file.
fn remove_empty(dir: &Dir) -> Result<(), IntakeError> {
    let mut all = Vec::new();
    let mut stack = vec![PathBuf::from(".")];
    while let Some(path) = stack.pop() {
        for entry in dir
            .read_dir(&path)
            .map_err(|source| io_error("list", &path, source))?
        {
            let entry = entry.map_err(|source| io_error("list", &path, source))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let child = path.join(entry.file_name());
                stack.push(child.clone());
                all.push(child);
            }
        }
    }
    // Children were found after their parents. A directory with something in it stays.
    for path in all.iter().rev() {
        dir.remove_dir(path).ok();
    }
    Ok(())
}

trait OpenDirNoFollow {
    fn open_dir_nofollow_at(&self, name: &OsString) -> io::Result<Dir>;
}

impl OpenDirNoFollow for Dir {
    fn open_dir_nofollow_at(&self, name: &OsString) -> io::Result<Dir> {
        cap_fs_ext::DirExt::open_dir_nofollow(self, name)
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> IntakeError {
    IntakeError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn describe(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else {
        "a special file"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;

    fn pair() -> (tempfile::TempDir, Dir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        root.create_dir("from").unwrap();
        root.create_dir("to").unwrap();
        (
            temp,
            root.open_dir("from").unwrap(),
            root.open_dir("to").unwrap(),
        )
    }

    #[test]
    fn links_stay_links_even_if_they_lead_out() {
        let (_temp, from, to) = pair();
        from.symlink_contents("/etc/passwd", "out").unwrap();
        from.write("a", "x").unwrap();
        take_in(&from, &to, &Filter::Everything, IntakeLimits::DEFAULT).unwrap();
        assert_eq!(
            to.read_link_contents("out").unwrap(),
            Path::new("/etc/passwd")
        );
        assert_eq!(to.read("a").unwrap(), b"x");
    }

    #[test]
    fn modes_are_kept_without_the_special_bits() {
        let (_temp, from, to) = pair();
        from.write("run", "#!").unwrap();
        from.set_permissions("run", Permissions::from_mode(0o4755))
            .unwrap();
        take_in(&from, &to, &Filter::Everything, IntakeLimits::DEFAULT).unwrap();
        assert_eq!(
            to.metadata("run").unwrap().permissions().mode() & 0o7777,
            0o755
        );
    }

    #[test]
    fn a_named_pipe_is_refused_and_does_not_hang() {
        let (temp, from, to) = pair();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            temp.path().join("from/pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let error = take_in(&from, &to, &Filter::Everything, IntakeLimits::DEFAULT).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`pipe` in the application is a named pipe; only files, directories and links can become part of an image"
        );
    }

    #[test]
    fn an_empty_application_is_refused() {
        let (_temp, from, to) = pair();
        let error = take_in(&from, &to, &Filter::Everything, IntakeLimits::DEFAULT).unwrap_err();
        assert_eq!(error.to_string(), "the application's directory is empty");
    }

    #[test]
    fn limits_hold_exactly() {
        let (_temp, from, to) = pair();
        from.write("a", "12345").unwrap();
        from.write("b", "12345").unwrap();
        let limits = IntakeLimits {
            bytes: 9,
            ..IntakeLimits::DEFAULT
        };
        let error = take_in(&from, &to, &Filter::Everything, limits).unwrap_err();
        assert_eq!(error.to_string(), "the application has more than 9 bytes");
        let (_temp, from, to) = pair();
        from.write("a", "12345").unwrap();
        from.write("b", "12345").unwrap();
        take_in(
            &from,
            &to,
            &Filter::Everything,
            IntakeLimits {
                bytes: 10,
                entries: 2,
                ..IntakeLimits::DEFAULT
            },
        )
        .unwrap();
    }

    // shows: project-002
    #[test]
    fn excluded_files_are_left_out_and_included_ones_alone_are_taken() {
        let files = ["a.md", "src/a.rs", "node_modules/x/y.js", "docs/only.md"];
        let taken = |include: &[&str], exclude: &[&str]| {
            let (_temp, from, to) = pair();
            for file in files {
                from.create_dir_all(Path::new(file).parent().unwrap())
                    .unwrap();
                from.write(file, "x").unwrap();
            }
            let strings = |list: &[&str]| {
                list.iter()
                    .map(|text| (*text).to_owned())
                    .collect::<Vec<_>>()
            };
            let filter = Filter::new(&strings(include), &strings(exclude)).unwrap();
            take_in(&from, &to, &filter, IntakeLimits::DEFAULT).unwrap();
            let kept: Vec<&str> = files.into_iter().filter(|file| to.exists(file)).collect();
            (kept, to.exists("src"))
        };
        assert_eq!(
            taken(&[], &["*.md", "node_modules/"]),
            (vec!["src/a.rs"], true)
        );
        assert_eq!(taken(&["*.md"], &[]), (vec!["a.md", "docs/only.md"], false));
        assert_eq!(taken(&["/docs/"], &[]), (vec!["docs/only.md"], false));
        assert_eq!(
            taken(&[], &["*.md", "!docs/only.md"]),
            (
                vec!["src/a.rs", "node_modules/x/y.js", "docs/only.md"],
                true
            )
        );
    }
}
