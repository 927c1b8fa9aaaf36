//! Unpacks layers of the cache or of an image below the layers directory.
//!
//! The tar may come from a registry, so nothing in it is believed: entries outside the expected place are refused,
//! links are made but never followed, and there are caps.

use std::io::{self, Read};
use std::path::{Component, Path};

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use cnbw_oci::layer::NORMALIZED_TIME;
use rustix::fs::{AtFlags, Mode, Timespec, Timestamps};
use tar::EntryType;

use crate::files;

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The layer itself could not be read.
    #[error("the layer is damaged or cannot be read")]
    Read {
        /// The cause.
        source: io::Error,
    },
    /// An entry may not be there.
    #[error("entry `{}` is refused: {rule}", path.escape_debug())]
    Refused {
        /// The entry as the layer names it.
        path: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Writing failed.
    #[error("cannot {action} `{}`", path.escape_debug())]
    Write {
        /// What was tried.
        action: &'static str,
        /// The entry.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

/// How much a layer may unpack to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExtractLimits {
    /// Sum of the file sizes in bytes.
    pub(crate) bytes: u64,
    /// Entries.
    pub(crate) entries: u64,
}

impl ExtractLimits {
    /// For layers of buildpacks: far above what honest ones hold, and a bound on what a bomb can do.
    pub(crate) const LAYER: Self = Self {
        bytes: 64 << 30,
        entries: 16 << 20,
    };
    /// For SBOM files: text about the layers.
    pub(crate) const SBOM: Self = Self {
        bytes: 1 << 30,
        entries: 1 << 16,
    };
}

/// Where a layer may unpack to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination<'a> {
    /// The layers directory.
    pub(crate) layers: &'a Dir,
    /// Its path in the image.
    pub(crate) path: &'a str,
    /// Below the layers directory, the only place that entries may be at: `["a", "jre"]`. What is above is passed over.
    pub(crate) place: &'a [&'a str],
}

/// Unpacks an uncompressed tar.
pub(crate) fn extract(
    tar: impl Read,
    destination: &Destination<'_>,
    limits: ExtractLimits,
) -> Result<(), ExtractError> {
    let read = |source| ExtractError::Read { source };
    let mut archive = tar::Archive::new(tar);
    let mut extraction = Extraction {
        destination,
        left: limits,
        directories: Vec::new(),
    };
    for entry in archive.entries().map_err(read)? {
        let mut entry = entry.map_err(read)?;
        extraction.unpack(&mut entry)?;
    }
    // What is not read has not been verified by those who check digests at the end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(read)?;
    extraction.finish()
}

struct Extraction<'a> {
    destination: &'a Destination<'a>,
    left: ExtractLimits,
    /// Directories made here and the modes they get at the end, when nothing is written into them any more.
    directories: Vec<(Vec<String>, Mode)>,
}

impl Extraction<'_> {
    fn unpack(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<(), ExtractError> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refused = |rule| ExtractError::Refused {
            path: name.clone(),
            rule,
        };
        let raw = entry.path_bytes().into_owned();
        let raw = std::str::from_utf8(&raw).map_err(|_| refused("its name is not UTF-8"))?;
        self.left.entries = self
            .left
            .entries
            .checked_sub(1)
            .ok_or_else(|| refused("the layer has too many entries"))?;
        let Some(components) = self.locate(raw).map_err(refused)? else {
            return if kind == EntryType::Directory {
                Ok(())
            } else {
                Err(refused(
                    "only directories may be above the layer's own place",
                ))
            };
        };
        let mode = entry
            .header()
            .mode()
            .map_err(|source| ExtractError::Read { source })?;
        let mode = Mode::from_raw_mode(mode & 0o7777);
        if kind == EntryType::Directory {
            return self.make_directory(&components, mode);
        }
        if kind == EntryType::Regular {
            self.left.bytes = self
                .left
                .bytes
                .checked_sub(entry.size())
                .ok_or_else(|| refused("the layer is too large"))?;
            // The kernel takes these two bits from a file that is written; nothing should run as somebody else.
            let mode = mode.difference(Mode::SUID | Mode::SGID);
            return self.write_file(&components, mode, entry);
        }
        if kind == EntryType::Symlink {
            let target = entry
                .link_name_bytes()
                .ok_or_else(|| refused("a link needs a target"))?
                .into_owned();
            return self.make_link(&components, &target);
        }
        Err(refused(
            "it is neither a directory nor a file nor a symbolic link",
        ))
    }

    /// Where an entry belongs below the layers directory; `None` if it is above the layer's place.
    fn locate(&self, name: &str) -> Result<Option<Vec<String>>, &'static str> {
        let components = components(name)?;
        let root = components_of_path(self.destination.path);
        let expected: Vec<&str> = root
            .iter()
            .copied()
            .chain(self.destination.place.iter().copied())
            .collect();
        let common = components
            .iter()
            .zip(&expected)
            .take_while(|(have, want)| have == *want)
            .count();
        if common == expected.len() {
            return Ok(Some(components.into_iter().skip(root.len()).collect()));
        }
        if common == components.len() {
            return Ok(None);
        }
        Err("it is outside the layer's own place")
    }

    fn make_directory(&mut self, components: &[String], mode: Mode) -> Result<(), ExtractError> {
        let path = components.join("/");
        let Some((last, above)) = components.split_last() else {
            return Ok(());
        };
        let parent = self.open_parent(above)?;
        match parent.create_dir(last) {
            Ok(()) => self.directories.push((components.to_vec(), mode)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Directories that were there keep their modes; anything else is in the way.
                parent
                    .open_dir_nofollow(last)
                    .map_err(write_error("open the directory", &path))?;
            }
            Err(error) => return Err(write_error("make the directory", &path)(error)),
        }
        Ok(())
    }

    fn write_file(
        &self,
        components: &[String],
        mode: Mode,
        content: &mut impl Read,
    ) -> Result<(), ExtractError> {
        let path = components.join("/");
        let (parent, last) = self.clear_place(components)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = parent
            .open_with(&last, &options)
            .map_err(write_error("create", &path))?;
        copy(content, &mut file, &path)?;
        rustix::fs::fchmod(&file, mode)
            .and_then(|()| rustix::fs::futimens(&file, &timestamps()))
            .map_err(|error| write_error("set the mode of", &path)(error.into()))
    }

    fn make_link(&self, components: &[String], target: &[u8]) -> Result<(), ExtractError> {
        let path = components.join("/");
        let (parent, last) = self.clear_place(components)?;
        rustix::fs::symlinkat(target, &parent, &*last)
            .and_then(|()| {
                rustix::fs::utimensat(&parent, &*last, &timestamps(), AtFlags::SYMLINK_NOFOLLOW)
            })
            .map_err(|error| write_error("make the link", &path)(error.into()))
    }

    /// Opens the parent and removes a file or link that is in the way; a directory in the way stays, and is an error later.
    fn clear_place(&self, components: &[String]) -> Result<(Dir, String), ExtractError> {
        let path = components.join("/");
        let (last, above) = components.split_last().ok_or(ExtractError::Refused {
            path: String::new(),
            rule: "only a directory can be in the place of the layers directory",
        })?;
        let parent = self.open_parent(above)?;
        match parent.symlink_metadata(last) {
            Ok(found) if !found.is_dir() => parent
                .remove_file(last)
                .map_err(write_error("replace", &path))?,
            _ => {}
        }
        Ok((parent, last.clone()))
    }

    /// Opens a directory below the layers directory, making what is missing on the way. Links are never followed.
    fn open_parent(&self, components: &[String]) -> Result<Dir, ExtractError> {
        let mut current = self
            .destination
            .layers
            .try_clone()
            .map_err(write_error("open", self.destination.path))?;
        for (index, component) in components.iter().enumerate() {
            let path = || {
                components
                    .iter()
                    .take(index + 1)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("/")
            };
            match current.create_dir(component) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(write_error("make the directory", &path())(error)),
            }
            current = current
                .open_dir_nofollow(component)
                .map_err(write_error("open the directory", &path()))?;
        }
        Ok(current)
    }

    fn finish(self) -> Result<(), ExtractError> {
        // The innermost come last and are done first: a directory may lose the right to be entered.
        for (components, mode) in self.directories.iter().rev() {
            let dir = self.open_parent(components)?;
            let changed = files::descriptor(&dir).and_then(|dir| {
                rustix::fs::fchmod(&dir, *mode)?;
                Ok(rustix::fs::futimens(&dir, &timestamps())?)
            });
            changed.map_err(write_error("set the mode of", &components.join("/")))?;
        }
        Ok(())
    }
}

fn write_error(action: &'static str, path: &str) -> impl FnOnce(io::Error) -> ExtractError {
    let path = path.to_owned();
    move |source| ExtractError::Write {
        action,
        path,
        source,
    }
}

/// Copies a file's content, telling a broken source from a full disk.
fn copy(from: &mut impl Read, to: &mut impl io::Write, path: &str) -> Result<(), ExtractError> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(ExtractError::Read { source }),
        };
        let (filled, _) = buffer.split_at(length);
        to.write_all(filled).map_err(write_error("write", path))?;
    }
}

/// The time that files have in an image, too: what a program sees must not depend on when it was restored.
fn timestamps() -> Timestamps {
    let time = Timespec {
        tv_sec: NORMALIZED_TIME,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn components_of_path(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

/// Takes an entry's name apart. Absolute and relative names mean the same.
fn components(name: &str) -> Result<Vec<String>, &'static str> {
    let mut found = Vec::new();
    for component in Path::new(name).components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(part) => {
                let part = part.to_str().ok_or("its name is not UTF-8")?;
                if part.contains('\0') {
                    return Err("its name has a zero byte");
                }
                found.push(part.to_owned());
            }
            Component::ParentDir | Component::Prefix(_) => {
                return Err("its name leads out of the layer");
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
