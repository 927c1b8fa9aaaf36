use crate::image::{Image, Outcome};

/// A shell process of an old buildpack.
fn shell(command: &str, rest: &str) -> Image {
    Image::new(
        "0.8",
        &format!("[[processes]]\ntype='web'\ncommand='''{command}'''\nbuildpack-id='a'\n{rest}\n"),
    )
}

#[test]
fn profiles_are_sourced_in_order_before_the_script() {
    let say = |name: &str| format!("echo {name} $0\nexport V=\"${{V}}{name}\"\n");
    let image = shell("echo \"$V\" && pwd -P", "")
        .file("layers/a/k/profile.d/2", &say("2"))
        .file("layers/a/k/profile.d/1", &say("1"))
        .file("layers/a/k/profile.d/web/3", &say("3"))
        .file("layers/a/k/profile.d/worker/x", &say("x"))
        .file("layers/a/l/profile.d/4", &say("4"))
        .file("app/.profile", &say("5"));
    let outcome = image.launch(&[]);
    let launcher = "/cnb/process/web";
    let sourced = format!("1 {launcher}\n2 {launcher}\n3 {launcher}\n4 {launcher}\n5 {launcher}\n");
    assert_eq!(
        outcome.stdout,
        format!("{sourced}12345\n{}\n", image.path("app").display()),
        "{outcome:?}"
    );
}

#[test]
fn arguments_are_words_that_the_shell_expands() {
    let outcome = {
        let image = shell("DUMP", "args = ['$X', '&&', 'a b']");
        let dump = image.path("dump").display().to_string();
        let path = image.path("layers/config/metadata.toml");
        let metadata = std::fs::read_to_string(&path)
            .unwrap()
            .replace("DUMP", &dump);
        std::fs::write(path, metadata).unwrap();
        Outcome::of(
            image
                .command("/cnb/process/web", &["$X", "two"])
                .env("X", "1 \"2\""),
        )
    };
    assert_eq!(
        outcome.arguments(),
        ["1 \"2\"", "&&", "a b", "1 \"2\"", "two"],
        "{outcome:?}"
    );
}

#[test]
fn more_than_nine_arguments_are_told_apart() {
    let image = Image::dumping();
    let arguments: Vec<String> = (0..12).map(|index| format!("a{index}")).collect();
    let dump = image.path("dump").display().to_string();
    let all: Vec<&str> = std::iter::once(dump.as_str())
        .chain(arguments.iter().map(String::as_str))
        .collect();
    let outcome = Outcome::of(&mut image.command("/cnb/lifecycle/launcher", &all));
    assert_eq!(outcome.arguments(), arguments, "{outcome:?}");
}

#[test]
fn a_command_of_the_user_sees_profiles_of_no_type() {
    let image = Image::dumping()
        .file("layers/a/l/profile.d/p", "V=v\n")
        .file("layers/a/l/profile.d/web/p", "V=no\n");
    let image = image.file("layers/a/l/profile.d/q", "export V\n");
    let outcome =
        Outcome::of(&mut image.command("/cnb/lifecycle/launcher", &["echo \"$V\"; exit 3"]));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), "v\n"));
}

#[test]
fn a_direct_process_sources_nothing() {
    let image = Image::dumping()
        .file("layers/a/l/profile.d/p", "export V=v\n")
        .file("app/.profile", "export V=v\n");
    assert_eq!(image.launch(&[]).variable("V"), None);
}

#[test]
fn the_working_directory_is_entered_after_the_profiles() {
    let image = shell("pwd -P", "")
        .file("srv/x", "")
        .file("app/.profile", "pwd -P\n");
    let image = {
        let line = format!("working-dir='{}'\n", image.path("srv").display());
        image.append(&line)
    };
    let outcome = image.launch(&[]);
    let expected = format!(
        "{}\n{}\n",
        image.path("app").display(),
        image.path("srv").display()
    );
    assert_eq!(outcome.stdout, expected);
}
