//! Builds what this library carries inside: the launcher for both architectures, and the built-in
//! buildpacks with the programs that they put into images.
//!
//! The same sources give the same bytes on any machine and below any path, because these bytes end
//! up in images: profiles are fixed, the paths of the machine are remapped.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script works on the paths and the environment that cargo gives it"
)]

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Architectures of images, and the targets of the programs in them.
const ARCHITECTURES: [(&str, &str); 2] = [
    ("amd64", "x86_64-unknown-linux-musl"),
    ("arm64", "aarch64-unknown-linux-musl"),
];

/// What the results depend on, below the repository's root.
const WATCHED: [&str; 10] = [
    "Cargo.lock",
    "host/cnbw-launcher",
    "guest-examples/Cargo.lock",
    "guest-examples/Cargo.toml",
    "guest-examples/environment-variables",
    "guest-examples/image-labels",
    "guest-examples/procfile",
    "guest-examples/sdk",
    "guest-examples/static-site/buildpack",
    "guest-examples/static-site/server",
];

fn main() -> Result<()> {
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = manifest_dir.join("../..").canonicalize()?;
    let out = PathBuf::from(variable("OUT_DIR")?);
    let target = target_dir(&out);
    for watched in WATCHED {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let launchers = launchers(&root, &target, &out)?;
    let static_site = static_site(&root, &target, &out)?;
    let mut code = table("LAUNCHERS", &launchers)?;
    code.push_str(&table("STATIC_SITE", &static_site)?);
    for (constant, name) in [
        ("PROCFILE", "procfile"),
        ("ENVIRONMENT_VARIABLES", "environment-variables"),
        ("IMAGE_LABELS", "image-labels"),
    ] {
        code.push_str(&table(constant, &single(&root, &target, &out, name)?)?);
    }
    fs::write(out.join("embedded.rs"), code)?;
    Ok(())
}

/// The launcher for each architecture.
fn launchers(root: &Path, target: &Path, out: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for (architecture, triple) in ARCHITECTURES {
        build(
            root,
            target,
            &[
                "--profile",
                "launcher",
                "-p",
                "cnbw-launcher",
                "--target",
                triple,
            ],
        )?;
        let built = target.join(triple).join("launcher/cnbw-launcher");
        files.push((
            architecture.to_owned(),
            keep(&built, out, &format!("launcher-{architecture}"))?,
        ));
    }
    Ok(files)
}

/// The files of the buildpack for static sites, by their names in its directory.
fn static_site(root: &Path, target: &Path, out: &Path) -> Result<Vec<(String, PathBuf)>> {
    build_guest(
        root,
        target,
        &[
            "--profile",
            "guest",
            "-p",
            "static-site-buildpack",
            "--target",
            "wasm32-wasip1",
        ],
    )?;
    let wasm = target.join("wasm32-wasip1/guest");
    let descriptor = root.join("guest-examples/static-site/buildpack/buildpack.toml");
    let mut files = vec![
        (
            "buildpack.toml".to_owned(),
            keep(&descriptor, out, "static-site.toml")?,
        ),
        (
            "bin/detect".to_owned(),
            keep(
                &wasm.join("static-site-detect.wasm"),
                out,
                "static-site-detect.wasm",
            )?,
        ),
        (
            "bin/build".to_owned(),
            keep(
                &wasm.join("static-site-build.wasm"),
                out,
                "static-site-build.wasm",
            )?,
        ),
    ];
    for (architecture, triple) in ARCHITECTURES {
        build_guest(
            root,
            target,
            &[
                "--profile",
                "server",
                "-p",
                "static-site-server",
                "--target",
                triple,
            ],
        )?;
        let built = target.join(triple).join("server/static-site-server");
        let server = keep(&built, out, &format!("server-{architecture}"))?;
        // The guest would need most of its time to find this out by itself.
        let digest = out.join(format!("server-{architecture}.sha256"));
        let hex = Sha256::digest(fs::read(&server)?)
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        fs::write(&digest, hex)?;
        files.push((format!("server/{architecture}"), server));
        files.push((format!("server/{architecture}.sha256"), digest));
    }
    Ok(files)
}

/// The files of a buildpack that is one program, which goes by both names.
fn single(root: &Path, target: &Path, out: &Path, name: &str) -> Result<Vec<(String, PathBuf)>> {
    let package = format!("{name}-buildpack");
    build_guest(
        root,
        target,
        &[
            "--profile",
            "guest",
            "-p",
            &package,
            "--target",
            "wasm32-wasip1",
        ],
    )?;
    let built = target.join(format!("wasm32-wasip1/guest/{package}.wasm"));
    let program = keep(&built, out, &format!("{name}.wasm"))?;
    let descriptor = root.join(format!("guest-examples/{name}/buildpack.toml"));
    Ok(vec![
        (
            "buildpack.toml".to_owned(),
            keep(&descriptor, out, &format!("{name}.toml"))?,
        ),
        ("bin/detect".to_owned(), program.clone()),
        ("bin/build".to_owned(), program),
    ])
}

/// A constant that includes files by name.
fn table(constant: &str, files: &[(String, PathBuf)]) -> Result<String> {
    let mut code = format!("pub(crate) const {constant}: &[(&str, &[u8])] = &[\n");
    for (name, path) in files {
        let path = path
            .to_str()
            .ok_or("the target directory's path is not UTF-8")?;
        writeln!(code, "    ({name:?}, include_bytes!({path:?}).as_slice()),")?;
    }
    code.push_str("];\n");
    Ok(code)
}

fn variable(name: &str) -> Result<OsString> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}").into())
}

/// A directory beside the profiles' own, so that dev and release builds share what is embedded.
/// It cannot be the outer one itself: cargo holds its lock now.
fn target_dir(out: &Path) -> PathBuf {
    // OUT_DIR is <target>/<profile>/build/<package>/out.
    out.ancestors().nth(4).unwrap_or(out).join("embed")
}

fn build_guest(root: &Path, target: &Path, args: &[&str]) -> Result<()> {
    let manifest = root.join("guest-examples/Cargo.toml");
    let manifest = manifest
        .to_str()
        .ok_or("the repository's path is not UTF-8")?;
    build(
        root,
        target,
        &[&["--manifest-path", manifest], args].concat(),
    )
}

/// Runs cargo for another target.
fn build(root: &Path, target: &Path, args: &[&str]) -> Result<()> {
    let mut command = Command::new(variable("CARGO")?);
    command
        .current_dir(root)
        .args(["build", "--locked", "--quiet", "--target-dir"])
        .arg(target)
        .args(args);
    // What the outer build was given must not reach these bytes.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let kept = [
            "CARGO_HOME",
            "CARGO_NET_",
            "CARGO_HTTP_",
            "CARGO_REGISTRIES_",
            "CARGO_REGISTRY_",
            "CARGO_SOURCE_",
        ];
        if (text.starts_with("CARGO") && !kept.iter().any(|prefix| text.starts_with(prefix)))
            || text.starts_with("RUSTC")
            || text == "RUSTFLAGS"
            || text.starts_with("CLIPPY_")
        {
            command.env_remove(&name);
        }
    }
    let mut flags = format!("--remap-path-prefix={}=/cnbw", root.display());
    if let Some(home) = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
    {
        flags = format!("--remap-path-prefix={}=/cargo\u{1f}{flags}", home.display());
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", flags);
    let status = command.status()?;
    if !status.success() {
        return Err(format!(
            "cargo {} ended with {status}; `rustup target add` installs a missing target",
            args.join(" ")
        )
        .into());
    }
    Ok(())
}

/// Copies a result beside the generated code: a later build of the same target replaces the original.
fn keep(from: &Path, out: &Path, name: &str) -> Result<PathBuf> {
    let to = out.join(name);
    fs::copy(from, &to).map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
    Ok(to)
}
