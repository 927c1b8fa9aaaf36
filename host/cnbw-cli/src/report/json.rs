//! The report as one JSON document, for programs.

use cnbw::{BuildReport, LayerReport, PlatformReport};
use serde_json::{Value, json};

/// What `cnbw build --json` prints.
pub(crate) fn build(report: &BuildReport) -> Value {
    json!({
        "names": report.names,
        "digest": report.digest,
        "images": report.images.iter().map(image).collect::<Vec<_>>(),
    })
}

fn image(image: &PlatformReport) -> Value {
    json!({
        "platform": image.platform,
        "digest": image.digest,
        "imageId": image.image_id,
        "manifestSize": image.manifest_size,
        "buildpacks": image.buildpacks,
        "layers": image.layers.iter().map(layer).collect::<Vec<_>>(),
        "processes": image.processes,
        "defaultProcess": image.default_process,
    })
}

fn layer(layer: &LayerReport) -> Value {
    json!({ "id": layer.id, "diffId": layer.diff_id, "size": layer.size, "reused": layer.reused })
}
