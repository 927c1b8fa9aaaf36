//! Where images go, seen by the tools that users have.

use std::process::Command;

use crate::support::{Place, finished, has};

/// The digest of the configuration and of the layers, as skopeo reads them.
fn inspect(image: &str) -> serde_json::Value {
    let ended = finished(Command::new("skopeo").args(["inspect", "--config", image]));
    assert_eq!(ended.code, Some(0), "{image}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn a_plain_name_becomes_one_file_that_is_both_kinds_of_archive() {
    let place = Place::with_site();
    let ended = place.build("shop", &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(place.outputs(), ["shop.tar"]);
    if !has("skopeo") {
        return;
    }
    let file = place.path("out/shop.tar");
    let oci = inspect(&format!("oci-archive:{}", file.display()));
    let docker = inspect(&format!("docker-archive:{}", file.display()));
    assert_eq!(oci["rootfs"], docker["rootfs"]);
    assert_eq!(
        docker["config"]["Entrypoint"],
        serde_json::json!(["/cnb/process/web"])
    );
    let copied = place.path("copied");
    for kind in ["oci-archive", "docker-archive"] {
        let ended = finished(
            Command::new("skopeo")
                .args(["copy", "--insecure-policy"])
                .arg(format!("{kind}:{}", file.display()))
                .arg(format!("oci:{}:{kind}", copied.display())),
        );
        assert_eq!(ended.code, Some(0), "{kind}: {}", ended.stderr);
    }
}

#[test]
fn every_local_transport_holds_the_same_layers() {
    let place = Place::with_site();
    for target in [
        "oci:layout:v1",
        "oci-archive:a.tar:v1",
        "docker-archive:d.tar:shop:v1",
    ] {
        let ended = place.build(target, &[]);
        assert_eq!(ended.code, Some(0), "{target}: {}", ended.stderr);
    }
    if !has("skopeo") {
        return;
    }
    let out = place.path("out");
    let rootfs = |name: &str| inspect(name)["rootfs"].clone();
    let layout = rootfs(&format!("oci:{}:v1", out.join("layout").display()));
    assert_eq!(
        layout,
        rootfs(&format!("oci-archive:{}:v1", out.join("a.tar").display()))
    );
    assert_eq!(
        layout,
        rootfs(&format!("docker-archive:{}", out.join("d.tar").display()))
    );
}

#[test]
fn an_image_goes_to_a_registry_and_its_layers_are_reused_from_there() {
    let place = Place::with_site();
    let registry = cnbw_testkit::Registry::start();
    let name = format!("docker://{}/shop:v1", registry.address());
    let first = place.build(&name, &[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let second = place.build(&name, &[]);
    assert_eq!(second.stdout, first.stdout, "{}", second.stderr);
    assert!(second.stderr.contains("Reusing"), "{}", second.stderr);
    let third = place.build(&format!("{}/shop:v2", registry.address()), &["--publish"]);
    assert_eq!(third.code, Some(0), "{}", third.stderr);
    let digest = |text: &str| text.trim_end().rsplit_once('@').unwrap().1.to_owned();
    assert_eq!(digest(&third.stdout), digest(&first.stdout));
}

#[test]
fn what_cnbw_wrote_validates() {
    let place = Place::with_site();
    assert_eq!(place.build("oci:layout", &[]).code, Some(0));
    let ended = place.cnbw(&["image", "validate", "oci:layout"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // One flipped byte in a layer is found.
    let blobs = place.path("out/layout/blobs/sha256");
    let largest = std::fs::read_dir(&blobs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let ended = place.cnbw(&["image", "validate", "oci:layout"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    assert!(ended.stderr.contains("digest"), "{}", ended.stderr);
}
