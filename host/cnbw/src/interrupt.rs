//! How a build is told to end before it is done.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cnbw_oci::compress::Compression;
use cnbw_oci::image::{ImageSink, NewImage, StoreError, WrittenImage};

use crate::error::BuildError;

/// Says to a running build that it shall end. Workers are ended by the runner's own handle.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Ends the build before its next step. An image whose writing has begun is finished.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        if self.is_set() {
            Err(BuildError::Interrupted)
        } else {
            Ok(())
        }
    }

    /// The sink, which writes nothing once the build shall end: layers take long to make.
    pub(crate) fn before<'a>(&'a self, sink: &'a dyn ImageSink) -> Guarded<'a> {
        Guarded {
            sink,
            interrupt: self,
        }
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// See [`Interrupt::before`].
#[derive(Debug)]
pub(crate) struct Guarded<'a> {
    sink: &'a dyn ImageSink,
    interrupt: &'a Interrupt,
}

impl ImageSink for Guarded<'_> {
    fn compression(&self) -> Compression {
        self.sink.compression()
    }

    fn write(&self, image: NewImage, names: &[String]) -> Result<WrittenImage, StoreError> {
        if self.interrupt.is_set() {
            let reason = io::Error::from(io::ErrorKind::Interrupted);
            return Err(StoreError::io("write", "the image", reason));
        }
        self.sink.write(image, names)
    }
}
