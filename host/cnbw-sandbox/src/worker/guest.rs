//! Runs a compiled program as a command: one store, one instance, one exit status.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::fd::OwnedFd;
use wasmtime::component::{Component, HasData, Linker, ResourceTable};
use wasmtime::{Engine, Store, Trap, WasmBacktrace};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};

use super::engine::{self, HOST_STACK_BYTES, WASM_STACK_BYTES};
use super::fs::{self, FileSystem};
use super::host::{ClockView, FixedClock, Limiter, Output, SeededRandom, StepClock};
use crate::protocol::{Outcome, RunTask};
use crate::raw;

/// How often the engine looks whether a guest's time is over.
const TICK: Duration = Duration::from_millis(50);

/// Interfaces that a program may import, without their versions.
const OFFERED: &[&str] = &[
    "wasi:io/",
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:random/",
    "wasi:sockets/",
];

/// Interface with the host verbs.
const OFFERED_VERBS: &str = "cnbw:buildpack/files@0.1.0";

/// All that a guest has.
struct Guest {
    wasi: WasiCtx,
    table: ResourceTable,
    files: FileSystem,
    clock: StepClock,
    limiter: Limiter,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

struct HasClock;

impl HasData for HasClock {
    type Data<'a> = ClockView<'a>;
}

/// What all runs of a worker share, none of which can change it: the engine, and what it offers.
pub(super) struct Kit {
    parts: Result<(Engine, Linker<Guest>), String>,
    /// Set when the clock runs.
    clock: OnceLock<()>,
}

impl Kit {
    /// Makes it. That it cannot be made is told when it is needed.
    pub(super) fn new() -> Self {
        let made = engine::engine().and_then(|engine| {
            let linker = linker(&engine)?;
            Ok((engine, linker))
        });
        Self {
            parts: made.map_err(|error| format!("the engine does not start: {error:#}")),
            clock: OnceLock::new(),
        }
    }

    pub(super) fn engine(&self) -> Result<&Engine, Outcome> {
        self.parts().map(|(engine, _)| engine)
    }

    fn parts(&self) -> Result<&(Engine, Linker<Guest>), Outcome> {
        self.parts
            .as_ref()
            .map_err(|reason| Outcome::Failed(reason.clone()))
    }

    /// Lets guests trap when their time is over, from the first one on: threads are started in the jail. The parent
    /// kills the worker soon after in any case.
    fn start_clock(&self, engine: &Engine) -> std::io::Result<()> {
        if self.clock.get().is_some() {
            return Ok(());
        }
        let engine = engine.clone();
        let tick = move || {
            loop {
                std::thread::sleep(TICK);
                engine.increment_epoch();
            }
        };
        std::thread::Builder::new()
            .name("clock".to_owned())
            .spawn(tick)?;
        self.clock.get_or_init(|| ());
        Ok(())
    }
}

/// Stack of the thread that runs guests, in bytes.
pub(super) const STACK_BYTES: usize = WASM_STACK_BYTES + HOST_STACK_BYTES;

/// Runs the program in the first descriptor with the mounts in the others. The thread has [`STACK_BYTES`] of stack.
pub(super) fn run(
    task: &RunTask,
    kit: &Kit,
    descriptors: Vec<OwnedFd>,
    socket: &OwnedFd,
) -> Outcome {
    // The engine's WASI waits on the runtime that it finds, and would start one with threads of its own.
    // Nothing here ever waits, so that this one needs neither a clock nor an event loop.
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::Failed(format!("cannot start the runtime: {error}")),
    };
    let _current = runtime.enter();
    let (engine, linker) = match kit.parts() {
        Ok((engine, linker)) => (engine, linker),
        Err(outcome) => return outcome,
    };
    match prepare(task, engine, descriptors, socket) {
        Ok((mut store, component)) => {
            let outcome = match kit.start_clock(engine) {
                Ok(()) => call(&mut store, linker, &component),
                Err(error) => Outcome::Failed(format!("cannot start a thread: {error}")),
            };
            match store.data().files.settle_modes() {
                Ok(()) => outcome,
                Err(error) => Outcome::Failed(format!(
                    "cannot set the modes of what the program made: {error}"
                )),
            }
        }
        Err(outcome) => outcome,
    }
}

fn prepare(
    task: &RunTask,
    engine: &Engine,
    descriptors: Vec<OwnedFd>,
    socket: &OwnedFd,
) -> Result<(Store<Guest>, Component), Outcome> {
    let failed = |error: wasmtime::Error| Outcome::Failed(format!("{error:#}"));
    let mut descriptors = descriptors.into_iter();
    let program = descriptors
        .next()
        .ok_or_else(|| Outcome::Failed("a run job came without its program".to_owned()))?;
    let component = raw::load_compiled(engine, program).map_err(failed)?;
    let files = FileSystem::new(
        &task.mounts,
        descriptors.collect(),
        &task.working_dir,
        (task.written_bytes, task.written_files),
        task.depth,
        task.wall_clock,
    )
    .map_err(Outcome::Failed)?;
    let mut table = ResourceTable::new();
    table.set_max_capacity(task.handles);
    let guest = Guest {
        wasi: wasi(task, socket).map_err(|error| Outcome::Failed(error.to_string()))?,
        table,
        files,
        clock: StepClock::default(),
        limiter: Limiter {
            memory_left: task.memory,
            table_elements_left: task.table_elements,
            instances: task.instances,
            refused_memory: false,
        },
    };
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| &mut guest.limiter);
    let tick_ms = u64::try_from(TICK.as_millis()).unwrap_or(u64::MAX);
    store.set_epoch_deadline(task.time_ms.div_ceil(tick_ms).max(1));
    Ok((store, component))
}

fn wasi(task: &RunTask, socket: &OwnedFd) -> std::io::Result<WasiCtx> {
    let socket = Arc::new(socket.try_clone()?);
    let [a, b, c, d, ..] = task.seed;
    let mut builder = WasiCtx::builder();
    builder
        .args(&task.args)
        .envs(&task.env)
        .initial_cwd(&task.working_dir)
        .stdout(Output {
            socket: Arc::clone(&socket),
            is_stdout: true,
        })
        .stderr(Output {
            socket,
            is_stdout: false,
        })
        .wall_clock(FixedClock(task.wall_clock))
        .secure_random(SeededRandom::new(&task.seed, "secure"))
        .insecure_random(SeededRandom::new(&task.seed, "insecure"))
        .insecure_random_seed(u128::from(u32::from_le_bytes([a, b, c, d])));
    Ok(builder.build())
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    linker.allow_shadowing(true);
    fs::add_to_linker(&mut linker, |guest: &mut Guest| fs::View {
        table: &mut guest.table,
        files: &mut guest.files,
    })?;
    monotonic_clock::add_to_linker::<_, HasClock>(&mut linker, |guest: &mut Guest| ClockView {
        clock: &guest.clock,
        table: &mut guest.table,
    })?;
    fs::add_verbs_to_linker(&mut linker, |guest: &mut Guest| fs::View {
        table: &mut guest.table,
        files: &mut guest.files,
    })?;
    Ok(linker)
}

fn call(store: &mut Store<Guest>, linker: &Linker<Guest>, component: &Component) -> Outcome {
    if let Some(reason) = refused_imports(store.engine(), component) {
        return Outcome::Unloadable(reason);
    }
    let command = match Command::instantiate(&mut *store, component, linker) {
        Ok(command) => command,
        Err(error) => return instantiation_failed(store, &error),
    };
    match command.wasi_cli_run().call_run(&mut *store) {
        Ok(Ok(())) => Outcome::Exited(0),
        Ok(Err(())) => exited(store, 1),
        Err(error) => ended(store, &error),
    }
}

/// A program can end while it is instantiated: its start function runs then.
fn instantiation_failed(store: &Store<Guest>, error: &wasmtime::Error) -> Outcome {
    if error.is::<I32Exit>() || error.is::<Trap>() || store.data().limiter.refused_memory {
        ended(store, error)
    } else {
        Outcome::Unloadable(format!("{error:#}"))
    }
}

fn ended(store: &Store<Guest>, error: &wasmtime::Error) -> Outcome {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return exited(store, exit.0);
    }
    if store.data().limiter.refused_memory {
        return Outcome::OutOfMemory;
    }
    let trap = error.downcast_ref::<Trap>();
    if matches!(trap, Some(Trap::Interrupt)) {
        return Outcome::OutOfTime;
    }
    if let Some(refused) = store.data().files.refused() {
        return Outcome::OutOfSpace {
            refused,
            status: None,
        };
    }
    match trap {
        Some(trap) => Outcome::Trapped(describe_trap(*trap, error)),
        None => Outcome::Trapped(error.root_cause().to_string()),
    }
}

/// A status. One that says failure has its likely reason beside it, if the guest was refused room.
fn exited(store: &Store<Guest>, status: i32) -> Outcome {
    match store.data().files.refused() {
        Some(refused) if status != 0 => Outcome::OutOfSpace {
            refused,
            status: Some(status),
        },
        _ => Outcome::Exited(status),
    }
}

fn describe_trap(trap: Trap, error: &wasmtime::Error) -> String {
    let function = error
        .downcast_ref::<WasmBacktrace>()
        .and_then(|backtrace| backtrace.frames().first())
        .and_then(|frame| frame.func_name());
    match function {
        Some(function) => format!("{trap} in `{function}`"),
        None => trap.to_string(),
    }
}

/// Says which imports no buildpack gets, before the engine says it in its own words.
fn refused_imports(engine: &Engine, component: &Component) -> Option<String> {
    let component_type = component.component_type();
    let refused: Vec<_> = component_type
        .imports(engine)
        .map(|(name, _)| name)
        .filter(|name| {
            *name != OFFERED_VERBS && !OFFERED.iter().any(|offered| name.starts_with(offered))
        })
        .map(|name| format!("`{name}`"))
        .collect();
    (!refused.is_empty()).then(|| {
        format!(
            "it imports {}, which buildpacks are not given",
            refused.join(", ")
        )
    })
}
