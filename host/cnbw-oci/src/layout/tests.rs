use std::collections::BTreeMap;

use cap_std::ambient_authority;

use super::*;
use crate::collect::CollectingSink;
use crate::compress::Compression;
use crate::config::{History, ImageConfig, RootFs};
use crate::image::{ImageSink, IndexSink, LayerContent, NewImage, NewLayer, StoreErrorKind};
use crate::layer::{LayerOptions, LayerWriter, Owner};
use crate::manifest::Family;

fn place() -> (tempfile::TempDir, Arc<Dir>) {
    let temporary = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(temporary.path(), ambient_authority()).unwrap();
    (temporary, Arc::new(dir))
}

/// An image with one layer that holds a file with this content.
pub(crate) fn sample(content: &str, architecture: &str, family: Family) -> NewImage {
    let (_temporary, scratch) = place();
    let options = LayerOptions {
        family,
        ..LayerOptions::default()
    };
    let mut layer = LayerWriter::create(&scratch, &options).unwrap();
    layer
        .add_file("/hello", Owner::ROOT, 0o644, content.as_bytes())
        .unwrap();
    let layer = NewLayer::from(layer.finish().unwrap());
    NewImage {
        family,
        config: ImageConfig {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            rootfs: RootFs {
                diff_ids: vec![layer.diff_id],
                ..RootFs::default()
            },
            history: vec![History::default()],
            ..ImageConfig::default()
        },
        layers: vec![layer],
        annotations: BTreeMap::new(),
    }
}

fn sink(dir: &Arc<Dir>) -> LayoutSink {
    LayoutSink::new(Arc::clone(dir), "oci:x", LayoutOptions::default())
}

fn source(dir: &Arc<Dir>) -> LayoutSource {
    LayoutSource::new(Arc::clone(dir), "oci:x")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn read_all(image: &Image) -> Vec<Vec<u8>> {
    let read = |descriptor: &Descriptor| {
        let mut bytes = Vec::new();
        image
            .blobs
            .open(descriptor)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    };
    image.manifest.layers.iter().map(read).collect()
}

#[test]
fn what_was_written_can_be_opened_by_tag_digest_and_without_a_name() {
    let (_temporary, dir) = place();
    let written = sink(&dir)
        .write(sample("a", "amd64", Family::Oci), &names(&["v1"]))
        .unwrap();
    let digest = written.manifest.digest.to_string();
    for (name, full) in [
        ("v1", "oci:x:v1".to_owned()),
        ("", "oci:x".to_owned()),
        (&digest, format!("oci:x@{digest}")),
    ] {
        let image = source(&dir).open(name, None).unwrap().unwrap();
        assert_eq!(image.name, full);
        assert_eq!(image.descriptor.digest, written.manifest.digest);
        assert_eq!(image.config.architecture, "amd64");
        assert!(read_all(&image)[0].starts_with(b"/hello"));
    }
    assert!(source(&dir).open("v2", None).unwrap().is_none());
}

#[test]
fn an_empty_directory_has_no_image() {
    let (_temporary, dir) = place();
    assert!(source(&dir).open("", None).unwrap().is_none());
}

#[test]
fn the_same_image_twice_changes_nothing() {
    let (_temporary, dir) = place();
    let mut indexes = Vec::new();
    for _ in 0..2 {
        sink(&dir)
            .write(sample("a", "amd64", Family::Oci), &names(&["v1"]))
            .unwrap();
        indexes.push(dir.read("index.json").unwrap());
    }
    assert_eq!(indexes[0], indexes[1]);
}

#[test]
fn entries_of_others_stay_and_a_tag_moves() {
    let (_temporary, dir) = place();
    let first = sink(&dir)
        .write(sample("a", "amd64", Family::Oci), &names(&["old", "v1"]))
        .unwrap();
    let foreign = r#"{"schemaVersion":2,"manifests":[{"mediaType":"x/y","size":1,"digest":"DIGEST","odd":true}]}"#;
    let foreign = foreign.replace("DIGEST", &BlobDigest::of(b"?").to_string());
    let mut index: Index = serde_json::from_slice(&dir.read("index.json").unwrap()).unwrap();
    index
        .manifests
        .extend(serde_json::from_str::<Index>(&foreign).unwrap().manifests);
    dir.write("index.json", document::print(&index)).unwrap();
    let second = sink(&dir)
        .write(sample("b", "amd64", Family::Oci), &names(&["v1"]))
        .unwrap();
    let tagged = |name| {
        source(&dir)
            .open(name, None)
            .unwrap()
            .unwrap()
            .descriptor
            .digest
    };
    assert_eq!(tagged("old"), first.manifest.digest);
    assert_eq!(tagged("v1"), second.manifest.digest);
    let text = dir.read_to_string("index.json").unwrap();
    assert!(text.contains(r#""odd":true"#), "{text}");
    let error = source(&dir).open("", None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open `oci:x`: there are several images, so a tag has to be given"
    );
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let (_temporary, dir) = place();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let dir = &dir;
            scope.spawn(move || {
                let image = sample(&number.to_string(), "amd64", Family::Oci);
                sink(dir).write(image, &[format!("v{number}")]).unwrap();
            });
        }
    });
    for number in 0..8 {
        assert!(
            source(&dir)
                .open(&format!("v{number}"), None)
                .unwrap()
                .is_some(),
            "{number}"
        );
    }
    let left_over = dir.entries().unwrap().filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(".cnbw")
    });
    assert_eq!(left_over.count(), 0);
}

/// The image of a layout, to be written again in the other family.
fn again(base: &Image) -> NewImage {
    NewImage {
        family: Family::Docker,
        layers: vec![NewLayer {
            diff_id: base.config.rootfs.diff_ids[0],
            content: LayerContent::Existing {
                descriptor: base.manifest.layers[0].clone(),
                blobs: Arc::clone(&base.blobs),
            },
        }],
        config: base.config.clone(),
        annotations: BTreeMap::new(),
    }
}

#[test]
fn layers_of_other_places_are_copied_unless_they_are_to_be_left_out() {
    let (_temporary, from) = place();
    sink(&from)
        .write(sample("a", "amd64", Family::Oci), &[])
        .unwrap();
    let base = source(&from).open("", None).unwrap().unwrap();
    let layer = &base.manifest.layers[0];
    for left_out in [false, true] {
        let (_temporary, to) = place();
        let all = sink(&to).keeping_family();
        let sink = if left_out {
            all.without_existing_layers()
        } else {
            all
        };
        sink.write(again(&base), &[]).unwrap();
        assert_eq!(to.exists(blob_path(&layer.digest)), !left_out);
        let copy = source(&to).open("", None).unwrap().unwrap();
        assert_eq!(copy.manifest.family(), Family::Docker);
        assert_eq!(copy.manifest.layers[0].media_type, media_type::DOCKER_LAYER);
        assert_eq!(copy.manifest.layers[0].digest, layer.digest);
    }
}

#[test]
fn what_is_missing_stays_missing_in_a_sparse_layout_only() {
    let (_temporary, from) = place();
    sink(&from)
        .write(sample("a", "amd64", Family::Oci), &[])
        .unwrap();
    let base = source(&from).open("", None).unwrap().unwrap();
    let options = LayoutOptions {
        sparse: true,
        ..LayoutOptions::default()
    };
    let path = blob_path(&base.manifest.layers[0].digest);
    let (_temporary, to) = place();
    let sparse = |dir: &Arc<Dir>| LayoutSink::new(Arc::clone(dir), "oci:y", options);
    sparse(&to).write(again(&base), &[]).unwrap();
    assert!(to.exists(&path), "what is there is copied");
    from.remove_file(&path).unwrap();
    let (_temporary, to) = place();
    assert!(sink(&to).write(again(&base), &[]).is_err());
    sparse(&to).write(again(&base), &[]).unwrap();
    assert!(!to.exists(&path));
}

#[test]
fn layouts_have_the_media_types_that_other_tools_look_for() {
    let (_temporary, dir) = place();
    sink(&dir)
        .write(sample("a", "amd64", Family::Docker), &[])
        .unwrap();
    let image = source(&dir).open("", None).unwrap().unwrap();
    assert_eq!(image.descriptor.media_type, media_type::OCI_MANIFEST);
    assert_eq!(image.manifest.config.media_type, media_type::OCI_CONFIG);
    assert_eq!(image.manifest.layers[0].media_type, media_type::OCI_LAYER);
}

#[test]
fn a_digest_can_be_a_name() {
    let (_temporary, dir) = place();
    let name = BlobDigest::of(b"another image").to_string();
    let written = sink(&dir)
        .write(sample("a", "amd64", Family::Oci), &names(&[&name]))
        .unwrap();
    let image = source(&dir).open(&name, None).unwrap().unwrap();
    assert_eq!(image.descriptor.digest, written.manifest.digest);
}

#[test]
fn an_index_leads_to_the_image_for_a_platform() {
    let (_temporary, dir) = place();
    let collected = CollectingSink::new(Compression::None);
    let mut digests = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let image = sample(architecture, architecture, Family::Oci);
        digests.push(collected.write(image, &[]).unwrap().manifest.digest);
    }
    let written = collected
        .write_index(&sink(&dir), &names(&["multi"]))
        .unwrap();
    assert_eq!(
        written
            .images
            .iter()
            .map(|image| image.manifest.digest)
            .collect::<Vec<_>>(),
        digests
    );
    for (architecture, digest) in ["amd64", "arm64"].iter().zip(&digests) {
        let platform = Platform::new("linux", *architecture);
        let image = source(&dir)
            .open("multi", Some(&platform))
            .unwrap()
            .unwrap();
        assert_eq!(image.descriptor.digest, *digest);
        assert_eq!(image.config.architecture, *architecture);
    }
    let other = Platform::new("linux", "s390x");
    let error = source(&dir).open("multi", Some(&other)).unwrap_err();
    assert!(
        error.to_string().contains("no image for `linux/s390x`"),
        "{error}"
    );
}

#[test]
fn an_index_mixes_neither_families_nor_platforms() {
    let (_temporary, dir) = place();
    for pair in [
        [
            sample("a", "amd64", Family::Oci),
            sample("b", "arm64", Family::Docker),
        ],
        [
            sample("a", "amd64", Family::Oci),
            sample("b", "amd64", Family::Oci),
        ],
    ] {
        let error = sink(&dir)
            .keeping_family()
            .write_index(pair.into(), &[])
            .unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Invalid);
    }
    assert!(source(&dir).open("", None).unwrap().is_none());
}

#[test]
fn damage_and_links_are_found_when_reading() {
    let (_temporary, dir) = place();
    let written = sink(&dir)
        .write(sample("a", "amd64", Family::Oci), &[])
        .unwrap();
    let image = source(&dir).open("", None).unwrap().unwrap();
    let layer = &image.manifest.layers[0];
    let path = blob_path(&layer.digest);
    let mut bytes = dir.read(&path).unwrap();
    bytes[600] ^= 1;
    dir.write(&path, &bytes).unwrap();
    let error = image
        .blobs
        .open(layer)
        .unwrap()
        .read_to_end(&mut Vec::new())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the blob's digest is sha256:"),
        "{error}"
    );
    dir.remove_file(&path).unwrap();
    assert_eq!(
        image.blobs.open(layer).err().unwrap().kind,
        StoreErrorKind::Invalid
    );
    let manifest = blob_path(&written.manifest.digest);
    dir.rename(&manifest, &dir, "elsewhere").unwrap();
    dir.symlink("../../elsewhere", &manifest).unwrap();
    assert!(source(&dir).open("", None).is_err());
}

#[test]
fn a_mismatch_of_layers_and_configuration_is_refused() {
    let (_temporary, dir) = place();
    let mut image = sample("a", "amd64", Family::Oci);
    image.config.history.push(History::default());
    let error = sink(&dir).write(image, &[]).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("its history tells of 2 layers, and it has 1"),
        "{error}"
    );
    let mut image = sample("a", "amd64", Family::Oci);
    image.config.rootfs.diff_ids.clear();
    assert!(sink(&dir).write(image, &[]).is_err());
}
