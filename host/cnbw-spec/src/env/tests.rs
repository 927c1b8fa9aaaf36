use proptest::prelude::*;

use super::*;

fn file(name: &str, value: &str) -> EnvFile {
    EnvFile {
        name: name.to_owned(),
        value: value.as_bytes().to_vec(),
    }
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let mut environment = Environment::new();
    for (name, value) in variables {
        environment.set(*name, *value);
    }
    environment
}

fn shown(environment: &Environment) -> Vec<String> {
    let show = |(name, value): (&str, &[u8])| format!("{name}={}", String::from_utf8_lossy(value));
    environment.iter().map(show).collect()
}

/// Old value, files, new value.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

#[test]
fn each_suffix_does_what_it_is_named_for() {
    let cases: [Case; 16] = [
        ("old", &[("V", "new")], "new"),
        ("old", &[("V.override", "new")], "new"),
        ("old", &[("V.append", "new")], "oldnew"),
        ("old", &[("V.append", "new"), ("V.delim", ":")], "old:new"),
        ("", &[("V.append", "new"), ("V.delim", ":")], "new"),
        ("old", &[("V.prepend", "new")], "newold"),
        ("old", &[("V.prepend", "new"), ("V.delim", "-")], "new-old"),
        ("", &[("V.prepend", "new"), ("V.delim", "-")], "new"),
        ("old", &[("V.default", "new")], "old"),
        ("", &[("V.default", "new")], "new"),
        ("old", &[("V.", "new")], "new:old"),
        ("old", &[("V.", "new"), ("V.delim", ";")], "new;old"),
        (
            "old",
            &[
                ("V.bar", "new"),
                ("V.append.bak", "new"),
                (".append", "new"),
            ],
            "old",
        ),
        ("old", &[("V.delim", ":")], "old"),
        ("old", &[("V.override", "$HOME\n")], "$HOME\n"),
        (
            "",
            &[("V.prepend", "c"), ("V.append", "b"), ("V", "a")],
            "cab",
        ),
    ];
    for (old, files, expected) in cases {
        let files: Vec<EnvFile> = files
            .iter()
            .map(|(name, value)| file(name, value))
            .collect();
        let mut environment = environment(&[("V", old)]);
        environment.apply_files(&files, Action::Override);
        assert_eq!(shown(&environment), [format!("V={expected}")], "{files:?}");
    }
}

#[test]
fn a_name_without_suffix_takes_the_default_action() {
    for (action, expected) in [(Action::Override, "new"), (Action::Default, "old")] {
        let mut environment = environment(&[("V", "old")]);
        environment.apply_files(&[file("V", "new")], action);
        assert_eq!(environment.value("V"), expected.as_bytes());
    }
}

#[test]
fn user_files_are_taken_by_their_whole_name_and_prepended_to_path_variables() {
    let mut environment = environment(&[("PATH", "/b"), ("X", "2")]);
    environment.apply_user_files(&[
        file("PATH", "/u"),
        file("CPATH", "/c"),
        file("X", "1"),
        file("A.append", "x\n"),
    ]);
    assert_eq!(
        shown(&environment),
        ["A.append=x\n", "CPATH=/c", "PATH=/u:/b", "X=1"]
    );
}

#[test]
fn the_build_inherits_few_variables() {
    let host: [(&str, &[u8]); 5] = [
        ("FOO", b"1"),
        ("HOME", b"/h"),
        ("http_proxy", b"p"),
        ("CNB_STACK_ID", b"s"),
        ("PKG_CONFIG_PATH", b"/p"),
    ];
    let expected = [
        "CNB_STACK_ID=s",
        "HOME=/h",
        "PKG_CONFIG_PATH=/p",
        "http_proxy=p",
    ];
    assert_eq!(shown(&Environment::for_build(host)), expected);
}

#[test]
fn directories_of_a_layer_come_first_in_their_variables() {
    let mut environment = environment(&[("PATH", "/usr/bin")]);
    for directory in LAYER_DIRECTORIES {
        environment.add_layer_directory(Moment::Build, "/layers/a/l", directory);
    }
    assert_eq!(
        shown(&environment),
        [
            "CPATH=/layers/a/l/include",
            "LD_LIBRARY_PATH=/layers/a/l/lib",
            "LIBRARY_PATH=/layers/a/l/lib",
            "PATH=/layers/a/l/bin:/usr/bin",
            "PKG_CONFIG_PATH=/layers/a/l/pkgconfig",
        ]
    );
    let mut at_launch = Environment::new();
    for directory in LAYER_DIRECTORIES {
        at_launch.add_layer_directory(Moment::Launch, "/l", directory);
    }
    assert_eq!(shown(&at_launch), ["LD_LIBRARY_PATH=/l/lib", "PATH=/l/bin"]);
}

#[test]
fn values_are_bytes() {
    let mut environment = Environment::new();
    environment.set("V", [0xff_u8]);
    environment.apply_files(
        &[EnvFile {
            name: "V.append".to_owned(),
            value: vec![0, 0xfe],
        }],
        Action::Override,
    );
    assert_eq!(environment.value("V"), [0xff, 0, 0xfe]);
}

proptest! {
    #[test]
    fn the_order_of_the_listing_does_not_matter(
        files in proptest::collection::btree_map("[AB](\\.(append|prepend|default|delim|override|x)?)?", "[a-c:]{0,2}", 0..10),
        seed in any::<prop::sample::Index>(),
    ) {
        let listed: Vec<EnvFile> = files.iter().map(|(name, value)| file(name, value)).collect();
        let mut rotated = listed.clone();
        if !rotated.is_empty() {
            let by = seed.index(rotated.len());
            rotated.rotate_left(by);
        }
        let (mut one, mut other) = (environment(&[("A", "x")]), environment(&[("A", "x")]));
        one.apply_files(&listed, Action::Override);
        other.apply_files(&rotated, Action::Override);
        prop_assert_eq!(one, other);
    }
}
