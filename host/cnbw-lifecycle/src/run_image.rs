//! Run images: which of several names is used, and what a label says of them.

use cnbw_oci::descriptor::Platform;
use cnbw_oci::image::Image;
use cnbw_spec::run::{Run, RunImageNames};
use cnbw_spec::target::TargetMetadata;

/// Why no run image could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// There is no name to begin with.
    #[error("no run image is given, and no metadata name one")]
    NoName,
    /// None of the names can be read.
    #[error("none of the run image's names can be read: {}", names.join(", "))]
    NoneReadable {
        /// The names, in the order in which they were tried.
        names: Vec<String>,
    },
}

/// Chooses among an image's names: first those in the registry of the output, then the first that can be read.
pub fn select_run_image(
    output_registry: &str,
    names: &RunImageNames,
    is_readable: &mut dyn FnMut(&str) -> bool,
) -> Result<String, SelectError> {
    let _ = (output_registry, names, is_readable);
    Err(SelectError::NoName)
}

/// The names that a label shows: the entry of `run.toml` with the analyzed image, or else the first one.
pub fn names_for_label(run: &Run, analyzed: &str, has_extensions: bool) -> RunImageNames {
    let _ = (run, analyzed, has_extensions);
    RunImageNames::default()
}

/// Reads an image's target from its configuration and labels.
pub fn target_of(image: &Image) -> TargetMetadata {
    let _ = image;
    TargetMetadata::default()
}

/// An image without layers for a platform, on which static programs run.
pub fn scratch_image(platform: &Platform) -> Image {
    let _ = platform;
    unreachable!("{platform}")
}
