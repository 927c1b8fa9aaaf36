//! Restoring: brings layers of earlier builds, or what is known of them, back into the layers directory.
//!
//! `table` holds the rule, `extract` unpacks what the rule says.

use std::collections::BTreeSet;
use std::io;

use cnbw_oci::digest::DiffId;
use cnbw_spec::api::PlatformApi;
use cnbw_spec::group::GroupElement;
use cnbw_spec::id::LayerName;
use cnbw_spec::labels::{BuildpackLayers, LayerRecord, LifecycleMetadata};
use cnbw_spec::layer::print_restored_layer;
use cnbw_spec::store::print_store;

use crate::cache::{Cache, CacheError, CacheMetadata, CachedLayer};
use crate::event::Event;
use crate::files;
use crate::ports::Events;
use crate::tree::Tree;

mod extract;
mod sbom;
mod table;

pub use extract::ExtractError;
pub(crate) use extract::{Destination, ExtractLimits, extract};
use table::Decision;

/// What restoring is given.
#[derive(Debug)]
pub struct RestoreRequest<'a> {
    /// Version of the Platform API.
    pub platform_api: PlatformApi,
    /// Buildpacks of the group, in order.
    pub group: &'a [GroupElement],
    /// The layers directory.
    pub layers: &'a Tree<'a>,
    /// What analysis read from the previous image.
    pub metadata: &'a LifecycleMetadata,
    /// The cache of earlier builds.
    pub cache: Option<&'a dyn Cache>,
    /// Restores nothing but `store.toml`.
    pub skip_layers: bool,
}

/// A layer that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredLayer {
    /// Id of its buildpack.
    pub buildpack: String,
    /// Its name.
    pub name: String,
    /// Whether its content is there; of others only the metadata is.
    pub with_content: bool,
}

/// Why restoring failed. A cache that cannot be used is no failure.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The cache could not be asked.
    #[error("cannot read the cache")]
    Cache {
        /// The cause.
        source: CacheError,
    },
    /// Something in the layers directory could not be read, written or removed.
    #[error("cannot {action} `{}`", path.escape_debug())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Path in the image.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// A layer could not be unpacked.
    #[error("cannot restore layer `{}` of buildpack `{}`", layer.escape_debug(), buildpack.escape_debug())]
    Layer {
        /// Id of its buildpack.
        buildpack: String,
        /// Its name.
        layer: String,
        /// The cause.
        source: ExtractError,
    },
    /// The SBOM files of the cache could not be unpacked.
    #[error("cannot restore the SBOM files of the cache")]
    Sbom {
        /// The cause.
        source: ExtractError,
    },
}

/// Restores `store.toml`, metadata and content of layers, and SBOM files.
pub fn restore(
    request: &RestoreRequest<'_>,
    events: &dyn Events,
) -> Result<Vec<RestoredLayer>, RestoreError> {
    let cached = read_cache(request.cache, events)?;
    let mut restored = Vec::new();
    for element in request.group {
        let buildpack = Buildpack {
            request,
            events,
            id: element.buildpack.id.as_str(),
            escaped: element.buildpack.id.escaped(),
        };
        let image = layers_of(&request.metadata.buildpacks, buildpack.id);
        let cache = layers_of(&cached.buildpacks, buildpack.id);
        buildpack.restore_store(image)?;
        buildpack.restore_layers(image, cache, &mut restored)?;
    }
    if request.skip_layers {
        events.emit(Event::Info("Skipping buildpack layer analysis"));
    } else if request.platform_api >= PlatformApi::V0_8 {
        sbom::restore_sboms(request, cached.sbom.as_deref(), &restored, events)?;
    }
    Ok(restored)
}

fn read_cache(
    cache: Option<&dyn Cache>,
    events: &dyn Events,
) -> Result<CacheMetadata, RestoreError> {
    let Some(cache) = cache else {
        return Ok(CacheMetadata::default());
    };
    if !cache.exists() {
        events.emit(Event::Info("Layer cache not found"));
    }
    cache
        .metadata()
        .map_err(|source| RestoreError::Cache { source })
}

fn layers_of<'m>(all: &'m [BuildpackLayers], id: &str) -> Option<&'m BuildpackLayers> {
    all.iter().find(|layers| layers.id == id)
}

/// One buildpack of the group, while its layers are restored.
struct Buildpack<'a> {
    request: &'a RestoreRequest<'a>,
    events: &'a dyn Events,
    id: &'a str,
    escaped: String,
}

impl Buildpack<'_> {
    fn restore_store(&self, image: Option<&BuildpackLayers>) -> Result<(), RestoreError> {
        match image.and_then(|layers| layers.store.as_ref()) {
            Some(store) => self.write("store.toml", &print_store(store)),
            None => Ok(()),
        }
    }

    fn restore_layers(
        &self,
        image: Option<&BuildpackLayers>,
        cache: Option<&BuildpackLayers>,
        restored: &mut Vec<RestoredLayer>,
    ) -> Result<(), RestoreError> {
        let known = [image, cache].into_iter().flatten();
        let names: BTreeSet<&String> = known.flat_map(|layers| layers.layers.keys()).collect();
        for name in names {
            let Ok(parsed) = LayerName::parse(name) else {
                let text = format!(
                    "Not restoring layer {name:?} of {}: no such name is allowed",
                    self.id
                );
                self.events.emit(Event::Warning(&text));
                continue;
            };
            let record = |layers: Option<&'_ BuildpackLayers>| {
                layers.and_then(|layers| layers.layers.get(name)).cloned()
            };
            let (image, cache) = (record(image), record(cache));
            let image = image.as_ref().filter(|_| !self.request.skip_layers);
            let mut decision = table::decide(image, cache.as_ref(), self.request.platform_api);
            if self.request.skip_layers && matches!(decision, Decision::MetadataAndContent(_)) {
                // Nothing is remembered, so content that lies here is not known to be what the cache holds.
                decision = Decision::Unknown;
            }
            restored.extend(self.carry_out(&parsed, decision)?);
        }
        Ok(())
    }

    fn carry_out(
        &self,
        name: &LayerName,
        decision: Decision<'_>,
    ) -> Result<Option<RestoredLayer>, RestoreError> {
        let (record, with_content) = match decision {
            Decision::Nothing => return Ok(None),
            Decision::Stale | Decision::Unknown => {
                if decision == Decision::Stale {
                    // The directory shows that the buildpack was considered, as in the reference.
                    files::make_dirs(self.request.layers.dir, &self.escaped)
                        .map_err(self.io_error("make", ""))?;
                    let text = format!("Removing \"{}:{name}\", wrong sha", self.id);
                    self.events.emit(Event::Info(&text));
                }
                self.remove(name)?;
                return Ok(None);
            }
            Decision::Metadata(record) => (record, false),
            Decision::MetadataAndContent(record) => (record, true),
        };
        let text = format!("Restoring metadata for \"{}:{name}\"", self.id);
        self.events.emit(Event::Info(&text));
        let metadata = print_restored_layer(record.layer.metadata.as_ref());
        self.write(&format!("{name}.toml"), &metadata)?;
        if with_content && !self.restore_content(name, record)? {
            // Both or neither: a buildpack that sees metadata trusts that the content is there.
            self.remove(name)?;
            return Ok(None);
        }
        Ok(Some(RestoredLayer {
            buildpack: self.id.to_owned(),
            name: name.to_string(),
            with_content,
        }))
    }

    /// Unpacks a layer of the cache; says `false`, after a warning, if the cache does not have it in one piece.
    fn restore_content(
        &self,
        name: &LayerName,
        record: &LayerRecord,
    ) -> Result<bool, RestoreError> {
        let skip = |reason: &str| {
            let text = format!("Skipping restore for layer {}:{name}: {reason}", self.id);
            self.events.emit(Event::Warning(&text));
            Ok(false)
        };
        let (Some(cache), Ok(diff_id)) = (self.request.cache, record.sha.parse::<DiffId>()) else {
            return skip("the cache names it by no digest");
        };
        let opened = cache
            .open_layer(&diff_id)
            .map_err(|source| RestoreError::Cache { source })?;
        let tar = match opened {
            CachedLayer::Usable(tar) => tar,
            CachedLayer::Unusable(reason) => return skip(&reason),
        };
        let text = format!("Restoring data for \"{}:{name}\" from cache", self.id);
        self.events.emit(Event::Info(&text));
        let destination = Destination {
            layers: self.request.layers.dir,
            path: self.request.layers.path,
            place: &[&self.escaped, name.as_str()],
        };
        match extract(tar, &destination, ExtractLimits::LAYER) {
            Ok(()) => Ok(true),
            Err(error @ (ExtractError::Read { .. } | ExtractError::Refused { .. })) => {
                skip(&error.to_string())
            }
            Err(source @ ExtractError::Write { .. }) => Err(RestoreError::Layer {
                buildpack: self.id.to_owned(),
                layer: name.to_string(),
                source,
            }),
        }
    }

    fn write(&self, name: &str, content: &str) -> Result<(), RestoreError> {
        let dir = files::make_dirs(self.request.layers.dir, &self.escaped);
        dir.and_then(|dir| files::write_file(&dir, name, content.as_bytes()))
            .map_err(self.io_error("write", name))
    }

    fn remove(&self, name: &LayerName) -> Result<(), RestoreError> {
        let opened = files::open_dir(self.request.layers.dir, &self.escaped);
        let Some(dir) = opened.map_err(self.io_error("open", ""))? else {
            return Ok(());
        };
        for name in [name.to_string(), format!("{name}.toml")] {
            files::remove(&dir, &name).map_err(self.io_error("remove", &name))?;
        }
        Ok(())
    }

    fn io_error(
        &self,
        action: &'static str,
        name: &str,
    ) -> impl FnOnce(io::Error) -> RestoreError + use<> {
        let path = format!("{}/{}/{name}", self.request.layers.path, self.escaped);
        move |source| RestoreError::Io {
            action,
            path,
            source,
        }
    }
}

#[cfg(test)]
mod tests;
