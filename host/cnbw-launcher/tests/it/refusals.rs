use std::process::Command;

use crate::image::{Image, Outcome};

fn refused(command: &mut Command, code: i32, text: &str) {
    let outcome = Outcome::of(command);
    assert_eq!(
        (outcome.code, outcome.stdout.trim_end()),
        (Some(code), text)
    );
    assert_eq!(outcome.stderr, "");
}

#[test]
fn the_platform_api_must_be_set_and_supported() {
    let image = Image::dumping();
    for (api, text) in [
        (
            "",
            "ERROR: failed to get platform API version; please set `CNB_PLATFORM_API` to the one that the image was built for",
        ),
        ("x\u{1b}", "ERROR: failed to parse platform API `x\\u{1b}`"),
        (
            "0.16",
            "ERROR: failed to set platform API: version `0.16` is incompatible with this launcher",
        ),
    ] {
        refused(
            image
                .command("/cnb/process/web", &[])
                .env("CNB_PLATFORM_API", api),
            11,
            text,
        );
    }
    for api in ["0.7", "0.10", "v0.15"] {
        assert_eq!(
            Outcome::of(
                image
                    .command("/cnb/process/web", &[])
                    .env("CNB_PLATFORM_API", api)
            )
            .code,
            Some(0)
        );
    }
}

#[test]
fn unreadable_metadata_is_a_failure_without_a_status_of_its_own() {
    let image = Image::dumping();
    let metadata = image.path("layers/config/metadata.toml");
    std::fs::write(&metadata, "[[").unwrap();
    refused(
        &mut image.command("/cnb/process/web", &[]),
        1,
        "ERROR: failed to read metadata: malformed TOML: line 1: something that is no key",
    );
    std::fs::remove_file(&metadata).unwrap();
    let text = format!(
        "ERROR: failed to read metadata: cannot open `{}`: No such file or directory (os error 2)",
        metadata.display()
    );
    refused(&mut image.command("/cnb/process/web", &[]), 1, &text);
}

#[test]
fn a_buildpack_of_another_api_is_refused_even_without_layers() {
    let image = Image::dumping().append("[[buildpacks]]\nid='b'\napi='0.99'\n");
    let text = "ERROR: failed to launch: buildpack `b` has the API `0.99`, which is incompatible with this launcher";
    refused(&mut image.command("/cnb/process/web", &[]), 12, text);
}

#[test]
fn nothing_to_start_is_an_error() {
    let image = Image::dumping();
    refused(
        &mut image.command("/cnb/lifecycle/launcher", &[]),
        82,
        "ERROR: failed to launch: determine start command: when there is no default process a command is required",
    );
}

#[test]
fn an_application_or_working_directory_that_is_missing_is_an_error() {
    let image = Image::dumping().append("working-dir='/nowhere'\n");
    refused(
        &mut image.command("/cnb/process/web", &[]),
        82,
        "ERROR: failed to launch: change to the working directory `/nowhere`: No such file or directory (os error 2)",
    );
    refused(
        image
            .command("/cnb/process/web", &[])
            .env("CNB_APP_DIR", "/nowhere"),
        82,
        "ERROR: failed to launch: change to the application directory `/nowhere`: No such file or directory (os error 2)",
    );
}

/// With the C library that the launcher has in images. That of many build hosts gives such a file to a shell.
#[cfg(target_env = "musl")]
#[test]
fn a_file_without_a_program_in_it_is_an_error() {
    let image = Image::dumping().program("broken", "no program");
    let broken = image.path("broken").display().to_string();
    let text = format!("ERROR: failed to launch: exec `{broken}`: Exec format error (os error 8)");
    refused(
        &mut image.command("/cnb/lifecycle/launcher", &["--", &broken]),
        82,
        &text,
    );
}

#[test]
fn an_environment_that_the_kernel_refuses_is_an_error() {
    let image = Image::dumping().file("layers/a/l/env/BIG", &"x".repeat(3 << 20));
    let outcome = image.launch(&[]);
    assert_eq!(outcome.code, Some(82));
    assert!(
        outcome.stdout.contains("Argument list too long"),
        "{outcome:?}"
    );
}

#[test]
fn a_pipe_among_the_variables_holds_nobody_up() {
    let image = Image::dumping().file("layers/a/l/env/A", "");
    let made = Command::new("mkfifo")
        .arg(image.path("layers/a/l/env/B"))
        .status()
        .unwrap();
    assert!(made.success());
    let outcome = image.launch(&[]);
    assert_eq!(outcome.code, Some(82));
    assert!(
        outcome.stdout.trim_end().ends_with("is not a regular file"),
        "{outcome:?}"
    );
}

#[test]
fn messages_are_colored_unless_told_otherwise() {
    let image = Image::dumping();
    for (value, colored) in [
        (None, true),
        (Some("false"), true),
        (Some("maybe"), true),
        (Some("1"), false),
        (Some("T"), false),
    ] {
        let mut command = image.command("/cnb/lifecycle/launcher", &[]);
        command
            .env_remove("CNB_NO_COLOR")
            .envs(value.map(|value| ("CNB_NO_COLOR", value)));
        let outcome = Outcome::of(&mut command);
        let start = if colored {
            "\u{1b}[31;1mERROR: \u{1b}[0mfailed"
        } else {
            "ERROR: failed"
        };
        assert!(outcome.stdout.starts_with(start), "{value:?} {outcome:?}");
    }
}
