use proptest::prelude::*;

use super::*;
use crate::analyzed::{Analyzed, parse_analyzed, print_analyzed};
use crate::api::PlatformApi;
use crate::build_plan::Require;
use crate::group::GroupElement;
use crate::id::BuildpackRef;
use crate::layer::LayerTypes;
use crate::metadata::{BomEntry, BuildMetadata, Process};
use crate::print::tests::any_table;
use crate::project_metadata::{ProjectMetadata, ProjectSource};
use crate::value::{Table, Value};

/// As the reference writes it, shortened.
const LABEL: &str = r#"{"app":[{"sha":"sha256:a"}],"sbom":{"sha":"sha256:s"},"buildpacks":[{"key":"acme/a","version":"1","layers":{"l":{"sha":"sha256:l","data":{"v":"1"},"build":false,"launch":true,"cache":true},"m":{"sha":"sha256:m","data":null,"build":false,"launch":true,"cache":false}},"store":{"metadata":{"k":"v"}}}],"config":{"sha":"sha256:c"},"launcher":{"sha":"sha256:d"},"process-types":{"sha":""},"runImage":{"topLayer":"sha256:t","reference":"r@sha256:0","image":"r","mirrors":["m"]},"stack":{"runImage":{"image":"r","mirrors":["m"]}}}"#;

#[test]
fn the_lifecycle_label_is_read_and_printed_to_the_byte() {
    let metadata = parse_lifecycle_metadata(LABEL).unwrap();
    assert_eq!(metadata.app, ["sha256:a"]);
    let buildpack = metadata.buildpack("acme/a").unwrap();
    let layer = buildpack.layers.get("l").unwrap();
    assert_eq!(
        layer.layer.types,
        LayerTypes {
            build: false,
            launch: true,
            cache: true
        }
    );
    assert_eq!(
        layer.layer.metadata,
        Some(Value::Table("v = \"1\"".parse().unwrap()))
    );
    assert_eq!(metadata.run_image.names.mirrors, ["m"]);
    assert_eq!(print_lifecycle_metadata(&metadata).unwrap(), LABEL);
}

#[test]
fn the_label_goes_through_analyzed_toml_and_back() {
    let analyzed = Analyzed {
        metadata: parse_lifecycle_metadata(LABEL).unwrap(),
        ..Analyzed::default()
    };
    let printed = print_analyzed(&analyzed);
    let read = parse_analyzed("analyzed.toml", printed.as_bytes()).unwrap();
    assert_eq!(read, analyzed, "{printed}");
}

#[test]
fn integers_become_floats_and_print_as_integers_again() {
    let label =
        r#"{"buildpacks":[{"key":"a","layers":{"l":{"data":{"n":1,"big":1e21,"x":null}}}}]}"#;
    let metadata = parse_lifecycle_metadata(label).unwrap();
    let data = metadata
        .buildpack("a")
        .and_then(|buildpack| buildpack.layers.get("l"))
        .unwrap();
    let expected: Table = "n = 1.0\nbig = 1e21".parse().unwrap();
    assert_eq!(data.layer.metadata, Some(Value::Table(expected)));
    let printed = print_lifecycle_metadata(&metadata).unwrap();
    assert!(
        printed.contains(r#""data":{"big":1e+21,"n":1}"#),
        "{printed}"
    );
}

#[test]
fn labels_of_another_shape_are_refused_with_their_key() {
    let cases = [
        ("", "not JSON"),
        ("[]", "expected an object, found an array"),
        ("null", "expected an object, found null"),
        (
            r#"{"app":"sha256:0"}"#,
            "key `app`: expected an array, found a string",
        ),
        (
            r#"{"buildpacks":[{"key":1}]}"#,
            "key `buildpacks[0].key`: expected a string, found a number",
        ),
        (
            r#"{"buildpacks":[{"layers":{"l":{"data":[null]}}}]}"#,
            "key `buildpacks[0].layers.l.data[0]`: `null` in an array",
        ),
        (
            r#"{"buildpacks":[{"layers":{"l":{"build":"x"}}}]}"#,
            "key `buildpacks[0].layers.l.build`: expected a boolean, found a string",
        ),
    ];
    for (label, message) in cases {
        let error = parse_lifecycle_metadata(label).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let data = "[".repeat(70) + "1" + &"]".repeat(70);
    let deep = format!(r#"{{"buildpacks":[{{"layers":{{"l":{{"data":{data}}}}}}}]}}"#);
    assert!(
        parse_lifecycle_metadata(&deep)
            .unwrap_err()
            .reason
            .contains("nested deeper")
    );
    assert!(parse_lifecycle_metadata(&"[".repeat(100_000)).is_err());
}

#[test]
fn cache_metadata_is_read_and_printed() {
    let text = r#"{"sbom":{"sha":"sha256:s"},"buildpacks":[{"key":"a","version":"1","layers":{"l":{"sha":"sha256:l","data":null,"build":true,"launch":false,"cache":true}}}]}"#;
    let metadata = parse_cache_metadata(CACHE_METADATA, text.as_bytes()).unwrap();
    assert!(metadata.buildpack("a").is_some() && metadata.buildpack("b").is_none());
    assert_eq!(print_cache_metadata(&metadata).unwrap(), text);
    assert_eq!(
        parse_cache_metadata("f", b"{}").unwrap(),
        CacheMetadata::default()
    );
    assert!(parse_cache_metadata("f", b"\xff").is_err());
}

fn build_metadata() -> BuildMetadata {
    let mut element = GroupElement::new(BuildpackRef::parse("A", "v1").unwrap());
    element.api = Some("0.12".to_owned());
    element.homepage = Some("h".to_owned());
    BuildMetadata {
        buildpacks: vec![element],
        processes: vec![Process {
            process_type: "web".to_owned(),
            command: vec!["a".to_owned(), "b".to_owned()],
            direct: true,
            buildpack_id: "A".to_owned(),
            working_dir: Some("/w".to_owned()),
            exec_env: vec!["test".to_owned()],
            ..Process::default()
        }],
        buildpack_default_process_type: Some("web".to_owned()),
        ..BuildMetadata::default()
    }
}

#[test]
fn the_build_label_follows_the_platform_api() {
    let metadata = build_metadata();
    let launcher = LauncherMetadata {
        version: "1".to_owned(),
        repository: "r".to_owned(),
        commit: "c".to_owned(),
    };
    let head = r#""buildpacks":[{"id":"A","version":"v1","homepage":"h"}],"launcher":{"version":"1","source":{"git":{"repository":"r","commit":"c"}}},"processes":[{"type":"web","#;
    let tail = r#","direct":true,"buildpackID":"A","working-dir":"/w","exec-env":["test"]}],"buildpack-default-process-type":"web"}"#;
    let new = print_build_label(&metadata, &launcher, PlatformApi::V0_15).unwrap();
    assert_eq!(
        new,
        format!(r#"{{{head}"command":["a","b"],"args":null{tail}"#)
    );
    let old = print_build_label(&metadata, &launcher, PlatformApi::V0_8).unwrap();
    assert_eq!(
        old,
        format!(r#"{{"bom":null,{head}"command":"a","args":["b"]{tail}"#)
    );
}

#[test]
fn the_old_bill_of_materials_is_printed() {
    let entry = BomEntry {
        require: Require {
            name: "some-dep".to_owned(),
            ..Require::default()
        },
        buildpack: GroupElement::new(BuildpackRef::parse("A", "v1").unwrap()),
    };
    let json = r#"[{"name":"some-dep","metadata":null,"buildpack":{"id":"A","version":"v1"}}]"#;
    assert_eq!(print_legacy_bom(&[entry]).unwrap(), format!("{json}\n"));
    assert_eq!(print_legacy_bom(&[]).unwrap(), "null\n");
}

#[test]
fn the_project_label_leaves_out_what_is_empty() {
    assert_eq!(
        print_project_label(&ProjectMetadata::default()).unwrap(),
        "{}"
    );
    let source = |version: &str| ProjectMetadata {
        source: Some(ProjectSource {
            source_type: "git".to_owned(),
            version: Some(version.parse().unwrap()),
            metadata: Some(Table::new()),
        }),
    };
    assert_eq!(
        print_project_label(&source("commit = \"abc\"\nn = 1")).unwrap(),
        r#"{"source":{"type":"git","version":{"commit":"abc","n":1}}}"#
    );
    assert_eq!(
        print_project_label(&source("n = [inf]"))
            .unwrap_err()
            .to_string(),
        "label `io.buildpacks.project.metadata` cannot hold `inf` at `source.version.n[0]`: \
         JSON has no such number"
    );
}

/// What the way through JSON makes of a value: whole numbers lose their type, dates are not used here.
fn as_floats(value: Value) -> Value {
    match value {
        #[expect(
            clippy::cast_precision_loss,
            reason = "the loss is what the test is about"
        )]
        Value::Integer(integer) => Value::Float(integer as f64),
        Value::Array(items) => Value::Array(items.into_iter().map(as_floats).collect()),
        Value::Table(table) => Value::Table(as_floats_in(table)),
        Value::String(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => value,
    }
}

fn as_floats_in(table: Table) -> Table {
    table
        .into_iter()
        .map(|(key, value)| (key, as_floats(value)))
        .collect()
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(label in "\\PC{0,80}") {
        let _verdict = parse_lifecycle_metadata(&label);
    }

    #[test]
    fn a_mutated_label_is_read_or_refused(at in 0..LABEL.len(), with in "[\\[\\]{}\":,0an]{0,3}") {
        let mut label = LABEL.to_owned();
        label.replace_range(at..=at, &with);
        if let Ok(metadata) = parse_lifecycle_metadata(&label) {
            prop_assert!(print_lifecycle_metadata(&metadata).is_ok());
        }
        let _verdict = parse_cache_metadata("f", label.as_bytes());
    }

    #[test]
    fn metadata_of_layers_survives_the_label(name in any::<String>(), metadata in any_table()) {
        let record = LayerRecord {
            sha: "sha256:x".to_owned(),
            layer: LayerToml {
                metadata: Some(Value::Table(metadata.clone())),
                ..LayerToml::default()
            },
        };
        let buildpack = BuildpackLayers {
            layers: [(name.clone(), record)].into_iter().collect(),
            ..BuildpackLayers::default()
        };
        let label = LifecycleMetadata { buildpacks: vec![buildpack], ..LifecycleMetadata::default() };
        if let Ok(printed) = print_lifecycle_metadata(&label) {
            let read = parse_lifecycle_metadata(&printed).unwrap();
            let layer = read.buildpack("").and_then(|buildpack| buildpack.layers.get(&name)).unwrap();
            prop_assert_eq!(&layer.layer.metadata, &Some(Value::Table(as_floats_in(metadata))));
            prop_assert_eq!(print_lifecycle_metadata(&read).unwrap(), print_lifecycle_metadata(
                &parse_lifecycle_metadata(&print_lifecycle_metadata(&read).unwrap()).unwrap()
            ).unwrap());
        }
    }
}
