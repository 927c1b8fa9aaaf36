//! Reading images that are as they should be.

use cnbw_oci::descriptor::Descriptor;
use cnbw_oci::digest::Digest;
use cnbw_oci::image::{ImageSink, ImageSource, IndexSink, StoreErrorKind};
use cnbw_registry::{Client, Mirror};
use cnbw_testkit::{Fault, FaultAction, Registry, RegistryOptions};

use crate::support::{client, image, image_for, layer, name, noise, open, options, read_layer};

#[test]
fn what_is_not_there_is_no_error() {
    let registry = Registry::start();
    assert!(
        client()
            .open(&name(&registry, "no:v1"), None)
            .unwrap()
            .is_none()
    );
}

#[test]
fn an_image_is_found_by_digest_and_under_its_own_name() {
    let registry = Registry::start();
    let written = client()
        .write(image(&[b"x"]), &[name(&registry, "app:v1")])
        .unwrap();
    let by_digest = name(&registry, &format!("app@{}", written.manifest.digest));
    let found = open(&client(), &by_digest);
    assert_eq!(found.name, by_digest);
    assert_eq!(
        found.blobs.home(),
        Some((registry.address().as_str(), "app"))
    );
    let with_transport = open(&client(), &format!("docker://{by_digest}"));
    assert_eq!(with_transport.name, by_digest);
}

#[test]
fn a_missing_platform_is_named_with_those_that_are_there() {
    let registry = Registry::start();
    let images = vec![
        image_for("linux/amd64", vec![layer(b"a")]),
        image_for("linux/arm64", vec![layer(b"b")]),
    ];
    let target = name(&registry, "app:v1");
    client()
        .write_index(images, std::slice::from_ref(&target))
        .unwrap();
    let wanted = "linux/s390x".parse().unwrap();
    let error = client().open(&target, Some(&wanted)).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.contains("`linux/s390x`") && text.contains("`linux/arm64`"),
        "{text}"
    );
}

#[test]
fn a_download_that_breaks_goes_on_where_it_ended() {
    let registry = Registry::start();
    let bytes = noise(7, 2_000_000);
    let target = name(&registry, "app:v1");
    client()
        .write(image(&[&bytes]), std::slice::from_ref(&target))
        .unwrap();
    let found = open(&client(), &target);
    let digest = found.manifest.layers[0].digest.to_string();
    // The first answer promises everything and delivers a part.
    let half = bytes[..700_000].to_vec();
    registry.fault(Fault {
        method: "GET".to_owned(),
        path: digest.clone(),
        times: 1,
        action: FaultAction::Answer(
            200,
            vec![
                ("Content-Length".to_owned(), "2000000".to_owned()),
                ("Connection".to_owned(), "close".to_owned()),
            ],
            half,
        ),
    });
    registry.clear_requests();
    assert_eq!(read_layer(&found, 0).unwrap(), bytes);
    let ranges: Vec<_> = registry
        .requests()
        .iter()
        .map(|request| request.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges, [None, Some("bytes=700000-".to_owned())]);
}

#[test]
fn mirrors_are_asked_first_and_may_fail() {
    let upstream = Registry::start();
    let mirror = Registry::start();
    let client = client();
    client
        .write(image(&[b"upstream"]), &[name(&upstream, "lib/app:v1")])
        .unwrap();
    client
        .write(image(&[b"mirrored"]), &[name(&mirror, "hub/lib/app:v1")])
        .unwrap();
    let mut options = options();
    options.mirrors = vec![
        Mirror {
            registry: upstream.address(),
            location: "127.0.0.1:1".to_owned(),
        },
        Mirror {
            registry: upstream.address(),
            location: format!("{}/hub/", mirror.address()),
        },
    ];
    let client = Client::new(options).unwrap();
    let found = open(&client, &name(&upstream, "lib/app:v1"));
    assert_eq!(read_layer(&found, 0).unwrap(), b"mirrored");
    assert_eq!(found.name, name(&upstream, "lib/app:v1"));
    assert_eq!(
        found.blobs.home(),
        None,
        "a mirror's blobs cannot be mounted upstream"
    );
    mirror.fault(Fault {
        method: String::new(),
        path: "/v2/hub".to_owned(),
        times: usize::MAX,
        action: FaultAction::Answer(404, Vec::new(), Vec::new()),
    });
    let found = open(&client, &name(&upstream, "lib/app:v1"));
    assert_eq!(read_layer(&found, 0).unwrap(), b"upstream");
}

#[test]
fn referrers_are_listed_by_the_registry_or_by_a_tag() {
    for referrers in [true, false] {
        let registry = Registry::with_options(RegistryOptions {
            referrers,
            ..RegistryOptions::default()
        });
        let client = client();
        let target = name(&registry, "app:v1");
        let written = client
            .write(image(&[b"x"]), std::slice::from_ref(&target))
            .unwrap();
        let subject: Digest = written.manifest.digest.digest();
        registry.put_blob("app", "{}");
        let empty = Digest::of(b"{}");
        for kind in ["application/x-sbom", "application/x-signature"] {
            let manifest = format!(
                r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"{kind}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{empty}","size":2}},"layers":[],"subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{subject}","size":{}}}}}"#,
                written.manifest.size
            );
            let mut entry = Descriptor::of(
                "application/vnd.oci.image.manifest.v1+json",
                manifest.as_bytes(),
            );
            entry.extra.insert("artifactType".to_owned(), kind.into());
            client
                .add_referrer(&target, subject, &entry, manifest.as_bytes())
                .unwrap();
        }
        let all = client.referrers(&target, subject, None).unwrap();
        assert_eq!(all.len(), 2, "{referrers}");
        let one = client
            .referrers(&target, subject, Some("application/x-sbom"))
            .unwrap();
        assert_eq!(one.len(), 1, "{referrers}");
    }
}
