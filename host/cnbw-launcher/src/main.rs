//! The program that starts an image's processes.
//!
//! It reads `metadata.toml`, decides what to start, builds the environment from the layers, runs their exec.d
//! programs and replaces itself by the process. It is the edge of its own small world, so it reads variables and
//! paths itself; it must never write anything but its messages, and depends on no other crate of the workspace,
//! because it is in every image. Start reading at [`launch::launch`].

mod api;
mod environment;
mod execd;
mod files;
mod launch;
mod layers;
mod metadata;
mod process;
mod shell;
mod toml;

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use api::{ApiError, ApiVersion};
use environment::Environment;
use launch::{Directories, launch};
use metadata::Metadata;
use process::Invocation;

/// Any failure without a status of its own, such as unreadable metadata.
const EXIT_FAILED: u8 = 1;
/// The Platform API is missing or not supported.
const EXIT_PLATFORM_API: u8 = 11;
/// A Buildpack API is not supported.
const EXIT_BUILDPACK_API: u8 = 12;
/// The process could not be started.
const EXIT_LAUNCH: u8 = 82;

fn main() -> ExitCode {
    let variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let messages = Messages {
        colored: !is_true(variable(&variables, "CNB_NO_COLOR")),
    };
    match run(variables, &messages) {
        Ok(never) => match never {},
        Err(failure) => {
            messages.write("31", "ERROR: ", &failure.message);
            ExitCode::from(failure.status)
        }
    }
}

/// Why the launcher ends, as the user sees it.
struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    fn new(status: u8, action: &str, error: &dyn Error) -> Self {
        let mut message = format!("failed to {action}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self { status, message }
    }
}

fn run(
    variables: Vec<(OsString, OsString)>,
    messages: &Messages,
) -> Result<std::convert::Infallible, Failure> {
    let set = |name: &str| {
        variable(&variables, name)
            .filter(|value| !value.is_empty())
            .map(OsStr::to_owned)
    };
    let or_default =
        |name: &str, default: &str| set(name).unwrap_or_else(|| OsString::from(default));

    let requested = or_default("CNB_PLATFORM_API", "");
    let requested = requested.to_string_lossy();
    let platform_api = platform_api(&requested)?;
    let (layers, app) = (
        or_default("CNB_LAYERS_DIR", "/layers"),
        or_default("CNB_APP_DIR", "/workspace"),
    );
    let exec_env = or_default("CNB_EXEC_ENV", "production");

    let directories = Directories {
        layers: Path::new(&layers),
        app: Path::new(&app),
    };
    let metadata = Metadata::read(directories.layers)
        .map_err(|error| Failure::new(EXIT_FAILED, "read metadata", &error))?;
    metadata
        .verify_buildpack_apis()
        .map_err(|error| Failure::new(EXIT_BUILDPACK_API, "launch", &error))?;
    if let Some(r#type) = set("CNB_PROCESS_TYPE") {
        let r#type = files::shown(&r#type);
        messages.warn(&format!(
            "CNB_PROCESS_TYPE is not supported in Platform API {}",
            files::shown(&*requested)
        ));
        messages.warn(&format!(
            "start the image with the entrypoint {type} to run the process of that type"
        ));
    }

    let mut arguments = std::env::args_os();
    let argv0 = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let invocation = Invocation {
        argv0: &argv0,
        arguments: &arguments,
        platform_api,
        exec_env: &exec_env,
    };
    launch(
        directories,
        &metadata,
        &invocation,
        Environment::from_container(variables),
    )
    .map_err(|error| Failure::new(EXIT_LAUNCH, "launch", &error))
}

fn platform_api(requested: &str) -> Result<ApiVersion, Failure> {
    let problem = match ApiVersion::parse_platform(requested) {
        Ok(version) => return Ok(version),
        Err(_) if requested.trim().is_empty() => {
            "failed to get platform API version; please set `CNB_PLATFORM_API` to the one that the image was built for"
                .to_owned()
        }
        Err(ApiError::Malformed) => format!("failed to parse platform API {}", files::shown(requested)),
        Err(ApiError::Unsupported) => {
            format!("failed to set platform API: version {} is incompatible with this launcher", files::shown(requested))
        }
    };
    Err(Failure {
        status: EXIT_PLATFORM_API,
        message: problem,
    })
}

/// Returns a variable; of several with one name the first, as `getenv` does.
fn variable<'a>(variables: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    variables
        .iter()
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.as_os_str())
}

/// Reads a truth value in Go's spellings; anything else is false.
fn is_true(value: Option<&OsStr>) -> bool {
    ["1", "t", "T", "true", "True", "TRUE"]
        .iter()
        .any(|spelling| value == Some(OsStr::new(spelling)))
}

/// The launcher's own messages. They go to standard output, colored unless `CNB_NO_COLOR` is set, as those of the
/// reference do.
struct Messages {
    colored: bool,
}

impl Messages {
    fn warn(&self, text: &str) {
        self.write("33", "Warning: ", text);
    }

    fn write(&self, color: &str, level: &str, text: &str) {
        let (start, end) = if self.colored {
            (format!("\x1b[{color};1m"), "\x1b[0m")
        } else {
            (String::new(), "")
        };
        // Nobody is left to hear that the message could not be written.
        let _unheard = writeln!(std::io::stdout(), "{start}{level}{end}{text}");
    }
}
