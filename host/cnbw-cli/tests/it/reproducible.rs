//! The same inputs give the same digest.

use std::path::Path;
use std::process::Command;

use crate::support::{Place, finished, has};

fn digest(stdout: &str) -> String {
    stdout
        .trim_end()
        .rsplit_once('@')
        .unwrap_or_else(|| panic!("no reference in `{stdout}`"))
        .1
        .to_owned()
}

#[test]
fn directories_umasks_time_zones_locales_and_users_do_not_matter() {
    let first = Place::with_site();
    let expected = first.build("oci:image", &[]);
    assert_eq!(expected.code, Some(0), "{}", expected.stderr);

    for (umask, zone, locale) in [
        ("077", "Asia/Kathmandu", "C"),
        ("000", "America/Lima", "tr_TR.UTF-8"),
    ] {
        let place = Place::with_site();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "umask $0; exec \"$@\"",
            umask,
            env!("CARGO_BIN_EXE_cnbw"),
            "build",
            "oci:image",
            "--path",
        ]);
        command
            .arg(place.path("site"))
            .current_dir(place.path("out"))
            .env("TMPDIR", place.path("tmp"));
        command
            .env("XDG_CACHE_HOME", place.path("cache"))
            .env("TZ", zone)
            .env("LC_ALL", locale)
            .env("HOME", "/nonexistent");
        let ended = finished(&mut command);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(
            digest(&ended.stdout),
            digest(&expected.stdout),
            "umask {umask}, TZ {zone}"
        );
    }
}

#[test]
fn another_user_gets_the_same_digest() {
    let root = rustix::process::geteuid().is_root();
    if !root || !has("setpriv") {
        assert!(
            !root || std::env::var_os("CI").is_none(),
            "setpriv (util-linux) is missing on this CI machine"
        );
        eprintln!("skipped: becoming another user takes root and setpriv");
        return;
    }
    let first = Place::with_site();
    let expected = first.build("oci:image", &[]);
    let place = Place::with_site();
    // The binary may lie below a directory that another user cannot enter.
    let binary = place.path("cnbw");
    std::fs::copy(env!("CARGO_BIN_EXE_cnbw"), &binary).unwrap();
    for path in [
        "",
        "site",
        "site/index.html",
        "site/style.css",
        "tmp",
        "out",
    ] {
        let status = Command::new("chown")
            .arg("12345:23456")
            .arg(place.path(path))
            .status()
            .unwrap();
        assert!(status.success());
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            "12345",
            "--regid",
            "23456",
            "--clear-groups",
            "--",
        ])
        .arg(&binary);
    command
        .args(["build", "oci:image", "--path"])
        .arg(place.path("site"))
        .current_dir(place.path("out"));
    command
        .env_clear()
        .env("TMPDIR", place.path("tmp"))
        .env("HOME", place.path("out"));
    let ended = finished(&mut command);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(digest(&ended.stdout), digest(&expected.stdout));
}

#[test]
fn an_image_for_arm64_is_made_here_and_its_server_starts_under_qemu() {
    let place = Place::with_site();
    let ended = place.build("oci:image", &["--platform", "linux/arm64"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    if !has("qemu-aarch64-static") || !has("umoci") {
        return;
    }
    let rootfs = unpack(&place, "image");
    let server = find(&rootfs.join("layers"), "static-site-server")
        .or_else(|| find(&rootfs.join("layers"), "server"))
        .expect("the image holds the server");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut child = Command::new("qemu-aarch64-static")
        .arg(server)
        .env("PORT", port.to_string())
        .current_dir(rootfs.join("workspace"))
        .spawn()
        .unwrap();
    let page = fetch(port);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(page.contains("<title>hello</title>"), "{page}");
}

/// Unpacks an image with umoci, as whoever runs the test.
fn unpack(place: &Place, layout: &str) -> std::path::PathBuf {
    let bundle = place.path("bundle");
    let mut command = Command::new("umoci");
    command
        .arg("unpack")
        .arg("--rootless")
        .arg("--image")
        .arg(format!(
            "{}:latest",
            place.path("out").join(layout).display()
        ))
        .arg(&bundle);
    let ended = finished(&mut command);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    bundle.join("rootfs")
}

fn find(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if entry.file_type().ok()?.is_dir() {
            find(&path, name)
        } else {
            (entry.file_name() == name).then_some(path)
        }
    })
}

/// Fetches `/` as soon as something answers, for at most ten seconds.
fn fetch(port: u16) -> String {
    use std::io::{Read, Write};
    let start = std::time::Instant::now();
    loop {
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) {
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            return answer;
        }
        assert!(
            start.elapsed() < std::time::Duration::from_secs(10),
            "nothing answers on port {port}"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
