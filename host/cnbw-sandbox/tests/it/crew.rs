//! One worker serves the detect programs of a phase, and nothing goes from one run to the next.

use std::sync::Arc;

use cap_std::fs::Dir;
use cnbw_lifecycle::ports::{Access, BuildpackRunner as _, GuestFault, Outlook, Program};
use cnbw_sandbox::{SandboxRunner, SandboxSettings, WorkerProgram};
use tempfile::TempDir;

use crate::processes::{wait_until, workers_of};
use crate::support::{World, module, opens};

/// Error numbers of preview1.
const ACCES: i32 = 2;
const NOENT: i32 = 44;

/// A runner whose workers can be told from those of other tests.
struct Watched {
    runner: SandboxRunner,
    name: String,
    _place: TempDir,
}

fn watched() -> Watched {
    let place = TempDir::new().unwrap();
    let path = place.path().join("worker");
    std::fs::copy(crate::support::worker().path, &path).unwrap();
    Watched {
        name: path.to_string_lossy().into_owned(),
        runner: SandboxRunner::new(SandboxSettings {
            worker: WorkerProgram { path, args: vec![] },
            ..SandboxSettings::default()
        }),
        _place: place,
    }
}

fn detects(text: &str) -> World {
    let mut world = World::new(text);
    let dir = world.dir("buildpack/bin");
    dir.rename("build", &dir, "detect").unwrap();
    world.program = Program::Detect;
    world
}

fn phase(program: Program, shared: Vec<(Arc<Dir>, Access)>) -> Outlook {
    Outlook {
        program,
        runs: 1,
        shared,
    }
}

fn all_of(worlds: &[&World]) -> Outlook {
    let dirs = worlds.iter().flat_map(|world| {
        [
            (world.dir("app"), Access::ReadWrite),
            (world.dir("layers"), Access::ReadWrite),
            (world.dir("buildpack"), Access::ReadOnly),
        ]
    });
    phase(Program::Detect, dirs.collect())
}

/// Exits with the number of times that it was started in the same memory.
fn counts() -> World {
    detects(&module(
        "",
        "(global $runs (mut i32) (i32.const 0))",
        "(global.set $runs (i32.add (global.get $runs) (i32.const 1)))
         (i32.store (i32.const 512) (i32.add (i32.load (i32.const 512)) (i32.const 1)))
         (call $exit (i32.add (global.get $runs) (i32.load (i32.const 512))))",
    ))
}

#[test]
fn a_detect_phase_needs_one_worker_for_runs_after_each_other() {
    let watched = watched();
    let (one, two) = (counts(), counts());
    watched.runner.expect(&all_of(&[&one, &two]));
    let mut served = Vec::new();
    for world in [&one, &two, &one, &two] {
        assert_eq!(
            world.run_with(&watched.runner).0,
            Ok(2),
            "memory and globals are fresh in each run"
        );
        served.push(workers_of(&watched.name));
    }
    // The other one waits for the first build.
    wait_until("workers are missing", || {
        workers_of(&watched.name).len() == 2
    });
    let last = workers_of(&watched.name);
    assert!(served.iter().flatten().all(|pid| last.contains(pid)));
    watched.runner.expect(&phase(Program::Build, Vec::new()));
    wait_until("the detect worker is left", || {
        workers_of(&watched.name).len() == 1
    });
    drop(watched.runner);
    wait_until("a worker is left", || workers_of(&watched.name).is_empty());
}

#[test]
fn a_worker_in_which_a_program_crashed_serves_no_other() {
    let watched = watched();
    let (good, bad) = (counts(), detects(&module("", "", "unreachable")));
    watched.runner.expect(&all_of(&[&good, &bad]));
    assert_eq!(good.run_with(&watched.runner).0, Ok(2));
    let before = workers_of(&watched.name);
    let crashed = bad.run_with(&watched.runner).0;
    assert!(
        matches!(crashed, Err(GuestFault::Trap { .. })),
        "{crashed:?}"
    );
    let after = workers_of(&watched.name);
    assert!(
        before.iter().any(|pid| !after.contains(pid)),
        "the one that ran it is gone"
    );
    assert_eq!(good.run_with(&watched.runner).0, Ok(2));
}

#[test]
fn a_program_sees_its_own_mounts_of_what_the_phase_shares() {
    let (first, second) = (detects(&opens("layers/test/mine", 1, 64)), {
        // Looks for what the other one made, at the same place.
        detects(&opens("layers/test/mine", 0, 2))
    });
    let runner = first.runner();
    runner.expect(&all_of(&[&first, &second]));
    assert_eq!(first.run_with(&runner).0, Ok(0));
    assert!(first.root.path().join("layers/mine").exists());
    assert_eq!(second.run_with(&runner).0, Ok(NOENT));
    assert_eq!(first.run_with(&runner).0, Ok(0));
}

#[test]
fn the_jail_holds_what_the_phase_announced_and_no_more() {
    let (known, unknown) = (counts(), detects(&opens("workspace/file", 0, 2)));
    unknown.dir("app").write("file", "x").unwrap();
    let runner = known.runner();
    runner.expect(&all_of(&[&known]));
    assert_eq!(
        unknown.run_with(&runner).0,
        Ok(ACCES),
        "the engine would let it, the kernel does not"
    );
    runner.expect(&all_of(&[&known, &unknown]));
    assert_eq!(unknown.run_with(&runner).0, Ok(0));
}
