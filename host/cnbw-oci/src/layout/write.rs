//! Writes images to layouts, so that a crash or another writer at any moment leaves a layout that can be read.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{LayoutVersion, REF_NAME, blob_path, read_index};
use crate::assemble::{Assembled, assemble, assemble_index};
use crate::compress::Compression;
use crate::descriptor::Descriptor;
use crate::document::print;
use crate::image::{
    ImageSink, IndexSink, LayerContent, NewImage, NewLayer, StoreError, StoreErrorKind,
    WrittenImage, WrittenIndex,
};
use crate::manifest::{Family, Index};
use crate::scratch::named_file;

/// Start of the names of files that are being written. They are safe to delete when nobody writes.
const TEMPORARY: &str = ".cnbw-tmp-";

/// How a layout is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct LayoutOptions {
    /// How new layers are compressed.
    pub compression: Compression,
    /// Leaves out layers that the place they are in does not have: a sparse run image stays sparse. The manifest lists
    /// them all the same.
    pub sparse: bool,
}

/// Writes images to a layout.
///
/// Unless told otherwise, all images get OCI's media types: skopeo and umoci do not find others in a layout.
#[derive(Clone, Debug)]
pub struct LayoutSink {
    dir: Arc<Dir>,
    shown: String,
    options: LayoutOptions,
    without_existing: bool,
    keeps_family: bool,
}

impl LayoutSink {
    /// A sink for the layout in a directory, which becomes one with the first image that is written.
    pub fn new(dir: Arc<Dir>, shown: impl Into<String>, options: LayoutOptions) -> Self {
        Self {
            dir,
            shown: shown.into(),
            options,
            without_existing: false,
            keeps_family: false,
        }
    }

    /// The same sink, but leaving out all layers that are in some place already, those of the run image above all.
    #[must_use]
    pub fn without_existing_layers(mut self) -> Self {
        self.without_existing = true;
        self
    }

    /// The same sink, but keeping an image's family, as the reference lifecycle does in its layouts.
    #[must_use]
    pub fn keeping_family(mut self) -> Self {
        self.keeps_family = true;
        self
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::io("write", &self.shown, source)
    }

    /// Writes layers, configuration and manifest, and no name.
    fn write_blobs(&self, mut image: NewImage) -> Result<Assembled, StoreError> {
        if !self.keeps_family {
            image.family = Family::Oci;
        }
        let assembled = assemble(&image)?;
        self.prepare().map_err(|source| self.failed(source))?;
        for layer in image.layers {
            self.write_layer(layer)?;
        }
        let WrittenImage { manifest, config } = &assembled.written;
        for (descriptor, bytes) in [(config, &assembled.config), (manifest, &assembled.manifest)] {
            let written = self.write_blob(descriptor, |file| file.write_all(bytes));
            written.map_err(|source| self.failed(source))?;
        }
        Ok(assembled)
    }

    fn prepare(&self) -> io::Result<()> {
        for path in ["blobs", "blobs/sha256"] {
            match rustix::fs::mkdirat(&self.dir, path, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write_layer(&self, layer: NewLayer) -> Result<(), StoreError> {
        match layer.content {
            LayerContent::Existing { .. } if self.without_existing => Ok(()),
            LayerContent::Existing { descriptor, blobs } => {
                if self.has(&descriptor) {
                    return Ok(());
                }
                let mut reader = match blobs.open(&descriptor) {
                    Err(error) if self.options.sparse && error.kind == StoreErrorKind::Invalid => {
                        return Ok(());
                    }
                    opened => opened?,
                };
                let written =
                    self.write_blob(&descriptor, |file| io::copy(&mut reader, file).map(drop));
                written
                    .map_err(|source| StoreError::io("copy", descriptor.digest.to_string(), source))
            }
            LayerContent::File { descriptor, file } => {
                let written = self.write_file(&descriptor, file);
                written.map_err(|source| {
                    StoreError::io("write", descriptor.digest.to_string(), source)
                })
            }
        }
    }

    /// Whether a blob is there, going by its size: what has a blob's name is complete, as it was renamed when it was.
    fn has(&self, descriptor: &Descriptor) -> bool {
        let path = blob_path(&descriptor.digest);
        rustix::fs::statat(&self.dir, path, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| u64::try_from(stat.st_size) == Ok(descriptor.size))
    }

    /// Gives a nameless file its name if that is possible, and copies it otherwise.
    fn write_file(&self, descriptor: &Descriptor, mut file: File) -> io::Result<()> {
        if self.has(descriptor) {
            return Ok(());
        }
        let path = blob_path(&descriptor.digest);
        rustix::fs::fdatasync(&file)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
        let own = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        if rustix::fs::linkat(
            rustix::fs::CWD,
            own,
            &self.dir,
            path.as_str(),
            AtFlags::SYMLINK_FOLLOW,
        )
        .is_ok()
        {
            return Ok(());
        }
        file.rewind()?;
        self.write_blob(descriptor, |output| io::copy(&mut file, output).map(drop))
    }

    /// Writes a blob under a temporary name, and renames it when it is complete.
    fn write_blob<F>(&self, descriptor: &Descriptor, write: F) -> io::Result<()>
    where
        F: FnOnce(&mut File) -> io::Result<()>,
    {
        if self.has(descriptor) {
            return Ok(());
        }
        self.write_renamed(&blob_path(&descriptor.digest), |file| {
            write(file)?;
            if file.metadata()?.len() == descriptor.size {
                return Ok(());
            }
            let reason = format!(
                "{} does not have the {} bytes it should have",
                descriptor.digest, descriptor.size
            );
            Err(io::Error::new(io::ErrorKind::InvalidData, reason))
        })
    }

    fn write_renamed<F>(&self, path: &str, write: F) -> io::Result<()>
    where
        F: FnOnce(&mut File) -> io::Result<()>,
    {
        let (mut file, temporary) = named_file(&self.dir, TEMPORARY)?;
        let done = write(&mut file)
            .and_then(|()| Ok(rustix::fs::fdatasync(&file)?))
            .and_then(|()| {
                Ok(rustix::fs::renameat(
                    &self.dir,
                    temporary.as_str(),
                    &self.dir,
                    path,
                )?)
            });
        if done.is_err() {
            // What matters is why writing failed; a file left over does no harm.
            let _ = rustix::fs::unlinkat(&self.dir, temporary.as_str(), AtFlags::empty());
        }
        done
    }

    /// Enters descriptors into `index.json` under the names, which other entries lose.
    fn enter(&self, descriptor: &Descriptor, names: &[String]) -> Result<(), StoreError> {
        let failed = |source: io::Error| self.failed(source);
        let _lock = self.lock().map_err(failed)?;
        let mut index = match read_index(&self.dir, &self.shown)? {
            Some(index) => index,
            None => Index::new(Family::Oci, Vec::new()),
        };
        set_entries(&mut index, descriptor, names);
        let version = print(&LayoutVersion::current());
        self.write_renamed("oci-layout", |file| file.write_all(&version))
            .map_err(failed)?;
        let bytes = print(&index);
        self.write_renamed("index.json", |file| file.write_all(&bytes))
            .map_err(failed)?;
        // The names themselves become durable with their directories.
        for path in ["blobs/sha256", "."] {
            let synced = self
                .open_directory(path)
                .and_then(|directory| Ok(rustix::fs::fsync(directory)?));
            synced.map_err(failed)?;
        }
        Ok(())
    }

    /// Waits until no other writer changes `index.json`. The lock ends with the handle.
    fn lock(&self) -> io::Result<OwnedFd> {
        let directory = self.open_directory(".")?;
        loop {
            match rustix::fs::flock(&directory, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(directory),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn open_directory(&self, path: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.dir, path, flags, Mode::empty())?)
    }
}

/// Adds an entry for each name, or one without; entries that had a name lose it.
pub(crate) fn set_entries(index: &mut Index, descriptor: &Descriptor, names: &[String]) {
    let names: Vec<&String> = names.iter().filter(|name| !name.is_empty()).collect();
    let replaced = |entry: &Descriptor| match entry.annotations.get(REF_NAME) {
        Some(tag) => names.contains(&tag),
        // The same image without a name says nothing that the new entry does not say.
        None => entry.digest == descriptor.digest,
    };
    index.manifests.retain(|entry| !replaced(entry));
    let known = index
        .manifests
        .iter()
        .any(|entry| entry.digest == descriptor.digest);
    if names.is_empty() && !known {
        index.manifests.push(descriptor.clone());
    }
    for name in names {
        let mut entry = descriptor.clone();
        entry.annotations.insert(REF_NAME.to_owned(), name.clone());
        index.manifests.push(entry);
    }
}

impl ImageSink for LayoutSink {
    fn compression(&self) -> Compression {
        self.options.compression
    }

    fn write(&self, image: NewImage, names: &[String]) -> Result<WrittenImage, StoreError> {
        let written = self.write_blobs(image)?.written;
        self.enter(&written.manifest, names)?;
        Ok(written)
    }
}

impl IndexSink for LayoutSink {
    fn write_index(
        &self,
        images: Vec<NewImage>,
        names: &[String],
    ) -> Result<WrittenIndex, StoreError> {
        let own = images.first().map(|image| image.family).unwrap_or_default();
        let family = if self.keeps_family { own } else { Family::Oci };
        let assembled: Vec<Assembled> = images
            .into_iter()
            .map(|image| self.write_blobs(image))
            .collect::<Result<_, _>>()?;
        let (bytes, written) = assemble_index(&assembled, family)?;
        let stored = self
            .prepare()
            .and_then(|()| self.write_blob(&written.index, |file| file.write_all(&bytes)));
        stored.map_err(|source| self.failed(source))?;
        self.enter(&written.index, names)?;
        Ok(written)
    }
}
