//! What is restored of a layer, decided from what image and cache remember of it.

use cnbw_spec::api::PlatformApi;
use cnbw_spec::labels::LayerRecord;

/// What happens to one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Decision<'a> {
    /// Nothing comes back, and nothing is taken away.
    Nothing,
    /// Metadata alone: a launch layer, which the next image can reuse without its content being here.
    Metadata(&'a LayerRecord),
    /// Metadata, and content from the cache.
    MetadataAndContent(&'a LayerRecord),
    /// The cache holds something else than what is remembered: whatever is there goes.
    Stale,
    /// Nothing is remembered of what the cache holds: whatever is there goes.
    Unknown,
}

/// Decides about a layer.
///
/// The image speaks for launch layers, the cache for the others. A layer that must be there to be used (`build`) and is
/// not cached is not worth remembering: its buildpack makes it again in any case.
pub(crate) fn decide<'a>(
    image: Option<&'a LayerRecord>,
    cache: Option<&'a LayerRecord>,
    api: PlatformApi,
) -> Decision<'a> {
    let cached = cache.filter(|record| record.layer.types.cache);
    let from_image = image.filter(|record| {
        let types = record.layer.types;
        types.launch && (types.cache || !types.build) && (!types.cache || cached.is_some())
    });
    // Only from Platform API 0.14 does the cache speak for a launch layer that the image does not know.
    let from_cache = cached.filter(|record| {
        !record.layer.types.launch || (image.is_none() && api >= PlatformApi::V0_14)
    });
    match (from_cache.or(from_image), cached) {
        (Some(record), Some(cached)) if record.sha == cached.sha => {
            Decision::MetadataAndContent(record)
        }
        (Some(_), Some(_)) => Decision::Stale,
        (None, Some(_)) => Decision::Unknown,
        (Some(record), None) => Decision::Metadata(record),
        (None, None) => Decision::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use cnbw_spec::layer::{LayerToml, LayerTypes};

    use super::*;

    /// `"lc1"`: launch and cache, content 1. Empty: not known.
    fn record(text: &str) -> Option<LayerRecord> {
        (!text.is_empty()).then(|| LayerRecord {
            sha: text.chars().filter(char::is_ascii_digit).collect(),
            layer: LayerToml {
                types: LayerTypes {
                    build: text.contains('b'),
                    launch: text.contains('l'),
                    cache: text.contains('c'),
                },
                metadata: None,
            },
        })
    }

    // shows: restore-005 restore-006 restore-007 restore-008 restore-009 restore-010 restore-011 restore-012
    #[test]
    fn the_table_of_the_specification() {
        for (image, cache, old, new) in [
            ("", "", "nothing", "nothing"),
            ("l1", "", "metadata", "metadata"),
            ("lb1", "", "nothing", "nothing"),
            ("b1", "", "nothing", "nothing"),
            ("lc1", "", "nothing", "nothing"),
            ("lc1", "lc1", "content", "content"),
            ("lbc1", "lbc1", "content", "content"),
            ("lc1", "lc2", "stale", "stale"),
            ("lc1", "l1", "nothing", "nothing"),
            ("", "c1", "content", "content"),
            ("", "bc1", "content", "content"),
            ("", "lc1", "unknown", "content"),
            ("b1", "lc1", "unknown", "unknown"),
            ("l1", "c2", "content", "content"),
            ("", "b1", "nothing", "nothing"),
        ] {
            let (image_record, cache_record) = (record(image), record(cache));
            let word = |api| match decide(image_record.as_ref(), cache_record.as_ref(), api) {
                Decision::Nothing => "nothing",
                Decision::Metadata(_) => "metadata",
                Decision::MetadataAndContent(_) => "content",
                Decision::Stale => "stale",
                Decision::Unknown => "unknown",
            };
            assert_eq!(word(PlatformApi::V0_13), old, "{image:?} {cache:?}, 0.13");
            assert_eq!(word(PlatformApi::V0_14), new, "{image:?} {cache:?}, 0.14");
        }
    }
}
