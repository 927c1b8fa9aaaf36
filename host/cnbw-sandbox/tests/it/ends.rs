//! How programs end, and how files that are no programs do.

use cnbw_lifecycle::ports::{GuestFault, Program};

use crate::support::{BUILDPACK, World, module};

#[test]
fn exit_statuses_arrive_exactly() {
    for status in [0, 1, 2, 100, 130, 255] {
        let world = World::new(&module(
            "",
            "",
            &format!("(call $exit (i32.const {status}))"),
        ));
        assert_eq!(world.run().0, Ok(status));
    }
}

#[test]
fn a_program_that_returns_ends_with_0() {
    assert_eq!(World::new(&module("", "", "")).run().0, Ok(0));
}

#[test]
fn a_trap_is_a_fault_and_no_status() {
    let fault = World::new(&module("", "", "unreachable"))
        .run()
        .0
        .unwrap_err();
    assert!(
        matches!(&fault, GuestFault::Trap { reason } if reason.contains("unreachable")),
        "{fault}"
    );
}

#[test]
fn endless_recursion_is_a_fault() {
    let world = World::new(&module("", "(func $deep (call $deep))", "(call $deep)"));
    let fault = world.run().0.unwrap_err();
    assert!(
        matches!(&fault, GuestFault::Trap { reason } if reason.contains("stack")),
        "{fault}"
    );
}

#[test]
fn arguments_and_environment_are_exactly_what_was_given() {
    let mut world = World::new(&module(
        r#"(import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))"#,
        "",
        "(drop (call $args_sizes (i32.const 0) (i32.const 12)))
         (drop (call $args (i32.const 1000) (i32.const 2000)))
         (i32.store (i32.const 8) (i32.const 2000))
         (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 20)))
         (drop (call $env_sizes (i32.const 0) (i32.const 12)))
         (drop (call $env (i32.const 1000) (i32.const 2000)))
         (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 20)))",
    ));
    world.args = vec!["a b".into(), String::new()];
    world.env = vec![("B".into(), "2 = ü".into()), ("A".into(), b"".to_vec())];
    let (result, output) = world.run();
    assert_eq!(result, Ok(0));
    let expected = format!("{BUILDPACK}/bin/build\0a b\0\0B=2 = ü\0A=\0");
    assert_eq!(String::from_utf8(output).unwrap(), expected);
}

#[test]
fn a_value_that_is_not_utf8_is_refused_with_its_name() {
    let mut world = World::new(&module("", "", ""));
    world.env = vec![("BAD".into(), vec![0xff])];
    let fault = world.run().0.unwrap_err();
    assert!(fault.to_string().contains("`BAD`"), "{fault}");
}

#[test]
fn what_is_no_program_is_refused_by_name() {
    let cases: &[(&[u8], &str)] = &[
        (b"\x7fELF\x02\x01\x01\0", "a native executable (ELF)"),
        (b"#!/bin/sh\nexit 0\n", "a script (`#!/bin/sh`)"),
        (b"", "an empty file"),
    ];
    for (bytes, found) in cases {
        let fault = World::with_program(bytes).run().0.unwrap_err();
        assert!(
            matches!(&fault, GuestFault::NotWebAssembly { found: is, .. } if is == found),
            "{fault}"
        );
    }
    let mut world = World::new(&module("", "", ""));
    world.program = Program::Detect;
    assert_eq!(
        world.run().0,
        Err(GuestFault::NoProgram {
            wanted: "bin/detect".into()
        })
    );
}

#[test]
fn a_damaged_program_is_unloadable() {
    let whole = wat::parse_str(module("", "", "")).unwrap();
    let mut garbled = whole.clone();
    for byte in garbled.iter_mut().skip(8) {
        *byte ^= 0x55;
    }
    for bytes in [&whole[..whole.len() - 3], &garbled] {
        let fault = World::with_program(bytes).run().0.unwrap_err();
        assert!(matches!(fault, GuestFault::Unloadable { .. }), "{fault}");
    }
}

#[test]
fn a_component_that_imports_what_is_not_given_is_told_so() {
    let component =
        wat::parse_str(r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance)))"#);
    let fault = World::with_program(&component.unwrap())
        .run()
        .0
        .unwrap_err();
    assert!(
        fault
            .to_string()
            .contains("`wasi:http/outgoing-handler@0.2.0`"),
        "{fault}"
    );
}
