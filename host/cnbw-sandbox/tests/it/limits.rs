//! What happens at the limits.

use std::time::{Duration, Instant};

use cnbw_lifecycle::ports::{GuestFault, Program, Quota};

use crate::support::{World, module};

const MIB: u64 = 1024 * 1024;

#[test]
fn an_endless_loop_ends_at_its_time() {
    let mut world = World::new(&module("", "", "(loop $again (br $again))"));
    world.limits.build_time = Duration::from_secs(1);
    let begin = Instant::now();
    assert_eq!(world.run().0, Err(GuestFault::OutOfTime { seconds: 1 }));
    assert!(
        begin.elapsed() < Duration::from_mins(1),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn memory_at_the_limit_is_given_and_one_page_more_is_not() {
    // The adapter has a memory page of its own accounts; the guest asks for 15 MiB beside its first page.
    for (limit, status) in [
        (16, Ok(0)),
        (8, Err(GuestFault::OutOfMemory { limit_mib: 8 })),
    ] {
        let mut world = World::new(&module(
            "",
            "",
            "(if (i32.eq (memory.grow (i32.const 240)) (i32.const -1)) (then unreachable))",
        ));
        world.limits.memory = limit * MIB;
        assert_eq!(world.run().0, status);
    }
}

#[test]
fn a_program_that_starts_with_too_much_memory_is_out_of_memory() {
    let mut world =
        World::new(r#"(module (memory (export "memory") 1000) (func (export "_start")))"#);
    world.limits.memory = 8 * MIB;
    assert_eq!(world.run().0, Err(GuestFault::OutOfMemory { limit_mib: 8 }));
}

#[test]
fn a_flood_of_output_is_cut_once_and_the_program_goes_on() {
    let mut world = World::new(&module(
        r#"(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 8) "\64\00\00\00\0a\00\00\00") (data (i32.const 100) "012345678\0a")
           (global $left (mut i32) (i32.const 1000))"#,
        "(loop $again
            (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 20)))
            (global.set $left (i32.sub (global.get $left) (i32.const 1)))
            (br_if $again (global.get $left)))
         (call $exit (i32.const 7))",
    ));
    world.limits.output = 100;
    let (result, output) = world.run();
    assert_eq!(result, Ok(7));
    let text = String::from_utf8(output).unwrap();
    assert_eq!(text.matches("012345678").count(), 10, "{text}");
    assert_eq!(
        text.matches("[output cut at 100 bytes").count(),
        1,
        "{text}"
    );
}

#[test]
fn a_long_sleep_takes_no_time() {
    let mut world = World::new(&module(
        r#"(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"#,
        // A relative timeout of an hour on the monotonic clock.
        r#"(data (i32.const 116) "\01") (data (i32.const 124) "\00\a0\b8\30\46\03\00\00")"#,
        "(call $exit (call $poll (i32.const 100) (i32.const 200) (i32.const 1) (i32.const 300)))",
    ));
    world.limits.build_time = Duration::from_mins(1);
    assert_eq!(world.run().0, Ok(0));
}

/// Makes a file in its layer, writes as many bytes as the first word says, and ends with 0 if all were taken,
/// else with this status.
fn writes(bytes: u32, status: i32) -> World {
    World::new(&module(
        r#"(import "wasi_snapshot_preview1" "path_open"
             (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 100) "layers/test/file")"#,
        &format!(
            "(drop (call $open (i32.const 4) (i32.const 1) (i32.const 100) (i32.const 16)
                (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 8)))
             (i32.store (i32.const 16) (i32.const 1000))
             (i32.store (i32.const 20) (i32.const {bytes}))
             (if (call $write (i32.load (i32.const 8)) (i32.const 16) (i32.const 1) (i32.const 24))
                (then (call $exit (i32.const {status}))))"
        ),
    ))
}

#[test]
fn bytes_at_the_limit_are_written_and_one_more_is_a_quota_fault() {
    for (bytes, result) in [
        (999, Ok(0)),
        (1000, Ok(0)),
        (1001, Err(GuestFault::Quota(Quota::Bytes(1000)))),
    ] {
        let mut world = writes(bytes, 7);
        world.limits.written_bytes = 1000;
        assert_eq!(world.run().0, result, "{bytes}");
    }
}

#[test]
fn a_program_that_lives_with_the_refusal_has_not_failed() {
    let mut world = writes(1001, 0);
    world.limits.written_bytes = 1000;
    assert_eq!(world.run().0, Ok(0));
}

#[test]
fn a_trap_after_a_refusal_is_a_quota_fault_and_a_no_of_detect_is_a_no() {
    // 100 is a status like any other for a build program.
    let fault = Err(GuestFault::Quota(Quota::Bytes(1000)));
    for (program, result) in [(Program::Build, fault), (Program::Detect, Ok(100))] {
        let mut world = writes(1001, 100);
        world.limits.written_bytes = 1000;
        world.program = program;
        let bin = world.dir("buildpack/bin");
        bin.copy("build", &bin, "detect").unwrap();
        assert_eq!(world.run().0, result);
    }
}

/// Makes this many directories, each below the one before or all beside each other, and ends with the error
/// number of the last one.
fn makes_directories(count: usize, nested: bool) -> World {
    let names: Vec<String> = (1..=count)
        .map(|number| {
            let last = if nested {
                vec!["d"; number].join("/")
            } else {
                format!("d{number}")
            };
            format!("layers/test/{last}")
        })
        .collect();
    let (data, body): (Vec<String>, Vec<String>) = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let (address, length) = (100 + index * 100, name.len());
            (
                format!(r#"(data (i32.const {address}) "{name}")"#),
                format!(
                    "(global.set $last (call $mkdir (i32.const 4) (i32.const {address}) (i32.const {length})))"
                ),
            )
        })
        .unzip();
    let body = body.concat();
    World::new(&module(
        r#"(import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
           (global $last (mut i32) (i32.const 0))"#,
        &data.concat(),
        &format!("{body} (call $exit (global.get $last))"),
    ))
}

#[test]
fn files_at_the_limit_are_made_and_one_more_is_a_quota_fault() {
    for (count, result) in [
        (2, Ok(0)),
        (3, Ok(0)),
        (4, Err(GuestFault::Quota(Quota::Files(3)))),
    ] {
        let mut world = makes_directories(count, false);
        world.limits.written_files = 3;
        assert_eq!(world.run().0, result, "{count}");
    }
}

#[test]
fn depth_at_the_limit_is_allowed_and_one_more_is_a_quota_fault() {
    // `/layers/test` is two deep.
    for (count, result) in [
        (3, Ok(0)),
        (4, Ok(0)),
        (5, Err(GuestFault::Quota(Quota::Depth(6)))),
    ] {
        let mut world = makes_directories(count, true);
        world.limits.depth = 6;
        assert_eq!(world.run().0, result, "{count}");
    }
}
