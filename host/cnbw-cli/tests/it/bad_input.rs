//! What bad input gets: one clear error, the right exit status, nothing left behind.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Place, assert_refused, eats_memory, exits, never_ends, says};

#[test]
fn a_missing_path_is_named() {
    let place = Place::empty();
    let ended = place.cnbw(&["build", "app", "--path", "nowhere"]);
    assert_refused(
        &place,
        &ended,
        1,
        &["`nowhere`", "No such file or directory"],
    );
}

#[test]
fn a_file_as_path_is_refused() {
    let place = Place::empty();
    place.write("file", "x");
    let ended = place.cnbw(&[
        "build",
        "app",
        "--path",
        place.path("file").to_str().unwrap(),
    ]);
    assert_refused(&place, &ended, 1, &["Not a directory"]);
}

#[test]
fn an_empty_directory_is_refused() {
    let place = Place::empty();
    std::fs::create_dir(place.path("site")).unwrap();
    assert_refused(
        &place,
        &place.build("app", &[]),
        1,
        &["the application's directory is empty"],
    );
}

#[test]
fn an_application_that_no_buildpack_wants_hears_what_each_looked_for() {
    let place = Place::empty();
    place.write("site/main.c", "int main;");
    assert_refused(
        &place,
        &place.build("app", &[]),
        20,
        &[
            "cnbw/static-site@",
            "index.html",
            "no group of buildpacks passed",
        ],
    );
}

#[test]
fn a_directory_without_descriptor_is_no_buildpack() {
    let place = Place::with_site();
    std::fs::create_dir(place.path("bp")).unwrap();
    let ended = place.build("app", &["--buildpack", place.path("bp").to_str().unwrap()]);
    assert_refused(&place, &ended, 1, &["buildpack.toml"]);
}

#[test]
fn an_unknown_built_in_buildpack_hears_which_there_are() {
    let place = Place::with_site();
    assert_refused(
        &place,
        &place.build("app", &["--buildpack", "cnbw/cobol"]),
        1,
        &["`cnbw/cobol`", "cnbw/static-site"],
    );
}

#[test]
fn programs_that_are_not_webassembly_are_named_for_what_they_are() {
    let elf = std::fs::read("/bin/true").unwrap();
    let cases: [(&[u8], &str); 4] = [
        (&elf, "a native executable (ELF)"),
        (b"#!/bin/sh\nexit 0\n", "a script"),
        (b"\0asm\x01\0\0\0\x01", "cannot be loaded"),
        (b"", "empty"),
    ];
    for (bytes, words) in cases {
        let place = Place::with_site();
        let buildpack = place.buildpack("bp", bytes, bytes);
        let ended = place.build("app", &["--buildpack", &buildpack]);
        assert_refused(&place, &ended, 21, &["test/bp@1.0.0", words]);
    }
}

#[test]
fn a_buildpack_without_program_says_what_was_looked_for() {
    let place = Place::with_site();
    let buildpack = place.buildpack("bp", &exits(0), &exits(0));
    std::fs::remove_file(place.path("bp/bin/detect")).unwrap();
    let ended = place.build("app", &["--buildpack", &buildpack]);
    assert_refused(&place, &ended, 21, &["test/bp@1.0.0", "bin/detect"]);
}

#[test]
fn a_guest_that_never_ends_is_stopped() {
    for (detect, build, code) in [(never_ends(), exits(0), 21), (exits(0), never_ends(), 51)] {
        let place = Place::with_site();
        let buildpack = place.buildpack("bp", &detect, &build);
        let ended = place.build("app", &["--buildpack", &buildpack, "--guest-timeout", "1"]);
        assert_refused(
            &place,
            &ended,
            code,
            &["test/bp@1.0.0", "limit of 1 s", "--guest-timeout"],
        );
    }
}

#[test]
fn a_guest_that_eats_memory_is_stopped() {
    let place = Place::with_site();
    let buildpack = place.buildpack("bp", &exits(0), &eats_memory());
    let ended = place.build("app", &["--buildpack", &buildpack, "--guest-memory", "64"]);
    assert_refused(
        &place,
        &ended,
        51,
        &["test/bp@1.0.0", "64 MiB", "--guest-memory"],
    );
}

#[test]
fn a_build_program_that_fails_is_heard() {
    let place = Place::with_site();
    let buildpack = place.buildpack("bp", &exits(0), &says("no compiler here", 7));
    let ended = place.build("app", &["--buildpack", &buildpack]);
    assert_refused(
        &place,
        &ended,
        51,
        &["[test/bp] no compiler here", "test/bp@1.0.0", "7"],
    );
}

#[test]
fn output_cannot_forge_lines_or_move_the_cursor() {
    let place = Place::with_site();
    let buildpack = place.buildpack("bp", &exits(0), &says("a\\1b[2Jb\\0d===> done", 1));
    let ended = place.build("app", &["--buildpack", &buildpack]);
    assert!(
        !ended.stderr.contains('\u{1b}') && !ended.stderr.contains('\r'),
        "{:?}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .contains("[test/bp] a\\u{1b}[2Jb\\u{d}===> done"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_unwritable_output_is_named() {
    let place = Place::with_site();
    let ended = place.build("oci:/proc/nowhere/image", &[]);
    assert_refused(&place, &ended, 62, &["/proc/nowhere"]);
}

#[test]
fn a_directory_in_the_way_of_an_archive_is_named() {
    let place = Place::with_site();
    std::fs::create_dir(place.path("taken.tar")).unwrap();
    let target = format!("oci-archive:{}", place.path("taken.tar").display());
    assert_refused(&place, &place.build(&target, &[]), 62, &["taken.tar"]);
    assert!(place.path("taken.tar").is_dir());
}

#[test]
fn a_full_disk_leaves_nothing_under_the_final_name() {
    // A limit on the size of files is a full disk for everyone, without mounting one.
    let place = Place::with_site();
    place.write("site/big.bin", vec![7_u8; 3 << 20]);
    let site = place.path("site");
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c",
        "trap '' XFSZ; ulimit -f 4096; exec \"$@\"",
        "sh",
        env!("CARGO_BIN_EXE_cnbw"),
        "build",
        "app",
        "--path",
    ]);
    command
        .arg(&site)
        .current_dir(place.path("out"))
        .env("TMPDIR", place.path("tmp"))
        .env("HOME", place.path("out"));
    command.env("XDG_CACHE_HOME", place.path("cache"));
    let ended = crate::support::finished(&mut command);
    assert!(
        matches!(ended.code, Some(code) if code != 0),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("File too large"), "{}", ended.stderr);
    assert_eq!(place.outputs(), Vec::<String>::new());
    assert_eq!(place.leftovers(), Vec::<std::path::PathBuf>::new());
}

/// Runs `cnbw build` where `small` is a file system of 6 MiB, and tells afterwards which files are in it.
fn build_beside_a_small_disk(
    place: &Place,
    target: &str,
    temporary: &str,
) -> crate::support::Ended {
    const SCRIPT: &str = r#"
        mount -t tmpfs -o size=6m tmpfs "$1" && cd "$1" && mkdir tmp && shift
        "$@"
        code=$?
        find . -type f
        find tmp -mindepth 1
        exit $code"#;
    std::fs::create_dir_all(place.path("small")).unwrap();
    let mut command = std::process::Command::new("unshare");
    command
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            SCRIPT,
            "sh",
        ])
        .arg(place.path("small"))
        .arg(env!("CARGO_BIN_EXE_cnbw"))
        .args(["build", target, "--path"])
        .arg(place.path("site"))
        .env("TMPDIR", place.path(temporary))
        .env("HOME", place.path("out"))
        .env("XDG_CACHE_HOME", place.path("cache"));
    crate::support::finished(&mut command)
}

#[test]
fn a_small_disk_that_is_full_is_an_error_wherever_it_is() {
    if !crate::support::can_mount() {
        return;
    }
    let place = Place::with_site();
    place.write("site/big.bin", vec![7_u8; 8 << 20]);
    for (target, temporary, code) in [
        ("app", "tmp", 62),
        ("docker-archive:app.tar", "tmp", 62),
        ("oci:layout", "tmp", 62),
        ("app", "small/tmp", 1),
    ] {
        let ended = build_beside_a_small_disk(&place, target, temporary);
        assert_eq!(ended.code, Some(code), "{target}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("No space left on device"),
            "{target}: {}",
            ended.stderr
        );
        let left: Vec<&str> = ended
            .stdout
            .lines()
            // Layers that did fit are complete, and are what the next attempt starts from.
            .filter(|file| !file.starts_with("./layout/blobs/sha256/"))
            .collect();
        assert_eq!(left, Vec::<&str>::new(), "{target}");
        assert_eq!(place.leftovers(), Vec::<std::path::PathBuf>::new());
    }
    // The same place takes an image that does fit.
    std::fs::remove_file(place.path("site/big.bin")).unwrap();
    let ended = build_beside_a_small_disk(&place, "app", "tmp");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("./app.tar"), "{}", ended.stdout);
}

#[test]
fn wrong_usage_exits_with_2_and_names_that_mean_nothing_with_3() {
    let place = Place::with_site();
    assert_eq!(place.cnbw(&["build"]).code, Some(2));
    assert_eq!(place.build("app", &["--no-such-flag"]).code, Some(2));
    for name in [
        "UPPER",
        "a b",
        "oci:",
        "docker-archive:",
        "registry.example/app@evil",
        "../app:tag:tag",
    ] {
        let ended = place.build(name, &[]);
        assert_refused(&place, &ended, 3, &["does not name an image"]);
    }
    assert_refused(
        &place,
        &place.build("app", &["--platform", "plan9/mips"]),
        3,
        &["plan9/mips"],
    );
    assert_refused(&place, &place.build("app", &["--env", "=x"]), 3, &["--env"]);
}

#[test]
fn a_device_in_the_application_is_refused() {
    let place = Place::with_site();
    let status = std::process::Command::new("mkfifo")
        .arg(place.path("site/pipe"))
        .status()
        .unwrap();
    assert!(status.success());
    assert_refused(
        &place,
        &place.build("app", &[]),
        1,
        &["`pipe`", "named pipe"],
    );
}

#[test]
fn an_unreadable_file_is_named() {
    if rustix::process::geteuid().is_root() {
        // Nothing is unreadable to root; a link that leads nowhere is no error either.
        let place = Place::with_site();
        std::os::unix::fs::symlink("nowhere", place.path("site/dangling")).unwrap();
        assert_eq!(place.build("app", &[]).code, Some(0));
        return;
    }
    let place = Place::with_site();
    std::fs::set_permissions(
        place.path("site/style.css"),
        std::fs::Permissions::from_mode(0o000),
    )
    .unwrap();
    assert_refused(
        &place,
        &place.build("app", &[]),
        1,
        &["`style.css`", "Permission denied"],
    );
}
