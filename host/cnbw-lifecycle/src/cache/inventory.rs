//! Many caches below one directory: what there is, what is sound, and what goes when there is too much.

use std::io;

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, MetadataExt};

use super::directory::{COMMITTED, DirectoryCache, lock};
use super::{Cache, CacheError, CachedLayer};
use crate::files;

/// A cache among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// Name of its directory.
    pub name: String,
    /// Buildpacks whose layers it holds.
    pub buildpacks: Vec<String>,
    /// How many layers it holds.
    pub layers: usize,
    /// Sum of the files' sizes in bytes.
    pub size: u64,
    /// When a build last opened it, in seconds since 1970.
    pub used: i64,
}

/// Lists the caches below a directory, the least recently used first.
pub fn list_caches(root: &Dir) -> Result<Vec<CacheEntry>, CacheError> {
    let mut entries = Vec::new();
    for name in files::sorted_names(root).map_err(failed("list", "."))? {
        // What is no cache, or is being removed, is not listed.
        if let Some(entry) = describe(root, &name)? {
            entries.push(entry);
        }
    }
    entries.sort_by(|a, b| (a.used, &a.name).cmp(&(b.used, &b.name)));
    Ok(entries)
}

fn describe(root: &Dir, name: &str) -> Result<Option<CacheEntry>, CacheError> {
    let Ok(dir) = root.open_dir_nofollow(name) else {
        return Ok(None);
    };
    let Ok(committed) = dir.open_dir_nofollow(COMMITTED) else {
        return Ok(None);
    };
    let read = || -> io::Result<(usize, u64, i64)> {
        let (mut layers, mut size) = (0, 0);
        for file in files::sorted_names(&committed)? {
            let metadata = committed.symlink_metadata(&file)?;
            size += metadata.len();
            layers += usize::from(file.strip_suffix(".tar").is_some());
        }
        Ok((layers, size, dir.dir_metadata()?.mtime()))
    };
    let (layers, size, used) = read().map_err(failed("read", name))?;
    let metadata = super::directory::read_metadata(&committed)?;
    let with_layers = metadata
        .buildpacks
        .iter()
        .filter(|it| !it.layers.is_empty());
    Ok(Some(CacheEntry {
        name: name.to_owned(),
        buildpacks: with_layers.map(|it| it.id.clone()).collect(),
        layers,
        size,
        used,
    }))
}

/// Removes the least recently used caches until the rest fits into so many bytes; gives what was removed.
pub fn prune_caches(root: &Dir, cap: u64) -> Result<Vec<CacheEntry>, CacheError> {
    let entries = list_caches(root)?;
    let mut total: u64 = entries.iter().map(|entry| entry.size).sum();
    let mut removed = Vec::new();
    for entry in entries {
        if total <= cap {
            break;
        }
        let dir = root.open_dir_nofollow(&entry.name);
        let dir = dir.map_err(failed("open", &entry.name))?;
        {
            // A build that is writing here is waited for.
            let _lock = lock(&dir)?;
            root.remove_dir_all(&entry.name)
                .map_err(failed("remove", &entry.name))?;
        }
        total = total.saturating_sub(entry.size);
        removed.push(entry);
    }
    Ok(removed)
}

/// Recomputes the digest of every layer that a cache's metadata names; gives a sentence for each that is missing or damaged.
pub fn verify_cache(root: &Dir, name: &str) -> Result<Vec<String>, CacheError> {
    let dir = root.open_dir_nofollow(name).map_err(failed("open", name))?;
    let cache = DirectoryCache::open(dir, name)?;
    let metadata = cache.metadata()?;
    let layers = metadata.buildpacks.iter().flat_map(|buildpack| {
        let layers = buildpack.layers.iter();
        layers.map(|(name, layer)| (format!("{}:{name}", buildpack.id), layer.sha.clone()))
    });
    let sbom = metadata.sbom.iter();
    let sbom = sbom.map(|sha| ("SBOM files".to_owned(), sha.clone()));
    let mut faults = Vec::new();
    for (what, sha) in layers.chain(sbom) {
        let fault = match sha.parse() {
            Err(_) => Some(format!("`{}` is no digest", sha.escape_debug())),
            Ok(diff_id) => match cache.open_layer(&diff_id)? {
                CachedLayer::Usable(_) => None,
                CachedLayer::Unusable(reason) => Some(reason),
            },
        };
        faults.extend(fault.map(|fault| format!("{}: {fault}", what.escape_debug())));
    }
    Ok(faults)
}

fn failed(action: &'static str, path: &str) -> impl FnOnce(io::Error) -> CacheError + use<> {
    let path = path.to_owned();
    move |source| CacheError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use cnbw_oci::layer::{LayerOptions, LayerWriter, Owner};
    use cnbw_spec::labels::{BuildpackLayers, LayerRecord};

    use super::*;
    use crate::cache::CacheMetadata;

    fn fill(root: &Dir, name: &str, content: &str) -> String {
        root.create_dir(name).unwrap();
        let cache = DirectoryCache::open(root.open_dir(name).unwrap(), name).unwrap();
        let mut writer = LayerWriter::create(root, &LayerOptions::default()).unwrap();
        let content = content.as_bytes();
        writer
            .add_file("/layers/a/l", Owner::ROOT, 0o644, content)
            .unwrap();
        let blob = writer.finish().unwrap();
        let sha = blob.diff_id.to_string();
        let mut layers = BuildpackLayers {
            id: "a".to_owned(),
            ..BuildpackLayers::default()
        };
        let record = LayerRecord {
            sha: sha.clone(),
            ..LayerRecord::default()
        };
        layers.layers.insert("l".to_owned(), record);
        let metadata = CacheMetadata {
            sbom: None,
            buildpacks: vec![layers],
        };
        cache.replace(&metadata, vec![blob]).unwrap();
        sha
    }

    fn use_at(root: &Dir, name: &str, seconds: i64) {
        let time = rustix::fs::Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        let times = rustix::fs::Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(root, name, &times, rustix::fs::AtFlags::empty()).unwrap();
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        for (name, used) in [("x", 30), ("y", 10), ("z", 20)] {
            fill(&root, name, name);
            use_at(&root, name, used);
        }
        root.write("no-cache", "").unwrap();
        let entries = list_caches(&root).unwrap();
        let names = |entries: &[CacheEntry]| -> Vec<String> {
            entries.iter().map(|entry| entry.name.clone()).collect()
        };
        assert_eq!(names(&entries), ["y", "z", "x"]);
        assert_eq!(
            (entries[0].layers, entries[0].buildpacks.as_slice()),
            (1, &["a".to_owned()][..])
        );
        let size = entries[2].size;
        assert_eq!(names(&prune_caches(&root, 2 * size).unwrap()), ["y"]);
        assert_eq!(names(&prune_caches(&root, size).unwrap()), ["z"]);
        assert!(prune_caches(&root, size).unwrap().is_empty());
        assert_eq!(names(&prune_caches(&root, 0).unwrap()), ["x"]);
    }

    #[test]
    fn damage_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let sha = fill(&root, "x", "content");
        assert!(verify_cache(&root, "x").unwrap().is_empty());
        root.write(format!("x/{COMMITTED}/{sha}.tar"), "damage")
            .unwrap();
        let faults = verify_cache(&root, "x").unwrap();
        assert!(
            faults.len() == 1 && faults[0].starts_with("a:l: "),
            "{faults:?}"
        );
        assert!(verify_cache(&root, "none").is_err());
    }
}
