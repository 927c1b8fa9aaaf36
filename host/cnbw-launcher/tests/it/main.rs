//! The launcher as a program: an image's directories go in, a process comes out.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests make files in temporary places, and fail by panics"
)]

mod environment;
mod exec_d;
mod image;
mod processes;
mod refusals;
mod shells;

use std::path::Path;

/// Every file of this directory is a module above, so that no test is forgotten.
#[test]
fn no_file_is_forgotten() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap();
        assert!(
            module == "main" || main.contains(&format!("mod {module};")),
            "{name}"
        );
    }
}
