use std::os::fd::OwnedFd;
use std::process::Command;

use crate::image::{Image, Outcome};

const GIVE: &str = "#!/bin/sh\nprintf 'V = \"%s\"\\n' \"$V$(basename \"$0\")\" >&3\n";

#[test]
fn programs_run_layer_by_layer_general_before_typed() {
    let image = Image::dumping()
        .program("layers/a/k/exec.d/2", GIVE)
        .program("layers/a/k/exec.d/1", GIVE)
        .program("layers/a/k/exec.d/web/3", GIVE)
        .program("layers/a/k/exec.d/worker/x", GIVE)
        .program("layers/a/l/exec.d/4", GIVE)
        .file("layers/a/l/env.launch/V", "0");
    assert_eq!(image.launch(&[]).variable("V"), Some("01234"));
    let user = Outcome::of(&mut image.command("/cnb/lifecycle/launcher", &["--", "env"]));
    assert_eq!(
        user.variable("V"),
        Some("0124"),
        "a command of the user has no type"
    );
}

#[test]
fn a_program_sees_the_application_directory_and_no_arguments() {
    let image = Image::dumping().program(
        "layers/a/l/exec.d/p",
        "#!/bin/sh\necho \"$# $(pwd -P)\"; echo loud >&2\n",
    );
    let image = image.append("working-dir='/'\n");
    let outcome = image.launch(&["x"]);
    let app = image.path("app");
    assert!(
        outcome
            .stdout
            .starts_with(&format!("0 {}\n", app.display())),
        "{outcome:?}"
    );
    assert_eq!(
        (outcome.stderr.as_str(), outcome.directory()),
        ("loud\n", Some(std::path::Path::new("/")))
    );
}

#[test]
fn the_path_it_sets_is_searched_for_the_command() {
    let image = Image::new(
        "0.12",
        "[[processes]]\ntype='web'\ncommand=['tool']\ndirect=true\n",
    );
    let set = format!(
        "#!/bin/sh\necho 'PATH = \"{}\"' >&3\n",
        image.path("tools").display()
    );
    let image = image
        .program("layers/a/l/exec.d/p", &set)
        .program("tools/tool", "#!/bin/sh\necho found\n");
    assert_eq!(image.launch(&[]).stdout, "found\n");
}

#[test]
fn a_failure_ends_the_launch() {
    for (program, reason) in [
        ("#!/bin/sh\nexit 1\n", "it ended with exit status: 1"),
        (
            "#!/bin/sh\necho 'A = 1' >&3\n",
            "it wrote no string for the key `A`, but an integer",
        ),
        (
            "#!/bin/sh\necho 'A' >&3\n",
            "it wrote malformed TOML: line 1: a key without `=`",
        ),
        (
            "#!/bin/sh\necho '\"A=B\" = \"1\"' >&3\n",
            "it wrote `A=B`, which is no name of a variable",
        ),
    ] {
        let outcome = Image::dumping()
            .program("layers/a/l/exec.d/p", program)
            .launch(&[]);
        assert_eq!(outcome.code, Some(82), "{outcome:?}");
        assert!(
            outcome
                .stdout
                .starts_with("ERROR: failed to launch: exec.d: "),
            "{outcome:?}"
        );
        assert!(outcome.stdout.trim_end().ends_with(reason), "{outcome:?}");
    }
}

#[test]
fn a_descriptor_3_that_the_platform_opened_reaches_the_process_unharmed() {
    let image = Image::new(
        "0.12",
        "[[processes]]\ntype='web'\ncommand=['sh', '-c', 'cat <&3; echo \"V=$V\"']\ndirect=true\n",
    )
    .file("note", "from the platform\n")
    .program("layers/a/l/exec.d/p", GIVE);
    let link = image.path("web");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_cnbw-launcher"), &link).unwrap();
    let note = OwnedFd::from(std::fs::File::open(image.path("note")).unwrap());
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "exec 3<&0 </dev/null; exec \"$0\""])
        .arg(&link)
        .stdin(note);
    command
        .env_clear()
        .env("CNB_PLATFORM_API", "0.15")
        .env("PATH", "/usr/bin:/bin");
    command
        .env("CNB_LAYERS_DIR", image.path("layers"))
        .env("CNB_APP_DIR", image.path("app"));
    let outcome = Outcome::of(&mut command);
    assert_eq!(outcome.stdout, "from the platform\nV=p\n", "{outcome:?}");
}
