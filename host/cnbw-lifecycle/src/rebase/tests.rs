use cnbw_oci::descriptor::Platform;
use cnbw_oci::image::ImageSource;

use super::*;
use crate::test_images::{MemoryStore, Messages};

const LABEL: &str = r#"{"app":"odd","later":1,"runImage":{"topLayer":"TOP","reference":"r","image":"r.io/run","mirrors":["m.io/run"],"later":1},"buildpacks":[{"key":"a"}]}"#;

struct World {
    store: MemoryStore,
    messages: Messages,
}

impl World {
    /// An application on a run image of one layer, with one layer of its own.
    fn new(config: &str) -> Self {
        let store = MemoryStore::default();
        let top = DiffIdText::of("base");
        let label = LABEL.replace("TOP", &top);
        let app = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["CNB_PLATFORM_API=0.15","X=1"],"Entrypoint":["/e"],"Labels":{{"io.buildpacks.lifecycle.metadata":{}{config}}}}}}}"#,
            serde_json::to_string(&label).unwrap(),
        );
        store.add_run_image("app", &["base", "app"], &app);
        Self {
            store,
            messages: Messages::default(),
        }
    }

    fn rebase(&self, run: &Image, name: &str, forced: bool) -> Result<Image, RebaseError> {
        let app = ImageSource::open(&self.store, "app", None::<&Platform>)
            .unwrap()
            .unwrap();
        let request = RebaseRequest {
            platform_api: PlatformApi::V0_15,
            app: &app,
            run_image: run,
            run_image_name: Some(name).filter(|name| !name.is_empty()),
            run_image_reference: "r.io/run@sha256:1",
            force: forced,
            names: &["new".to_owned()],
        };
        rebase(&request, &self.store, &self.messages)?;
        Ok(self.store.image("new"))
    }
}

struct DiffIdText;

impl DiffIdText {
    fn of(content: &str) -> String {
        cnbw_oci::digest::DiffId::of(content.as_bytes()).to_string()
    }
}

const RUN: &str = r#"{"architecture":"amd64","os":"linux","config":{"Env":["NEW=1"],"Labels":{"io.buildpacks.base.note":"next"}}}"#;

// shows: rebase-001 rebase-012 rebase-013 rebase-014 rebase-016
#[test]
fn layers_of_the_run_image_change_places_and_nothing_else() {
    let world = World::new(r#","io.buildpacks.base.old":"x","keep":"me""#);
    let run = world.store.add_run_image("run", &["new 0", "new 1"], RUN);
    let image = world.rebase(&run, "m.io/run", false).unwrap();
    let diff_ids: Vec<String> = image
        .config
        .rootfs
        .diff_ids
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(diff_ids, ["new 0", "new 1", "app"].map(DiffIdText::of));
    assert_eq!(image.config.config.env, ["CNB_PLATFORM_API=0.15", "X=1"]);
    assert_eq!(image.config.label("keep"), Some("me"));
    assert_eq!(image.config.label("io.buildpacks.base.note"), Some("next"));
    assert_eq!(image.config.label("io.buildpacks.base.old"), None);
    let label: Value =
        serde_json::from_str(image.config.label(labels::LIFECYCLE_METADATA).unwrap()).unwrap();
    assert_eq!(label["app"], json!("odd"));
    assert_eq!(label["runImage"]["topLayer"], json!(diff_ids[1]));
    assert_eq!(label["runImage"]["reference"], json!("r.io/run@sha256:1"));
    assert_eq!(label["runImage"]["mirrors"], json!(["m.io/run"]));
    assert!(label.get("later").is_none() && label["runImage"].get("later").is_none());
}

// shows: rebase-019
#[test]
fn rebasing_twice_gives_one_digest() {
    let world = World::new("");
    let run = world.store.add_run_image("run", &["new"], RUN);
    let first = world.rebase(&run, "r.io/run", false).unwrap();
    let second = world.rebase(&run, "r.io/run", false).unwrap();
    assert_eq!(first.descriptor, second.descriptor);
}

// shows: rebase-007 rebase-008 rebase-009 rebase-010 rebase-011
#[test]
fn every_refusal_gives_way_to_force() {
    let arm = RUN.replace("amd64", "arm64");
    let ubuntu = RUN.replace("base.note\":\"next", "base.distro.name\":\"ubuntu");
    for (extra, run, name, refused) in [
        (
            r#","io.buildpacks.rebasable":"false""#,
            RUN,
            "r.io/run",
            "not marked as rebasable",
        ),
        ("", arm.as_str(), "r.io/run", "linux/arm64"),
        ("", ubuntu.as_str(), "r.io/run", "ubuntu"),
        ("", RUN, "other.io/run", "not among"),
    ] {
        let world = World::new(extra);
        let run = world.store.add_run_image("run", &["new"], run);
        let error = world.rebase(&run, name, false).unwrap_err().to_string();
        assert!(error.contains(refused), "{error}");
        let image = world.rebase(&run, name, true).unwrap();
        assert!(world.messages.contain(refused));
        assert_eq!(image.config.architecture, run.config.architecture);
    }
    let world = World::new("");
    let run = world.store.add_run_image("run", &["new"], RUN);
    let image = world.rebase(&run, "other.io/run", true).unwrap();
    let names = run_image_names(&image.config, PlatformApi::V0_15).unwrap();
    assert_eq!(
        (names.image.as_deref(), names.mirrors.len()),
        (Some("other.io/run"), 0)
    );
}

// shows: rebase-006 rebase-021
#[test]
fn images_of_stack_times_are_compared_by_stack_and_mixins() {
    let config = |stack: &str, mixins: &str| -> ImageConfig {
        let mut config = ImageConfig::default();
        config.set_label(labels::STACK_ID, stack);
        config.set_label(labels::STACK_MIXINS, mixins);
        config
    };
    let check = |app: (&str, &str), run: (&str, &str)| {
        check_stacks(&config(app.0, app.1), &config(run.0, run.1))
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        check(("s", r#"["build:a","run:b"]"#), ("s", r#"["a","b","c"]"#)),
        Ok(())
    );
    assert!(
        check(("s", r#"["b","a"]"#), ("s", ""))
            .unwrap_err()
            .contains("a, b")
    );
    assert!(check(("s", ""), ("t", "")).unwrap_err().contains("stack"));
    assert!(
        check(("", ""), ("t", ""))
            .unwrap_err()
            .contains("application image")
    );
    assert!(check(("s", "no json"), ("s", "")).is_err());
    for (api, old) in [
        (None, true),
        (Some("0.11"), true),
        (Some("0.3"), true),
        (Some("0.12"), false),
        (Some("v0.15"), false),
        (Some("1.0"), false),
    ] {
        assert_eq!(is_of_stack_times(api), old, "{api:?}");
    }
}

#[test]
fn a_local_run_image_is_neither_compared_by_name_nor_named() {
    let world = World::new("");
    let run = world.store.add_run_image("run", &["new"], RUN);
    let image = world.rebase(&run, "", false).unwrap();
    let names = run_image_names(&image.config, PlatformApi::V0_15).unwrap();
    assert_eq!(names.image.as_deref(), Some("r.io/run"));
}

// shows: rebase-017
#[test]
fn a_top_layer_that_is_not_there_is_an_error() {
    let world = World::new("");
    let run = world.store.add_run_image("run", &["new"], RUN);
    let mut app = world.store.image("app");
    app.config.rootfs.diff_ids.remove(0);
    assert!(matches!(
        layers_above(&app, &DiffIdText::of("base")),
        Err(RebaseError::NoTopLayer { .. })
    ));
    let empty = world.store.add_run_image("empty", &[], RUN);
    assert!(matches!(
        world.rebase(&empty, "r.io/run", false),
        Err(RebaseError::EmptyRunImage)
    ));
    assert!(world.rebase(&run, "r.io/run", false).is_ok());
}
