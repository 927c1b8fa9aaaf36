use super::*;

const METADATA: &str = r#"
buildpacks = [{ id = "new", api = "0.9" }, { id = "old", api = "0.8" }]
processes = [
    { type = "list", command = ["x", "-c"], args = ["a"], direct = true, buildpack-id = "old" },
    { type = "one", command = ["x"], args = ["a"], direct = true, buildpack-id = "new" },
    { type = "shell", command = "x y", args = ["a"], buildpack-id = "old" },
    { type = "orphan", command = ["x"], args = ["a"], direct = true, buildpack-id = "gone" },
    { type = "none", command = [], direct = true, buildpack-id = "new" },
    { type = "with.dot", command = ["x"], direct = true, working-dir = "/srv", buildpack-id = "new" },
    { type = "..", command = ["up"], direct = true, buildpack-id = "new" },
    { type = "env", command = ["t"], direct = true, exec-env = ["test"], buildpack-id = "new" },
    { type = "env", command = ["p"], direct = true, exec-env = ["production", "x"], buildpack-id = "new" },
    { type = "tests", command = ["t"], direct = true, exec-env = ["test"], buildpack-id = "new" },
    { type = "any", command = ["a"], direct = true, exec-env = ["*"], buildpack-id = "new" },
]
"#;

fn select_in(
    platform_api: &str,
    exec_env: &str,
    argv0: &str,
    arguments: &[&str],
) -> Result<Start, ProcessError> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let platform_api = ApiVersion::parse_platform(platform_api).unwrap();
    let (argv0, exec_env) = (OsStr::new(argv0), OsStr::new(exec_env));
    let invocation = Invocation {
        argv0,
        arguments: &arguments,
        platform_api,
        exec_env,
    };
    invocation.select(&Metadata::parse(METADATA.as_bytes()).unwrap())
}

fn select(argv0: &str, arguments: &[&str]) -> Result<Start, ProcessError> {
    select_in("0.15", "production", argv0, arguments)
}

/// The whole argument vector, as one text.
fn words(start: &Start) -> String {
    start
        .command
        .iter()
        .chain(&start.args)
        .map(|word| word.to_str().unwrap())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn user_arguments_replace_or_follow_by_the_apis() {
    for (platform_api, r#type, arguments, expected) in [
        ("0.15", "list", &[][..], "x -c a"),
        ("0.15", "list", &["b"], "x -c b"),
        ("0.10", "list", &["b"], "x -c b"),
        ("0.9", "list", &[], "x -c a"),
        ("0.9", "list", &["b"], "x -c a b"),
        ("0.10", "one", &[], "x a"),
        ("0.10", "one", &["b"], "x b"),
        ("0.9", "one", &["b"], "x a b"),
        ("0.10", "shell", &["b"], "x y a b"),
        ("0.15", "orphan", &[], "x a"),
        ("0.9", "orphan", &["b"], "x a b"),
        ("0.15", "none", &["b"], "b"),
    ] {
        let start = select_in(platform_api, "production", r#type, arguments).unwrap();
        assert_eq!(
            words(&start),
            expected,
            "{platform_api} {type} {arguments:?}"
        );
        assert_eq!(start.r#type.as_deref(), Some(r#type));
    }
}

#[test]
fn the_last_element_of_the_launchers_name_is_the_type() {
    for argv0 in [
        "/cnb/process/with.dot",
        "with.dot",
        "../x/with.dot",
        "//with.dot",
    ] {
        let start = select(argv0, &[]).unwrap();
        assert_eq!(
            (start.r#type.as_deref(), start.working_directory.to_str()),
            (Some("with.dot"), Some("/srv"))
        );
    }
    for argv0 in [
        "/cnb/lifecycle/launcher",
        "/cnb/process/with",
        "with.dot/",
        "",
        "/",
        "..",
        "a/..",
        "../../bin/sh",
    ] {
        assert_eq!(
            select(argv0, &[]),
            Err(ProcessError::CommandRequired),
            "{argv0}"
        );
    }
}

#[test]
fn arguments_that_need_an_unknown_buildpack_are_an_error() {
    let error = select("orphan", &["b"]).unwrap_err();
    assert_eq!(
        error,
        ProcessError::UnknownBuildpack {
            r#type: "orphan".into(),
            buildpack_id: "gone".into()
        }
    );
}

#[test]
fn a_command_of_the_user_is_direct_after_dashes_only() {
    for (arguments, direct, expected) in [
        (&["echo", "a b"][..], false, "echo a b"),
        (&["--", "echo", "a"], true, "echo a"),
        (&["--", "--", "a"], true, "-- a"),
        (&["--"], false, "--"),
        (&["echo", "--"], false, "echo --"),
    ] {
        let start = select("/cnb/lifecycle/launcher", arguments).unwrap();
        assert_eq!(
            (start.direct, words(&start).as_str(), start.r#type),
            (direct, expected, None),
            "{arguments:?}"
        );
    }
}

#[test]
fn execution_environments_count_since_platform_api_0_15() {
    for (platform_api, exec_env, r#type, expected) in [
        ("0.15", "production", "env", Some("p")),
        ("0.15", "x", "env", Some("p")),
        ("0.15", "test", "env", Some("t")),
        ("0.15", "development", "env", None),
        ("0.14", "development", "env", Some("t")),
        ("0.15", "production", "tests", None),
        ("0.15", "development", "any", Some("a")),
    ] {
        // The user's command must not be run in place of a process that is not meant for this environment.
        let found = select_in(platform_api, exec_env, r#type, &[]).map(|start| words(&start));
        let not_eligible = || ProcessError::NotEligible {
            r#type: r#type.to_owned(),
            exec_env: OsString::from(exec_env),
        };
        assert_eq!(
            found,
            expected.map(str::to_owned).ok_or_else(not_eligible),
            "{platform_api} {exec_env} {type}"
        );
    }
    assert!(matches!(
        select("tests", &["ls"]),
        Err(ProcessError::NotEligible { .. })
    ));
}

#[test]
fn a_shell_process_with_arguments_needs_its_buildpack() {
    let metadata = Metadata::parse(METADATA.as_bytes()).unwrap();
    let mut start = select("shell", &[]).unwrap();
    assert_eq!(start.verify_buildpack(&metadata), Ok(()));
    start.buildpack_id = "gone".to_owned();
    assert!(start.verify_buildpack(&metadata).is_err());
    start.args.clear();
    assert_eq!(
        start.verify_buildpack(&metadata),
        Ok(()),
        "without arguments nothing hangs on it"
    );
}
