//! Checks an image against everything that it says about itself.
//!
//! All findings are collected, so that one look tells everything that is wrong.

use std::io::{self, Read};

use serde_json::Value;

use crate::compress::{self, Compression};
use crate::descriptor::Descriptor;
use crate::digest::{DiffId, Hasher};
use crate::document;
use crate::image::{Image, StoreError};
use crate::manifest::Family;

/// What of an image is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValidateOptions {
    /// Also check the labels that images built with Cloud Native Buildpacks have.
    pub buildpack_labels: bool,
}

/// Something that is wrong with an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A blob cannot be read, or is not what its descriptor says.
    #[error("{what}: {}", reason.escape_default())]
    Blob {
        /// Which blob.
        what: String,
        /// What happened.
        reason: String,
    },
    /// A layer's content is not what the configuration says.
    #[error("{what}: its diff ID is {found}, and the configuration says {expected}")]
    DiffId {
        /// Which layer.
        what: String,
        /// The digest of its content.
        found: DiffId,
        /// What the configuration says.
        expected: DiffId,
    },
    /// A blob is not compressed as its media type says.
    #[error("{what}: its media type `{}` says another compression than it has", media_type.escape_debug())]
    Compression {
        /// Which layer.
        what: String,
        /// What the manifest says.
        media_type: String,
    },
    /// Media types of both families, or of none, are used.
    #[error("{what}: its media type `{}` does not go with the manifest's", media_type.escape_debug())]
    Family {
        /// Which blob.
        what: String,
        /// What the manifest says.
        media_type: String,
    },
    /// Two lists that belong together differ in length.
    #[error("there are {layers} layers, and {other} {what}")]
    Count {
        /// How many layers the manifest lists.
        layers: usize,
        /// What else was counted.
        what: &'static str,
        /// How many there are of it.
        other: usize,
    },
    /// A label is missing or does not hold what it should.
    #[error("label `{label}` {reason}")]
    Label {
        /// Which label.
        label: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// What a validation looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validation {
    /// What is wrong; empty for a good image.
    pub findings: Vec<Finding>,
    /// How many layers were read.
    pub layers: usize,
    /// How many bytes of blobs were read.
    pub bytes: u64,
}

/// Reads all blobs of an image and recomputes every digest and size.
pub fn validate(image: &Image, options: ValidateOptions) -> Validation {
    let mut validation = Validation::default();
    let findings = &mut validation.findings;
    check_config(image, findings);
    check_families(image, findings);
    check_counts(image, findings);
    for (index, descriptor) in image.manifest.layers.iter().enumerate() {
        let what = format!("layer {} ({})", index + 1, descriptor.digest);
        match read_layer(image, descriptor) {
            Ok(content) => {
                if content.compression != Compression::of_media_type(&descriptor.media_type) {
                    let media_type = descriptor.media_type.clone();
                    findings.push(Finding::Compression {
                        what: what.clone(),
                        media_type,
                    });
                }
                let claimed = image.config.rootfs.diff_ids.get(index);
                if let Some(expected) = claimed.filter(|claimed| **claimed != content.diff_id) {
                    findings.push(Finding::DiffId {
                        what,
                        found: content.diff_id,
                        expected: *expected,
                    });
                }
            }
            Err(error) => findings.push(Finding::Blob {
                what,
                reason: error.reason,
            }),
        }
    }
    if options.buildpack_labels {
        check_labels(image, findings);
    }
    validation.layers = image.manifest.layers.len();
    let sizes = image.manifest.layers.iter().map(|layer| layer.size);
    validation.bytes = sizes.fold(image.manifest.config.size, u64::saturating_add);
    validation
}

fn check_config(image: &Image, findings: &mut Vec<Finding>) {
    let reason = match document::read_config(&*image.blobs, &image.manifest) {
        Ok(config) if config == image.config => return,
        Ok(_) => "the configuration is another one than when the image was opened".to_owned(),
        Err(error) => error.reason,
    };
    let what = format!("configuration ({})", image.manifest.config.digest);
    findings.push(Finding::Blob { what, reason });
}

fn check_families(image: &Image, findings: &mut Vec<Finding>) {
    let family = image.manifest.family();
    let mut check = |what: &str, media_type: &str| {
        if Family::of(media_type) != Some(family) {
            let media_type = media_type.to_owned();
            findings.push(Finding::Family {
                what: what.to_owned(),
                media_type,
            });
        }
    };
    if !image.descriptor.media_type.is_empty() {
        check("manifest", &image.descriptor.media_type);
    }
    check("configuration", &image.manifest.config.media_type);
    for (index, layer) in image.manifest.layers.iter().enumerate() {
        check(&format!("layer {}", index + 1), &layer.media_type);
    }
}

fn check_counts(image: &Image, findings: &mut Vec<Finding>) {
    let layers = image.manifest.layers.len();
    let history = &image.config.history;
    let made = history.iter().filter(|entry| !entry.empty_layer).count();
    let mut check = |what, other| {
        if other != layers {
            findings.push(Finding::Count {
                layers,
                what,
                other,
            });
        }
    };
    check(
        "diff IDs in the configuration",
        image.config.rootfs.diff_ids.len(),
    );
    if !history.is_empty() {
        check("layers in the history", made);
    }
}

struct LayerContentRead {
    compression: Compression,
    diff_id: DiffId,
}

/// Reads a layer to its end; the source checks digest and size meanwhile.
fn read_layer(image: &Image, descriptor: &Descriptor) -> Result<LayerContentRead, StoreError> {
    let failed = |source| StoreError::io("read", descriptor.digest.to_string(), source);
    let mut blob = image.blobs.open(descriptor)?;
    let mut start = Vec::new();
    blob.by_ref()
        .take(4)
        .read_to_end(&mut start)
        .map_err(failed)?;
    let compression = Compression::of_bytes(&start);
    let mut hasher = Hasher::new();
    {
        let whole = io::Cursor::new(start).chain(&mut blob);
        let mut content = compress::open(whole).map_err(failed)?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match content.read(&mut buffer).map_err(failed)? {
                0 => break,
                length => hasher.update(buffer.get(..length).unwrap_or_default()),
            }
        }
    }
    // A decompressor may stop before the blob ends, and only there the digest is checked.
    let rest = io::copy(&mut blob, &mut io::sink()).map_err(failed)?;
    if rest > 0 {
        let reason = format!("{rest} bytes follow the end of the compressed content");
        return Err(StoreError::invalid(
            "read",
            descriptor.digest.to_string(),
            reason,
        ));
    }
    Ok(LayerContentRead {
        compression,
        diff_id: DiffId::new(hasher.finish()),
    })
}

const LIFECYCLE_LABEL: &str = "io.buildpacks.lifecycle.metadata";
const BUILD_LABEL: &str = "io.buildpacks.build.metadata";
const PROJECT_LABEL: &str = "io.buildpacks.project.metadata";

fn check_labels(image: &Image, findings: &mut Vec<Finding>) {
    for label in [BUILD_LABEL, PROJECT_LABEL] {
        if let Err(reason) = label_object(image, label) {
            findings.push(Finding::Label { label, reason });
        }
    }
    let label = LIFECYCLE_LABEL;
    let metadata = match label_object(image, label) {
        Ok(metadata) => metadata,
        Err(reason) => {
            findings.push(Finding::Label { label, reason });
            return;
        }
    };
    let known: Vec<String> = image
        .config
        .rootfs
        .diff_ids
        .iter()
        .map(ToString::to_string)
        .collect();
    for (place, diff_id) in layers_of(&metadata) {
        if !known.contains(&diff_id) {
            let reason = format!(
                "names `{}` as {}, and the image has no such layer",
                diff_id.escape_debug(),
                place.escape_debug()
            );
            findings.push(Finding::Label { label, reason });
        }
    }
}

fn label_object(image: &Image, label: &str) -> Result<Value, String> {
    let text = image.config.label(label).ok_or("is missing")?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(_) => Err("is not a JSON object".to_owned()),
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

/// The diff IDs that the lifecycle's metadata name, each with where they do.
fn layers_of(metadata: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut add = |place: String, value: Option<&Value>| {
        if let Some(diff_id) = value
            .and_then(Value::as_str)
            .filter(|diff_id| !diff_id.is_empty())
        {
            found.push((place, diff_id.to_owned()));
        }
    };
    for key in ["config", "launcher", "process-types", "sbom"] {
        add(format!("`{key}`"), metadata.pointer(&format!("/{key}/sha")));
    }
    add(
        "`runImage.topLayer`".to_owned(),
        metadata.pointer("/runImage/topLayer"),
    );
    for slice in metadata
        .get("app")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        add("`app`".to_owned(), slice.get("sha"));
    }
    for buildpack in metadata
        .get("buildpacks")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let id = buildpack.get("key").and_then(Value::as_str).unwrap_or("?");
        let layers = buildpack.get("layers").and_then(Value::as_object);
        for (name, layer) in layers.into_iter().flatten() {
            if layer.get("launch") == Some(&Value::Bool(true)) {
                add(format!("layer `{name}` of `{id}`"), layer.get("sha"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::digest::BlobDigest;
    use crate::image::Blobs;

    #[derive(Debug)]
    struct Memory(Vec<Vec<u8>>);

    impl Blobs for Memory {
        fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
            let found = self
                .0
                .iter()
                .find(|blob| BlobDigest::of(blob) == descriptor.digest);
            let blob = found
                .cloned()
                .ok_or_else(|| StoreError::invalid("read", "it", "it is gone"))?;
            Ok(Box::new(crate::verify::Verified::new(
                io::Cursor::new(blob),
                descriptor,
            )))
        }
    }

    fn image(labels: &[(&str, String)]) -> Image {
        let layer = vec![0; 1024];
        let mut config = crate::config::ImageConfig::default();
        config.rootfs.diff_ids = vec![DiffId::of(&layer)];
        for (name, value) in labels {
            config.set_label(*name, value);
        }
        let bytes = document::print(&config);
        let family = Family::Oci;
        let layers = vec![Descriptor::of(
            family.layer(Compression::None).unwrap(),
            &layer,
        )];
        let manifest =
            crate::manifest::Manifest::new(family, Descriptor::of(family.config(), &bytes), layers);
        Image {
            name: "x".to_owned(),
            descriptor: Descriptor::of(family.manifest(), &document::print(&manifest)),
            manifest,
            config,
            blobs: Arc::new(Memory(vec![layer, bytes])),
        }
    }

    fn findings(image: &Image) -> Vec<String> {
        let found = validate(
            image,
            ValidateOptions {
                buildpack_labels: false,
            },
        )
        .findings;
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_image_has_no_findings() {
        let image = image(&[]);
        let validation = validate(&image, ValidateOptions::default());
        assert_eq!(validation.findings, []);
        assert_eq!(validation.layers, 1);
        assert_eq!(validation.bytes, 1024 + image.manifest.config.size);
    }

    #[test]
    fn each_wrong_claim_is_found() {
        let mut wrong = image(&[]);
        wrong.config.rootfs.diff_ids = vec![DiffId::of(b"x")];
        let text = findings(&wrong).join("\n");
        assert!(
            text.contains("the configuration is another one") && text.contains("its diff ID is"),
            "{text}"
        );
        let mut wrong = image(&[]);
        wrong.manifest.layers[0].media_type =
            crate::manifest::media_type::DOCKER_LAYER_GZIP.to_owned();
        let text = findings(&wrong).join("\n");
        assert!(
            text.contains("does not go with") && text.contains("another compression"),
            "{text}"
        );
        let mut wrong = image(&[]);
        wrong.manifest.layers[0].size = 3;
        assert!(findings(&wrong)[0].contains("more than the 3 bytes"));
        let mut wrong = image(&[]);
        wrong.manifest.layers.clear();
        assert_eq!(
            findings(&wrong),
            ["there are 0 layers, and 1 diff IDs in the configuration"]
        );
    }

    #[test]
    fn labels_must_name_layers_that_are_there() {
        let good = DiffId::of(&vec![0; 1024]);
        let layers = |sha: &str| {
            format!(
                r#"{{"app":[{{"sha":"{good}"}}],"buildpacks":[{{"key":"a","layers":{{"l":{{"launch":true,"sha":"{sha}"}},"c":{{"sha":"z"}}}}}}]}}"#
            )
        };
        let with = |lifecycle: String| {
            image(&[
                (LIFECYCLE_LABEL, lifecycle),
                (BUILD_LABEL, "{}".to_owned()),
                (PROJECT_LABEL, "{}".to_owned()),
            ])
        };
        let options = ValidateOptions {
            buildpack_labels: true,
        };
        assert_eq!(
            validate(&with(layers(&good.to_string())), options).findings,
            []
        );
        let text = validate(&with(layers("sha256:1")), options).findings[0].to_string();
        let expected = "label `io.buildpacks.lifecycle.metadata` names `sha256:1` as layer `l` of `a`, and the image has no such layer";
        assert_eq!(text, expected);
        assert_eq!(validate(&image(&[]), options).findings.len(), 3);
        assert_eq!(validate(&with("[]".to_owned()), options).findings.len(), 1);
    }
}
