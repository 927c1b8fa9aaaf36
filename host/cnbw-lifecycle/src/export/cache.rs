//! Fills the cache with this build's layers.

use cap_std::fs::Dir;
use cnbw_oci::layer::{LayerBlob, LayerError, LayerWriter, Owner};
use cnbw_spec::api::PlatformApi;
use cnbw_spec::group::GroupElement;
use cnbw_spec::labels::{BuildpackLayers, LayerRecord};

use super::ExportError;
use super::layers::{Content, write_content};
use super::plan::{has_sboms, read_layers, whole};
use crate::cache::{Cache, CacheError, CacheMetadata};
use crate::event::Event;
use crate::ports::Events;
use crate::tree::Tree;

/// What filling the cache is given.
#[derive(Debug)]
pub struct CacheRequest<'a> {
    /// Version of the Platform API.
    pub platform_api: PlatformApi,
    /// Buildpacks of the group, in order.
    pub group: &'a [GroupElement],
    /// The layers directory.
    pub layers: &'a Tree<'a>,
    /// Who owns the cached files.
    pub owner: Owner,
    /// A private directory for temporary files.
    pub scratch: &'a Dir,
}

/// Replaces the cache by this build's layers with `cache = true`.
///
/// A layer that cannot be cached is a warning, not a failure; callers treat the failure of all in the same way.
pub fn fill_cache(
    request: &CacheRequest<'_>,
    cache: &dyn Cache,
    events: &dyn Events,
) -> Result<(), CacheError> {
    if !cache.exists() {
        events.emit(Event::Info("Layer cache not found"));
    }
    let mut metadata = CacheMetadata::default();
    let mut blobs = Vec::new();
    for element in request.group {
        let layers = cache_buildpack(request, element, cache, &mut blobs, events)?;
        metadata.buildpacks.push(layers);
    }
    let has_sboms = request.platform_api >= PlatformApi::V0_8
        && has_sboms(request.layers, "cache").map_err(CacheError::from_export)?;
    if has_sboms {
        let content = whole(request.layers, &["sbom"], "cache").map_err(CacheError::from_export)?;
        let blob =
            write(request, cache, &content).map_err(|source| CacheError::Layer { source })?;
        metadata.sbom = Some(blob.diff_id.to_string());
        blobs.push(blob);
    }
    cache.replace(&metadata, blobs)
}

fn cache_buildpack(
    request: &CacheRequest<'_>,
    element: &GroupElement,
    cache: &dyn Cache,
    blobs: &mut Vec<LayerBlob>,
    events: &dyn Events,
) -> Result<BuildpackLayers, CacheError> {
    let id = element.buildpack.id.as_str();
    let found = read_layers(request.layers, element).map_err(CacheError::from_export)?;
    let mut record = BuildpackLayers {
        id: id.to_owned(),
        version: element.buildpack.version.as_str().to_owned(),
        ..BuildpackLayers::default()
    };
    for layer in &found.layers {
        let Ok(document) = &layer.document else {
            continue;
        };
        if !document.types.cache {
            continue;
        }
        let name = format!("{id}:{}", layer.name);
        let warn = |reason: &str| {
            let text = format!("Failed to cache layer '{name}': {reason}");
            events.emit(Event::Warning(&text));
        };
        if !layer.has_content {
            warn("it has no contents");
            continue;
        }
        let content = whole(
            request.layers,
            &[&element.buildpack.id.escaped()],
            &layer.name,
        )
        .map_err(CacheError::from_export)?;
        match write(request, cache, &content) {
            Ok(blob) => {
                let text = format!("Adding cache layer '{name}'");
                events.emit(Event::Info(&text));
                let entry = LayerRecord {
                    sha: blob.diff_id.to_string(),
                    layer: document.clone(),
                };
                record.layers.insert(layer.name.clone(), entry);
                blobs.push(blob);
            }
            Err(error) => warn(&error.to_string()),
        }
    }
    Ok(record)
}

fn write(
    request: &CacheRequest<'_>,
    cache: &dyn Cache,
    content: &Content<'_>,
) -> Result<LayerBlob, LayerError> {
    let mut writer = LayerWriter::create(request.scratch, &cache.layer_options())?;
    write_content(&mut writer, content, request.owner)?;
    writer.finish()
}

impl CacheError {
    fn from_export(source: ExportError) -> Self {
        Self::Layers {
            source: Box::new(source),
        }
    }
}
