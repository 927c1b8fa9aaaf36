//! The environment of a program: inherited, the user's, the operator's, and the lifecycle's own.

use std::io;
use std::sync::Arc;

use cnbw_spec::api::BuildpackApi;
use cnbw_spec::env::{Action, EnvFile, Environment};
use cnbw_spec::target::TargetMetadata;

use super::{Programs, read_env_directory};

/// Largest value of a variable in bytes. Linux bears no more than 128 KiB in one.
pub(super) const MAX_VALUE_BYTES: u64 = 1024 * 1024;

/// An environment that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A directory or file with variables cannot be read.
    #[error("cannot read environment variables from `{}`", path.escape_debug())]
    Unreadable {
        /// Its path in the guest.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// Something that is no file, or too large to be a value.
    #[error("`{}` is no file of at most {MAX_VALUE_BYTES} bytes", path.escape_debug())]
    Unusable {
        /// Its path in the guest.
        path: String,
    },
    /// A value that no program can be given.
    #[error("the value of environment variable `{}` has a zero byte", name.escape_debug())]
    ZeroByte {
        /// The variable.
        name: String,
    },
}

/// Variables of the user and the operator, read once for all programs.
#[derive(Debug)]
pub(crate) struct Variables {
    user: Result<Vec<EnvFile>, Arc<EnvironmentError>>,
    operator: Result<Vec<EnvFile>, Arc<EnvironmentError>>,
}

impl Variables {
    pub(crate) fn read(programs: &Programs) -> Self {
        let platform = programs.platform.as_ref();
        let build_config = programs.build_config.as_ref();
        let user = platform.map(|dir| read_env_directory(dir, &programs.platform_path));
        let operator = build_config.map(|dir| read_env_directory(dir, "/cnb/build-config"));
        Self {
            user: user.unwrap_or_else(|| Ok(Vec::new())).map_err(Arc::new),
            operator: operator.unwrap_or_else(|| Ok(Vec::new())).map_err(Arc::new),
        }
    }
}

/// The phases that run programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Detect,
    Build,
}

/// What makes one program's environment differ from another's.
#[derive(Debug)]
pub(crate) struct ProgramEnvironment<'a> {
    pub(crate) phase: Phase,
    pub(crate) api: BuildpackApi,
    pub(crate) clear_env: bool,
    /// `CNB_BUILDPACK_DIR` or `CNB_EXTENSION_DIR`, and its value.
    pub(crate) root: (&'static str, &'a str),
    pub(crate) plan_path: &'a str,
    /// The buildpack's layers directory, while building.
    pub(crate) layers_dir: Option<&'a str>,
}

impl ProgramEnvironment<'_> {
    /// The complete environment: on top of what is inherited and what earlier buildpacks gave come
    /// the user's variables, then the operator's, then the lifecycle's, which win.
    pub(crate) fn complete(
        &self,
        programs: &Programs,
        variables: &Variables,
        base: &Environment,
    ) -> Result<Vec<(String, Vec<u8>)>, Arc<EnvironmentError>> {
        let mut environment = base.clone();
        if !self.clear_env {
            environment.apply_user_files(variables.user.as_ref().map_err(Arc::clone)?);
        }
        let operator = variables.operator.as_ref().map_err(Arc::clone)?;
        environment.apply_files(operator, Action::Default);
        self.add_own(programs, &mut environment);
        listed(&environment).map_err(Arc::new)
    }

    fn add_own(&self, programs: &Programs, environment: &mut Environment) {
        environment.set(self.root.0, self.root.1);
        if self.api.passes_paths_in_env() {
            environment.set("CNB_PLATFORM_DIR", programs.platform_path.as_str());
            let plan = match self.phase {
                Phase::Detect => "CNB_BUILD_PLAN_PATH",
                Phase::Build => "CNB_BP_PLAN_PATH",
            };
            environment.set(plan, self.plan_path);
            if let Some(layers_dir) = self.layers_dir {
                environment.set("CNB_LAYERS_DIR", layers_dir);
            }
        }
        if self.api.passes_target_in_env() {
            add_target(&programs.target, environment);
        }
        if self.api.honors_exec_env() && !programs.exec_env.is_empty() {
            environment.set("CNB_EXEC_ENV", programs.exec_env.as_str());
        }
    }
}

/// Operating system and architecture always, the rest only if known.
fn add_target(target: &TargetMetadata, environment: &mut Environment) {
    environment.set("CNB_TARGET_OS", target.os.as_str());
    environment.set("CNB_TARGET_ARCH", target.arch.as_str());
    let distro = target.distro.clone().unwrap_or_default();
    for (name, value) in [
        ("CNB_TARGET_ARCH_VARIANT", &target.variant),
        ("CNB_TARGET_DISTRO_NAME", &distro.name),
        ("CNB_TARGET_DISTRO_VERSION", &distro.version),
    ] {
        if !value.is_empty() {
            environment.set(name, value.as_str());
        }
    }
}

/// The variables as a program gets them. A file name with an equals sign sets what is before it;
/// one that begins with it sets nothing.
fn listed(environment: &Environment) -> Result<Vec<(String, Vec<u8>)>, EnvironmentError> {
    let mut listed = Environment::new();
    for (name, value) in environment.iter() {
        if value.contains(&0) {
            let name = name.to_owned();
            return Err(EnvironmentError::ZeroByte { name });
        }
        match name.split_once('=') {
            None if name.is_empty() => {}
            Some(("", _)) => {}
            None => listed.set(name, value),
            Some((name, rest)) => listed.set(name, [rest.as_bytes(), b"=", value].concat()),
        }
    }
    let listed = listed
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_vec()));
    Ok(listed.collect())
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use cap_std::fs::Dir;

    use super::super::GuestDirectory;
    use super::*;

    fn programs(root: &Dir) -> Programs {
        for name in ["app", "scratch", "platform", "config"] {
            root.create_dir_all(format!("{name}/env")).unwrap();
        }
        let open = |name: &str| Arc::new(root.open_dir(name).unwrap());
        Programs {
            app: GuestDirectory {
                guest_path: "/workspace".into(),
                dir: open("app"),
            },
            platform_path: "/platform".into(),
            platform: Some(open("platform")),
            build_config: Some(open("config")),
            inherited: Environment::new(),
            target: TargetMetadata {
                os: "linux".into(),
                arch: "amd64".into(),
                ..TargetMetadata::default()
            },
            exec_env: "production".into(),
            scratch: open("scratch"),
        }
    }

    fn complete(root: &Dir, api: BuildpackApi, clear_env: bool) -> Vec<String> {
        let programs = programs(root);
        let mut base = Environment::new();
        base.set("PATH", "/bin");
        base.set("X", "buildpack");
        let environment = ProgramEnvironment {
            phase: Phase::Build,
            api,
            clear_env,
            root: ("CNB_BUILDPACK_DIR", "/cnb/buildpacks/a/1"),
            plan_path: "/tmp/plan.0/plan.toml",
            layers_dir: Some("/layers/a"),
        };
        let variables = Variables::read(&programs);
        let listed = environment.complete(&programs, &variables, &base).unwrap();
        let show = |(name, value): (String, Vec<u8>)| {
            format!("{name}={}", String::from_utf8(value).unwrap())
        };
        listed.into_iter().map(show).collect()
    }

    fn temporary() -> (tempfile::TempDir, Dir) {
        let temporary = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temporary.path(), ambient_authority()).unwrap();
        (temporary, dir)
    }

    #[test]
    fn the_user_beats_buildpacks_and_the_operator_comes_last() {
        let (_temporary, root) = temporary();
        programs(&root);
        for (path, value) in [
            ("platform/env/X", "user"),
            ("platform/env/PATH", "/user"),
            ("platform/env/CNB_LAYERS_DIR", "/evil"),
            ("platform/env/Y.append", "whole name"),
            ("config/env/X", "operator"),
            ("config/env/Z", "operator"),
            ("config/env/CNB_BUILDPACK_DIR.override", "/evil"),
        ] {
            root.write(path, value).unwrap();
        }
        assert_eq!(
            complete(&root, BuildpackApi::V0_12, false),
            [
                "CNB_BP_PLAN_PATH=/tmp/plan.0/plan.toml",
                "CNB_BUILDPACK_DIR=/cnb/buildpacks/a/1",
                "CNB_EXEC_ENV=production",
                "CNB_LAYERS_DIR=/layers/a",
                "CNB_PLATFORM_DIR=/platform",
                "CNB_TARGET_ARCH=amd64",
                "CNB_TARGET_OS=linux",
                "PATH=/user:/bin",
                "X=user",
                "Y.append=whole name",
                "Z=operator",
            ]
        );
        assert_eq!(
            complete(&root, BuildpackApi::V0_7, true),
            [
                "CNB_BUILDPACK_DIR=/cnb/buildpacks/a/1",
                "PATH=/bin",
                "X=buildpack",
                "Z=operator",
            ]
        );
    }

    #[test]
    fn a_file_in_place_of_the_directory_is_an_error_unless_the_user_does_not_count() {
        let (_temporary, root) = temporary();
        let programs = programs(&root);
        root.remove_dir("platform/env").unwrap();
        root.write("platform/env", "").unwrap();
        let mut environment = ProgramEnvironment {
            phase: Phase::Detect,
            api: BuildpackApi::V0_12,
            clear_env: false,
            root: ("CNB_BUILDPACK_DIR", "/b"),
            plan_path: "/p",
            layers_dir: None,
        };
        let variables = Variables::read(&programs);
        let base = Environment::new();
        let error = environment
            .complete(&programs, &variables, &base)
            .unwrap_err();
        assert!(error.to_string().contains("`/platform/env`"), "{error}");
        environment.clear_env = true;
        assert!(environment.complete(&programs, &variables, &base).is_ok());
    }

    #[test]
    fn names_with_an_equals_sign_are_split_and_zero_bytes_refused() {
        let mut environment = Environment::new();
        environment.set("A=B", "c");
        environment.set("=x", "y");
        environment.set("", "y");
        let expected = [("A".to_owned(), b"B=c".to_vec())];
        assert_eq!(listed(&environment).unwrap(), expected);
        environment.set("N", "a\0b");
        assert!(listed(&environment).is_err());
    }
}
