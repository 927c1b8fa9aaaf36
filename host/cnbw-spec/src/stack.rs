//! `stack.toml`: the run image for Platform API 0.11 and older.

use crate::document::{Document, DocumentError};
use crate::run::{RunImageNames, read_image_names};

/// The content of `stack.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Stack {
    /// `[run-image]`.
    pub run_image: RunImageNames,
}

/// Parses `stack.toml`.
pub fn parse_stack(file: &str, bytes: &[u8]) -> Result<Stack, DocumentError> {
    let document = Document::parse(file, bytes)?;
    let run_image = match document.root().table("run-image")? {
        Some(run_image) => read_image_names(&run_image)?,
        None => RunImageNames::default(),
    };
    Ok(Stack { run_image })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_image_is_read() {
        let stack = parse_stack("stack.toml", b"[run-image]\nimage = \"r\"\nmirrors = []").unwrap();
        assert_eq!(stack.run_image.image.as_deref(), Some("r"));
        assert_eq!(parse_stack("stack.toml", b"").unwrap(), Stack::default());
        assert!(parse_stack("stack.toml", b"run-image = \"r\"").is_err());
    }
}
