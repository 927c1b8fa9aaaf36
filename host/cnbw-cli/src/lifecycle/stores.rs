//! Where the phases that touch images read and write them: registries, or image layouts below one directory.

use std::fs;
use std::io;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw_lifecycle::analyze::Identity;
use cnbw_oci::compress::Compression;
use cnbw_oci::descriptor::Platform;
use cnbw_oci::image::{
    Image, ImageSink, ImageSource, NewImage, StoreError, StoreErrorKind, WrittenImage,
};
use cnbw_oci::layout::{LayoutOptions, LayoutSink, LayoutSource};
use cnbw_oci::reference::{RegistryRef, Version};
use cnbw_registry::Client;
use cnbw_spec::exit;

use super::{Context, Failure};
use crate::places::Registries;

/// The images of a phase.
#[derive(Debug)]
pub(crate) struct Stores {
    client: Arc<Client>,
    layout: Option<Layouts>,
}

impl Stores {
    /// Opens access to images. Credentials are read now: later the user may not be allowed to.
    pub(crate) fn open(context: &Context) -> Result<Self, Failure> {
        let inputs = &context.inputs;
        let registries = Registries::new(inputs.insecure_registries.clone());
        let client = registries
            .client()
            .map_err(|error| Failure::new(exit::FAILED, "resolve keychain").because_of(error))?;
        let layout = inputs.use_layout.then(|| Layouts {
            directory: inputs.layout_dir.clone(),
            sparse: false,
            annotation: None,
        });
        Ok(Self { client, layout })
    }

    /// The client for registries, which the cache image needs in any case.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Where run image and previous image are read.
    pub(crate) fn source(&self) -> &dyn ImageSource {
        match &self.layout {
            Some(layout) => layout,
            None => &*self.client,
        }
    }

    /// How images are identified.
    pub(crate) fn identity(&self) -> Identity {
        match self.layout {
            Some(_) => Identity::Path,
            None => Identity::Registry,
        }
    }

    /// Whether images are in layouts.
    pub(crate) fn layouts(&self) -> Option<&Layouts> {
        self.layout.as_ref()
    }

    /// Whether an image can be read, as far as that decides which mirror is used.
    pub(crate) fn is_readable(&self, name: &str) -> bool {
        self.layout.is_some() || self.client.check_read(name).is_ok()
    }
}

/// Image layouts, one for each name: `<directory>/<registry>/<repository>/<tag>`.
#[derive(Clone, Debug)]
pub(crate) struct Layouts {
    directory: String,
    /// Whether layers that exist elsewhere are left out.
    sparse: bool,
    /// Tag under which an image is listed in its layout.
    annotation: Option<String>,
}

impl Layouts {
    /// The directory of an image. A name that is such a directory already stays.
    pub(crate) fn path_of(&self, name: &str) -> Result<String, StoreError> {
        if !self.directory.is_empty() && name.starts_with(&self.directory) {
            return Ok(name.to_owned());
        }
        let reference: RegistryRef = name.parse().map_err(|error| StoreError {
            action: "open",
            subject: name.to_owned(),
            reason: "it is not the name of an image".to_owned(),
            kind: StoreErrorKind::Invalid,
            source: Some(Box::new(error)),
        })?;
        let version = match &reference.version {
            Version::Tag(tag) => tag.clone(),
            Version::Digest(digest) => format!("sha256/{}", digest.hex()),
        };
        let directory = self.directory.trim_end_matches('/');
        Ok(format!(
            "{directory}/{}/{version}",
            reference.repository_name()
        ))
    }

    /// The same layouts for writing: with or without layers that exist elsewhere, and with a tag for the image.
    #[must_use]
    pub(crate) fn for_output(&self, sparse: bool, tag: String) -> Self {
        Self {
            directory: self.directory.clone(),
            sparse,
            annotation: Some(tag),
        }
    }

    fn failed(action: &'static str, path: &str, source: io::Error) -> StoreError {
        StoreError {
            action,
            subject: path.to_owned(),
            reason: source.to_string(),
            kind: StoreErrorKind::Io,
            source: Some(Box::new(source)),
        }
    }
}

impl ImageSource for Layouts {
    /// Opens an image by name, by directory, or by directory and digest.
    fn open(&self, name: &str, platform: Option<&Platform>) -> Result<Option<Image>, StoreError> {
        let (name, digest) = match name.rsplit_once('@') {
            Some((path, digest)) if name.starts_with('/') => (path, digest),
            _ => (name, ""),
        };
        let path = self.path_of(name)?;
        let dir = match Dir::open_ambient_dir(&path, ambient_authority()) {
            Ok(dir) => Arc::new(dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Self::failed("open", &path, error)),
        };
        let image = LayoutSource::new(dir, path.clone()).open(digest, platform)?;
        // The digest is not part of the name by which it was found.
        Ok(image.map(|image| Image {
            name: path,
            ..image
        }))
    }
}

impl ImageSink for Layouts {
    fn compression(&self) -> Compression {
        Compression::None
    }

    fn write(&self, image: NewImage, names: &[String]) -> Result<WrittenImage, StoreError> {
        let [path] = names else {
            return Err(StoreError {
                action: "write",
                subject: names.join(", "),
                reason: "an image in a layout has one name only".to_owned(),
                kind: StoreErrorKind::Invalid,
                source: None,
            });
        };
        let made = make_directory(path);
        let dir = made
            .and_then(|()| Dir::open_ambient_dir(path, ambient_authority()))
            .map_err(|source| Self::failed("write", path, source))?;
        let options = LayoutOptions {
            compression: Compression::None,
            sparse: self.sparse,
        };
        let tag: Vec<String> = self.annotation.iter().cloned().collect();
        LayoutSink::new(Arc::new(dir), path.clone(), options)
            .keeping_family()
            .write(image, &tag)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the platform names the layout by its path"
)]
fn make_directory(path: &str) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    // shows: layout-001 layout-002 layout-004
    #[test]
    fn names_are_paths_below_the_directory() {
        let layouts = Layouts {
            directory: "/layout".to_owned(),
            sparse: false,
            annotation: None,
        };
        let hex = "0".repeat(64);
        for (name, expected) in [
            (
                "registry.io/org/app:1",
                "/layout/registry.io/org/app/1".to_owned(),
            ),
            (
                "busybox",
                "/layout/index.docker.io/library/busybox/latest".to_owned(),
            ),
            (
                &*format!("r.io/app@sha256:{hex}"),
                format!("/layout/r.io/app/sha256/{hex}"),
            ),
            ("/layout/r.io/app/1", "/layout/r.io/app/1".to_owned()),
        ] {
            assert_eq!(layouts.path_of(name).unwrap(), expected);
        }
        assert!(layouts.path_of("not a name").is_err());
    }
}
