//! A directory to unpack into, beside something that must not change.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw_unpack::{Format, Limits, Options, Rule, Summary, UnpackError, unpack, unpack_stream};

pub(crate) struct Place {
    root: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("into")).unwrap();
        std::fs::create_dir(root.path().join("outside")).unwrap();
        std::fs::write(root.path().join("outside/canary"), "alive").unwrap();
        Self { root }
    }

    pub(crate) fn target_path(&self) -> std::path::PathBuf {
        self.root.path().join("into")
    }

    pub(crate) fn unpack(&self, archive: &[u8]) -> Result<Summary, UnpackError> {
        self.unpack_with(archive, &Options::new(Format::Auto, Limits::default()))
    }

    pub(crate) fn unpack_with(
        &self,
        archive: &[u8],
        options: &Options,
    ) -> Result<Summary, UnpackError> {
        let dir = Dir::open_ambient_dir(self.target_path(), ambient_authority()).unwrap();
        let result = unpack(Cursor::new(archive), &dir, options, &mut |_| {});
        self.check_outside();
        result
    }

    pub(crate) fn unpack_stream(&self, archive: &[u8]) -> Result<Summary, UnpackError> {
        let dir = Dir::open_ambient_dir(self.target_path(), ambient_authority()).unwrap();
        let options = Options::new(Format::Auto, Limits::default());
        unpack_stream(archive, &dir, &options, &mut |_| {})
    }

    fn check_outside(&self) {
        let outside = self.root.path().join("outside");
        let names: Vec<_> = std::fs::read_dir(&outside).unwrap().collect();
        assert_eq!(names.len(), 1, "something was made outside");
        let canary = std::fs::read_to_string(outside.join("canary")).unwrap();
        assert_eq!(canary, "alive");
        let names: Vec<_> = std::fs::read_dir(self.root.path()).unwrap().collect();
        assert_eq!(names.len(), 2, "something was made beside");
    }

    /// Everything that was made: `f 644 content`, `d 755`, `l target`.
    pub(crate) fn tree(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        walk(&self.target_path(), "", &mut found);
        found
    }
}

fn walk(dir: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = std::fs::symlink_metadata(entry.path()).unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        let text = if metadata.is_dir() {
            walk(&entry.path(), &format!("{name}/"), found);
            format!("d {mode:o}")
        } else if metadata.is_symlink() {
            format!("l {}", std::fs::read_link(entry.path()).unwrap().display())
        } else {
            let content = std::fs::read(entry.path()).unwrap();
            format!("f {mode:o} {}", content.escape_ascii())
        };
        found.insert(name, text);
    }
}

/// Lists a tree as it is compared with.
pub(crate) fn listing(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = entries.iter();
    pairs
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}

/// The rule that an archive breaks.
pub(crate) fn rule_of(result: Result<Summary, UnpackError>) -> Rule {
    match result {
        Err(UnpackError::Refused { rule, .. }) => rule,
        Err(other) => panic!("another error: {other}"),
        Ok(summary) => panic!("unpacked: {summary:?}"),
    }
}
