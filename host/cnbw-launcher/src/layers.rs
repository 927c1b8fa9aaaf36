//! The layers of an image, in the order in which they take effect.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::environment::{Action, Environment};
use crate::files::{self, Directory, FileError, join, kind_of};
use crate::metadata::Metadata;

/// Bytes that a variable's file may have. The kernel takes 128 KiB for one variable, or 2 MiB with large pages.
const MAX_VARIABLE: usize = 4 << 20;

/// The layer directories of one buildpack, by name.
#[derive(Debug)]
pub(crate) struct BuildpackLayers(Vec<PathBuf>);

/// Lists the layers of every buildpack, in the order of the metadata; buildpacks without a directory have none.
///
/// A layer is a directory. A link to one is not, as in the reference.
pub(crate) fn list_layers(
    layers: &Path,
    metadata: &Metadata,
) -> Result<Vec<BuildpackLayers>, FileError> {
    let mut buildpacks = Vec::with_capacity(metadata.buildpacks.len());
    for buildpack in &metadata.buildpacks {
        let directory = Directory::list(join(layers, buildpack.id.replace('/', "_")))?;
        buildpacks
            .extend(directory.map(|directory| BuildpackLayers(directory.paths(true).collect())));
    }
    Ok(buildpacks)
}

/// Applies what layers say about variables: of each buildpack first the `bin` and `lib` of all layers, then the
/// files of all layers.
pub(crate) fn apply_layers(
    environment: &mut Environment,
    buildpacks: &[BuildpackLayers],
    r#type: Option<&str>,
) -> Result<(), FileError> {
    for BuildpackLayers(layers) in buildpacks {
        for layer in layers {
            for (directory, variable) in [("bin", "PATH"), ("lib", "LD_LIBRARY_PATH")] {
                let path = join(layer, directory);
                if kind_of(&path)?.is_some() {
                    environment.prepend_path(variable, absolute(&path)?.as_os_str());
                }
            }
        }
        for layer in layers {
            apply_directory(environment, join(layer, "env"))?;
            for directory in with_type(layer, "env.launch", r#type) {
                apply_directory(environment, directory)?;
            }
        }
    }
    Ok(())
}

/// Lists the files of a directory of every layer and of its subdirectory for the process type, layer by layer.
pub(crate) fn list_files(
    buildpacks: &[BuildpackLayers],
    directory: &str,
    r#type: Option<&str>,
) -> Result<Vec<PathBuf>, FileError> {
    let mut files = Vec::new();
    for layer in buildpacks.iter().flat_map(|BuildpackLayers(layers)| layers) {
        for directory in with_type(layer, directory, r#type) {
            if let Some(directory) = Directory::list(directory)? {
                files.extend(directory.paths(false));
            }
        }
    }
    Ok(files)
}

/// A directory of a layer, and where a process type is known its subdirectory of that name.
fn with_type(layer: &Path, directory: &str, r#type: Option<&str>) -> impl Iterator<Item = PathBuf> {
    let general = join(layer, directory);
    let typed = r#type.map(|r#type| join(&general, r#type));
    std::iter::once(general).chain(typed)
}

fn apply_directory(environment: &mut Environment, path: PathBuf) -> Result<(), FileError> {
    let Some(directory) = Directory::list(path)? else {
        return Ok(());
    };
    for entry in &directory.entries {
        let is_linked_directory = || {
            Ok(entry.is_link
                && kind_of(&join(&directory.path, &entry.name))? == Some(FileType::Directory))
        };
        if entry.is_directory || is_linked_directory()? {
            continue;
        }
        let value = directory.read_file(&entry.name, MAX_VARIABLE)?;
        let Some((variable, action)) = Action::of_file(&entry.name) else {
            continue;
        };
        let delimiter = if action.uses_delimiter() {
            read_delimiter(&directory, variable)
        } else {
            None
        };
        environment.apply(variable, action, &value, delimiter.as_deref());
    }
    Ok(())
}

/// Reads a variable's delimiter; one that cannot be read counts as none, as in the reference.
fn read_delimiter(directory: &Directory, variable: &OsStr) -> Option<Vec<u8>> {
    let mut name = variable.to_owned();
    name.push(".delim");
    if directory.has(&name) {
        directory.read_file(&name, MAX_VARIABLE).ok()
    } else {
        None
    }
}

fn absolute(path: &Path) -> Result<PathBuf, FileError> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let current = std::env::current_dir();
    let current = current.map_err(|error| {
        FileError::at("find the current directory for", path)(files::errno(&error))
    })?;
    Ok(join(&current, path))
}
