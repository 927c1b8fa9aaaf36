//! The file system that a guest sees: one name space made of the mounts, and nothing else.
//!
//! [`namespace`] turns guest paths into handles, [`descriptor`] answers WASI's calls on them,
//! [`stream`] moves file contents, [`verbs`] is what WASI cannot say, and [`modes`] tidies up.

mod descriptor;
mod directory;
mod error;
mod modes;
mod namespace;
mod operations;
mod quota;
mod stream;
mod verbs;

pub(super) use self::descriptor::{View, add_to_linker};
pub(super) use self::namespace::FileSystem;
pub(super) use self::verbs::add_to_linker as add_verbs_to_linker;
