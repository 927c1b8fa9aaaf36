//! Images as values, and the two small traits behind which every place that keeps images stands.
//!
//! A layout directory, an archive and a registry each implement [`ImageSource`] and [`ImageSink`].

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use crate::compress::Compression;
use crate::config::ImageConfig;
use crate::descriptor::{Descriptor, Platform};
use crate::digest::DiffId;
use crate::manifest::{Family, Manifest};

/// Why a place could not deliver or take an image.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{subject}`: {reason}")]
pub struct StoreError {
    /// What was tried: `read`, `write`, `open`.
    pub action: &'static str,
    /// The image, blob or path.
    pub subject: String,
    /// The rule that was broken or what the other side said, without secrets.
    pub reason: String,
    /// What kind of failure it is, for those who decide on it.
    pub kind: StoreErrorKind,
    /// The cause, if another error is.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Kinds of [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The place refuses access.
    Denied,
    /// The place cannot be reached, or did not answer in time.
    Unreachable,
    /// What came breaks a rule: a wrong digest, a bad document, a cap.
    Invalid,
    /// Reading or writing failed.
    Io,
}

impl StoreError {
    /// A rule was broken by what was read, or cannot be kept by what is to be written.
    pub fn invalid(
        action: &'static str,
        subject: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            action,
            subject: subject.into(),
            reason: reason.into(),
            kind: StoreErrorKind::Invalid,
            source: None,
        }
    }

    /// Reading or writing failed. Readers of this crate report a broken rule as [`io::ErrorKind::InvalidData`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an error that is turned into another is used up"
    )]
    pub fn io(action: &'static str, subject: impl Into<String>, source: io::Error) -> Self {
        // Not every kind matters here, and there will be more of them.
        let kind = if source.kind() == io::ErrorKind::PermissionDenied {
            StoreErrorKind::Denied
        } else if source.kind() == io::ErrorKind::InvalidData {
            StoreErrorKind::Invalid
        } else {
            StoreErrorKind::Io
        };
        Self {
            action,
            subject: subject.into(),
            reason: source.to_string(),
            kind,
            source: None,
        }
    }

    /// Adds a cause.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

/// Delivers blobs by descriptor. Bytes are checked against digest and size while they are read:
/// a reader that was read to its end without an error delivered exactly the blob.
pub trait Blobs: Send + Sync + Debug {
    /// Opens a blob.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError>;

    /// Registry and repository that hold the blobs, if one does: a sink at the same registry then needs no bytes.
    fn home(&self) -> Option<(&str, &str)> {
        None
    }
}

/// An image that was found: its documents are here, its blobs come on demand.
#[derive(Clone, Debug)]
pub struct Image {
    /// The name by which it was found, in the form in which a label or a message shows it.
    pub name: String,
    /// Descriptor of the manifest, with the digest of its bytes as stored.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The configuration.
    pub config: ImageConfig,
    /// Where the blobs are.
    pub blobs: Arc<dyn Blobs>,
}

/// A place that images are read from.
pub trait ImageSource: Send + Sync + Debug {
    /// Opens an image; `None` if the place answers that there is no such image.
    ///
    /// If the name leads to an index, `platform` chooses among its images.
    fn open(&self, name: &str, platform: Option<&Platform>) -> Result<Option<Image>, StoreError>;
}

/// Where the bytes of one layer of a new image are.
#[derive(Debug)]
pub enum LayerContent {
    /// In an image that exists already, in this or another place.
    Existing {
        /// The blob as that image lists it.
        descriptor: Descriptor,
        /// Where it can be read.
        blobs: Arc<dyn Blobs>,
    },
    /// In a file that was just written, positioned anywhere, unlinked or temporary.
    File {
        /// The blob.
        descriptor: Descriptor,
        /// The bytes.
        file: File,
    },
}

/// One layer of a new image.
#[derive(Debug)]
pub struct NewLayer {
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The bytes.
    pub content: LayerContent,
}

/// An image to be written.
#[derive(Debug)]
pub struct NewImage {
    /// Docker or OCI media types, for manifest, config and layers alike.
    pub family: Family,
    /// The configuration; its `rootfs` and `history` agree with `layers`.
    pub config: ImageConfig,
    /// Base layer first.
    pub layers: Vec<NewLayer>,
    /// Annotations of the manifest.
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenImage {
    /// Descriptor of the manifest.
    pub manifest: Descriptor,
    /// Descriptor of the configuration.
    pub config: Descriptor,
}

/// A place that images are written to.
pub trait ImageSink: Send + Sync + Debug {
    /// How new layers should be compressed for this place.
    fn compression(&self) -> Compression;

    /// Writes blobs, config and manifest, and then the names (tags) last, all of them or none.
    /// Blobs that the place has already are not sent again. `layers` and `config` were checked by the caller.
    fn write(&self, image: NewImage, names: &[String]) -> Result<WrittenImage, StoreError>;
}

/// What was written when several images came with an index over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenIndex {
    /// Descriptor of the index.
    pub index: Descriptor,
    /// The images, in the order in which they were given.
    pub images: Vec<WrittenImage>,
}

/// A place that keeps several images under one name, one for each platform.
pub trait IndexSink: ImageSink {
    /// Writes the images and an index over them, and then the names, all of them or none.
    ///
    /// The images are of one family, and no two for one platform.
    fn write_index(
        &self,
        images: Vec<NewImage>,
        names: &[String],
    ) -> Result<WrittenIndex, StoreError>;
}
