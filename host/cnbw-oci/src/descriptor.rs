//! Descriptors and platforms.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::BlobDigest;
use crate::manifest::null_as_default;

/// Points at a blob: its kind, its digest and its size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is; see the constants in [`crate::manifest::media_type`].
    #[serde(default, deserialize_with = "null_as_default")]
    pub media_type: String,
    /// Length of the blob in bytes.
    pub size: u64,
    /// Digest of the blob's bytes.
    pub digest: BlobDigest,
    /// Places from which the blob can be had, if it is not kept with the image.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub urls: Vec<String>,
    /// Annotations.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub annotations: BTreeMap<String, String>,
    /// In an index: where the image runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Descriptor {
    /// A descriptor with nothing but the three fields that each one has.
    pub fn new(media_type: impl Into<String>, digest: BlobDigest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            size,
            digest,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            extra: BTreeMap::new(),
        }
    }

    /// Describes bytes that are at hand.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, BlobDigest::of(bytes), bytes.len() as u64)
    }
}

/// Operating system, processor and what else decides whether an image runs somewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// Processor architecture in Go's words: `amd64`, `arm64`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub architecture: String,
    /// Operating system in Go's words: `linux`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub os: String,
    /// Version of the operating system.
    #[serde(
        default,
        rename = "os.version",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub os_version: String,
    /// What the operating system must offer.
    #[serde(
        default,
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub os_features: Vec<String>,
    /// Variant of the architecture: `v8`.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub variant: String,
}

/// A text that is not `OS/ARCHITECTURE[/VARIANT]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("platform `{}` is not of the form `os/architecture` or `os/architecture/variant`", text.escape_debug())]
pub struct PlatformError {
    /// The text.
    pub text: String,
}

impl Platform {
    /// A platform without variant or version.
    pub fn new(os: impl Into<String>, architecture: impl Into<String>) -> Self {
        Self {
            os: os.into(),
            architecture: architecture.into(),
            ..Self::default()
        }
    }

    /// Whether an image made for this platform is what someone who wants `wanted` asks for.
    ///
    /// Fields that `wanted` leaves empty do not matter, and every feature it names must be there.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        let field = |have: &str, want: &str| want.is_empty() || have == want;
        // There is one 64-bit ARM variant in use, and most images do not name it.
        let variant =
            |platform: &Self| match (platform.architecture.as_str(), platform.variant.as_str()) {
                ("arm64", "v8") => String::new(),
                (_, variant) => variant.to_owned(),
            };
        field(&self.os, &wanted.os)
            && field(&self.architecture, &wanted.architecture)
            && field(&variant(self), &variant(wanted))
            && field(&self.os_version, &wanted.os_version)
            && wanted
                .os_features
                .iter()
                .all(|feature| self.os_features.contains(feature))
    }
}

impl std::str::FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let wrong = || PlatformError {
            text: text.to_owned(),
        };
        let parts: Vec<&str> = text.split('/').collect();
        let plain = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        if !parts.iter().all(plain) {
            return Err(wrong());
        }
        match parts.as_slice() {
            [os, architecture] => Ok(Self::new(*os, *architecture)),
            [os, architecture, variant] => Ok(Self {
                variant: (*variant).to_owned(),
                ..Self::new(*os, *architecture)
            }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_reads_and_prints() {
        for text in ["linux/amd64", "linux/arm/v7"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        for text in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_asked_for_does_not_matter() {
        let v7: Platform = "linux/arm/v7".parse().unwrap();
        let plain: Platform = "linux/arm".parse().unwrap();
        assert!(v7.satisfies(&plain));
        assert!(!plain.satisfies(&v7));
        assert!(!v7.satisfies(&Platform::new("linux", "amd64")));
    }

    #[test]
    fn the_variant_of_64_bit_arm_goes_without_saying() {
        let v8: Platform = "linux/arm64/v8".parse().unwrap();
        let plain: Platform = "linux/arm64".parse().unwrap();
        assert!(v8.satisfies(&plain) && plain.satisfies(&v8));
    }

    #[test]
    fn unknown_keys_of_a_descriptor_survive() {
        let text = r#"{"mediaType":"t","size":3,"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","data":"YWJj"}"#;
        let descriptor: Descriptor = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&descriptor).unwrap(), text);
    }
}
