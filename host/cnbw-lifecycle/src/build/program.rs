//! Runs one build program.

use std::io;
use std::sync::Arc;

use cnbw_spec::api::BuildpackApi;
use cnbw_spec::buildpack_plan::{BuildpackPlan, print_buildpack_plan};
use cnbw_spec::env::Environment;
use cnbw_spec::id::BuildpackRef;

use super::{BuildError, BuildRequest};
use crate::buildpacks::LoadedBuildpack;
use crate::event::Event;
use crate::ports::{Access, BuildpackRunner, Events, Invocation, Mount, Program};
use crate::programs::{GuestDirectory, Phase, PrivateDirectory, ProgramEnvironment, Variables};

/// A build program and what it is given.
pub(super) struct BuildProgram<'a> {
    pub(super) request: &'a BuildRequest<'a>,
    pub(super) loaded: &'a LoadedBuildpack,
    pub(super) buildpack: &'a BuildpackRef,
    pub(super) api: BuildpackApi,
    /// Its own layers directory.
    pub(super) layers: &'a GuestDirectory,
    /// Those of earlier buildpacks.
    pub(super) earlier: &'a [GuestDirectory],
}

impl BuildProgram<'_> {
    /// Runs the program. What it prints is told while it runs.
    pub(super) fn run(
        &self,
        plan: &BuildpackPlan,
        base: &Environment,
        variables: &Variables,
        runner: &dyn BuildpackRunner,
        events: &dyn Events,
    ) -> Result<(), BuildError> {
        let scratch = &self.request.programs.scratch;
        let plan = print_buildpack_plan(plan);
        let private = PrivateDirectory::with_plan(scratch, plan.as_bytes());
        let private = private.map_err(|source: io::Error| BuildError::Io {
            action: "make a private directory with the plan",
            path: "/tmp".to_owned(),
            source,
        })?;
        let invocation = self.invocation(&private, base, variables)?;
        let ended = runner.run(&invocation, &mut |stream, bytes| {
            events.emit(Event::BuildpackOutput {
                buildpack: self.buildpack,
                program: Program::Build,
                stream,
                bytes,
            });
        });
        let buildpack = self.buildpack.clone();
        match ended {
            Ok(0) => Ok(()),
            Ok(status) => Err(BuildError::Program { buildpack, status }),
            Err(source) => Err(BuildError::Fault { buildpack, source }),
        }
    }

    fn invocation(
        &self,
        private: &PrivateDirectory,
        base: &Environment,
        variables: &Variables,
    ) -> Result<Invocation, BuildError> {
        let programs = self.request.programs;
        let guest_path = self.loaded.module.guest_path.as_str();
        let plan_path = PrivateDirectory::plan_path();
        let environment = ProgramEnvironment {
            phase: Phase::Build,
            api: self.api,
            clear_env: self.loaded.descriptor.clear_env,
            root: ("CNB_BUILDPACK_DIR", guest_path),
            plan_path: &plan_path,
            layers_dir: Some(&self.layers.guest_path),
        };
        let env = environment.complete(programs, variables, base);
        let env = env.map_err(|source| BuildError::Environment {
            buildpack: self.buildpack.clone(),
            source,
        })?;
        let buildpack_dir = Arc::clone(&self.loaded.module.dir);
        let mut mounts = vec![
            programs.app.mount(Access::ReadWrite),
            self.layers.mount(Access::ReadWrite),
            Mount {
                guest_path: guest_path.to_owned(),
                dir: Arc::clone(&buildpack_dir),
                access: Access::ReadOnly,
            },
            private.mount(),
        ];
        mounts.extend(programs.platform_mount());
        // Paths in the environment lead there.
        mounts.extend(self.earlier.iter().map(|it| it.mount(Access::ReadOnly)));
        Ok(Invocation {
            buildpack: self.buildpack.clone(),
            program: Program::Build,
            buildpack_dir,
            guest_buildpack_dir: guest_path.to_owned(),
            args: vec![
                self.layers.guest_path.clone(),
                programs.platform_path.clone(),
                plan_path,
            ],
            env,
            working_dir: programs.app.guest_path.clone(),
            mounts,
        })
    }
}
