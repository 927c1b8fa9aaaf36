//! SBOM files about restored layers go back to where buildpacks look for them.

use std::io;

use cap_std::fs::Dir;
use cnbw_oci::digest::DiffId;

use crate::cache::{Cache, CachedLayer};
use crate::event::Event;
use crate::files;
use crate::ports::Events;

use super::{
    Destination, ExtractError, ExtractLimits, RestoreError, RestoreRequest, RestoredLayer, extract,
};

/// Largest SBOM file that is copied, in bytes. Those of large applications have some megabytes.
pub(crate) const SBOM_CAP: usize = 64 << 20;

/// Copies SBOM files of the cache and of the previous image, which analysis unpacked, to the restored layers.
///
/// Files about layers that were not restored are left out: their buildpacks make layer and SBOM anew.
pub(super) fn restore_sboms(
    request: &RestoreRequest<'_>,
    cached: Option<&str>,
    restored: &[RestoredLayer],
    events: &dyn Events,
) -> Result<(), RestoreError> {
    if let (Some(sha), Some(cache)) = (cached, request.cache) {
        unpack_cached(request, cache, sha, events)?;
    }
    let error = |source| RestoreError::Io {
        action: "restore SBOM files of",
        path: request.layers.path.to_owned(),
        source,
    };
    let layers = request.layers.dir;
    // The launch file comes second and wins.
    for kind in ["sbom/cache", "sbom/launch"] {
        if let Some(from) = files::open_dir(layers, kind).map_err(error)? {
            copy_to_layers(request, &from, restored).map_err(error)?;
        }
    }
    files::remove(layers, "sbom").map_err(error)
}

fn unpack_cached(
    request: &RestoreRequest<'_>,
    cache: &dyn Cache,
    sha: &str,
    events: &dyn Events,
) -> Result<(), RestoreError> {
    let skip = |reason: &str| {
        let text = format!("Skipping restore of the SBOM from cache: {reason}");
        events.emit(Event::Warning(&text));
        Ok(())
    };
    let Ok(diff_id) = sha.parse::<DiffId>() else {
        return skip("the cache names it by no digest");
    };
    let opened = cache
        .open_layer(&diff_id)
        .map_err(|source| RestoreError::Cache { source })?;
    let tar = match opened {
        CachedLayer::Usable(tar) => tar,
        CachedLayer::Unusable(reason) => return skip(&reason),
    };
    events.emit(Event::Info("Restoring data for SBOM from cache"));
    let destination = Destination {
        layers: request.layers.dir,
        path: request.layers.path,
        place: &["sbom", "cache"],
    };
    match extract(tar, &destination, ExtractLimits::SBOM) {
        Ok(()) => Ok(()),
        Err(error @ (ExtractError::Read { .. } | ExtractError::Refused { .. })) => {
            skip(&error.to_string())
        }
        Err(source @ ExtractError::Write { .. }) => Err(RestoreError::Sbom { source }),
    }
}

/// Copies `<buildpack>/<layer>/sbom.*json` to `<layers>/<buildpack>/<layer>.sbom.*json`.
fn copy_to_layers(
    request: &RestoreRequest<'_>,
    from: &Dir,
    restored: &[RestoredLayer],
) -> io::Result<()> {
    for element in request.group {
        let escaped = element.buildpack.id.escaped();
        let source = files::open_dir(from, &escaped)?;
        let target = files::open_dir(request.layers.dir, &escaped)?;
        let (Some(source), Some(target)) = (source, target) else {
            continue;
        };
        let id = element.buildpack.id.as_str();
        for layer in restored.iter().filter(|layer| layer.buildpack == id) {
            let Some(directory) = files::open_dir(&source, &layer.name)? else {
                continue;
            };
            for name in files::sorted_names(&directory)? {
                let is_sbom = name.starts_with("sbom.") && name.strip_suffix(".json").is_some();
                if !is_sbom {
                    continue;
                }
                if let Some(content) = files::read_capped(&directory, &name, SBOM_CAP)? {
                    files::write_file(&target, &format!("{}.{name}", layer.name), &content)?;
                }
            }
        }
    }
    Ok(())
}
