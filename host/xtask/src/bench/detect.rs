//! Detection of many distinct buildpacks in one group, all of which pass.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// What the reference runs: the least that a program can do there.
const SCRIPT: &str = "#!/bin/sh\nexit 0\n";

/// `(module (memory (export "memory") 1) (func (export "_start")))`: the least that a program can do here.
const MODULE: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\
\x07\x13\x02\x06memory\x02\0\x06_start\0\0\x0a\x04\x01\x02\0\x0b";

/// An order of so many buildpacks, and where they are.
#[derive(Debug)]
pub(crate) struct World {
    root: PathBuf,
}

impl World {
    /// Buildpacks whose detect programs are modules, each another one.
    pub(crate) fn of_modules(root: PathBuf, count: usize) -> Result<Self> {
        Self::make(root, count, |number| {
            // A custom section without a meaning: 1 byte for the name's length, and 4 of data.
            let number = u32::try_from(number)?.to_le_bytes();
            Ok([MODULE, b"\0\x06\x01n", &number].concat())
        })
    }

    /// Buildpacks whose detect programs are shell scripts.
    pub(crate) fn of_scripts(root: PathBuf, count: usize) -> Result<Self> {
        Self::make(root, count, |_| Ok(SCRIPT.as_bytes().to_vec()))
    }

    fn make(
        root: PathBuf,
        count: usize,
        program: impl Fn(usize) -> Result<Vec<u8>>,
    ) -> Result<Self> {
        let mut order = "[[order]]\n".to_owned();
        for number in 0..count {
            let dir = root.join(format!("buildpacks/bench_{number}/1.0.0"));
            std::fs::create_dir_all(dir.join("bin"))?;
            let id = format!("id = \"bench/{number}\"\nversion = \"1.0.0\"\n");
            order.push_str("[[order.group]]\n");
            order.push_str(&id);
            std::fs::write(
                dir.join("buildpack.toml"),
                format!("api = \"0.12\"\n[buildpack]\n{id}[[targets]]\nos = \"linux\"\n"),
            )?;
            for name in ["detect", "build"] {
                let file = dir.join("bin").join(name);
                std::fs::write(&file, program(number)?)?;
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
            }
        }
        std::fs::write(root.join("order.toml"), order)?;
        for dir in ["app", "platform/env", "layers"] {
            std::fs::create_dir_all(root.join(dir)).with_context(|| dir.to_owned())?;
        }
        Ok(Self { root })
    }

    /// The command of the reference, which refuses to detect as root.
    pub(crate) fn detect_as_nobody(&self, detector: &Path) -> Result<Command> {
        const NOBODY: u32 = 65534;
        let mut command = self.detect(detector);
        if std::fs::metadata("/proc/self")?.uid() == 0 {
            command.uid(NOBODY).gid(NOBODY);
            let layers = self.root.join("layers");
            std::fs::set_permissions(layers, std::fs::Permissions::from_mode(0o777))?;
        }
        Ok(command)
    }

    /// The command that detects. `detector` is either side's program of that name.
    pub(crate) fn detect(&self, detector: &Path) -> Command {
        let mut command = Command::new(detector);
        command
            .env("CNB_PLATFORM_API", "0.15")
            .env("CNB_TARGET_OS", "linux")
            .env("CNB_TARGET_ARCH", "amd64");
        for (flag, path) in [
            ("-app", "app"),
            ("-layers", "layers"),
            ("-platform", "platform"),
            ("-order", "order.toml"),
            ("-buildpacks", "buildpacks"),
        ] {
            command.arg(flag).arg(self.root.join(path));
        }
        command
    }
}
