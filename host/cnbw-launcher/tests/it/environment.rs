use std::os::unix::fs::symlink;

use crate::image::{Image, Outcome};

#[test]
fn directories_of_all_layers_come_before_the_files_of_any() {
    let image = Image::dumping()
        .file("layers/a/k/bin/x", "")
        .file("layers/a/k/env/PATH.append", ":/from-k")
        .file("layers/a/l/bin/x", "")
        .file("layers/a/l/lib/x", "");
    let outcome = image.launch(&[]);
    let [k, l] =
        ["layers/a/k/bin", "layers/a/l/bin"].map(|name| image.path(name).display().to_string());
    assert_eq!(
        outcome.variable("PATH"),
        Some(format!("{l}:{k}:/usr/bin:/bin:/from-k").as_str())
    );
    let lib = image.path("layers/a/l/lib");
    assert_eq!(outcome.variable("LD_LIBRARY_PATH"), lib.to_str());
}

#[test]
fn files_apply_general_first_then_launch_then_the_process_type() {
    let image = Image::dumping()
        .file("layers/a/l/env/V.append", "1")
        .file("layers/a/l/env.launch/V.append", "2")
        .file("layers/a/l/env.launch/web/V.append", "3")
        .file("layers/a/l/env.launch/worker/V.append", "no")
        .file("layers/a/l/env.build/V.append", "no")
        .file("layers/a/m/env/V.prepend", "0");
    assert_eq!(image.launch(&[]).variable("V"), Some("0123"));
    let user = Outcome::of(&mut image.command("/cnb/lifecycle/launcher", &["--", "env"]));
    assert_eq!(
        user.variable("V"),
        Some("012"),
        "a command of the user has no type"
    );
}

#[test]
fn every_buildpack_counts_in_the_order_of_the_metadata() {
    let image = Image::dumping()
        .append("[[buildpacks]]\nid='z/b'\napi='0.8'\n[[buildpacks]]\nid='nothing'\napi='0.9'\n[[buildpacks]]\nid='c'\napi='0.9'\n")
        .file("layers/z_b/l/env/V.append", "z")
        .file("layers/c/l/env/V.append", "c")
        .file("layers/unlisted/l/env/V.append", "no");
    assert_eq!(image.launch(&[]).variable("V"), Some("zc"));
}

#[test]
fn what_belongs_to_the_launcher_is_not_handed_on() {
    let image = Image::dumping();
    let mut command = image.command("/cnb/process/web", &[]);
    command
        .env("CNB_PROCESS_TYPE", "x")
        .env("CNB_DEPRECATION_MODE", "quiet")
        .env("KEPT", "a=b\nc");
    let outcome = Outcome::of(&mut command);
    assert!(
        outcome
            .stdout
            .starts_with("Warning: CNB_PROCESS_TYPE is not supported in Platform API `0.15`\n"),
        "{outcome:?}"
    );
    let names: Vec<&str> = outcome
        .stdout
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    assert_eq!(names, ["CNB_NO_COLOR", "KEPT", "PATH", "PWD"]);
    assert_eq!(outcome.variable("PATH"), Some("/usr/bin:/bin"));
}

#[test]
fn links_in_layers_are_followed_but_a_link_is_no_layer() {
    let image = Image::dumping()
        .file("shared/V", "linked")
        .file("layers/a/l/env/x", "");
    symlink(image.path("shared/V"), image.path("layers/a/l/env/V")).unwrap();
    symlink(image.path("shared"), image.path("layers/a/l/env/D")).unwrap();
    std::fs::create_dir(image.path("layers/a/m")).unwrap();
    symlink(image.path("shared"), image.path("layers/a/m/env.launch")).unwrap();
    symlink(image.path("layers/a/l"), image.path("layers/a/linked")).unwrap();
    image.write("layers/a/l/env/N.append", "1");
    let outcome = image.launch(&[]);
    assert_eq!(
        (outcome.variable("V"), outcome.variable("D")),
        (Some("linked"), None),
        "{outcome:?}"
    );
    assert_eq!(
        outcome.variable("N"),
        Some("1"),
        "applied once, not again through the link"
    );
}

#[test]
fn a_relative_layers_directory_gives_absolute_paths() {
    let image = Image::dumping().file("layers/a/l/bin/x", "");
    let mut command = image.command("/cnb/process/web", &[]);
    // Read first from where the launcher is started, then from the application directory, as in the reference.
    command
        .current_dir(image.path("app"))
        .env("CNB_LAYERS_DIR", "../layers");
    let outcome = Outcome::of(&mut command);
    let bin = image.path("layers/a/l/bin").display().to_string();
    assert_eq!(
        outcome.variable("PATH"),
        Some(format!("{bin}:/usr/bin:/bin").as_str()),
        "{outcome:?}"
    );
}
