use cap_std::ambient_authority;
use cap_std::fs::Dir;
use proptest::prelude::*;
use tempfile::TempDir;

use super::super::operations::{OpenRequest, Opened};
use super::*;

const READ: OpenRequest = OpenRequest {
    follow: true,
    create: false,
    directory: false,
    exclusive: false,
    truncate: false,
    read: true,
    write: false,
};

const CREATE: OpenRequest = OpenRequest {
    create: true,
    write: true,
    ..READ
};

/// Application, a layers directory and a read-only platform directory, with a secret beside them.
fn world() -> (TempDir, FileSystem) {
    world_with((1000, 1000), 8)
}

fn world_with(quota: (u64, u64), depth: usize) -> (TempDir, FileSystem) {
    let root = TempDir::new().unwrap();
    let dir = Dir::open_ambient_dir(root.path(), ambient_authority()).unwrap();
    for path in ["app/src", "layers", "platform"] {
        dir.create_dir_all(path).unwrap();
    }
    dir.write("secret", "secret").unwrap();
    dir.write("app/file", "app").unwrap();
    dir.write("app/src/file", "src").unwrap();
    dir.write("platform/file", "platform").unwrap();
    let point = |guest_path: &str, writable| MountPoint {
        guest_path: guest_path.to_owned(),
        writable,
    };
    let points = [
        point("/workspace", true),
        point("/layers/one", true),
        point("/platform", false),
    ];
    let dirs = ["app", "layers", "platform"].map(|path| {
        let file = dir.open_dir(path).unwrap().into_std_file();
        OwnedFd::from(file)
    });
    let files = FileSystem::new(&points, dirs.into(), "/workspace", quota, depth, 1).unwrap();
    (root, files)
}

fn root_base(files: &FileSystem) -> Base {
    Base::Node(files.root())
}

fn read(files: &mut FileSystem, base: &Base, path: &str) -> Result<String, ErrorCode> {
    match files.open(base, path, READ)? {
        Opened::Directory(_) => Ok("<directory>".to_owned()),
        Opened::File(file) => {
            let bytes = super::super::stream::read_at(&file.file, 0, 100).unwrap();
            Ok(String::from_utf8(bytes).unwrap())
        }
    }
}

#[test]
fn paths_lead_where_they_lead_in_one_name_space() {
    let (_root, mut files) = world();
    let root = root_base(&files);
    let cases = [
        ("/workspace/file", Ok("app")),
        ("workspace/./src//../file", Ok("app")),
        ("/workspace/src/../../platform/file", Ok("platform")),
        ("/../../workspace/file", Ok("app")),
        ("/", Ok("<directory>")),
        ("/layers", Ok("<directory>")),
        ("/layers/one/..", Ok("<directory>")),
        ("/workspace/file/", Err(ErrorCode::NotDirectory)),
        ("/workspace/file/x", Err(ErrorCode::NotDirectory)),
        ("/workspace-evil/file", Err(ErrorCode::NoEntry)),
        ("/secret", Err(ErrorCode::NoEntry)),
        ("/workspace/../secret", Err(ErrorCode::NoEntry)),
        ("/layers/two", Err(ErrorCode::NoEntry)),
        ("", Err(ErrorCode::NoEntry)),
        ("a\0b", Err(ErrorCode::Invalid)),
    ];
    for (path, expected) in cases {
        assert_eq!(
            read(&mut files, &root, path),
            expected.map(str::to_owned),
            "{path}"
        );
    }
}

#[test]
fn the_working_directory_is_where_relative_paths_start_and_the_root_shines_through() {
    let (_root, mut files) = world();
    for (path, content) in [
        ("file", "app"),
        ("./src/file", "src"),
        ("platform/file", "platform"),
        ("../platform/file", "platform"),
        (".", "<directory>"),
    ] {
        assert_eq!(
            read(&mut files, &Base::Working, path).unwrap(),
            content,
            "{path}"
        );
    }
}

#[test]
fn links_are_followed_in_the_name_space_only() {
    let (_root, mut files) = world();
    let root = root_base(&files);
    for (target, path) in [
        ("/platform/file", "/layers/one/absolute"),
        ("../../platform/file", "/layers/one/relative"),
        ("/secret", "/layers/one/out"),
        ("../../../../../../../secret", "/layers/one/up"),
        ("loop", "/layers/one/loop"),
        ("/workspace/src", "/layers/one/dir"),
    ] {
        files.symlink(target, &root, path).unwrap();
        assert_eq!(files.read_link(&root, path).unwrap(), target);
    }
    let cases = [
        ("/layers/one/absolute", Ok("platform")),
        ("/layers/one/relative", Ok("platform")),
        ("/layers/one/dir/file", Ok("src")),
        ("/layers/one/dir/../file", Ok("app")),
        ("/layers/one/out", Err(ErrorCode::NoEntry)),
        ("/layers/one/up", Err(ErrorCode::NoEntry)),
        ("/layers/one/loop", Err(ErrorCode::Loop)),
    ];
    for (path, expected) in cases {
        assert_eq!(
            read(&mut files, &root, path),
            expected.map(str::to_owned),
            "{path}"
        );
    }
}

#[test]
fn a_file_is_made_through_a_dangling_link_only_where_it_may_be() {
    let (root, mut files) = world();
    let base = root_base(&files);
    files
        .symlink("/workspace/made", &base, "/layers/one/good")
        .unwrap();
    files
        .symlink("/platform/made", &base, "/layers/one/bad")
        .unwrap();
    files.open(&base, "/layers/one/good", CREATE).unwrap();
    assert!(root.path().join("app/made").is_file());
    assert_eq!(
        files.open(&base, "/layers/one/bad", CREATE).unwrap_err(),
        ErrorCode::ReadOnly
    );
}

#[test]
fn read_only_directories_stay_as_they_are() {
    let (_root, mut files) = world();
    let base = root_base(&files);
    let read_only = ErrorCode::ReadOnly;
    assert_eq!(
        files.create_directory(&base, "/platform/x").unwrap_err(),
        read_only
    );
    assert_eq!(files.create_directory(&base, "/x").unwrap_err(), read_only);
    assert_eq!(
        files.symlink("x", &base, "/platform/x").unwrap_err(),
        read_only
    );
    assert_eq!(
        files.remove(&base, "/platform/file", false).unwrap_err(),
        read_only
    );
    let (from, to) = ((&base, "/platform/file"), (&base, "/workspace/x"));
    assert_eq!(files.rename(from, to).unwrap_err(), read_only);
    assert_eq!(
        files
            .rename((&base, "/workspace/file"), (&base, "/platform/x"))
            .unwrap_err(),
        read_only
    );
    assert_eq!(files.hard_link(from, false, to).unwrap_err(), read_only);
}

#[test]
fn mount_points_cannot_be_moved_or_removed() {
    let (_root, mut files) = world();
    let base = root_base(&files);
    assert_eq!(
        files.remove(&base, "/workspace", true).unwrap_err(),
        ErrorCode::Busy
    );
    assert_eq!(
        files.remove(&base, "/layers", true).unwrap_err(),
        ErrorCode::Busy
    );
    let moved = files.rename((&base, "/layers/one"), (&base, "/workspace/x"));
    assert_eq!(moved.unwrap_err(), ErrorCode::Busy);
}

#[test]
fn listings_are_sorted_and_show_the_mounts() {
    let (_root, mut files) = world();
    let base = root_base(&files);
    for name in ["b", "a", "Z", "é"] {
        files
            .open(&base, &format!("/layers/one/{name}"), CREATE)
            .unwrap();
    }
    let mut names = |path: &str| {
        let Opened::Directory(node) = files.open(&base, path, READ).unwrap() else {
            panic!("{path} is no directory");
        };
        let mut listing = files.list(&node).unwrap();
        let mut names = Vec::new();
        while let Some(entry) = listing.next().unwrap() {
            names.push(entry.name);
        }
        names
    };
    assert_eq!(names("/"), ["layers", "platform", "workspace"]);
    assert_eq!(names("/layers"), ["one"]);
    assert_eq!(names("/layers/one"), ["Z", "a", "b", "é"]);
}

#[test]
fn entries_and_depth_end_at_their_limits_and_come_back() {
    let (_root, mut files) = world_with((1000, 2), 3);
    let base = root_base(&files);
    files.create_directory(&base, "/workspace/a").unwrap();
    assert_eq!(
        files
            .create_directory(&base, "/workspace/a/b/")
            .and_then(|()| { files.create_directory(&base, "/workspace/a/b/c") }),
        Err(ErrorCode::InsufficientSpace)
    );
    assert_eq!(
        files.open(&base, "/workspace/x", CREATE).unwrap_err(),
        ErrorCode::InsufficientSpace
    );
    files.remove(&base, "/workspace/a/b", true).unwrap();
    files.open(&base, "/workspace/x", CREATE).unwrap();
}

#[test]
fn guest_paths_of_mounts_are_plain() {
    for bad in ["workspace", "/a/../b", "/a//b", "/./a", "", "/a\0b"] {
        assert!(mount_path(bad).is_err(), "{bad:?}");
    }
    assert_eq!(mount_path("/").unwrap(), b"");
    assert_eq!(mount_path("/a/b/").unwrap(), b"/a/b");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever links and paths a guest makes up, it reads what is in its mounts or nothing.
    #[test]
    fn no_path_reaches_the_secret(
        parts in prop::collection::vec(
            prop::sample::select(vec!["..", ".", "", "workspace", "layers", "one", "platform", "l1", "l2", "secret", "file", "src"]),
            1..12,
        ),
        first in "(\\.\\./|/|l2/|workspace/|secret|layers/one/){1,6}",
        second in "(\\.\\./|/|l1/|platform/|secret|file){1,6}",
    ) {
        let (_root, mut files) = world();
        let base = root_base(&files);
        let _refused = files.symlink(&first, &base, "/layers/one/l1");
        let _refused = files.symlink(&second, &base, "/layers/one/l2");
        let path = parts.join("/");
        for base in [base, Base::Working] {
            for path in [path.clone(), format!("/layers/one/{path}")] {
                if let Ok(content) = read(&mut files, &base, &path) {
                    prop_assert!(content != "secret", "{}", path);
                }
            }
        }
    }
}
