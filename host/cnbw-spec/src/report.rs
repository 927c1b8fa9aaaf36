//! `report.toml`: what an export or a rebase made.
//!
//! <https://github.com/buildpacks/spec/blob/main/platform.md#reporttoml-toml>

use crate::metadata::{BomEntry, bom_entry_fields};
use crate::print::Fields;

/// The content of `report.toml`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Report {
    /// `[build] bom`, of old APIs only.
    pub build_bom: Vec<BomEntry>,
    /// `[image]`.
    pub image: ImageReport,
}

/// The image that was made.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ImageReport {
    /// All names, the first one first.
    pub tags: Vec<String>,
    /// Id of the image in a daemon or layout.
    pub image_id: Option<String>,
    /// Digest of the manifest.
    pub digest: Option<String>,
    /// Size of the manifest in bytes; 0 is not written.
    pub manifest_size: u64,
}

/// Prints `report.toml` of an export.
pub fn print_report(report: &Report) -> String {
    let mut fields = Fields::new();
    if !report.build_bom.is_empty() {
        let mut build = Fields::new();
        build.each("bom", &report.build_bom, bom_entry_fields);
        fields.table("build", build);
    }
    fields.table("image", image_fields(&report.image)).print()
}

/// Prints `report.toml` of a rebase.
pub fn print_rebase_report(image: &ImageReport) -> String {
    Fields::new().table("image", image_fields(image)).print()
}

fn image_fields(image: &ImageReport) -> Fields {
    let mut fields = Fields::new();
    if !image.tags.is_empty() {
        fields.texts("tags", &image.tags);
    }
    fields
        .filled("image-id", image.image_id.as_deref())
        .filled("digest", image.digest.as_deref());
    if image.manifest_size != 0 {
        fields.raw("manifest-size", image.manifest_size.to_string());
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build_plan::Require;
    use crate::group::GroupElement;
    use crate::id::BuildpackRef;

    #[test]
    fn a_report_shows_what_is_known() {
        let image = ImageReport {
            tags: vec!["r/a:1".to_owned(), "r/a:2".to_owned()],
            image_id: None,
            digest: Some("sha256:0".to_owned()),
            manifest_size: 7,
        };
        let text = "[image]\n  tags = [\"r/a:1\", \"r/a:2\"]\n  digest = \"sha256:0\"\n  manifest-size = 7\n";
        assert_eq!(print_rebase_report(&image), text);
        let mut report = Report {
            build_bom: Vec::new(),
            image,
        };
        assert_eq!(print_report(&report), text);
        report.build_bom.push(BomEntry {
            require: Require {
                name: "dep".to_owned(),
                ..Require::default()
            },
            buildpack: GroupElement::new(BuildpackRef::parse("a", "1").unwrap()),
        });
        let bom = "[build]\n\n  [[build.bom]]\n    name = \"dep\"\n    [build.bom.buildpack]\n      \
                   id = \"a\"\n      version = \"1\"\n\n";
        assert_eq!(print_report(&report), format!("{bom}{text}"));
        assert_eq!(print_report(&Report::default()), "[image]\n");
    }
}
