use std::fs::{self, File, Permissions};
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use cap_std::ambient_authority;
use proptest::prelude::*;

use super::*;

const USER: Owner = Owner {
    uid: 1001,
    gid: 1000,
};

struct Place {
    temporary: tempfile::TempDir,
    tree: Dir,
}

/// An empty tree, with mode 0755 whatever the umask is.
fn place() -> Place {
    let temporary = tempfile::tempdir().unwrap();
    fs::set_permissions(temporary.path(), Permissions::from_mode(0o755)).unwrap();
    let tree = Dir::open_ambient_dir(temporary.path(), ambient_authority()).unwrap();
    Place { temporary, tree }
}

impl Place {
    fn path(&self, name: &[u8]) -> PathBuf {
        self.temporary
            .path()
            .join(std::ffi::OsStr::from_bytes(name))
    }

    fn directory(&self, name: &[u8], mode: u32) {
        let path = self.path(name);
        if !path.exists() {
            if let Some(parent) = name.rsplitn(2, |byte| *byte == b'/').nth(1) {
                self.directory(parent, 0o755);
            }
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
    }

    #[expect(clippy::disallowed_methods, reason = "test fixtures are made by path")]
    fn file(&self, name: &[u8], mode: u32, content: &[u8]) {
        if let Some(parent) = name.rsplitn(2, |byte| *byte == b'/').nth(1) {
            self.directory(parent, 0o755);
        }
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn link(&self, name: &[u8], target: &[u8]) {
        symlink(std::ffi::OsStr::from_bytes(target), self.path(name)).unwrap();
    }
}

fn writer(options: &LayerOptions) -> LayerWriter {
    let scratch = Dir::open_ambient_dir(std::env::temp_dir(), ambient_authority()).unwrap();
    LayerWriter::create(&scratch, options).unwrap()
}

/// A layer of buildpack `a` called `l`, as the recorded cases have it.
fn buildpack_layer(place: &Place) -> LayerBlob {
    let mut layer = writer(&LayerOptions::default());
    layer.add_directory("/layers", USER, 0o755).unwrap();
    layer.add_directory("/layers/a", USER, 0o755).unwrap();
    layer.add_tree("/layers/a/l", &place.tree, USER).unwrap();
    layer.finish().unwrap()
}

fn bytes(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

// The digests below are those that the reference lifecycle recorded for the same content.

#[test]
fn names_are_in_the_order_of_the_reference() {
    let place = place();
    for name in [
        "b", "B", "A", "a-b", "a.b", "a/z", "10", "9", "_", "~", "ab",
    ] {
        place.file(name.as_bytes(), 0o644, b"x");
    }
    assert!(
        buildpack_layer(&place)
            .diff_id
            .hex()
            .starts_with("870638b4535cd8e8")
    );
}

#[test]
fn contents_fill_blocks_as_in_the_reference() {
    let place = place();
    for size in [0, 1, 511, 512, 513, 1024, 10240] {
        place.file(format!("s{size:05}").as_bytes(), 0o644, &vec![b'q'; size]);
    }
    assert!(
        buildpack_layer(&place)
            .diff_id
            .hex()
            .starts_with("b136c776db2defc3")
    );
}

#[test]
fn empty_files_and_directories_are_as_in_the_reference() {
    let place = place();
    place.directory(b"empty", 0o755);
    place.file(b"zero", 0o644, b"");
    place.directory(b"a/b/c", 0o755);
    assert!(
        buildpack_layer(&place)
            .diff_id
            .hex()
            .starts_with("818fc1e7677f041a")
    );
}

#[test]
fn long_names_are_as_in_the_reference() {
    let place = place();
    let deep = format!("{}/{}/f.txt", "d".repeat(60), "e".repeat(60));
    for name in [deep, "n".repeat(120), "m".repeat(99)] {
        place.file(name.as_bytes(), 0o644, b"x");
    }
    assert!(
        buildpack_layer(&place)
            .diff_id
            .hex()
            .starts_with("4a78d08f02cb8d92")
    );
}

#[test]
fn odd_names_are_as_in_the_reference() {
    let place = place();
    for name in [
        "a b",
        "quote'\"",
        "back\\slash",
        "tab\there",
        "star*",
        "-dash",
    ] {
        place.file(name.as_bytes(), 0o644, b"x");
    }
    assert!(
        buildpack_layer(&place)
            .diff_id
            .hex()
            .starts_with("a2054eaca799cfd2")
    );
}

#[test]
fn big_ids_are_as_in_the_reference() {
    let place = place();
    place.file(b"app.txt", 0o644, b"hello\n");
    place.file(b"bin/run", 0o755, b"#!/bin/sh\n");
    let mut layer = writer(&LayerOptions::default());
    let owner = Owner {
        uid: 3_000_000_000,
        gid: 3_000_000_001,
    };
    layer.add_tree("/workspace", &place.tree, owner).unwrap();
    let blob = layer.finish().unwrap();
    assert!(blob.diff_id.hex().starts_with("369db078a2a75f82"));
}

#[test]
fn an_empty_application_and_an_empty_slice_are_as_in_the_reference() {
    let mut layer = writer(&LayerOptions::default());
    layer
        .add_path("/workspace", &place().tree, "".as_ref(), USER)
        .unwrap();
    let blob = layer.finish().unwrap();
    assert!(blob.diff_id.hex().starts_with("07480762a31022c7"));
    let empty = writer(&LayerOptions::default()).finish().unwrap();
    assert_eq!(empty.tar_size, 1024);
    assert!(
        empty
            .diff_id
            .hex()
            .starts_with("5f70bf18a086007016e948b04aed3b82")
    );
}

#[test]
fn written_files_are_as_in_the_reference() {
    let mut layer = writer(&LayerOptions::default());
    for path in ["/layers", "/layers/sbom", "/layers/sbom/launch"] {
        layer.add_directory(path, USER, 0o755).unwrap();
    }
    let path = "/layers/sbom/launch/sbom.legacy.json";
    layer.add_file(path, USER, 0o644, b"null\n").unwrap();
    let blob = layer.finish().unwrap();
    assert!(blob.diff_id.hex().starts_with("120601953533b126"));
}

/// A tree with everything that may be in a layer. Its digests come from the reference's layer factory.
fn rich_tree() -> Place {
    let place = place();
    place.directory(b"sticky", 0o1777);
    place.directory(b"private", 0o700);
    place.directory(b"setgid", 0o2755);
    for (name, mode) in [
        ("setuid", 0o4755),
        ("owner", 0o400),
        ("all", 0o777),
        ("group", 0o640),
    ] {
        place.file(name.as_bytes(), mode, b"x");
    }
    place.file(b"exec", 0o755, b"#!/bin/sh\n");
    for name in ["é/ü.txt", "d/a", "d-b", "d.c"] {
        place.file(name.as_bytes(), 0o644, b"x");
    }
    place.file(b"latin\xe9", 0o644, b"x");
    let deep = format!("{}/{}/f", "n".repeat(60), "m".repeat(60));
    place.file(deep.as_bytes(), 0o644, b"x");
    place.file("k".repeat(150).as_bytes(), 0o644, b"x");
    for size in [511, 512, 513] {
        place.file(
            format!("blocks/{size}").as_bytes(),
            0o644,
            &vec![b'a'; size],
        );
    }
    place.link(b"link", b"exec");
    place.link(b"outside", b"../../etc/passwd");
    place.link(b"longlink", format!("/{}", "t".repeat(120)).as_bytes());
    place.link("umlaut".as_bytes(), "ü".as_bytes());
    place.link(b"dirlink", b"d");
    place.link(b"dangling", b"gone");
    fs::hard_link(place.path(b"exec"), place.path(b"hard")).unwrap();
    place
}

#[test]
fn modes_links_and_foreign_names_are_as_in_the_reference() {
    let place = rich_tree();
    let mut layer = writer(&LayerOptions::default());
    layer.add_directory("/cnbo", Owner::ROOT, 0o755).unwrap();
    layer.add_tree("/cnbo/tree", &place.tree, USER).unwrap();
    let blob = layer.finish().unwrap();
    assert_eq!(blob.diff_id.to_string(), RICH_WALKED);
    assert_eq!(blob.descriptor.digest.digest(), blob.diff_id.digest());
    assert_eq!(blob.descriptor.size, blob.tar_size);
}

#[test]
fn a_slice_sorted_by_full_path_is_as_in_the_reference() {
    let place = rich_tree();
    let scanned = scan_tree(&place.tree).unwrap();
    let mut layer = writer(&LayerOptions::default());
    layer.add_directory("/cnbo", Owner::ROOT, 0o755).unwrap();
    layer
        .add_path("/cnbo/tree", &place.tree, "".as_ref(), USER)
        .unwrap();
    let paths = scanned.iter().map(|entry| &entry.path);
    layer
        .add_paths("/cnbo/tree", &place.tree, paths, USER)
        .unwrap();
    assert_eq!(layer.finish().unwrap().diff_id.to_string(), RICH_SORTED);
}

const RICH_WALKED: &str = "sha256:9e169b0d4e76ab7944d5f4eae86bd7a588cba18c3ccced5e09be49c3edfe2bbd";
const RICH_SORTED: &str = "sha256:37cfd599ffdb94d36a29be73a16c9a8b3d682eec462e5daaf773e7a55ee1099f";

#[test]
fn links_are_scanned_and_not_followed() {
    let place = place();
    place.file(b"d/x", 0o644, b"");
    place.link(b"l", b"d");
    let found: Vec<_> = scan_tree(&place.tree).unwrap();
    let names: Vec<_> = found
        .iter()
        .map(|entry| (entry.path.to_str().unwrap(), entry.kind))
        .collect();
    let expected = [
        ("d", EntryKind::Directory),
        ("d/x", EntryKind::File),
        ("l", EntryKind::Symlink),
    ];
    assert_eq!(names, expected);
    let through =
        writer(&LayerOptions::default()).add_path("/w", &place.tree, "l/x".as_ref(), USER);
    assert!(matches!(
        through,
        Err(LayerError::Io { action: "open", .. })
    ));
}

#[test]
fn sockets_are_left_out_and_fifos_are_refused() {
    let place = place();
    let _socket = std::os::unix::net::UnixListener::bind(place.path(b"s")).unwrap();
    let mut layer = writer(&LayerOptions::default());
    layer.add_tree("/workspace", &place.tree, USER).unwrap();
    assert!(
        layer
            .finish()
            .unwrap()
            .diff_id
            .hex()
            .starts_with("07480762a31022c7")
    );
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(&place.tree, "f", rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let refused = writer(&LayerOptions::default()).add_tree("/workspace", &place.tree, USER);
    let text = refused.unwrap_err().to_string();
    assert_eq!(
        text,
        "`/workspace/f` cannot be in a layer: it is a fifo or a device"
    );
}

#[test]
fn whiteouts_and_unclean_paths_are_refused() {
    let place = place();
    place.file(b".wh.x", 0o644, b"");
    let mut layer = writer(&LayerOptions::default());
    assert!(layer.add_tree("/w", &place.tree, USER).is_err());
    for path in ["", "/", "w", "/w/", "//w", "/w/../x", "/./w", "/w\0"] {
        assert!(layer.add_directory(path, USER, 0o755).is_err(), "{path}");
    }
    for relative in ["../x", "/x", "a/../b"] {
        assert!(
            layer
                .add_path("/w", &place.tree, relative.as_ref(), USER)
                .is_err(),
            "{relative}"
        );
    }
}

#[test]
fn directories_nested_without_end_are_refused() {
    let place = place();
    let mut inner = place.tree.try_clone().unwrap();
    for _ in 0..1_100 {
        inner.create_dir("d").unwrap();
        inner = inner.open_dir("d").unwrap();
    }
    let refused = writer(&LayerOptions::default()).add_tree("/w", &place.tree, USER);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .ends_with("nested more than 1024 deep")
    );
}

#[test]
fn docker_has_no_zstd() {
    let options = LayerOptions {
        family: Family::Docker,
        compression: Compression::Zstd,
        ..LayerOptions::default()
    };
    let scratch = Dir::open_ambient_dir(std::env::temp_dir(), ambient_authority()).unwrap();
    assert!(matches!(
        LayerWriter::create(&scratch, &options),
        Err(LayerError::NoMediaType)
    ));
}

#[test]
fn the_blob_does_not_depend_on_the_number_of_threads() {
    let place = place();
    let text: Vec<u8> = (0..700_000_u32)
        .flat_map(|number| number.to_string().into_bytes())
        .collect();
    place.file(b"text", 0o644, &text);
    place.file(b"random", 0o644, &noise(3_000_000));
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let blobs = [1, 2, 5].map(|workers| {
            let mut layer = writer(&LayerOptions {
                compression,
                workers,
                ..LayerOptions::default()
            });
            layer.add_tree("/w", &place.tree, USER).unwrap();
            layer.finish().unwrap()
        });
        for mut blob in blobs {
            let stored = bytes(&mut blob.file);
            assert_eq!(
                Descriptor::of(blob.descriptor.media_type.clone(), &stored),
                blob.descriptor
            );
            let mut tar = Vec::new();
            crate::compress::open(stored.as_slice())
                .unwrap()
                .read_to_end(&mut tar)
                .unwrap();
            assert_eq!(DiffId::of(&tar), blob.diff_id);
            assert_eq!(blob.descriptor.digest.hex(), expected(compression));
        }
    }
}

fn expected(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "debcd5499f7c60870806c144da4816a3dbe2fac5bb630a5850ef09111b2b863d",
        Compression::Gzip => "78dcf2d420d74d071655957069025a31c38235b7e862c07ea8ee31a73749cfa6",
        Compression::Zstd => "312efc66cc5824170af6aa543e995f06b457b74e9473b547f7d838fc0d65c4b2",
    }
}

/// Bytes that do not compress, the same on each run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next)
        .flatten()
        .take(length)
        .collect()
}

proptest! {
    #[test]
    fn other_readers_read_back_what_was_added(
        name in "[a-zé%\\\\]{1,40}(/[a-z ]{1,90}){0,3}",
        link in "/?[a-zü]{1,120}",
        content in proptest::collection::vec(any::<u8>(), 0..2000),
        mode in 0..=0o7777_u32,
        uid in 0..=u64::from(u32::MAX),
    ) {
        let owner = Owner { uid, gid: 7 };
        let mut layer = writer(&LayerOptions::default());
        layer.add_file(&format!("/{name}"), owner, mode, &content).unwrap();
        layer.add_symlink(&format!("/{name}-link"), owner, 0o777, &link).unwrap();
        let tar = bytes(&mut layer.finish().unwrap().file);
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut entries = archive.entries().unwrap();
        let mut file = entries.next().unwrap().unwrap();
        prop_assert_eq!(file.path_bytes().into_owned(), format!("/{name}").into_bytes());
        prop_assert_eq!(file.header().mode().unwrap(), mode);
        prop_assert_eq!(file.header().mtime().unwrap(), 315_532_801);
        let mut read = Vec::new();
        file.read_to_end(&mut read).unwrap();
        prop_assert_eq!(read, content);
        let found = entries.next().unwrap().unwrap();
        prop_assert_eq!(found.link_name_bytes().unwrap().into_owned(), link.into_bytes());
        prop_assert!(entries.next().is_none());
    }
}
