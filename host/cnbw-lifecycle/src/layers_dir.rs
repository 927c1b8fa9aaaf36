//! What a buildpack left in its layers directory.

use std::collections::BTreeSet;
use std::io;

use cap_std::fs::Dir;
use cnbw_spec::document::{DocumentError, MAX_DOCUMENT_BYTES};
use cnbw_spec::layer::{LayerToml, parse_layer};
use cnbw_spec::store::{StoreToml, parse_store};

use crate::files;

/// Documents that are not about a layer.
const OTHER_DOCUMENTS: [&str; 3] = ["build", "launch", "store"];

/// A buildpack's layers directory, read.
#[derive(Debug)]
pub(crate) struct LayersDir {
    /// The directory, if there is one.
    pub(crate) dir: Option<Dir>,
    /// Layers, sorted by name.
    pub(crate) layers: Vec<FoundLayer>,
    /// What `store.toml` holds.
    pub(crate) store: Option<StoreToml>,
}

/// A layer, by its directory, its document or both.
#[derive(Debug)]
pub(crate) struct FoundLayer {
    /// Its name: one path component.
    pub(crate) name: String,
    /// What its document says; without one: no types.
    pub(crate) document: Result<LayerToml, DocumentError>,
    /// Whether there is anything beside the document.
    pub(crate) has_content: bool,
}

/// Why a layers directory could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayersDirError {
    #[error("cannot read the directory")]
    Io(#[source] io::Error),
    #[error(transparent)]
    Store(DocumentError),
}

/// Reads `<layers>/<escaped>`. `shown` is what the directory is called in messages.
pub(crate) fn read_layers_dir(
    layers: &Dir,
    escaped: &str,
    shown: &str,
) -> Result<LayersDir, LayersDirError> {
    let opened = files::open_dir(layers, escaped).map_err(LayersDirError::Io)?;
    let Some(dir) = opened else {
        return Ok(LayersDir {
            dir: None,
            layers: Vec::new(),
            store: None,
        });
    };
    let mut names = BTreeSet::new();
    let mut store = None;
    for name in files::sorted_names(&dir).map_err(LayersDirError::Io)? {
        if dir
            .symlink_metadata(&name)
            .map_err(LayersDirError::Io)?
            .is_dir()
        {
            names.insert(name);
        } else if name == "store.toml" {
            let content = read(&dir, &name).map_err(LayersDirError::Io)?;
            let parsed = parse_store(&format!("{shown}/{name}"), &content);
            store = Some(parsed.map_err(LayersDirError::Store)?);
        } else if let Some(name) = name.strip_suffix(".toml") {
            names.insert(name.to_owned());
        }
    }
    names.retain(|name| !name.is_empty() && !OTHER_DOCUMENTS.contains(&name.as_str()));
    let layers = names
        .into_iter()
        .map(|name| FoundLayer {
            document: read_document(&dir, &name, shown),
            has_content: dir.symlink_metadata(&name).is_ok(),
            name,
        })
        .collect();
    Ok(LayersDir {
        dir: Some(dir),
        layers,
        store,
    })
}

fn read_document(dir: &Dir, name: &str, shown: &str) -> Result<LayerToml, DocumentError> {
    let file = format!("{name}.toml");
    let shown = format!("{shown}/{file}");
    match files::read_capped(dir, &file, MAX_DOCUMENT_BYTES) {
        Ok(Some(content)) => parse_layer(&shown, &content),
        Ok(None) => Ok(LayerToml::default()),
        Err(error) => Err(DocumentError {
            file: shown,
            line: None,
            column: None,
            key: String::new(),
            reason: format!("it cannot be read: {error}"),
        }),
    }
}

fn read(dir: &Dir, name: &str) -> io::Result<Vec<u8>> {
    files::read_capped(dir, name, MAX_DOCUMENT_BYTES).map(Option::unwrap_or_default)
}
