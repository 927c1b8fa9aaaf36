use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("program");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (directory, path)
}

fn environment() -> Environment {
    Environment::from_container([
        ("PATH".into(), "/usr/bin:/bin".into()),
        ("A".into(), "1".into()),
    ])
}

fn outcome(text: &str, limit: Duration) -> Result<Vec<u8>, ExecDFault> {
    let (_directory, path) = script(text);
    run(&path, &environment(), limit)
}

#[test]
fn variables_come_from_descriptor_3() {
    let (_directory, path) =
        script("echo ignored; printf 'A = \"%s2\"\\n\"b-c\" = \"\"\\n' \"$A\" >&3");
    let mut found = environment();
    run_exec_d(&path, &mut found).unwrap();
    assert_eq!(
        (found.value("A"), found.value("b-c")),
        (OsStr::new("12"), OsStr::new(""))
    );
}

#[test]
fn no_output_is_no_variables() {
    for text in ["true", "exec 3>&-"] {
        assert_eq!(outcome(text, TIME_LIMIT).unwrap(), b"", "{text}");
    }
}

#[test]
fn nothing_but_the_pipe_and_the_environment_is_handed_down() {
    let list = "ls /proc/$$/fd; echo; cat; env | sort";
    let (_directory, path) = script(list);
    let plain = Command::new(&path)
        .stdin(Stdio::null())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    let given =
        String::from_utf8(outcome(&format!("exec >&3; {list}"), TIME_LIMIT).unwrap()).unwrap();

    let (descriptors, variables) = given.split_once("\n\n").unwrap();
    let inherited: Vec<&str> = plain.split_once("\n\n").unwrap().0.lines().collect();
    let added: Vec<&str> = descriptors
        .lines()
        .filter(|descriptor| !inherited.contains(descriptor))
        .collect();
    assert!(
        added
            .iter()
            .all(|descriptor| *descriptor == "3" || *descriptor == "10"),
        "{added:?} beside {inherited:?}"
    );
    let variables: Vec<&str> = variables
        .lines()
        .filter(|line| !line.starts_with("PWD="))
        .collect();
    assert_eq!(variables, ["A=1", "PATH=/usr/bin:/bin"]);
}

#[test]
fn faults_are_told_apart() {
    let second = Duration::from_millis(300);
    assert!(matches!(
        outcome("exit 3", TIME_LIMIT),
        Err(ExecDFault::Status(_))
    ));
    assert!(matches!(
        outcome("kill -9 $$", TIME_LIMIT),
        Err(ExecDFault::Status(_))
    ));
    assert!(matches!(
        outcome("exec sleep 60", second),
        Err(ExecDFault::TimedOut(_))
    ));
    assert!(matches!(
        outcome("exec 3>&-; exec sleep 60", second),
        Err(ExecDFault::TimedOut(_))
    ));
    assert!(matches!(
        outcome("exec cat /dev/zero >&3", TIME_LIMIT),
        Err(ExecDFault::TooMuch(_))
    ));
    let missing = run(Path::new("/nowhere"), &environment(), TIME_LIMIT);
    assert!(matches!(missing, Err(ExecDFault::Start(_))));
}

#[test]
fn a_file_that_is_not_executable_is_an_error() {
    let (_directory, path) = script("true");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        run(&path, &environment(), TIME_LIMIT),
        Err(ExecDFault::Start(_))
    ));
}

#[test]
fn output_is_a_flat_table_of_strings_with_names_of_variables() {
    let parsed = parse_output(b"A = 'x'\n\"b c\" = \"\\u00fc\"\n").unwrap();
    assert_eq!(
        parsed,
        [
            ("A".to_owned(), "x".to_owned()),
            ("b c".to_owned(), "ü".to_owned())
        ]
    );
    for text in [
        "A = 1",
        "A = ['x']",
        "[A]",
        "[A]\nb = 'x'",
        "a.b = 'x'",
        "[[A]]",
        "A = 1979-05-27",
    ] {
        let error = parse_output(text.as_bytes()).unwrap_err();
        assert!(
            matches!(error, ExecDFault::NotAString { .. }),
            "{text}: {error}"
        );
    }
    for text in ["A", "A = ", "A = 'x", "A = 'x'\nA = 'y'", "A = '\u{1}'"] {
        let error = parse_output(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ExecDFault::Malformed(_)), "{text}: {error}");
    }
    for text in ["\"\" = 'x'", "\"A=B\" = 'x'", "\"A\\u0000\" = 'x'"] {
        let error = parse_output(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ExecDFault::BadName(_)), "{text}: {error}");
    }
    assert!(matches!(
        parse_output(b"A = '\xff'"),
        Err(ExecDFault::Malformed(_))
    ));
}
