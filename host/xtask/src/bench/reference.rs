//! The reference lifecycle on the same work: one shell-script buildpack that makes one layer.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// A prepared world for the reference's `creator`.
#[derive(Debug)]
pub(crate) struct Reference {
    creator: PathBuf,
    launcher: PathBuf,
    world: PathBuf,
}

const DETECT: &str = "#!/bin/sh\ntest -f index.html\n";
const BUILD: &str = "#!/bin/sh\nmkdir -p \"$1/site\"\necho content > \"$1/site/file\"\nprintf '[types]\\nlaunch = true\\n' > \"$1/site.toml\"\n\
printf '[[processes]]\\ntype = \"web\"\\ncommand = [\"/bin/true\"]\\ndefault = true\\n' > \"$1/launch.toml\"\n";
const BUILDPACK: &str = "api = \"0.12\"\n[buildpack]\nid = \"bench/site\"\nversion = \"1.0.0\"\n[[targets]]\nos = \"linux\"\narch = \"amd64\"\n";
const ORDER: &str = "[[order]]\n[[order.group]]\nid = \"bench/site\"\nversion = \"1.0.0\"\n";

impl Reference {
    pub(crate) fn new(binaries: &Path, work: &Path) -> Result<Self> {
        let binaries = binaries
            .canonicalize()
            .with_context(|| binaries.display().to_string())?;
        let world = work.join("reference");
        let program = world.join("buildpacks/bench_site/1.0.0/bin");
        std::fs::create_dir_all(&program)?;
        std::fs::write(
            world.join("buildpacks/bench_site/1.0.0/buildpack.toml"),
            BUILDPACK,
        )?;
        std::fs::write(world.join("order.toml"), ORDER)?;
        for (name, text) in [("detect", DETECT), ("build", BUILD)] {
            std::fs::write(program.join(name), text)?;
            std::fs::set_permissions(program.join(name), std::fs::Permissions::from_mode(0o755))?;
        }
        std::fs::create_dir_all(world.join("platform/env"))?;
        run_image(&world.join("layouts"))?;
        Ok(Self {
            creator: binaries.join("creator"),
            launcher: binaries.join("launcher"),
            world,
        })
    }

    /// The command for one round, with directories of its own.
    pub(crate) fn creator(&self, site: &Path, round: usize) -> Result<Command> {
        let layers = self.world.join(format!("layers-{round}"));
        std::fs::create_dir_all(&layers)?;
        let mut command = Command::new(&self.creator);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.world);
        command
            .env("CNB_PLATFORM_API", "0.15")
            .env("CNB_EXPERIMENTAL_MODE", "quiet")
            .env("CNB_USER_ID", "0")
            .env("CNB_GROUP_ID", "0");
        command
            .env("CNB_TARGET_OS", "linux")
            .env("CNB_TARGET_ARCH", "amd64");
        command
            .arg("-layout")
            .arg("-layout-dir")
            .arg(self.world.join("layouts"))
            .arg("-run-image")
            .arg("bench.local/run:base");
        for (flag, path) in [
            ("-app", site.to_owned()),
            ("-layers", layers.clone()),
            ("-platform", self.world.join("platform")),
            ("-order", self.world.join("order.toml")),
            ("-buildpacks", self.world.join("buildpacks")),
            ("-launcher", self.launcher.clone()),
            ("-report", layers.join("report.toml")),
        ] {
            command.arg(flag).arg(path);
        }
        command.arg(format!("bench.local/app-{round}:latest"));
        Ok(command)
    }
}

/// A run image of one small layer, as a layout where the reference looks for it.
fn run_image(layouts: &Path) -> Result<()> {
    let folder = layouts.join("bench.local/run/base");
    std::fs::create_dir_all(&folder)?;
    crate::layout::write(&folder, &[("etc/os-release", "ID=bench\nVERSION_ID=1\n")])
}
