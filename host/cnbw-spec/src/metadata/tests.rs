use proptest::prelude::*;

use super::*;
use crate::id::BuildpackRef;
use crate::print::tests::any_table;

fn element(id: &str, api: &str) -> GroupElement {
    GroupElement {
        api: Some(api.to_owned()),
        ..GroupElement::new(BuildpackRef::parse(id, "1.0.0").unwrap())
    }
}

fn process(process_type: &str, command: &[&str], args: Option<&[&str]>) -> Process {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Process {
        process_type: process_type.to_owned(),
        command: owned(command),
        args: args.map(owned),
        direct: true,
        buildpack_id: "a".to_owned(),
        ..Process::default()
    }
}

/// Texts as recorded in config layers that the reference made.
#[test]
fn metadata_is_printed_as_the_reference_prints_it() {
    let mut metadata = BuildMetadata {
        buildpacks: vec![element("a", "0.12")],
        ..BuildMetadata::default()
    };
    assert_eq!(
        print_build_metadata(&metadata, PlatformApi::V0_15),
        r#"processes = []

[[buildpacks]]
  id = "a"
  version = "1.0.0"
  api = "0.12"
"#
    );

    metadata.buildpack_default_process_type = Some("web".to_owned());
    metadata.processes = vec![
        process("web", &["/bin/sh", "-c"], Some(&["true"])),
        Process {
            working_dir: Some("/x".to_owned()),
            exec_env: vec!["test".to_owned(), "production".to_owned()],
            ..process("worker", &["w"], None)
        },
    ];
    metadata.slices = vec![
        Slice {
            paths: Some(vec!["*.txt".to_owned(), "d/*".to_owned()]),
        },
        Slice {
            paths: Some(Vec::new()),
        },
    ];
    metadata.labels = vec![Label {
        key: "k".to_owned(),
        value: String::new(),
    }];
    assert_eq!(
        print_build_metadata(&metadata, PlatformApi::V0_15),
        r#"buildpack-default-process-type = "web"

[[buildpacks]]
  id = "a"
  version = "1.0.0"
  api = "0.12"

[[labels]]
  key = "k"
  value = ""

[[processes]]
  type = "web"
  command = ["/bin/sh", "-c"]
  args = ["true"]
  direct = true
  buildpack-id = "a"

[[processes]]
  type = "worker"
  command = ["w"]
  direct = true
  buildpack-id = "a"
  working-dir = "/x"
  exec-env = ["test", "production"]

[[slices]]
  paths = ["*.txt", "d/*"]

[[slices]]
  paths = []
"#
    );
}

#[test]
fn a_command_is_one_text_before_platform_api_0_10() {
    let metadata = BuildMetadata {
        processes: vec![process("web", &["run", "it"], Some(&["x"]))],
        ..BuildMetadata::default()
    };
    let printed = print_build_metadata(&metadata, PlatformApi::V0_9);
    assert!(
        printed.contains("  command = \"run\"\n  args = [\"it\", \"x\"]\n"),
        "{printed}"
    );
    let read = parse_build_metadata("m", printed.as_bytes(), PlatformApi::V0_9).unwrap();
    assert_eq!(
        read.processes,
        [process("web", &["run"], Some(&["it", "x"]))]
    );
    let printed = print_build_metadata(&metadata, PlatformApi::V0_10);
    assert!(
        printed.contains("  command = [\"run\", \"it\"]\n  args = [\"x\"]\n"),
        "{printed}"
    );
}

#[test]
fn a_command_is_escaped_as_json_is() {
    let metadata = BuildMetadata {
        processes: vec![process("web", &["<&>\u{2028}\u{1}\u{7f}\t\"\\é"], None)],
        ..BuildMetadata::default()
    };
    let printed = print_build_metadata(&metadata, PlatformApi::V0_15);
    let expected = r#"command = ["\u003c\u0026\u003e\u2028\u0001\u007f\t\"\\é"]"#;
    assert!(printed.contains(expected), "{printed}");
    let read = parse_build_metadata("m", printed.as_bytes(), PlatformApi::V0_15).unwrap();
    assert_eq!(read, metadata);
}

#[test]
fn commands_are_read_in_both_shapes() {
    let text = "[[processes]]\ncommand = \"x y\"\n[[processes]]\ncommand = [\"x\", 1]\n";
    let metadata = parse_build_metadata("m", text.as_bytes(), PlatformApi::V0_15).unwrap();
    let commands: Vec<_> = metadata
        .processes
        .into_iter()
        .map(|process| process.command)
        .collect();
    assert_eq!(commands, [vec!["x y"], vec!["x", "1"]]);
    let text = b"[[processes]]\ncommand = 1";
    let error = parse_build_metadata("m", text, PlatformApi::V0_15).unwrap_err();
    assert_eq!(
        error.reason,
        "expected a string or an array of strings, found an integer"
    );
}

#[test]
fn entries_of_the_old_bill_of_materials_are_read_and_printed() {
    let entry = BomEntry {
        require: Require {
            name: "dep".to_owned(),
            version: None,
            metadata: Some("x = 1".parse().unwrap()),
        },
        buildpack: GroupElement::new(BuildpackRef::parse("a", "1").unwrap()),
    };
    let metadata = BuildMetadata {
        bom: vec![entry],
        ..BuildMetadata::default()
    };
    let printed = print_build_metadata(&metadata, PlatformApi::V0_8);
    assert_eq!(
        printed,
        r#"processes = []

[[bom]]
  name = "dep"
  [bom.metadata]
    x = 1
  [bom.buildpack]
    id = "a"
    version = "1"
"#
    );
    let read = parse_build_metadata("m", printed.as_bytes(), PlatformApi::V0_8).unwrap();
    assert_eq!(read, metadata);
}

prop_compose! {
    fn any_process()(
        process_type in "\\PC{0,6}",
        command in proptest::collection::vec(any::<String>(), 0..3),
        args in proptest::option::of(proptest::collection::vec(any::<String>(), 0..3)),
        flags in any::<(bool, bool)>(),
        working_dir in proptest::option::of("\\PC{1,6}"),
        exec_env in proptest::collection::vec("[a-z*]{1,4}", 0..3),
    ) -> Process {
        Process {
            process_type, command, args, working_dir, exec_env,
            direct: flags.0, default: flags.1, buildpack_id: "a".to_owned(),
        }
    }
}

proptest! {
    #[test]
    fn printed_metadata_is_read_back(
        processes in proptest::collection::vec(any_process(), 0..3),
        value in any::<String>(),
        bom_metadata in proptest::option::of(any_table()),
    ) {
        let require = Require { name: value.clone(), version: None, metadata: bom_metadata };
        let metadata = BuildMetadata {
            bom: vec![BomEntry { require, buildpack: element("b", "0.8") }],
            buildpacks: vec![element("a", "0.12")],
            labels: vec![Label { key: "k".to_owned(), value }],
            processes,
            ..BuildMetadata::default()
        };
        let api = PlatformApi::V0_15;
        let read = parse_build_metadata("m", print_build_metadata(&metadata, api).as_bytes(), api);
        prop_assert_eq!(read.unwrap(), metadata);
    }
}
