//! What a report says of an image that was written.

use cnbw_oci::image::WrittenImage;
use cnbw_spec::report::ImageReport;

/// Describes a written image.
///
/// `has_digest` says whether the place keeps images by digest: registries do; for image layouts of the lifecycle's phases
/// the reference reports none.
pub fn image_report(names: &[String], image: &WrittenImage, has_digest: bool) -> ImageReport {
    ImageReport {
        tags: names.to_vec(),
        image_id: None,
        digest: has_digest.then(|| image.manifest.digest.to_string()),
        manifest_size: image.manifest.size,
    }
}
