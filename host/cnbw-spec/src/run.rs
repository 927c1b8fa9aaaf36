//! `run.toml`: run images and their mirrors.
//!
//! <https://github.com/buildpacks/spec/blob/main/platform.md#runtoml-toml>

use crate::document::{Document, DocumentError, Reader};
use crate::print::Fields;

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
    let document = Document::parse(file, bytes)?;
    Ok(Run {
        images: document.root().each("images", read_image_names)?,
    })
}

/// Reads image and mirrors.
pub(crate) fn read_image_names(reader: &Reader<'_>) -> Result<RunImageNames, DocumentError> {
    Ok(RunImageNames {
        image: reader.filled("image")?,
        mirrors: reader.strings("mirrors")?.unwrap_or_default(),
    })
}

/// Adds the keys of image and mirrors.
pub(crate) fn add_image_names(fields: &mut Fields, names: &RunImageNames) {
    fields
        .filled("image", names.image.as_deref())
        .filled_texts("mirrors", &names.mirrors);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_mirrors_are_read() {
        let text = b"[[images]]\nimage = \"r/run\"\nmirrors = [\"m/run\", \"n/run\"]\n[[images]]\n";
        let run = parse_run("run.toml", text).unwrap();
        let first = RunImageNames {
            image: Some("r/run".to_owned()),
            mirrors: vec!["m/run".to_owned(), "n/run".to_owned()],
        };
        assert_eq!(run.images, [first, RunImageNames::default()]);
    }

    #[test]
    fn mirrors_that_are_no_texts_are_refused() {
        let error = parse_run("run.toml", b"[[images]]\nmirrors = [\"a\", 1]").unwrap_err();
        assert_eq!(error.key, "images[0].mirrors[1]");
    }
}
