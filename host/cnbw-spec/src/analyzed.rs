//! `analyzed.toml`: the images that a build starts from.
//!
//! <https://github.com/buildpacks/spec/blob/main/platform.md#analyzedtoml-toml>

use crate::document::{Document, DocumentError, Reader};
use crate::labels::{LifecycleMetadata, lifecycle_fields, read_lifecycle_metadata};
use crate::print::Fields;
use crate::target::{Distro, TargetMetadata};

/// The content of `analyzed.toml`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Analyzed {
    /// Reference of the previous image, if there is one: `[image] reference`.
    pub previous_image: Option<String>,
    /// Reference of the build image, with extensions only: `[build-image] reference`.
    pub build_image: Option<String>,
    /// Label of the previous image: `[metadata]`.
    pub metadata: LifecycleMetadata,
    /// The run image: `[run-image]`.
    pub run_image: Option<AnalyzedRunImage>,
}

/// The run image that was found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AnalyzedRunImage {
    /// Reference with digest; may be empty where an image could not be read.
    pub reference: String,
    /// Name as given or selected.
    pub image: Option<String>,
    /// Whether extensions extend it.
    pub extend: bool,
    /// Its target, if known.
    pub target: Option<TargetMetadata>,
}

/// Parses `analyzed.toml`.
pub fn parse_analyzed(file: &str, bytes: &[u8]) -> Result<Analyzed, DocumentError> {
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    let reference = |name: &str| -> Result<Option<String>, DocumentError> {
        root.table(name)?
            .map(|image| image.text("reference"))
            .transpose()
    };
    let metadata = match root.table("metadata")? {
        Some(metadata) => read_lifecycle_metadata(&metadata)?,
        None => LifecycleMetadata::default(),
    };
    let run_image = root.table("run-image")?;
    Ok(Analyzed {
        previous_image: reference("image")?,
        build_image: reference("build-image")?,
        metadata,
        run_image: run_image
            .map(|run_image| read_run_image(&run_image))
            .transpose()?,
    })
}

fn read_run_image(reader: &Reader<'_>) -> Result<AnalyzedRunImage, DocumentError> {
    let target = reader.table("target")?;
    Ok(AnalyzedRunImage {
        reference: reader.text("reference")?,
        image: reader.filled("image")?,
        extend: reader.is("extend")?,
        target: target.map(|target| read_target(&target)).transpose()?,
    })
}

fn read_target(reader: &Reader<'_>) -> Result<TargetMetadata, DocumentError> {
    let variant = match reader.filled("arch-variant")? {
        Some(variant) => variant,
        None => reader.text("variant")?,
    };
    let distro = match reader.table("distro")? {
        Some(distro) => Some(Distro {
            name: distro.text("name")?,
            version: distro.text("version")?,
        }),
        None => None,
    };
    Ok(TargetMetadata {
        id: reader.text("id")?,
        os: reader.text("os")?,
        arch: reader.text("arch")?,
        variant,
        distro,
    })
}

/// Prints `analyzed.toml`.
pub fn print_analyzed(analyzed: &Analyzed) -> String {
    let mut fields = Fields::new();
    if let Some(reference) = &analyzed.previous_image {
        fields.table("image", reference_fields(reference));
    }
    if let Some(reference) = &analyzed.build_image {
        fields.table("build-image", reference_fields(reference));
    }
    fields.table("metadata", lifecycle_fields(&analyzed.metadata));
    if let Some(run_image) = &analyzed.run_image {
        fields.table("run-image", run_image_fields(run_image));
    }
    fields.print()
}

fn reference_fields(reference: &str) -> Fields {
    let mut fields = Fields::new();
    fields.text("reference", reference);
    fields
}

fn run_image_fields(run_image: &AnalyzedRunImage) -> Fields {
    let mut fields = reference_fields(&run_image.reference);
    fields
        .filled("image", run_image.image.as_deref())
        .set_flag("extend", run_image.extend);
    if let Some(target) = &run_image.target {
        fields.table("target", target_fields(target));
    }
    fields
}

fn target_fields(target: &TargetMetadata) -> Fields {
    let mut fields = Fields::new();
    fields
        .filled("id", Some(&target.id))
        .text("os", &target.os)
        .text("arch", &target.arch)
        .filled("arch-variant", Some(&target.variant));
    if let Some(distro) = &target.distro {
        let mut distro_fields = Fields::new();
        distro_fields
            .text("name", &distro.name)
            .text("version", &distro.version);
        fields.table("distro", distro_fields);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunImageNames;
    use crate::stack::Stack;

    const OLD: &str = r#"[image]
  reference = "previous-img"

[metadata]
  [metadata.config]
    sha = ""
  [metadata.launcher]
    sha = ""
  [metadata.process-types]
    sha = ""
  [metadata.run-image]
    top-layer = ""
    reference = ""
  [metadata.stack]
    [metadata.stack.run-image]
      image = "imagine that"

[run-image]
  reference = "some-ref"
"#;

    #[test]
    fn the_old_shape_is_printed_as_the_reference_prints_it() {
        let run_image = RunImageNames {
            image: Some("imagine that".to_owned()),
            mirrors: Vec::new(),
        };
        let analyzed = Analyzed {
            previous_image: Some("previous-img".to_owned()),
            metadata: LifecycleMetadata {
                stack: Some(Stack { run_image }),
                ..LifecycleMetadata::default()
            },
            run_image: Some(AnalyzedRunImage {
                reference: "some-ref".to_owned(),
                ..AnalyzedRunImage::default()
            }),
            ..Analyzed::default()
        };
        assert_eq!(print_analyzed(&analyzed), OLD);
        assert_eq!(
            parse_analyzed("analyzed.toml", OLD.as_bytes()).unwrap(),
            analyzed
        );
    }

    #[test]
    fn a_target_is_read_and_printed() {
        let text = "[metadata]\n  [metadata.config]\n    sha = \"\"\n  [metadata.launcher]\n    sha = \"\"\n  \
                    [metadata.process-types]\n    sha = \"\"\n  [metadata.run-image]\n    top-layer = \"\"\n    \
                    reference = \"\"\n\n[run-image]\n  reference = \"r@sha256:0\"\n  image = \"r\"\n  \
                    [run-image.target]\n    id = \"x\"\n    os = \"linux\"\n    arch = \"arm\"\n    \
                    arch-variant = \"v7\"\n    [run-image.target.distro]\n      name = \"ubuntu\"\n      \
                    version = \"24.04\"\n";
        let analyzed = parse_analyzed("analyzed.toml", text.as_bytes()).unwrap();
        assert_eq!(print_analyzed(&analyzed), text);
        let spec_spelling = text.replace("arch-variant", "variant");
        assert_eq!(
            parse_analyzed("a", spec_spelling.as_bytes()).unwrap(),
            analyzed
        );
    }

    #[test]
    fn an_empty_file_names_no_image() {
        assert_eq!(parse_analyzed("a", b"").unwrap(), Analyzed::default());
        let error = parse_analyzed("a", b"[run-image]\nreference = 1").unwrap_err();
        assert_eq!(error.key, "run-image.reference");
    }
}
