//! What the tasks need from the machine, and how they get it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::run::{cargo, root, run};

/// Adds the compilation targets that `rust-toolchain.toml` names, if they are missing.
pub(crate) fn ensure_targets() -> Result<()> {
    let listed = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .current_dir(root())
        .output();
    let Ok(listed) = listed else {
        // A toolchain from a package manager: cargo says by itself which target is missing.
        return Ok(());
    };
    let installed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let wanted = [
        "wasm32-wasip1",
        "wasm32-wasip2",
        "x86_64-unknown-linux-musl",
        "aarch64-unknown-linux-musl",
    ];
    let missing: Vec<&str> = wanted
        .into_iter()
        .filter(|target| !installed.lines().any(|line| line == *target))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing Rust targets: {}", missing.join(", "));
    run(Command::new("rustup")
        .args(["target", "add"])
        .args(&missing)
        .current_dir(root()))
}

/// Looks a program up in `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file())
}

/// `cargo-deny`, installed below the target directory when the machine has none.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    if let Some(found) = find("cargo-deny") {
        return Ok(found);
    }
    let home = crate::run::target_dir().join("tools");
    let program = home.join("bin/cargo-deny");
    if !program.is_file() {
        println!("installing cargo-deny into {}", home.display());
        // An unoptimised build is quick to make and quick enough to use.
        run(cargo(&[
            "install",
            "--quiet",
            "--debug",
            "--locked",
            "cargo-deny@0.20.2",
            "--root",
        ])
        .arg(&home))?;
    }
    Ok(program)
}

/// Whether a program answers; used for tools that may be installed and still not work.
pub(crate) fn works(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
