//! Which process is started, and with which arguments.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::api::ApiVersion;
use crate::files::shown;
use crate::metadata::{Metadata, Process};

/// A process that has been decided upon.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// Its type; `None` for a command of the user.
    pub(crate) r#type: Option<String>,
    /// The command. Without a shell it is one word, or none where the metadata has none; for a shell its words are
    /// joined.
    pub(crate) command: Vec<OsString>,
    /// What follows the command.
    pub(crate) args: Vec<OsString>,
    /// Whether it is started without a shell.
    pub(crate) direct: bool,
    /// The buildpack that defined it; empty for a command of the user.
    pub(crate) buildpack_id: String,
    /// The directory to start it in; empty for the application directory.
    pub(crate) working_directory: OsString,
}

/// Why there is nothing to start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ProcessError {
    /// Neither a process nor a command was named.
    #[error("when there is no default process a command is required")]
    CommandRequired,
    /// The process is not meant for this execution environment.
    #[error(
        "process type {} was not found for the execution environment {}",
        shown(r#type),
        shown(exec_env)
    )]
    NotEligible {
        /// The type.
        r#type: String,
        /// The execution environment.
        exec_env: OsString,
    },
    /// What to do with arguments hangs on a buildpack that the metadata does not list.
    #[error(
        "process type {} belongs to the buildpack {}, which the image does not list",
        shown(r#type),
        shown(buildpack_id)
    )]
    UnknownBuildpack {
        /// The type.
        r#type: String,
        /// The buildpack.
        buildpack_id: String,
    },
}

/// What the launcher was told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Invocation<'a> {
    /// The name it was started by.
    pub(crate) argv0: &'a OsStr,
    /// The user's arguments.
    pub(crate) arguments: &'a [OsString],
    /// The platform's version.
    pub(crate) platform_api: ApiVersion,
    /// The execution environment.
    pub(crate) exec_env: &'a OsStr,
}

impl Invocation<'_> {
    /// Decides what to start: the process that the launcher is named for, else the user's command.
    pub(crate) fn select(&self, metadata: &Metadata) -> Result<Start, ProcessError> {
        let Some(named) = self.named_type(metadata) else {
            return self.user_command();
        };
        let eligible = metadata
            .processes
            .iter()
            .find(|process| process.r#type == named && self.is_eligible(process));
        let process = eligible.ok_or_else(|| ProcessError::NotEligible {
            r#type: named.to_owned(),
            exec_env: self.exec_env.to_owned(),
        })?;
        if self.platform_api.has_command_lists() {
            self.start_with_replaced_arguments(process, metadata)
        } else {
            let args = process
                .args
                .iter()
                .map(OsString::from)
                .chain(self.arguments.iter().cloned());
            Ok(Start::new(
                process,
                process.command.iter().map(OsString::from).collect(),
                args.collect(),
            ))
        }
    }

    /// Returns the process type that the launcher's own name ends in. A type that is not meant for this execution
    /// environment counts here: naming it must not fall back to running the arguments as a command.
    fn named_type<'m>(&self, metadata: &'m Metadata) -> Option<&'m str> {
        let name = self
            .argv0
            .as_bytes()
            .rsplit(|&byte| byte == b'/')
            .next()
            .unwrap_or_default();
        if matches!(name, b"" | b"." | b"..") {
            return None;
        }
        let mut types = metadata
            .processes
            .iter()
            .map(|process| process.r#type.as_str());
        types.find(|r#type| r#type.as_bytes() == name)
    }

    fn is_eligible(&self, process: &Process) -> bool {
        !self.platform_api.honors_exec_env()
            || process.exec_env.is_empty()
            || process
                .exec_env
                .iter()
                .any(|name| name == "*" || self.exec_env == OsStr::new(name))
    }

    /// The rules since Platform API 0.10: what follows the command's first word stays, the user's arguments take
    /// the place of the process's own. Before Buildpack API 0.9 they are added to them.
    fn start_with_replaced_arguments(
        &self,
        process: &Process,
        metadata: &Metadata,
    ) -> Result<Start, ProcessError> {
        let (first, always) = match process.command.split_first() {
            None => (Vec::new(), &[][..]),
            Some((first, always)) => (vec![OsString::from(first)], always),
        };
        let own = process.args.iter().map(OsString::from);
        let user = self.arguments.iter().cloned();
        let args: Vec<OsString> = if self.arguments.is_empty() {
            always.iter().map(OsString::from).chain(own).collect()
        } else if !always.is_empty() || Self::api_of(process, metadata)?.replaces_arguments() {
            always.iter().map(OsString::from).chain(user).collect()
        } else {
            own.chain(user).collect()
        };
        Ok(Start::new(process, first, args))
    }

    fn api_of(process: &Process, metadata: &Metadata) -> Result<ApiVersion, ProcessError> {
        let buildpack = metadata
            .buildpacks
            .iter()
            .find(|buildpack| buildpack.id == process.buildpack_id);
        buildpack
            .and_then(|buildpack| ApiVersion::parse_buildpack(&buildpack.api).ok())
            .ok_or_else(|| ProcessError::UnknownBuildpack {
                r#type: process.r#type.clone(),
                buildpack_id: process.buildpack_id.clone(),
            })
    }

    /// The user's command: without a shell after `--`, unless that stands alone.
    fn user_command(&self) -> Result<Start, ProcessError> {
        let (direct, words) = match self.arguments {
            [] => return Err(ProcessError::CommandRequired),
            [dashes, words @ ..] if dashes == "--" && !words.is_empty() => (true, words),
            words => (false, words),
        };
        let mut words = words.iter().cloned();
        Ok(Start {
            r#type: None,
            command: words.next().into_iter().collect(),
            args: words.collect(),
            direct,
            buildpack_id: String::new(),
            working_directory: OsString::new(),
        })
    }
}

impl Start {
    fn new(process: &Process, command: Vec<OsString>, args: Vec<OsString>) -> Self {
        Self {
            r#type: Some(process.r#type.clone()),
            command,
            args,
            direct: process.direct,
            buildpack_id: process.buildpack_id.clone(),
            working_directory: OsString::from(&process.working_directory),
        }
    }

    /// Checks that the buildpack of a shell process with arguments is known, as the reference does before it decides
    /// how a shell gets them.
    pub(crate) fn verify_buildpack(&self, metadata: &Metadata) -> Result<(), ProcessError> {
        let known = || {
            metadata
                .buildpacks
                .iter()
                .any(|buildpack| buildpack.id == self.buildpack_id)
        };
        if self.args.is_empty() || self.buildpack_id.is_empty() || known() {
            return Ok(());
        }
        Err(ProcessError::UnknownBuildpack {
            r#type: self.r#type.clone().unwrap_or_default(),
            buildpack_id: self.buildpack_id.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
