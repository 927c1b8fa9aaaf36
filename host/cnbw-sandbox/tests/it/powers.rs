//! What programs ask for and are not given.

use cnbw_lifecycle::ports::GuestFault;

use crate::support::{World, module};

// shows: build-039
#[test]
fn a_program_that_wants_to_start_processes_is_told_so_before_it_runs() {
    for (module_name, name) in [
        ("wasix_32v1", "proc_spawn"),
        ("wasi_snapshot_preview1", "proc_exec"),
        ("env", "system"),
    ] {
        let import =
            format!(r#"(import "{module_name}" "{name}" (func (param i32) (result i32)))"#);
        let fault = World::new(&module(&import, "", "unreachable"))
            .run()
            .0
            .unwrap_err();
        assert!(
            matches!(&fault, GuestFault::Unloadable { reason, .. } if reason.contains(name)),
            "{fault}"
        );
    }
}

// shows: build-039
#[test]
fn there_is_no_network_to_listen_on() {
    for descriptor in 0..6 {
        // Preview 1 can only accept from a socket that was handed in, and nobody hands one in.
        let fault = World::new(&module(
            r#"(import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))"#,
            "",
            &format!(
                "(call $exit (call $accept (i32.const {descriptor}) (i32.const 0) (i32.const 0)))"
            ),
        ))
        .run()
        .0
        .unwrap_err();
        assert!(
            matches!(&fault, GuestFault::Trap { .. }),
            "descriptor {descriptor}: {fault}"
        );
    }
}
