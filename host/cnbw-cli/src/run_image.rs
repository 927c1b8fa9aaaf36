//! `cnbw run-image`: run images from Debian packages.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use cap_std::fs::Dir;
use cnbw_broker::{FetchRequest, Fetcher};
use cnbw_debian::{
    Account, DEFAULT_ROOTS, FetchError, Lock, MAX_DOWNLOAD_BYTES, Packages, Settings, build,
    resolve,
};
use cnbw_oci::collect::CollectingSink;
use cnbw_oci::descriptor::Platform;
use cnbw_oci::digest::Digest;
use cnbw_oci::image::{ImageSink, IndexSink};
use cnbw_oci::layer::NORMALIZED_TIME;

use crate::args::{OutputArgs, RunImageArgs, RunImageCommand};
use crate::build::{fail, parse_platforms};
use crate::error::CliError;
use crate::interrupts::Temporary;
use crate::report::escape::escape;
use crate::{downloads, environment, places};

/// Runs one of the commands.
pub(crate) fn run(command: &RunImageCommand, output: OutputArgs) -> ExitCode {
    let RunImageCommand::Create(args) = command;
    let color = environment::wants_color(output.no_color);
    match create(args, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, color),
    }
}

/// Packages by way of the store of downloads.
struct Downloads(Fetcher);

impl Packages for Downloads {
    fn fetch(&self, url: &str, digest: Option<&Digest>) -> Result<Vec<u8>, FetchError> {
        let Some(digest) = digest else {
            let (bytes, _) = self
                .0
                .lookup(url)
                .map_err(|error| FetchError(error.into()))?;
            return Ok(bytes);
        };
        let request = FetchRequest {
            url: url.to_owned(),
            digest: digest.to_string(),
            size: None,
        };
        let (mut file, _) = self
            .0
            .fetch(&request)
            .map_err(|error| FetchError(error.into()))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|error| FetchError(error.into()))?;
        Ok(bytes)
    }
}

fn create(args: &RunImageArgs, output: OutputArgs) -> Result<(), CliError> {
    let platforms = parse_platforms(&args.platform)?;
    let created = environment::source_date_epoch()
        .map_err(|value| CliError::SourceDateEpoch { value })?
        .unwrap_or(NORMALIZED_TIME);
    let registries = places::Registries::new(args.insecure_registries.clone());
    let place = places::output(&args.image, &registries)?;
    let temporary = Temporary::default();
    let (_removed_with_this, scratch) = temporary
        .directory()
        .map_err(|source| CliError::Signals { source })?;
    let downloads = Downloads(downloads::fetcher(&scratch, MAX_DOWNLOAD_BYTES)?);
    let lock = lock(args, &platforms, &downloads, output)?;

    let collecting = CollectingSink::new(place.sink.compression());
    let mut digest = None;
    for platform in &platforms {
        let image = make(
            (&lock, platform),
            &downloads,
            &scratch,
            (place.sink.as_ref(), created),
            output,
        )?;
        if platforms.len() == 1 {
            let written = place.sink.write(image, std::slice::from_ref(&place.name))?;
            digest = Some(written.manifest.digest);
        } else {
            collecting.write(image, &[])?;
        }
    }
    let digest = if let Some(digest) = digest {
        digest
    } else {
        let names = std::slice::from_ref(&place.name);
        let written = collecting.write_index(place.sink.as_ref(), names)?;
        written.index.digest
    };
    let mut stdout = std::io::stdout().lock();
    let text = if output.json {
        serde_json::json!({ "image": place.shown, "digest": digest.to_string() }).to_string()
    } else {
        format!("{}@{digest}", place.shown)
    };
    writeln!(stdout, "{text}").map_err(|source| CliError::Output { source })
}

/// The list of packages: built in, from a file, or looked up and written to it.
fn lock(
    args: &RunImageArgs,
    platforms: &[Platform],
    downloads: &Downloads,
    output: OutputArgs,
) -> Result<Lock, CliError> {
    let Some(path) = &args.lock else {
        return Ok(Lock::built_in()?);
    };
    if !args.update {
        let text = places::read_text(path)?;
        return Ok(Lock::parse(&path.display().to_string(), &text)?);
    }
    let architectures: Vec<&str> = platforms
        .iter()
        .map(|platform| platform.architecture.as_str())
        .collect();
    let mut roots = DEFAULT_ROOTS.to_vec();
    roots.extend(args.packages.iter().map(String::as_str));
    tell(output, "Looking up the newest packages");
    let lock = resolve(downloads, &architectures, &roots)?;
    tell_changes(path, &lock, output);
    places::write_text(path, &lock.print())?;
    Ok(lock)
}

/// Says which packages are new, changed or gone.
fn tell_changes(path: &Path, lock: &Lock, output: OutputArgs) {
    let before = places::read_text(path)
        .ok()
        .and_then(|text| Lock::parse("", &text).ok())
        .unwrap_or_default();
    for (architecture, packages) in &lock.package {
        let Some(old) = before.package.get(architecture) else {
            let count = packages.len();
            tell(output, &format!("{architecture}: {count} packages"));
            continue;
        };
        for package in packages {
            let name = &package.name;
            match old.iter().find(|it| it.name == *name) {
                Some(known) if known.sha256 == package.sha256 => {}
                Some(known) => tell(
                    output,
                    &format!(
                        "{architecture}: {name} {} instead of {}",
                        package.version, known.version
                    ),
                ),
                None => tell(
                    output,
                    &format!("{architecture}: {name} {} is new", package.version),
                ),
            }
        }
        for known in old {
            if !packages.iter().any(|it| it.name == known.name) {
                tell(
                    output,
                    &format!("{architecture}: {} is not needed any more", known.name),
                );
            }
        }
    }
}

fn make(
    (lock, platform): (&Lock, &Platform),
    downloads: &Downloads,
    scratch: &Dir,
    (sink, created): (&dyn IndexSink, i64),
    output: OutputArgs,
) -> Result<cnbw_oci::image::NewImage, CliError> {
    let root = platform.architecture.as_str();
    let failed = |source| CliError::CreateRunImage {
        platform: platform.to_string(),
        source,
    };
    if platform.os != "linux" {
        return Err(failed(cnbw_debian::ImageError::Architecture(
            platform.to_string(),
        )));
    }
    let directory = scratch
        .create_dir("root")
        .and_then(|()| scratch.open_dir("root"))
        .map_err(|source| CliError::Signals { source })?;
    let settings = Settings {
        account: Account::default(),
        compression: sink.compression(),
        workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        created,
    };
    let image = build(
        lock,
        root,
        downloads,
        (&directory, scratch),
        &settings,
        &mut |package| {
            if output.verbose {
                tell(
                    output,
                    &format!("{root}: {} {}", package.name, package.version),
                );
            }
        },
    )
    .map_err(failed)?;
    // The layer is in a file of its own by now.
    scratch.remove_dir_all("root").ok();
    Ok(image)
}

/// A line on standard error, unless nobody wants it.
fn tell(output: OutputArgs, line: &str) {
    if !output.quiet {
        let mut stderr = std::io::stderr().lock();
        // Where standard error is closed the result has to do.
        writeln!(stderr, "{}", escape(line.as_bytes(), false)).ok();
    }
}
