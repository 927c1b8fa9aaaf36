//! Layers that a program left behind: their types, and what they do to the environment of later
//! programs.

use std::collections::BTreeMap;

use cap_std::fs::Dir;
use cnbw_spec::document::MAX_DOCUMENT_BYTES;
use cnbw_spec::env::{Action, EnvFile, Environment, LAYER_DIRECTORIES, Moment};
use cnbw_spec::id::{LayerName, NameError};
use cnbw_spec::layer::{LayerTypes, parse_layer};

use super::OutputError;
use crate::guest_tree::{GuestTree, Kind};

/// Largest value of an environment variable in bytes.
const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// Types of layers by name. Every `<name>.toml` makes a layer, those of other documents, too: the
/// reference takes them so, which is why a layer cannot have their names.
pub(super) type Layers = BTreeMap<String, LayerTypes>;

/// Reads the types of all layers, and renames those that have none.
pub(super) fn read_layers(tree: &GuestTree<'_>) -> Result<Layers, OutputError> {
    let mut layers = Layers::new();
    for entry in tree.entries()? {
        let Some(name) = entry.name.strip_suffix(".toml") else {
            continue;
        };
        if entry.kind == Kind::Directory {
            continue;
        }
        check_name(&entry.name, name)?;
        let Some(bytes) = tree.read(&entry.name, MAX_DOCUMENT_BYTES)? else {
            continue;
        };
        let layer = parse_layer(&tree.join(&entry.name), &bytes)?;
        if layer.types.is_none() {
            tree.ignore(name)?;
        }
        layers.insert(name.to_owned(), layer.types);
    }
    Ok(layers)
}

fn check_name(file: &str, name: &str) -> Result<(), OutputError> {
    match LayerName::parse(name) {
        Ok(_) | Err(NameError::Reserved { .. }) => Ok(()),
        Err(source) => Err(OutputError::LayerName {
            file: file.to_owned(),
            source,
        }),
    }
}

impl GuestTree<'_> {
    /// Renames a layer's directory so that nobody takes it for a layer.
    fn ignore(&self, layer: &str) -> Result<(), OutputError> {
        let ignored = format!("{layer}.ignore");
        let present = self.kind(layer)?;
        if present.is_none() {
            return Ok(());
        }
        if self.kind(&ignored)? == Some(Kind::Directory) {
            let layer = layer.to_owned();
            return Err(OutputError::IgnoredExists { layer });
        }
        let renamed = self.rename(layer, &ignored);
        Ok(renamed.map_err(|source| self.io("rename", layer, source))?)
    }
}

/// Applies the build layers to the environment, layer by layer in the order of their names: first
/// the directories that path variables lead to, then `env`, then `env.build`.
///
/// Each layer is put before what is there, so the last one comes first in `PATH`.
pub(super) fn apply_layers(
    tree: &GuestTree<'_>,
    layers: &Layers,
    environment: &mut Environment,
) -> Result<(), OutputError> {
    for name in layers
        .iter()
        .filter(|(_, types)| types.build)
        .map(|(name, _)| name)
    {
        let Some(dir) = tree.directory(name)? else {
            continue;
        };
        let path = tree.join(name);
        for directory in LAYER_DIRECTORIES {
            if leads_somewhere(&dir, directory) {
                environment.add_layer_directory(Moment::Build, &path, directory);
            }
        }
        let layer = GuestTree::new(&dir, &path);
        for directory in ["env", "env.build"] {
            let files = read_env_files(&layer, directory)?;
            environment.apply_files(&files, Action::Override);
        }
    }
    Ok(())
}

/// Whether a path variable may lead there. Of a link to elsewhere nothing is known but that it is
/// there; its path in the image is all that a variable holds.
fn leads_somewhere(layer: &Dir, directory: &str) -> bool {
    match layer.metadata(directory) {
        Ok(_) => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(_) => layer.symlink_metadata(directory).is_ok(),
    }
}

/// The files of one environment directory; directories in it are skipped.
fn read_env_files(layer: &GuestTree<'_>, directory: &str) -> Result<Vec<EnvFile>, OutputError> {
    let Some(dir) = layer.directory(directory)? else {
        return Ok(Vec::new());
    };
    let path = layer.join(directory);
    let tree = GuestTree::new(&dir, &path);
    let mut files = Vec::new();
    for entry in tree.entries()? {
        if entry.kind == Kind::Directory {
            continue;
        }
        if let Some(value) = tree.read(&entry.name, MAX_VALUE_BYTES)? {
            let name = entry.name;
            files.push(EnvFile { name, value });
        }
    }
    Ok(files)
}
