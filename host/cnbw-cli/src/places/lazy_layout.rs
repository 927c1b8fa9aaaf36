//! A layout whose directory is made when the first image goes into it: a build that fails leaves nothing.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw_oci::compress::Compression;
use cnbw_oci::descriptor::Platform;
use cnbw_oci::image::{
    Image, ImageSink, ImageSource, IndexSink, NewImage, StoreError, StoreErrorKind, WrittenImage,
    WrittenIndex,
};
use cnbw_oci::layout::{LayoutOptions, LayoutSink, LayoutSource};

#[derive(Debug)]
pub(super) struct LazyLayout {
    path: PathBuf,
}

impl LazyLayout {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn sink(&self) -> Result<LayoutSink, StoreError> {
        let error = |source: io::Error| StoreError {
            action: "write",
            subject: self.shown(),
            reason: source.to_string(),
            kind: StoreErrorKind::Io,
            source: None,
        };
        std::fs::create_dir_all(&self.path).map_err(error)?;
        let dir = Dir::open_ambient_dir(&self.path, ambient_authority()).map_err(error)?;
        let options = LayoutOptions {
            compression: Compression::None,
            ..LayoutOptions::default()
        };
        Ok(LayoutSink::new(Arc::new(dir), self.shown(), options))
    }
}

impl ImageSource for LazyLayout {
    fn open(&self, name: &str, platform: Option<&Platform>) -> Result<Option<Image>, StoreError> {
        match Dir::open_ambient_dir(&self.path, ambient_authority()) {
            Ok(dir) => LayoutSource::new(Arc::new(dir), self.shown()).open(name, platform),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError {
                action: "open",
                subject: self.shown(),
                reason: source.to_string(),
                kind: StoreErrorKind::Io,
                source: None,
            }),
        }
    }
}

impl ImageSink for LazyLayout {
    fn compression(&self) -> Compression {
        Compression::None
    }

    fn write(&self, image: NewImage, names: &[String]) -> Result<WrittenImage, StoreError> {
        self.sink()?.write(image, names)
    }
}

impl IndexSink for LazyLayout {
    fn write_index(
        &self,
        images: Vec<NewImage>,
        names: &[String],
    ) -> Result<WrittenIndex, StoreError> {
        self.sink()?.write_index(images, names)
    }
}
