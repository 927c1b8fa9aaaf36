//! The one path of a build: intake, then analyze, detect, restore, build and export for each platform.

use std::sync::Arc;

use cap_std::fs::{Dir, Permissions, PermissionsExt};
use cnbw_lifecycle::analyze::{
    Analysis, AnalyzeRequest, Identity, ImageRequest, RunImageRequest, analyze,
};
use cnbw_lifecycle::build::{BuildRequest as ProgramsRequest, Built, build as run_builds};
use cnbw_lifecycle::buildpacks::Buildpacks;
use cnbw_lifecycle::cache::{Cache, DirectoryCache};
use cnbw_lifecycle::detect::{DetectLimits, DetectRequest, Detected, detect};
use cnbw_lifecycle::event::{Event, Phase};
use cnbw_lifecycle::export::{CacheRequest, ExportRequest, Exported, Launcher, export, fill_cache};
use cnbw_lifecycle::ports::Events;
use cnbw_lifecycle::programs::{GuestDirectory, Programs, target_or};
use cnbw_lifecycle::restore::{RestoreRequest, restore};
use cnbw_lifecycle::tree::{Ancestors, DirectoryAttributes, Tree};
use cnbw_oci::collect::CollectingSink;
use cnbw_oci::descriptor::Platform;
use cnbw_oci::image::ImageSink;
use cnbw_spec::analyzed::Analyzed;
use cnbw_spec::api::PlatformApi;
use cnbw_spec::env::Environment;
use cnbw_spec::exec_env;
use cnbw_spec::labels::LauncherMetadata;
use cnbw_spec::project_metadata::ProjectMetadata;
use cnbw_spec::run::RunImageNames;
use cnbw_spec::system::System;

use crate::buildpacks::{Collected, collect};
use crate::builtin::launcher;
use crate::error::BuildError;
use crate::intake::take_in;
use crate::interrupt::Interrupt;
use crate::request::{BuildReport, BuildRequest, LayerReport, PlatformReport, RunImage};

/// The Platform API that a whole build follows.
const PLATFORM_API: PlatformApi = PlatformApi::V0_15;

/// Where layers lie in the image.
const LAYERS: &str = "/layers";

/// Where guests see the user's variables.
const PLATFORM: &str = "/platform";

/// What guests inherit instead of the host's environment: the same everywhere.
const INHERITED: [(&str, &[u8]); 2] = [
    ("HOME", b"/tmp"),
    (
        "PATH",
        b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
];

/// What is the same for every platform of a build.
struct Common<'a> {
    request: &'a BuildRequest<'a>,
    collected: Collected,
    platform: Arc<Dir>,
    cache: Option<DirectoryCache>,
    interrupt: &'a Interrupt,
    events: &'a dyn Events,
}

/// Directories of one platform's build, all private.
struct Places {
    app: Arc<Dir>,
    layers: Arc<Dir>,
    programs: Arc<Dir>,
    export: Arc<Dir>,
}

/// Builds the image.
pub fn build(
    request: &BuildRequest<'_>,
    interrupt: &Interrupt,
    events: &dyn Events,
) -> Result<BuildReport, BuildError> {
    for platform in &request.platforms {
        launcher_for(platform)?;
    }
    let common = Common {
        request,
        collected: collect(
            &request.buildpacks,
            &subdirectory(request.scratch, "buildpacks")?,
        )?,
        platform: Arc::new(platform_directory(request)?),
        cache: open_cache(request, events),
        interrupt,
        events,
    };
    let destination = &request.destination;
    let (digest, images) = if let [platform] = request.platforms.as_slice() {
        let image = common.build_for(platform, destination.sink.as_ref(), &destination.names)?;
        (image.digest.clone(), vec![image])
    } else {
        common.build_index()?
    };
    Ok(BuildReport {
        digest,
        names: destination.shown.clone(),
        images,
    })
}

impl Common<'_> {
    /// Builds for each platform; nothing is written before the last one is there.
    fn build_index(&self) -> Result<(String, Vec<PlatformReport>), BuildError> {
        let destination = &self.request.destination;
        let collecting = CollectingSink::new(destination.sink.compression());
        let images = self
            .request
            .platforms
            .iter()
            .map(|platform| self.build_for(platform, &collecting, &[]))
            .collect::<Result<Vec<_>, _>>()?;
        self.interrupt.check()?;
        let written = collecting
            .write_index(destination.sink.as_ref(), &destination.names)
            .map_err(|source| BuildError::Index { source })?;
        Ok((written.index.digest.to_string(), images))
    }

    fn build_for(
        &self,
        platform: &Platform,
        sink: &dyn ImageSink,
        names: &[String],
    ) -> Result<PlatformReport, BuildError> {
        let places = self.places(platform)?;
        self.interrupt.check()?;
        let layers_tree = self.tree(&places.layers, LAYERS);
        let analysis = self.phase(Phase::Analyze, || self.analyze(platform, &layers_tree))?;
        let target = target_of(&analysis.document, platform);
        let programs = self.programs(&places, target);
        let detected = self.phase(Phase::Detect, || self.detect(&programs))?;
        self.phase(Phase::Restore, || {
            self.restore(&analysis, &detected, &layers_tree)
        })?;
        let layers = GuestDirectory {
            guest_path: LAYERS.to_owned(),
            dir: Arc::clone(&places.layers),
        };
        let built = self.phase(Phase::Build, || {
            self.run_builds(&detected, &programs, &layers)
        })?;
        let exported = self.phase(Phase::Export, || {
            self.export(
                platform,
                (&self.interrupt.before(sink), names),
                &places,
                &analysis,
                &detected,
                &built,
            )
        })?;
        Ok(report(platform, &detected, &built, &exported))
    }

    /// One phase: announced, run, and followed by a look at whether the build shall end.
    fn phase<T>(
        &self,
        phase: Phase,
        run: impl FnOnce() -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        self.events.emit(Event::PhaseStarted(phase));
        let result = run();
        // An interrupted worker is a failed program to its phase; the reason is told here. What has been written is
        // written: an interrupt that comes after the names were set is too late.
        if result.is_err() || phase != Phase::Export {
            self.interrupt.check()?;
        }
        let value = result?;
        self.events.emit(Event::PhaseFinished(phase));
        Ok(value)
    }

    fn places(&self, platform: &Platform) -> Result<Places, BuildError> {
        let own = subdirectory(
            self.request.scratch,
            &platform.to_string().replace('/', "-"),
        )?;
        let app = subdirectory(&own, "app")?;
        take_in(
            &self.request.app,
            &app,
            &self.request.filter,
            self.request.intake,
        )?;
        Ok(Places {
            app: Arc::new(app),
            layers: Arc::new(subdirectory(&own, "layers")?),
            programs: Arc::new(subdirectory(&own, "programs")?),
            export: Arc::new(subdirectory(&own, "export")?),
        })
    }

    fn tree<'d>(&self, dir: &'d Dir, path: &'d str) -> Tree<'d> {
        Tree {
            dir,
            path,
            ancestors: Ancestors::Fixed(DirectoryAttributes {
                owner: self.request.owner,
                mode: 0o755,
            }),
        }
    }

    fn analyze(&self, platform: &Platform, layers: &Tree<'_>) -> Result<Analysis, BuildError> {
        let destination = &self.request.destination;
        let identity = |public| {
            if public {
                Identity::Registry
            } else {
                Identity::Digest
            }
        };
        let previous_image = destination
            .previous
            .as_ref()
            .map(|(source, name)| ImageRequest {
                name,
                source: source.as_ref(),
                identity: identity(destination.public),
            });
        let run_image = match &self.request.run_image {
            RunImage::Scratch => RunImageRequest::Scratch(platform.clone()),
            RunImage::Named {
                name,
                source,
                public,
            } => RunImageRequest::Named(ImageRequest {
                name,
                source: source.as_ref(),
                identity: identity(*public),
            }),
        };
        let analysis = analyze(
            &AnalyzeRequest {
                platform_api: PLATFORM_API,
                previous_image,
                run_image: Some(run_image),
                platform: Some(platform.clone()),
                layers,
                skip_layers: false,
            },
            self.events,
        )?;
        match (&analysis.run_image, &self.request.run_image) {
            (None, RunImage::Named { name, .. }) => {
                Err(BuildError::NoRunImage { name: name.clone() })
            }
            _ => Ok(analysis),
        }
    }

    fn programs(&self, places: &Places, target: cnbw_spec::target::TargetMetadata) -> Programs {
        Programs {
            app: GuestDirectory {
                guest_path: self.request.workspace.clone(),
                dir: Arc::clone(&places.app),
            },
            platform_path: PLATFORM.to_owned(),
            platform: Some(Arc::clone(&self.platform)),
            build_config: None,
            inherited: Environment::for_build(INHERITED),
            target,
            exec_env: exec_env::DEFAULT.to_owned(),
            scratch: Arc::clone(&places.programs),
        }
    }

    fn detect(&self, programs: &Programs) -> Result<Detected, BuildError> {
        let request = DetectRequest {
            platform_api: PLATFORM_API,
            order: &self.collected.order,
            system: &System::default(),
            buildpacks: &self.collected.buildpacks,
            extensions: &Buildpacks::new(),
            programs,
            workers: self.request.workers,
            limits: DetectLimits::default(),
        };
        Ok(detect(&request, self.request.runner, self.events)?)
    }

    fn restore(
        &self,
        analysis: &Analysis,
        detected: &Detected,
        layers: &Tree<'_>,
    ) -> Result<(), BuildError> {
        restore(
            &RestoreRequest {
                platform_api: PLATFORM_API,
                group: &detected.group.group,
                layers,
                metadata: &analysis.document.metadata,
                cache: self.cache.as_ref().map(|cache| cache as &dyn Cache),
                skip_layers: false,
            },
            self.events,
        )?;
        Ok(())
    }

    fn run_builds(
        &self,
        detected: &Detected,
        programs: &Programs,
        layers: &GuestDirectory,
    ) -> Result<Built, BuildError> {
        let request = ProgramsRequest {
            platform_api: PLATFORM_API,
            group: &detected.group,
            plan: &detected.plan,
            buildpacks: &self.collected.buildpacks,
            programs,
            layers,
        };
        Ok(run_builds(&request, self.request.runner, self.events)?)
    }

    fn export(
        &self,
        platform: &Platform,
        (sink, names): (&dyn ImageSink, &[String]),
        places: &Places,
        analysis: &Analysis,
        detected: &Detected,
        built: &Built,
    ) -> Result<Exported, BuildError> {
        let request = self.request;
        let app = self.tree(&places.app, &request.workspace);
        let layers = self.tree(&places.layers, LAYERS);
        let launcher = Launcher {
            program: launcher_for(platform)?,
            metadata: LauncherMetadata {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                repository: env!("CARGO_PKG_REPOSITORY").to_owned(),
                commit: String::new(),
            },
            sboms: Vec::new(),
            lifecycle_sboms: Vec::new(),
        };
        let run_image = analysis
            .run_image
            .as_ref()
            .ok_or_else(|| BuildError::NoRunImage {
                name: String::new(),
            })?;
        let reference = analysis
            .document
            .run_image
            .as_ref()
            .map_or("", |run_image| run_image.reference.as_str());
        let exported = export(
            &ExportRequest {
                platform_api: PLATFORM_API,
                run_image,
                run_image_reference: reference,
                run_image_names: &run_image_names(&request.run_image),
                previous_image: analysis.previous_image.as_ref(),
                previous_metadata: &analysis.document.metadata,
                group: &detected.group.group,
                build_metadata: &built.metadata,
                project_metadata: &ProjectMetadata::default(),
                app: &app,
                layers: &layers,
                launcher: &launcher,
                owner: request.owner,
                default_process: request.default_process.as_deref(),
                exec_env: exec_env::DEFAULT,
                created: request.created,
                annotations: std::collections::BTreeMap::new(),
                names,
                scratch: &places.export,
                workers: request.workers,
            },
            sink,
            self.events,
        )?;
        if let Some(cache) = &self.cache {
            let cached = fill_cache(
                &CacheRequest {
                    platform_api: PLATFORM_API,
                    group: &detected.group.group,
                    layers: &layers,
                    owner: request.owner,
                    scratch: &places.export,
                },
                cache,
                self.events,
            );
            if let Err(error) = cached {
                self.events.emit(Event::Warning(&format!(
                    "nothing is cached for the next build: {}",
                    chain(&error)
                )));
            }
        }
        Ok(exported)
    }
}

fn launcher_for(platform: &Platform) -> Result<&'static [u8], BuildError> {
    let known = (platform.os == "linux")
        .then(|| launcher(&platform.architecture))
        .flatten();
    known.ok_or_else(|| BuildError::NoLauncher {
        platform: platform.to_string(),
    })
}

/// What the run image says of itself counts; what it leaves open is what was asked for.
fn target_of(analyzed: &Analyzed, platform: &Platform) -> cnbw_spec::target::TargetMetadata {
    let known = analyzed
        .run_image
        .as_ref()
        .and_then(|run_image| run_image.target.clone())
        .unwrap_or_default();
    target_or(known, &platform.architecture)
}

fn run_image_names(run_image: &RunImage) -> RunImageNames {
    match run_image {
        RunImage::Named {
            name, public: true, ..
        } => RunImageNames {
            image: Some(name.clone()),
            mirrors: Vec::new(),
        },
        RunImage::Named { public: false, .. } | RunImage::Scratch => RunImageNames::default(),
    }
}

/// The platform directory: the user's variables, one file each.
fn platform_directory(request: &BuildRequest<'_>) -> Result<Dir, BuildError> {
    let dir = subdirectory(request.scratch, "platform")?;
    let env = subdirectory(&dir, "env")?;
    for (name, value) in &request.env {
        env.write(name, value)
            .map_err(|source| BuildError::Scratch {
                action: "write a variable",
                source,
            })?;
    }
    Ok(dir)
}

fn subdirectory(dir: &Dir, name: &str) -> Result<Dir, BuildError> {
    let error = |source| BuildError::Scratch {
        action: "make a directory",
        source,
    };
    dir.create_dir(name).map_err(error)?;
    // Whatever the umask: what guests and layers see does not depend on it.
    dir.set_permissions(name, Permissions::from_mode(0o755))
        .map_err(error)?;
    dir.open_dir(name).map_err(error)
}

/// A cache that cannot be used is no reason to fail.
fn open_cache(request: &BuildRequest<'_>, events: &dyn Events) -> Option<DirectoryCache> {
    let opened = request
        .cache?
        .try_clone()
        .map_err(|error| error.to_string());
    let opened = opened
        .and_then(|dir| DirectoryCache::open(dir, "the cache").map_err(|error| chain(&error)));
    opened
        .inspect_err(|error| {
            events.emit(Event::Warning(&format!(
                "the cache cannot be used: {error}"
            )));
        })
        .ok()
}

/// An error and its causes in one line, for warnings.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

fn report(
    platform: &Platform,
    detected: &Detected,
    built: &Built,
    exported: &Exported,
) -> PlatformReport {
    let layer = |layer: &cnbw_lifecycle::export::ExportedLayer| LayerReport {
        id: layer.id.clone(),
        diff_id: layer.diff_id.to_string(),
        size: layer.size,
        reused: layer.reused,
    };
    PlatformReport {
        platform: platform.to_string(),
        digest: exported.image.manifest.digest.to_string(),
        image_id: exported.image.config.digest.to_string(),
        manifest_size: exported.image.manifest.size,
        buildpacks: detected
            .group
            .group
            .iter()
            .map(|element| element.buildpack.to_string())
            .collect(),
        layers: exported.layers.iter().map(layer).collect(),
        processes: built
            .metadata
            .processes
            .iter()
            .map(|process| process.process_type.clone())
            .collect(),
        default_process: built.metadata.buildpack_default_process_type.clone(),
    }
}
