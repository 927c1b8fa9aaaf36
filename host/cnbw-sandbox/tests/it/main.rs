//! The sandbox from the outside: guests in WebAssembly text, run by real workers.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

mod crew;
mod ends;
mod files;
mod limits;
mod powers;
mod processes;
mod support;

#[test]
fn no_test_file_is_forgotten() {
    let main = include_str!("main.rs");
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    for entry in std::path::Path::new(directory).read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(
            module == "main" || main.contains(&format!("mod {module};")),
            "{name}"
        );
    }
}

#[test]
fn the_lints_are_those_of_the_workspace_except_for_unsafe_code() {
    let table = |text: &str, name: &str| {
        let mut value: toml::Table = toml::from_str(text).unwrap();
        for key in name.split('.') {
            let Some(toml::Value::Table(inner)) = value.remove(key) else {
                panic!("no table {name}");
            };
            value = inner;
        }
        value
    };
    let own = include_str!("../../Cargo.toml");
    let workspace = include_str!("../../../../Cargo.toml");
    assert_eq!(
        table(own, "lints.clippy"),
        table(workspace, "workspace.lints.clippy")
    );
    let mut rust = table(workspace, "workspace.lints.rust");
    rust.insert("unsafe_code".into(), "deny".into());
    assert_eq!(table(own, "lints.rust"), rust);
}
