use super::*;

#[test]
fn buildpacks_and_processes_are_read() {
    let text = br#"
[[buildpacks]]
api = "0.12"
id = "a/b"
version = "1.0.0"

[[processes]]
type = "web"
command = ["node", "server.js"]
args = ["--port", "80"]
direct = true
default = true
buildpack-id = "a/b"
working-dir = "/srv"
exec-env = ["test", "*"]

[[processes]]
type = "old"
command = 'echo "$X"'
"#;
    let metadata = Metadata::parse(text).unwrap();
    assert_eq!(
        metadata.buildpacks,
        [Buildpack {
            id: "a/b".into(),
            api: "0.12".into()
        }]
    );
    let web = Process {
        r#type: "web".into(),
        command: vec!["node".into(), "server.js".into()],
        args: vec!["--port".into(), "80".into()],
        direct: true,
        buildpack_id: "a/b".into(),
        working_directory: "/srv".into(),
        exec_env: vec!["test".into(), "*".into()],
    };
    let old = Process {
        r#type: "old".into(),
        command: vec!["echo \"$X\"".into()],
        ..Process::default()
    };
    assert_eq!(metadata.processes, [web, old]);
}

#[test]
fn empty_text_is_an_image_without_processes() {
    assert_eq!(Metadata::parse(b"").unwrap(), Metadata::default());
    assert_eq!(
        Metadata::parse(b"processes = []\n[future]\nx = 1979-05-27").unwrap(),
        Metadata::default()
    );
}

#[test]
fn keys_are_found_in_another_case_for_want_of_the_exact_one() {
    let metadata =
        Metadata::parse(b"[[Processes]]\nTYPE = 'web'\n[[Processes]]\nType = 'x'\ntype = 'y'\n")
            .unwrap();
    let types: Vec<&str> = metadata
        .processes
        .iter()
        .map(|process| process.r#type.as_str())
        .collect();
    assert_eq!(types, ["web", "y"]);
}

#[test]
fn commands_may_have_numbers_and_truth_values() {
    let metadata = Metadata::parse(b"[[processes]]\ncommand = ['sleep', 0x10, true]\n").unwrap();
    assert_eq!(metadata.processes[0].command, ["sleep", "16", "true"]);
}

#[test]
fn a_wrong_type_is_named_with_its_key() {
    for (text, message) in [
        (
            "processes = 1",
            "`processes` must be a list of tables, not an integer",
        ),
        (
            "processes = [1]",
            "`processes` must be a list of tables, not an integer",
        ),
        (
            "[processes]",
            "`processes` must be a list of tables, not a table",
        ),
        (
            "[[buildpacks]]\nid = 1",
            "`buildpacks.id` must be a string, not an integer",
        ),
        (
            "[[processes]]\ntype = ['web']",
            "`processes.type` must be a string, not an array",
        ),
        (
            "[[processes]]\ncommand = 1.5",
            "`processes.command` must be a list of strings, not a float",
        ),
        (
            "[[processes]]\ncommand = [1.5]",
            "`processes.command` must be a list of strings, not a float",
        ),
        (
            "[[processes]]\nargs = 'x'",
            "`processes.args` must be a list of strings, not a string",
        ),
        (
            "[[processes]]\nargs = [1]",
            "`processes.args` must be a list of strings, not an integer",
        ),
        (
            "[[processes]]\ndirect = 'yes'",
            "`processes.direct` must be true or false, not a string",
        ),
    ] {
        assert_eq!(
            Metadata::parse(text.as_bytes()).unwrap_err().to_string(),
            message
        );
    }
}

#[test]
fn every_buildpack_needs_a_supported_api() {
    let with_api = |api: &str| {
        Metadata::parse(format!("[[buildpacks]]\nid = 'a\\nb'\n{api}").as_bytes()).unwrap()
    };
    assert!(with_api("api = '0.7'").verify_buildpack_apis().is_ok());
    for (api, message) in [
        ("", "buildpack `a\\nb` has the API ``, which is no version"),
        (
            "api = '0.13'",
            "buildpack `a\\nb` has the API `0.13`, which is incompatible with this launcher",
        ),
    ] {
        let error = with_api(api).verify_buildpack_apis().unwrap_err();
        assert_eq!(error.to_string().replace("a\\\\nb", "a\\nb"), message);
    }
}

#[test]
fn the_file_must_not_be_a_link() {
    let layers = tempfile::tempdir().unwrap();
    let config = layers.path().join("config");
    std::fs::create_dir(&config).unwrap();
    std::fs::write(config.join("real.toml"), "").unwrap();
    std::os::unix::fs::symlink("real.toml", config.join("metadata.toml")).unwrap();
    assert!(matches!(
        Metadata::read(layers.path()),
        Err(MetadataError::File(FileError::System { .. }))
    ));
    std::fs::rename(config.join("real.toml"), config.join("metadata.toml")).unwrap();
    assert_eq!(Metadata::read(layers.path()).unwrap(), Metadata::default());
}
