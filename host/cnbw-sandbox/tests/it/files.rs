//! What a program can do to files, and what it cannot.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{BUILDPACK, World, module, opens};

// Numbers of preview1.
const NOENT: i32 = 44;
const ROFS: i32 = 69;
const CREATE: u32 = 1;
const TRUNCATE: u32 = 8;
const READ: u64 = 1 << 1;
const WRITE: u64 = 1 << 6;

fn open(path: &str, flags: u32, rights: u64) -> i32 {
    let world = World::new(&opens(path, flags, rights));
    world.dir("app").write("present", "text").unwrap();
    world
        .dir("layers")
        .symlink("../../../../../etc/passwd", "out")
        .unwrap();
    std::os::unix::fs::symlink("/etc/passwd", world.root.path().join("layers/absolute")).unwrap();
    std::os::unix::fs::symlink(
        "/workspace/present",
        world.root.path().join("layers/inside"),
    )
    .unwrap();
    rustix::fs::mknodat(
        &*world.dir("app"),
        "fifo",
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    world.run().0.unwrap()
}

#[test]
fn mounts_can_be_read_and_written_as_they_were_given() {
    assert_eq!(open("workspace/present", 0, READ), 0);
    assert_eq!(open("workspace/new", CREATE, WRITE), 0);
    assert_eq!(
        open("layers/inside", 0, READ),
        NOENT,
        "the mount is one level below"
    );
    assert_eq!(
        open("layers/test/inside", 0, READ),
        0,
        "an absolute link inside the name space"
    );
}

#[test]
fn read_only_mounts_and_the_skeleton_say_so_by_error_number() {
    let program = format!("{}/bin/build", &BUILDPACK[1..]);
    assert_eq!(open(&program, 0, READ), 0);
    assert_eq!(open(&program, 0, WRITE), ROFS);
    assert_eq!(open(&program, TRUNCATE, WRITE), ROFS);
    assert_eq!(
        open(&format!("{}/new", &BUILDPACK[1..]), CREATE, WRITE),
        ROFS
    );
    assert_eq!(open("new", CREATE, WRITE), ROFS);
    assert_eq!(open("layers/new", CREATE, WRITE), ROFS);
}

#[test]
fn nothing_outside_the_mounts_is_there() {
    for path in [
        "etc/passwd",
        "proc/self/environ",
        "workspace/../../../../../etc/passwd",
        "layers/test/out",
        "layers/test/absolute",
        "layers/test/../other",
    ] {
        assert_eq!(open(path, 0, READ), NOENT, "{path}");
    }
}

#[test]
fn a_fifo_is_refused_and_does_not_block() {
    assert_eq!(open("workspace/fifo", 0, READ), 63);
}

#[test]
fn modes_are_set_and_the_rest_follows_the_rule() {
    let path = "/layers/test/tools/bin/x";
    let make = |name: &str, address: u32, length: usize| {
        format!(
            "(drop (call $open (i32.const 4) (i32.const 1) (i32.const {address}) (i32.const {length})
                (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 0))) (; {name} ;)"
        )
    };
    let body = [
        "(drop (call $mkdir (i32.const 4) (i32.const 101) (i32.const 17)))".to_owned(),
        "(drop (call $mkdir (i32.const 4) (i32.const 101) (i32.const 21)))".to_owned(),
        make("tools/bin/x", 101, path.len() - 1),
        make("tools/plain", 201, 23),
        make("tools/set", 301, 21),
        "(call $set_mode (i32.const 300) (i32.const 22) (i32.const 3565) (i32.const 400))"
            .to_owned(),
        "(call $exit (i32.load8_u (i32.const 400)))".to_owned(),
    ];
    let world = World::new(&module(
        r#"(import "wasi_snapshot_preview1" "path_open"
             (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
           (import "cnbw:buildpack/files@0.1.0" "set-mode" (func $set_mode (param i32 i32 i32 i32)))"#,
        r#"(data (i32.const 100) "/layers/test/tools/bin/x")
           (data (i32.const 200) "/layers/test/tools/plain")
           (data (i32.const 300) "/layers/test/tools/set")"#,
        &body.join("\n"),
    ));
    let (result, _) = world.run();
    assert_eq!(result, Ok(0));
    let mode = |path: &str| {
        let path = world.root.path().join("layers/tools").join(path);
        path.metadata().unwrap().permissions().mode() & 0o7777
    };
    assert_eq!(mode("bin"), 0o755);
    assert_eq!(mode("bin/x"), 0o755);
    assert_eq!(mode("plain"), 0o644);
    // 0o6755 without setuid and setgid.
    assert_eq!(mode("set"), 0o755);
}
