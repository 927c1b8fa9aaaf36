use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::image::{DUMP, Image, Outcome};

#[test]
fn a_process_runs_in_the_application_directory_with_its_arguments() {
    let image = Image::dumping();
    let outcome = image.launch(&["x", "a b"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.arguments(), ["x", "a b"]);
    assert_eq!(outcome.directory(), Some(image.path("app").as_path()));
    assert_eq!(outcome.stderr, "");
}

#[test]
fn the_working_directory_is_entered_after_the_lookup() {
    let image = Image::new("0.12", "")
        .program("app/run", DUMP)
        .file("srv/x", "");
    let image = image
        .append("[[processes]]\ntype='web'\ncommand=['./run']\ndirect=true\nbuildpack-id='a'\n");
    let line = format!("working-dir='{}'\n", image.path("srv").display());
    let image = image.append(&line);
    let outcome = image.launch(&[]);
    assert_eq!(
        outcome.directory(),
        Some(image.path("srv").as_path()),
        "{outcome:?}"
    );
}

#[test]
fn the_launcher_becomes_the_process() {
    let image = Image::new(
        "0.12",
        "[[processes]]\ntype='web'\ncommand=['sh', '-c']\nargs=['echo $$; read x; exit 7']\ndirect=true\nbuildpack-id='a'\n",
    );
    let mut child = image
        .command("/cnb/process/web", &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line.trim().parse(), Ok(child.id()));
    drop(child.stdin.take());
    assert_eq!(
        child.wait().unwrap().code(),
        Some(7),
        "the process's status is the launcher's"
    );
}

#[test]
fn a_signal_ends_the_process_like_any_other() {
    let image = Image::new(
        "0.12",
        "[[processes]]\ntype='web'\ncommand=['sh', '-c', 'kill -TERM $$']\ndirect=true\n",
    );
    assert_eq!(image.launch(&[]).signal, Some(15));
}

#[test]
fn a_closed_pipe_ends_the_process_as_usual() {
    // Rust programs ignore SIGPIPE; what they start must not.
    let image = Image::new(
        "0.12",
        "[[processes]]\ntype='web'\ncommand=['sh', '-c', 'kill -PIPE $$; echo survived']\ndirect=true\n",
    );
    assert_eq!(image.launch(&[]).signal, Some(13));
}

#[test]
fn the_first_element_of_the_argument_vector_is_the_command_as_written() {
    let image = Image::new(
        "0.12",
        "[[processes]]\ntype='web'\ncommand=['cat', '/proc/self/cmdline']\ndirect=true\n",
    );
    assert_eq!(image.launch(&[]).stdout, "cat\0/proc/self/cmdline\0");
}

#[test]
fn a_command_of_the_user_runs_without_a_shell_after_dashes() {
    let image = Image::dumping();
    let outcome =
        Outcome::of(&mut image.command("/cnb/lifecycle/launcher", &["--", "echo", "$HOME", "&&"]));
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(0), "$HOME &&\n")
    );
}

#[test]
fn a_process_needs_no_standard_streams() {
    let image = Image::dumping();
    let script = "exec /bin/sh -c 'exec \"$@\" <&- >&- 2>&-' sh \"$@\"";
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args([
            "-c",
            script,
            "sh",
            env!("CARGO_BIN_EXE_cnbw-launcher"),
            "--",
            "sh",
            "-c",
            "exit 5",
        ])
        .env_clear();
    command
        .env("CNB_PLATFORM_API", "0.15")
        .env("PATH", "/usr/bin:/bin");
    command
        .env("CNB_LAYERS_DIR", image.path("layers"))
        .env("CNB_APP_DIR", image.path("app"));
    assert_eq!(command.status().unwrap().code(), Some(5));
}

#[test]
fn few_descriptors_are_enough_or_an_error() {
    let image = Image::dumping();
    for (limit, codes) in [(3, [82, 1]), (4, [0, 82]), (16, [0, 0])] {
        let mut command = std::process::Command::new("/bin/sh");
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        command
            .args([
                "-c",
                &script,
                "sh",
                env!("CARGO_BIN_EXE_cnbw-launcher"),
                "--",
                "/bin/true",
            ])
            .env_clear();
        command
            .env("CNB_PLATFORM_API", "0.15")
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
            .env("CNB_LAYERS_DIR", image.path("layers"))
            .env("CNB_APP_DIR", image.path("app"));
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        let code = child.wait().unwrap().code().unwrap();
        // With less than one descriptor to spare the system cannot even start the dynamic test program.
        assert!(
            codes.contains(&code) || (limit == 3 && code == 127),
            "{limit}: {code} {said}"
        );
    }
}
