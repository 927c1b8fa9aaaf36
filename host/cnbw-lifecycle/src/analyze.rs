//! Analysis: reads the images that a build starts from.

use cnbw_oci::descriptor::{Descriptor, Platform};
use cnbw_oci::digest::DiffId;
use cnbw_oci::image::{Image, ImageSource, StoreError, StoreErrorKind};
use cnbw_oci::reference::{RegistryRef, Version};
use cnbw_spec::analyzed::{Analyzed, AnalyzedRunImage};
use cnbw_spec::api::PlatformApi;
use cnbw_spec::labels::{LIFECYCLE_METADATA, LifecycleMetadata, parse_lifecycle_metadata};
use cnbw_spec::target::TargetMetadata;

use crate::event::Event;
use crate::ports::Events;
use crate::restore::{Destination, ExtractError, ExtractLimits, extract};
use crate::run_image::{scratch_image, target_of};
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
        source: Box<StoreError>,
    },
    /// The run image does not say what it is for.
    #[error("the configuration of the run image `{}` names no operating system", name.escape_debug())]
    NoOs {
        /// The run image.
        name: String,
    },
    /// The previous image lacks the layer that its label names.
    #[error("the previous image `{}` has no layer `{}`, in which its SBOM files should be", name.escape_debug(), sha.escape_debug())]
    NoSbomLayer {
        /// The previous image.
        name: String,
        /// The diff ID of the layer.
        sha: String,
    },
    /// The SBOM files of the previous image could not be brought back.
    #[error("cannot restore the SBOM layer of the previous image")]
    Sbom {
        /// The cause.
        source: ExtractError,
    },
}

/// Reads previous image and run image, and brings back the SBOM files of the former.
pub fn analyze(
    request: &AnalyzeRequest<'_>,
    events: &dyn Events,
) -> Result<Analysis, AnalyzeError> {
    let mut document = Analyzed {
        previous_image: Some(String::new()),
        run_image: Some(AnalyzedRunImage::default()),
        ..Analyzed::default()
    };
    let previous_image = match &request.previous_image {
        Some(previous) => read_previous(previous, request.platform.as_ref(), events)?,
        None => None,
    };
    let previous_image = previous_image.map(|previous| {
        document.previous_image = Some(previous.reference);
        document.metadata = previous.metadata;
        previous.image
    });
    if let Some(image) = &previous_image {
        restore_sboms(request, image, &document.metadata, events)?;
    }
    let run_image = read_run_image(request, events)?;
    if let Some((image, entry)) = &run_image {
        let has_target = request.platform_api >= PlatformApi::V0_12;
        let target = has_target.then(|| target_of(&image.config));
        if target.as_ref().is_some_and(|target| target.os.is_empty()) {
            return Err(AnalyzeError::NoOs {
                name: image.name.clone(),
            });
        }
        document.run_image = Some(AnalyzedRunImage {
            target,
            image: entry.image.clone().filter(|_| has_target),
            ..entry.clone()
        });
    } else if let Some(RunImageRequest::Named(run_image)) = &request.run_image {
        // A missing run image leaves the reference empty; the name and a target for the platform stay.
        document.run_image = Some(missing_run_image(request, run_image));
    }
    Ok(Analysis {
        document,
        previous_image,
        run_image: run_image.map(|(image, _)| image),
    })
}

struct Previous {
    image: Image,
    reference: String,
    metadata: LifecycleMetadata,
}

/// Reads the previous image. One that is missing, damaged or of unknown making is as good as none.
fn read_previous(
    request: &ImageRequest<'_>,
    platform: Option<&Platform>,
    events: &dyn Events,
) -> Result<Option<Previous>, AnalyzeError> {
    let ignore = |name: &str, why: &str| {
        let text = format!("Ignoring image \"{name}\" because it {why}");
        events.emit(Event::Info(&text));
        Ok(None)
    };
    let image = match open(request, platform, "previous image", events) {
        Ok(Some(image)) => image,
        Ok(None) => return Ok(None),
        Err(AnalyzeError::Image { source, .. }) if source.kind == StoreErrorKind::Invalid => {
            return ignore(request.name, "was corrupt");
        }
        Err(error) => return Err(error),
    };
    if image.manifest.layers.len() != image.config.rootfs.diff_ids.len() {
        return ignore(&image.name, "was corrupt");
    }
    let label = image.config.label(LIFECYCLE_METADATA).unwrap_or_default();
    let metadata = match label {
        "" => LifecycleMetadata::default(),
        label => match parse_lifecycle_metadata(label) {
            Ok(metadata) => metadata,
            Err(error) => return ignore(&image.name, &format!("has no usable metadata: {error}")),
        },
    };
    let reference = identify(&image, request.identity);
    Ok(Some(Previous {
        image,
        reference,
        metadata,
    }))
}

fn read_run_image(
    request: &AnalyzeRequest<'_>,
    events: &dyn Events,
) -> Result<Option<(Image, AnalyzedRunImage)>, AnalyzeError> {
    let (image, identity, name) = match &request.run_image {
        None => return Ok(None),
        Some(RunImageRequest::Scratch(platform)) => {
            (scratch_image(platform), Identity::Digest, None)
        }
        Some(RunImageRequest::Named(named)) => {
            match open(named, request.platform.as_ref(), "run image", events)? {
                Some(image) => {
                    // Registries are named as the platform does it, layouts by their directory.
                    let name = match named.identity {
                        Identity::Registry => Some(named.name.to_owned()),
                        Identity::Path => Some(image.name.clone()),
                        Identity::Digest => None,
                    };
                    (image, named.identity, name)
                }
                None => return Ok(None),
            }
        }
    };
    let entry = AnalyzedRunImage {
        reference: identify(&image, identity),
        image: name,
        ..AnalyzedRunImage::default()
    };
    Ok(Some((image, entry)))
}

fn missing_run_image(
    request: &AnalyzeRequest<'_>,
    run_image: &ImageRequest<'_>,
) -> AnalyzedRunImage {
    let has_target = request.platform_api >= PlatformApi::V0_12;
    let platform = request.platform.clone().unwrap_or_default();
    AnalyzedRunImage {
        image: has_target.then(|| run_image.name.to_owned()),
        target: has_target.then(|| TargetMetadata {
            os: platform.os,
            arch: platform.architecture,
            variant: platform.variant,
            ..TargetMetadata::default()
        }),
        ..AnalyzedRunImage::default()
    }
}

fn open(
    request: &ImageRequest<'_>,
    platform: Option<&Platform>,
    role: &'static str,
    events: &dyn Events,
) -> Result<Option<Image>, AnalyzeError> {
    let opened = request.source.open(request.name, platform);
    let image = opened.map_err(|source| AnalyzeError::Image {
        role,
        name: request.name.to_owned(),
        source: Box::new(source),
    })?;
    let text = match &image {
        Some(image) => {
            let identifier = identify(image, request.identity);
            format!("Found image with identifier \"{identifier}\"")
        }
        None => format!("Image with name \"{}\" not found", request.name),
    };
    events.emit(if image.is_some() {
        Event::Debug(&text)
    } else {
        Event::Info(&text)
    });
    Ok(image)
}

/// What identifies an image in documents and labels.
pub fn identify(image: &Image, identity: Identity) -> String {
    let digest = image.descriptor.digest;
    match identity {
        Identity::Digest => digest.to_string(),
        Identity::Path => format!("{}@{digest}", image.name),
        Identity::Registry => match image.name.parse::<RegistryRef>() {
            Ok(reference) => RegistryRef {
                version: Version::Digest(digest.digest()),
                ..reference
            }
            .to_string(),
            Err(_) => format!("{}@{digest}", image.name),
        },
    }
}

/// Unpacks the SBOM layer of the previous image; restoring copies from it what is still true.
fn restore_sboms(
    request: &AnalyzeRequest<'_>,
    image: &Image,
    metadata: &LifecycleMetadata,
    events: &dyn Events,
) -> Result<(), AnalyzeError> {
    let sha = metadata.sbom.as_deref().unwrap_or_default();
    if sha.is_empty() || request.skip_layers || request.platform_api < PlatformApi::V0_8 {
        return Ok(());
    }
    events.emit(Event::Info("Restoring data for SBOM from previous image"));
    let blob = find_layer(image, sha).ok_or_else(|| AnalyzeError::NoSbomLayer {
        name: image.name.clone(),
        sha: sha.to_owned(),
    })?;
    let failed = |source| AnalyzeError::Image {
        role: "previous image",
        name: image.name.clone(),
        source: Box::new(source),
    };
    let blob = image.blobs.open(blob).map_err(failed)?;
    let tar = cnbw_oci::compress::open(blob).map_err(|source| AnalyzeError::Sbom {
        source: ExtractError::Read { source },
    })?;
    let destination = Destination {
        layers: request.layers.dir,
        path: request.layers.path,
        place: &["sbom", "launch"],
    };
    match extract(tar, &destination, ExtractLimits::SBOM) {
        // An image of another layers directory, or of other making: its files are of no use here.
        Err(error @ ExtractError::Refused { .. }) => {
            let text = format!("Not restoring the SBOM of the previous image: {error}");
            events.emit(Event::Warning(&text));
            Ok(())
        }
        result => result.map_err(|source| AnalyzeError::Sbom { source }),
    }
}

/// The blob of an image's layer with this diff ID.
pub(crate) fn find_layer<'i>(image: &'i Image, diff_id: &str) -> Option<&'i Descriptor> {
    let wanted: DiffId = diff_id.parse().ok()?;
    let diff_ids = &image.config.rootfs.diff_ids;
    let index = diff_ids.iter().position(|found| *found == wanted)?;
    image.manifest.layers.get(index)
}

#[cfg(test)]
mod tests;
