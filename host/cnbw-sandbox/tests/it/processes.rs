//! Workers never outlive what they are for.

use std::time::{Duration, Instant};

use cnbw_lifecycle::ports::{BuildpackRunner as _, GuestFault};

use crate::support::{World, module};

/// Set in the child of the test that kills its parent.
const CHILD: &str = "CNBW_SANDBOX_TEST_CHILD";

fn endless() -> World {
    World::new(&module("", "", "(loop $again (br $again))"))
}

/// Processes of the worker program whose parent is not one of ours any more, or is the given one.
fn workers_of(group_leader_env: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::path::Path::new("/proc").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        let Ok(link) = path.join("exe").read_link() else { continue };
        if link.to_string_lossy().starts_with(group_leader_env) {
            found.push(pid);
        }
    }
    found
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_interrupt_ends_a_run_and_the_next_one_too() {
    let world = endless();
    let runner = world.runner();
    let interrupt = runner.interrupt_handle();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| world.run_with(&runner).0);
        std::thread::sleep(Duration::from_millis(300));
        interrupt.interrupt();
        assert_eq!(run.join().unwrap(), Err(GuestFault::Interrupted));
    });
    assert_eq!(world.run_with(&runner).0, Err(GuestFault::Interrupted));
}

/// Not a test by itself: what the next test starts and kills. Alone it does nothing.
#[test]
fn child_that_runs_an_endless_program() {
    let Some(worker) = std::env::var_os(CHILD) else { return };
    let world = endless();
    let runner = cnbw_sandbox::SandboxRunner::new(cnbw_sandbox::SandboxSettings {
        worker: cnbw_sandbox::WorkerProgram { path: worker.into(), args: vec![] },
        ..cnbw_sandbox::SandboxSettings::default()
    });
    let _killed_before = runner.run(&world.invocation(), &mut |_, _| {});
}

#[test]
fn a_killed_parent_leaves_no_worker() {
    // A copy of the worker under a name of its own, so that it can be told from those of other tests.
    let place = tempfile::TempDir::new().unwrap();
    let worker = place.path().join("worker");
    std::fs::copy(crate::support::worker().path, &worker).unwrap();
    let name = worker.to_string_lossy().into_owned();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child_that_runs_an_endless_program"])
        .env(CHILD, &worker)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the worker did not start", || !workers_of(&name).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("a worker is left", || workers_of(&name).is_empty());
}
