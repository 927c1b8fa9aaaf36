//! Every parser on valid documents with damage, and on arbitrary bytes: it reads or refuses, and does
//! neither panic nor take long. Cases are random but their seeds are kept when one fails.

use std::fmt::Debug;

use cnbw_spec::api::{BuildpackApi, PlatformApi};
use cnbw_spec::document::DocumentError;
use proptest::prelude::*;

type Parser = fn(&[u8]) -> Result<(), DocumentError>;

/// One parser, and a document that it reads.
#[derive(Clone, Copy)]
struct Subject {
    name: &'static str,
    parse: Parser,
    valid: &'static str,
}

impl Debug for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

macro_rules! subjects {
    ($($name:literal => $parse:expr, $valid:literal;)+) => {
        [$(Subject {
            name: $name,
            parse: |bytes| {
                let parse = $parse;
                parse(bytes).map(|_| ())
            },
            valid: $valid,
        }),+]
    };
}

const LABEL: &str = cnbw_spec::labels::LIFECYCLE_METADATA;

fn subjects() -> Vec<Subject> {
    subjects! {
        "analyzed.toml" => |bytes| cnbw_spec::analyzed::parse_analyzed("f", bytes),
            "[image]\nreference = \"r\"\n[[metadata.app]]\nsha = \"s\"\n[[metadata.buildpacks]]\nkey = \"a\"\n\
             [metadata.buildpacks.layers.l]\nsha = \"x\"\nlaunch = true\n[metadata.buildpacks.layers.l.metadata]\n\
             n = 1.5\n[run-image]\nreference = \"r\"\n[run-image.target]\nos = \"linux\"\ndistro = {name = \"u\"}\n";
        "buildpack.toml" => |bytes| cnbw_spec::descriptor::parse_buildpack("f", bytes),
            "api = \"0.12\"\n[buildpack]\nid = \"a/b\"\nversion = \"1\"\nclear-env = true\nexec-env = [\"test\"]\n\
             [[order]]\n[[order.group]]\nid = \"c\"\n[[targets]]\nos = \"linux\"\n[[targets.distros]]\nname = \"u\"\n\
             [[stacks]]\nid = \"*\"\n[metadata]\nx = 1979-05-27\n";
        "extension.toml" => |bytes| cnbw_spec::descriptor::parse_extension("f", bytes),
            "api = \"0.12\"\n[extension]\nid = \"e\"\nversion = \"1\"\n[[targets]]\narch = \"arm\"\nvariant = \"v7\"\n";
        "order.toml" => |bytes| cnbw_spec::order::parse_order("f", bytes),
            "[[order]]\n[[order.group]]\nid = \"a\"\nversion = \"1\"\noptional = true\n[[order-extensions]]\ngroup = []\n";
        "group.toml" => |bytes| cnbw_spec::group::parse_group("f", bytes),
            "[[group]]\nid = \"a\"\nversion = \"1\"\napi = \"0.12\"\nhomepage = \"h\"\n[[group-extensions]]\nid = \"e\"\n";
        "plan.toml of detect" => |bytes| cnbw_spec::build_plan::parse_build_plan("f", bytes),
            "[[provides]]\nname = \"p\"\n[[or]]\n[[or.requires]]\nname = \"r\"\n[or.requires.metadata]\na.b = [1, {c = 2}]\n";
        "plan.toml" => |bytes| cnbw_spec::plan::parse_plan("f", bytes),
            "[[entries]]\n[[entries.providers]]\nid = \"a\"\nversion = \"1\"\n[[entries.requires]]\nname = \"x\"\n";
        "buildpack plan" => |bytes| cnbw_spec::buildpack_plan::parse_buildpack_plan("f", bytes),
            "[[entries]]\nname = \"x\"\n[entries.metadata]\nk = 'v'\n";
        "layer.toml" => |bytes| cnbw_spec::layer::parse_layer("f", bytes),
            "[types]\nlaunch = true\nbuild = false\n[metadata]\nx = '''\ny'''\nz = [nan, -inf, 0xff]\n";
        "launch.toml" => |bytes| cnbw_spec::launch::parse_launch("f", bytes, BuildpackApi::LATEST),
            "[[processes]]\ntype = \"web\"\ncommand = [\"a\"]\nargs = []\ndefault = true\nworking-dir = \"/w\"\n\
             exec-env = [\"*\"]\n[[labels]]\nkey = \"k\"\n[[slices]]\npaths = [\"*\"]\n[[bom]]\nname = \"b\"\n";
        "launch.toml of old" => |bytes| cnbw_spec::launch::parse_launch("f", bytes, BuildpackApi::V0_8),
            "[[processes]]\ntype = \"web\"\ncommand = \"a b\"\ndirect = true\n";
        "build.toml" => |bytes| cnbw_spec::build_toml::parse_build_toml("f", bytes),
            "[[unmet]]\nname = \"x\"\n[[bom]]\nname = \"b\"\nmetadata = {v = 1}\n";
        "store.toml" => |bytes| cnbw_spec::store::parse_store("f", bytes),
            "[metadata]\n\"a b\".c = [[1], [\"x\"]]\nt = 07:32:00.5\n";
        "metadata.toml" => |bytes| cnbw_spec::metadata::parse_build_metadata("f", bytes, PlatformApi::LATEST),
            "buildpack-default-process-type = \"web\"\n[[buildpacks]]\nid = \"a\"\nversion = \"1\"\n\
             [[processes]]\ntype = \"web\"\ncommand = [\"a\"]\ndirect = true\nbuildpack-id = \"a\"\n[[slices]]\n";
        "project-metadata.toml" => |bytes| cnbw_spec::project_metadata::parse_project_metadata("f", bytes),
            "[source]\ntype = \"git\"\n[source.version]\ncommit = \"c\"\n[source.metadata]\nrefs = [\"main\"]\n";
        "run.toml" => |bytes| cnbw_spec::run::parse_run("f", bytes),
            "[[images]]\nimage = \"r\"\nmirrors = [\"m\"]\n";
        "stack.toml" => |bytes| cnbw_spec::stack::parse_stack("f", bytes),
            "[run-image]\nimage = \"r\"\nmirrors = [\"m\"]\n";
        "system.toml" => |bytes| cnbw_spec::system::parse_system("f", bytes),
            "[[system.pre.buildpacks]]\nid = \"a\"\nversion = \"1\"\noptional = true\n";
        "project.toml" => |bytes| cnbw_spec::project::parse_project("f", bytes),
            "[_]\nschema-version = \"0.3\"\n[[_.licenses]]\ntype = \"MIT\"\n[io.buildpacks]\ninclude = [\"*\"]\n\
             [[io.buildpacks.group]]\nid = \"a\"\n[[io.buildpacks.build.env]]\nname = \"N\"\nvalue = \"v\"\n";
        "lifecycle label" => |bytes| cnbw_spec::labels::parse_lifecycle_metadata(&String::from_utf8_lossy(bytes)),
            r#"{"app":[{"sha":"a"}],"buildpacks":[{"key":"a","layers":{"l":{"sha":"s","data":{"n":[1,2.5]},"launch":true}}}]}"#;
        "cache metadata" => |bytes| cnbw_spec::labels::parse_cache_metadata(LABEL, bytes),
            r#"{"sbom":{"sha":"s"},"buildpacks":[{"key":"a","layers":{"l":{"sha":"s","cache":true}},"store":{"metadata":{}}}]}"#;
    }
    .to_vec()
}

/// Pieces that mean something to a parser.
const PIECES: [&str; 24] = [
    "",
    "\n",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\"",
    "'",
    "'''",
    "#",
    ":",
    "null",
    "true",
    "1",
    "-1e400",
    "nan",
    "\0",
    "\u{feff}",
    "9223372036854775808",
];

fn subject() -> impl Strategy<Value = Subject> {
    prop::sample::select(subjects())
}

fn damaged() -> impl Strategy<Value = (Subject, Vec<u8>)> {
    let edit = (
        any::<prop::sample::Index>(),
        0_usize..6,
        prop::sample::select(PIECES.to_vec()),
    );
    (subject(), proptest::collection::vec(edit, 1..5)).prop_map(|(subject, edits)| {
        let mut bytes = subject.valid.as_bytes().to_vec();
        for (at, remove, piece) in edits {
            let start = at.index(bytes.len() + 1);
            let end = bytes.len().min(start + remove);
            bytes.splice(start..end, piece.bytes());
        }
        (subject, bytes)
    })
}

#[test]
fn every_parser_reads_its_valid_document() {
    for subject in subjects() {
        assert_eq!(
            (subject.parse)(subject.valid.as_bytes()),
            Ok(()),
            "{subject:?}"
        );
    }
}

#[test]
fn every_parser_refuses_what_is_too_long_too_deep_or_not_utf_8() {
    let long = "#".repeat(cnbw_spec::document::MAX_DOCUMENT_BYTES + 1);
    let deep = format!("a = {}", "[".repeat(10_000));
    for subject in subjects() {
        assert!((subject.parse)(long.as_bytes()).is_err(), "{subject:?}");
        assert!((subject.parse)(deep.as_bytes()).is_err(), "{subject:?}");
        assert!((subject.parse)(b"\xff\xfe").is_err(), "{subject:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_document_is_read_or_refused((subject, bytes) in damaged()) {
        if let Err(error) = (subject.parse)(&bytes) {
            let text = error.to_string();
            prop_assert!(!text.contains(char::is_control), "{text:?}");
            prop_assert!(text.len() < 2000, "{text:?}");
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(
        subject in subject(),
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let _verdict = (subject.parse)(&bytes);
    }
}
