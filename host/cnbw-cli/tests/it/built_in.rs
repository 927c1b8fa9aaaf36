//! The small built-in buildpacks, each in a real build.

use crate::support::{Ended, Place};

fn config(place: &Place, layout: &str) -> serde_json::Value {
    let read = |path: String| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(place.path(&path)).unwrap()).unwrap()
    };
    let blob = |digest: &str| {
        format!(
            "out/{layout}/blobs/sha256/{}",
            digest.replace("sha256:", "")
        )
    };
    let index = read(format!("out/{layout}/index.json"));
    let manifest = read(blob(index["manifests"][0]["digest"].as_str().unwrap()));
    read(blob(manifest["config"]["digest"].as_str().unwrap()))
}

fn built(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_procfile_says_what_starts_even_if_there_are_pages() {
    let place = Place::with_site();
    place.write("site/Procfile", "web: ./serve --fast\njob: echo $HOME\n");
    let ended = place.build("oci:image", &[]);
    built(&ended);
    assert!(!ended.stderr.contains("static-site]"), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("[cnbw/procfile] job: /bin/sh -c echo $HOME"),
        "{}",
        ended.stderr
    );
    let config = config(&place, "image");
    let metadata = config["config"]["Labels"]["io.buildpacks.build.metadata"]
        .as_str()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_str(metadata).unwrap();
    let processes = metadata["processes"].as_array().unwrap();
    let of = |kind: &str| {
        processes
            .iter()
            .find(|process| process["type"] == kind)
            .unwrap()
    };
    let words = serde_json::json!(["./serve", "--fast"]);
    assert_eq!(of("web")["command"], words);
    assert_eq!(of("job")["command"][0], "/bin/sh");
    assert_eq!(config["config"]["Entrypoint"][0], "/cnb/process/web");
}

#[test]
fn a_procfile_that_says_nothing_is_named_with_its_line() {
    let place = Place::empty();
    place.write("site/Procfile", "web ./serve\n");
    let ended = place.build("app", &[]);
    assert_eq!(ended.code, Some(51), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("`Procfile`, line 1"),
        "{}",
        ended.stderr
    );
    assert_eq!(place.outputs(), Vec::<String>::new());
}

#[test]
fn variables_and_labels_get_into_images_of_any_kind() {
    let place = Place::with_site();
    let plain = place.build("oci:plain", &[]);
    built(&plain);
    let ended = place.build(
        "oci:image",
        &[
            "--env",
            "BPE_GREETING=hello",
            "--env",
            "BP_OCI_TITLE=Shop",
            "--env",
            "BP_IMAGE_LABELS=team=web 'with blank=x y'",
        ],
    );
    built(&ended);
    assert!(
        ended.stderr.contains("[cnbw/static-site]"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("hello"), "values stay out of logs");
    let labels = &config(&place, "image")["config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.title"], "Shop");
    assert_eq!(labels["team"], "web");
    assert_eq!(labels["with blank"], "x y");
    let found = std::fs::read_dir(place.path("out/image/blobs/sha256"))
        .unwrap()
        .any(|blob| {
            let bytes = std::fs::read(blob.unwrap().path()).unwrap();
            String::from_utf8_lossy(&bytes).contains("env.launch/GREETING.override")
        });
    assert!(found, "the variable is in no layer");
    assert!(config(&place, "plain")["config"]["Labels"]["team"].is_null());
}
