use cnbw_spec::group::parse_group;
use cnbw_spec::plan::parse_plan;

use super::*;
use crate::ports::Access;
use crate::scripted::{Which, World, read_guest, variable, write_guest};

fn group(ids: &str) -> Group {
    let element = |id: &str| format!("[[group]]\nid = \"{id}\"\nversion = \"1\"\napi = \"0.12\"\n");
    let text: String = ids.split_whitespace().map(element).collect();
    parse_group("group.toml", text.as_bytes()).unwrap()
}

fn build_with(
    world: &World,
    api: PlatformApi,
    group: &Group,
    plan: &str,
) -> Result<Built, BuildError> {
    let plan = parse_plan("plan.toml", plan.as_bytes()).unwrap();
    let programs = world.programs();
    let request = BuildRequest {
        platform_api: api,
        group,
        plan: &plan,
        buildpacks: &world.buildpacks(),
        programs: &programs,
        layers: &world.guest("/layers", "layers"),
    };
    build(&request, world, world)
}

fn run(world: &World, ids: &str) -> Result<Built, BuildError> {
    build_with(world, PlatformApi::V0_15, &group(ids), "")
}

/// A world with buildpacks of API 0.12.
fn world(ids: &[&str]) -> World {
    let world = World::new();
    for id in ids {
        world.buildpack(
            id,
            "0.12",
            "sbom-formats = [\"application/vnd.cyclonedx+json; version=1.4\"]",
        );
    }
    world
}

/// Runs one buildpack that writes files, and gives what is wrong with them.
fn refused(files: &'static [(&'static str, &'static str)]) -> (u8, String) {
    let mut world = world(&["a"]);
    world.build("a", files);
    let error = run(&world, "a").unwrap_err();
    let mut text = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    (error.exit_code(), text)
}

// shows: build-037
#[test]
fn a_program_is_given_what_the_specification_says() {
    let mut world = world(&["x/y", "b"]);
    world.build(
        "x/y",
        &[("l.toml", "[types]\nbuild = true\n"), ("l/file", "content")],
    );
    world.script("b", Which::Build, |invocation, output| {
        assert_eq!(invocation.args[..2], ["/layers/b", "/platform"]);
        let plan = &invocation.args[2];
        assert_eq!(
            read_guest(invocation, plan),
            "[[entries]]\n  name = \"q\"\n"
        );
        for (name, value) in [
            ("CNB_LAYERS_DIR", "/layers/b"),
            ("CNB_BP_PLAN_PATH", plan),
            ("CNB_BUILDPACK_DIR", "/cnb/buildpacks/b/1"),
            ("CNB_TARGET_ARCH", "amd64"),
        ] {
            assert_eq!(variable(invocation, name).as_deref(), Some(value), "{name}");
        }
        let mut mounts: Vec<_> = invocation.mounts.iter().collect();
        mounts.sort_by(|one, two| one.guest_path.cmp(&two.guest_path));
        let mounts: Vec<_> = mounts
            .iter()
            .map(|it| (it.guest_path.as_str(), it.access == Access::ReadWrite))
            .collect();
        let expected = [
            ("/cnb/buildpacks/b/1", false),
            ("/layers/b", true),
            ("/layers/x_y", false),
            ("/platform", false),
            ("/tmp", true),
            ("/workspace", true),
        ];
        assert_eq!(mounts, expected);
        assert_eq!(read_guest(invocation, "/layers/x_y/l/file"), "content");
        output(crate::ports::Stream::Stderr, b"note");
        Ok(0)
    });
    let plan = "[[entries]]\n[[entries.providers]]\nid = \"b\"\nversion = \"1\"\n[[entries.requires]]\nname = \"q\"\n";
    build_with(&world, PlatformApi::V0_15, &group("x/y b"), plan).unwrap();
    assert_eq!(*world.started.lock().unwrap(), ["build x/y@1", "build b@1"]);
    assert!(world.told().contains("err b@1 note"));
}

#[test]
fn requirements_go_to_later_providers_until_somebody_meets_them() {
    for (unmet, expected) in [("", "[]"), ("[[unmet]]\nname = \"q\"\n", "[q]")] {
        let mut world = world(&["a", "b"]);
        world.script("a", Which::Build, move |invocation, _| {
            write_guest(invocation, "/layers/a/build.toml", unmet);
            Ok(0)
        });
        world.script("b", Which::Build, move |invocation, _| {
            let plan = read_guest(invocation, &invocation.args[2]);
            let seen = if plan.contains("name = \"q\"") {
                "[q]"
            } else {
                "[]"
            };
            assert_eq!(seen, expected);
            Ok(0)
        });
        let plan = "[[entries]]\n[[entries.providers]]\nid = \"a\"\nversion = \"1\"\n[[entries.providers]]\nid = \"b\"\nversion = \"1\"\n[[entries.requires]]\nname = \"q\"\n";
        build_with(&world, PlatformApi::V0_15, &group("a b"), plan).unwrap();
    }
}

#[test]
fn layers_without_types_are_renamed_before_the_next_program_runs() {
    let mut world = world(&["a", "b"]);
    world.build(
        "a",
        &[
            ("none.toml", ""),
            ("none/file", ""),
            ("kept.toml", "[types]\ncache = true\n"),
            ("kept/file", ""),
            ("stray/file", ""),
            ("only.toml", "[metadata]\nx = 1\n"),
        ],
    );
    world.script("b", Which::Build, |invocation, _| {
        let a = invocation
            .mounts
            .iter()
            .find(|it| it.guest_path == "/layers/a")
            .unwrap();
        for (name, there) in [
            ("none.ignore/file", true),
            ("none", false),
            ("kept/file", true),
            ("stray/file", true),
            ("only.ignore", false),
        ] {
            assert_eq!(a.dir.exists(name), there, "{name}");
        }
        Ok(0)
    });
    run(&world, "a b").unwrap();
}

#[test]
fn build_layers_change_the_environment_of_later_programs_layer_by_layer() {
    let mut world = world(&["a", "b", "c"]);
    world.build(
        "a",
        &[
            ("l.toml", "[types]\nbuild = true\n"),
            ("l/bin/tool", ""),
            ("l/lib/x", ""),
            ("l/env/V.append", "1"),
            ("l/env/V.delim", ","),
            ("l/env.build/V.append", "2"),
            ("l/env.launch/V.append", "no"),
            // Sorted by their names, not by those of their files.
            ("l-a.toml", "[types]\nbuild = true\n"),
            ("l-a/bin/tool", ""),
            ("l-a/env/V.append", "3"),
            ("launch-only.toml", "[types]\nlaunch = true\n"),
            ("launch-only/env/V.append", "no"),
        ],
    );
    world.script("b", Which::Build, |invocation, _| {
        assert_eq!(variable(invocation, "V").as_deref(), Some("123"));
        let path = variable(invocation, "PATH");
        assert_eq!(
            path.as_deref(),
            Some("/layers/a/l-a/bin:/layers/a/l/bin:/usr/bin")
        );
        let libraries = variable(invocation, "LIBRARY_PATH");
        assert_eq!(libraries.as_deref(), Some("/layers/a/l/lib"));
        for (path, text) in [
            ("b.toml", "[types]\nbuild = true\n"),
            ("b/bin/x", ""),
            ("b/env/V.override", "b"),
        ] {
            write_guest(invocation, &format!("/layers/b/{path}"), text);
        }
        Ok(0)
    });
    world.script("c", Which::Build, |invocation, _| {
        assert_eq!(variable(invocation, "V").as_deref(), Some("b"));
        let path = variable(invocation, "PATH").unwrap();
        assert!(
            path.starts_with("/layers/b/b/bin:/layers/a/l-a/bin:"),
            "{path}"
        );
        Ok(0)
    });
    run(&world, "a b c").unwrap();
}

#[test]
fn processes_labels_and_slices_are_collected_in_order() {
    let mut world = world(&["a", "b"]);
    world.build("a", &[("launch.toml", "[[labels]]\nkey = \"k\"\nvalue = \"1\"\n[[slices]]\npaths = [\"s\"]\n[[processes]]\ntype = \"web\"\ncommand = [\"a\"]\ndefault = true\n")]);
    world.build("b", &[("launch.toml", "[[labels]]\nkey = \"k\"\nvalue = \"2\"\n[[processes]]\ntype = \"web\"\ncommand = [\"b\"]\nworking-dir = \"/w\"\n[[processes]]\ntype = \"api\"\ncommand = []\n")]);
    let metadata = run(&world, "a b").unwrap().metadata;
    let processes: Vec<_> = metadata
        .processes
        .iter()
        .map(|it| {
            (
                it.process_type.as_str(),
                it.command.clone(),
                it.buildpack_id.as_str(),
            )
        })
        .collect();
    let expected = [("api", vec![], "b"), ("web", vec!["b".to_owned()], "b")];
    assert_eq!(processes, expected);
    assert_eq!(metadata.buildpack_default_process_type, None);
    assert!(
        world
            .told()
            .contains("warning the default process type web is defined again")
    );
    assert_eq!(metadata.labels.len(), 2);
    assert_eq!(metadata.slices[0].paths.as_deref().unwrap(), ["s"]);
    let written = world
        .dir("layers")
        .read_to_string("config/metadata.toml")
        .unwrap();
    assert!(written.contains("type = \"api\""), "{written}");
}

#[test]
fn sbom_files_are_collected_by_the_types_of_their_layers() {
    let mut world = world(&["x/y"]);
    world.write("layers/sbom/stale", "");
    world.build(
        "x/y",
        &[
            ("launch.sbom.cdx.json", "L"),
            ("build.sbom.cdx.json", "B"),
            ("l.toml", "[types]\nlaunch = true\ncache = true\n"),
            ("l.sbom.cdx.json", "l"),
            ("n.toml", ""),
            ("n.sbom.cdx.json", "n"),
            ("nobody.sbom.cdx.json", "x"),
            ("nobody.sbom.odd.json", "x"),
        ],
    );
    run(&world, "x/y").unwrap();
    let layers = world.dir("layers");
    for (path, content) in [
        ("launch/x_y/sbom.cdx.json", "L"),
        ("build/x_y/sbom.cdx.json", "B"),
        ("launch/x_y/l/sbom.cdx.json", "l"),
        ("cache/x_y/l/sbom.cdx.json", "l"),
        ("build/x_y/n/sbom.cdx.json", "n"),
        ("launch/sbom.legacy.json", "null\n"),
        ("build/sbom.legacy.json", "null\n"),
    ] {
        let found = layers.read_to_string(format!("sbom/{path}")).unwrap();
        assert_eq!(found, content, "{path}");
    }
    for path in ["sbom/stale", "sbom/build/x_y/nobody", "sbom/build/x_y/l"] {
        assert!(!layers.exists(path), "{path}");
    }
}

#[test]
fn old_platforms_have_no_sbom_files_and_the_old_form_in_the_metadata() {
    for (api, files, entries) in [
        (PlatformApi::V0_7, false, 1),
        (PlatformApi::V0_8, true, 1),
        (PlatformApi::V0_9, true, 0),
    ] {
        let mut world = world(&["a"]);
        world.build(
            "a",
            &[
                ("launch.toml", "[[bom]]\nname = \"x\"\n"),
                ("launch.sbom.cdx.json", "L"),
            ],
        );
        let built = build_with(&world, api, &group("a"), "").unwrap();
        assert_eq!(built.metadata.bom.len(), entries, "{api}");
        assert_eq!(
            world.dir("layers").exists("sbom/launch/a/sbom.cdx.json"),
            files,
            "{api}"
        );
    }
}

#[test]
fn outputs_that_break_rules_end_the_build_with_52() {
    for (files, says) in [
        (&[("launch.toml", "bad = = toml")][..], "launch.toml"),
        (&[("build.toml", "bad = = toml")], "build.toml"),
        (&[("store.toml", "bad = = toml")], "store.toml"),
        (&[("l.toml", "launch = true\n")], "l.toml"),
        (&[("l.toml", "[types]\nlaunch = \"yes\"\n")], "launch"),
        (
            &[(
                "launch.toml",
                "[[processes]]\ntype = \"a\"\ncommand = \"x\"\n",
            )],
            "command",
        ),
        (
            &[(
                "launch.toml",
                "[[processes]]\ntype = \"a\"\ncommand = [\"x\"]\ndirect = true\n",
            )],
            "direct",
        ),
        (
            &[(
                "launch.toml",
                "[[processes]]\ntype = \"a b\"\ncommand = [\"x\"]\n",
            )],
            "`a b`",
        ),
        (
            &[(
                "launch.toml",
                "[[processes]]\ntype = \"a\"\ncommand = []\ndefault = true\n[[processes]]\ntype = \"a\"\ncommand = []\ndefault = true\n",
            )],
            "default",
        ),
        (
            &[("launch.toml", "[[bom]]\nname = \"x\"\nversion = \"1\"\n")],
            "metadata.version",
        ),
        (
            &[("build.toml", "[[unmet]]\nname = \"x\"\n")],
            "must match a requested dependency",
        ),
        (&[("build.toml", "[[unmet]]\n")], "unmet.name is required"),
        (
            &[("launch.sbom.odd.json", "")],
            "unsupported SBOM file format",
        ),
        (&[("launch.sbom.spdx.json", "")], "`application/spdx+json`"),
        (
            &[("l.toml", ""), ("l/x", ""), ("l.ignore/x", "")],
            "`l.ignore`",
        ),
        (&[(".toml", "")], "names no layer"),
    ] {
        let (code, text) = refused(files);
        assert_eq!(code, 52, "{text}");
        assert!(text.contains(says), "{says} is not in: {text}");
        assert!(
            text.starts_with("what `a@1` built cannot be used"),
            "{text}"
        );
    }
}

#[test]
fn links_are_not_followed_out_of_the_layers_directory() {
    for name in ["launch.toml", "l.toml", "launch.sbom.cdx.json"] {
        let mut world = world(&["a"]);
        world.write("secret", "[types]\n");
        world.script("a", Which::Build, move |invocation, _| {
            let layers = invocation
                .mounts
                .iter()
                .find(|it| it.guest_path == "/layers/a")
                .unwrap();
            layers.dir.symlink("../../secret", name).unwrap();
            Ok(0)
        });
        assert_eq!(run(&world, "a").unwrap_err().exit_code(), 52, "{name}");
    }
}

#[test]
fn a_failing_program_ends_the_build_with_51() {
    let mut world = world(&["a", "b", "c"]);
    world.build("a", &[]);
    world.script("b", Which::Build, |_, _| Ok(7));
    world.build("c", &[]);
    let error = run(&world, "a b c").unwrap_err();
    assert_eq!(error.exit_code(), 51);
    assert_eq!(
        error.to_string(),
        "the build program of `b@1` ended with status 7"
    );
    assert_eq!(world.started.lock().unwrap().len(), 2);
    assert!(!world.dir("layers").exists("config"));
    let world = World::new();
    world.buildpack("n", "0.12", "");
    assert_eq!(run(&world, "n").unwrap_err().exit_code(), 51);
}

// shows: layers-031
#[test]
fn metadata_of_a_layer_is_opaque() {
    let mut world = world(&["a", "b"]);
    let toml = "[types]\nbuild = true\n[metadata]\nexec-env = [\"test\"]\n";
    world.script("a", Which::Build, move |invocation, _| {
        write_guest(invocation, "/layers/a/l.toml", toml);
        write_guest(invocation, "/layers/a/l/env/V", "v");
        Ok(0)
    });
    world.script("b", Which::Build, |invocation, _| {
        assert_eq!(variable(invocation, "V").as_deref(), Some("v"));
        Ok(0)
    });
    run(&world, "a b").unwrap();
}

#[test]
fn two_ids_that_mean_one_directory_are_refused() {
    let world = world(&["a/b", "a_b"]);
    let error = run(&world, "a/b a_b").unwrap_err();
    assert_eq!(
        error.to_string(),
        "buildpacks `a/b@1` and `a_b@1` have the same layers directory"
    );
}

#[test]
fn a_group_that_cannot_be_used_is_refused() {
    let world = World::new();
    assert_eq!(run(&world, "gone").unwrap_err().exit_code(), 52);
    let mut group = group("gone");
    group.group[0].api = Some("0.99".into());
    let error = build_with(&world, PlatformApi::V0_15, &group, "").unwrap_err();
    assert_eq!(error.exit_code(), 12);
    let built = build_with(&world, PlatformApi::V0_15, &Group::default(), "").unwrap();
    assert_eq!(built.metadata, BuildMetadata::default());
}
