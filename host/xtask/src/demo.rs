//! `cargo xtask demo`: the sample site becomes an image, the image starts, the page arrives.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::rootfs::{self, Config};
use crate::run::{cargo, root, target_dir};
use crate::{http, tools};

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Keep the site running until Enter is pressed.
    #[arg(long)]
    keep: bool,
}

/// A way to start an image on this machine.
struct Runtime {
    name: &'static str,
    start: fn(&Path, &Path, u16) -> Result<Running>,
}

/// A started image, and how it is ended.
struct Running {
    child: Child,
    stop: Option<Command>,
}

const RUNTIMES: &[Runtime] = &[
    Runtime {
        name: "podman",
        start: |archive, _, port| engine("podman", archive, port),
    },
    Runtime {
        name: "docker",
        start: |archive, _, port| engine("docker", archive, port),
    },
    Runtime {
        name: "user namespaces",
        start: namespaces,
    },
];

pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    tools::ensure_targets()?;
    println!("building cnbw (the first time takes minutes, most of them for wasmtime) …");
    crate::run::run(&mut cargo(&["build", "--locked", "-p", "cnbw-cli"]))?;
    let demo = target_dir().join("demo");
    std::fs::create_dir_all(&demo)?;
    let archive = demo.join("sample.tar");
    if archive.exists() {
        std::fs::remove_file(&archive)?;
    }
    let sample = root().join("guest-examples/static-site/sample");
    println!(
        "\n$ cnbw build sample --path {}",
        sample.strip_prefix(root()).unwrap_or(&sample).display()
    );
    crate::run::run(
        Command::new(target_dir().join("debug/cnbw"))
            .arg("build")
            .arg("sample")
            .arg("--path")
            .arg(&sample)
            .current_dir(&demo),
    )?;

    let layers = rootfs::layers(&archive)?;
    println!(
        "\nThe image is {} ({} bytes), one file for `docker load`, `podman load` and `skopeo copy oci-archive:`:",
        archive.display(),
        archive.metadata()?.len()
    );
    for layer in &layers.shown {
        println!("  {layer}");
    }
    start(&archive, &demo, &layers.config, args.keep)
}

fn start(archive: &Path, demo: &Path, config: &Config, keep: bool) -> Result<()> {
    println!("\nIt starts with: {}", config.command.join(" "));
    for runtime in RUNTIMES {
        let port = http::free_port()?;
        let started =
            (runtime.start)(archive, demo, port).and_then(|running| ask(running, port, keep));
        match started {
            Ok(page) => {
                println!(
                    "started with {}: http://127.0.0.1:{port}/ answered {page}",
                    runtime.name
                );
                return Ok(());
            }
            Err(error) => println!("not started with {}: {error:#}", runtime.name),
        }
    }
    println!(
        "Nothing here can start it. With Docker: docker load -i {} && docker run --rm -p 8080:8080 sample",
        archive.display()
    );
    Ok(())
}

/// Waits for the page, reports it, and ends the program with SIGTERM.
fn ask(mut running: Running, port: u16, keep: bool) -> Result<String> {
    let answer = wait_for_page(&mut running.child, port);
    if answer.is_ok() && keep {
        println!("http://127.0.0.1:{port}/ is there until you press Enter");
        std::io::stdin().read_line(&mut String::new())?;
    }
    if let Some(stop) = &mut running.stop {
        stop.stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .ok();
    }
    // The program was started by this process; a second signal to one that ended already is harmless.
    tools::works("kill", &["-TERM", &running.child.id().to_string()]);
    let deadline = Instant::now() + Duration::from_secs(5);
    while running.child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            running.child.kill()?;
            running.child.wait()?;
            bail!("it did not stop within 5 s of SIGTERM");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    answer
}

fn wait_for_page(child: &mut Child, port: u16) -> Result<String> {
    let start = Instant::now();
    loop {
        if let Ok((status, body)) = http::get(port, "/") {
            let title = body
                .split_once("<title>")
                .and_then(|(_, rest)| rest.split_once("</title>"))
                .map_or("", |(title, _)| title);
            anyhow::ensure!(status.contains(" 200 "), "the page answered `{status}`");
            return Ok(format!(
                "`{status}`, title `{title}`, {} bytes, after {} ms",
                body.len(),
                start.elapsed().as_millis()
            ));
        }
        if let Some(status) = child.try_wait()? {
            bail!("it ended at once with {status}");
        }
        if start.elapsed() > Duration::from_secs(20) {
            bail!("no answer within 20 s");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// podman and docker take the same words.
fn engine(program: &'static str, archive: &Path, port: u16) -> Result<Running> {
    if tools::find(program).is_none() {
        bail!("it is not installed");
    }
    let loaded = Command::new(program)
        .args(["load", "-q", "-i"])
        .arg(archive)
        .stdin(Stdio::null())
        .output()?;
    if !loaded.status.success() {
        bail!(
            "`{program} load` says: {}",
            String::from_utf8_lossy(&loaded.stderr)
                .lines()
                .next()
                .unwrap_or_default()
        );
    }
    let name = format!("cnbw-demo-{}", std::process::id());
    let child = Command::new(program)
        .args(["run", "--rm", "--name", &name, "-p"])
        .arg(format!("127.0.0.1:{port}:8080"))
        .arg("sample")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stop = Command::new(program);
    stop.args(["stop", "-t", "3", &name]);
    Ok(Running {
        child,
        stop: Some(stop),
    })
}

/// Unpacks the image and starts its process in namespaces of its own, as the user who runs the demo.
fn namespaces(archive: &Path, demo: &Path, port: u16) -> Result<Running> {
    if !tools::works("unshare", &["--user", "--map-root-user", "true"]) {
        bail!("`unshare --user` does not work here");
    }
    let layers = rootfs::layers(archive)?;
    let folder: PathBuf = demo.join("rootfs");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    rootfs::unpack(archive, &folder)?;
    // Looked up here: the image's own `PATH` is for the program, and `unshare` runs with its environment.
    let mut command = Command::new(tools::find("unshare").context("unshare")?);
    command
        .args(["--user", "--map-root-user"])
        .arg(tools::find("chroot").context("chroot")?);
    command
        .arg(&folder)
        .args(&layers.config.command)
        .env_clear();
    for variable in &layers.config.env {
        let (name, value) = variable
            .split_once('=')
            .context("a variable without a value")?;
        command.env(name, value);
    }
    command
        .env("PORT", port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(Running {
        child: command.spawn()?,
        stop: None,
    })
}
