//! Reads archives in place: the file is scanned once for where its members are, and blobs are read from there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use cap_std::fs::Dir;

use super::{ArchiveFormat, DockerEntry};
use crate::compress::{self, Capped, Compression};
use crate::config::{CONFIG_CAP, ImageConfig};
use crate::descriptor::{Descriptor, Platform};
use crate::digest::{BlobDigest, Hasher};
use crate::document::{self, parse_index, print};
use crate::image::{Blobs, Image, ImageSource, StoreError};
use crate::layout::{blob_path, open_in_index};
use crate::manifest::{Family, Index, MANIFEST_CAP, Manifest, media_type};
use crate::reference::RegistryRef;
use crate::verify::Verified;

/// How many members an archive may have.
const MEMBER_CAP: usize = 100_000;

/// How long a compressed archive may become: 1 TiB.
const UNPACKED_CAP: u64 = 1 << 40;

/// How many links may lead from one member to another.
const LINK_CAP: usize = 8;

/// Reads images from an archive.
#[derive(Clone, Debug)]
pub struct ArchiveSource {
    members: Arc<Members>,
    shown: String,
    format: ArchiveFormat,
}

/// Where the members of an archive are.
#[derive(Debug)]
struct Members {
    file: File,
    by_name: BTreeMap<String, Member>,
}

#[derive(Clone, Debug)]
enum Member {
    File { position: u64, size: u64 },
    Link(String),
}

impl ArchiveSource {
    /// Scans an archive. `shown` is what it is called in names and messages.
    ///
    /// If the whole file is compressed, it is first unpacked to a nameless file in `scratch`.
    pub fn new(
        file: File,
        shown: impl Into<String>,
        scratch: &Dir,
        format: ArchiveFormat,
    ) -> Result<Self, StoreError> {
        let shown = shown.into();
        let scanned = uncompressed(file, scratch).and_then(Members::scan);
        let members = scanned.map_err(|source| StoreError::io("open", &shown, source))?;
        Ok(Self {
            members: Arc::new(members),
            shown,
            format,
        })
    }

    fn invalid(&self, reason: impl Into<String>) -> StoreError {
        StoreError::invalid("open", &self.shown, reason)
    }

    fn read_member(&self, name: &str, cap: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(section) = Members::open(&self.members, name) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let read = Capped::new(section, cap).read_to_end(&mut bytes);
        read.map_err(|source| StoreError::io("read", format!("{}/{name}", self.shown), source))?;
        Ok(Some(bytes))
    }

    fn index(&self) -> Result<Option<Index>, StoreError> {
        let Some(bytes) = self.read_member("index.json", MANIFEST_CAP)? else {
            return Ok(None);
        };
        let index = parse_index(&bytes, media_type::OCI_INDEX);
        index
            .map(Some)
            .map_err(|source| self.invalid(source.to_string()).with_source(source))
    }

    fn open_docker(&self, name: &str) -> Result<Option<Image>, StoreError> {
        let Some(bytes) = self.read_member("manifest.json", MANIFEST_CAP)? else {
            return Err(self.invalid("it has neither `index.json` nor `manifest.json`"));
        };
        let entries: Vec<DockerEntry> = serde_json::from_slice(&bytes).map_err(|source| {
            self.invalid("its `manifest.json` is malformed")
                .with_source(source)
        })?;
        let chosen = if name.is_empty() {
            if entries.len() > 1 {
                return Err(self.invalid("there are several images, so a name has to be given"));
            }
            entries.first()
        } else {
            entries
                .iter()
                .find(|entry| entry.repo_tags.iter().any(|tag| same_name(tag, name)))
        };
        chosen
            .map(|entry| self.docker_image(name, entry))
            .transpose()
    }

    /// Makes the manifest that an archive in Docker's form does not have.
    fn docker_image(&self, name: &str, entry: &DockerEntry) -> Result<Image, StoreError> {
        let missing =
            |member: &str| self.invalid(format!("it has no member `{}`", member.escape_debug()));
        let config_bytes = self
            .read_member(&entry.config, CONFIG_CAP)?
            .ok_or_else(|| missing(&entry.config))?;
        let config = document::parse_config(&config_bytes)
            .map_err(|source| self.invalid(source.to_string()).with_source(source))?;
        if config.rootfs.diff_ids.len() != entry.layers.len() {
            return Err(
                self.invalid("its configuration lists other layers than its `manifest.json`")
            );
        }
        let mut blobs = DockerBlobs {
            members: Arc::clone(&self.members),
            names: BTreeMap::new(),
            config: config_bytes,
        };
        let mut found = Vec::new();
        for (index, member) in entry.layers.iter().enumerate() {
            let section = Members::open(&self.members, member).ok_or_else(|| missing(member))?;
            let size = section.size;
            let (compression, digest) =
                describe_layer(section, &config, index).map_err(|source| {
                    StoreError::io("read", format!("{}/{member}", self.shown), source)
                })?;
            blobs.names.insert(digest, member.clone());
            found.push((compression, digest, size));
        }
        // Only OCI's media types can say zstd.
        let is_zstd = found
            .iter()
            .any(|(compression, ..)| *compression == Compression::Zstd);
        let family = if is_zstd { Family::Oci } else { Family::Docker };
        let layers = found
            .into_iter()
            .map(|(compression, digest, size)| {
                let media_type = family
                    .layer(compression)
                    .unwrap_or(media_type::OCI_LAYER_ZSTD);
                Descriptor::new(media_type, digest, size)
            })
            .collect();
        let config_descriptor = Descriptor::of(family.config(), &blobs.config);
        let manifest = Manifest::new(family, config_descriptor, layers);
        Ok(Image {
            name: if name.is_empty() {
                self.shown.clone()
            } else {
                format!("{}:{name}", self.shown)
            },
            descriptor: Descriptor::of(family.manifest(), &print(&manifest)),
            manifest,
            config,
            blobs: Arc::new(blobs),
        })
    }
}

impl ImageSource for ArchiveSource {
    fn open(&self, name: &str, platform: Option<&Platform>) -> Result<Option<Image>, StoreError> {
        if self.format.has_oci() {
            if let Some(index) = self.index()? {
                let blobs = OciBlobs(Arc::clone(&self.members));
                return open_in_index(&index, Arc::new(blobs), &self.shown, name, platform);
            }
            if !self.format.has_docker() {
                return Err(self.invalid("it has no `index.json`, so it is no OCI archive"));
            }
        }
        self.open_docker(name)
    }
}

/// Whether two names mean the same: `x` is `docker.io/library/x:latest`.
fn same_name(left: &str, right: &str) -> bool {
    let parsed = |name: &str| name.parse::<RegistryRef>().ok();
    left == right || parsed(left).is_some_and(|left| Some(left) == parsed(right))
}

/// The digest of an uncompressed layer is its diff ID, which a reader will check; others are read through once.
fn describe_layer(
    mut section: Section,
    config: &ImageConfig,
    index: usize,
) -> io::Result<(Compression, BlobDigest)> {
    let mut start = [0; 4];
    let length = section.read(&mut start)?;
    let compression = Compression::of_bytes(start.get(..length).unwrap_or_default());
    let digest = match (compression, config.rootfs.diff_ids.get(index)) {
        (Compression::None, Some(diff_id)) => diff_id.digest(),
        _ => hash(section.rewound())?,
    };
    Ok((compression, BlobDigest::new(digest)))
}

fn hash(mut reader: impl Read) -> io::Result<crate::digest::Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

/// Gives the tar itself: the file, or a nameless one with its content.
fn uncompressed(mut file: File, scratch: &Dir) -> io::Result<File> {
    let mut start = [0; 4];
    let length = file.read_at(&mut start, 0)?;
    file.rewind()?;
    if Compression::of_bytes(start.get(..length).unwrap_or_default()) == Compression::None {
        return Ok(file);
    }
    let mut unpacked = crate::scratch::nameless_file(scratch)?;
    io::copy(
        &mut Capped::new(compress::open(file)?, UNPACKED_CAP),
        &mut unpacked,
    )?;
    unpacked.rewind()?;
    Ok(unpacked)
}

impl Members {
    fn scan(file: File) -> io::Result<Self> {
        let mut by_name = BTreeMap::new();
        let mut archive = tar::Archive::new(&file);
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let Ok(path) = std::str::from_utf8(&entry.path_bytes()).map(|path| clean("", path))
            else {
                continue;
            };
            let target = |base: &str| {
                let link = entry.link_name_bytes()?;
                let link = std::str::from_utf8(&link).ok()?;
                Some(clean(base, link))
            };
            let kind = entry.header().entry_type();
            let member = if kind.is_file() {
                let (position, size) = (entry.raw_file_position(), entry.size());
                Some(Member::File { position, size })
            } else if kind.is_symlink() {
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                target(directory).map(Member::Link)
            } else if kind.is_hard_link() {
                target("").map(Member::Link)
            } else {
                None
            };
            if let Some(member) = member {
                by_name.insert(path, member);
            }
            if by_name.len() > MEMBER_CAP {
                let reason = format!("the archive has more than {MEMBER_CAP} members");
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
        }
        Ok(Self { file, by_name })
    }

    /// Opens a member, following links inside the archive.
    fn open(members: &Arc<Self>, name: &str) -> Option<Section> {
        let mut name = clean("", name);
        for _ in 0..LINK_CAP {
            match members.by_name.get(&name)? {
                Member::File { position, size } => {
                    return Some(Section {
                        members: Arc::clone(members),
                        position: *position,
                        size: *size,
                        done: 0,
                    });
                }
                Member::Link(target) => name.clone_from(target),
            }
        }
        None
    }
}

/// Joins and cleans a path inside an archive; it cannot leave it.
fn clean(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A part of a file. Several can be read at the same time.
struct Section {
    members: Arc<Members>,
    position: u64,
    size: u64,
    done: u64,
}

impl Section {
    fn rewound(&self) -> Self {
        Self {
            members: Arc::clone(&self.members),
            done: 0,
            ..*self
        }
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size - self.done).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let room = buffer.get_mut(..length).unwrap_or_default();
        let read = self.members.file.read_at(room, self.position + self.done)?;
        if read == 0 && !room.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.done += read as u64;
        Ok(read)
    }
}

/// The blobs of an archive in OCI's form.
#[derive(Debug)]
struct OciBlobs(Arc<Members>);

impl Blobs for OciBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        open_verified(&self.0, &blob_path(&descriptor.digest), descriptor)
    }
}

/// The blobs of an image in Docker's form, by digest.
#[derive(Debug)]
struct DockerBlobs {
    members: Arc<Members>,
    names: BTreeMap<BlobDigest, String>,
    config: Vec<u8>,
}

impl Blobs for DockerBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        if let Some(name) = self.names.get(&descriptor.digest) {
            return open_verified(&self.members, name, descriptor);
        }
        let config = io::Cursor::new(self.config.clone());
        Ok(Box::new(Verified::new(config, descriptor)))
    }
}

fn open_verified(
    members: &Arc<Members>,
    name: &str,
    descriptor: &Descriptor,
) -> Result<Box<dyn Read + Send>, StoreError> {
    let section = Members::open(members, name).ok_or_else(|| {
        StoreError::invalid(
            "read",
            descriptor.digest.to_string(),
            "the archive does not have it",
        )
    })?;
    Ok(Box::new(Verified::new(section, descriptor)))
}
