use cap_std::ambient_authority;
use cap_std::fs::{MetadataExt, PermissionsExt};
use proptest::prelude::*;

use super::*;

fn scratch() -> (tempfile::TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
    (temp, dir)
}

/// Writes headers as they are, so that hostile names are possible.
fn tar_of(entries: &[(&str, EntryType, u32, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, mode, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.set_link_name_literal(content).unwrap();
        }
        let data = if is_link { "" } else { content };
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn unpack(dir: &Dir, tar: &[u8]) -> Result<(), ExtractError> {
    let destination = Destination {
        layers: dir,
        path: "/layers",
        place: &["a", "l"],
    };
    extract(tar, &destination, ExtractLimits::LAYER)
}

#[test]
fn modes_links_and_content_come_back() {
    let (_temp, dir) = scratch();
    let tar = tar_of(&[
        ("/layers", EntryType::Directory, 0o755, ""),
        ("/layers/a", EntryType::Directory, 0o700, ""),
        ("/layers/a/l", EntryType::Directory, 0o755, ""),
        ("/layers/a/l/d", EntryType::Directory, 0o555, ""),
        ("/layers/a/l/d/f", EntryType::Regular, 0o4751, "x"),
        (
            "/layers/a/l/abs",
            EntryType::Symlink,
            0o777,
            "/nowhere/at/all",
        ),
    ]);
    unpack(&dir, &tar).unwrap();
    let mode = |path: &str| dir.symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("a/l/d"), 0o555);
    assert_eq!(mode("a/l/d/f"), 0o751, "a file loses its set-user-id bit");
    assert_eq!(dir.read_to_string("a/l/d/f").unwrap(), "x");
    assert_eq!(
        rustix::fs::readlinkat(&dir, "a/l/abs", Vec::new())
            .unwrap()
            .as_bytes(),
        b"/nowhere/at/all"
    );
    assert_eq!(dir.metadata("a/l/d/f").unwrap().mtime(), NORMALIZED_TIME);
}

#[test]
fn entries_outside_the_place_are_refused() {
    for (name, kind) in [
        ("/layers/a/other/f", EntryType::Regular),
        ("/layers/a/l/../other", EntryType::Regular),
        ("../x", EntryType::Regular),
        ("/etc/passwd", EntryType::Regular),
        ("/layers/a", EntryType::Regular),
        ("/layers/a/l/f", EntryType::Link),
        ("/layers/a/l/f", EntryType::Block),
        ("/layers/a/l/f", EntryType::Fifo),
    ] {
        let (_temp, dir) = scratch();
        let result = unpack(&dir, &tar_of(&[(name, kind, 0o644, "x")]));
        assert!(
            matches!(result, Err(ExtractError::Refused { .. })),
            "{name} {result:?}"
        );
        assert_eq!(dir.entries().unwrap().count(), 0, "{name}");
    }
}

#[test]
fn a_link_in_the_way_is_never_followed() {
    let (_temp, dir) = scratch();
    let (outside_temp, outside) = scratch();
    let target = outside_temp.path().to_str().unwrap();
    let through = tar_of(&[
        ("/layers/a/l/x", EntryType::Symlink, 0o777, target),
        ("/layers/a/l/x/f", EntryType::Regular, 0o644, "x"),
    ]);
    assert!(matches!(
        unpack(&dir, &through),
        Err(ExtractError::Write { .. })
    ));
    let over = tar_of(&[("/layers/a/l/x", EntryType::Regular, 0o644, "y")]);
    unpack(&dir, &over).unwrap();
    assert_eq!(dir.read_to_string("a/l/x").unwrap(), "y");
    assert_eq!(outside.entries().unwrap().count(), 0);
}

#[test]
fn a_truncated_tar_is_damage() {
    let (_temp, dir) = scratch();
    let tar = tar_of(&[("/layers/a/l/f", EntryType::Regular, 0o644, "x")]);
    assert!(matches!(
        unpack(&dir, &tar[..512]),
        Err(ExtractError::Read { .. })
    ));
}

#[test]
fn limits_hold() {
    let (_temp, dir) = scratch();
    let tar = tar_of(&[("/layers/a/l/f", EntryType::Regular, 0o644, "xyz")]);
    let destination = Destination {
        layers: &dir,
        path: "/layers",
        place: &["a", "l"],
    };
    let with = |bytes, entries| extract(&*tar, &destination, ExtractLimits { bytes, entries });
    with(3, 1).unwrap();
    assert!(matches!(with(2, 1), Err(ExtractError::Refused { .. })));
    assert!(matches!(with(3, 0), Err(ExtractError::Refused { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_panic_or_escape(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let (_temp, dir) = scratch();
        let _result = unpack(&dir, &bytes);
    }
}
