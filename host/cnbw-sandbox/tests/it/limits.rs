//! What happens at the limits.

use std::time::{Duration, Instant};

use cnbw_lifecycle::ports::GuestFault;

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
