use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw_spec::id::BuildpackRef;
use cnbw_spec::labels::parse_lifecycle_metadata;

use super::*;
use crate::test_images::Messages;
use crate::tree::Ancestors;

/// A layers directory, and what the previous image remembers.
struct World {
    _temp: tempfile::TempDir,
    layers: Dir,
    metadata: LifecycleMetadata,
    group: Vec<GroupElement>,
}

impl World {
    fn new(label: &str) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let layers = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let id = BuildpackRef::parse("x/a", "1").unwrap();
        Self {
            _temp: temp,
            layers,
            metadata: parse_lifecycle_metadata(label).unwrap(),
            group: vec![GroupElement::new(id)],
        }
    }

    fn restore(&self, skip_layers: bool) -> Vec<String> {
        let tree = Tree {
            dir: &self.layers,
            path: "/layers",
            ancestors: Ancestors::Disk(Vec::new()),
        };
        let request = RestoreRequest {
            platform_api: PlatformApi::V0_15,
            group: &self.group,
            layers: &tree,
            metadata: &self.metadata,
            cache: None,
            skip_layers,
        };
        let restored = restore(&request, &Messages::default()).unwrap();
        restored.into_iter().map(|layer| layer.name).collect()
    }

    fn put(&self, path: &str, content: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.layers.create_dir_all(parent).unwrap();
        }
        self.layers.write(path, content).unwrap();
    }
}

const LABEL: &str = r#"{"buildpacks":[
    {"key":"x/a","version":"1","store":{"metadata":{"n":1}},"layers":{
        "l":{"sha":"s","data":{"v":"1"},"launch":true},
        "lb":{"sha":"s","launch":true,"build":true},
        "../evil":{"sha":"s","launch":true},
        "store":{"sha":"s","launch":true}}},
    {"key":"other","version":"1","layers":{"o":{"sha":"s","launch":true}}}]}"#;

// shows: restore-002 restore-003 restore-005 restore-014
#[test]
fn only_what_the_group_may_have_comes_back() {
    let world = World::new(LABEL);
    assert_eq!(world.restore(false), ["l"]);
    let text = |path: &str| world.layers.read_to_string(path).unwrap();
    assert!(text("x_a/store.toml").contains("[metadata]"));
    assert!(text("x_a/l.toml").contains("v = \"1\""));
    let mut names = files::sorted_names(&world.layers).unwrap();
    names.extend(files::sorted_names(&world.layers.open_dir("x_a").unwrap()).unwrap());
    assert_eq!(names, ["x_a", "l.toml", "store.toml"]);

    let skipped = World::new(LABEL);
    assert!(skipped.restore(true).is_empty());
    assert!(skipped.layers.exists("x_a/store.toml") && !skipped.layers.exists("x_a/l.toml"));
}

// shows: restore-026 restore-027 restore-028
#[test]
fn sbom_files_go_to_restored_layers_only() {
    let world = World::new(LABEL);
    for (path, content) in [
        ("sbom/launch/x_a/l/sbom.cdx.json", "launch"),
        ("sbom/cache/x_a/l/sbom.cdx.json", "cache"),
        ("sbom/cache/x_a/l/sbom.spdx.json", "cache"),
        ("sbom/launch/x_a/lb/sbom.cdx.json", "not restored"),
        ("sbom/launch/x_a/sbom.cdx.json", "of the build"),
        ("sbom/launch/other/o/sbom.cdx.json", "of another"),
    ] {
        world.put(path, content);
    }
    world.restore(false);
    let text = |path: &str| world.layers.read_to_string(path).unwrap();
    assert_eq!(text("x_a/l.sbom.cdx.json"), "launch");
    assert_eq!(text("x_a/l.sbom.spdx.json"), "cache");
    let names = files::sorted_names(&world.layers.open_dir("x_a").unwrap()).unwrap();
    assert_eq!(
        names,
        [
            "l.sbom.cdx.json",
            "l.sbom.spdx.json",
            "l.toml",
            "store.toml"
        ]
    );
    assert!(!world.layers.exists("sbom") && !world.layers.exists("other"));

    let skipped = World::new(LABEL);
    skipped.put("sbom/launch/x_a/l/sbom.cdx.json", "launch");
    skipped.restore(true);
    assert!(skipped.layers.exists("sbom"));
}

#[test]
fn a_link_in_the_place_of_the_buildpacks_directory_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let world = World::new(LABEL);
    rustix::fs::symlinkat(outside.path(), &world.layers, "x_a").unwrap();
    let tree = Tree {
        dir: &world.layers,
        path: "/layers",
        ancestors: Ancestors::Disk(Vec::new()),
    };
    let request = RestoreRequest {
        platform_api: PlatformApi::V0_15,
        group: &world.group,
        layers: &tree,
        metadata: &world.metadata,
        cache: None,
        skip_layers: false,
    };
    let result = restore(&request, &Messages::default());
    assert!(matches!(result, Err(RestoreError::Io { .. })), "{result:?}");
    assert_eq!(outside.path().read_dir().unwrap().count(), 0);
}
