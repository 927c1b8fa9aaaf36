//! OCI image layouts: a directory with `oci-layout`, `index.json` and `blobs/`.
//!
//! Names inside a layout are tags (`org.opencontainers.image.ref.name`), or digests as `sha256:…`; the empty name is the
//! only image there is. What others have written stays: [`LayoutSink`] adds and replaces under a lock, and `index.json`
//! is the last file that changes.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::descriptor::{Descriptor, Platform};
use crate::digest::{BlobDigest, Digest};
use crate::document::{self, parse_index};
use crate::image::{Blobs, Image, ImageSource, StoreError};
use crate::manifest::{Index, MANIFEST_CAP, media_type};
use crate::verify::Verified;

mod write;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use write::set_entries;
pub use write::{LayoutOptions, LayoutSink};

/// Annotation of an index's entry that says its tag.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Content of the file `oci-layout`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayoutVersion {
    pub(crate) image_layout_version: String,
}

impl LayoutVersion {
    pub(crate) fn current() -> Self {
        Self {
            image_layout_version: "1.0.0".to_owned(),
        }
    }
}

/// Reads images from a layout.
#[derive(Clone, Debug)]
pub struct LayoutSource {
    blobs: Arc<LayoutBlobs>,
    shown: String,
}

/// The blobs of a layout.
#[derive(Debug)]
pub struct LayoutBlobs {
    dir: Arc<Dir>,
}

impl LayoutSource {
    /// A source for the layout in a directory; `shown` is what the directory is called in names and messages.
    ///
    /// The directory is looked at only when an image is opened, so it may still be empty.
    pub fn new(dir: Arc<Dir>, shown: impl Into<String>) -> Self {
        Self {
            blobs: Arc::new(LayoutBlobs { dir }),
            shown: shown.into(),
        }
    }

    /// The layout's index; `None` if the directory is not a layout yet.
    pub fn index(&self) -> Result<Option<Index>, StoreError> {
        read_index(&self.blobs.dir, &self.shown)
    }

    /// The layout's blobs.
    pub fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::<LayoutBlobs>::clone(&self.blobs)
    }
}

impl ImageSource for LayoutSource {
    fn open(&self, name: &str, platform: Option<&Platform>) -> Result<Option<Image>, StoreError> {
        let Some(index) = self.index()? else {
            return Ok(None);
        };
        open_in_index(&index, self.blobs(), &self.shown, name, platform)
    }
}

/// Opens the image that an index's entry with this tag or digest leads to.
pub(crate) fn open_in_index(
    index: &Index,
    blobs: Arc<dyn Blobs>,
    shown: &str,
    name: &str,
    platform: Option<&Platform>,
) -> Result<Option<Image>, StoreError> {
    let full_name = match name {
        "" => shown.to_owned(),
        digest if digest.parse::<Digest>().is_ok() => format!("{shown}@{digest}"),
        tag => format!("{shown}:{tag}"),
    };
    let Some(entry) = find(index, name, platform)
        .map_err(|reason| StoreError::invalid("open", &full_name, reason))?
    else {
        return Ok(None);
    };
    let (descriptor, manifest) = document::resolve(&*blobs, entry, platform)?;
    let config = document::read_config(&*blobs, &manifest)?;
    Ok(Some(Image {
        name: full_name,
        descriptor,
        manifest,
        config,
        blobs,
    }))
}

/// Finds the entry of an index that a tag, a digest or the empty name means.
fn find<'a>(
    index: &'a Index,
    name: &str,
    platform: Option<&Platform>,
) -> Result<Option<&'a Descriptor>, String> {
    if !name.is_empty() {
        // Digests are names as well: the lifecycle enters an image under one if that is how it is called.
        let is_tagged = |entry: &&Descriptor| {
            entry
                .annotations
                .get(REF_NAME)
                .is_some_and(|tag| tag == name)
        };
        let digest = name.parse::<BlobDigest>().ok();
        let by_digest = |entry: &&Descriptor| Some(entry.digest) == digest;
        let tagged = index.manifests.iter().find(is_tagged);
        return Ok(tagged.or_else(|| index.manifests.iter().find(by_digest)));
    }
    let Some(first) = index.manifests.first() else {
        return Ok(None);
    };
    if index
        .manifests
        .iter()
        .all(|entry| entry.digest == first.digest)
    {
        return Ok(Some(first));
    }
    let is_tagged = |entry: &Descriptor| entry.annotations.contains_key(REF_NAME);
    if index.manifests.iter().any(is_tagged) {
        return Err("there are several images, so a tag has to be given".to_owned());
    }
    document::choose(index, platform)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// Reads `index.json`; `None` if neither it nor `oci-layout` is there.
fn read_index(dir: &Dir, shown: &str) -> Result<Option<Index>, StoreError> {
    let failed = |source| StoreError::io("open", shown, source);
    let invalid = |reason: String| StoreError::invalid("open", shown, reason);
    let Some(version) = read_document(dir, c"oci-layout").map_err(failed)? else {
        return Ok(None);
    };
    let version: LayoutVersion = serde_json::from_slice(&version)
        .map_err(|_| invalid("its file `oci-layout` is malformed".to_owned()))?;
    if !version.image_layout_version.starts_with("1.") {
        let found = version.image_layout_version.escape_debug().to_string();
        return Err(invalid(format!(
            "it is an image layout of version `{found}`, and only 1 can be read"
        )));
    }
    let Some(index) = read_document(dir, c"index.json").map_err(failed)? else {
        return Ok(None);
    };
    let index = parse_index(&index, media_type::OCI_INDEX);
    index
        .map(Some)
        .map_err(|source| invalid(source.to_string()).with_source(source))
}

fn read_document(dir: &Dir, name: &std::ffi::CStr) -> io::Result<Option<Vec<u8>>> {
    let file = match open_regular(dir, name) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    File::from(file)
        .take(MANIFEST_CAP + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MANIFEST_CAP {
        let reason = format!("a document has more than {MANIFEST_CAP} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(Some(bytes))
}

/// Opens a file that is really one: no link, and nothing special.
fn open_regular<P: rustix::path::Arg>(dir: &Dir, path: P) -> Result<OwnedFd, Errno> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = rustix::fs::openat(dir, path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        Ok(file)
    } else {
        Err(Errno::INVAL)
    }
}

/// Where a blob is, relative to a layout.
pub(crate) fn blob_path(digest: &BlobDigest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

impl Blobs for LayoutBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        let file = open_regular(&self.dir, blob_path(&descriptor.digest).as_str());
        let file = file.map_err(|source| match source {
            Errno::NOENT => StoreError::invalid(
                "read",
                descriptor.digest.to_string(),
                "the layout does not have it",
            ),
            other => StoreError::io("read", descriptor.digest.to_string(), other.into()),
        })?;
        Ok(Box::new(Verified::new(File::from(file), descriptor)))
    }
}
