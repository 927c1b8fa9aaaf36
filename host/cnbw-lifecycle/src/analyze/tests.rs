use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::*;
use crate::test_images::{MemoryStore, Messages};
use crate::tree::Ancestors;

const RUN: &str = r#"{"architecture":"amd64","os":"linux","config":{"Labels":{"io.buildpacks.base.distro.name":"ubuntu"}}}"#;

fn run(
    store: &MemoryStore,
    api: PlatformApi,
    previous: &str,
    run_image: &str,
) -> Result<Analysis, AnalyzeError> {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
    let layers = Tree {
        dir: &dir,
        path: "/layers",
        ancestors: Ancestors::Disk(Vec::new()),
    };
    let named = |name| ImageRequest {
        name,
        source: store,
        identity: Identity::Registry,
    };
    let request = AnalyzeRequest {
        platform_api: api,
        previous_image: Some(named(previous)),
        run_image: Some(RunImageRequest::Named(named(run_image))),
        platform: Some(Platform::new("linux", "amd64")),
        layers: &layers,
        skip_layers: false,
    };
    analyze(&request, &Messages::default())
}

// shows: analyze-006 analyze-009 analyze-010 analyze-012
#[test]
fn a_first_build_has_a_run_image_and_no_previous_one() {
    let store = MemoryStore::default();
    let image = store.add_run_image("r.io/run:1", &["x"], RUN);
    let analysis = run(&store, PlatformApi::V0_15, "r.io/app", "r.io/run:1").unwrap();
    assert_eq!(analysis.document.previous_image.as_deref(), Some(""));
    let entry = analysis.document.run_image.unwrap();
    assert_eq!(
        entry.reference,
        format!("r.io/run@{}", image.descriptor.digest)
    );
    assert_eq!(entry.image.as_deref(), Some("r.io/run:1"));
    assert_eq!(entry.target.unwrap().distro.unwrap().name, "ubuntu");
    let old = run(&store, PlatformApi::V0_11, "r.io/app", "r.io/run:1").unwrap();
    let entry = old.document.run_image.unwrap();
    assert_eq!((entry.image, entry.target), (None, None));
}

// shows: analyze-014
#[test]
fn a_label_that_cannot_be_read_hides_the_previous_image() {
    let store = MemoryStore::default();
    store.add_run_image("r.io/run:1", &["x"], RUN);
    let with_label = |label: &str| RUN.replace("io.buildpacks.base.distro.name\":\"ubuntu", label);
    store.add_run_image("r.io/none", &["y"], RUN);
    store.add_run_image(
        "r.io/garbage",
        &["y"],
        &with_label("io.buildpacks.lifecycle.metadata\":\"not-json"),
    );
    let reference = |previous: &str| {
        let analysis = run(&store, PlatformApi::V0_15, previous, "r.io/run:1").unwrap();
        assert_eq!(analysis.document.metadata, LifecycleMetadata::default());
        analysis.document.previous_image.unwrap()
    };
    assert!(reference("r.io/none").starts_with("r.io/none@sha256:"));
    assert_eq!(reference("r.io/garbage"), "");
}

// shows: analyze-011
#[test]
fn a_run_image_needs_an_operating_system_if_it_exists() {
    let store = MemoryStore::default();
    store.add_run_image("r.io/noos", &["x"], r#"{"architecture":"amd64"}"#);
    let result = run(&store, PlatformApi::V0_15, "r.io/app", "r.io/noos");
    assert!(matches!(result, Err(AnalyzeError::NoOs { .. })));
    assert!(run(&store, PlatformApi::V0_11, "r.io/app", "r.io/noos").is_ok());
    let missing = run(&store, PlatformApi::V0_15, "r.io/app", "r.io/gone:1").unwrap();
    assert_eq!(missing.document.run_image.unwrap().reference, "");
    assert!(missing.run_image.is_none());
}

// shows: analyze-016 analyze-018
#[test]
fn the_sbom_layer_of_the_previous_image_is_unpacked_into_its_place_only() {
    use cnbw_oci::layer::{LayerOptions, LayerWriter, Owner};

    for (path, expected) in [
        ("/layers/sbom/launch/a/l/sbom.cdx.json", true),
        ("/layers/a/l.toml", false),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let mut writer = LayerWriter::create(&dir, &LayerOptions::default()).unwrap();
        writer.add_file(path, Owner::ROOT, 0o644, b"{}").unwrap();
        let mut blob = writer.finish().unwrap();
        let mut tar = String::new();
        std::io::Seek::rewind(&mut blob.file).unwrap();
        std::io::Read::read_to_string(&mut blob.file, &mut tar).unwrap();

        let store = MemoryStore::default();
        let label = format!(r#"{{"sbom":{{"sha":"{}"}}}}"#, blob.diff_id);
        let label = serde_json::to_string(&label).unwrap();
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Labels":{{"{LIFECYCLE_METADATA}":{label}}}}}}}"#
        );
        store.add_run_image("r.io/app", &["base", &tar], &config);
        let layers = Tree {
            dir: &dir,
            path: "/layers",
            ancestors: Ancestors::Disk(Vec::new()),
        };
        let messages = Messages::default();
        let mut request = AnalyzeRequest {
            platform_api: PlatformApi::V0_15,
            previous_image: Some(ImageRequest {
                name: "r.io/app",
                source: &store,
                identity: Identity::Registry,
            }),
            run_image: None,
            platform: None,
            layers: &layers,
            skip_layers: true,
        };
        analyze(&request, &messages).unwrap();
        assert_eq!(dir.entries().unwrap().count(), 0);
        request.skip_layers = false;
        analyze(&request, &messages).unwrap();
        assert_eq!(dir.exists("sbom/launch/a/l/sbom.cdx.json"), expected);
        assert!(!dir.exists("a"));
        assert_eq!(messages.contain("Not restoring the SBOM"), !expected);
    }
}
