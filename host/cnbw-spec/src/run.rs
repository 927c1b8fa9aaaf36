//! `run.toml`: run images and their mirrors.

use crate::document::DocumentError;

/// The content of `run.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Run {
    /// `[[images]]`.
    pub images: Vec<RunImageNames>,
}

/// One run image by all its names. The default is an image without any.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RunImageNames {
    /// Its name.
    pub image: Option<String>,
    /// Other names of the same image.
    pub mirrors: Vec<String>,
}

/// Parses `run.toml`.
pub fn parse_run(file: &str, bytes: &[u8]) -> Result<Run, DocumentError> {
    crate::document::unfinished(file, bytes)
}
