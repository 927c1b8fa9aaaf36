use cap_std::ambient_authority;
use cap_std::fs::{Permissions, PermissionsExt};
use cnbw_oci::compress::Compression;
use cnbw_oci::layer::NORMALIZED_TIME;
use cnbw_spec::id::BuildpackRef;
use cnbw_spec::labels::parse_lifecycle_metadata;
use cnbw_spec::launch::Slice;
use cnbw_spec::metadata::{Process, print_build_metadata};

use super::*;
use crate::cache::{Cache, DirectoryCache};
use crate::restore::{RestoreRequest, restore};
use crate::run_image::scratch_image;
use crate::test_images::{MemoryStore, Messages};
use crate::tree::{Ancestors, DirectoryAttributes};

const OWNER: Owner = Owner {
    uid: 1001,
    gid: 1000,
};
const RUN: &str =
    r#"{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/usr/bin"],"User":"7:7"}}"#;

/// A build's directories, and what else an export needs.
struct World {
    _temps: [tempfile::TempDir; 3],
    app: Dir,
    layers: Dir,
    scratch: Dir,
    store: MemoryStore,
    group: Vec<GroupElement>,
    metadata: BuildMetadata,
    messages: Messages,
    default_process: Option<&'static str>,
}

fn temp() -> (tempfile::TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
    (temp, dir)
}

fn put(dir: &Dir, path: &str, content: &str, mode: u32) {
    if let Some((parent, _)) = path.rsplit_once('/') {
        dir.create_dir_all(parent).unwrap();
    }
    dir.write(path, content).unwrap();
    dir.set_permissions(path, Permissions::from_mode(mode))
        .unwrap();
}

impl World {
    fn new() -> Self {
        let (temp_app, app) = temp();
        let (temp_layers, layers) = temp();
        let (temp_scratch, scratch) = temp();
        put(&app, "app.txt", "hello\n", 0o644);
        put(&app, "bin/run", "#!/bin/sh\n", 0o755);
        app.set_permissions("bin", Permissions::from_mode(0o755))
            .unwrap();
        let mut element = GroupElement::new(BuildpackRef::parse("a", "1.0.0").unwrap());
        element.api = Some("0.12".to_owned());
        let process = |process_type: &str, command: &[&str], args: Option<Vec<String>>| Process {
            process_type: process_type.to_owned(),
            command: command.iter().map(|&part| part.to_owned()).collect(),
            args,
            direct: true,
            buildpack_id: "a".to_owned(),
            ..Process::default()
        };
        let metadata = BuildMetadata {
            buildpacks: vec![element.clone()],
            processes: vec![
                process("web", &["/bin/sh", "-c"], Some(vec!["true".to_owned()])),
                process("worker", &["w"], None),
            ],
            buildpack_default_process_type: Some("web".to_owned()),
            ..BuildMetadata::default()
        };
        let world = Self {
            _temps: [temp_app, temp_layers, temp_scratch],
            app,
            layers,
            scratch,
            store: MemoryStore::default(),
            group: vec![element],
            metadata,
            messages: Messages::default(),
            default_process: None,
        };
        world.store.add_run_image("run", &["base 0", "base 1"], RUN);
        world.layer("tool", "[types]\nlaunch = true\n[metadata]\nv = \"1\"\n");
        put(&world.layers, "a/tool/bin/tool", "#!/bin/sh\n", 0o755);
        put(&world.layers, "a/tool/data", "d", 0o644);
        for path in ["a/tool", "a/tool/bin"] {
            world
                .layers
                .set_permissions(path, Permissions::from_mode(0o755))
                .unwrap();
        }
        world
    }

    fn layer(&self, name: &str, document: &str) {
        put(&self.layers, &format!("a/{name}.toml"), document, 0o644);
    }

    fn tree<'a>(dir: &'a Dir, path: &'a str) -> Tree<'a> {
        let fixed = DirectoryAttributes {
            owner: OWNER,
            mode: 0o755,
        };
        Tree {
            dir,
            path,
            ancestors: Ancestors::Fixed(fixed),
        }
    }

    fn export(&self, previous: Option<&Image>) -> Result<Exported, ExportError> {
        self.export_onto(&self.store.image("run"), previous)
    }

    fn export_onto(&self, run: &Image, previous: Option<&Image>) -> Result<Exported, ExportError> {
        let config = print_build_metadata(&self.metadata, PlatformApi::V0_15);
        put(&self.layers, "config/metadata.toml", &config, 0o600);
        let label =
            previous.and_then(|image| image.config.label("io.buildpacks.lifecycle.metadata"));
        let previous_metadata = label.map(|label| parse_lifecycle_metadata(label).unwrap());
        let request = ExportRequest {
            platform_api: PlatformApi::V0_15,
            run_image: run,
            run_image_reference: "r.io/run@sha256:0",
            run_image_names: &RunImageNames::default(),
            previous_image: previous,
            previous_metadata: &previous_metadata.unwrap_or_default(),
            group: &self.group,
            build_metadata: &self.metadata,
            project_metadata: &ProjectMetadata::default(),
            app: &Self::tree(&self.app, "/workspace"),
            layers: &Self::tree(&self.layers, "/layers"),
            launcher: &Launcher {
                program: b"launcher",
                metadata: LauncherMetadata::default(),
                sboms: Vec::new(),
                lifecycle_sboms: Vec::new(),
            },
            owner: OWNER,
            default_process: self.default_process,
            exec_env: "production",
            created: NORMALIZED_TIME,
            annotations: BTreeMap::new(),
            names: &["app".to_owned()],
            scratch: &self.scratch,
            workers: 2,
        };
        export(&request, &self.store, &self.messages)
    }

    fn diff_id(exported: &Exported, id: &str) -> String {
        let layer = exported.layers.iter().find(|layer| layer.id == id).unwrap();
        layer.diff_id.to_string()
    }
}

/// Digests that the reference lifecycle makes of the same content.
#[test]
fn layers_equal_those_of_the_reference() {
    let world = World::new();
    let exported = world.export(None).unwrap();
    for (id, diff_id) in [
        (
            "a:tool",
            "sha256:026047d3e69cf9146888a5c5bfc13c9bb36ec2cf3635b43b71411a70c5f425a1",
        ),
        (
            "slice-1",
            "sha256:a5aba7a967e1db4ac18f578c6daaa7872fa79e037cda7300ccec8edc2d6653f4",
        ),
        (
            "buildpacksio/lifecycle:config",
            "sha256:665dd7d695a0156db1832f297f61e42af78d9c41547fd0c922cae01ca9fb66be",
        ),
        (
            "buildpacksio/lifecycle:process-types",
            "sha256:c32b6c6d08c5d84a980a518d1dd9093c22b9e003f2b6b468f12fe1e7cd918b3f",
        ),
    ] {
        assert_eq!(World::diff_id(&exported, id), diff_id, "{id}");
    }
}

// shows: layers-032 labels-001 labels-002 labels-003 labels-004 labels-005 labels-006 export-012
#[test]
fn the_label_records_every_layer_in_order() {
    let world = World::new();
    let exported = world.export(None).unwrap();
    let image = world.store.image("app");
    let ids: Vec<&str> = exported
        .layers
        .iter()
        .map(|layer| layer.id.as_str())
        .collect();
    let own = |name: &str| format!("buildpacksio/lifecycle:{name}");
    assert_eq!(
        ids,
        [
            "a:tool",
            "slice-1",
            &own("launcher"),
            &own("config"),
            &own("process-types")
        ]
    );
    let label = image
        .config
        .label("io.buildpacks.lifecycle.metadata")
        .unwrap();
    let label = parse_lifecycle_metadata(label).unwrap();
    let recorded = [
        &label.buildpacks[0].layers["tool"].sha,
        &label.app[0],
        &label.launcher,
        &label.config,
        &label.process_types,
    ];
    let diff_ids: Vec<String> = image
        .config
        .rootfs
        .diff_ids
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(diff_ids[2..].iter().collect::<Vec<_>>(), recorded);
    assert_eq!(label.run_image.top_layer, diff_ids[1]);
    assert_eq!(image.config.config.user, "7:7");
    assert_eq!(image.config.config.entrypoint, ["/cnb/process/web"]);
    assert_eq!(image.config.env("CNB_PLATFORM_API"), Some("0.15"));
    assert_eq!(
        image.config.history[2].created_by,
        "Layer: 'tool', Created by buildpack: a@1.0.0"
    );
}

// shows: export-017
#[test]
fn a_second_export_reuses_everything_and_has_the_same_digest() {
    for compression in [Compression::None, Compression::Gzip] {
        let mut world = World::new();
        world.store.compression = compression;
        let first = world.export(None).unwrap();
        let blobs = world.store.blob_count();
        let previous = world.store.image("app");
        let second = world.export(Some(&previous)).unwrap();
        assert_eq!(second.image, first.image);
        assert!(
            second.layers.iter().all(|layer| layer.reused),
            "{:?}",
            second.layers
        );
        assert_eq!(world.store.blob_count(), blobs);
        assert!(world.messages.contain("Reusing layer 'a:tool'"));
        put(&world.app, "app.txt", "changed", 0o644);
        let third = world.export(Some(&previous)).unwrap();
        let new: Vec<&str> = third
            .layers
            .iter()
            .filter(|l| !l.reused)
            .map(|l| l.id.as_str())
            .collect();
        assert_eq!(new, ["slice-1"]);
    }
}

#[test]
fn two_exports_in_different_places_have_one_digest() {
    let digest = |umask: u32| {
        let world = World::new();
        for dir in [&world.app, &world.layers] {
            dir.set_permissions(".", Permissions::from_mode(0o777 & !umask))
                .unwrap();
        }
        world
            .layers
            .set_permissions("a", Permissions::from_mode(0o777 & !umask))
            .unwrap();
        world.export(None).unwrap().image.manifest.digest
    };
    assert_eq!(digest(0o022), digest(0o077));
}

// shows: layers-019 export-023
#[test]
fn slices_become_layers_of_their_own_even_if_empty() {
    let mut world = World::new();
    world.metadata.slices = vec![
        Slice {
            paths: Some(vec!["bin".to_owned()]),
        },
        Slice {
            paths: Some(vec!["nothing".to_owned()]),
        },
    ];
    world.export(None).unwrap();
    let image = world.store.image("app");
    let history: Vec<&str> = image.config.history[3..6]
        .iter()
        .map(|h| h.created_by.as_str())
        .collect();
    assert_eq!(
        history,
        [
            "Application Slice: 1",
            "Application Slice: 2",
            "Application Slice: 3"
        ]
    );
    assert_eq!(MemoryStore::tar(&image, 4), vec![0; 1024]);
}

#[test]
fn a_layer_without_content_comes_from_the_previous_image_or_not_at_all() {
    let world = World::new();
    world.export(None).unwrap();
    let previous = world.store.image("app");
    world.layers.remove_dir_all("a/tool").unwrap();
    let second = world.export(Some(&previous)).unwrap();
    assert!(second.layers[0].reused);
    let refused = world.export(None);
    assert!(matches!(refused, Err(ExportError::NothingToReuse { layer }) if layer == "a:tool"));
    world.layer("tool", "[types]\nlaunch = true\ncache = true\n");
    let refused = world.export(Some(&previous));
    assert!(
        matches!(refused, Err(ExportError::CacheWithoutContent { layer }) if layer == "a:tool")
    );
}

#[test]
fn all_malformed_layers_are_named() {
    let world = World::new();
    world.layer("x", "launch = true\n");
    world.layer("y", "[types\n");
    let error = world.export(None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "metadata of layers cannot be read: `a:x`, `a:y`"
    );
}

// shows: export-006 export-007
#[test]
fn a_default_process_must_exist() {
    let mut world = World::new();
    world.default_process = Some("worker");
    world.export(None).unwrap();
    assert_eq!(
        world.store.image("app").config.config.entrypoint,
        ["/cnb/process/worker"]
    );
    world.default_process = Some("nope");
    assert!(matches!(
        world.export(None),
        Err(ExportError::NoSuchProcess { .. })
    ));
    world.default_process = None;
    world.metadata.buildpack_default_process_type = None;
    world.export(None).unwrap();
    assert_eq!(
        world.store.image("app").config.config.entrypoint,
        ["/cnb/lifecycle/launcher"]
    );
}

// shows: labels-017
#[test]
fn a_buildpack_cannot_set_the_lifecycles_own_labels() {
    let mut world = World::new();
    let label = |key: &str| cnbw_spec::launch::Label {
        key: key.to_owned(),
        value: "x".to_owned(),
    };
    world.metadata.labels = vec![label("io.buildpacks.lifecycle.metadata"), label("mine")];
    world.export(None).unwrap();
    let image = world.store.image("app");
    assert_ne!(
        image.config.label("io.buildpacks.lifecycle.metadata"),
        Some("x")
    );
    assert_eq!(image.config.label("mine"), Some("x"));
    assert!(world.messages.contain("Ignoring label"));
}

// shows: export-031
#[test]
fn scratch_is_a_run_image_too() {
    let world = World::new();
    let run = scratch_image(&cnbw_oci::descriptor::Platform::new("linux", "arm64"));
    let exported = world.export_onto(&run, None).unwrap();
    let image = world.store.image("app");
    assert_eq!(image.config.architecture, "arm64");
    assert_eq!(exported.metadata.run_image.top_layer, "");
    assert_eq!(image.config.rootfs.diff_ids.len(), exported.layers.len());
}

#[test]
fn links_of_guests_are_data() {
    let world = World::new();
    let (secret_temp, secret) = temp();
    put(&secret, "f", "secret", 0o644);
    let target = secret_temp.path().to_str().unwrap();
    rustix::fs::symlinkat(target, &world.layers, "a/link").unwrap();
    world.layer("link", "[types]\nlaunch = true\n");
    rustix::fs::symlinkat(target, &world.app, "out").unwrap();
    world.export(None).unwrap();
    let image = world.store.image("app");
    for index in 2..image.manifest.layers.len() {
        let tar = MemoryStore::tar(&image, index);
        assert!(!tar.windows(6).any(|window| window == b"secret"));
    }
    // A document that is a link is not read through it.
    put(&secret, "l.toml", "[types]\nlaunch = true\n", 0o644);
    rustix::fs::symlinkat(format!("{target}/l.toml"), &world.layers, "a/l.toml").unwrap();
    assert!(matches!(
        world.export(None),
        Err(ExportError::MalformedLayers { .. })
    ));
}

fn cache_request<'a>(world: &'a World, layers: &'a Tree<'a>) -> CacheRequest<'a> {
    CacheRequest {
        platform_api: PlatformApi::V0_15,
        group: &world.group,
        layers,
        owner: OWNER,
        scratch: &world.scratch,
    }
}

// shows: restore-007 restore-010 restore-013 restore-016 restore-021
#[test]
fn what_the_cache_took_comes_back() {
    let world = World::new();
    world.layer(
        "c",
        "[types]\ncache = true\nbuild = true\n[metadata]\nn = 1\n",
    );
    put(&world.layers, "a/c/bin/x", "x", 0o755);
    world.layer("gone", "[types]\ncache = true\n");
    let (_cache_temp, cache_dir) = temp();
    let tree = World::tree(&world.layers, "/layers");
    let open = || DirectoryCache::open(cache_dir.try_clone().unwrap(), "cache").unwrap();
    fill_cache(&cache_request(&world, &tree), &open(), &world.messages).unwrap();
    assert!(world.messages.contain("Failed to cache layer 'a:gone'"));

    let restore_into = |dir: &Dir| {
        let tree = World::tree(dir, "/layers");
        let request = RestoreRequest {
            platform_api: PlatformApi::V0_15,
            group: &world.group,
            layers: &tree,
            metadata: &LifecycleMetadata::default(),
            cache: Some(&open()),
            skip_layers: false,
        };
        restore(&request, &world.messages).unwrap()
    };
    let (_fresh_temp, fresh) = temp();
    let restored = restore_into(&fresh);
    assert_eq!(restored.len(), 1);
    assert!(restored[0].with_content && restored[0].name == "c");
    assert_eq!(fresh.read_to_string("a/c/bin/x").unwrap(), "x");
    let document = fresh.read_to_string("a/c.toml").unwrap();
    assert!(
        document.contains("[metadata]") && !document.contains("types"),
        "{document}"
    );

    let metadata = open().metadata().unwrap();
    let sha = &metadata.buildpacks[0].layers["c"].sha;
    cache_dir
        .write(format!("committed/{sha}.tar"), "damage")
        .unwrap();
    let (_damaged_temp, damaged) = temp();
    assert!(restore_into(&damaged).is_empty());
    assert!(world.messages.contain("Skipping restore for layer a:c"));
    assert!(!damaged.exists("a/c.toml") && !damaged.exists("a/c"));
}
