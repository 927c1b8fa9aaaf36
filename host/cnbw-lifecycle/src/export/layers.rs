//! The layers of an export: what is in each, and the writing of it.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, MetadataExt};
use cnbw_oci::compress::Compression;
use cnbw_oci::digest::DiffId;
use cnbw_oci::image::{Image, LayerContent, NewLayer};
use cnbw_oci::layer::{LayerBlob, LayerError, LayerOptions, LayerWriter, Owner};
use cnbw_spec::id::ProcessType;

use crate::analyze::find_layer;
use crate::files;
use crate::tree::{Ancestors, DirectoryAttributes, Tree};

const CNB: &str = "/cnb";
const LIFECYCLE: &str = "/cnb/lifecycle";
const PROCESSES: &str = "/cnb/process";
/// Where the launcher is in every image.
pub(crate) const LAUNCHER: &str = "/cnb/lifecycle/launcher";

/// A layer that is to be written.
#[derive(Debug)]
pub(crate) struct LayerPlan<'a> {
    /// What it is called in messages.
    pub(crate) id: String,
    /// What the history says.
    pub(crate) created_by: String,
    /// Diff IDs of the previous image's layers that may be the same.
    pub(crate) previous: Vec<String>,
    /// What is in it.
    pub(crate) content: Content<'a>,
}

/// What is in a layer.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    /// Something in a directory, with all it holds.
    Whole {
        /// Directories above it, outermost first.
        above: Vec<(String, DirectoryAttributes)>,
        /// Path in the image of the directory that it is in.
        parent_path: String,
        /// That directory.
        parent: Dir,
        /// Its name.
        name: String,
    },
    /// Some paths of a tree, in order.
    Paths {
        /// Directories above the tree, outermost first.
        above: Vec<(String, DirectoryAttributes)>,
        /// Path of the tree in the image.
        path: String,
        /// The tree.
        dir: &'a Dir,
        /// The paths; an empty one is the tree itself.
        paths: Vec<Vec<u8>>,
    },
    /// The launcher.
    Launcher(&'a [u8]),
    /// A link to the launcher for each process type.
    ProcessTypes(Vec<ProcessType>),
    /// What the previous image has under this diff ID; there is nothing to write.
    Previous(DiffId),
}

/// A layer that was written or found in the previous image.
#[derive(Debug)]
pub(crate) struct MadeLayer {
    pub(crate) layer: NewLayer,
    pub(crate) size: u64,
    pub(crate) reused: bool,
}

/// Writes all layers, several at once; the result does not depend on how many.
pub(crate) fn make_layers(
    plans: &[LayerPlan<'_>],
    maker: &LayerMaker<'_>,
) -> Result<Vec<MadeLayer>, (String, LayerError)> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(plans.len()));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(plan) = plans.get(index) else { return };
            let made = maker.make(plan);
            if made.is_err() {
                // The others would be thrown away.
                next.store(plans.len(), Ordering::Relaxed);
            }
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.push((index, made.map_err(|error| (plan.id.clone(), error))));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..maker.options.workers.min(plans.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, made)| made).collect()
}

/// What all layers of an export have in common.
#[derive(Debug)]
pub(crate) struct LayerMaker<'a> {
    pub(crate) scratch: &'a Dir,
    pub(crate) options: LayerOptions,
    pub(crate) owner: Owner,
    pub(crate) previous: Option<&'a Image>,
}

impl LayerMaker<'_> {
    fn make(&self, plan: &LayerPlan<'_>) -> Result<MadeLayer, LayerError> {
        if let Content::Previous(diff_id) = &plan.content {
            return self.reuse(*diff_id).ok_or_else(|| LayerError::Refused {
                path: plan.id.clone(),
                rule: "the previous image does not have it",
            });
        }
        let candidates = || {
            plan.previous
                .iter()
                .filter_map(|sha| sha.parse::<DiffId>().ok())
        };
        let may_be_reused = candidates().any(|diff_id| self.reuse(diff_id).is_some());
        // Compressing costs ten times what reading costs, so it waits until it is known to be needed.
        if may_be_reused && self.options.compression != Compression::None {
            let options = LayerOptions {
                compression: Compression::None,
                ..self.options
            };
            let uncompressed = self.write(plan, &options)?;
            if let Some(reused) = self.reuse_if_among(candidates(), uncompressed.diff_id) {
                return Ok(reused);
            }
        }
        let blob = self.write(plan, &self.options)?;
        if let Some(reused) = self.reuse_if_among(candidates(), blob.diff_id) {
            return Ok(reused);
        }
        Ok(MadeLayer {
            size: blob.descriptor.size,
            layer: blob.into(),
            reused: false,
        })
    }

    fn reuse_if_among(
        &self,
        mut candidates: impl Iterator<Item = DiffId>,
        diff_id: DiffId,
    ) -> Option<MadeLayer> {
        candidates
            .any(|candidate| candidate == diff_id)
            .then(|| self.reuse(diff_id))
            .flatten()
    }

    /// The previous image's layer, under the media type of the new image's family.
    fn reuse(&self, diff_id: DiffId) -> Option<MadeLayer> {
        let image = self.previous?;
        let mut descriptor = find_layer(image, &diff_id.to_string())?.clone();
        let compression = Compression::of_media_type(&descriptor.media_type);
        self.options
            .family
            .layer(compression)?
            .clone_into(&mut descriptor.media_type);
        Some(MadeLayer {
            size: descriptor.size,
            layer: NewLayer {
                diff_id,
                content: LayerContent::Existing {
                    descriptor,
                    blobs: image.blobs.clone(),
                },
            },
            reused: true,
        })
    }

    fn write(&self, plan: &LayerPlan<'_>, options: &LayerOptions) -> Result<LayerBlob, LayerError> {
        let mut writer = LayerWriter::create(self.scratch, options)?;
        write_content(&mut writer, &plan.content, self.owner)?;
        writer.finish()
    }
}

/// Writes the entries of a layer.
pub(crate) fn write_content(
    writer: &mut LayerWriter,
    content: &Content<'_>,
    owner: Owner,
) -> Result<(), LayerError> {
    match content {
        Content::Whole {
            above,
            parent_path,
            parent,
            name,
        } => {
            add_above(writer, above)?;
            match parent.open_dir_nofollow(name) {
                Ok(dir) => writer.add_tree(&format!("{parent_path}/{name}"), &dir, owner),
                // A file or link in the place of a layer's directory goes into the image as what it is.
                Err(_) => writer.add_path(parent_path, parent, Path::new(name), owner),
            }
        }
        Content::Paths {
            above,
            path,
            dir,
            paths,
        } => {
            if paths.is_empty() {
                return Ok(());
            }
            add_above(writer, above)?;
            let paths = paths.iter().map(|path| std::ffi::OsStr::from_bytes(path));
            writer.add_paths(path, dir, paths, owner)
        }
        Content::Launcher(program) => {
            add_root_directories(writer, LIFECYCLE)?;
            writer.add_file(LAUNCHER, Owner::ROOT, 0o755, program)
        }
        Content::ProcessTypes(types) => {
            add_root_directories(writer, PROCESSES)?;
            for process_type in types {
                let path = process_path(process_type.as_str());
                writer.add_symlink(&path, Owner::ROOT, 0o755, LAUNCHER)?;
            }
            Ok(())
        }
        Content::Previous(_) => Ok(()),
    }
}

fn add_above(
    writer: &mut LayerWriter,
    above: &[(String, DirectoryAttributes)],
) -> Result<(), LayerError> {
    above.iter().try_for_each(|(path, attributes)| {
        writer.add_directory(path, attributes.owner, attributes.mode)
    })
}

fn add_root_directories(writer: &mut LayerWriter, inner: &str) -> Result<(), LayerError> {
    writer.add_directory(CNB, Owner::ROOT, 0o755)?;
    writer.add_directory(inner, Owner::ROOT, 0o755)
}

/// Path by which a process is started.
pub(crate) fn process_path(process_type: &str) -> String {
    format!("{PROCESSES}/{process_type}")
}

/// Directories above what a tree holds, the tree itself and the given ones below it included, outermost first.
pub(crate) fn above_content(
    tree: &Tree<'_>,
    below: &[&str],
) -> io::Result<Vec<(String, DirectoryAttributes)>> {
    let mut found = above_tree(tree);
    let mut path = tree.path.to_owned();
    let mut dir = tree.dir.try_clone()?;
    found.push((path.clone(), attributes(tree, &dir)?));
    for name in below {
        path = format!("{path}/{name}");
        dir = dir.open_dir_nofollow(name)?;
        found.push((path.clone(), attributes(tree, &dir)?));
    }
    Ok(found)
}

/// Directories above a tree, outermost first.
pub(crate) fn above_tree(tree: &Tree<'_>) -> Vec<(String, DirectoryAttributes)> {
    match &tree.ancestors {
        Ancestors::Disk(above) => above.clone(),
        Ancestors::Fixed(attributes) => tree
            .path
            .match_indices('/')
            .filter(|(at, _)| *at > 0)
            .filter_map(|(at, _)| Some((tree.path.get(..at)?.to_owned(), *attributes)))
            .collect(),
    }
}

fn attributes(tree: &Tree<'_>, dir: &Dir) -> io::Result<DirectoryAttributes> {
    if let Ancestors::Fixed(attributes) = tree.ancestors {
        return Ok(attributes);
    }
    let metadata = dir.dir_metadata()?;
    Ok(DirectoryAttributes {
        owner: Owner {
            uid: u64::from(metadata.uid()),
            gid: u64::from(metadata.gid()),
        },
        mode: metadata.mode() & 0o7777,
    })
}

/// Gives what the host itself wrote the same modes on every host: 0755 for directories, 0644 for files.
pub(crate) fn normalize_host_files(dir: &Dir) -> io::Result<()> {
    files::set_mode(dir, 0o755)?;
    for name in files::sorted_names(dir)? {
        if let Ok(inner) = dir.open_dir_nofollow(&name) {
            normalize_host_files(&inner)?;
        } else {
            let file = files::open_regular(dir, &name)?;
            rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o644))?;
        }
    }
    Ok(())
}
