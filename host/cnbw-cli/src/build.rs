//! `cnbw build`: everything that the command line, the environment and the disk say becomes a request.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw::{BuildReport, BuildRequest, BuildpackSource, IntakeLimits, Interrupt};
use cnbw_lifecycle::ports::Events;
use cnbw_oci::descriptor::Platform;
use cnbw_oci::layer::{NORMALIZED_TIME, Owner};
use cnbw_sandbox::{Isolation, Limits, SandboxRunner, SandboxSettings};

use crate::args::{BuildArgs, OutputArgs};
use crate::descriptor::{self, Descriptor};
use crate::error::{CliError, PathError};
use crate::interrupts::{Scratch, watch};
use crate::report::human::{HumanReporter, Level};
use crate::{environment, places, report, variables};

/// Who owns the application and its layers in an image: the user that Cloud Native Buildpacks conventionally run as.
const OWNER: Owner = Owner {
    uid: 1001,
    gid: 1000,
};

/// Runs the command.
pub(crate) fn run(args: &BuildArgs, output: OutputArgs) -> ExitCode {
    let color = environment::wants_color(output.no_color);
    let level = match (output.quiet, output.verbose) {
        (true, _) => Level::Quiet,
        (false, true) => Level::Verbose,
        (false, false) => Level::Normal,
    };
    let reporter = HumanReporter::new(level, color);
    let start = Instant::now();
    let result = build(args, &reporter);
    match result {
        Ok(report) => {
            reporter.finish(start.elapsed());
            match print(&report, output.json) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&CliError::Output { source: error }, color),
            }
        }
        Err(error) => {
            reporter.close();
            fail(&error, color)
        }
    }
}

/// Shows an error and gives its exit status.
pub(crate) fn fail(error: &CliError, color: bool) -> ExitCode {
    let text = report::error::show(error.shown(), error.hint().as_deref(), color);
    // Where standard error is closed nobody can be told.
    writeln!(std::io::stderr(), "{text}").ok();
    ExitCode::from(error.exit_code())
}

/// The result, alone on standard output.
fn print(report: &BuildReport, json: bool) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if json {
        writeln!(stdout, "{}", report::json::build(report))?;
    } else {
        for name in &report.names {
            writeln!(stdout, "{name}@{}", report.digest)?;
        }
    }
    stdout.flush()
}

fn build(args: &BuildArgs, events: &HumanReporter) -> Result<BuildReport, CliError> {
    let app = open_dir(&args.path)?;
    let descriptor = read_descriptor(args, &app)?;
    for note in &descriptor.notes {
        events.emit(cnbw_lifecycle::event::Event::Warning(note));
    }
    let platforms = parse_platforms(&args.platform)?;
    let registries = places::Registries::new(args.insecure_registries.clone());
    let destination = places::destination(args, &registries)?;
    let run_image = places::run_image(&args.run_image, &registries)?;
    let buildpacks = buildpacks(args, &descriptor)?;
    let env = env(args, &descriptor)?;
    let created = environment::source_date_epoch()
        .map_err(|value| CliError::SourceDateEpoch { value })?
        .unwrap_or(NORMALIZED_TIME);

    let runner = SandboxRunner::new(SandboxSettings {
        limits: limits(args),
        isolation: if args.no_jail {
            Isolation::ProcessOnly
        } else {
            Isolation::Jailed
        },
        compile_cache: places::compile_cache(),
        ..SandboxSettings::default()
    });
    runner.warm_up();
    let temp = places::scratch()?;
    let scratch_dir = open_dir(temp.path())?;
    let scratch = Scratch::new(temp);
    let interrupt = Interrupt::default();
    watch(
        scratch.clone(),
        runner.interrupt_handle(),
        interrupt.clone(),
    )
    .map_err(|source| CliError::Signals { source })?;
    let cache = places::build_cache(&destination, args.clear_cache);

    let request = BuildRequest {
        app,
        filter: descriptor.filter()?,
        intake: IntakeLimits::DEFAULT,
        buildpacks,
        run_image,
        platforms,
        env,
        default_process: args.default_process.clone(),
        workspace: workspace(&args.workspace)?,
        owner: OWNER,
        created,
        runner: &runner,
        scratch: &scratch_dir,
        destination,
        cache: cache.as_ref(),
        workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    let result = cnbw::build(&request, &interrupt, events);
    drop(request);
    scratch.remove();
    let report = result?;
    if let Some(folder) = &args.report_output_dir {
        places::write_report(folder, &report)?;
    }
    Ok(report)
}

fn open_dir(path: &Path) -> Result<Dir, PathError> {
    Dir::open_ambient_dir(path, ambient_authority()).map_err(|source| PathError {
        action: "open the directory",
        path: path.to_owned(),
        source,
    })
}

fn read_descriptor(args: &BuildArgs, app: &Dir) -> Result<Descriptor, CliError> {
    let Some(file) = &args.descriptor else {
        return Ok(descriptor::read_in(app)?.unwrap_or_default());
    };
    let parent = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    Ok(descriptor::read(&open_dir(parent)?, name)?)
}

/// The platforms asked for; that of this machine if none is.
pub(crate) fn parse_platforms(texts: &[String]) -> Result<Vec<Platform>, CliError> {
    if texts.is_empty() {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        return Ok(vec![Platform::new("linux", architecture)]);
    }
    texts
        .iter()
        .map(|text| text.parse().map_err(|source| CliError::Platform { source }))
        .collect()
}

/// `--buildpack` wins over the project descriptor; neither means the default builder.
fn buildpacks(args: &BuildArgs, descriptor: &Descriptor) -> Result<Vec<BuildpackSource>, CliError> {
    if args.buildpacks.is_empty() {
        return Ok(descriptor.buildpacks.clone());
    }
    args.buildpacks.iter().map(|text| buildpack(text)).collect()
}

/// What exists as a directory, or looks like a path, is one; anything else is an id.
fn buildpack(text: &str) -> Result<BuildpackSource, CliError> {
    let path = Path::new(text);
    let looks_like_path = text.starts_with(['.', '/']) || text.ends_with('/');
    if looks_like_path || path.is_dir() {
        return Ok(BuildpackSource::Directory {
            dir: Arc::new(open_dir(path)?),
            shown: text.to_owned(),
        });
    }
    let (id, version) = text
        .rsplit_once('@')
        .map_or((text, None), |(id, version)| (id, Some(version.to_owned())));
    Ok(BuildpackSource::BuiltIn {
        id: id.to_owned(),
        version,
    })
}

/// Later ones win: the project descriptor, then files in their order, then arguments.
fn env(args: &BuildArgs, descriptor: &Descriptor) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    let mut all = descriptor.env.clone();
    for file in &args.env_files {
        let content = places::read_text(file)?;
        all.extend(variables::from_file(
            &content,
            &file.display().to_string(),
            environment::variable,
        )?);
    }
    all.extend(variables::from_arguments(&args.env, environment::variable)?);
    let mut last: std::collections::BTreeMap<String, Vec<u8>> = std::collections::BTreeMap::new();
    last.extend(all);
    Ok(last.into_iter().collect())
}

fn limits(args: &BuildArgs) -> Limits {
    let mut limits = Limits {
        memory: args.guest_memory.saturating_mul(1 << 20),
        ..Limits::default()
    };
    if let Some(seconds) = args.guest_timeout {
        limits.detect_time = Duration::from_secs(seconds);
        limits.build_time = Duration::from_secs(seconds);
    }
    limits
}

fn workspace(text: &str) -> Result<String, CliError> {
    let trimmed = text.trim_end_matches('/');
    let good = trimmed.starts_with('/')
        && trimmed
            .split('/')
            .skip(1)
            .all(|part| !part.is_empty() && part != "." && part != "..");
    // These belong to the lifecycle.
    let taken = [
        "/cnb",
        "/layers",
        "/platform",
        "/tmp",
        "/proc",
        "/dev",
        "/sys",
    ];
    let free = !taken
        .iter()
        .any(|root| trimmed == *root || trimmed.starts_with(&format!("{root}/")));
    if good && free {
        Ok(trimmed.to_owned())
    } else {
        Err(CliError::Workspace {
            path: text.to_owned(),
        })
    }
}
