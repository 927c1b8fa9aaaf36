//! `store.toml`: what a buildpack remembers from build to build.

use crate::document::DocumentError;
use crate::value::Table;

/// The content of `store.toml`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct StoreToml {
    /// `[metadata]`, free-form; `None` if absent.
    pub metadata: Option<Table>,
}

/// Parses `store.toml`.
pub fn parse_store(file: &str, bytes: &[u8]) -> Result<StoreToml, DocumentError> {
    crate::document::unfinished(file, bytes)
}

/// Prints `store.toml`.
pub fn print_store(store: &StoreToml) -> String {
    format!("{store:?}")
}
