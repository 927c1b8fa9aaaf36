//! `stack.toml`: the run image for Platform API 0.11 and older.

use crate::document::DocumentError;
use crate::run::RunImageNames;

/// The content of `stack.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Stack {
    /// `[run-image]`.
    pub run_image: RunImageNames,
}

/// Parses `stack.toml`.
pub fn parse_stack(file: &str, bytes: &[u8]) -> Result<Stack, DocumentError> {
    crate::document::unfinished(file, bytes)
}
