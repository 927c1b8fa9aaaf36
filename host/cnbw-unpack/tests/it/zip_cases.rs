use cnbw_unpack::{Format, Limit, Limits, Options, Rule, UnpackError};
use proptest::prelude::*;

use crate::place::{Place, listing, rule_of};
use crate::zips::{ZipEntry, zip};

fn file(name: &str, content: &[u8]) -> ZipEntry {
    ZipEntry::new(name, 0o100_644, content)
}

/// The rule in words that an archive of one file breaks.
fn refusal(entries: &[ZipEntry]) -> String {
    rule_of(Place::new().unpack(&zip(entries))).to_string()
}

fn fault(archive: &[u8]) -> &'static str {
    match Place::new().unpack(archive) {
        Err(UnpackError::Damaged { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn entries_come_out_with_modes_and_links() {
    let place = Place::new();
    let mut follows = file("later", b"values after").deflated();
    follows.flags = 8;
    let mut wide = file("wide", b"64 bits").deflated();
    wide.zip64 = true;
    let mut dos = file("dos", b"x");
    dos.made_by = 0;
    let mut bare = file("bare", b"");
    bare.external = 0;
    let archive = zip(&[
        ZipEntry::new("d/", 0o040_750, b""),
        ZipEntry::new("d/run", 0o106_755, &[b'a'; 5000]).deflated(),
        ZipEntry::new("link", 0o120_777, b"/layers/../x"),
        follows,
        wide,
        dos,
        bare,
    ]);
    let summary = place.unpack(&archive).unwrap();
    let run = format!("f 755 {}", "a".repeat(5000));
    assert_eq!(
        place.tree(),
        listing(&[
            ("bare", "f 644 "),
            ("d", "d 750"),
            ("d/run", &run),
            ("dos", "f 644 x"),
            ("later", "f 644 values after"),
            ("link", "l /layers/../x"),
            ("wide", "f 644 64 bits"),
        ])
    );
    assert_eq!((summary.files, summary.symlinks), (5, 1));
    let empty = Place::new().unpack(&zip(&[])).unwrap();
    assert_eq!(empty.files, 0);
}

#[test]
fn names_and_links_lead_nowhere_else() {
    for (name, rule) in [
        ("../x", Rule::Upwards),
        ("/x", Rule::Absolute),
        ("a\\b", Rule::ForeignPath),
        ("", Rule::NoName),
    ] {
        let result = Place::new().unpack(&zip(&[file(name, b"")]));
        assert_eq!(rule_of(result), rule, "{name}");
    }
    let link = ZipEntry::new("d", 0o120_777, b"../outside");
    let result = Place::new().unpack(&zip(&[link.clone(), file("d/canary", b"dead")]));
    assert_eq!(rule_of(result), Rule::ThroughLink);
    let fifo = ZipEntry::new("f", 0o010_644, b"");
    assert_eq!(rule_of(Place::new().unpack(&zip(&[fifo]))), Rule::Special);
    let full = ZipEntry::new("f/", 0o040_755, b"x");
    assert_eq!(rule_of(Place::new().unpack(&zip(&[full]))), Rule::Content);
    let long = ZipEntry::new("l", 0o120_777, &[b'x'; 5000]);
    assert_eq!(
        rule_of(Place::new().unpack(&zip(&[long]))),
        Rule::LinkTarget
    );
}

#[test]
fn two_headers_that_differ_are_refused() {
    let mut other_name = file("a", b"x");
    other_name.local_name = b"b".to_vec();
    assert_eq!(refusal(&[other_name]), "its two headers give two names");
    let archive = zip(&[file("a", b"x")]);
    // The sizes and the way of compression before the entry.
    for (position, words) in [
        (8, "its two headers give two ways of compression"),
        (14, "its two headers give two sizes or checksums"),
        (18, "its two headers give two sizes or checksums"),
        (22, "its two headers give two sizes or checksums"),
        (6, "it is encrypted or patched"),
    ] {
        let mut bent = archive.clone();
        bent[position] ^= 1;
        let rule = rule_of(Place::new().unpack(&bent));
        assert_eq!(rule.to_string(), words, "{position}");
    }
    let mut encrypted = file("a", b"x");
    encrypted.flags = 1;
    assert_eq!(refusal(&[encrypted]), "it is encrypted or patched");
    let mut method = file("a", b"x");
    method.method = 12;
    assert_eq!(
        refusal(&[method]),
        "its way of compression is neither `stored` nor `deflated`"
    );
}

#[test]
fn entries_that_share_bytes_are_refused() {
    let mut archive = zip(&[file("a", b"xxxxxxxx"), file("a", b"xxxxxxxx")]);
    // The second entry of the directory is made to begin where the first does.
    let second = archive.len() - 22 - 47 + 42;
    archive[second..second + 4].fill(0);
    let rule = rule_of(Place::new().unpack(&archive));
    assert_eq!(rule.to_string(), "it overlaps another entry");
}

#[test]
fn content_is_checked_against_the_directory() {
    let honest = file("a", b"content").deflated();
    let mut crc = honest.clone();
    crc.crc ^= 1;
    let place = Place::new();
    assert!(place.unpack(&zip(&[crc.clone()])).is_err());
    assert!(place.tree().is_empty(), "nothing of it stays");
    assert_eq!(fault(&zip(&[crc])), "the checksum of an entry is wrong");
    let mut larger = honest.clone();
    larger.size -= 1;
    assert_eq!(
        fault(&zip(&[larger])),
        "an entry is larger than the directory says"
    );
    let mut smaller = honest.clone();
    smaller.size += 1;
    assert_eq!(
        fault(&zip(&[smaller])),
        "an entry is smaller than the directory says"
    );
    let mut trailing = honest.clone();
    trailing.data.extend_from_slice(b"more");
    assert_eq!(
        fault(&zip(&[trailing])),
        "something follows after an entry's content"
    );
    let mut stored = file("a", b"content");
    stored.size -= 1;
    assert_eq!(fault(&zip(&[stored])), "an entry's two sizes differ");
}

#[test]
fn the_end_has_to_be_where_it_belongs() {
    let archive = zip(&[file("a", b"content")]);
    for cut in 1..30 {
        let result = Place::new().unpack(&archive[..archive.len() - cut]);
        assert!(
            matches!(result, Err(UnpackError::Damaged { .. })),
            "{cut}: {result:?}"
        );
    }
    let mut trailing = archive.clone();
    trailing.push(0);
    assert_eq!(fault(&trailing), "it has no directory at its end");
    let mut shifted = zip(&[file("x", b"")])[..31].to_vec();
    shifted.extend_from_slice(&archive);
    assert_eq!(fault(&shifted), "its directory is not where its end says");
    let mut count = archive.clone();
    let place = count.len() - 22 + 8;
    count[place] = 2;
    count[place + 2] = 2;
    assert_eq!(
        fault(&count),
        "the directory does not have as many entries as it says"
    );
}

#[test]
fn limits_hold_for_zip_archives() {
    let archive = zip(&[file("a", &[0; 5000]).deflated(), file("b", b"x")]);
    let limits = Limits::default();
    for (limits, limit) in [
        (
            Limits {
                bytes: 4999,
                ..limits
            },
            Limit::Bytes(4999),
        ),
        (
            Limits {
                entries: 1,
                ..limits
            },
            Limit::Entries(1),
        ),
        (
            Limits {
                read_entries: 1,
                ..limits
            },
            Limit::ReadEntries(1),
        ),
    ] {
        match Place::new().unpack_with(&archive, &Options::new(Format::Zip, limits)) {
            Err(UnpackError::Limit { limit: found, .. }) => assert_eq!(found, limit),
            other => panic!("{limit}: {other:?}"),
        }
    }
    let error = Place::new().unpack_stream(&archive).unwrap_err();
    assert!(matches!(error, UnpackError::Read { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bent_zips_never_reach_outside(flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut archive = zip(&[
            ZipEntry::new("d/", 0o040_750, b""),
            file("d/file", &[b'a'; 300]).deflated(),
            ZipEntry::new("link", 0o120_777, b"d"),
        ]);
        for (index, byte) in &flips {
            let place = index.index(archive.len());
            archive[place] = *byte;
        }
        drop(Place::new().unpack(&archive));
    }
}
