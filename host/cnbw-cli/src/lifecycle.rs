//! The phases as commands of a lifecycle: `analyzer`, `detector` and so on.
//!
//! A link to `cnbw` with the name of a phase is that phase's program, and one named `lifecycle`
//! takes the phase as its first argument; `cnbw lifecycle <phase>` does the same. Flags, variables,
//! defaults and exit statuses are those of the Platform API in `CNB_PLATFORM_API`.
//!
//! Start reading at [`main_for`]; what a phase does is in the module of its name.

mod analyzer;
mod builder;
mod caches;
mod creator;
mod detector;
mod documents;
mod environ;
mod exporter;
mod failure;
mod flags;
mod inputs;
mod logger;
mod paths;
mod privileges;
mod programs;
mod rebaser;
mod restorer;
mod run_images;
mod stores;
#[cfg(test)]
mod tests;
mod trees;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use cnbw_spec::api::{ApiError, PlatformApi};
use cnbw_spec::exit;

pub(crate) use documents::{read_document, read_existing, write_document};
pub(crate) use environ::Environ;
pub(crate) use failure::Failure;
pub(crate) use inputs::Inputs;
pub(crate) use logger::{Level, Logger};

use crate::interrupts::Temporary;

/// Exit status of a phase that cnbw does not have.
const EXTEND: u8 = 102;

/// A phase, by the program that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Analyzer,
    Detector,
    Restorer,
    Builder,
    Exporter,
    Creator,
    Rebaser,
    Extender,
}

impl Phase {
    pub(crate) const ALL: [Self; 8] = [
        Self::Analyzer,
        Self::Detector,
        Self::Restorer,
        Self::Builder,
        Self::Exporter,
        Self::Creator,
        Self::Rebaser,
        Self::Extender,
    ];

    /// Name of the program: `detector`.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Analyzer => "analyzer",
            Self::Detector => "detector",
            Self::Restorer => "restorer",
            Self::Builder => "builder",
            Self::Exporter => "exporter",
            Self::Creator => "creator",
            Self::Rebaser => "rebaser",
            Self::Extender => "extender",
        }
    }

    /// Name as an argument of `lifecycle`: `detect`.
    pub(crate) fn subcommand(self) -> &'static str {
        match self {
            Self::Analyzer => "analyze",
            Self::Detector => "detect",
            Self::Restorer => "restore",
            Self::Builder => "build",
            Self::Exporter => "export",
            Self::Creator => "create",
            Self::Rebaser => "rebase",
            Self::Extender => "extend",
        }
    }
}

/// What `cnbw` is when it is started under a certain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    /// The program of one phase.
    Phase(Phase),
    /// The program of all phases: the first argument says which.
    Lifecycle,
}

/// Which of these programs the name of the process stands for, if any.
fn started_as(argv0: &OsStr) -> Option<Program> {
    let name = Path::new(argv0).file_stem()?.to_str()?;
    if name == "lifecycle" {
        return Some(Program::Lifecycle);
    }
    let mut phases = Phase::ALL.into_iter();
    phases.find(|it| it.program() == name).map(Program::Phase)
}

/// Runs a lifecycle program if the command line asks for one, by its own name or as `cnbw lifecycle`.
///
/// `command_line` starts with the name of the process.
pub(crate) fn start(
    command_line: &[OsString],
    environ: impl FnOnce() -> Environ,
) -> Option<ExitCode> {
    let (name, arguments) = command_line.split_first()?;
    let (program, arguments) = match (started_as(name), arguments) {
        (Some(program), arguments) => (program, arguments),
        (None, [first, rest @ ..]) if first == "lifecycle" => (Program::Lifecycle, rest),
        (None, _) => return None,
    };
    let mut texts = Vec::new();
    for argument in arguments {
        let Some(text) = argument.to_str() else {
            let shown = argument.to_string_lossy();
            let action = format!("parse arguments: `{}` is not UTF-8", shown.escape_debug());
            let failure = Failure::new(exit::INVALID_ARGS, action);
            Logger::new(Level::Info, false).error(&failure.to_string());
            return Some(ExitCode::from(failure.code()));
        };
        texts.push(text.to_owned());
    }
    Some(main_for(program, texts, environ()))
}

/// What a phase works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// Flags, variables and defaults, resolved.
    pub(crate) inputs: Inputs,
    /// Writes to standard output.
    pub(crate) logger: Logger,
    /// The environment of the process.
    pub(crate) environ: Environ,
    /// Makes private directories.
    pub(crate) temporary: Temporary,
}

/// Runs one of the programs with the arguments after its name.
fn main_for(program: Program, arguments: Vec<String>, environ: Environ) -> ExitCode {
    let logger = Logger::new(Level::Info, false);
    let result = match program {
        Program::Phase(phase) => run_phase(phase, &arguments, environ, logger),
        Program::Lifecycle => run_lifecycle(arguments, environ, logger),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err((failure, logger)) => {
            logger.error(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}

/// A failure, and the logger that knows how it is to be shown.
type Failed = (Failure, Logger);

fn run_lifecycle(
    mut arguments: Vec<String>,
    environ: Environ,
    logger: Logger,
) -> Result<(), Failed> {
    if arguments.is_empty() {
        return Err((Failure::new(exit::INVALID_ARGS, "parse arguments"), logger));
    }
    let name = arguments.remove(0);
    if name == "-version" {
        logger.line(env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    if let Err(failure) = platform_api(&environ) {
        return Err((failure, logger));
    }
    let mut phases = Phase::ALL.into_iter();
    let Some(phase) = phases.find(|it| it.subcommand() == name || it.program() == name) else {
        let valid: Vec<&str> = Phase::ALL.iter().map(|it| it.subcommand()).collect();
        let valid = valid.join(", ");
        let name = name.escape_debug();
        let action = format!("recognize phase `{name}`; valid phases are {valid}");
        return Err((Failure::new(exit::INVALID_ARGS, action), logger));
    };
    run_phase(phase, &arguments, environ, logger)
}

fn run_phase(
    phase: Phase,
    arguments: &[String],
    environ: Environ,
    logger: Logger,
) -> Result<(), Failed> {
    let api = match platform_api(&environ) {
        Ok(api) => api,
        Err(failure) => return Err((failure, logger)),
    };
    let mut inputs = Inputs::from_environment(api, &environ);
    let parsed = match flags::parse(phase, api, arguments, &mut inputs) {
        Ok(parsed) => parsed,
        Err(refusal) => return Err((refusal.show(phase, &logger), logger)),
    };
    match parsed.instead {
        Some(flags::Instead::Version) => {
            logger.line(env!("CARGO_PKG_VERSION"));
            return Ok(());
        }
        Some(flags::Instead::Help) => {
            logger.line(&flags::usage(phase, api));
            return Ok(());
        }
        None => {}
    }
    let Some(level) = Level::parse(&inputs.log_level) else {
        let action = format!("parse log level `{}`", inputs.log_level.escape_debug());
        return Err((Failure::new(exit::FAILED, action), logger));
    };
    let logger = Logger::new(level, !inputs.no_color);
    for argument in parsed.positional.iter().filter(|it| it.starts_with('-')) {
        let argument = argument.escape_debug();
        logger.warning(&format!(
            "`{argument}` comes after the first positional argument, so it is not taken as a flag"
        ));
    }
    let mut context = Context {
        inputs,
        logger,
        environ,
        temporary: Temporary::default(),
    };
    let ran = prepare(phase, &mut context, &parsed.positional)
        .and_then(|()| dispatch(phase, &mut context));
    ran.map_err(|failure| (failure, context.logger))
}

/// Takes the positional arguments and fills in defaults.
fn prepare(phase: Phase, context: &mut Context, positional: &[String]) -> Result<(), Failure> {
    let inputs = &mut context.inputs;
    match (phase, positional) {
        (Phase::Detector | Phase::Restorer | Phase::Builder | Phase::Extender, []) => {}
        (Phase::Detector | Phase::Restorer | Phase::Builder | Phase::Extender, _) => {
            return Err(invalid("parse arguments", "received unexpected arguments"));
        }
        (Phase::Analyzer | Phase::Creator, [image]) => inputs.output_image.clone_from(image),
        (Phase::Analyzer | Phase::Creator, _) => {
            let count = positional.len();
            let cause = format!("received {count} arguments, but expected 1");
            return Err(invalid("parse arguments", cause));
        }
        (Phase::Exporter | Phase::Rebaser, []) => {
            return Err(invalid(
                "parse arguments",
                "at least one image argument is required",
            ));
        }
        (Phase::Exporter | Phase::Rebaser, [image, tags @ ..]) => {
            inputs.output_image.clone_from(image);
            inputs.tags.extend_from_slice(tags);
        }
    }
    inputs
        .resolve()
        .map_err(|cause| invalid("resolve inputs", cause))
}

fn invalid(action: &str, cause: impl Into<String>) -> Failure {
    Failure::new(exit::INVALID_ARGS, action).because(cause.into())
}

fn dispatch(phase: Phase, context: &mut Context) -> Result<(), Failure> {
    match phase {
        Phase::Detector => detector::run(context),
        Phase::Builder => builder::run(context),
        Phase::Extender => Err(Failure::new(EXTEND, "extend").because(
            "cnbw runs no Dockerfiles: image extensions that change an image need a container \
             engine, which cnbw does without"
                .to_owned(),
        )),
        Phase::Analyzer => analyzer::run(context),
        Phase::Restorer => restorer::run(context),
        Phase::Exporter => exporter::run(context),
        Phase::Creator => creator::run(context),
        Phase::Rebaser => rebaser::run(context),
    }
}

/// The Platform API that the platform asks for. It is checked before anything else.
fn platform_api(environ: &Environ) -> Result<PlatformApi, Failure> {
    let text = environ.text("CNB_PLATFORM_API").unwrap_or_default();
    PlatformApi::parse(&text).map_err(|error| {
        let action = match &error {
            ApiError::Missing { .. } => {
                "get platform API version; set `CNB_PLATFORM_API` to the desired version"
            }
            ApiError::Malformed { .. } => "parse platform API",
            ApiError::Unsupported { .. } => "set platform API",
        };
        Failure::new(exit::PLATFORM_API, action).because_of(error)
    })
}

/// Refuses an experimental feature unless `CNB_EXPERIMENTAL_MODE` allows it.
pub(crate) fn guard_experimental(feature: &str, context: &Context) -> Result<(), Failure> {
    let mode = context.environ.text("CNB_EXPERIMENTAL_MODE");
    match mode.as_deref().unwrap_or("error") {
        "quiet" | "silent" => Ok(()),
        "error" | "" => {
            let requested = format!("the platform requests the experimental feature {feature}");
            context.logger.error(&requested);
            let cause = "experimental features are disabled by CNB_EXPERIMENTAL_MODE=error";
            Err(Failure::new(exit::FAILED, format!("allow {feature}")).because(cause.to_owned()))
        }
        _ => {
            let requested = format!("the platform requests the experimental feature {feature}");
            context.logger.warning(&requested);
            Ok(())
        }
    }
}
