//! Keeps images back until all that go into one index are there.

use std::sync::{Mutex, PoisonError};

use crate::assemble::assemble;
use crate::compress::Compression;
use crate::image::{ImageSink, IndexSink, NewImage, StoreError, WrittenImage, WrittenIndex};

/// A sink that only collects. Layers stay in the files or places where they are.
#[derive(Debug)]
pub struct CollectingSink {
    compression: Compression,
    images: Mutex<Vec<NewImage>>,
}

impl CollectingSink {
    /// Collects for a place that wants layers compressed in this way.
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            images: Mutex::new(Vec::new()),
        }
    }

    /// Writes what was collected, with an index over it.
    pub fn write_index(
        self,
        sink: &dyn IndexSink,
        names: &[String],
    ) -> Result<WrittenIndex, StoreError> {
        let images = self
            .images
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        sink.write_index(images, names)
    }
}

impl ImageSink for CollectingSink {
    fn compression(&self) -> Compression {
        self.compression
    }

    /// Keeps the image; names are given to the index, and must be empty here.
    fn write(&self, image: NewImage, names: &[String]) -> Result<WrittenImage, StoreError> {
        if let Some(name) = names.first() {
            let reason = "an image that goes into an index has no name of its own";
            return Err(StoreError::invalid("write", name, reason));
        }
        let written = assemble(&image)?.written;
        self.images
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(image);
        Ok(written)
    }
}
