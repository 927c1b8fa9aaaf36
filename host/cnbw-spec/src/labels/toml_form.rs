//! The label of the previous image as `analyzed.toml` holds it.

use super::{BuildpackLayers, LayerRecord, LifecycleMetadata, RunImageMetadata};
use crate::document::{DocumentError, Reader};
use crate::layer::{LayerToml, read_types};
use crate::print::Fields;
use crate::run::{RunImageNames, add_image_names, read_image_names};
use crate::stack::Stack;
use crate::store::StoreToml;

/// Reads the table `[metadata]`.
pub(crate) fn read_lifecycle_metadata(
    reader: &Reader<'_>,
) -> Result<LifecycleMetadata, DocumentError> {
    let sbom = reader.table("sbom")?;
    let stack = match reader.table("stack")? {
        Some(stack) => Some(Stack {
            run_image: read_names(&stack)?,
        }),
        None => None,
    };
    let run_image = match reader.table("run-image")? {
        Some(run_image) => RunImageMetadata {
            top_layer: run_image.text("top-layer")?,
            reference: run_image.text("reference")?,
            names: read_image_names(&run_image)?,
        },
        None => RunImageMetadata::default(),
    };
    Ok(LifecycleMetadata {
        app: reader.each("app", |layer| layer.text("sha"))?,
        sbom: sbom.map(|sbom| sbom.text("sha")).transpose()?,
        buildpacks: reader.each("buildpacks", read_buildpack)?,
        config: read_sha(reader, "config")?,
        launcher: read_sha(reader, "launcher")?,
        process_types: read_sha(reader, "process-types")?,
        run_image,
        stack,
    })
}

fn read_names(stack: &Reader<'_>) -> Result<RunImageNames, DocumentError> {
    match stack.table("run-image")? {
        Some(run_image) => read_image_names(&run_image),
        None => Ok(RunImageNames::default()),
    }
}

fn read_sha(reader: &Reader<'_>, name: &str) -> Result<String, DocumentError> {
    let table = reader.table(name)?;
    Ok(table
        .map(|table| table.text("sha"))
        .transpose()?
        .unwrap_or_default())
}

fn read_buildpack(reader: &Reader<'_>) -> Result<BuildpackLayers, DocumentError> {
    let store = match reader.table("store")? {
        Some(store) => Some(StoreToml {
            metadata: store.free_table("metadata")?,
        }),
        None => None,
    };
    let mut layers = indexmap::IndexMap::new();
    if let Some(table) = reader.table("layers")? {
        for (name, layer) in table.named_tables()? {
            layers.insert(name, read_layer(&layer)?);
        }
    }
    Ok(BuildpackLayers {
        id: reader.text("key")?,
        version: reader.text("version")?,
        layers,
        store,
    })
}

fn read_layer(reader: &Reader<'_>) -> Result<LayerRecord, DocumentError> {
    Ok(LayerRecord {
        sha: reader.text("sha")?,
        layer: LayerToml {
            types: read_types(reader)?,
            metadata: reader.any("metadata")?,
        },
    })
}

/// The keys of `[metadata]`, in the reference's order.
pub(crate) fn lifecycle_fields(metadata: &LifecycleMetadata) -> Fields {
    let mut fields = Fields::new();
    fields.each("app", &metadata.app, |sha| sha_fields(sha));
    if let Some(sbom) = &metadata.sbom {
        fields.table("sbom", sha_fields(sbom));
    }
    let mut run_image = Fields::new();
    run_image
        .text("top-layer", &metadata.run_image.top_layer)
        .text("reference", &metadata.run_image.reference);
    add_image_names(&mut run_image, &metadata.run_image.names);
    fields
        .each("buildpacks", &metadata.buildpacks, buildpack_fields)
        .table("config", sha_fields(&metadata.config))
        .table("launcher", sha_fields(&metadata.launcher))
        .table("process-types", sha_fields(&metadata.process_types))
        .table("run-image", run_image);
    if let Some(stack) = &metadata.stack {
        let mut names = Fields::new();
        add_image_names(&mut names, &stack.run_image);
        let mut stack = Fields::new();
        stack.table("run-image", names);
        fields.table("stack", stack);
    }
    fields
}

fn sha_fields(sha: &str) -> Fields {
    let mut fields = Fields::new();
    fields.text("sha", sha);
    fields
}

fn buildpack_fields(buildpack: &BuildpackLayers) -> Fields {
    let mut records: Vec<_> = buildpack.layers.iter().collect();
    records.sort_by_key(|(name, _)| name.as_bytes());
    let mut layers = Fields::new();
    for (name, record) in records {
        layers.table(name, layer_fields(record));
    }
    let mut fields = Fields::new();
    fields
        .text("key", &buildpack.id)
        .text("version", &buildpack.version)
        .table("layers", layers);
    if let Some(store) = &buildpack.store {
        let mut store_fields = Fields::new();
        store_fields.free_table("metadata", store.metadata.as_ref());
        fields.table("store", store_fields);
    }
    fields
}

fn layer_fields(record: &LayerRecord) -> Fields {
    let printed = |flag: bool| if flag { "true" } else { "false" };
    let types = record.layer.types;
    let mut fields = sha_fields(&record.sha);
    if let Some(metadata) = &record.layer.metadata {
        fields.value("metadata", metadata);
    }
    fields
        .raw("build", printed(types.build))
        .raw("launch", printed(types.launch))
        .raw("cache", printed(types.cache));
    fields
}
