//! The JSON that a cache says of itself in: a part of what images say in their label.

use cnbw_spec::labels::{LifecycleMetadata, parse_lifecycle_metadata, print_lifecycle_metadata};
use serde_json::{Map, Value, json};

use super::{CacheError, CacheMetadata};

/// File and label with the metadata.
pub(super) const METADATA: &str = "io.buildpacks.lifecycle.cache.metadata";

/// Reads metadata. What cannot be understood is empty: a cache is never a reason to fail.
pub(super) fn parse(text: &str) -> CacheMetadata {
    let metadata = parse_lifecycle_metadata(text).unwrap_or_default();
    CacheMetadata {
        sbom: metadata.sbom.filter(|sha| !sha.is_empty()),
        buildpacks: metadata.buildpacks,
    }
}

/// Writes metadata. The SBOM entry is always there, with an empty digest if there are no SBOM files.
pub(super) fn print(metadata: &CacheMetadata) -> Result<String, CacheError> {
    let wrong = |reason: String| CacheError::Metadata { reason };
    let whole = print_lifecycle_metadata(&LifecycleMetadata {
        buildpacks: metadata.buildpacks.clone(),
        ..LifecycleMetadata::default()
    })
    .map_err(|error| wrong(error.to_string()))?;
    let whole: Value = serde_json::from_str(&whole).map_err(|error| wrong(error.to_string()))?;
    let mut object = Map::new();
    object.insert(
        "sbom".to_owned(),
        json!({ "sha": metadata.sbom.as_deref().unwrap_or_default() }),
    );
    let buildpacks = whole.get("buildpacks").cloned().unwrap_or(Value::Null);
    object.insert("buildpacks".to_owned(), buildpacks);
    Ok(Value::Object(object).to_string())
}
