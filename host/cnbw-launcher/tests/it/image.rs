//! An image's directories in a temporary place.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Prints arguments, directory and environment, one a line.
pub(crate) const DUMP: &str =
    "#!/bin/sh\nfor a in \"$@\"; do echo \"arg $a\"; done\necho \"cwd $(pwd -P)\"\nenv | sort\n";

/// Layers and an application.
pub(crate) struct Image {
    root: tempfile::TempDir,
}

/// How a launcher ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Image {
    /// One buildpack `a` of a Buildpack API, and these processes as TOML.
    pub(crate) fn new(buildpack_api: &str, processes: &str) -> Self {
        let image = Self {
            root: tempfile::tempdir().unwrap(),
        };
        let metadata =
            format!("[[buildpacks]]\nid = \"a\"\napi = \"{buildpack_api}\"\n{processes}");
        image.write("layers/config/metadata.toml", &metadata);
        std::fs::create_dir(image.path("app")).unwrap();
        image.program("dump", DUMP)
    }

    /// A process `web` that dumps what it sees.
    pub(crate) fn dumping() -> Self {
        let image = Self::new("0.12", "");
        let dump = image.path("dump");
        image.append(&format!(
            "[[processes]]\ntype = \"web\"\ncommand = [\"{}\"]\ndirect = true\nbuildpack-id = \"a\"\n",
            dump.display()
        ))
    }

    /// Adds to the metadata.
    pub(crate) fn append(self, text: &str) -> Self {
        let path = self.path("layers/config/metadata.toml");
        let metadata = std::fs::read_to_string(&path).unwrap() + text;
        std::fs::write(path, metadata).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        // The real path: what a process says of its directory has no links in it.
        self.root.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Adds a file.
    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        self.write(name, content);
        self
    }

    /// Adds a script.
    pub(crate) fn program(self, name: &str, content: &str) -> Self {
        self.write(name, content);
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// The launcher, by a name, with the variables that it needs.
    pub(crate) fn command(&self, argv0: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cnbw-launcher"));
        command
            .arg0(argv0)
            .args(arguments)
            .stdin(Stdio::null())
            .env_clear()
            .env("CNB_PLATFORM_API", "0.15")
            .env("CNB_NO_COLOR", "true")
            .env("CNB_LAYERS_DIR", self.path("layers"))
            .env("CNB_APP_DIR", self.path("app"))
            .env("PATH", "/cnb/process:/usr/bin:/bin");
        command
    }

    /// Starts the process `web`.
    pub(crate) fn launch(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.command("/cnb/process/web", arguments))
    }
}

impl Outcome {
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        Self {
            code: status.code(),
            signal: status.signal(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }

    /// The value of a variable that the dumping process saw.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.stdout
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    /// The directory that it ran in.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.stdout
            .lines()
            .find_map(|line| line.strip_prefix("cwd "))
            .map(Path::new)
    }

    /// The arguments that it got.
    pub(crate) fn arguments(&self) -> Vec<&str> {
        self.stdout
            .lines()
            .filter_map(|line| line.strip_prefix("arg "))
            .collect()
    }
}
