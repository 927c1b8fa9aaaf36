//! Tells the linker to make the launcher small: it is in every image.

use std::env;

/// Arguments for lld, which is named as the linker of the targets that images have. Equal functions are merged,
/// relocations packed, and the table for unwinding left out, because a panic aborts.
const LLD_ARGUMENTS: [&str; 4] = [
    "--icf=all",
    "--pack-dyn-relocs=relr",
    "--no-eh-frame-hdr",
    "-O2",
];

#[expect(
    clippy::disallowed_methods,
    reason = "this is how a build script talks with cargo"
)]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    if env::var("RUSTC_LINKER").is_ok_and(|linker| linker.ends_with("rust-lld")) {
        for argument in LLD_ARGUMENTS {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}
