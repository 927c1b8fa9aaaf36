//! Labels as JSON, with the reference's keys in the reference's order.

use super::{
    BUILD_METADATA, BuildpackLayers, CACHE_METADATA, CacheMetadata, LIFECYCLE_METADATA, LabelError,
    LauncherMetadata, LayerRecord, LifecycleMetadata, PROJECT_METADATA,
};
use crate::api::PlatformApi;
use crate::group::GroupElement;
use crate::json::{Json, NoSuchNumber};
use crate::metadata::{BomEntry, BuildMetadata, Process};
use crate::project_metadata::ProjectMetadata;
use crate::run::RunImageNames;
use crate::value::Table;

/// Prints the label [`LIFECYCLE_METADATA`].
pub fn print_lifecycle_metadata(metadata: &LifecycleMetadata) -> Result<String, LabelError> {
    print(LIFECYCLE_METADATA, &lifecycle_object(metadata))
}

/// Prints what a cache remembers.
pub fn print_cache_metadata(metadata: &CacheMetadata) -> Result<String, LabelError> {
    let object = Json::Object(vec![
        ("sbom", sha_object(&metadata.sbom)),
        ("buildpacks", list(&metadata.buildpacks, buildpack_object)),
    ]);
    print(CACHE_METADATA, &object)
}

/// Prints the label [`BUILD_METADATA`]. Before Platform API 0.9 it has the old bill of materials.
pub fn print_build_label(
    metadata: &BuildMetadata,
    launcher: &LauncherMetadata,
    api: PlatformApi,
) -> Result<String, LabelError> {
    let mut entries = Vec::new();
    if !api.writes_legacy_bom_files() {
        entries.push(("bom", list_or_null(&metadata.bom, bom_object)));
    }
    entries.push((
        "buildpacks",
        list_or_null(&metadata.buildpacks, element_object),
    ));
    if !metadata.extensions.is_empty() {
        entries.push(("extensions", list(&metadata.extensions, element_object)));
    }
    entries.push(("launcher", launcher_object(launcher)));
    let process_object = |process: &Process| process_object(process.clone().for_platform(api), api);
    entries.push(("processes", list(&metadata.processes, process_object)));
    let default_type = metadata.buildpack_default_process_type.as_deref();
    push_filled(&mut entries, "buildpack-default-process-type", default_type);
    print(BUILD_METADATA, &Json::Object(entries))
}

/// Prints the label [`PROJECT_METADATA`].
pub fn print_project_label(metadata: &ProjectMetadata) -> Result<String, LabelError> {
    let mut entries = Vec::new();
    if let Some(source) = &metadata.source {
        let mut object = Vec::new();
        push_filled(&mut object, "type", Some(&source.source_type));
        push_filled_table(&mut object, "version", source.version.as_ref());
        push_filled_table(&mut object, "metadata", source.metadata.as_ref());
        entries.push(("source", Json::Object(object)));
    }
    print(PROJECT_METADATA, &Json::Object(entries))
}

/// Prints `sbom.legacy.json`: the old bill of materials, or `null`, and a newline.
pub fn print_legacy_bom(entries: &[BomEntry]) -> Result<String, LabelError> {
    let mut text = print("sbom.legacy.json", &list_or_null(entries, bom_object))?;
    text.push('\n');
    Ok(text)
}

fn print(label: &'static str, json: &Json) -> Result<String, LabelError> {
    json.print()
        .map_err(|NoSuchNumber { key, value }| LabelError {
            label,
            key,
            value: value.to_string(),
        })
}

fn lifecycle_object(metadata: &LifecycleMetadata) -> Json {
    let mut entries = vec![("app", list(&metadata.app, |sha| sha_object(sha)))];
    if let Some(sbom) = &metadata.sbom {
        entries.push(("sbom", sha_object(sbom)));
    }
    let mut run_image = vec![
        ("topLayer", Json::text(&metadata.run_image.top_layer)),
        ("reference", Json::text(&metadata.run_image.reference)),
    ];
    run_image.extend(image_names(&metadata.run_image.names));
    entries.extend([
        ("buildpacks", list(&metadata.buildpacks, buildpack_object)),
        ("config", sha_object(&metadata.config)),
        ("launcher", sha_object(&metadata.launcher)),
        ("process-types", sha_object(&metadata.process_types)),
        ("runImage", Json::Object(run_image)),
    ]);
    if let Some(stack) = &metadata.stack {
        let run_image = Json::Object(image_names(&stack.run_image));
        entries.push(("stack", Json::Object(vec![("runImage", run_image)])));
    }
    Json::Object(entries)
}

fn buildpack_object(buildpack: &BuildpackLayers) -> Json {
    let layers = buildpack.layers.iter();
    let layers = layers.map(|(name, record)| (name.clone(), layer_object(record)));
    let mut entries = vec![
        ("key", Json::text(&buildpack.id)),
        ("version", Json::text(&buildpack.version)),
        ("layers", Json::Map(layers.collect())),
    ];
    if let Some(store) = &buildpack.store {
        let metadata = Json::free_table(store.metadata.as_ref());
        entries.push(("store", Json::Object(vec![("metadata", metadata)])));
    }
    Json::Object(entries)
}

fn layer_object(record: &LayerRecord) -> Json {
    let types = record.layer.types;
    Json::Object(vec![
        ("sha", Json::text(&record.sha)),
        ("data", Json::free(record.layer.metadata.as_ref())),
        ("build", Json::Bool(types.build)),
        ("launch", Json::Bool(types.launch)),
        ("cache", Json::Bool(types.cache)),
    ])
}

fn element_object(element: &GroupElement) -> Json {
    let mut entries = vec![
        ("id", Json::text(element.buildpack.id.as_str())),
        ("version", Json::text(element.buildpack.version.as_str())),
    ];
    push_filled(&mut entries, "homepage", element.homepage.as_deref());
    push_flag(&mut entries, "optional", element.optional);
    Json::Object(entries)
}

fn bom_object(entry: &BomEntry) -> Json {
    let mut entries = vec![("name", Json::text(&entry.require.name))];
    push_filled(&mut entries, "version", entry.require.version.as_deref());
    entries.push((
        "metadata",
        Json::free_table(entry.require.metadata.as_ref()),
    ));
    entries.push(("buildpack", element_object(&entry.buildpack)));
    Json::Object(entries)
}

fn launcher_object(launcher: &LauncherMetadata) -> Json {
    let git = Json::Object(vec![
        ("repository", Json::text(&launcher.repository)),
        ("commit", Json::text(&launcher.commit)),
    ]);
    Json::Object(vec![
        ("version", Json::text(&launcher.version)),
        ("source", Json::Object(vec![("git", git)])),
    ])
}

fn process_object(process: Process, api: PlatformApi) -> Json {
    let command = if api.has_command_lists() {
        Json::texts(&process.command)
    } else {
        Json::text(process.command.first().map_or("", String::as_str))
    };
    let mut entries = vec![
        ("type", Json::Text(process.process_type)),
        ("command", command),
        (
            "args",
            process.args.map_or(Json::Null, |args| Json::texts(&args)),
        ),
        ("direct", Json::Bool(process.direct)),
    ];
    push_flag(&mut entries, "default", process.default);
    entries.push(("buildpackID", Json::Text(process.buildpack_id)));
    push_filled(&mut entries, "working-dir", process.working_dir.as_deref());
    if !process.exec_env.is_empty() {
        entries.push(("exec-env", Json::texts(&process.exec_env)));
    }
    Json::Object(entries)
}

fn sha_object(sha: &str) -> Json {
    Json::Object(vec![("sha", Json::text(sha))])
}

fn image_names(names: &RunImageNames) -> Vec<(&'static str, Json)> {
    let mut entries = Vec::new();
    push_filled(&mut entries, "image", names.image.as_deref());
    if !names.mirrors.is_empty() {
        entries.push(("mirrors", Json::texts(&names.mirrors)));
    }
    entries
}

fn push_filled(entries: &mut Vec<(&'static str, Json)>, key: &'static str, text: Option<&str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        entries.push((key, Json::text(text)));
    }
}

fn push_flag(entries: &mut Vec<(&'static str, Json)>, key: &'static str, flag: bool) {
    if flag {
        entries.push((key, Json::Bool(true)));
    }
}

fn push_filled_table(
    entries: &mut Vec<(&'static str, Json)>,
    key: &'static str,
    table: Option<&Table>,
) {
    if table.is_some_and(|table| !table.is_empty()) {
        entries.push((key, Json::free_table(table)));
    }
}

fn list<T>(items: &[T], object: impl Fn(&T) -> Json) -> Json {
    Json::List(items.iter().map(object).collect())
}

/// Lists that the reference never makes unless there is something to put in.
fn list_or_null<T>(items: &[T], object: impl Fn(&T) -> Json) -> Json {
    if items.is_empty() {
        Json::Null
    } else {
        list(items, object)
    }
}
