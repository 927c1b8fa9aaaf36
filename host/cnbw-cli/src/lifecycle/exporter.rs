//! `exporter`: makes the image and fills the cache.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use cnbw_lifecycle::cache::Cache;
use cnbw_lifecycle::export::{
    CacheRequest, ExportRequest, Exported, Launcher, SbomFile, export, fill_cache,
};
use cnbw_lifecycle::report::image_report;
use cnbw_oci::descriptor::Platform;
use cnbw_oci::image::{Image, ImageSink};
use cnbw_oci::layer::{NORMALIZED_TIME, Owner};
use cnbw_oci::layout::REF_NAME;
use cnbw_oci::reference::{RegistryRef, Version};
use cnbw_spec::analyzed::Analyzed;
use cnbw_spec::api::PlatformApi;
use cnbw_spec::exit;
use cnbw_spec::group::{Group, parse_group};
use cnbw_spec::labels::LauncherMetadata;
use cnbw_spec::metadata::parse_build_metadata;
use cnbw_spec::project_metadata::{ProjectMetadata, parse_project_metadata};
use cnbw_spec::report::{Report, print_report};
use cnbw_spec::sbom::SbomFormat;

use super::analyzer::warn_of_launch_cache;
use super::builder::verify_apis;
use super::caches::{Scratch, open_cache, warn_without_cache, workers};
use super::privileges::{drop_privileges, ids};
use super::programs::{machine, read_analyzed};
use super::run_images::{check_names, names_for_export, output_names};
use super::stores::{Layouts, Stores};
use super::trees::OpenTree;
use super::{Context, Failure, guard_experimental, read_document, read_existing, write_document};

/// Largest launcher that is read, in bytes: a hundred times what ours has.
const LAUNCHER_CAP: u64 = 64 << 20;

/// Largest SBOM file that is read, in bytes.
const SBOM_CAP: u64 = 64 << 20;

/// Where launcher and lifecycle keep SBOM files about themselves.
const SBOM_DIR: &str = "/cnb/lifecycle";

/// The reference identifies the run image of a layout by the digest of an empty image instead of its own. Images that
/// are equal must get equal labels, so this is done here as well (2026-11-25, reference 0.21.17).
const LAYOUT_RUN_IMAGE_DIGEST: &str =
    "sha256:9bff545fd88403019875bc484da593c84761e6c89bae9058b76d1054d54548d0";

/// Runs the phase.
pub(crate) fn run(context: &mut Context) -> Result<(), Failure> {
    refuse_run_image(context)?;
    let analyzed = read_analyzed(context)?;
    let reference = analyzed
        .run_image
        .as_ref()
        .map(|run_image| run_image.reference.as_str());
    let Some(reference) = reference.filter(|reference| !reference.is_empty()) else {
        let failure = Failure::new(exit::INVALID_ARGS, "resolve inputs");
        return Err(failure.because("run image not found in analyzed metadata".to_owned()));
    };
    reference.clone_into(&mut context.inputs.run_image);
    warn_without_cache(context);
    warn_of_launch_cache(context);
    check_names(context)?;
    if context.inputs.use_layout {
        guard_experimental("export to OCI layout", context)?;
    }
    let stores = Stores::open(context)?;
    let inputs = &context.inputs;
    drop_privileges(context, &[&inputs.cache_dir, &inputs.launch_cache_dir])?;
    let group = read_existing("group file", &inputs.group_path(), parse_group)?;
    verify_apis(&group)?;
    let scratch = Scratch::make(context)?;
    let cache = open_cache(context, &stores, &scratch)?;
    run_with(
        context,
        &stores,
        &scratch,
        &group,
        &analyzed,
        cache.as_deref(),
    )
}

/// The run image of an export is the one that was analyzed.
fn refuse_run_image(context: &Context) -> Result<(), Failure> {
    let inputs = &context.inputs;
    let cause = if !inputs.run_image.is_empty() && inputs.run_image != inputs.run_image_variable {
        "-run-image is unsupported"
    } else if !inputs.deprecated_run_image.is_empty() {
        "-image is unsupported"
    } else {
        return Ok(());
    };
    Err(Failure::new(exit::INVALID_ARGS, "resolve inputs").because(cause.to_owned()))
}

/// Exports, writes `report.toml`, and fills the cache.
pub(crate) fn run_with(
    context: &Context,
    stores: &Stores,
    scratch: &Scratch,
    group: &Group,
    analyzed: &Analyzed,
    cache: Option<&dyn Cache>,
) -> Result<(), Failure> {
    let (uid, gid) = ids(context)?;
    let owner = Owner {
        uid: u64::from(uid),
        gid: u64::from(gid),
    };
    let layers = OpenTree::open(&context.inputs.layers_dir, exit::EXPORT)?;
    let fill = || {
        let Some(cache) = cache else { return };
        let request = CacheRequest {
            platform_api: context.inputs.platform_api,
            group: &group.group,
            layers: &layers.tree(),
            owner,
            scratch: &scratch.dir,
        };
        if let Err(error) = fill_cache(&request, cache, &context.logger) {
            let failure = Failure::new(exit::EXPORT, "export cache").because_of(error);
            context.logger.warning(&failure.to_string());
        }
    };
    let job = ExportJob {
        context,
        stores,
        scratch,
        group,
        analyzed,
        layers: &layers,
        owner,
    };
    if context.inputs.parallel_export {
        std::thread::scope(|scope| {
            scope.spawn(fill);
            job.run()
        })
    } else {
        job.run()?;
        fill();
        Ok(())
    }
}

struct ExportJob<'a> {
    context: &'a Context,
    stores: &'a Stores,
    scratch: &'a Scratch,
    group: &'a Group,
    analyzed: &'a Analyzed,
    layers: &'a OpenTree,
    owner: Owner,
}

/// Where the image goes, and under which names.
struct Target {
    names: Vec<String>,
    layout: Option<Layouts>,
    annotations: BTreeMap<String, String>,
}

impl ExportJob<'_> {
    fn run(&self) -> Result<(), Failure> {
        let inputs = &self.context.inputs;
        let api = inputs.platform_api;
        let project = self.read_project_metadata()?;
        let run_image = self.open_run_image()?;
        let previous = self.open_previous_image()?;
        let path = format!("{}/config/metadata.toml", inputs.layers_dir);
        let build_metadata = read_existing("build metadata file", &path, |file, bytes| {
            parse_build_metadata(file, bytes, api)
        });
        let build_metadata = build_metadata.map_err(|failure| failure.with_code(exit::EXPORT))?;
        let has_extensions = !build_metadata.extensions.is_empty();
        let names = names_for_export(self.context, self.analyzed, has_extensions)?;
        let program = self.read_launcher()?;
        let launcher = Launcher {
            program: &program,
            metadata: launcher_metadata(),
            sboms: self.launcher_sboms()?,
            lifecycle_sboms: self.default_sboms("lifecycle")?,
        };
        let app = OpenTree::open(&inputs.app_dir, exit::EXPORT)?;
        let target = self.target(&run_image)?;
        let request = ExportRequest {
            platform_api: api,
            run_image: &run_image,
            run_image_reference: &self.run_image_reference(&run_image),
            run_image_names: &names,
            previous_image: previous.as_ref(),
            previous_metadata: &self.analyzed.metadata,
            group: &self.group.group,
            build_metadata: &build_metadata,
            project_metadata: &project,
            app: &app.tree(),
            layers: &self.layers.tree(),
            launcher: &launcher,
            owner: self.owner,
            default_process: Some(&*inputs.default_process_type).filter(|it| !it.is_empty()),
            exec_env: &inputs.exec_env,
            created: self.created(),
            annotations: target.annotations.clone(),
            names: &target.names,
            scratch: &self.scratch.dir,
            workers: workers(),
        };
        let sink: &dyn ImageSink = match &target.layout {
            Some(layout) => layout,
            None => self.stores.client(),
        };
        let exported = export(&request, sink, &self.context.logger)
            .map_err(|error| Failure::new(exit::EXPORT, "export").because_of(error))?;
        self.write_report(&target, exported)
    }

    fn write_report(&self, target: &Target, exported: Exported) -> Result<(), Failure> {
        let report = Report {
            build_bom: exported.build_bom,
            image: image_report(&target.names, &exported.image, target.layout.is_none()),
        };
        let path = self.context.inputs.report_path();
        write_document("export report", &path, &print_report(&report))
            .map_err(|failure| failure.with_code(exit::EXPORT))
    }

    fn read_project_metadata(&self) -> Result<ProjectMetadata, Failure> {
        let path = self.context.inputs.project_metadata_path();
        let read = read_document("project metadata file", &path, parse_project_metadata)?;
        Ok(read.unwrap_or_else(|| {
            let text = format!("No project metadata found at path \"{path}\"");
            self.context.logger.debug(&text);
            ProjectMetadata::default()
        }))
    }

    fn open_run_image(&self) -> Result<Image, Failure> {
        let name = match &self.analyzed.run_image {
            Some(run_image) if !run_image.reference.is_empty() => &run_image.reference,
            _ => &self.context.inputs.run_image,
        };
        let failed = || {
            let action = format!("access run image `{}`", name.escape_debug());
            Failure::new(exit::FAILED, action)
        };
        let image = self
            .open(name)
            .map_err(|error| failed().because_of(error))?;
        let image = image.ok_or_else(|| failed().because("there is no such image".to_owned()))?;
        if image.config.rootfs.diff_ids.is_empty() {
            return Err(failed().because("it has no layers".to_owned()));
        }
        Ok(image)
    }

    fn open_previous_image(&self) -> Result<Option<Image>, Failure> {
        let Some(name) = self
            .analyzed
            .previous_image
            .as_ref()
            .filter(|name| !name.is_empty())
        else {
            return Ok(None);
        };
        let text = format!("Reusing layers from image '{name}'");
        self.context.logger.info(&text);
        self.open(name).map_err(|error| {
            let action = format!("access previous image `{}`", name.escape_debug());
            Failure::new(exit::FAILED, action).because_of(error)
        })
    }

    fn open(&self, name: &str) -> Result<Option<Image>, cnbw_oci::image::StoreError> {
        let platform = Platform::new("linux", machine());
        self.stores.source().open(name, Some(&platform))
    }

    fn run_image_reference(&self, run_image: &Image) -> String {
        if self.stores.layouts().is_some() {
            return format!("{}@{LAYOUT_RUN_IMAGE_DIGEST}", run_image.name);
        }
        cnbw_lifecycle::analyze::identify(run_image, self.stores.identity())
    }

    fn target(&self, run_image: &Image) -> Result<Target, Failure> {
        let names = output_names(self.context);
        let Some(layout) = self.stores.layouts() else {
            return Ok(Target {
                names,
                layout: None,
                annotations: BTreeMap::new(),
            });
        };
        let failed = || Failure::new(exit::EXPORT, "export");
        if self.context.inputs.layout_dir.is_empty() {
            return Err(failed().because("-layout needs a directory: -layout-dir".to_owned()));
        }
        let mut paths = Vec::new();
        for name in &names {
            paths.push(
                layout
                    .path_of(name)
                    .map_err(|error| failed().because_of(error))?,
            );
        }
        let reference = self.context.inputs.output_image.parse::<RegistryRef>();
        let reference = reference.map_err(|error| failed().because_of(error))?;
        let tag = match reference.version {
            Version::Tag(tag) => tag,
            Version::Digest(digest) => digest.to_string(),
        };
        let is_missing = |layer| run_image.blobs.open(layer).is_err();
        let sparse = run_image.manifest.layers.iter().any(is_missing);
        Ok(Target {
            names: paths,
            layout: Some(layout.for_output(sparse, tag.clone())),
            annotations: BTreeMap::from([(REF_NAME.to_owned(), tag)]),
        })
    }

    /// `SOURCE_DATE_EPOCH`, from Platform API 0.9 on; else a constant.
    fn created(&self) -> i64 {
        if self.context.inputs.platform_api < PlatformApi::V0_9 {
            return NORMALIZED_TIME;
        }
        match self.context.environ.text("SOURCE_DATE_EPOCH") {
            None => NORMALIZED_TIME,
            Some(text) => text.parse().unwrap_or_else(|_| {
                self.context
                    .logger
                    .warning("Ignoring invalid SOURCE_DATE_EPOCH");
                NORMALIZED_TIME
            }),
        }
    }

    fn read_launcher(&self) -> Result<Vec<u8>, Failure> {
        let path = &self.context.inputs.launcher_path;
        read_capped(path, LAUNCHER_CAP).map_err(|error| {
            let cause = format!(
                "cannot read the launcher `{}`: {error}",
                path.escape_debug()
            );
            Failure::new(exit::EXPORT, "export").because(cause)
        })
    }

    /// SBOM files about the launcher: by the lifecycle's naming, or all that a directory of the platform's own has.
    fn launcher_sboms(&self) -> Result<Vec<SbomFile>, Failure> {
        let directory = &self.context.inputs.launcher_sbom_dir;
        if directory.is_empty() || directory == SBOM_DIR {
            return self.default_sboms("launcher");
        }
        if self.context.inputs.platform_api < PlatformApi::V0_11 {
            return Ok(Vec::new());
        }
        let failed = |error: io::Error| {
            let cause = format!(
                "cannot read SBOM files in `{}`: {error}",
                directory.escape_debug()
            );
            Failure::new(exit::EXPORT, "export").because(cause)
        };
        let mut names = list(directory).map_err(failed)?;
        names.retain(|name| {
            SbomFormat::ALL
                .iter()
                .any(|format| name.ends_with(format.file_name()))
        });
        let mut sboms = Vec::new();
        for name in names {
            let content = read_capped(&format!("{directory}/{name}"), SBOM_CAP).map_err(failed)?;
            sboms.push(SbomFile { name, content });
        }
        Ok(sboms)
    }

    fn default_sboms(&self, component: &str) -> Result<Vec<SbomFile>, Failure> {
        let mut sboms = Vec::new();
        if self.context.inputs.platform_api < PlatformApi::V0_11 {
            return Ok(sboms);
        }
        for format in SbomFormat::ALL {
            let file = format!("{component}.{}", format.file_name());
            match read_capped(&format!("{SBOM_DIR}/{file}"), SBOM_CAP) {
                Ok(content) => sboms.push(SbomFile {
                    name: format.file_name().to_owned(),
                    content,
                }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let text = format!("Did not find SBOM {file} in {SBOM_DIR}");
                    self.context.logger.warning(&text);
                }
                Err(error) => {
                    let cause = format!("cannot read `{SBOM_DIR}/{file}`: {error}");
                    return Err(Failure::new(exit::EXPORT, "export").because(cause));
                }
            }
        }
        Ok(sboms)
    }
}

fn launcher_metadata() -> LauncherMetadata {
    LauncherMetadata {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        repository: env!("CARGO_PKG_REPOSITORY").to_owned(),
        commit: option_env!("CNBW_COMMIT").unwrap_or_default().to_owned(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "launcher and SBOM files are named by paths on the command line"
)]
fn read_capped(path: &str, cap: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(cap + 1).read_to_end(&mut content)?;
    if content.len() as u64 > cap {
        let reason = format!("larger than {cap} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(content)
}

/// Names of what is in a directory and no directory itself, sorted.
#[expect(
    clippy::disallowed_methods,
    reason = "the directory is named by a path on the command line"
)]
fn list(path: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if let (false, Ok(name)) = (entry.file_type()?.is_dir(), entry.file_name().into_string()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
