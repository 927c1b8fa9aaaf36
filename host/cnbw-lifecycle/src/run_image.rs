//! Run images: which of several names is used, and what a label says of them.

use std::io::Read;
use std::sync::Arc;

use cnbw_oci::config::{ImageConfig, RootFs};
use cnbw_oci::descriptor::{Descriptor, Platform};
use cnbw_oci::image::{Blobs, Image, StoreError, StoreErrorKind};
use cnbw_oci::manifest::{Family, Manifest};
use cnbw_oci::reference::RegistryRef;
use cnbw_spec::labels;
use cnbw_spec::run::{Run, RunImageNames};
use cnbw_spec::target::{Distro, TargetMetadata};

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
///
/// `is_readable` is asked once for each name at most.
pub fn select_run_image(
    output_registry: &str,
    names: &RunImageNames,
    is_readable: &mut dyn FnMut(&str) -> bool,
) -> Result<String, SelectError> {
    let first = match &names.image {
        Some(image) if !image.is_empty() => image,
        _ => return Err(SelectError::NoName),
    };
    let all: Vec<&String> = std::iter::once(first).chain(&names.mirrors).collect();
    let near = |name: &&String| {
        name.parse::<RegistryRef>()
            .is_ok_and(|reference| reference.registry == output_registry)
    };
    let (nearby, others): (Vec<&String>, Vec<&String>) = all.iter().partition(|name| near(name));
    nearby
        .into_iter()
        .chain(others)
        .find(|name| is_readable(name))
        .cloned()
        .ok_or_else(|| SelectError::NoneReadable {
            names: all.into_iter().cloned().collect(),
        })
}

/// The names that a label shows: the entry of `run.toml` with the analyzed image, or else the first one.
///
/// Where extensions may have switched the run image, nothing says that the first entry was meant.
pub fn names_for_label(run: &Run, analyzed: &str, has_extensions: bool) -> RunImageNames {
    let Some(first) = run.images.first() else {
        return RunImageNames::default();
    };
    match run.images.iter().find(|names| contains(names, analyzed)) {
        Some(names) => names.clone(),
        None if has_extensions => RunImageNames {
            image: Some(analyzed.to_owned()),
            mirrors: Vec::new(),
        },
        None => first.clone(),
    }
}

/// Whether a name is among an image's names: normalized, any digest left out, the tag significant.
pub fn contains(names: &RunImageNames, wanted: &str) -> bool {
    let wanted = comparable(wanted);
    names
        .image
        .iter()
        .chain(&names.mirrors)
        .any(|name| comparable(name) == wanted)
}

/// A name without digest, with the tag it stands for, in full. What is no reference stays as it is.
fn comparable(name: &str) -> String {
    let without_digest = match name.split_once("@sha256:") {
        Some((before, _)) => before,
        None => name,
    };
    match without_digest.parse::<RegistryRef>() {
        Ok(reference) => reference.to_string(),
        Err(_) => name.to_owned(),
    }
}

/// Reads an image's target from its configuration and labels.
pub fn target_of(config: &ImageConfig) -> TargetMetadata {
    let label = |name: &str| config.label(name).map(str::to_owned);
    let name = label(labels::BASE_DISTRO_NAME);
    let version = label(labels::BASE_DISTRO_VERSION);
    TargetMetadata {
        id: label(labels::BASE_ID).unwrap_or_default(),
        os: config.os.clone(),
        arch: config.architecture.clone(),
        variant: config.variant.clone(),
        distro: (name.is_some() || version.is_some()).then(|| Distro {
            name: name.unwrap_or_default(),
            version: version.unwrap_or_default(),
        }),
    }
}

/// `PATH` in an image without layers: where programs usually are.
const SCRATCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image without layers for a platform, on which static programs run. Its name is `scratch`.
pub fn scratch_image(platform: &Platform) -> Image {
    let mut config = ImageConfig {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        os_version: platform.os_version.clone(),
        os_features: platform.os_features.clone(),
        variant: platform.variant.clone(),
        rootfs: RootFs::default(),
        ..ImageConfig::default()
    };
    // The lifecycle puts its own directories in front; an empty rest would mean the working directory.
    config.set_env("PATH", SCRATCH_PATH);
    let family = Family::Oci;
    // Only names and digests hang on these bytes; nobody reads the documents back.
    let bytes = |value: serde_json::Result<Vec<u8>>| value.unwrap_or_default();
    let config_bytes = bytes(serde_json::to_vec(&config));
    let manifest = Manifest::new(
        family,
        Descriptor::of(family.config(), &config_bytes),
        Vec::new(),
    );
    let manifest_bytes = bytes(serde_json::to_vec(&manifest));
    Image {
        name: "scratch".to_owned(),
        descriptor: Descriptor::of(family.manifest(), &manifest_bytes),
        manifest,
        config,
        blobs: Arc::new(NoBlobs),
    }
}

/// The blobs of an image without layers.
#[derive(Debug)]
struct NoBlobs;

impl Blobs for NoBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        Err(StoreError {
            action: "open",
            subject: descriptor.digest.to_string(),
            reason: "the image `scratch` has no blobs".to_owned(),
            kind: StoreErrorKind::Invalid,
            source: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> RunImageNames {
        RunImageNames {
            image: all.first().map(|&name| name.to_owned()),
            mirrors: all.iter().skip(1).map(|&name| name.to_owned()).collect(),
        }
    }

    fn select(readable: &[&str], all: &[&str]) -> Result<String, SelectError> {
        select_run_image("b.io", &names(all), &mut |name| readable.contains(&name))
    }

    #[test]
    fn a_mirror_in_the_output_registry_comes_first() {
        let all = ["a.io/rr", "b.io/rr", "c.io/rr"];
        assert_eq!(select(&all, &all), Ok("b.io/rr".to_owned()));
        assert_eq!(
            select(&["c.io/rr", "a.io/rr"], &all),
            Ok("a.io/rr".to_owned())
        );
        assert_eq!(select(&["c.io/rr"], &all), Ok("c.io/rr".to_owned()));
        assert!(
            matches!(select(&[], &all), Err(SelectError::NoneReadable { names }) if names.len() == 3)
        );
        assert_eq!(select(&all, &[]), Err(SelectError::NoName));
    }

    #[test]
    fn each_name_is_asked_for_once() {
        let mut asked = Vec::new();
        let all = names(&["a.io/rr", "b.io/rr"]);
        let result = select_run_image("b.io", &all, &mut |name| {
            asked.push(name.to_owned());
            false
        });
        assert!(result.is_err());
        assert_eq!(asked, ["b.io/rr", "a.io/rr"]);
    }

    #[test]
    fn names_are_compared_without_digest_and_with_tag() {
        let digest = format!("@sha256:{}", "0".repeat(64));
        let entry = names(&["busybox", "r.io/xx:1"]);
        assert!(contains(&entry, "index.docker.io/library/busybox:latest"));
        assert!(contains(&entry, &format!("busybox:latest{digest}")));
        assert!(contains(&entry, "r.io/xx:1"));
        assert!(!contains(&entry, "r.io/xx:2"));
        assert!(!contains(&entry, "busybox:1"));
    }

    #[test]
    fn the_label_names_the_entry_with_the_image_or_the_first() {
        let run = Run {
            images: vec![names(&["a.io/rr"]), names(&["c.io/rr", "b.io/rr"])],
        };
        let image = |analyzed, extensions| names_for_label(&run, analyzed, extensions).image;
        assert_eq!(image("b.io/rr:latest", false).as_deref(), Some("c.io/rr"));
        assert_eq!(image("x.io/rr", false).as_deref(), Some("a.io/rr"));
        assert_eq!(image("x.io/rr", true).as_deref(), Some("x.io/rr"));
        assert_eq!(names_for_label(&Run::default(), "x", false).image, None);
    }

    #[test]
    fn one_distribution_label_is_enough() {
        let mut config = scratch_image(&Platform::new("linux", "arm64")).config;
        assert_eq!(target_of(&config).distro, None);
        config.set_label(labels::BASE_DISTRO_NAME, "debian");
        let target = target_of(&config);
        assert_eq!(target.arch, "arm64");
        assert_eq!(target.distro.unwrap().version, "");
    }
}
