use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::*;
use crate::compress::Compression;
use crate::descriptor::Platform;
use crate::image::{
    ImageSink, ImageSource, IndexSink, LayerContent, NewImage, NewLayer, StoreErrorKind,
};
use crate::layout::tests::sample;
use crate::manifest::Family;

struct Place {
    _temporary: tempfile::TempDir,
    dir: Arc<Dir>,
}

fn place() -> Place {
    let temporary = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(temporary.path(), ambient_authority()).unwrap();
    Place {
        _temporary: temporary,
        dir: Arc::new(dir),
    }
}

impl Place {
    fn sink(&self, format: ArchiveFormat) -> ArchiveSink {
        let options = ArchiveOptions {
            compression: Compression::None,
            format,
        };
        ArchiveSink::new(Arc::clone(&self.dir), "x.tar", "x.tar", options)
    }

    fn file(&self) -> File {
        self.dir.open("x.tar").unwrap().into_std()
    }

    fn source(&self, format: ArchiveFormat) -> ArchiveSource {
        ArchiveSource::new(self.file(), "x.tar", &self.dir, format).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        self.dir.read("x.tar").unwrap()
    }
}

const NAME: &str = "me/app:1.0";

fn names() -> Vec<String> {
    vec![NAME.to_owned()]
}

fn layer_text(image: &crate::image::Image) -> String {
    let mut text = String::new();
    let mut reader = image.blobs.open(&image.manifest.layers[0]).unwrap();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn every_format_reads_back() {
    use ArchiveFormat::{Both, Docker, Oci};
    for family in [Family::Oci, Family::Docker] {
        for (written, read) in [
            (Oci, Oci),
            (Oci, Both),
            (Docker, Docker),
            (Docker, Both),
            (Both, Oci),
            (Both, Docker),
        ] {
            let place = place();
            let sample = sample("hello", "amd64", family);
            let config = sample.config.clone();
            place.sink(written).write(sample, &names()).unwrap();
            for name in ["", NAME] {
                let image = place.source(read).open(name, None).unwrap().unwrap();
                assert_eq!(image.config, config);
                assert!(layer_text(&image).contains("hello"));
            }
            assert!(place.source(read).open("other:1", None).unwrap().is_none());
        }
    }
}

#[test]
fn docker_names_are_compared_in_full() {
    let place = place();
    let tag = "docker.io/library/app:1".to_owned();
    place
        .sink(ArchiveFormat::Docker)
        .write(sample("x", "amd64", Family::Docker), &[tag])
        .unwrap();
    assert!(
        place
            .source(ArchiveFormat::Docker)
            .open("app:1", None)
            .unwrap()
            .is_some()
    );
    let text = String::from_utf8(place.bytes()).unwrap();
    assert!(text.contains(r#""RepoTags":["app:1"]"#));
}

#[test]
fn equal_images_give_equal_bytes() {
    let (first, second) = (place(), place());
    for place in [&first, &second] {
        place
            .sink(ArchiveFormat::Both)
            .write(sample("x", "amd64", Family::Oci), &names())
            .unwrap();
    }
    assert_eq!(first.bytes(), second.bytes());
}

#[test]
fn a_format_that_is_not_there_is_missed() {
    let place = place();
    place
        .sink(ArchiveFormat::Docker)
        .write(sample("x", "amd64", Family::Oci), &[])
        .unwrap();
    let error = place.source(ArchiveFormat::Oci).open("", None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open `x.tar`: it has no `index.json`, so it is no OCI archive"
    );
    place
        .sink(ArchiveFormat::Oci)
        .write(sample("x", "amd64", Family::Oci), &[])
        .unwrap();
    assert!(place.source(ArchiveFormat::Docker).open("", None).is_err());
}

#[test]
fn a_compressed_archive_is_read_too() {
    let place = place();
    place
        .sink(ArchiveFormat::Both)
        .write(sample("x", "amd64", Family::Oci), &[])
        .unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&place.bytes()).unwrap();
    place.dir.write("x.tar", encoder.finish().unwrap()).unwrap();
    assert!(
        place
            .source(ArchiveFormat::Both)
            .open("", None)
            .unwrap()
            .is_some()
    );
}

#[test]
fn compressed_layers_links_and_dots_of_other_tools_are_understood() {
    let place = place();
    place
        .sink(ArchiveFormat::Docker)
        .write(sample("hello", "amd64", Family::Docker), &[])
        .unwrap();
    let mut members = Vec::new();
    for entry in tar::Archive::new(place.file()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        members.push(content);
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&members[2]).unwrap();
    let layer = encoder.finish().unwrap();
    let manifest = r#"[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar"]}]"#;
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("./manifest.json", manifest.as_bytes()),
        ("c.json", &members[1]),
        ("b/layer.tar", &layer),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content).unwrap();
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    builder
        .append_link(&mut link, "a/layer.tar", "../b/layer.tar")
        .unwrap();
    place
        .dir
        .write("x.tar", builder.into_inner().unwrap())
        .unwrap();
    let image = place
        .source(ArchiveFormat::Both)
        .open("", None)
        .unwrap()
        .unwrap();
    let blob = image.blobs.open(&image.manifest.layers[0]).unwrap();
    let mut text = String::new();
    crate::compress::open(blob)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.contains("hello"));
    assert_eq!(
        image.manifest.layers[0].media_type,
        crate::manifest::media_type::DOCKER_LAYER_GZIP
    );
}

#[test]
fn an_image_moves_from_archive_to_archive() {
    let (from, to) = (place(), place());
    from.sink(ArchiveFormat::Docker)
        .write(sample("hello", "amd64", Family::Docker), &[])
        .unwrap();
    let image = from
        .source(ArchiveFormat::Docker)
        .open("", None)
        .unwrap()
        .unwrap();
    let layers = image
        .manifest
        .layers
        .iter()
        .zip(&image.config.rootfs.diff_ids);
    let copy = NewImage {
        family: Family::Oci,
        layers: layers
            .map(|(descriptor, diff_id)| NewLayer {
                diff_id: *diff_id,
                content: LayerContent::Existing {
                    descriptor: descriptor.clone(),
                    blobs: Arc::clone(&image.blobs),
                },
            })
            .collect(),
        config: image.config.clone(),
        annotations: std::collections::BTreeMap::new(),
    };
    to.sink(ArchiveFormat::Both).write(copy, &[]).unwrap();
    let copied = to
        .source(ArchiveFormat::Oci)
        .open("", None)
        .unwrap()
        .unwrap();
    assert_eq!(layer_text(&copied), layer_text(&image));
    assert_eq!(copied.manifest.family(), Family::Oci);
}

#[test]
fn several_platforms_share_an_oci_archive() {
    let place = place();
    let images = || {
        ["amd64", "arm64"]
            .map(|name| sample(name, name, Family::Oci))
            .into()
    };
    place
        .sink(ArchiveFormat::Both)
        .write_index(images(), &names())
        .unwrap();
    for architecture in ["amd64", "arm64"] {
        let platform = Platform::new("linux", architecture);
        let image = place
            .source(ArchiveFormat::Both)
            .open(NAME, Some(&platform))
            .unwrap()
            .unwrap();
        assert!(layer_text(&image).contains(architecture));
    }
    let error = place
        .sink(ArchiveFormat::Docker)
        .write_index(images(), &[])
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Invalid);
}

#[test]
fn a_directory_in_the_way_is_named() {
    let place = place();
    place.dir.create_dir("x.tar").unwrap();
    let error = place
        .sink(ArchiveFormat::Both)
        .write(sample("x", "amd64", Family::Oci), &[])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write `x.tar`: there is a directory of this name"
    );
    assert_eq!(place.dir.entries().unwrap().count(), 1);
}

#[test]
fn damaged_archives_are_errors_wherever_the_damage_is() {
    let place = place();
    place
        .sink(ArchiveFormat::Both)
        .write(sample("hello", "amd64", Family::Oci), &[])
        .unwrap();
    let whole = place.bytes();
    for length in (0..whole.len()).step_by(500) {
        place.dir.write("x.tar", &whole[..length]).unwrap();
        let opened = ArchiveSource::new(place.file(), "x.tar", &place.dir, ArchiveFormat::Both);
        let image = opened.and_then(|source| source.open("", None));
        let read = image.map(|image| {
            let image = image.unwrap();
            let mut text = Vec::new();
            image
                .blobs
                .open(&image.manifest.layers[0])
                .and_then(|mut reader| {
                    let read = reader.read_to_end(&mut text);
                    read.map_err(|source| crate::image::StoreError::io("read", "x", source))
                })
        });
        assert!(
            matches!(read, Err(_) | Ok(Err(_))) || length > whole.len() - 1024,
            "{length}"
        );
    }
}
