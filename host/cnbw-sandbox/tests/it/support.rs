//! A buildpack in a temporary place, and a runner for it.

use std::path::PathBuf;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw_lifecycle::ports::{
    Access, BuildpackRunner as _, GuestFault, Invocation, Mount, Program, Stream,
};
use cnbw_sandbox::{Limits, SandboxRunner, SandboxSettings, WorkerProgram};
use cnbw_spec::id::BuildpackRef;
use tempfile::TempDir;

/// Where a guest's buildpack is, in the guest.
pub(crate) const BUILDPACK: &str = "/cnb/buildpacks/test/1";

/// The worker that the tests use.
pub(crate) fn worker() -> WorkerProgram {
    WorkerProgram {
        path: PathBuf::from(env!("CARGO_BIN_EXE_cnbw-sandbox-worker")),
        args: vec![],
    }
}

/// A buildpack, an application and a layers directory.
pub(crate) struct World {
    pub(crate) root: TempDir,
    pub(crate) limits: Limits,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, Vec<u8>)>,
    pub(crate) program: Program,
}

impl World {
    /// A world whose build program is a module in WebAssembly text.
    pub(crate) fn new(text: &str) -> Self {
        Self::with_program(&wat::parse_str(text).unwrap())
    }

    /// A world whose build program is these bytes.
    pub(crate) fn with_program(bytes: &[u8]) -> Self {
        let root = TempDir::new().unwrap();
        let dir = Dir::open_ambient_dir(root.path(), ambient_authority()).unwrap();
        for path in ["buildpack/bin", "app", "layers"] {
            dir.create_dir_all(path).unwrap();
        }
        dir.write("buildpack/bin/build", bytes).unwrap();
        Self {
            root,
            limits: Limits::default(),
            args: Vec::new(),
            env: Vec::new(),
            program: Program::Build,
        }
    }

    pub(crate) fn dir(&self, path: &str) -> Arc<Dir> {
        let path = self.root.path().join(path);
        Arc::new(Dir::open_ambient_dir(path, ambient_authority()).unwrap())
    }

    pub(crate) fn runner(&self) -> SandboxRunner {
        SandboxRunner::new(SandboxSettings {
            worker: worker(),
            limits: self.limits.clone(),
            ..SandboxSettings::default()
        })
    }

    pub(crate) fn invocation(&self) -> Invocation {
        let mount = |guest_path: &str, path, access| Mount {
            guest_path: guest_path.to_owned(),
            dir: self.dir(path),
            access,
        };
        Invocation {
            buildpack: BuildpackRef::parse("test", "1").unwrap(),
            program: self.program,
            buildpack_dir: self.dir("buildpack"),
            guest_buildpack_dir: BUILDPACK.to_owned(),
            args: self.args.clone(),
            env: self.env.clone(),
            working_dir: "/workspace".to_owned(),
            mounts: vec![
                mount("/workspace", "app", Access::ReadWrite),
                mount("/layers/test", "layers", Access::ReadWrite),
                mount(BUILDPACK, "buildpack", Access::ReadOnly),
            ],
        }
    }

    /// Runs the program and gives its result and its standard output.
    pub(crate) fn run(&self) -> (Result<i32, GuestFault>, Vec<u8>) {
        self.run_with(&self.runner())
    }

    pub(crate) fn run_with(&self, runner: &SandboxRunner) -> (Result<i32, GuestFault>, Vec<u8>) {
        let mut output = Vec::new();
        let result = runner.run(&self.invocation(), &mut |stream, bytes| {
            if stream == Stream::Stdout {
                output.extend_from_slice(bytes);
            }
        });
        (result, output)
    }
}

/// A preview1 module with the given functions and data; `body` is what `_start` does.
pub(crate) fn module(imports: &str, rest: &str, body: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            {imports}
            (memory (export "memory") 1)
            {rest}
            (func (export "_start") {body}))"#
    )
}

/// A module that does one thing with a path and exits with the error number of it.
///
/// Descriptor 4 is the root of the name space.
pub(crate) fn opens(path: &str, open_flags: u32, rights: u64) -> String {
    module(
        r#"(import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"#,
        &format!(r#"(data (i32.const 100) "{path}")"#),
        &format!(
            "(call $exit (call $open (i32.const 4) (i32.const 1) (i32.const 100) (i32.const {})
                (i32.const {open_flags}) (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const 0)))",
            path.len()
        ),
    )
}
