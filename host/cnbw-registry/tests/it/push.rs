//! Writing images.

use std::io::{Cursor, Read};
use std::sync::Arc;

use cnbw_oci::assemble::{assemble, assemble_index};
use cnbw_oci::descriptor::Descriptor;
use cnbw_oci::digest::BlobDigest;
use cnbw_oci::image::{
    Blobs, ImageSink, ImageSource, IndexSink, LayerContent, NewLayer, StoreError, StoreErrorKind,
};
use cnbw_oci::manifest::Family;
use cnbw_registry::RawImage;
use cnbw_testkit::{Fault, FaultAction, Registry, RegistryOptions};

use crate::support::{client, image, image_for, layer, name, noise, open, options, read_layer};

fn fault(method: &str, path: &str, times: usize, action: FaultAction) -> Fault {
    Fault {
        method: method.to_owned(),
        path: path.to_owned(),
        times,
        action,
    }
}

fn answer(status: u16) -> FaultAction {
    FaultAction::Answer(status, Vec::new(), Vec::new())
}

#[test]
fn an_image_goes_up_and_comes_back() {
    let registry = Registry::start();
    let target = name(&registry, "team/app:v1");
    let written = client()
        .write(image(&[b"one", b"two"]), std::slice::from_ref(&target))
        .unwrap();
    let found = open(&client(), &target);
    assert_eq!(found.descriptor.digest, written.manifest.digest);
    assert_eq!(found.manifest.config, written.config);
    assert_eq!(read_layer(&found, 0).unwrap(), b"one");
    assert_eq!(read_layer(&found, 1).unwrap(), b"two");
    assert_eq!(found.name, target);
    assert_eq!(registry.open_uploads(), 0);
}

#[test]
fn a_second_push_sends_only_the_manifest() {
    let registry = Registry::start();
    let target = [name(&registry, "app:v1")];
    let client = client();
    client.write(image(&[b"one", b"two"]), &target).unwrap();
    registry.clear_requests();
    client.write(image(&[b"one", b"two"]), &target).unwrap();
    let mut lines = registry.request_lines();
    assert_eq!(lines.pop().unwrap(), "PUT /v2/app/manifests/v1");
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("HEAD /v2/app/blobs/")),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 3);
}

#[test]
fn tags_move_after_everything_else_in_all_repositories() {
    let registry = Registry::start();
    let names = ["one:a", "one:b", "two:c", "one:a"].map(|rest| name(&registry, rest));
    client().write(image(&[b"layer"]), &names).unwrap();
    assert_eq!(registry.tags("one"), ["a", "b"]);
    assert_eq!(registry.tags("two"), ["c"]);
    let lines = registry.request_lines();
    let tagged = lines.len() - 3;
    assert_eq!(
        lines[tagged..],
        [
            "PUT /v2/one/manifests/a",
            "PUT /v2/one/manifests/b",
            "PUT /v2/two/manifests/c"
        ]
    );
    // The second repository mounts from the first.
    assert!(
        lines
            .iter()
            .filter(|line| line.starts_with("PATCH") || line.contains("PUT /v2/two/blobs"))
            .count()
            == 0
    );
}

#[test]
fn a_refused_manifest_moves_no_tag() {
    let registry = Registry::start();
    registry.fault(fault("PUT", "/v2/two/manifests/", 1, answer(400)));
    let names = ["one:a", "two:b"].map(|rest| name(&registry, rest));
    let error = client().write(image(&[b"layer"]), &names).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Invalid);
    assert_eq!(registry.tags("one"), Vec::<String>::new());
    assert_eq!(registry.tags("two"), Vec::<String>::new());
}

#[test]
fn layers_of_a_sister_repository_are_mounted_and_not_read() {
    let registry = Registry::start();
    let client = client();
    let base = name(&registry, "run/base:1");
    client
        .write(image(&[&noise(1, 100_000)]), std::slice::from_ref(&base))
        .unwrap();
    registry.clear_requests();
    let base = open(&client, &base);
    let mut layers = vec![NewLayer {
        diff_id: base.config.rootfs.diff_ids[0],
        content: LayerContent::Existing {
            descriptor: base.manifest.layers[0].clone(),
            blobs: base.blobs.clone(),
        },
    }];
    layers.push(layer(b"mine"));
    let target = name(&registry, "app:v1");
    client
        .write(
            image_for("linux/amd64", layers),
            std::slice::from_ref(&target),
        )
        .unwrap();
    let digest = base.manifest.layers[0].digest.to_string();
    assert!(registry.has_blob("app", &digest));
    let moved = registry
        .requests()
        .iter()
        .filter(|request| request.path.ends_with(&digest) || request.body_length > 50_000)
        .count();
    assert_eq!(moved, 0, "{:?}", registry.request_lines());
}

#[test]
fn layers_of_another_registry_or_without_mounting_are_streamed() {
    let one = Registry::start();
    let two = Registry::with_options(RegistryOptions {
        mount: false,
        ..RegistryOptions::default()
    });
    let client = client();
    let bytes = noise(2, 3_000_000);
    client
        .write(image(&[&bytes]), &[name(&one, "base:1")])
        .unwrap();
    client
        .write(image(&[&bytes]), &[name(&two, "sister:1")])
        .unwrap();
    for (from, to) in [(&one, &two), (&two, &two)] {
        let rest = if std::ptr::eq(from, to) {
            "sister:1"
        } else {
            "base:1"
        };
        let base = open(&client, &name(from, rest));
        let layers = vec![NewLayer {
            diff_id: base.config.rootfs.diff_ids[0],
            content: LayerContent::Existing {
                descriptor: base.manifest.layers[0].clone(),
                blobs: base.blobs.clone(),
            },
        }];
        let target = name(to, &format!("copy-of-{rest}"));
        client
            .write(
                image_for("linux/amd64", layers),
                std::slice::from_ref(&target),
            )
            .unwrap();
        assert_eq!(read_layer(&open(&client, &target), 0).unwrap(), bytes);
        assert_eq!(to.open_uploads(), 0);
    }
}

#[test]
fn an_upload_that_breaks_goes_on_where_it_ended() {
    let registry = Registry::start();
    let bytes = noise(3, 20 << 20);
    for cut in [5 << 20, 3 << 20, 6 << 20] {
        registry.fault(fault(
            "PATCH",
            "/blobs/uploads/",
            1,
            FaultAction::CutBody(cut),
        ));
    }
    let target = name(&registry, "app:v1");
    // Three tries would not do if a try that got further counted.
    client()
        .write(image(&[&bytes]), std::slice::from_ref(&target))
        .unwrap();
    let sent: usize = registry
        .requests()
        .iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| request.body_length)
        .sum();
    assert_eq!(sent, 20 << 20, "nothing is sent twice");
    assert_eq!(read_layer(&open(&client(), &target), 0).unwrap(), bytes);
    assert_eq!(registry.open_uploads(), 0);
}

#[test]
fn small_uploads_are_sent_again_whole() {
    let registry = Registry::start();
    registry.fault(fault("PUT", "/blobs/uploads/", 2, FaultAction::Hangup));
    let target = name(&registry, "app:v1");
    client()
        .write(image(&[b"small"]), std::slice::from_ref(&target))
        .unwrap();
    assert_eq!(read_layer(&open(&client(), &target), 0).unwrap(), b"small");
}

#[test]
fn a_lost_upload_session_is_begun_anew() {
    let registry = Registry::start();
    registry.fault(fault("PUT", "/blobs/uploads/", 1, answer(404)));
    let target = name(&registry, "app:v1");
    client()
        .write(image(&[b"small"]), std::slice::from_ref(&target))
        .unwrap();
    assert_eq!(read_layer(&open(&client(), &target), 0).unwrap(), b"small");
}

#[test]
fn a_busy_registry_is_asked_again_and_a_dead_one_given_up() {
    let registry = Registry::start();
    registry.fault(fault("", "/v2/app/", 2, answer(503)));
    let target = name(&registry, "app:v1");
    client()
        .write(image(&[b"layer"]), std::slice::from_ref(&target))
        .unwrap();
    registry.fault(fault("", "/v2/app/", usize::MAX, answer(503)));
    let error = client()
        .write(image(&[b"layer"]), std::slice::from_ref(&target))
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreachable);
    assert_eq!(
        error.to_string(),
        format!(
            "cannot write `{target}`: `{}` answers with status 503: no explanation with status 503",
            registry.address()
        )
    );
}

#[test]
fn a_failed_push_can_be_repeated_and_sends_what_is_missing() {
    let registry = Registry::start();
    let mut options = options();
    options.parallel = 1;
    let client = cnbw_registry::Client::new(options).unwrap();
    let (one, two) = (noise(4, 100_000), noise(5, 200_000));
    let target = [name(&registry, "app:v1")];
    registry.fault(fault("PUT", "/v2/app/manifests/", 1, answer(400)));
    client.write(image(&[&one, &two]), &target).unwrap_err();
    assert_eq!(registry.tags("app"), Vec::<String>::new());
    registry.clear_requests();
    client.write(image(&[&one, &two]), &target).unwrap();
    assert!(
        registry
            .requests()
            .iter()
            .all(|request| request.body_length < 10_000)
    );
    assert_eq!(registry.tags("app"), ["v1"]);
}

#[test]
fn an_index_carries_an_image_for_each_platform() {
    let registry = Registry::start();
    let client = client();
    let images = vec![
        image_for("linux/amd64", vec![layer(b"amd"), layer(b"both")]),
        image_for("linux/arm64", vec![layer(b"arm"), layer(b"both")]),
    ];
    let target = name(&registry, "app:v1");
    let written = client
        .write_index(images, std::slice::from_ref(&target))
        .unwrap();
    assert_eq!(
        registry.tag("app", "v1").unwrap(),
        written.index.digest.to_string()
    );
    for (platform, bytes) in [("linux/amd64", b"amd"), ("linux/arm64", b"arm")] {
        let found = client
            .open(&target, Some(&platform.parse().unwrap()))
            .unwrap()
            .unwrap();
        assert_eq!(read_layer(&found, 0).unwrap(), bytes);
    }
}

#[test]
fn names_with_digests_or_none_are_refused_before_anything_is_sent() {
    let registry = Registry::start();
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for names in [vec![name(&registry, &format!("app@{digest}"))], vec![]] {
        let error = client().write(image(&[b"layer"]), &names).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Invalid, "{error}");
    }
    assert_eq!(registry.requests(), []);
}

#[test]
fn a_file_that_became_shorter_is_an_error_of_the_file() {
    let registry = Registry::start();
    let bytes = noise(6, 100_000);
    let image = image(&[&bytes]);
    if let LayerContent::File { file, .. } = &image.layers[0].content {
        file.set_len(50_000).unwrap();
    }
    let error = client()
        .write(image, &[name(&registry, "app:v1")])
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Io, "{error}");
    assert!(
        crate::support::whole(&error).contains("shorter than its descriptor"),
        "{error}"
    );
}

#[test]
fn copies_keep_every_byte() {
    let one = Registry::start();
    let two = Registry::start();
    let client = client();
    let images = vec![
        image_for("linux/amd64", vec![layer(b"amd")]),
        image_for("linux/arm64", vec![layer(b"arm")]),
    ];
    let from = name(&one, "app:v1");
    let written = client
        .write_index(images, std::slice::from_ref(&from))
        .unwrap();
    let to = [name(&two, "copy:v1"), name(&one, "copy:v2")];
    let copied = client.copy(&from, None, &to).unwrap().unwrap();
    assert_eq!(copied.digest, written.index.digest);
    assert_eq!(one.manifest("app", "v1"), two.manifest("copy", "v1"));
    assert_eq!(one.manifest("app", "v1"), one.manifest("copy", "v2"));
    let arm: cnbw_oci::descriptor::Platform = "linux/arm64".parse().unwrap();
    let single = client
        .copy(&from, Some(&arm), &[name(&two, "arm:v1")])
        .unwrap()
        .unwrap();
    assert_eq!(single.digest, written.images[1].manifest.digest);
    let missing = client.copy(&name(&one, "none:v1"), None, &to).unwrap();
    assert_eq!(missing, None);
}

/// Blobs in memory, documents among them, as a layout has them.
#[derive(Debug, Default)]
struct Memory(Vec<Vec<u8>>);

impl Blobs for Memory {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        let found = self
            .0
            .iter()
            .find(|bytes| BlobDigest::of(bytes) == descriptor.digest);
        let bytes = found.expect("the blob is there").clone();
        Ok(Box::new(Cursor::new(bytes)))
    }
}

#[test]
fn an_index_out_of_a_layout_goes_up_byte_for_byte() {
    let images = [("amd64", b"amd"), ("arm64", b"arm")].map(|(machine, bytes)| {
        let image = image_for(&format!("linux/{machine}"), vec![layer(bytes)]);
        (assemble(&image).unwrap(), bytes)
    });
    let documents = images.clone().map(|(assembled, _)| assembled);
    let (index, written) = assemble_index(&documents, Family::Oci).unwrap();
    // White space that no printer of ours makes has to survive.
    let index = [index, b"\n\n".to_vec()].concat();
    let descriptor = Descriptor::of(written.index.media_type, &index);
    let mut memory = Memory(vec![index.clone()]);
    for (assembled, bytes) in images {
        memory
            .0
            .extend([assembled.config, assembled.manifest, bytes.to_vec()]);
    }
    let memory: Arc<dyn Blobs> = Arc::new(memory);
    let raw = RawImage::from_blobs(&descriptor, &memory).unwrap();
    let registry = Registry::start();
    client()
        .write_raw(&raw, &[name(&registry, "app:v1")])
        .unwrap();
    assert_eq!(registry.manifest("app", "v1").unwrap().1, index);
    let arm = "linux/arm64".parse().unwrap();
    let found = client()
        .open(&name(&registry, "app:v1"), Some(&arm))
        .unwrap()
        .unwrap();
    assert_eq!(read_layer(&found, 0).unwrap(), b"arm");
}
