//! Which layers an image gets, in which order, and under which names.

use std::io;

use cnbw_oci::layer::scan_tree;
use cnbw_spec::api::PlatformApi;
use cnbw_spec::document::MAX_DOCUMENT_BYTES;
use cnbw_spec::group::GroupElement;
use cnbw_spec::id::ProcessType;
use cnbw_spec::labels::{BuildpackLayers, LayerRecord};
use cnbw_spec::layer::LayerToml;
use cnbw_spec::metadata::BomEntry;
use std::os::unix::ffi::OsStringExt;

use super::layers::{Content, LayerPlan, above_content, above_tree};
use super::{ExportError, ExportRequest, slices};
use crate::files;
use crate::layers_dir::{FoundLayer, LayersDir, LayersDirError, read_layers_dir};
use crate::tree::Tree;

/// Layers of an image, and where the label records each.
#[derive(Debug)]
pub(super) struct ImageLayers<'a> {
    pub(super) plans: Vec<(Slot, LayerPlan<'a>)>,
    /// Layers of the buildpacks as the label shows them; their digests are not known yet.
    pub(super) buildpacks: Vec<BuildpackLayers>,
}

/// The place in the label where a layer's digest goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// A launch layer: index of the buildpack, name of the layer.
    Buildpack(usize, String),
    Sbom,
    App,
    Launcher,
    Config,
    ProcessTypes,
}

/// Lists the layers in the order that they have in the image.
pub(super) fn plan_layers<'a>(request: &ExportRequest<'a>) -> Result<ImageLayers<'a>, ExportError> {
    let mut layers = ImageLayers {
        plans: Vec::new(),
        buildpacks: Vec::new(),
    };
    for element in request.group {
        add_buildpack_layers(request, element, &mut layers)?;
    }
    add_sbom_layer(request, &mut layers)?;
    add_app_layers(request, &mut layers)?;
    let launcher = LayerPlan {
        id: "buildpacksio/lifecycle:launcher".to_owned(),
        created_by: "Buildpacks Application Launcher".to_owned(),
        previous: vec![request.previous_metadata.launcher.clone()],
        content: Content::Launcher(request.launcher.program),
    };
    layers.plans.push((Slot::Launcher, launcher));
    let config = LayerPlan {
        id: "buildpacksio/lifecycle:config".to_owned(),
        created_by: "Buildpacks Launcher Config".to_owned(),
        previous: vec![request.previous_metadata.config.clone()],
        content: whole(request.layers, &[], "config")?,
    };
    layers.plans.push((Slot::Config, config));
    add_process_types(request, &mut layers)?;
    Ok(layers)
}

fn add_buildpack_layers<'a>(
    request: &ExportRequest<'a>,
    element: &GroupElement,
    layers: &mut ImageLayers<'a>,
) -> Result<(), ExportError> {
    let found = read_layers(request.layers, element)?;
    let escaped = element.buildpack.id.escaped();
    let id = element.buildpack.id.as_str();
    let index = layers.buildpacks.len();
    let mut previous = request.previous_metadata.buildpacks.iter();
    let previous = previous.find(|buildpack| buildpack.id == id);
    let mut record = BuildpackLayers {
        id: id.to_owned(),
        version: element.buildpack.version.as_str().to_owned(),
        store: found.store.clone(),
        ..BuildpackLayers::default()
    };
    for (layer, document) in well_formed(id, &found)? {
        if !document.types.launch {
            continue;
        }
        let name = format!("{id}:{}", layer.name);
        let known = previous.and_then(|buildpack| buildpack.layers.get(&layer.name));
        let content = if layer.has_content {
            whole(request.layers, &[&escaped], &layer.name)?
        } else if document.types.cache {
            return Err(ExportError::CacheWithoutContent { layer: name });
        } else {
            let diff_id = known.and_then(|known| known.sha.parse().ok());
            let diff_id = diff_id.filter(|_| request.previous_image.is_some());
            Content::Previous(diff_id.ok_or_else(|| ExportError::NothingToReuse {
                layer: name.clone(),
            })?)
        };
        let plan = LayerPlan {
            created_by: created_by(&layer.name, element),
            previous: known.map(|known| known.sha.clone()).into_iter().collect(),
            id: name,
            content,
        };
        layers
            .plans
            .push((Slot::Buildpack(index, layer.name.clone()), plan));
        let entry = LayerRecord {
            sha: String::new(),
            layer: document.clone(),
        };
        record.layers.insert(layer.name.clone(), entry);
    }
    layers.buildpacks.push(record);
    Ok(())
}

/// How history and cache call a buildpack's layer.
pub(super) fn created_by(layer: &str, element: &GroupElement) -> String {
    format!(
        "Layer: '{layer}', Created by buildpack: {}",
        element.buildpack
    )
}

/// Reads a buildpack's layers directory.
pub(super) fn read_layers(
    layers: &Tree<'_>,
    element: &GroupElement,
) -> Result<LayersDir, ExportError> {
    let escaped = element.buildpack.id.escaped();
    let shown = format!("{}/{escaped}", layers.path);
    read_layers_dir(layers.dir, &escaped, &shown).map_err(|error| match error {
        LayersDirError::Io(source) => ExportError::LayersDir {
            buildpack: element.buildpack.id.to_string(),
            source,
        },
        LayersDirError::Store(source) => ExportError::Document {
            source: Box::new(source),
        },
    })
}

/// The layers with their documents; if any document is wrong, an error that names all such layers.
fn well_formed<'f>(
    id: &str,
    found: &'f LayersDir,
) -> Result<Vec<(&'f FoundLayer, &'f LayerToml)>, ExportError> {
    let mut sound = Vec::new();
    let mut broken = Vec::new();
    let mut first = None;
    for layer in &found.layers {
        match &layer.document {
            Ok(document) => sound.push((layer, document)),
            Err(error) => {
                broken.push(format!("{id}:{}", layer.name));
                first.get_or_insert_with(|| error.clone());
            }
        }
    }
    match first {
        Some(source) => Err(ExportError::MalformedLayers {
            layers: broken,
            source: Box::new(source),
        }),
        None => Ok(sound),
    }
}

/// Something in the layers directory, with all it holds.
pub(super) fn whole<'a>(
    tree: &Tree<'_>,
    below: &[&str],
    name: &str,
) -> Result<Content<'a>, ExportError> {
    let parent_path = std::iter::once(tree.path)
        .chain(below.iter().copied())
        .collect::<Vec<_>>()
        .join("/");
    let read = || -> io::Result<Content<'a>> {
        let parent = match below {
            [] => tree.dir.try_clone()?,
            _ => files::open_dir(tree.dir, &below.join("/"))?
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?,
        };
        Ok(Content::Whole {
            above: above_content(tree, below)?,
            parent_path: parent_path.clone(),
            parent,
            name: name.to_owned(),
        })
    };
    read().map_err(|source| ExportError::Io {
        action: "read",
        path: parent_path.clone(),
        source,
    })
}

fn add_sbom_layer<'a>(
    request: &ExportRequest<'a>,
    layers: &mut ImageLayers<'a>,
) -> Result<(), ExportError> {
    if request.platform_api < PlatformApi::V0_8 || !has_sboms(request.layers, "launch")? {
        return Ok(());
    }
    let plan = LayerPlan {
        id: "buildpacksio/lifecycle:launch.sbom".to_owned(),
        created_by: "Software Bill-of-Materials".to_owned(),
        previous: request.previous_metadata.sbom.iter().cloned().collect(),
        content: whole(request.layers, &["sbom"], "launch")?,
    };
    layers.plans.push((Slot::Sbom, plan));
    Ok(())
}

/// Whether there is a directory `sbom/<kind>`.
pub(super) fn has_sboms(layers: &Tree<'_>, kind: &str) -> Result<bool, ExportError> {
    let path = format!("sbom/{kind}");
    let opened = files::open_dir(layers.dir, &path);
    opened
        .map(|found| found.is_some())
        .map_err(|source| ExportError::Io {
            action: "read",
            path: format!("{}/{path}", layers.path),
            source,
        })
}

fn add_app_layers<'a>(
    request: &ExportRequest<'a>,
    layers: &mut ImageLayers<'a>,
) -> Result<(), ExportError> {
    let scanned = scan_tree(request.app.dir).map_err(|source| ExportError::Layer {
        id: "slice-1".to_owned(),
        source,
    })?;
    let paths: Vec<Vec<u8>> = scanned
        .into_iter()
        .map(|scanned| scanned.path.into_os_string().into_vec())
        .collect();
    let slices = &request.build_metadata.slices;
    let lists = slices::divide(request.app.path, &paths, slices)
        .map_err(|source| ExportError::Slice { source })?;
    for (index, paths) in lists.into_iter().enumerate() {
        let number = index + 1;
        let plan = LayerPlan {
            id: format!("slice-{number}"),
            created_by: if slices.is_empty() {
                "Application Layer".to_owned()
            } else {
                format!("Application Slice: {number}")
            },
            previous: request.previous_metadata.app.clone(),
            content: Content::Paths {
                above: above_tree(request.app),
                path: request.app.path.to_owned(),
                dir: request.app.dir,
                paths,
            },
        };
        layers.plans.push((Slot::App, plan));
    }
    Ok(())
}

fn add_process_types<'a>(
    request: &ExportRequest<'a>,
    layers: &mut ImageLayers<'a>,
) -> Result<(), ExportError> {
    let mut types = Vec::new();
    for process in &request.build_metadata.processes {
        let parsed = ProcessType::parse(&process.process_type);
        types.push(parsed.map_err(|source| ExportError::ProcessType {
            process_type: process.process_type.clone(),
            source,
        })?);
    }
    if types.is_empty() {
        return Ok(());
    }
    let plan = LayerPlan {
        id: "buildpacksio/lifecycle:process-types".to_owned(),
        created_by: "Buildpacks Process Types".to_owned(),
        previous: vec![request.previous_metadata.process_types.clone()],
        content: Content::ProcessTypes(types),
    };
    layers.plans.push((Slot::ProcessTypes, plan));
    Ok(())
}

/// The unstructured bill of materials of the build, which only old APIs report.
pub(super) fn build_bom(request: &ExportRequest<'_>) -> Result<Vec<BomEntry>, ExportError> {
    if request.platform_api >= PlatformApi::V0_9 {
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    for element in request.group {
        let found = read_layers(request.layers, element)?;
        let shown = format!(
            "{}/{}/build.toml",
            request.layers.path,
            element.buildpack.id.escaped()
        );
        let content = match &found.dir {
            Some(dir) => files::read_capped(dir, "build.toml", MAX_DOCUMENT_BYTES),
            None => Ok(None),
        };
        let content = content.map_err(|source| ExportError::Io {
            action: "read",
            path: shown.clone(),
            source,
        })?;
        let Some(content) = content else { continue };
        let document =
            cnbw_spec::build_toml::parse_build_toml(&shown, &content).map_err(|source| {
                ExportError::Document {
                    source: Box::new(source),
                }
            })?;
        entries.extend(document.bom.into_iter().map(|require| BomEntry {
            require,
            buildpack: GroupElement::new(element.buildpack.clone()),
        }));
    }
    Ok(entries)
}
