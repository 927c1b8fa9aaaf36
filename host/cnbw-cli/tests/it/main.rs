//! The `cnbw` command as a person uses it: what it prints, what it leaves, how it ends.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test prepares and inspects directories by their paths, and fails where something is not as expected"
)]

mod bad_input;
mod build;
mod built_in;
mod descriptor;
mod documentation;
mod interrupt;
mod reproducible;
mod run_image;
mod support;
mod transports;

#[test]
fn no_test_file_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(
            module == "main" || main.contains(&format!("mod {module};")),
            "{name} is no module of main.rs"
        );
    }
}
