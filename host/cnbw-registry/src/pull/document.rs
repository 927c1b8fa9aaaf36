//! Manifests and indexes are told apart here, strictly: bytes that can be read as both are read as neither.

use cnbw_oci::document::{self, Document};
use cnbw_oci::manifest::media_type;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What decides about the kind of a document.
#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "mediaType", default)]
    media_type: Option<String>,
    #[serde(rename = "schemaVersion", default)]
    schema_version: Option<u64>,
    #[serde(default)]
    layers: Option<IgnoredAny>,
    #[serde(default)]
    config: Option<IgnoredAny>,
    #[serde(default)]
    manifests: Option<IgnoredAny>,
    #[serde(rename = "fsLayers", default)]
    fs_layers: Option<IgnoredAny>,
}

/// Reads a document that came with a `Content-Type`. Returns its media type, or the rule that it breaks.
pub(crate) fn parse(bytes: &[u8], content_type: &str) -> Result<(String, Document), String> {
    let shape: Shape = serde_json::from_slice(bytes)
        .map_err(|error| format!("the manifest is not the JSON object it has to be ({error})"))?;
    if shape.schema_version == Some(1) || shape.fs_layers.is_some() {
        return Err(
            "the manifest is of Docker's schema 1, which nobody should use any more".into(),
        );
    }
    let stated = content_type.split(';').next().unwrap_or_default().trim();
    let own = shape.media_type.as_deref().unwrap_or_default();
    let images = shape.layers.is_some() || shape.config.is_some();
    let is_index = match (images, shape.manifests.is_some()) {
        (true, true) => {
            return Err("the manifest has both `layers` or `config` and `manifests`".to_owned());
        }
        (false, false) => {
            return Err("the manifest has neither `layers` nor `manifests`".to_owned());
        }
        (_, index) => index,
    };
    let kind = [own, stated].into_iter().find(|kind| is_known(kind));
    let Some(kind) = kind else {
        let shown = crate::error::shown(if own.is_empty() { stated } else { own }, &[]);
        return Err(format!(
            "the manifest's media type `{shown}` is none that cnbw reads"
        ));
    };
    if is_known(own) && is_known(stated) && own != stated {
        return Err(format!(
            "the manifest says that it is `{own}` and came as `{stated}`"
        ));
    }
    if super::is_index(kind) != is_index {
        return Err(format!(
            "the manifest came as `{kind}` and has the content of another kind"
        ));
    }
    let document = document::parse(bytes, kind).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})"));
        crate::error::shown(&format!("{error}{}", cause.unwrap_or_default()), &[])
    })?;
    Ok((kind.to_owned(), document))
}

fn is_known(kind: &str) -> bool {
    [
        media_type::OCI_INDEX,
        media_type::OCI_MANIFEST,
        media_type::DOCKER_INDEX,
        media_type::DOCKER_MANIFEST,
    ]
    .contains(&kind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn kind(text: &str, content_type: &str) -> Result<String, String> {
        let text = text.replace("MANIFEST", MANIFEST).replace("INDEX", INDEX);
        let config = format!(r#""config":{{"mediaType":"c","digest":"{DIGEST}","size":0}}"#);
        parse(text.replace("CONFIG", &config).as_bytes(), content_type).map(|(kind, _)| kind)
    }

    #[test]
    fn the_kind_is_what_document_and_header_agree_on() {
        let fine = [
            (
                r#"{"schemaVersion":2,CONFIG,"layers":[]}"#,
                MANIFEST,
                MANIFEST,
            ),
            (
                r#"{"schemaVersion":2,"mediaType":"MANIFEST",CONFIG,"layers":[]}"#,
                "text/plain",
                MANIFEST,
            ),
            (
                r#"{"schemaVersion":2,"mediaType":"INDEX","manifests":[]}"#,
                INDEX,
                INDEX,
            ),
            (
                r#"{"schemaVersion":2,"manifests":[]}"#,
                "application/vnd.oci.image.index.v1+json; charset=utf-8",
                INDEX,
            ),
        ];
        for (text, content_type, expected) in fine {
            assert_eq!(kind(text, content_type).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn documents_of_two_kinds_or_none_are_refused() {
        let cases = [
            (
                r#"{"schemaVersion":2,CONFIG,"layers":[],"manifests":[]}"#,
                MANIFEST,
                "both",
            ),
            (r#"{"schemaVersion":2}"#, MANIFEST, "neither"),
            (
                r#"{"schemaVersion":2,"mediaType":"INDEX","manifests":[]}"#,
                MANIFEST,
                "says that it is",
            ),
            (
                r#"{"schemaVersion":2,"manifests":[]}"#,
                MANIFEST,
                "another kind",
            ),
            (
                r#"{"schemaVersion":2,CONFIG,"layers":[]}"#,
                "application/json",
                "none that cnbw reads",
            ),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, MANIFEST, "schema 1"),
            (
                r#"{"schemaVersion":2,"config":{},"layers":[]}"#,
                MANIFEST,
                "malformed",
            ),
            ("7", MANIFEST, "JSON object"),
            ("[]", MANIFEST, "neither"),
            ("nonsense", MANIFEST, "JSON object"),
        ];
        for (text, content_type, part) in cases {
            let reason = kind(text, content_type).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&bytes, MANIFEST));
        }
    }
}
