use std::ffi::OsString;

use super::*;

fn environ(variables: &[(&str, &str)]) -> Environ {
    let variables = variables.iter();
    Environ::new(variables.map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

fn parse(
    phase: Phase,
    api: PlatformApi,
    arguments: &[&str],
) -> Result<(flags::Parsed, Inputs), flags::Refusal> {
    let mut inputs = Inputs::from_environment(api, &environ(&[("CNB_LAYERS_DIR", "/variable")]));
    let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
    flags::parse(phase, api, &arguments, &mut inputs).map(|parsed| (parsed, inputs))
}

#[test]
fn flags_take_all_forms_of_the_reference_and_win_over_variables() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "/variable"),
        (&["-layers", "/flag"], "/flag"),
        (&["--layers", "/flag"], "/flag"),
        (&["-layers=/flag"], "/flag"),
        (&["--layers=/a=b"], "/a=b"),
        (&["-layers="], ""),
        (&["-layers", "-x"], "-x"),
        (&["-no-color", "-layers", "/flag"], "/flag"),
        (&["-no-color=f", "-layers", "/flag"], "/flag"),
        // Flags end here.
        (&["image", "-layers", "/flag"], "/variable"),
        (&["--", "-layers", "/flag"], "/variable"),
        (&["-", "-layers", "/flag"], "/variable"),
    ];
    for (arguments, expected) in cases {
        let (_, inputs) = parse(Phase::Exporter, PlatformApi::V0_15, arguments).unwrap();
        assert_eq!(inputs.layers_dir, *expected, "{arguments:?}");
    }
    let (parsed, _) = parse(
        Phase::Exporter,
        PlatformApi::V0_15,
        &["-uid", "7", "a", "-b"],
    )
    .unwrap();
    assert_eq!(parsed.positional, ["a", "-b"]);
}

#[test]
fn what_is_no_flag_is_refused() {
    for arguments in [
        &["-nope"][..],
        &["---layers"],
        &["-=x"],
        &["-layers"],
        &["-uid", "x"],
        &["-no-color=maybe"],
    ] {
        assert!(
            parse(Phase::Exporter, PlatformApi::V0_15, arguments).is_err(),
            "{arguments:?}"
        );
    }
}

#[test]
fn help_and_version_come_instead() {
    for (argument, expected) in [
        ("-h", flags::Instead::Help),
        ("--help", flags::Instead::Help),
        ("-version", flags::Instead::Version),
    ] {
        let (parsed, _) = parse(Phase::Builder, PlatformApi::V0_7, &[argument]).unwrap();
        assert_eq!(parsed.instead, Some(expected));
    }
}

/// The lists that the reference's own help shows.
const FLAGS: &[(PlatformApi, Phase, &str)] = &[
    (
        PlatformApi::V0_7,
        Phase::Analyzer,
        "analyzed cache-image daemon gid layers log-level no-color previous-image run-image stack tag uid version",
    ),
    (
        PlatformApi::V0_9,
        Phase::Analyzer,
        "analyzed cache-image daemon gid launch-cache layers log-level no-color previous-image run-image skip-layers stack tag uid version",
    ),
    (
        PlatformApi::V0_12,
        Phase::Analyzer,
        "analyzed cache-image daemon gid launch-cache layers layout layout-dir log-level no-color previous-image run run-image skip-layers tag uid version",
    ),
    (
        PlatformApi::V0_15,
        Phase::Analyzer,
        "analyzed cache-image daemon gid insecure-registry launch-cache layers layout layout-dir log-level no-color previous-image run run-image skip-layers tag uid version",
    ),
    (
        PlatformApi::V0_7,
        Phase::Builder,
        "app buildpacks group layers log-level no-color plan platform version",
    ),
    (
        PlatformApi::V0_12,
        Phase::Builder,
        "analyzed app build-config buildpacks group layers log-level no-color plan platform version",
    ),
    (
        PlatformApi::V0_7,
        Phase::Creator,
        "app buildpacks cache-dir cache-image daemon gid launch-cache launcher layers log-level no-color order parallel platform previous-image process-type project-metadata report run-image skip-restore stack tag uid version",
    ),
    (
        PlatformApi::V0_15,
        Phase::Creator,
        "app build-config buildpacks cache-dir cache-image daemon gid insecure-registry launch-cache launcher launcher-sbom layers layout layout-dir log-level no-color order parallel platform previous-image process-type project-metadata report run run-image skip-restore stack system tag uid version",
    ),
    (
        PlatformApi::V0_7,
        Phase::Detector,
        "app buildpacks group layers log-level no-color order plan platform version",
    ),
    (
        PlatformApi::V0_12,
        Phase::Detector,
        "analyzed app build-config buildpacks extensions generated group layers log-level no-color order plan platform run version",
    ),
    (
        PlatformApi::V0_15,
        Phase::Detector,
        "analyzed app build-config buildpacks extensions generated group layers log-level no-color order plan platform run system version",
    ),
    (
        PlatformApi::V0_7,
        Phase::Exporter,
        "analyzed app cache-dir cache-image daemon gid group image launch-cache launcher layers log-level no-color parallel process-type project-metadata report run-image stack uid version",
    ),
    (
        PlatformApi::V0_15,
        Phase::Exporter,
        "analyzed app cache-dir cache-image daemon extended gid group image insecure-registry launch-cache launcher launcher-sbom layers layout layout-dir log-level no-color parallel process-type project-metadata report run run-image uid version",
    ),
    (
        PlatformApi::V0_7,
        Phase::Rebaser,
        "daemon gid image log-level no-color report run-image uid version",
    ),
    (
        PlatformApi::V0_15,
        Phase::Rebaser,
        "daemon force gid image insecure-registry log-level no-color previous-image report run-image uid version",
    ),
    (
        PlatformApi::V0_7,
        Phase::Restorer,
        "analyzed cache-dir cache-image gid group layers log-level no-color skip-layers uid version",
    ),
    (
        PlatformApi::V0_12,
        Phase::Restorer,
        "analyzed build-image cache-dir cache-image daemon generated gid group layers layout layout-dir log-level no-color skip-layers uid version",
    ),
    (
        PlatformApi::V0_15,
        Phase::Restorer,
        "analyzed build-image cache-dir cache-image daemon generated gid group insecure-registry layers layout layout-dir log-level no-color run skip-layers uid version",
    ),
];

#[test]
fn flags_depend_on_the_platform_api() {
    for (api, phase, expected) in FLAGS {
        let usage = flags::usage(*phase, *api);
        let names = usage
            .lines()
            .skip(1)
            .map(|it| it.trim().trim_start_matches('-'));
        let names: Vec<&str> = names.collect();
        assert_eq!(names.join(" "), *expected, "{phase:?} at {api}");
    }
}

#[test]
fn files_follow_the_layers_directory_unless_they_are_named() {
    let arguments = ["-layers", "/x", "-plan", "/p.toml"];
    let (_, inputs) = parse(Phase::Detector, PlatformApi::V0_15, &arguments).unwrap();
    assert_eq!(inputs.group_path(), "/x/group.toml");
    assert_eq!(inputs.analyzed_path(), "/x/analyzed.toml");
    assert_eq!(inputs.report_path(), "/x/report.toml");
    assert_eq!(inputs.plan_path(), "/p.toml");
    assert_eq!(inputs.order_path(), "/cnb/order.toml");
}

#[test]
fn switches_in_the_environment_are_true_only_if_they_say_so() {
    for (value, expected) in [
        ("1", true),
        ("t", true),
        ("TRUE", true),
        ("yes", false),
        ("0", false),
        ("", false),
    ] {
        let environ = environ(&[("CNB_USE_LAYOUT", value)]);
        let inputs = Inputs::from_environment(PlatformApi::V0_15, &environ);
        assert_eq!(inputs.use_layout, expected, "{value}");
    }
    let environ = environ(&[("CNB_INSECURE_REGISTRIES", "a,b")]);
    let inputs = Inputs::from_environment(PlatformApi::V0_15, &environ);
    assert_eq!(inputs.insecure_registries, ["a", "b"]);
}

#[test]
fn the_daemon_and_odd_execution_environments_are_refused() {
    let environ = environ(&[("CNB_EXEC_ENV", "a/b")]);
    let mut inputs = Inputs::from_environment(PlatformApi::V0_15, &environ);
    assert!(inputs.resolve().unwrap_err().contains("`a/b`"));
    let (_, mut inputs) = parse(Phase::Analyzer, PlatformApi::V0_15, &["-daemon"]).unwrap();
    assert!(inputs.resolve().unwrap_err().contains("-daemon"));
}

#[test]
fn programs_are_known_by_their_names() {
    for (argv0, expected) in [
        (
            "/cnb/lifecycle/detector",
            Some(Program::Phase(Phase::Detector)),
        ),
        ("creator", Some(Program::Phase(Phase::Creator))),
        ("/cnb/lifecycle/lifecycle", Some(Program::Lifecycle)),
        ("/usr/bin/cnbw", None),
        ("launcher", None),
    ] {
        assert_eq!(started_as(argv0.as_ref()), expected, "{argv0}");
    }
}

#[test]
fn exit_statuses_of_the_command_line_are_the_references() {
    let api = ("CNB_PLATFORM_API", "0.15");
    let bad = ("CNB_PLATFORM_API", "0.99");
    for (program, arguments, variable, expected) in [
        (Program::Phase(Phase::Detector), &["x"][..], api, 3),
        (Program::Phase(Phase::Detector), &["-nope"], api, 2),
        (Program::Phase(Phase::Detector), &["-nope"], bad, 11),
        (
            Program::Phase(Phase::Detector),
            &["-log-level", "bogus"],
            api,
            1,
        ),
        (Program::Phase(Phase::Exporter), &[], api, 3),
        (Program::Lifecycle, &["nope"], api, 3),
        (Program::Lifecycle, &["nope"], bad, 11),
        (Program::Lifecycle, &[], api, 3),
        (Program::Lifecycle, &["-version"], bad, 0),
        (Program::Phase(Phase::Extender), &[], api, 102),
    ] {
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let shown = format!("{program:?} {arguments:?}");
        let code = main_for(program, arguments, environ(&[variable]));
        let expected = ExitCode::from(expected);
        assert_eq!(format!("{code:?}"), format!("{expected:?}"), "{shown}");
    }
}
