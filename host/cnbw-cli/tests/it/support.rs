//! Starting `cnbw`, and small applications and buildpacks for it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A private place with an application in it; everything in it goes away with the value.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
}

/// How a run of `cnbw` ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    /// A place with a one-page site in `site/`.
    pub(crate) fn with_site() -> Self {
        let place = Self::empty();
        place.write("site/index.html", "<!doctype html><title>hello</title>\n");
        place.write("site/style.css", "p { color: black }\n");
        place
    }

    pub(crate) fn empty() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("cnbw-test-")
            .tempdir()
            .unwrap();
        std::fs::create_dir(dir.path().join("tmp")).unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// A buildpack directory whose two programs are these bytes.
    pub(crate) fn buildpack(&self, name: &str, detect: &[u8], build: &[u8]) -> String {
        self.write(
            &format!("{name}/buildpack.toml"),
            format!("api = \"0.12\"\n[buildpack]\nid = \"test/{name}\"\nversion = \"1.0.0\"\n[[targets]]\nos = \"linux\"\n"),
        );
        for (program, bytes) in [("detect", detect), ("build", build)] {
            let file = format!("{name}/bin/{program}");
            self.write(&file, bytes);
            std::fs::set_permissions(self.path(&file), std::fs::Permissions::from_mode(0o755))
                .unwrap();
        }
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A `cnbw` command that keeps its temporary files and caches in this place.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cnbw"));
        command
            .args(args)
            .current_dir(self.path("out"))
            .env("TMPDIR", self.path("tmp"))
            .env("HOME", self.path("out"))
            .env("XDG_CACHE_HOME", shared_cache())
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn cnbw(&self, args: &[&str]) -> Ended {
        finished(&mut self.command(args))
    }

    /// Builds the site into `target`.
    pub(crate) fn build(&self, target: &str, more: &[&str]) -> Ended {
        let site = self.path("site");
        let mut args = vec!["build", target, "--path", site.to_str().unwrap()];
        args.extend(more);
        self.cnbw(&args)
    }

    /// What is left where temporary files go.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.path("tmp"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    /// What a build put where it was started.
    pub(crate) fn outputs(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Compiled guests are shared by the tests, as they are shared by the builds of a user.
fn shared_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile-cache")
}

pub(crate) fn finished(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The end of a build that failed as it should.
pub(crate) fn assert_refused(place: &Place, ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert_eq!(ended.stdout, "", "standard output is for results");
    assert_eq!(
        ended.stderr.matches("error:").count(),
        1,
        "one error: {}",
        ended.stderr
    );
    for word in words {
        assert!(
            ended.stderr.contains(word),
            "`{word}` is not in: {}",
            ended.stderr
        );
    }
    assert_eq!(place.leftovers(), Vec::<std::path::PathBuf>::new());
    assert_eq!(place.outputs(), Vec::<String>::new());
}

/// Whether a peer program is there. A CI machine must have it.
pub(crate) fn has(program: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .any(|dir| dir.join(program).is_file());
    assert!(
        found || std::env::var_os("CI").is_none(),
        "{program} is missing on this CI machine"
    );
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Whether file systems can be mounted in namespaces of one's own. A CI machine must let it.
pub(crate) fn can_mount() -> bool {
    let tried = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .stderr(Stdio::null())
        .status();
    let can = tried.is_ok_and(|status| status.success());
    assert!(
        can || std::env::var_os("CI").is_none(),
        "this CI machine allows no user namespaces"
    );
    if !can {
        eprintln!("skipped: this machine allows no user namespaces");
    }
    can
}

/// A preview1 program that ends with this status.
pub(crate) fn exits(code: u32) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start") (call $exit (i32.const {code}))))"#
    ))
    .unwrap()
}

/// A preview1 program that prints a line and ends with this status.
pub(crate) fn says(text: &str, code: u32) -> Vec<u8> {
    let length = text.len() + 1;
    wat::parse_str(format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\{length:02x}\00\00\00")
            (data (i32.const 16) "{text}\n")
            (func (export "_start")
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (call $exit (i32.const {code}))))"#
    ))
    .unwrap()
}

/// A preview1 program that never ends.
pub(crate) fn never_ends() -> Vec<u8> {
    wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start") (loop $again (br $again))))"#).unwrap()
}

/// A preview1 program that takes memory until there is none, and then traps.
pub(crate) fn eats_memory() -> Vec<u8> {
    wat::parse_str(
        r#"(module
            (memory (export "memory") 1)
            (func (export "_start")
                (loop $more
                    (if (i32.eq (memory.grow (i32.const 256)) (i32.const -1)) (then unreachable))
                    (br $more))))"#,
    )
    .unwrap()
}
