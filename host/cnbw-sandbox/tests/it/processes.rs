//! Workers never outlive what they are for.

use std::time::{Duration, Instant};

use cnbw_lifecycle::ports::{BuildpackRunner as _, GuestFault};

use crate::support::{World, module};

/// Set in the child of the test that kills its parent.
const CHILD: &str = "CNBW_SANDBOX_TEST_CHILD";

fn endless() -> World {
    World::new(&module("", "", "(loop $again (br $again))"))
}

/// Processes of the program with this path.
pub(crate) fn workers_of(program: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::path::Path::new("/proc").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let Some(pid) = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok())
        else {
            continue;
        };
        let Ok(link) = path.join("exe").read_link() else {
            continue;
        };
        if link.to_string_lossy().starts_with(program) {
            found.push(pid);
        }
    }
    found
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_mins(2), "{what}");
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
    let Some(worker) = child_worker() else {
        return;
    };
    let world = endless();
    let runner = cnbw_sandbox::SandboxRunner::new(cnbw_sandbox::SandboxSettings {
        worker: cnbw_sandbox::WorkerProgram {
            path: worker.into(),
            args: vec![],
        },
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

#[test]
fn a_worker_has_nothing_but_its_job_and_is_locked_in() {
    let place = tempfile::TempDir::new().unwrap();
    let program = place.path().join("worker");
    std::fs::copy(crate::support::worker().path, &program).unwrap();
    let name = program.to_string_lossy().into_owned();
    let world = endless();
    let runner = cnbw_sandbox::SandboxRunner::new(cnbw_sandbox::SandboxSettings {
        worker: cnbw_sandbox::WorkerProgram {
            path: program,
            args: vec![],
        },
        ..cnbw_sandbox::SandboxSettings::default()
    });
    let interrupt = runner.interrupt_handle();
    std::thread::scope(|scope| {
        scope.spawn(|| world.run_with(&runner));
        // The one that runs the guest is the one with a thread of that name.
        let mut guest = None;
        wait_until("no guest runs", || {
            guest = workers_of(&name)
                .into_iter()
                .find(|pid| has_thread(*pid, "guest"));
            guest.is_some()
        });
        let process = std::path::PathBuf::from(format!("/proc/{}", guest.unwrap()));
        let read = |path: &str| read_file(&process.join(path)).unwrap();
        let status = read("status");
        let environment = read("environ");
        interrupt.interrupt();
        for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "CapInh:\t0000000000000000"] {
            assert!(status.contains(line), "{status}");
        }
        assert_eq!(environment, "");
    });
}

fn has_thread(pid: i32, name: &str) -> bool {
    let Ok(threads) = std::path::Path::new(&format!("/proc/{pid}/task")).read_dir() else {
        return false;
    };
    threads
        .flatten()
        .any(|thread| read_file(&thread.path().join("comm")).is_ok_and(|comm| comm.trim() == name))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the files of `/proc` are looked at from outside"
)]
fn read_file(path: &std::path::Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only word that reaches this test in its child process"
)]
fn child_worker() -> Option<std::ffi::OsString> {
    std::env::var_os(CHILD)
}
