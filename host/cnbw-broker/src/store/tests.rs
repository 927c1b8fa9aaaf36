use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use cap_std::ambient_authority;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(place.path(), ambient_authority()).unwrap();
    (place, Store::open(dir).unwrap())
}

fn put(store: &Store, content: &[u8], expected: Option<&ContentDigest>) -> Result<Blob, String> {
    let mut writer = store.writer(expected).unwrap();
    writer.write(content).unwrap();
    writer.finish().unwrap()
}

fn digest_of(content: &[u8], algorithm: &str, digits: usize) -> ContentDigest {
    let any = ContentDigest::parse(&format!("{algorithm}:{}", "0".repeat(digits))).unwrap();
    let mut hasher = Hasher::new(Some(&any));
    hasher.update(content);
    ContentDigest::parse(hasher.finish().like(&any)).unwrap()
}

fn content(blob: Blob) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = blob.file;
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn files(place: &tempfile::TempDir, directory: &str) -> usize {
    place.path().join(directory).read_dir().unwrap().count()
}

#[test]
fn a_file_is_found_by_each_digest_that_it_was_asked_for_by() {
    let (place, store) = store();
    let sha256 = digest_of(b"abc", "sha256", 64);
    assert!(store.get(&sha256).unwrap().is_none());
    for (algorithm, digits) in [("sha256", 64), ("sha384", 96), ("sha512", 128)] {
        let digest = digest_of(b"abc", algorithm, digits);
        let blob = put(&store, b"abc", Some(&digest)).unwrap();
        assert_eq!((&blob.digest, blob.size), (&sha256, 3));
        assert_eq!(content(blob), b"abc");
        let blob = store.get(&digest).unwrap().unwrap();
        assert_eq!((&blob.digest, blob.size), (&sha256, 3));
        assert!(
            std::io::Write::write(&mut &blob.file, b"x").is_err(),
            "for reading only"
        );
        assert_eq!(content(blob), b"abc");
    }
    assert_eq!((files(&place, "sha256"), files(&place, "tmp")), (1, 0));
    assert_eq!(files(&place, "index"), 2);
    let mode = place
        .path()
        .join("sha256")
        .metadata()
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);
}

#[test]
fn a_file_with_another_digest_is_not_kept() {
    let (place, store) = store();
    let expected = digest_of(b"abc", "sha512", 128);
    let found = put(&store, b"abd", Some(&expected)).unwrap_err();
    assert_eq!(found, digest_of(b"abd", "sha512", 128).as_str());
    let mut writer = store.writer(None).unwrap();
    writer.write(b"half").unwrap();
    drop(writer);
    assert_eq!((files(&place, "sha256"), files(&place, "tmp")), (0, 0));
}

#[test]
fn a_file_that_changed_is_not_handed_out() {
    let (place, store) = store();
    let digest = digest_of(b"abc", "sha256", 64);
    put(&store, b"abc", None).unwrap();
    let path = place.path().join("sha256").join(digits(digest.as_str()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test damages a file")]
    std::fs::write(&path, "abx").unwrap();
    assert!(store.get(&digest).unwrap().is_none());
    assert!(!path.exists());
    // An index that leads to another file does not count either.
    let long = digest_of(b"abc", "sha512", 128);
    put(&store, b"abc", Some(&long)).unwrap();
    let other = put(&store, b"other", None).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test damages a file")]
    std::fs::write(place.path().join(index_path(&long)), other.digest.as_str()).unwrap();
    assert!(store.get(&long).unwrap().is_none());
}

#[test]
fn links_in_the_store_are_not_followed() {
    let (place, store) = store();
    let digest = digest_of(b"abc", "sha256", 64);
    let path = place.path().join("sha256").join(digits(digest.as_str()));
    std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
    assert!(store.get(&digest).is_err());
}

#[test]
fn pruning_keeps_what_was_used_last() {
    let (place, store) = store();
    let digests: Vec<ContentDigest> = [b"aaaa", b"bbbb", b"cccc"]
        .iter()
        .map(|content| {
            let digest = digest_of(*content, "sha384", 96);
            put(&store, *content, Some(&digest)).unwrap();
            // File systems count time in ticks of the kernel.
            std::thread::sleep(std::time::Duration::from_millis(20));
            digest
        })
        .collect();
    store.get(&digests[0]).unwrap().unwrap();
    let held = store.list().unwrap();
    assert_eq!(held.len(), 3);
    assert_eq!(held[2].digest, digest_of(b"aaaa", "sha256", 64));
    // A writer that lives, and what a dead one left.
    let mut writer = store.writer(None).unwrap();
    writer.write(b"x").unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test leaves a file behind")]
    std::fs::write(place.path().join("tmp/1-0"), "left").unwrap();
    let pruned = store.prune(8).unwrap();
    assert_eq!((pruned.files, pruned.bytes), (1, 4));
    assert!(store.get(&digests[1]).unwrap().is_none());
    assert!(store.get(&digests[0]).unwrap().is_some());
    assert!(store.get(&digests[2]).unwrap().is_some());
    assert_eq!((files(&place, "tmp"), files(&place, "index")), (1, 2));
    assert_eq!(store.prune(0).unwrap().files, 2);
    writer.finish().unwrap().unwrap();
    assert_eq!(files(&place, "sha256"), 1);
}

#[test]
fn many_writers_of_one_file_do_not_disturb_each_other() {
    let (place, store) = store();
    let digest = digest_of(b"abc", "sha256", 64);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    put(&store, b"abc", Some(&digest)).unwrap();
                    assert_eq!(content(store.get(&digest).unwrap().unwrap()), b"abc");
                }
            });
        }
    });
    assert_eq!((files(&place, "sha256"), files(&place, "tmp")), (1, 0));
}
