use std::collections::BTreeMap;
use std::io::Write as _;
use std::io::{self, Read};
use std::process::{Command, Stdio};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw_unpack::{Format, Limit, Limits, Options, UnpackError, unpack_stream};
use proptest::prelude::*;

use crate::place::Place;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // The system's own program is another writer than our reader's library.
    filter("gzip", &["-c", "-1"], bytes)
}

fn filter(program: &str, arguments: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let copy = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&copy).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
    writer.include_checksum(true).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// An archive as the `tar` crate writes it.
fn written(files: &BTreeMap<String, (u32, Vec<u8>)>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, (mode, content)) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, name, content.as_slice())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

fn sample() -> Vec<u8> {
    let mut files = BTreeMap::new();
    for index in 0..50_usize {
        let content = (0..index * 401)
            .map(|byte| u8::try_from(byte * byte % 251).unwrap())
            .collect();
        files.insert(format!("dir{}/file{index}", index % 7), (0o644, content));
    }
    written(&files)
}

#[test]
fn every_compression_gives_the_same_tree() {
    let plain = sample();
    let place = Place::new();
    let expected = place.unpack(&plain).unwrap();
    assert_eq!(expected.files, 50);
    let half = plain.len() / 2;
    let members = [gzip(&plain[..half]), gzip(b""), gzip(&plain[half..])].concat();
    let frames = [zst(&plain[..half]), zst(&plain[half..])].concat();
    let streams = [xz(&plain[..half]), xz(&plain[half..])].concat();
    let mut padded = gzip(&plain);
    padded.resize(padded.len() + 700, 0);
    for archive in [
        gzip(&plain),
        members,
        padded,
        xz(&plain),
        streams,
        zst(&plain),
        frames,
    ] {
        let other = Place::new();
        assert_eq!(other.unpack(&archive).unwrap(), expected);
        assert_eq!(other.tree(), place.tree());
        let other = Place::new();
        assert_eq!(other.unpack_stream(&archive).unwrap(), expected);
    }
}

#[test]
fn compressed_archives_are_checked_to_their_end() {
    let plain = sample();
    for archive in [gzip(&plain), xz(&plain), zst(&plain)] {
        for cut in [1, 4, 9, archive.len() / 2] {
            let result = Place::new().unpack(&archive[..archive.len() - cut]);
            assert!(
                matches!(
                    result,
                    Err(UnpackError::Damaged { .. } | UnpackError::Decode { .. })
                ),
                "{cut}: {result:?}"
            );
        }
        let mut trailing = archive.clone();
        trailing.extend_from_slice(b"something");
        let result = Place::new().unpack(&trailing);
        assert!(result.is_err(), "{result:?}");
    }
    // The checks of the content: a flipped bit in gzip's own and in zstd's is nothing that a decoder needs.
    for (archive, from_end) in [(gzip(&plain), 5), (zst(&plain), 1)] {
        let mut bent = archive;
        let place = bent.len() - from_end;
        bent[place] ^= 1;
        let result = Place::new().unpack(&bent);
        assert!(
            matches!(result, Err(UnpackError::Decode { .. })),
            "{result:?}"
        );
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let archive = gzip(&crate::tar_cases::entry(
        b'0',
        b"zeros",
        0o644,
        b"",
        &vec![0; 8 << 20],
    ));
    let limits = Limits {
        decoded_bytes: 1 << 20,
        ..Limits::default()
    };
    let place = Place::new();
    match place.unpack_with(&archive, &Options::new(Format::Auto, limits)) {
        Err(UnpackError::Limit { limit, .. }) => assert_eq!(limit, Limit::DecodedBytes(1 << 20)),
        other => panic!("{other:?}"),
    }
    assert!(place.tree().is_empty());
}

#[test]
fn the_systems_own_tar_is_understood() {
    let source = tempfile::tempdir().unwrap();
    let long = "long-".repeat(30);
    std::fs::create_dir_all(source.path().join(&long).join(&long)).unwrap();
    std::fs::write(source.path().join(&long).join(&long).join("f"), "1").unwrap();
    std::os::unix::fs::symlink("../x", source.path().join("link")).unwrap();
    std::fs::write(source.path().join("one"), "2").unwrap();
    std::fs::hard_link(source.path().join("one"), source.path().join("two")).unwrap();
    let folder = source.path().to_str().unwrap();
    for format in ["gnu", "pax", "ustar"] {
        let flag = format!("--format={format}");
        let mut arguments = vec![flag.as_str(), "-C", folder, "-cf", "-", "."];
        if format == "ustar" {
            arguments.insert(1, "--exclude=long-*");
        }
        let archive = filter("tar", &arguments, b"");
        let place = Place::new();
        let summary = place.unpack(&archive).unwrap();
        assert_eq!((summary.symlinks, summary.hard_links), (1, 1), "{format}");
        let tree = place.tree();
        assert_eq!(tree.get("one").unwrap(), "f 644 2");
        assert_eq!(tree.get("two").unwrap(), "f 644 2");
        if format != "ustar" {
            assert_eq!(tree.get(&format!("{long}/{long}/f")).unwrap(), "f 644 1");
        }
    }
}

/// Fails in the middle.
struct Broken<'a>(&'a [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::Error::other("the disk is gone"));
        }
        self.0.read(buffer)
    }
}

#[test]
fn a_source_that_fails_is_not_called_damaged() {
    for archive in [sample(), gzip(&sample()), xz(&sample()), zst(&sample())] {
        let place = Place::new();
        let dir = Dir::open_ambient_dir(place.target_path(), ambient_authority()).unwrap();
        let options = Options::new(Format::Auto, Limits::default());
        let half = Broken(&archive[..archive.len() / 2]);
        let result = unpack_stream(half, &dir, &options, &mut |_| {});
        assert!(
            matches!(result, Err(UnpackError::Read { .. })),
            "{result:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_packed_comes_out(files in proptest::collection::btree_map(
        "[a-z]{1,3}(/[a-zA-Z0-9 ü._-]{0,60}x){0,4}",
        (0_u32..0o1000, proptest::collection::vec(any::<u8>(), 0..2000)), 0..12)) {
        let names: Vec<String> = files.keys().cloned().collect();
        let clash = names.iter().any(|one| names.iter().any(|other| other.starts_with(&format!("{one}/"))));
        prop_assume!(!clash);
        let place = Place::new();
        let summary = place.unpack(&gzip(&written(&files))).unwrap();
        prop_assert_eq!(summary.files, files.len() as u64);
        let tree = place.tree();
        for (name, (mode, content)) in &files {
            let expected = format!("f {mode:o} {}", content.escape_ascii());
            prop_assert_eq!(tree.get(name.as_str()), Some(&expected));
        }
    }

    #[test]
    fn bent_archives_never_reach_outside(flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        for mut archive in [sample(), xz(&sample()), zst(&sample())] {
            for (index, byte) in &flips {
                let place = index.index(archive.len());
                archive[place] = *byte;
            }
            // Whatever the outcome is, nothing outside is touched: the place checks that.
            drop(Place::new().unpack(&archive));
        }
    }
}
