use std::fmt::Write as _;

use cnbw_unpack::{Filter, Format, Limit, Limits, Options, Rule, UnpackError};

use crate::place::{Place, listing, rule_of};

/// One entry, with a header as it is given.
pub(crate) fn entry(kind: u8, name: &[u8], mode: u32, link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(format!("{mode:07o}").as_bytes());
    block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut block);
    let mut bytes = block.to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn file(name: &str, content: &str) -> Vec<u8> {
    entry(b'0', name.as_bytes(), 0o644, b"", content.as_bytes())
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut content = String::new();
    for (key, value) in records {
        let bare = key.len() + value.len() + 3;
        let mut length = bare + 1;
        while length != bare + length.to_string().len() {
            length = bare + length.to_string().len();
        }
        writeln!(content, "{length} {key}={value}").unwrap();
    }
    entry(b'x', b"PaxHeaders/x", 0o644, b"", content.as_bytes())
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn files_directories_and_links_come_out_as_they_went_in() {
    let place = Place::new();
    let archive = tar(&[
        entry(b'5', b"./", 0o700, b"", b""),
        entry(b'5', b"a/", 0o750, b"", b""),
        entry(b'0', b"a/run", 0o6755, b"", b"x"),
        file("made/on/the/way", "y"),
        entry(b'2', b"a/link", 0o777, b"/layers/x/../y", b""),
        entry(b'1', b"a/same", 0o600, b"a/run", b""),
        entry(b'5', b"shut", 0o555, b"", b""),
        file("shut/in", "z"),
    ]);
    let summary = place.unpack(&archive).unwrap();
    assert_eq!(
        place.tree(),
        listing(&[
            ("a", "d 750"),
            ("a/link", "l /layers/x/../y"),
            ("a/run", "f 755 x"),
            ("a/same", "f 755 x"),
            ("made", "d 755"),
            ("made/on", "d 755"),
            ("made/on/the", "d 755"),
            ("made/on/the/way", "f 644 y"),
            ("shut", "d 555"),
            ("shut/in", "f 644 z"),
        ])
    );
    assert_eq!((summary.files, summary.directories), (4, 5));
    assert_eq!((summary.symlinks, summary.hard_links), (1, 1));
    assert_eq!(summary.bytes, 4);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (name, rule) in [
        (&b"../outside/x"[..], Rule::Upwards),
        (b"a/../../outside/x", Rule::Upwards),
        (b"/tmp/x", Rule::Absolute),
        (b"", Rule::NoName),
        (b"./", Rule::Content),
        (b"C:\\x", Rule::ForeignPath),
    ] {
        let place = Place::new();
        let result = place.unpack(&tar(&[entry(b'0', name, 0o644, b"", b"x")]));
        assert_eq!(rule_of(result), rule, "{}", name.escape_ascii());
        assert!(place.tree().is_empty());
    }
}

#[test]
fn nothing_is_written_through_a_link() {
    let link = |target: &[u8]| entry(b'2', b"d", 0o777, target, b"");
    let through: [Vec<Vec<u8>>; 4] = [
        vec![link(b"../outside"), file("d/canary", "dead")],
        vec![link(b"../outside"), file("d/new/x", "dead")],
        // A directory entry in the place of a link would set the mode of what it leads to.
        vec![link(b"../outside"), entry(b'5', b"d", 0o777, b"", b"")],
        vec![file("real/x", "1"), link(b"real"), file("d/y", "2")],
    ];
    for entries in through {
        let place = Place::new();
        assert_eq!(rule_of(place.unpack(&tar(&entries))), Rule::ThroughLink);
    }
    // Links that were there before are not followed either.
    let place = Place::new();
    std::os::unix::fs::symlink("../outside", place.target_path().join("d")).unwrap();
    let result = place.unpack(&tar(&[file("d/canary", "dead")]));
    assert_eq!(rule_of(result), Rule::ThroughLink);
    // In the place of a file a link is replaced, and what it leads to stays.
    let place = Place::new();
    std::os::unix::fs::symlink("../outside/canary", place.target_path().join("f")).unwrap();
    place.unpack(&tar(&[file("f", "own")])).unwrap();
    assert_eq!(place.tree(), listing(&[("f", "f 644 own")]));
}

#[test]
fn the_last_of_two_entries_stays_unless_one_is_a_directory() {
    let place = Place::new();
    let entries = [
        file("f", "1"),
        file("f", "2"),
        file("l", "3"),
        entry(b'2', b"l", 0o777, b"f", b""),
        entry(b'2', b"g", 0o777, b"f", b""),
        file("g", "4"),
        entry(b'5', b"d", 0o500, b"", b""),
        entry(b'5', b"d", 0o755, b"", b""),
    ];
    place.unpack(&tar(&entries)).unwrap();
    let expected = [
        ("d", "d 755"),
        ("f", "f 644 2"),
        ("g", "f 644 4"),
        ("l", "l f"),
    ];
    assert_eq!(place.tree(), listing(&expected));
    for (entries, rule) in [
        ([file("x/y", "1"), file("x", "2")], Rule::DirectoryInTheWay),
        ([file("x", "1"), file("x/y", "2")], Rule::FileInTheWay),
    ] {
        assert_eq!(rule_of(Place::new().unpack(&tar(&entries))), rule);
    }
}

#[test]
fn hard_links_lead_to_files_of_the_same_archive_only() {
    let link = |target: &[u8]| entry(b'1', b"h", 0o644, target, b"");
    for entries in [
        vec![link(b"../outside/canary")],
        vec![link(b"/etc/passwd")],
        vec![link(b"h")],
        vec![link(b"later"), file("later", "x")],
        vec![
            entry(b'2', b"s", 0o777, b"../outside/canary", b""),
            link(b"s"),
        ],
        vec![
            file("s", "x"),
            entry(b'2', b"s", 0o777, b"/etc/passwd", b""),
            link(b"s"),
        ],
        vec![entry(b'5', b"d", 0o755, b"", b""), link(b"d")],
        vec![link(b"there")],
        vec![link(b"")],
    ] {
        let place = Place::new();
        std::fs::write(place.target_path().join("there"), "not of the archive").unwrap();
        assert_eq!(rule_of(place.unpack(&tar(&entries))), Rule::HardLink);
    }
}

#[test]
fn what_is_neither_file_nor_directory_nor_link_is_refused() {
    for (kind, rule) in [
        (b'3', Rule::Special),
        (b'4', Rule::Special),
        (b'6', Rule::Special),
        (b'S', Rule::Sparse),
        (b'7', Rule::Type(b'7')),
        (b'M', Rule::Type(b'M')),
        (b'V', Rule::Type(b'V')),
    ] {
        let result = Place::new().unpack(&tar(&[entry(kind, b"x", 0o644, b"", b"")]));
        assert_eq!(rule_of(result), rule);
    }
    let full = entry(b'2', b"x", 0o777, b"y", b"content");
    assert_eq!(rule_of(Place::new().unpack(&tar(&[full]))), Rule::Content);
}

#[test]
fn extended_headers_name_entries_or_are_refused() {
    let place = Place::new();
    let long = "n/".repeat(80) + "end";
    let mut gnu = long.clone().into_bytes();
    gnu.push(0);
    let archive = tar(&[entry(
        b'g',
        b"pax_global_header",
        0o644,
        b"",
        b"12 comment=x",
    )]);
    // A global header that is no list of records is one that others may read otherwise.
    assert!(matches!(rule_of(place.unpack(&archive)), Rule::Extended(_)));
    let archive = tar(&[
        entry(b'g', b"pax_global_header", 0o644, b"", b"13 comment=x\n"),
        pax(&[("path", "pax/ü"), ("mtime", "1.5"), ("size", "1")]),
        file("short", "1"),
        entry(b'L', b"././@LongLink", 0o644, b"", &gnu),
        file("short", "2"),
        entry(b'K', b"././@LongLink", 0o644, b"", &gnu),
        entry(b'2', b"link", 0o777, b"short", b""),
    ]);
    let place = Place::new();
    place.unpack(&archive).unwrap();
    let tree = place.tree();
    assert_eq!(tree.get("pax/ü").unwrap(), "f 644 1");
    assert_eq!(tree.get(long.as_str()).unwrap(), "f 644 2");
    assert_eq!(tree.get("link").unwrap(), &format!("l {long}"));
    for entries in [
        vec![pax(&[("path", "a"), ("path", "b")]), file("x", "")],
        vec![pax(&[("path", "a")]), pax(&[("path", "b")]), file("x", "")],
        vec![
            pax(&[("path", "a")]),
            entry(b'L', b"l", 0o644, b"", b"b\0"),
            file("x", ""),
        ],
        vec![pax(&[("size", "512")]), file("x", "")],
        vec![pax(&[("size", "0")]), file("x", "content")],
        vec![
            entry(b'g', b"g", 0o644, b"", b"10 path=ab\n".get(..).unwrap()),
            file("x", ""),
        ],
        vec![entry(b'x', b"x", 0o644, b"", b"99 path=a\n"), file("x", "")],
    ] {
        let rule = rule_of(Place::new().unpack(&tar(&entries)));
        assert!(matches!(rule, Rule::Extended(_)), "{rule}");
    }
    let sparse = [pax(&[("GNU.sparse.major", "1")]), file("x", "")];
    assert_eq!(rule_of(Place::new().unpack(&tar(&sparse))), Rule::Sparse);
}

#[test]
fn what_is_torn_or_bent_is_damaged() {
    let whole = tar(&[file("a", "content"), file("b", "content")]);
    for length in [100, 512, 515, 1024, 1536, 2048, 2100, 2560 - 512 - 1] {
        let result = Place::new().unpack_with(
            &whole[..length],
            &Options::new(Format::Tar, Limits::default()),
        );
        let torn = matches!(&result, Err(UnpackError::Damaged { fault, .. }) if *fault == "it ends too early");
        let unknown = matches!(result, Err(UnpackError::Format { .. }));
        assert!(torn || (unknown && length < 512), "{length}: {result:?}");
    }
    let mut bent = whole.clone();
    bent[1024] ^= 1;
    let result = Place::new().unpack(&bent);
    assert!(
        matches!(result, Err(UnpackError::Damaged { .. })),
        "{result:?}"
    );
    // One block of zeros and then something: some programs stop there, others do not.
    let hidden = [file("a", ""), vec![0; 512], file("b", "")];
    let result = Place::new().unpack(&tar(&hidden));
    assert!(
        matches!(result, Err(UnpackError::Damaged { .. })),
        "{result:?}"
    );
    let mut negative = entry(b'0', b"x", 0o644, b"", b"");
    negative[124..136].fill(0xff);
    seal(&mut negative);
    let result = Place::new().unpack(&tar(&[negative]));
    assert!(
        matches!(result, Err(UnpackError::Damaged { .. })),
        "{result:?}"
    );
    let mut huge = entry(b'0', b"x", 0o644, b"", b"");
    huge[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
    seal(&mut huge);
    let result = Place::new().unpack(&tar(&[huge]));
    assert!(
        matches!(result, Err(UnpackError::Limit { .. })),
        "{result:?}"
    );
}

#[test]
fn limits_hold_before_too_much_is_written() {
    let archive = tar(&[file("a/b/c", "12345"), file("d", "6789")]);
    let limits = Limits::default();
    for (limits, limit) in [
        (Limits { bytes: 8, ..limits }, Limit::Bytes(8)),
        (
            Limits {
                entries: 3,
                ..limits
            },
            Limit::Entries(3),
        ),
        (Limits { depth: 1, ..limits }, Limit::Depth(1)),
        (
            Limits {
                name_bytes: 4,
                ..limits
            },
            Limit::NameBytes(4),
        ),
        (
            Limits {
                decoded_bytes: 900,
                ..limits
            },
            Limit::DecodedBytes(900),
        ),
        (
            Limits {
                read_entries: 1,
                ..limits
            },
            Limit::ReadEntries(1),
        ),
    ] {
        match Place::new().unpack_with(&archive, &Options::new(Format::Tar, limits)) {
            Err(UnpackError::Limit { limit: found, .. }) => assert_eq!(found, limit),
            other => panic!("{limit}: {other:?}"),
        }
    }
    let enough = Limits {
        bytes: 9,
        entries: 4,
        depth: 2,
        ..limits
    };
    let summary = Place::new().unpack_with(&archive, &Options::new(Format::Tar, enough));
    assert_eq!(summary.unwrap().bytes, 9);
}

#[test]
fn stripping_and_filters_choose_a_part() {
    let archive = tar(&[
        file("node-v1/bin/node", "n"),
        file("node-v1/README.md", "r"),
        file("node-v1/lib/x.js", "x"),
        entry(b'1', b"node-v1/bin/again", 0o644, b"node-v1/bin/node", b""),
        file("top", "t"),
    ]);
    let mut options = Options::new(Format::Auto, Limits::default());
    options.strip = 1;
    options.filter = Filter::new::<&str>(&[], &["node-v1/*.md", "node-v1/lib"]).unwrap();
    let place = Place::new();
    let summary = place.unpack_with(&archive, &options).unwrap();
    let expected = [
        ("bin", "d 755"),
        ("bin/again", "f 644 n"),
        ("bin/node", "f 644 n"),
    ];
    assert_eq!(place.tree(), listing(&expected));
    assert_eq!(summary.left_out, 3);
    // A name that is refused is refused wherever the filter would have left it.
    let hostile = tar(&[file("node-v1/../../x.md", "")]);
    assert_eq!(
        rule_of(Place::new().unpack_with(&hostile, &options)),
        Rule::Upwards
    );
}

#[test]
fn a_single_file_is_written_under_its_name() {
    let mut options = Options::new(Format::Raw, Limits::default());
    options.file_name = b"bin/tool".to_vec();
    options.executable = true;
    let place = Place::new();
    place.unpack_with(b"PK\x03\x04 whatever", &options).unwrap();
    assert_eq!(
        place.tree().get("bin/tool").unwrap(),
        "f 755 PK\\x03\\x04 whatever"
    );
    options.limits.bytes = 3;
    let place = Place::new();
    assert!(place.unpack_with(b"1234", &options).is_err());
    assert_eq!(
        place.tree(),
        listing(&[("bin", "d 755")]),
        "the partial file is gone"
    );
    options.file_name.clear();
    assert_eq!(rule_of(place.unpack_with(b"1", &options)), Rule::NoName);
}

#[test]
fn what_is_no_archive_is_named() {
    for (bytes, words) in [
        (&b""[..], "empty"),
        (b"<html>", "a web page or XML document"),
        (b"BZh91AY", "compressed with bzip2"),
        (b"text", "no archive of a known kind"),
    ] {
        let error = Place::new().unpack(bytes).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let mut options = Options::new(Format::TarGz, Limits::default());
    let error = Place::new().unpack_with(&tar(&[]), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file is a tar archive, and not the `tar.gz` archive that it should be"
    );
    options.format = Format::Tar;
    assert!(Place::new().unpack_with(&tar(&[]), &options).is_ok());
}
