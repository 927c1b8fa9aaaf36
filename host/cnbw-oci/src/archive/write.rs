//! Writes archives: under a temporary name in the same directory, renamed when complete.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType};

use super::{ArchiveFormat, DockerEntry};
use crate::assemble::{Assembled, assemble, assemble_index};
use crate::compress::Compression;
use crate::descriptor::Descriptor;
use crate::digest::BlobDigest;
use crate::document::print;
use crate::image::{
    ImageSink, IndexSink, LayerContent, NewImage, NewLayer, StoreError, WrittenImage, WrittenIndex,
};
use crate::layer::{NORMALIZED_TIME, Owner, tar_header, tar_padding};
use crate::layout::{LayoutVersion, blob_path, set_entries};
use crate::manifest::{Family, Index};
use crate::reference::{DEFAULT_REGISTRY, RegistryRef, Version};
use crate::scratch::named_file;

/// Annotation by which containerd learns the full name of an image.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// How an archive is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArchiveOptions {
    /// How new layers are compressed.
    pub compression: Compression,
    /// Which documents it has.
    pub format: ArchiveFormat,
}

/// Writes images to an archive. Each image replaces the whole file.
///
/// Media types are always OCI's, as in layouts; what Docker reads of an archive has none.
///
/// Names are image names (`me/app:1.0`) or tags; only names with a colon are told to Docker.
#[derive(Clone, Debug)]
pub struct ArchiveSink {
    dir: Arc<Dir>,
    file_name: String,
    shown: String,
    options: ArchiveOptions,
}

impl ArchiveSink {
    /// A sink for the file with a name in a directory; `shown` is what it is called in messages.
    pub fn new(
        dir: Arc<Dir>,
        file_name: impl Into<String>,
        shown: impl Into<String>,
        options: ArchiveOptions,
    ) -> Self {
        Self {
            dir,
            file_name: file_name.into(),
            shown: shown.into(),
            options,
        }
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::io("write", &self.shown, source)
    }

    /// Writes the whole archive, and gives it its name.
    fn write_archive(&self, archive: Archive) -> Result<(), StoreError> {
        let name = self.file_name.as_str();
        let stat = rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW);
        if stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
            return Err(StoreError::invalid(
                "write",
                &self.shown,
                "there is a directory of this name",
            ));
        }
        let (file, temporary) =
            named_file(&self.dir, ".cnbw-tmp-").map_err(|source| self.failed(source))?;
        let done = archive.write(&file, self.options).and_then(|()| {
            let renamed = rustix::fs::fdatasync(&file).and_then(|()| {
                rustix::fs::renameat(&self.dir, temporary.as_str(), &self.dir, name)
            });
            renamed.map_err(|source| self.failed(source.into()))
        });
        if done.is_err() {
            // What matters is why writing failed; a file left over does no harm.
            let _ = rustix::fs::unlinkat(&self.dir, temporary.as_str(), AtFlags::empty());
        }
        done
    }
}

impl ImageSink for ArchiveSink {
    fn compression(&self) -> Compression {
        self.options.compression
    }

    fn write(&self, mut image: NewImage, names: &[String]) -> Result<WrittenImage, StoreError> {
        image.family = Family::Oci;
        let assembled = assemble(&image)?;
        let written = assembled.written.clone();
        self.write_archive(Archive {
            top: written.manifest.clone(),
            index: None,
            names: names.to_vec(),
            images: vec![(assembled, image.layers)],
        })?;
        Ok(written)
    }
}

impl IndexSink for ArchiveSink {
    /// Docker's documents cannot say which platform an image is for, so archives with several have OCI's alone.
    fn write_index(
        &self,
        mut images: Vec<NewImage>,
        names: &[String],
    ) -> Result<WrittenIndex, StoreError> {
        if self.options.format == ArchiveFormat::Docker {
            let reason =
                "a `docker-archive:` holds an image for one platform; `oci-archive:` holds several";
            return Err(StoreError::invalid("write", &self.shown, reason));
        }
        for image in &mut images {
            image.family = Family::Oci;
        }
        let assembled: Vec<Assembled> = images.iter().map(assemble).collect::<Result<_, _>>()?;
        let (bytes, written) = assemble_index(&assembled, Family::Oci)?;
        let layers = images.into_iter().map(|image| image.layers);
        self.write_archive(Archive {
            top: written.index.clone(),
            index: Some(bytes),
            names: names.to_vec(),
            images: assembled.into_iter().zip(layers).collect(),
        })?;
        Ok(written)
    }
}

/// Everything that goes into one archive.
struct Archive {
    /// What the names lead to.
    top: Descriptor,
    /// The index, if there is one over the images.
    index: Option<Vec<u8>>,
    names: Vec<String>,
    images: Vec<(Assembled, Vec<NewLayer>)>,
}

impl Archive {
    fn write(self, file: &File, options: ArchiveOptions) -> Result<(), StoreError> {
        let failed = |source| StoreError::io("write", "the archive", source);
        let mut tar = Tar {
            output: BufWriter::with_capacity(256 * 1024, file),
            written: BTreeSet::new(),
        };
        if options.format.has_oci() {
            tar.add_document("oci-layout", &print(&LayoutVersion::current()))
                .map_err(failed)?;
            tar.add_document("index.json", &print(&self.top_index()))
                .map_err(failed)?;
        }
        if options.format.has_docker() && self.index.is_none() {
            tar.add_document("manifest.json", &print(&self.docker_entries()))
                .map_err(failed)?;
        }
        if let Some(index) = &self.index {
            tar.add_bytes(&self.top, index).map_err(failed)?;
        }
        for (assembled, _) in &self.images {
            let WrittenImage { manifest, config } = &assembled.written;
            if options.format.has_oci() {
                tar.add_bytes(manifest, &assembled.manifest)
                    .map_err(failed)?;
            }
            tar.add_bytes(config, &assembled.config).map_err(failed)?;
        }
        for (_, layers) in self.images {
            for layer in layers {
                tar.add_layer(layer)?;
            }
        }
        tar.finish().map_err(failed)
    }

    fn top_index(&self) -> Index {
        let mut index = Index::new(Family::Oci, Vec::new());
        set_entries(&mut index, &self.top, &self.names);
        for entry in &mut index.manifests {
            let tag = entry.annotations.get(crate::layout::REF_NAME);
            if let Some(full) = tag
                .and_then(|tag| docker_name(tag))
                .map(|name| full_name(&name))
            {
                entry.annotations.insert(CONTAINERD_NAME.to_owned(), full);
            }
        }
        index
    }

    fn docker_entries(&self) -> Vec<DockerEntry> {
        let repo_tags: Vec<String> = self
            .names
            .iter()
            .filter_map(|name| docker_name(name))
            .map(|name| short_name(&name))
            .collect();
        let entry = |(assembled, _): &(Assembled, Vec<NewLayer>)| DockerEntry {
            config: blob_path(&assembled.written.config.digest),
            repo_tags: repo_tags.clone(),
            layers: assembled
                .layers
                .iter()
                .map(|layer| blob_path(&layer.digest))
                .collect(),
        };
        self.images.iter().map(entry).collect()
    }
}

/// A name that Docker can use: one with a repository and a tag.
fn docker_name(name: &str) -> Option<RegistryRef> {
    let reference: RegistryRef = name.parse().ok()?;
    (name.contains(':') && matches!(reference.version, Version::Tag(_))).then_some(reference)
}

/// The name as Docker shows it: `x:1`, `me/x:1`, `host/x:1`.
fn short_name(reference: &RegistryRef) -> String {
    let full = reference.to_string();
    let hub = full
        .strip_prefix(DEFAULT_REGISTRY)
        .and_then(|rest| rest.strip_prefix('/'));
    hub.map_or(full.as_str(), |rest| {
        rest.strip_prefix("library/").unwrap_or(rest)
    })
    .to_owned()
}

/// The name as containerd keeps it.
fn full_name(reference: &RegistryRef) -> String {
    let full = reference.to_string();
    match full.strip_prefix(DEFAULT_REGISTRY) {
        Some(rest) => format!("docker.io{rest}"),
        None => full,
    }
}

/// A tar with files only, all of one owner, mode and time.
struct Tar<'a> {
    output: BufWriter<&'a File>,
    written: BTreeSet<BlobDigest>,
}

impl Tar<'_> {
    fn add_document(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.add(name, content.len() as u64, content)
    }

    fn add_bytes(&mut self, descriptor: &Descriptor, content: &[u8]) -> io::Result<()> {
        if self.written.insert(descriptor.digest) {
            self.add_document(&blob_path(&descriptor.digest), content)?;
        }
        Ok(())
    }

    fn add_layer(&mut self, layer: NewLayer) -> Result<(), StoreError> {
        let descriptor = layer.descriptor().clone();
        if !self.written.insert(descriptor.digest) {
            return Ok(());
        }
        let path = blob_path(&descriptor.digest);
        let added = match layer.content {
            LayerContent::Existing { descriptor, blobs } => {
                let reader = blobs.open(&descriptor)?;
                self.add(&path, descriptor.size, reader)
            }
            LayerContent::File {
                descriptor,
                mut file,
            } => file
                .rewind()
                .and_then(|()| self.add(&path, descriptor.size, file)),
        };
        added.map_err(|source| StoreError::io("copy", descriptor.digest.to_string(), source))
    }

    fn add(&mut self, name: &str, size: u64, mut content: impl Read) -> io::Result<()> {
        self.output
            .write_all(&tar_header(name, Owner::ROOT, 0o644, size, NORMALIZED_TIME))?;
        let copied = io::copy(&mut content, &mut self.output)?;
        if copied != size {
            let reason = format!("it has {copied} bytes and should have {size}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.output.write_all(&tar_padding(size))
    }

    fn finish(mut self) -> io::Result<()> {
        self.output.write_all(&[0; 1024])?;
        self.output.flush()
    }
}
