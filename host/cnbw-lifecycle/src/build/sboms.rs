//! SBOM files: which ones a program left behind, and where they are collected.

use std::io::{self, Read};

use cnbw_spec::id::BuildpackRef;
use cnbw_spec::labels::print_legacy_bom;
use cnbw_spec::layer::LayerTypes;
use cnbw_spec::metadata::BomEntry;
use cnbw_spec::sbom::{SbomFormat, SbomSubject, is_sbom_file, sbom_subject};

use super::layers::Layers;
use super::{BuildError, OutputError, write_below};
use crate::guest_tree::{GuestTree, Kind};
use crate::programs::GuestDirectory;

/// Largest SBOM file in bytes. Those of whole operating systems have tens of megabytes.
const MAX_SBOM_BYTES: usize = 256 * 1024 * 1024;

/// A directory below `<layers>/sbom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Collection {
    Build,
    Cache,
    Launch,
}

impl Collection {
    fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Cache => "cache",
            Self::Launch => "launch",
        }
    }
}

/// A file to collect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SbomFile {
    /// Escaped id of the buildpack.
    buildpack: String,
    /// Name in the buildpack's layers directory.
    file: String,
    format: SbomFormat,
    /// The layer that it describes, or `None` for what is outside of layers.
    layer: Option<String>,
    collection: Collection,
}

/// Finds the SBOM files of a buildpack. Those of names that are no layers are nobody's.
pub(super) fn find(
    buildpack: &BuildpackRef,
    tree: &GuestTree<'_>,
    layers: &Layers,
    declared: &[String],
) -> Result<Vec<SbomFile>, OutputError> {
    let mut found = Vec::new();
    for entry in tree.entries()? {
        if !is_sbom_file(&entry.name) {
            continue;
        }
        let (layer, collections) = match sbom_subject(&entry.name) {
            SbomSubject::Launch => (None, vec![Collection::Launch]),
            SbomSubject::Build => (None, vec![Collection::Build]),
            SbomSubject::Layer(layer) => match layers.get(&layer) {
                Some(types) => (Some(layer), collections(*types)),
                None => continue,
            },
        };
        let format = checked_format(&entry.name, declared)?;
        if entry.kind != Kind::File {
            return Err(tree.not_a_file(&entry.name, entry.kind).into());
        }
        found.extend(collections.into_iter().map(|collection| SbomFile {
            buildpack: buildpack.id.escaped(),
            file: entry.name.clone(),
            format,
            layer: layer.clone(),
            collection,
        }));
    }
    Ok(found)
}

/// Where the SBOM of a layer goes: with the image or with the build, and besides into the cache.
fn collections(types: LayerTypes) -> Vec<Collection> {
    let mut collections = vec![if types.launch {
        Collection::Launch
    } else {
        Collection::Build
    }];
    if types.cache {
        collections.push(Collection::Cache);
    }
    collections
}

fn checked_format(file: &str, declared: &[String]) -> Result<SbomFormat, OutputError> {
    let Some(format) = SbomFormat::of_file(file) else {
        let file = file.to_owned();
        return Err(OutputError::SbomFormat { file });
    };
    if !declared.iter().any(|it| format.is_declared_as(it)) {
        return Err(OutputError::UndeclaredSbom {
            file: file.to_owned(),
            media_type: format.media_type(),
        });
    }
    Ok(format)
}

/// Copies files to `<layers>/sbom/<collection>/<buildpack>[/<layer>]/sbom.<format>`.
pub(super) fn collect(
    layers: &GuestDirectory,
    directories: &[GuestDirectory],
    files: &[SbomFile],
) -> Result<(), BuildError> {
    for file in files {
        let guest_path = format!("{}/{}", layers.guest_path, file.buildpack);
        let source = directories.iter().find(|it| it.guest_path == guest_path);
        let Some(source) = source else {
            continue;
        };
        let read = || {
            let tree = GuestTree::new(&source.dir, &source.guest_path);
            let Some(mut open) = tree.open(&file.file).map_err(io::Error::other)? else {
                return Err(io::ErrorKind::NotFound.into());
            };
            let mut bytes = Vec::new();
            let cap = u64::try_from(MAX_SBOM_BYTES).unwrap_or(u64::MAX);
            (&mut open).take(cap + 1).read_to_end(&mut bytes)?;
            if bytes.len() > MAX_SBOM_BYTES {
                return Err(io::Error::other("an SBOM file may have 256 MiB at most"));
            }
            Ok(bytes)
        };
        let bytes = read().map_err(|source| BuildError::Io {
            action: "read",
            path: format!("{guest_path}/{}", file.file),
            source,
        })?;
        let mut directory = format!("sbom/{}/{}", file.collection.name(), file.buildpack);
        if let Some(layer) = &file.layer {
            directory = format!("{directory}/{layer}");
        }
        write_below(layers, &directory, file.format.file_name(), &bytes)?;
    }
    Ok(())
}

/// Writes the old bill of materials, or `null` if there is none.
pub(super) fn write_legacy(
    layers: &GuestDirectory,
    collection: &str,
    entries: &[BomEntry],
) -> Result<(), BuildError> {
    let directory = format!("sbom/{collection}");
    let text = print_legacy_bom(entries).map_err(|error| BuildError::Io {
        action: "write",
        path: format!("{}/{directory}/sbom.legacy.json", layers.guest_path),
        source: io::Error::other(error),
    })?;
    write_below(layers, &directory, "sbom.legacy.json", text.as_bytes())
}
