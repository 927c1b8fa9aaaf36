use cap_std::ambient_authority;
use cnbw_oci::layer::{LayerWriter, Owner};

use super::*;

fn temp() -> (tempfile::TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
    (temp, dir)
}

fn open(dir: &Dir) -> DirectoryCache {
    DirectoryCache::open(dir.try_clone().unwrap(), "test").unwrap()
}

fn layer(dir: &Dir, content: &str) -> LayerBlob {
    let mut writer = LayerWriter::create(dir, &LayerOptions::default()).unwrap();
    writer
        .add_file("/layers/a/l", Owner::ROOT, 0o644, content.as_bytes())
        .unwrap();
    writer.finish().unwrap()
}

fn is_usable(cache: &DirectoryCache, diff_id: &DiffId) -> bool {
    matches!(cache.open_layer(diff_id).unwrap(), CachedLayer::Usable(_))
}

// shows: restore-018 restore-019
#[test]
fn a_cache_is_replaced_as_a_whole() {
    let (_scratch_temp, scratch) = temp();
    let (_temp, dir) = temp();
    let first = layer(&scratch, "1");
    let first_id = first.diff_id;
    open(&dir)
        .replace(&CacheMetadata::default(), vec![first])
        .unwrap();
    let old = open(&dir);
    assert!(old.exists() && is_usable(&old, &first_id));
    let second = layer(&scratch, "2");
    let second_id = second.diff_id;
    open(&dir)
        .replace(&CacheMetadata::default(), vec![second])
        .unwrap();
    let new = open(&dir);
    assert!(is_usable(&new, &second_id) && !is_usable(&new, &first_id));
    assert!(
        !is_usable(&old, &second_id),
        "an opened cache stays what it was"
    );
    // Opening makes an empty staging directory, as the reference does.
    let names = files::sorted_names(&dir).unwrap();
    assert_eq!(names, [COMMITTED, STAGING]);
    assert_eq!(dir.read_dir(STAGING).unwrap().count(), 0);
}

#[test]
fn an_unchanged_layer_shares_its_file_and_a_damaged_one_is_repaired() {
    use cap_std::fs::MetadataExt;

    let (_scratch_temp, scratch) = temp();
    let (_temp, dir) = temp();
    let blob = layer(&scratch, "1");
    let (id, path) = (
        blob.diff_id,
        format!("{COMMITTED}/{}", file_name(&blob.diff_id)),
    );
    open(&dir)
        .replace(&CacheMetadata::default(), vec![blob])
        .unwrap();
    let inode = dir.metadata(&path).unwrap().ino();
    open(&dir)
        .replace(&CacheMetadata::default(), vec![layer(&scratch, "1")])
        .unwrap();
    assert_eq!(dir.metadata(&path).unwrap().ino(), inode);
    dir.write(&path, "damage").unwrap();
    assert!(!is_usable(&open(&dir), &id));
    open(&dir)
        .replace(&CacheMetadata::default(), vec![layer(&scratch, "1")])
        .unwrap();
    assert!(is_usable(&open(&dir), &id));
}

#[test]
fn an_interrupted_replacement_leaves_the_old_cache() {
    let (_scratch_temp, scratch) = temp();
    let (_temp, dir) = temp();
    let blob = layer(&scratch, "1");
    let id = blob.diff_id;
    open(&dir)
        .replace(&CacheMetadata::default(), vec![blob])
        .unwrap();
    // Killed between the two renames.
    dir.rename(COMMITTED, &dir, BACKUP).unwrap();
    assert!(is_usable(&open(&dir), &id));
    // Killed before the backup was removed.
    dir.create_dir(BACKUP).unwrap();
    assert!(is_usable(&open(&dir), &id));
    assert_eq!(files::sorted_names(&dir).unwrap(), [COMMITTED, STAGING]);
}

#[test]
fn builds_at_once_never_mix() {
    let (_temp, dir) = temp();
    std::thread::scope(|scope| {
        for content in ["1", "2", "3", "4"] {
            let dir = &dir;
            scope.spawn(move || {
                let (_scratch_temp, scratch) = temp();
                for _ in 0..5 {
                    let metadata = CacheMetadata {
                        sbom: Some(layer(&scratch, content).diff_id.to_string()),
                        buildpacks: Vec::new(),
                    };
                    let layers = vec![layer(&scratch, content)];
                    open(dir).replace(&metadata, layers).unwrap();
                }
            });
        }
    });
    let cache = open(&dir);
    let sbom = cache.metadata().unwrap().sbom.unwrap();
    assert!(is_usable(&cache, &sbom.parse().unwrap()));
    let committed = dir.open_dir(COMMITTED).unwrap();
    assert_eq!(files::sorted_names(&committed).unwrap().len(), 2);
}

// shows: restore-020
#[test]
fn metadata_that_is_no_json_is_an_empty_cache() {
    let (_temp, dir) = temp();
    let cache = open(&dir);
    assert!(!cache.exists());
    dir.write(format!("{COMMITTED}/{METADATA}"), "garbage")
        .unwrap();
    assert_eq!(cache.metadata().unwrap(), CacheMetadata::default());
}

#[test]
fn files_that_a_power_failure_left_empty_cost_time_and_nothing_else() {
    let (_scratch_temp, scratch) = temp();
    let (_temp, dir) = temp();
    let first = layer(&scratch, "1");
    let id = first.diff_id;
    open(&dir)
        .replace(&CacheMetadata::default(), vec![first])
        .unwrap();
    for entry in dir.read_dir(COMMITTED).unwrap() {
        let name = entry.unwrap().file_name();
        dir.open_dir(COMMITTED).unwrap().write(name, "").unwrap();
    }
    let cache = open(&dir);
    assert_eq!(cache.metadata().unwrap(), CacheMetadata::default());
    assert!(!is_usable(&cache, &id));
    cache
        .replace(&CacheMetadata::default(), vec![layer(&scratch, "1")])
        .unwrap();
    assert!(is_usable(&open(&dir), &id));
}
