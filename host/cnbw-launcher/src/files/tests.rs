use std::os::unix::fs::symlink;

use super::*;

#[test]
fn paths_are_joined_by_their_text() {
    for (base, rest, expected) in [
        ("/layers", "a", "/layers/a"),
        ("/layers/", "a/b", "/layers/a/b"),
        ("//layers/./x", "../a", "/layers/a"),
        ("/", "../..", "/"),
        ("/", "a", "/a"),
        ("layers", "a", "layers/a"),
        ("layers", "../..", ".."),
        ("", "a", "a"),
        ("", "", "."),
        ("/layers", "", "/layers"),
    ] {
        assert_eq!(
            join(Path::new(base), rest),
            Path::new(expected),
            "{base} {rest}"
        );
    }
}

#[test]
fn control_characters_are_escaped_in_messages() {
    assert_eq!(shown("a\u{1b}[31m\nü`"), "`a\\u{1b}[31m\\nü``");
    assert_eq!(shown(OsStr::from_bytes(b"a\xff")), "`a\u{fffd}`");
}

#[test]
fn a_file_is_read_up_to_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f");
    for (content, limit, fits) in [
        ("", 0, true),
        ("", 9, true),
        ("abc", 3, true),
        ("abc", 2, false),
        ("a", 0, false),
    ] {
        std::fs::write(&path, content).unwrap();
        let read = read_file(&path, limit, Links::Refused);
        match read {
            Ok(read) => assert!(fits && read == content.as_bytes(), "{content:?} {limit}"),
            Err(error) => assert!(
                !fits && matches!(error, FileError::TooLarge { .. }),
                "{content:?} {limit}: {error}"
            ),
        }
    }
}

#[test]
fn a_file_that_hides_its_size_is_read_to_its_end() {
    let status = read_file(Path::new("/proc/self/status"), 1 << 20, Links::Refused).unwrap();
    assert!(status.starts_with(b"Name:"));
    assert!(matches!(
        read_file(Path::new("/proc/self/status"), 10, Links::Refused),
        Err(FileError::TooLarge { .. })
    ));
}

#[test]
fn only_regular_files_are_read_and_pipes_hold_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    for path in [pipe.as_path(), directory.path(), Path::new("/dev/zero")] {
        let error = read_file(path, 10, Links::Followed).unwrap_err();
        assert!(matches!(error, FileError::NotRegular(_)), "{error}");
    }
}

#[test]
fn links_are_followed_only_where_they_may_be() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("f"), "content").unwrap();
    let link = directory.path().join("link");
    symlink("f", &link).unwrap();
    assert_eq!(read_file(&link, 10, Links::Followed).unwrap(), b"content");
    let error = read_file(&link, 10, Links::Refused).unwrap_err();
    assert!(
        matches!(
            error,
            FileError::System {
                source: Errno::LOOP,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn directories_are_listed_in_bytewise_order() {
    let root = tempfile::tempdir().unwrap();
    for name in ["b", "B", "a.x", "a-x", "ä"] {
        std::fs::write(root.path().join(name), "").unwrap();
    }
    std::fs::create_dir(root.path().join("a")).unwrap();
    symlink("a", root.path().join("link")).unwrap();
    let listed = Directory::list(root.path().to_owned()).unwrap().unwrap();
    let names: Vec<&str> = listed
        .entries
        .iter()
        .map(|entry| entry.name.to_str().unwrap())
        .collect();
    assert_eq!(names, ["B", "a", "a-x", "a.x", "b", "link", "ä"]);
    assert_eq!(
        listed.paths(true).collect::<Vec<_>>(),
        [root.path().join("a")]
    );
    assert!(
        listed
            .entries
            .iter()
            .any(|entry| entry.is_link && !entry.is_directory)
    );
    assert!(listed.has(OsStr::new("a-x")) && !listed.has(OsStr::new("x")));

    assert!(
        Directory::list(root.path().join("nowhere"))
            .unwrap()
            .is_none()
    );
    assert!(
        Directory::list(root.path().join("b")).is_err(),
        "a file is no directory"
    );
}
