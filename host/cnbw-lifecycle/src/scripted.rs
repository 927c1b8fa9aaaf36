//! For tests: buildpacks whose programs are closures, and a listener that remembers.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw_spec::env::Environment;
use cnbw_spec::target::TargetMetadata;

use crate::buildpacks::Buildpacks;
use crate::event::Event;
use crate::ports::{BuildpackRunner, Events, GuestFault, Invocation, OutputSink, Program, Stream};
use crate::programs::{GuestDirectory, Programs};

/// What a program may do: its invocation, and a way to print.
pub(crate) type Script =
    dyn Fn(&Invocation, &mut OutputSink<'_>) -> Result<i32, GuestFault> + Send + Sync;

/// A root with all directories of a build, and programs by buildpack.
pub(crate) struct World {
    pub(crate) root: Dir,
    _temporary: tempfile::TempDir,
    scripts: HashMap<(String, Which), Box<Script>>,
    /// `detect a@1`, in the order in which programs were started.
    pub(crate) started: Mutex<Vec<String>>,
    told: Mutex<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Which {
    Detect,
    Build,
}

impl World {
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let root = Dir::open_ambient_dir(temporary.path(), ambient_authority()).unwrap();
        for name in [
            "app",
            "layers",
            "platform/env",
            "config/env",
            "scratch",
            "buildpacks",
            "extensions",
        ] {
            root.create_dir_all(name).unwrap();
        }
        Self {
            root,
            _temporary: temporary,
            scripts: HashMap::new(),
            started: Mutex::default(),
            told: Mutex::default(),
        }
    }

    pub(crate) fn dir(&self, name: &str) -> Arc<Dir> {
        Arc::new(self.root.open_dir(name).unwrap())
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.root.create_dir_all(parent).unwrap();
        }
        self.root.write(path, text).unwrap();
    }

    /// Everything that was told, one line each: `info …`, `debug …`, `warning …`.
    pub(crate) fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }

    /// Adds a component buildpack with version 1. `extra` is put before `[buildpack]`'s own keys
    /// end, so it may hold further keys of that table and then other tables.
    pub(crate) fn buildpack(&self, id: &str, api: &str, extra: &str) {
        let escaped = id.replace('/', "_");
        let path = format!("buildpacks/{escaped}/1/buildpack.toml");
        let text =
            format!("api = \"{api}\"\n[buildpack]\nid = \"{id}\"\nversion = \"1\"\n{extra}\n");
        self.write(&path, &text);
        self.write(&format!("buildpacks/{escaped}/1/bin/build"), "");
    }

    pub(crate) fn script(
        &mut self,
        id: &str,
        program: Which,
        script: impl Fn(&Invocation, &mut OutputSink<'_>) -> Result<i32, GuestFault>
        + Send
        + Sync
        + 'static,
    ) {
        self.scripts
            .insert((id.to_owned(), program), Box::new(script));
    }

    /// A detect program that writes a plan and ends with a status.
    pub(crate) fn detect(&mut self, id: &str, status: i32, plan: &'static str) {
        self.script(id, Which::Detect, move |invocation, _| {
            write_guest(invocation, &invocation.args[1], plan);
            Ok(status)
        });
    }

    /// A build program that writes files below its layers directory.
    pub(crate) fn build(&mut self, id: &str, files: &'static [(&'static str, &'static str)]) {
        self.script(id, Which::Build, move |invocation, _| {
            for (path, text) in files {
                write_guest(invocation, &format!("{}/{path}", invocation.args[0]), text);
            }
            Ok(0)
        });
    }

    pub(crate) fn buildpacks(&self) -> Buildpacks {
        let mut buildpacks = Buildpacks::new();
        buildpacks.add_directory(self.dir("buildpacks"), "/cnb/buildpacks");
        buildpacks
    }

    pub(crate) fn extensions(&self) -> Buildpacks {
        let mut extensions = Buildpacks::new();
        extensions.add_directory(self.dir("extensions"), "/cnb/extensions");
        extensions
    }

    pub(crate) fn programs(&self) -> Programs {
        let mut inherited = Environment::new();
        inherited.set("PATH", "/usr/bin");
        Programs {
            app: self.guest("/workspace", "app"),
            platform_path: "/platform".into(),
            platform: Some(self.dir("platform")),
            build_config: Some(self.dir("config")),
            inherited,
            target: TargetMetadata {
                os: "linux".into(),
                arch: "amd64".into(),
                ..TargetMetadata::default()
            },
            exec_env: "production".into(),
            scratch: self.dir("scratch"),
        }
    }

    pub(crate) fn guest(&self, guest_path: &str, name: &str) -> GuestDirectory {
        GuestDirectory {
            guest_path: guest_path.into(),
            dir: self.dir(name),
        }
    }
}

impl BuildpackRunner for World {
    fn run(&self, invocation: &Invocation, output: &mut OutputSink<'_>) -> Result<i32, GuestFault> {
        let id = invocation.buildpack.id.as_str();
        let program = match invocation.program {
            Program::Detect => Which::Detect,
            Program::Build => Which::Build,
        };
        let name = format!("{program:?} {}", invocation.buildpack).to_lowercase();
        self.started.lock().unwrap().push(name);
        match self.scripts.get(&(id.to_owned(), program)) {
            Some(script) => script(invocation, output),
            None => Err(GuestFault::NoProgram {
                wanted: "bin/detect".into(),
            }),
        }
    }
}

impl Events for World {
    fn emit(&self, event: Event<'_>) {
        let mut told = self.told.lock().unwrap();
        match event {
            Event::Info(text) => writeln!(told, "info {text}").unwrap(),
            Event::Debug(text) => writeln!(told, "debug {text}").unwrap(),
            Event::Warning(text) => writeln!(told, "warning {text}").unwrap(),
            Event::BuildpackOutput {
                buildpack,
                stream,
                bytes,
                ..
            } => {
                let stream = match stream {
                    Stream::Stdout => "out",
                    Stream::Stderr => "err",
                };
                let text = String::from_utf8_lossy(bytes);
                writeln!(told, "{stream} {buildpack} {text}").unwrap();
            }
            Event::PhaseStarted(_) | Event::PhaseFinished(_) => {}
        }
    }
}

/// The directory and the path in it of a guest path, by the longest mount that holds it.
fn resolve<'i>(invocation: &'i Invocation, path: &str) -> (&'i Dir, String) {
    let mut mounts: Vec<_> = invocation.mounts.iter().collect();
    mounts.sort_by_key(|it| std::cmp::Reverse(it.guest_path.len()));
    for mount in mounts {
        if let Some(below) = path.strip_prefix(&format!("{}/", mount.guest_path)) {
            return (&mount.dir, below.to_owned());
        }
    }
    panic!("{path} is in no mount");
}

/// Writes a file as a guest would, and makes the directories above it.
pub(crate) fn write_guest(invocation: &Invocation, path: &str, text: &str) {
    let (dir, below) = resolve(invocation, path);
    if let Some((parent, _)) = below.rsplit_once('/') {
        dir.create_dir_all(parent).unwrap();
    }
    dir.write(below, text).unwrap();
}

/// Reads a file as a guest would.
pub(crate) fn read_guest(invocation: &Invocation, path: &str) -> String {
    let (dir, below) = resolve(invocation, path);
    dir.read_to_string(below).unwrap()
}

/// A variable of a guest.
pub(crate) fn variable(invocation: &Invocation, name: &str) -> Option<String> {
    let mut variables = invocation.env.iter();
    let (_, value) = variables.find(|(it, _)| it == name)?;
    Some(String::from_utf8(value.clone()).unwrap())
}
