//! Reads and prints the JSON documents of images.

use std::io::Read;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::{CONFIG_CAP, ImageConfig};
use crate::descriptor::{Descriptor, Platform};
use crate::image::{Blobs, StoreError};
use crate::manifest::{Index, MANIFEST_CAP, Manifest, media_type};

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is not the JSON that it should be.
    #[error("the {what} is malformed")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// The cause.
        source: serde_json::Error,
    },
    /// It says to be something else than what it was announced as.
    #[error("the document says to be `{}` and was announced as `{}`", found.escape_debug(), announced.escape_debug())]
    Mismatch {
        /// What it says.
        found: String,
        /// What the descriptor or the server said.
        announced: String,
    },
    /// It is neither a manifest nor an index of the known kinds.
    #[error("`{}` is neither a manifest nor an index that can be read", .0.escape_debug())]
    Unknown(String),
    /// Its version is not 2.
    #[error("the {what} has schema version {version}, and only 2 can be read")]
    Version {
        /// Which document.
        what: &'static str,
        /// What it says.
        version: u64,
    },
    /// No image of an index is for the platform.
    #[error("the index has no image for `{wanted}`, but for {}", list(.found))]
    NoPlatform {
        /// The platform.
        wanted: Box<Platform>,
        /// The platforms that there are.
        found: Vec<Platform>,
    },
    /// An index has several images, and nobody said which.
    #[error("the index has images for {}, and no platform was chosen", list(.0))]
    SeveralPlatforms(Vec<Platform>),
}

fn list(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<String> = platforms
        .iter()
        .map(|platform| format!("`{}`", platform.to_string().escape_debug()))
        .collect();
    names.join(", ")
}

/// A document to which a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Box<Manifest>),
    /// Several.
    Index(Index),
}

/// Prints a document: no white space, keys in one order, so that equal values give equal digests.
#[expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "the documents' maps have texts for keys, and nothing else can fail in memory"
)]
pub fn print<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).expect("documents can be printed")
}

/// Reads a manifest or an index. `announced` is its media type by descriptor or server; it may be empty.
pub fn parse(bytes: &[u8], announced: &str) -> Result<Document, DocumentError> {
    let probe: Probe = parse_json(bytes, "manifest")?;
    let own = probe.media_type.as_deref().unwrap_or_default();
    let is_index = match (is_index(announced), is_index(own)) {
        (Some(announced_kind), Some(own_kind)) if announced_kind != own_kind => {
            return Err(DocumentError::Mismatch {
                found: own.to_owned(),
                announced: announced.to_owned(),
            });
        }
        (Some(kind), _) | (None, Some(kind)) => kind,
        (None, None) if announced.is_empty() && own.is_empty() && probe.schema_version == 2 => {
            probe.manifests.is_some()
        }
        (None, None) => {
            let name = if own.is_empty() { announced } else { own };
            return Err(DocumentError::Unknown(name.to_owned()));
        }
    };
    let what = if is_index { "index" } else { "manifest" };
    if probe.schema_version != 2 {
        let version = probe.schema_version;
        return Err(DocumentError::Version { what, version });
    }
    if is_index {
        parse_json(bytes, what).map(Document::Index)
    } else {
        parse_json(bytes, what).map(|manifest| Document::Manifest(Box::new(manifest)))
    }
}

/// Reads an index.
pub fn parse_index(bytes: &[u8], announced: &str) -> Result<Index, DocumentError> {
    match parse(bytes, announced)? {
        Document::Index(index) => Ok(index),
        Document::Manifest(manifest) => Err(DocumentError::Unknown(manifest.media_type)),
    }
}

/// Reads an image's configuration.
pub fn parse_config(bytes: &[u8]) -> Result<ImageConfig, DocumentError> {
    parse_json(bytes, "image configuration")
}

/// What tells manifests and indexes apart.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    schema_version: u64,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

fn is_index(kind: &str) -> Option<bool> {
    match kind {
        media_type::OCI_INDEX | media_type::DOCKER_INDEX => Some(true),
        media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => Some(false),
        _ => None,
    }
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, DocumentError> {
    serde_json::from_slice(bytes).map_err(|source| DocumentError::Malformed { what, source })
}

/// Chooses among an index's images. Entries that are for no platform (attestations) do not count.
pub fn choose<'a>(
    index: &'a Index,
    wanted: Option<&Platform>,
) -> Result<&'a Descriptor, DocumentError> {
    let runs = |entry: &&Descriptor| {
        entry
            .platform
            .as_ref()
            .is_none_or(|platform| platform.os != "unknown")
    };
    let candidates: Vec<&Descriptor> = index.manifests.iter().filter(runs).collect();
    let platforms = || {
        candidates
            .iter()
            .filter_map(|entry| entry.platform.clone())
            .collect()
    };
    if let Some(wanted) = wanted {
        let named = candidates.iter().find(|entry| {
            entry
                .platform
                .as_ref()
                .is_some_and(|found| found.satisfies(wanted))
        });
        let only = || {
            candidates
                .first()
                .filter(|entry| candidates.len() == 1 && entry.platform.is_none())
        };
        let chosen = named.or_else(only).copied();
        return chosen.ok_or_else(|| DocumentError::NoPlatform {
            wanted: Box::new(wanted.clone()),
            found: platforms(),
        });
    }
    match candidates.as_slice() {
        [only] => Ok(only),
        _ => Err(DocumentError::SeveralPlatforms(platforms())),
    }
}

/// Reads a whole blob that is known to be small.
pub fn read_small(
    blobs: &dyn Blobs,
    descriptor: &Descriptor,
    cap: u64,
) -> Result<Vec<u8>, StoreError> {
    let subject = || descriptor.digest.to_string();
    if descriptor.size > cap {
        let reason = format!(
            "it has {} bytes, and at most {cap} are read",
            descriptor.size
        );
        return Err(StoreError::invalid("read", subject(), reason));
    }
    let mut bytes = Vec::new();
    let mut reader = blobs.open(descriptor)?.take(cap + 1);
    let read = reader.read_to_end(&mut bytes);
    read.map_err(|source| StoreError::io("read", subject(), source))?;
    Ok(bytes)
}

/// Reads the manifest to which a descriptor leads, choosing by platform where there is an index between.
pub fn resolve(
    blobs: &dyn Blobs,
    descriptor: &Descriptor,
    wanted: Option<&Platform>,
) -> Result<(Descriptor, Manifest), StoreError> {
    let mut descriptor = descriptor.clone();
    for _ in 0..INDEX_DEPTH {
        let bytes = read_small(blobs, &descriptor, MANIFEST_CAP)?;
        let invalid = |source: DocumentError| document_error(&descriptor, source);
        match parse(&bytes, &descriptor.media_type).map_err(invalid)? {
            Document::Manifest(manifest) => return Ok((descriptor, *manifest)),
            Document::Index(index) => {
                let next = choose(&index, wanted).map_err(invalid)?.clone();
                descriptor = next;
            }
        }
    }
    let reason = format!("indexes are nested more than {INDEX_DEPTH} deep");
    Err(StoreError::invalid(
        "read",
        descriptor.digest.to_string(),
        reason,
    ))
}

/// How many indexes may lead to a manifest.
const INDEX_DEPTH: usize = 4;

/// Reads the configuration that a manifest names.
pub fn read_config(blobs: &dyn Blobs, manifest: &Manifest) -> Result<ImageConfig, StoreError> {
    let bytes = read_small(blobs, &manifest.config, CONFIG_CAP)?;
    parse_config(&bytes).map_err(|source| document_error(&manifest.config, source))
}

pub(crate) fn document_error(descriptor: &Descriptor, source: DocumentError) -> StoreError {
    StoreError::invalid("read", descriptor.digest.to_string(), source.to_string())
        .with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Family;

    const MANIFEST: &str = r#"{"schemaVersion":2,"config":{"mediaType":"c","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]}"#;

    fn entry(platform: Option<&str>) -> Descriptor {
        let name = platform.unwrap_or("none");
        Descriptor {
            platform: platform.map(|text| text.parse().unwrap()),
            ..Descriptor::of(media_type::OCI_MANIFEST, name.as_bytes())
        }
    }

    #[test]
    fn kinds_are_told_by_announcement_or_by_content() {
        for announced in ["", media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST] {
            assert!(matches!(
                parse(MANIFEST.as_bytes(), announced),
                Ok(Document::Manifest(_))
            ));
        }
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(
            parse(index.as_bytes(), ""),
            Ok(Document::Index(_))
        ));
    }

    #[test]
    fn a_document_that_was_announced_as_another_is_refused() {
        let index = print(&Index::new(Family::Oci, Vec::new()));
        let result = parse(&index, media_type::OCI_MANIFEST);
        assert!(matches!(result, Err(DocumentError::Mismatch { .. })));
        assert!(matches!(parse(&index, "text/html"), Ok(Document::Index(_))));
        let old = r#"{"schemaVersion":1,"mediaType":"application/vnd.docker.distribution.manifest.v1+json"}"#;
        assert!(matches!(
            parse(old.as_bytes(), ""),
            Err(DocumentError::Unknown(_))
        ));
        let old = MANIFEST.replace(":2,\"config", ":1,\"config");
        assert!(matches!(
            parse(old.as_bytes(), media_type::OCI_MANIFEST),
            Err(DocumentError::Version { .. })
        ));
        assert!(matches!(
            parse(b"<html>", ""),
            Err(DocumentError::Malformed { .. })
        ));
    }

    #[test]
    fn printing_what_was_read_gives_the_same_bytes() {
        let Document::Manifest(manifest) = parse(MANIFEST.as_bytes(), "").unwrap() else {
            panic!("a manifest");
        };
        assert_eq!(print(&manifest), MANIFEST.as_bytes());
    }

    #[test]
    fn the_platform_decides_among_images() {
        let index = Index::new(
            Family::Oci,
            vec![
                entry(Some("unknown/unknown")),
                entry(Some("linux/arm64/v8")),
                entry(Some("linux/amd64")),
            ],
        );
        let amd64 = Platform::new("linux", "amd64");
        assert_eq!(
            choose(&index, Some(&amd64)).unwrap(),
            &entry(Some("linux/amd64"))
        );
        let arm64 = Platform::new("linux", "arm64");
        assert_eq!(
            choose(&index, Some(&arm64)).unwrap(),
            &entry(Some("linux/arm64/v8"))
        );
        let other = Platform::new("linux", "riscv64");
        let text = choose(&index, Some(&other)).unwrap_err().to_string();
        assert_eq!(
            text,
            "the index has no image for `linux/riscv64`, but for `linux/arm64/v8`, `linux/amd64`"
        );
        assert!(matches!(
            choose(&index, None),
            Err(DocumentError::SeveralPlatforms(_))
        ));
    }

    #[test]
    fn the_only_image_needs_no_platform() {
        let index = Index::new(Family::Oci, vec![entry(None)]);
        assert!(choose(&index, None).is_ok());
        assert!(choose(&index, Some(&Platform::new("linux", "amd64"))).is_ok());
    }
}
