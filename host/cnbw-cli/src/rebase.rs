//! `cnbw rebase`: puts new run images below applications, one or many.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use cnbw_lifecycle::analyze::{Identity, identify};
use cnbw_lifecycle::event::Event;
use cnbw_lifecycle::ports::Events;
use cnbw_lifecycle::rebase::{RebaseRequest, rebase, run_image_names};
use cnbw_lifecycle::run_image::select_run_image;
use cnbw_oci::image::{Image, WrittenImage};
use cnbw_oci::reference::RegistryRef;
use cnbw_spec::api::PlatformApi;

use crate::args::{OutputArgs, RebaseArgs};
use crate::build::fail;
use crate::environment;
use crate::error::{CliError, PathError};
use crate::places::{self, Registries};
use crate::report::escape::escape;

/// Runs the command.
pub(crate) fn run(args: &RebaseArgs, output: OutputArgs) -> ExitCode {
    let color = environment::wants_color(output.no_color);
    let messages = Messages {
        quiet: output.quiet,
    };
    match rebase_all(args, &messages, output.json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, color),
    }
}

/// Warnings of a rebase; the rest is of no interest to those who rebase many.
struct Messages {
    quiet: bool,
}

impl Events for Messages {
    fn emit(&self, event: Event<'_>) {
        if let (Event::Warning(text), false) = (event, self.quiet) {
            let text = escape(text.as_bytes(), false);
            writeln!(io::stderr(), "warning: {text}").ok();
        }
    }
}

/// Rebases every image, some at once; one that fails does not keep the others from it.
fn rebase_all(args: &RebaseArgs, messages: &Messages, json: bool) -> Result<(), CliError> {
    let mut report = Report::open(args.report.as_deref())?;
    let mut images = args.images.clone();
    if let Some(file) = &args.all_from {
        let text = places::read_text(file)?;
        let lines = text.lines().map(str::trim);
        images.extend(
            lines
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned),
        );
    }
    images.retain(|image| !report.done.contains(image));
    let registries = Registries::new(Vec::new());
    // The client is made before there are threads.
    registries.client()?;
    let next = AtomicUsize::new(0);
    let failures = AtomicUsize::new(0);
    let report = Mutex::new(&mut report);
    let broken: Mutex<Option<CliError>> = Mutex::new(None);
    let work = || {
        while let Some(image) = images.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = rebase_one(image, args, &registries, messages);
            if result.is_err() {
                failures.fetch_add(1, Ordering::Relaxed);
            }
            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = report.add(image, &result, json) {
                broken
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
                next.store(images.len(), Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..args.jobs.get().min(images.len()) {
            scope.spawn(work);
        }
        work();
    });
    if let Some(error) = broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    match failures.into_inner() {
        0 => Ok(()),
        failed => Err(CliError::NotRebased {
            failed,
            total: images.len(),
        }),
    }
}

/// What became of an image: its new digest, and the one that it had.
struct Rebased {
    digest: String,
    before: String,
}

fn rebase_one(
    name: &str,
    args: &RebaseArgs,
    registries: &Registries,
    messages: &Messages,
) -> Result<Rebased, CliError> {
    let place = places::place(name, registries)?;
    let app = open(&*place.source, &place.name, name)?;
    let run_image = match &args.run_image {
        Some(run_image) => run_image.clone(),
        None => run_image_of(name, &app, registries)?,
    };
    let found = places::find(&run_image, registries)?;
    let platform = app.config.platform();
    let opened = found.source.open(&found.name, Some(&platform))?;
    let new_base = opened.ok_or_else(|| CliError::NoImage {
        name: run_image.clone(),
    })?;
    let identity = if found.public {
        Identity::Registry
    } else {
        Identity::Digest
    };
    let request = RebaseRequest {
        platform_api: PlatformApi::LATEST,
        app: &app,
        run_image: &new_base,
        run_image_name: Some(&*run_image).filter(|_| found.public),
        run_image_reference: &identify(&new_base, identity),
        force: args.force,
        names: std::slice::from_ref(&place.name),
    };
    let written: WrittenImage = rebase(&request, &*place.sink, messages)?;
    Ok(Rebased {
        digest: written.manifest.digest.to_string(),
        before: app.descriptor.digest.to_string(),
    })
}

fn open(
    source: &dyn cnbw_oci::image::ImageSource,
    name: &str,
    shown: &str,
) -> Result<Image, CliError> {
    source.open(name, None)?.ok_or_else(|| CliError::NoImage {
        name: shown.to_owned(),
    })
}

/// The run image that the application's label names, by the mirror that is nearest.
fn run_image_of(name: &str, app: &Image, registries: &Registries) -> Result<String, CliError> {
    let names = run_image_names(&app.config, PlatformApi::LATEST)?;
    let client = registries.client()?;
    let bare = name.strip_prefix("docker://").unwrap_or(name);
    let registry = bare
        .parse::<RegistryRef>()
        .map(|it| it.registry)
        .unwrap_or_default();
    let selected = select_run_image(&registry, &names, &mut |name| {
        client.check_read(name).is_ok()
    });
    selected.map_err(CliError::from)
}

/// Results, on standard output and, if the user wants, in a file from which a later run goes on.
struct Report {
    file: Option<std::fs::File>,
    done: BTreeSet<String>,
}

impl Report {
    fn open(path: Option<&Path>) -> Result<Self, CliError> {
        let Some(path) = path else {
            return Ok(Self {
                file: None,
                done: BTreeSet::new(),
            });
        };
        let error = |source| PathError {
            action: "open",
            path: path.to_owned(),
            source,
        };
        let mut done = BTreeSet::new();
        if path.exists() {
            let lines = places::read_text(path)?;
            for line in lines.lines() {
                // A line that was cut off by a crash counts as not done.
                let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else {
                    continue;
                };
                let text = |key: &str| entry.get(key).and_then(serde_json::Value::as_str);
                if let (Some(image), Some(_)) = (text("image"), text("digest")) {
                    done.insert(image.to_owned());
                }
            }
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(error)?;
        Ok(Self {
            file: Some(file),
            done,
        })
    }

    fn add(
        &mut self,
        image: &str,
        result: &Result<Rebased, CliError>,
        json: bool,
    ) -> Result<(), CliError> {
        let output = |source| CliError::Output { source };
        let entry = match result {
            Ok(rebased) => serde_json::json!({
                "image": image,
                "digest": rebased.digest,
                "before": rebased.before,
            }),
            Err(error) => serde_json::json!({ "image": image, "error": chain(error) }),
        };
        if let Some(file) = &mut self.file {
            // Starts on a line of its own even if the last one was cut off.
            let line = format!("\n{entry}");
            file.write_all(line.as_bytes())
                .and_then(|()| file.sync_data())
                .map_err(output)?;
        }
        let mut stdout = io::stdout().lock();
        match result {
            _ if json => writeln!(stdout, "{entry}").map_err(output),
            Ok(rebased) => writeln!(stdout, "{image}@{}", rebased.digest).map_err(output),
            Err(error) => {
                let text = format!("{image}: {}", chain(error));
                writeln!(io::stderr(), "{}", escape(text.as_bytes(), false)).ok();
                Ok(())
            }
        }
    }
}

fn chain(error: &CliError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
