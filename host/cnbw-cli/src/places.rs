//! Where images and temporary files are: names become places, paths become handles.

#![expect(
    clippy::disallowed_methods,
    reason = "paths that the user gave are opened here, and nowhere past this"
)]

mod lazy_layout;
mod registries;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw::{BuildReport, Destination, RunImage};
use cnbw_oci::archive::{ArchiveFormat, ArchiveOptions, ArchiveSink, ArchiveSource};
use cnbw_oci::image::{ImageSink, ImageSource, IndexSink};
use cnbw_oci::reference::ImageName;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::args::BuildArgs;
use crate::environment;
use crate::error::{CliError, PathError};

use self::lazy_layout::LazyLayout;
pub(crate) use self::registries::Registries;

/// Files that hold lists and texts for a build are small.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// An image in some place.
pub(crate) struct Found {
    pub(crate) source: Arc<dyn ImageSource>,
    /// Its name in that place.
    pub(crate) name: String,
    /// Whether others may see the name: it is in a registry.
    pub(crate) public: bool,
}

/// Where a name leads.
pub(crate) fn find(name: &str, registries: &Registries) -> Result<Found, CliError> {
    let parsed: ImageName = name.parse()?;
    Ok(match parsed {
        ImageName::Registry(reference) => Found {
            source: registries.client()?,
            name: reference.to_string(),
            public: true,
        },
        ImageName::Layout { path, tag } => Found {
            source: Arc::new(LazyLayout::new(path)),
            name: tag.unwrap_or_default(),
            public: false,
        },
        ImageName::OciArchive { path, tag } => Found {
            source: Arc::new(open_archive(&path, ArchiveFormat::Oci)?),
            name: tag.unwrap_or_default(),
            public: false,
        },
        ImageName::DockerArchive { path, tag } => Found {
            source: Arc::new(open_archive(&path, ArchiveFormat::Docker)?),
            name: tag.unwrap_or_default(),
            public: false,
        },
    })
}

/// An image that is read and written under one name.
pub(crate) struct Place {
    pub(crate) source: Arc<dyn ImageSource>,
    pub(crate) sink: Arc<dyn ImageSink>,
    /// Its name in that place.
    pub(crate) name: String,
}

/// Where a name leads, if images can be changed there.
pub(crate) fn place(name: &str, registries: &Registries) -> Result<Place, CliError> {
    let parsed: ImageName = name.parse()?;
    match parsed {
        ImageName::Registry(reference) => Ok(Place {
            source: registries.client()?,
            sink: registries.client()?,
            name: reference.to_string(),
        }),
        ImageName::Layout { path, tag } => {
            let layout = Arc::new(LazyLayout::new(path));
            Ok(Place {
                source: layout.clone(),
                sink: layout,
                name: tag.unwrap_or_else(|| "latest".to_owned()),
            })
        }
        ImageName::OciArchive { .. } | ImageName::DockerArchive { .. } => {
            Err(CliError::NotInPlace {
                name: name.to_owned(),
            })
        }
    }
}

/// The run image of a build.
pub(crate) fn run_image(name: &str, registries: &Registries) -> Result<RunImage, CliError> {
    if name == "scratch" {
        return Ok(RunImage::Scratch);
    }
    let found = find(name, registries)?;
    Ok(RunImage::Named {
        name: found.name,
        source: found.source,
        public: found.public,
    })
}

/// Where the image of a build goes, with all its names.
pub(crate) fn destination(
    args: &BuildArgs,
    registries: &Registries,
) -> Result<Destination, CliError> {
    let main = Target::parse(&args.image, args.publish)?;
    let mut names = vec![main.name()];
    let mut shown = vec![main.shown()];
    for tag in &args.tags {
        let target = Target::parse(tag, args.publish)?;
        if !main.is_beside(&target) {
            return Err(CliError::TagElsewhere {
                tag: tag.clone(),
                image: args.image.clone(),
            });
        }
        names.push(target.name());
        shown.push(target.shown());
    }
    let sink = main.sink(registries)?;
    let previous = match (&args.previous_image, &main) {
        (Some(name), _) => {
            let found = find(name, registries)?;
            Some((found.source, found.name))
        }
        (None, Target::Registry(reference)) => Some((
            registries.client()? as Arc<dyn ImageSource>,
            reference.to_string(),
        )),
        (None, Target::Layout { path, .. }) => Some((
            Arc::new(LazyLayout::new(path.clone())) as Arc<dyn ImageSource>,
            main.name(),
        )),
        // An archive is written anew each time; one that is there is read for its layers' names.
        (None, Target::Archive { path, format, .. }) if path.is_file() => {
            open_archive(path, *format)
                .ok()
                .map(|source| (Arc::new(source) as Arc<dyn ImageSource>, String::new()))
        }
        (None, Target::Archive { .. }) => None,
    };
    Ok(Destination {
        sink,
        names,
        shown,
        previous,
        public: matches!(main, Target::Registry(_)),
    })
}

/// A place that an image is written to under one name.
pub(crate) struct Output {
    pub(crate) sink: Arc<dyn IndexSink>,
    /// Its name in that place.
    pub(crate) name: String,
    /// Its name for people.
    pub(crate) shown: String,
}

/// Where an image goes that is not built from an application.
pub(crate) fn output(name: &str, registries: &Registries) -> Result<Output, CliError> {
    let target = Target::parse(name, false)?;
    Ok(Output {
        sink: target.sink(registries)?,
        name: target.name(),
        shown: target.shown(),
    })
}

/// A destination by kind.
enum Target {
    Registry(cnbw_oci::reference::RegistryRef),
    Layout {
        path: PathBuf,
        tag: String,
    },
    Archive {
        path: PathBuf,
        name: String,
        format: ArchiveFormat,
        shown: String,
    },
}

impl Target {
    fn parse(text: &str, publish: bool) -> Result<Self, CliError> {
        let parsed: ImageName = text.parse()?;
        Ok(match parsed {
            ImageName::Registry(reference) if publish || text.starts_with("docker://") => {
                Self::Registry(reference)
            }
            ImageName::Registry(reference) => {
                let file = reference.repository.rsplit('/').next().unwrap_or("image");
                let path = PathBuf::from(format!("{file}.tar"));
                let shown = format!("oci-archive:{file}.tar");
                Self::Archive {
                    path,
                    name: text.to_owned(),
                    format: ArchiveFormat::Both,
                    shown,
                }
            }
            ImageName::Layout { path, tag } => Self::Layout {
                path,
                tag: tag.unwrap_or_else(|| "latest".to_owned()),
            },
            ImageName::OciArchive { path, tag } => Self::Archive {
                path,
                name: tag.unwrap_or_else(|| "latest".to_owned()),
                format: ArchiveFormat::Oci,
                shown: text.to_owned(),
            },
            ImageName::DockerArchive { path, tag } => Self::Archive {
                path,
                name: tag.unwrap_or_default(),
                format: ArchiveFormat::Docker,
                shown: text.to_owned(),
            },
        })
    }

    fn sink(&self, registries: &Registries) -> Result<Arc<dyn IndexSink>, CliError> {
        Ok(match self {
            Self::Registry(_) => registries.client()?,
            Self::Layout { path, .. } => Arc::new(LazyLayout::new(path.clone())),
            Self::Archive { path, format, .. } => Arc::new(archive_sink(path, *format)?),
        })
    }

    /// The name inside its place.
    fn name(&self) -> String {
        match self {
            Self::Registry(reference) => reference.to_string(),
            Self::Layout { tag, .. } => tag.clone(),
            Self::Archive { name, .. } => name.clone(),
        }
    }

    /// The name as the result of a build.
    fn shown(&self) -> String {
        match self {
            Self::Registry(reference) => reference.repository_name(),
            Self::Layout { path, tag } => format!("oci:{}:{tag}", path.display()),
            Self::Archive { shown, .. } => shown.clone(),
        }
    }

    /// Whether both are names in one place.
    fn is_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Registry(_), Self::Registry(_)) => true,
            (Self::Layout { path, .. }, Self::Layout { path: other, .. }) => path == other,
            (
                Self::Archive { path, format, .. },
                Self::Archive {
                    path: other,
                    format: kind,
                    ..
                },
            ) => path == other && format == kind,
            (Self::Registry(_) | Self::Layout { .. } | Self::Archive { .. }, _) => false,
        }
    }
}

/// The directory of a file, and the file's name in it.
fn split(path: &Path) -> Result<(Dir, String), CliError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let error = |source| PathError {
        action: "open the directory",
        path: parent.to_owned(),
        source,
    };
    let dir = Dir::open_ambient_dir(parent, ambient_authority()).map_err(error)?;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| error(io::Error::from(io::ErrorKind::InvalidFilename)))?;
    Ok((dir, name.to_owned()))
}

fn archive_sink(path: &Path, format: ArchiveFormat) -> Result<ArchiveSink, CliError> {
    let (dir, name) = split(path)?;
    let options = ArchiveOptions {
        format,
        ..ArchiveOptions::default()
    };
    Ok(ArchiveSink::new(
        Arc::new(dir),
        name,
        path.display().to_string(),
        options,
    ))
}

fn open_archive(path: &Path, format: ArchiveFormat) -> Result<ArchiveSource, CliError> {
    let error = |source| PathError {
        action: "open",
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(error)?;
    let temp = std::env::temp_dir();
    let scratch =
        Dir::open_ambient_dir(&temp, ambient_authority()).map_err(|source| PathError {
            action: "open the directory",
            path: temp,
            source,
        })?;
    Ok(ArchiveSource::new(
        file,
        path.display().to_string(),
        &scratch,
        format,
    )?)
}

/// A new private directory for one build, below `TMPDIR`.
pub(crate) fn scratch() -> Result<TempDir, PathError> {
    tempfile::Builder::new()
        .prefix("cnbw-")
        .tempdir()
        .map_err(|source| PathError {
            action: "make a private directory in",
            path: std::env::temp_dir(),
            source,
        })
}

/// Gives the owner all rights on the directories below a path, so that they can be removed.
pub(crate) fn make_removable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mut stack = vec![path.to_owned()];
    while let Some(dir) = stack.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else {
            // What cannot even be changed is left to the removal to report.
            std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).ok();
            continue;
        };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let mode = entry
                    .metadata()
                    .map_or(0, |metadata| metadata.permissions().mode());
                if mode & 0o700 != 0o700 {
                    std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o700))
                        .ok();
                }
                stack.push(entry.path());
            }
        }
    }
}

/// The directory for compiled programs. Without one each build compiles anew, which is no error.
pub(crate) fn compile_cache() -> Option<Dir> {
    private_directory(&environment::cache_home()?.join("compiled"))
}

/// The directory for downloads.
pub(crate) fn download_store() -> Option<Dir> {
    private_directory(&environment::cache_home()?.join("artifacts"))
}

/// The directory for layers that buildpacks cache for this image.
pub(crate) fn build_cache(destination: &Destination, clear: bool) -> Option<Dir> {
    let place = std::env::current_dir().ok()?;
    let mut hash = Sha256::new();
    if !destination.public {
        hash.update(place.as_os_str().as_encoded_bytes());
    }
    hash.update(destination.shown.first()?.as_bytes());
    let mut name = String::new();
    for byte in hash.finalize().iter().take(16) {
        // Writing to a String cannot fail.
        write!(name, "{byte:02x}").ok();
    }
    let path = environment::cache_home()?.join("layers").join(name);
    if clear && path.exists() {
        std::fs::remove_dir_all(&path).ok();
    }
    private_directory(&path)
}

/// The directory with the caches of all images; `None` if there is none yet.
pub(crate) fn layer_caches() -> Option<Dir> {
    let path = environment::cache_home()?.join("layers");
    Dir::open_ambient_dir(path, ambient_authority()).ok()
}

fn private_directory(path: &Path) -> Option<Dir> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .ok()?;
    Dir::open_ambient_dir(path, ambient_authority()).ok()
}

/// Writes a small text file as a whole: whoever reads it sees the old or the new one.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), CliError> {
    let (dir, name) = split(path)?;
    let error = |source| PathError {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let temporary = format!(".{name}.{}", std::process::id());
    dir.write(&temporary, text)
        .and_then(|()| dir.rename(&temporary, &dir, &name))
        .map_err(error)
        .inspect_err(|_| {
            dir.remove_file(&temporary).ok();
        })?;
    Ok(())
}

/// Reads a small text file.
pub(crate) fn read_text(path: &Path) -> Result<String, PathError> {
    let error = |source| PathError {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(error)?;
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(file, MAX_TEXT_BYTES), &mut text)
        .map_err(error)?;
    Ok(text)
}

/// Writes `report.toml` as the lifecycle does.
pub(crate) fn write_report(folder: &Path, report: &BuildReport) -> Result<(), PathError> {
    let path = folder.join("report.toml");
    let image = report.images.first();
    let document = cnbw_spec::report::Report {
        build_bom: Vec::new(),
        image: cnbw_spec::report::ImageReport {
            tags: report.names.clone(),
            image_id: None,
            digest: Some(report.digest.clone()),
            manifest_size: image.map_or(0, |image| image.manifest_size),
        },
    };
    std::fs::write(&path, cnbw_spec::report::print_report(&document)).map_err(|source| PathError {
        action: "write",
        path,
        source,
    })
}
