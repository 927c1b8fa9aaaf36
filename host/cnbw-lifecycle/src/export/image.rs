//! The export itself: layers, labels, configuration, and at last the sink.

use std::io;

use cnbw_oci::config::ImageConfig;
use cnbw_oci::image::{ImageSink, LayerContent, NewImage, NewLayer, WrittenImage};
use cnbw_oci::layer::LayerOptions;
use cnbw_spec::api::PlatformApi;
use cnbw_spec::labels::{
    self, BuildpackLayers, LifecycleMetadata, RunImageMetadata, print_build_label,
    print_lifecycle_metadata, print_project_label,
};
use cnbw_spec::run::RunImageNames;
use cnbw_spec::stack::Stack;

use super::layers::{
    LAUNCHER, LayerMaker, LayerPlan, MadeLayer, make_layers, normalize_host_files, process_path,
};
use super::plan::{self, ImageLayers, Slot};
use super::{ExportError, ExportRequest, Exported, ExportedLayer, SbomFile};
use crate::assemble::{ConfigPlan, assemble_config};
use crate::event::Event;
use crate::files;
use crate::ports::Events;
use crate::tree::Ancestors;

/// Labels that describe the build itself. A buildpack that set them would break the next rebuild or rebase.
const OWN_LABELS: [&str; 3] = [
    labels::LIFECYCLE_METADATA,
    labels::BUILD_METADATA,
    labels::PROJECT_METADATA,
];

/// Makes the image and hands it to the sink. Nothing is written under its names before everything is there.
pub fn export(
    request: &ExportRequest<'_>,
    sink: &dyn ImageSink,
    events: &dyn Events,
) -> Result<Exported, ExportError> {
    let entrypoint = choose_entrypoint(request, events)?;
    place_sboms(request)?;
    normalize(request)?;
    let planned = plan::plan_layers(request)?;
    let build_bom = plan::build_bom(request)?;
    let family = request.run_image.manifest.family();
    let maker = LayerMaker {
        scratch: request.scratch,
        options: LayerOptions {
            family,
            compression: sink.compression(),
            workers: request.workers.max(1),
            ..LayerOptions::default()
        },
        owner: request.owner,
        previous: request.previous_image,
    };
    let ImageLayers { plans, buildpacks } = planned;
    let (slots, plans): (Vec<Slot>, Vec<_>) = plans.into_iter().unzip();
    let made =
        make_layers(&plans, &maker).map_err(|(id, source)| ExportError::Layer { id, source })?;

    let metadata = metadata_of(request, buildpacks, &slots, &made);
    let exported: Vec<ExportedLayer> = plans
        .iter()
        .zip(&made)
        .map(|(plan, layer)| tell(&plan.id, layer, events))
        .collect();
    tell_app_layers(&slots, &made, events);
    let labels = image_labels(request, &metadata, events)?;
    let image = NewImage {
        family,
        config: config_of(request, &plans, &made, labels, entrypoint),
        layers: base_layers(request)
            .chain(made.into_iter().map(|made| made.layer))
            .collect(),
        annotations: request.annotations.clone(),
    };
    Ok(Exported {
        image: save(request, image, sink, events)?,
        layers: exported,
        metadata,
        build_bom,
    })
}

fn save(
    request: &ExportRequest<'_>,
    image: NewImage,
    sink: &dyn ImageSink,
    events: &dyn Events,
) -> Result<WrittenImage, ExportError> {
    let main = request.names.first().map_or("", String::as_str);
    events.emit(Event::Info(&format!("Saving {main}...")));
    let written = sink
        .write(image, request.names)
        .map_err(|source| ExportError::Store {
            source: Box::new(source),
        })?;
    let text = format!("*** Images ({}):", written.manifest.digest);
    events.emit(Event::Info(&text));
    for name in request.names {
        events.emit(Event::Info(&format!("      {name}")));
    }
    Ok(written)
}

fn metadata_of(
    request: &ExportRequest<'_>,
    buildpacks: Vec<BuildpackLayers>,
    slots: &[Slot],
    made: &[MadeLayer],
) -> LifecycleMetadata {
    let mut metadata = LifecycleMetadata {
        buildpacks,
        run_image: run_image_metadata(request),
        stack: Some(Stack {
            run_image: request.run_image_names.clone(),
        }),
        ..LifecycleMetadata::default()
    };
    for (slot, layer) in slots.iter().zip(made) {
        record(&mut metadata, slot, layer.layer.diff_id.to_string());
    }
    metadata
}

fn config_of(
    request: &ExportRequest<'_>,
    plans: &[LayerPlan<'_>],
    made: &[MadeLayer],
    labels: Vec<(String, String)>,
    entrypoint: String,
) -> ImageConfig {
    let plan = ConfigPlan {
        layers: plans
            .iter()
            .zip(made)
            .map(|(plan, layer)| (layer.layer.diff_id, plan.created_by.clone()))
            .collect(),
        labels,
        env: vec![
            ("CNB_LAYERS_DIR", request.layers.path.to_owned()),
            ("CNB_APP_DIR", request.app.path.to_owned()),
            ("CNB_PLATFORM_API", request.platform_api.to_string()),
            ("CNB_DEPRECATION_MODE", "quiet".to_owned()),
        ],
        path: &["/cnb/process", "/cnb/lifecycle"],
        working_dir: request.app.path,
        entrypoint,
        created: request.created,
        keeps_history: request.platform_api >= PlatformApi::V0_12,
    };
    assemble_config(&request.run_image.config, &plan)
}

/// The process that the user wants, else the one that buildpacks chose, else the launcher, which then needs to be told.
fn choose_entrypoint(
    request: &ExportRequest<'_>,
    events: &dyn Events,
) -> Result<String, ExportError> {
    let metadata = request.build_metadata;
    let wanted = request.default_process.filter(|wanted| !wanted.is_empty());
    if let Some(wanted) = wanted {
        let defined = || {
            metadata
                .processes
                .iter()
                .map(|process| &process.process_type)
        };
        if !defined().any(|process_type| process_type == wanted) {
            return Err(ExportError::NoSuchProcess {
                wanted: wanted.to_owned(),
                defined: defined().cloned().collect(),
            });
        }
    }
    let chosen = wanted.or(metadata.buildpack_default_process_type.as_deref());
    let Some(chosen) = chosen.filter(|chosen| !chosen.is_empty()) else {
        events.emit(Event::Info("no default process type"));
        return Ok(LAUNCHER.to_owned());
    };
    let text = format!("Setting default process type '{chosen}'");
    events.emit(Event::Info(&text));
    Ok(process_path(chosen))
}

/// Puts SBOM files about launcher and lifecycle among those of the buildpacks.
fn place_sboms(request: &ExportRequest<'_>) -> Result<(), ExportError> {
    if request.platform_api < PlatformApi::V0_11 {
        return Ok(());
    }
    let place = |path: &str, sboms: &[SbomFile]| -> io::Result<()> {
        if sboms.is_empty() {
            return Ok(());
        }
        let dir = files::make_dirs(request.layers.dir, path)?;
        sboms
            .iter()
            .try_for_each(|sbom| files::write_file(&dir, &sbom.name, &sbom.content))
    };
    for (path, sboms) in [
        (
            "sbom/build/buildpacksio_lifecycle",
            &request.launcher.lifecycle_sboms,
        ),
        (
            "sbom/launch/buildpacksio_lifecycle/launcher",
            &request.launcher.sboms,
        ),
    ] {
        place(path, sboms).map_err(|source| ExportError::Io {
            action: "write SBOM files to",
            path: format!("{}/{path}", request.layers.path),
            source,
        })?;
    }
    Ok(())
}

/// Where the host's modes must not matter, what the host wrote gets fixed ones.
fn normalize(request: &ExportRequest<'_>) -> Result<(), ExportError> {
    let io_error = |path: String| {
        move |source| ExportError::Io {
            action: "set modes in",
            path,
            source,
        }
    };
    if let Ancestors::Fixed(attributes) = &request.app.ancestors {
        files::set_mode(request.app.dir, attributes.mode)
            .map_err(io_error(request.app.path.to_owned()))?;
    }
    if matches!(request.layers.ancestors, Ancestors::Fixed(_)) {
        for name in ["config", "sbom"] {
            let path = format!("{}/{name}", request.layers.path);
            let opened = files::open_dir(request.layers.dir, name);
            if let Some(dir) = opened.map_err(io_error(path.clone()))? {
                normalize_host_files(&dir).map_err(io_error(path))?;
            }
        }
    }
    Ok(())
}

fn run_image_metadata(request: &ExportRequest<'_>) -> RunImageMetadata {
    let top_layer = request.run_image.config.rootfs.diff_ids.last();
    RunImageMetadata {
        top_layer: top_layer.map(ToString::to_string).unwrap_or_default(),
        reference: request.run_image_reference.to_owned(),
        names: if request.platform_api >= PlatformApi::V0_12 {
            request.run_image_names.clone()
        } else {
            RunImageNames::default()
        },
    }
}

fn record(metadata: &mut LifecycleMetadata, slot: &Slot, sha: String) {
    match slot {
        Slot::Buildpack(index, name) => {
            let buildpack = metadata.buildpacks.get_mut(*index);
            if let Some(layer) = buildpack.and_then(|buildpack| buildpack.layers.get_mut(name)) {
                layer.sha = sha;
            }
        }
        Slot::Sbom => metadata.sbom = Some(sha),
        Slot::App => metadata.app.push(sha),
        Slot::Launcher => metadata.launcher = sha,
        Slot::Config => metadata.config = sha,
        Slot::ProcessTypes => metadata.process_types = sha,
    }
}

fn image_labels(
    request: &ExportRequest<'_>,
    metadata: &LifecycleMetadata,
    events: &dyn Events,
) -> Result<Vec<(String, String)>, ExportError> {
    let label = |source| ExportError::Label { source };
    let build = print_build_label(
        request.build_metadata,
        &request.launcher.metadata,
        request.platform_api,
    );
    let project = print_project_label(request.project_metadata);
    let mut labels = vec![
        (
            labels::LIFECYCLE_METADATA.to_owned(),
            print_lifecycle_metadata(metadata).map_err(label)?,
        ),
        (labels::BUILD_METADATA.to_owned(), build.map_err(label)?),
        (labels::PROJECT_METADATA.to_owned(), project.map_err(label)?),
    ];
    for label in &request.build_metadata.labels {
        if OWN_LABELS.contains(&label.key.as_str()) {
            let text = format!(
                "Ignoring label '{}' of a buildpack: it belongs to the lifecycle",
                label.key
            );
            events.emit(Event::Warning(&text));
        } else {
            labels.push((label.key.clone(), label.value.clone()));
        }
    }
    if request.platform_api.honors_exec_env() && !request.exec_env.is_empty() {
        labels.push((labels::EXEC_ENV.to_owned(), request.exec_env.to_owned()));
    }
    for (name, _) in &labels {
        events.emit(Event::Info(&format!("Adding label '{name}'")));
    }
    Ok(labels)
}

fn tell(id: &str, made: &MadeLayer, events: &dyn Events) -> ExportedLayer {
    let diff_id = made.layer.diff_id;
    if !id.starts_with("slice-") {
        let verb = if made.reused { "Reusing" } else { "Adding" };
        events.emit(Event::Info(&format!("{verb} layer '{id}'")));
    }
    events.emit(Event::Debug(&format!("Layer '{id}' SHA: {diff_id}")));
    ExportedLayer {
        id: id.to_owned(),
        diff_id,
        size: made.size,
        reused: made.reused,
    }
}

fn tell_app_layers(slots: &[Slot], made: &[MadeLayer], events: &dyn Events) {
    let app = || {
        let app = slots
            .iter()
            .zip(made)
            .filter(|(slot, _)| **slot == Slot::App);
        app.map(|(_, layer)| layer)
    };
    let (total, reused) = (app().count(), app().filter(|layer| layer.reused).count());
    for (verb, count) in [("Reused", reused), ("Added", total - reused)] {
        if count > 0 {
            events.emit(Event::Info(&format!("{verb} {count}/{total} app layer(s)")));
        }
    }
}

fn base_layers<'a>(request: &'a ExportRequest<'_>) -> impl Iterator<Item = NewLayer> + use<'a> {
    let image = request.run_image;
    let diff_ids = image.config.rootfs.diff_ids.iter();
    diff_ids
        .zip(&image.manifest.layers)
        .map(|(diff_id, descriptor)| NewLayer {
            diff_id: *diff_id,
            content: LayerContent::Existing {
                descriptor: descriptor.clone(),
                blobs: image.blobs.clone(),
            },
        })
}
