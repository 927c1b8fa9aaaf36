//! Ctrl-C and kill -9: no stray process, no temporary files, no half-written image.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Place, exits, never_ends};

/// Waits until something holds, for at most ten seconds.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{what} did not happen within 10 s"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Processes whose command line ends with the worker's hidden argument and that descend from `cnbw` builds in `place`.
fn workers_of(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // Fields after the name in parentheses: state, parent.
        let Some((_, rest)) = stat.rsplit_once(')') else {
            continue;
        };
        let mut fields = rest.split_whitespace();
        if fields.next() != Some("Z") && fields.next() == Some(&parent.to_string()) {
            found.push(pid);
            found.extend(workers_of(pid));
        }
    }
    found
}

fn alive(pid: u32) -> bool {
    std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).is_ok_and(
        |stat| {
            stat.rsplit_once(')')
                .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
        },
    )
}

fn signal(name: &str, pid: u32) {
    assert!(
        std::process::Command::new("kill")
            .args([name, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn ctrl_c_ends_a_build_in_detect_and_in_build_without_a_trace() {
    for (name, detect, build) in [
        ("detect", never_ends(), exits(0)),
        ("build", exits(0), never_ends()),
    ] {
        for key in ["-INT", "-TERM"] {
            let place = Place::with_site();
            let buildpack = place.buildpack("bp", &detect, &build);
            let site = place.path("site");
            let mut child = place
                .command(&[
                    "build",
                    "app",
                    "--path",
                    site.to_str().unwrap(),
                    "--buildpack",
                    &buildpack,
                ])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            wait_until("a worker", || !workers_of(child.id()).is_empty());
            std::thread::sleep(Duration::from_millis(100));
            let workers = workers_of(child.id());
            signal(key, child.id());
            wait_until("the end", || child.try_wait().unwrap().is_some());
            let ended = child.wait_with_output().unwrap();
            let stderr = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(ended.status.code(), Some(130), "{name} {key}: {stderr}");
            assert!(stderr.contains("interrupted"), "{stderr}");
            wait_until("the end of the workers", || {
                workers.iter().all(|pid| !alive(*pid))
            });
            assert_eq!(place.leftovers(), Vec::<std::path::PathBuf>::new());
            assert_eq!(place.outputs(), Vec::<String>::new());
        }
    }
}

#[test]
fn ctrl_c_ends_an_export_without_a_trace() {
    for target in ["app", "oci:layout"] {
        let place = Place::with_site();
        // Large enough that writing its layer is not over before the signal comes.
        std::fs::File::create(place.path("site/large.bin"))
            .and_then(|file| file.set_len(400 << 20))
            .unwrap();
        let site = place.path("site");
        let mut child = place
            .command(&["build", target, "--path", site.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("EXPORTING") {
            line.clear();
            assert_ne!(told.read_line(&mut line).unwrap(), 0, "it never exported");
        }
        signal("-INT", child.id());
        wait_until("the end", || child.try_wait().unwrap().is_some());
        let mut rest = String::new();
        told.read_to_string(&mut rest).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130), "{target}: {rest}");
        assert_eq!(ended.stdout, b"");
        assert_eq!(place.leftovers(), Vec::<std::path::PathBuf>::new());
        let outputs = place.outputs();
        assert!(
            outputs.is_empty() || outputs == ["layout"],
            "{target}: {outputs:?}"
        );
        if outputs == ["layout"] {
            let files = std::fs::read_dir(place.path("out/layout")).unwrap();
            assert_eq!(
                files.count(),
                0,
                "a layout that was begun has nothing in it"
            );
        }
    }
}

#[test]
fn ctrl_c_ends_a_phase_command_without_a_trace() {
    let place = Place::with_site();
    place.buildpack("buildpacks/test_bp/1.0.0", &never_ends(), &exits(0));
    place.write(
        "buildpacks/test_bp/1.0.0/buildpack.toml",
        "api = \"0.12\"\n[buildpack]\nid = \"test/bp\"\nversion = \"1.0.0\"\n",
    );
    place.write(
        "order.toml",
        "[[order]]\n[[order.group]]\nid = \"test/bp\"\nversion = \"1.0.0\"\n",
    );
    for dir in ["layers", "platform/env"] {
        std::fs::create_dir_all(place.path(dir)).unwrap();
    }
    let mut command = place.command(&["lifecycle", "detect"]);
    command.env("CNB_PLATFORM_API", "0.12");
    for (flag, path) in [
        ("-app", "site"),
        ("-buildpacks", "buildpacks"),
        ("-layers", "layers"),
        ("-order", "order.toml"),
        ("-platform", "platform"),
    ] {
        command.arg(flag).arg(place.path(path));
    }
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("a private directory", || !place.leftovers().is_empty());
    wait_until("a worker", || !workers_of(child.id()).is_empty());
    std::thread::sleep(Duration::from_millis(100));
    let workers = workers_of(child.id());
    signal("-INT", child.id());
    wait_until("the end", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    wait_until("the end of the workers", || {
        workers.iter().all(|pid| !alive(*pid))
    });
    assert_eq!(place.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn workers_die_with_a_killed_parent() {
    let place = Place::with_site();
    let buildpack = place.buildpack("bp", &exits(0), &never_ends());
    let site = place.path("site");
    let mut child = place
        .command(&[
            "build",
            "app",
            "--path",
            site.to_str().unwrap(),
            "--buildpack",
            &buildpack,
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("a worker", || !workers_of(child.id()).is_empty());
    let workers = workers_of(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the end of the workers", || {
        workers.iter().all(|pid| !alive(*pid))
    });
    assert_eq!(place.outputs(), Vec::<String>::new());
}
