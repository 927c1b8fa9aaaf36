//! The web root: finding files in it, and what is known about them.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use crate::conditions::Validators;
use crate::encoding::Coding;
use crate::request_path::RequestPath;

/// The page of a directory.
const INDEX: &str = "index.html";
/// The page for everything that is not there.
const NOT_FOUND_PAGE: &str = "404.html";
/// Bytes that a page for missing files may have; larger ones are not used.
const MAX_NOT_FOUND_PAGE: u64 = 1 << 20;
/// Files whose tags are remembered at the same time; some tens of megabytes at most.
const MAX_TAGS: usize = 100_000;

/// A directory that is served. Nothing outside it can be reached through it, by whatever names or links.
#[derive(Debug)]
pub(crate) struct Site {
    root: Dir,
    tags: Mutex<HashMap<Version, Arc<str>>>,
}

/// A version of a file, as far as the system tells without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Version {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file that is open for being sent.
#[derive(Debug)]
pub(crate) struct OpenFile {
    /// Its content, from the start.
    pub(crate) file: File,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// When it was changed, if the system says.
    modified: Option<SystemTime>,
    version: Version,
}

/// What a request path leads to.
#[derive(Debug)]
pub(crate) enum Found {
    /// A file, and its path below the root.
    File(OpenFile, String),
    /// A directory with a page, named without its slash.
    Directory,
    /// Nothing that is served.
    Nothing,
}

impl Site {
    /// Opens the web root.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: Dir::open_ambient_dir(root, ambient_authority())?,
            tags: Mutex::default(),
        })
    }

    /// Looks a request path up.
    pub(crate) fn find(&self, path: &RequestPath) -> Found {
        let relative = path.relative();
        let Some((file, metadata)) = self.open_any(&relative) else {
            return Found::Nothing;
        };
        if metadata.is_dir() {
            let index = if relative == "." {
                INDEX.to_owned()
            } else {
                format!("{relative}/{INDEX}")
            };
            return match self.open_regular(&index) {
                None => Found::Nothing,
                Some(_) if !path.is_directory => Found::Directory,
                Some(file) => Found::File(file, index),
            };
        }
        match OpenFile::new(file, &metadata) {
            Some(file) if !path.is_directory => Found::File(file, relative),
            _ => Found::Nothing,
        }
    }

    /// Opens a file's variant in a coding.
    pub(crate) fn find_variant(&self, path: &str, coding: Coding) -> Option<OpenFile> {
        self.open_regular(&format!("{path}{}", coding.suffix()))
    }

    /// Reads the page for missing files, if the site has one.
    pub(crate) fn not_found_page(&self) -> Option<Vec<u8>> {
        let page = self
            .open_regular(NOT_FOUND_PAGE)
            .filter(|page| page.size <= MAX_NOT_FOUND_PAGE)?;
        let mut content = Vec::new();
        page.file
            .take(MAX_NOT_FOUND_PAGE)
            .read_to_end(&mut content)
            .ok()?;
        Some(content)
    }

    /// Returns what identifies this version of a file: a tag made from its content, which is read once.
    ///
    /// Two requests may read a file at the same time; they get the same tag.
    pub(crate) fn validators(&self, open: &mut OpenFile) -> io::Result<Validators> {
        let known = self
            .tags
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&open.version)
            .cloned();
        let tag = if let Some(tag) = known {
            tag
        } else {
            let tag: Arc<str> = hash_content(&mut open.file)?.into();
            let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
            if tags.len() >= MAX_TAGS {
                tags.clear();
            }
            tags.insert(open.version.clone(), Arc::clone(&tag));
            tag
        };
        Ok(Validators::new(tag.to_string(), open.modified))
    }

    fn open_regular(&self, path: &str) -> Option<OpenFile> {
        let (file, metadata) = self.open_any(path)?;
        OpenFile::new(file, &metadata)
    }

    /// Opens anything without waiting, so that a named pipe holds nobody up. Links may lead anywhere inside the root.
    fn open_any(&self, path: &str) -> Option<(File, Metadata)> {
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).ok()?;
        let file = self
            .root
            .open_with(
                path,
                OpenOptions::new().read(true).custom_flags(nonblocking),
            )
            .ok()?;
        let metadata = file.metadata().ok()?;
        Some((file, metadata))
    }
}

impl OpenFile {
    /// Takes regular files only.
    fn new(file: File, metadata: &Metadata) -> Option<Self> {
        let version = Version {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        let modified = metadata
            .modified()
            .ok()
            .map(cap_std::time::SystemTime::into_std);
        metadata.is_file().then(|| Self {
            file,
            size: metadata.size(),
            modified,
            version,
        })
    }
}

/// Makes a strong entity tag from a file's content, and goes back to its start.
fn hash_content(file: &mut File) -> io::Result<String> {
    use std::fmt::Write as _;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hash.update(buffer.get(..count).unwrap_or_default());
    }
    file.seek(SeekFrom::Start(0))?;
    // Half of the digest is more than enough to tell the versions of one file apart.
    let mut tag = String::from("\"");
    for byte in hash.finalize().iter().take(16) {
        let _infallible = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    Ok(tag)
}
