//! A cache in a directory, laid out as the reference lifecycle does.
//!
//! `committed` is in use, `staging` is being written, `committed-backup` exists for the moment in which they change
//! places. Layers are uncompressed tars, named by their diff IDs.
//!
//! Nothing waits for the disk: a layer is verified when it is read, and metadata that a power failure left empty is that
//! of an empty cache. What is lost then is time.

use std::io::{self, Seek, SeekFrom};

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, OpenOptions};
use cnbw_oci::compress::Compression;
use cnbw_oci::digest::{DiffId, Hasher};
use cnbw_oci::layer::{LayerBlob, LayerOptions};
use cnbw_oci::manifest::Family;
use rustix::fd::OwnedFd;
use rustix::fs::FlockOperation;

use super::metadata::{self, METADATA};
use super::{Cache, CacheError, CacheMetadata, CachedLayer};
use crate::files;

pub(super) const COMMITTED: &str = "committed";
const STAGING: &str = "staging";
const BACKUP: &str = "committed-backup";

/// Largest metadata file that is read, in bytes.
const METADATA_CAP: usize = 16 << 20;

/// A cache in a directory.
#[derive(Debug)]
pub struct DirectoryCache {
    name: String,
    dir: Dir,
    /// What was in use when the cache was opened: metadata and layers stay those of one build, even while another one
    /// replaces them.
    committed: Dir,
}

impl DirectoryCache {
    /// Opens a cache, and finishes what an interrupted build left half done.
    pub fn open(dir: Dir, name: impl Into<String>) -> Result<Self, CacheError> {
        let committed = {
            let _lock = lock(&dir)?;
            repair(&dir).map_err(io_error("repair", COMMITTED))?
        };
        Ok(Self {
            name: name.into(),
            dir,
            committed,
        })
    }

    fn write_staging(
        &self,
        metadata: &CacheMetadata,
        layers: &mut [LayerBlob],
    ) -> Result<(), CacheError> {
        let text = metadata::print(metadata)?;
        files::remove(&self.dir, STAGING).map_err(io_error("empty", STAGING))?;
        let staging = files::make_dirs(&self.dir, STAGING).map_err(io_error("make", STAGING))?;
        for layer in layers {
            let name = file_name(&layer.diff_id);
            self.stage(&staging, layer, &name)
                .map_err(io_error("write", &name))?;
        }
        files::write_file(&staging, METADATA, text.as_bytes()).map_err(io_error("write", METADATA))
    }

    /// Puts one layer into the staging directory; shares the file of the cache in use if it is undamaged.
    fn stage(&self, staging: &Dir, layer: &mut LayerBlob, name: &str) -> io::Result<()> {
        if staging.exists(name) {
            return Ok(());
        }
        if let Ok(CachedLayer::Usable(_)) = self.open_layer(&layer.diff_id)
            && self.committed.hard_link(name, staging, name).is_ok()
        {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let mut file = staging.open_with(name, &options)?;
        layer.file.seek(SeekFrom::Start(0))?;
        io::copy(&mut layer.file, &mut file).map(drop)
    }
}

impl Cache for DirectoryCache {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn exists(&self) -> bool {
        self.committed.exists(METADATA)
    }

    fn metadata(&self) -> Result<CacheMetadata, CacheError> {
        read_metadata(&self.committed)
    }

    fn open_layer(&self, diff_id: &DiffId) -> Result<CachedLayer, CacheError> {
        let name = file_name(diff_id);
        let unusable = |reason: String| Ok(CachedLayer::Unusable(reason));
        let mut file = match files::open_regular(&self.committed, &name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return unusable(format!("the cache has no layer `{diff_id}`"));
            }
            Err(error) => return unusable(format!("layer `{diff_id}` cannot be opened: {error}")),
        };
        let mut hasher = HashWriter(Hasher::new());
        if let Err(error) = io::copy(&mut file, &mut hasher) {
            return unusable(format!("layer `{diff_id}` cannot be read: {error}"));
        }
        let found = hasher.0.finish();
        if found != diff_id.digest() {
            return unusable(format!(
                "layer `{diff_id}` is damaged: its digest is `{found}`"
            ));
        }
        file.seek(SeekFrom::Start(0))
            .map_err(io_error("read", &name))?;
        Ok(CachedLayer::Usable(Box::new(file)))
    }

    fn layer_options(&self) -> LayerOptions {
        LayerOptions {
            family: Family::Oci,
            compression: Compression::None,
            ..LayerOptions::default()
        }
    }

    fn replace(
        &self,
        metadata: &CacheMetadata,
        mut layers: Vec<LayerBlob>,
    ) -> Result<(), CacheError> {
        let _lock = lock(&self.dir)?;
        let written = self.write_staging(metadata, &mut layers);
        let result =
            written.and_then(|()| commit(&self.dir).map_err(io_error("replace", COMMITTED)));
        if result.is_err() {
            // The cause is reported already; what remains is cleared away by the next build at the latest.
            let _cleared = files::remove(&self.dir, STAGING);
        }
        result
    }
}

/// What a directory with layers says of itself.
pub(super) fn read_metadata(committed: &Dir) -> Result<CacheMetadata, CacheError> {
    let content = files::read_capped(committed, METADATA, METADATA_CAP)
        .map_err(io_error("read", METADATA))?;
    let text = content.and_then(|content| String::from_utf8(content).ok());
    Ok(text.map_or_else(CacheMetadata::default, |text| metadata::parse(&text)))
}

/// Lets the staging directory become the one in use. There is a moment without any; `repair` knows it.
fn commit(dir: &Dir) -> io::Result<()> {
    files::remove(dir, BACKUP)?;
    dir.rename(COMMITTED, dir, BACKUP)?;
    if let Err(error) = dir.rename(STAGING, dir, COMMITTED) {
        dir.rename(BACKUP, dir, COMMITTED)?;
        return Err(error);
    }
    files::remove(dir, BACKUP)
}

/// Brings a directory into order, whatever a build was interrupted in, and opens what is in use.
fn repair(dir: &Dir) -> io::Result<Dir> {
    match dir.symlink_metadata(COMMITTED) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if dir.symlink_metadata(BACKUP).is_ok() {
                dir.rename(BACKUP, dir, COMMITTED)?;
            } else {
                files::make_dirs(dir, COMMITTED)?;
            }
        }
        Err(error) => return Err(error),
        Ok(_) => files::remove(dir, BACKUP)?,
    }
    files::remove(dir, STAGING)?;
    files::make_dirs(dir, STAGING)?;
    dir.open_dir_nofollow(COMMITTED)
}

/// Waits until no other build changes the cache. The lock ends with the descriptor, so a killed build leaves none.
pub(super) fn lock(dir: &Dir) -> Result<OwnedFd, CacheError> {
    let lock = || -> io::Result<OwnedFd> {
        let descriptor = files::descriptor(dir)?;
        rustix::fs::flock(&descriptor, FlockOperation::LockExclusive)?;
        Ok(descriptor)
    };
    lock().map_err(io_error("lock the directory of", "."))
}

fn file_name(diff_id: &DiffId) -> String {
    format!("{diff_id}.tar")
}

fn io_error(action: &'static str, path: &str) -> impl FnOnce(io::Error) -> CacheError + use<> {
    let path = path.to_owned();
    move |source| CacheError::Io {
        action,
        path,
        source,
    }
}

struct HashWriter(Hasher);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
