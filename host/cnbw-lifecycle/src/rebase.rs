//! Rebase: puts a new run image below an application, by editing documents alone.

use std::collections::BTreeSet;

use cnbw_oci::compress::Compression;
use cnbw_oci::config::ImageConfig;
use cnbw_oci::image::{
    Image, ImageSink, LayerContent, NewImage, NewLayer, StoreError, WrittenImage,
};
use cnbw_oci::layer::NORMALIZED_TIME;
use cnbw_oci::manifest::Family;
use cnbw_spec::api::PlatformApi;
use cnbw_spec::labels;
use cnbw_spec::run::RunImageNames;
use cnbw_spec::target::TargetMetadata;
use serde_json::{Map, Value, json};

use crate::assemble::{history_of, set_times};
use crate::event::Event;
use crate::ports::Events;
use crate::run_image::{contains, target_of};

const APP: &str = "application image";
const RUN_IMAGE: &str = "new run image";

/// What a rebase is given.
#[derive(Debug)]
pub struct RebaseRequest<'a> {
    /// Version of the Platform API.
    pub platform_api: PlatformApi,
    /// The application's image.
    pub app: &'a Image,
    /// The new run image.
    pub run_image: &'a Image,
    /// Name of the new run image, as given or as chosen among mirrors. `None` for a local file, whose name says nothing
    /// to others: it is neither compared with the names that the application knows nor written down.
    pub run_image_name: Option<&'a str>,
    /// What identifies the new run image in the label.
    pub run_image_reference: &'a str,
    /// Goes on with a warning where a check fails.
    pub force: bool,
    /// Names of the new image, as the sink understands them; the first is the main one.
    pub names: &'a [String],
}

/// Why a rebase was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum RebaseError {
    /// The image says that it must not be rebased.
    #[error("the application image is not marked as rebasable")]
    NotRebasable,
    /// The run image is for something else.
    #[error("the new run image is for {new}, the application image for {old}")]
    Target {
        /// Target of the new run image.
        new: String,
        /// Target of the application image.
        old: String,
    },
    /// The run image is none of those that the image was made for.
    #[error("run image `{}` is not among those that the application image names: {known}", name.escape_debug())]
    UnknownRunImage {
        /// The new run image.
        name: String,
        /// The names in the label.
        known: String,
    },
    /// One of the images names no stack.
    #[error("the {role} names no stack")]
    NoStack {
        /// `application image` or `new run image`.
        role: &'static str,
    },
    /// The stacks differ.
    #[error("stack `{}` of the new run image is not stack `{}` of the application image", new.escape_debug(), old.escape_debug())]
    Stack {
        /// Stack of the new run image.
        new: String,
        /// Stack of the application image.
        old: String,
    },
    /// The run image lacks mixins.
    #[error("the new run image lacks the mixins {missing}")]
    Mixins {
        /// What is missing.
        missing: String,
    },
    /// A label cannot be understood.
    #[error("label `{label}` of the {role} cannot be understood: {reason}")]
    Label {
        /// The label.
        label: &'static str,
        /// `application image` or `new run image`.
        role: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The recorded top layer of the run image is not in the image.
    #[error("the application image has no layer `{}`, which its label calls the top layer of the run image", top_layer.escape_debug())]
    NoTopLayer {
        /// The recorded diff ID.
        top_layer: String,
    },
    /// The new run image has no layers.
    #[error("the new run image has no layers")]
    EmptyRunImage,
    /// The image could not be written.
    #[error("cannot write the image")]
    Store {
        /// The cause.
        source: StoreError,
    },
}

/// Puts the new run image below the application. No layer is read.
pub fn rebase(
    request: &RebaseRequest<'_>,
    sink: &dyn ImageSink,
    events: &dyn Events,
) -> Result<WrittenImage, RebaseError> {
    check(request, events)?;
    let label = request.app.config.label(labels::LIFECYCLE_METADATA);
    let mut metadata = Metadata::parse(label.unwrap_or_default())?;
    let kept = layers_above(request.app, &metadata.top_layer())?;
    let top_layer = request.run_image.config.rootfs.diff_ids.last();
    let top_layer = top_layer.ok_or(RebaseError::EmptyRunImage)?;
    metadata.set_run_image("topLayer", &top_layer.to_string());
    metadata.set_run_image("reference", request.run_image_reference);
    let has_names = request.platform_api >= PlatformApi::V0_12;
    if let Some(name) = request.run_image_name.filter(|_| has_names)
        && !metadata.names(name)
    {
        let refusal = RebaseError::UnknownRunImage {
            name: name.to_owned(),
            known: metadata.known(),
        };
        force(request, refusal, events)?;
        metadata.rename(name);
    }

    let family = request.app.manifest.family();
    let new_base = layers_of(request.run_image, 0);
    let layers: Vec<NewLayer> = new_base
        .chain(layers_of(request.app, kept))
        .map(|layer| in_family(layer, family))
        .collect();
    let mut config = new_config(request, &layers);
    config.set_label(labels::LIFECYCLE_METADATA, metadata.print());
    let image = NewImage {
        family,
        config,
        layers,
        annotations: request.app.manifest.annotations.clone(),
    };
    let main = request.names.first().map_or("", String::as_str);
    events.emit(Event::Info(&format!("Saving {main}...")));
    sink.write(image, request.names)
        .map_err(|source| RebaseError::Store { source })
}

/// Compares the two images by the rules of the Platform API under which the application was built.
fn check(request: &RebaseRequest<'_>, events: &dyn Events) -> Result<(), RebaseError> {
    if is_of_stack_times(request.app.config.env("CNB_PLATFORM_API")) {
        return check_stacks(&request.app.config, &request.run_image.config);
    }
    if request.app.config.label(labels::REBASABLE) == Some("false") {
        force(request, RebaseError::NotRebasable, events)?;
    }
    let old = target_of(&request.app.config);
    let new = target_of(&request.run_image.config);
    if new.accepts_rebase_of(&old) {
        return Ok(());
    }
    let refusal = RebaseError::Target {
        new: describe(&new),
        old: describe(&old),
    };
    force(request, refusal, events)
}

/// Turns a refusal into a warning if the user insists.
fn force(
    request: &RebaseRequest<'_>,
    refusal: RebaseError,
    events: &dyn Events,
) -> Result<(), RebaseError> {
    if !request.force {
        return Err(refusal);
    }
    events.emit(Event::Warning(&refusal.to_string()));
    Ok(())
}

/// Before Platform API 0.12 images were made for stacks. What names no version is as old.
fn is_of_stack_times(api: Option<&str>) -> bool {
    let text = api.unwrap_or_default();
    let mut numbers = text
        .trim_start_matches('v')
        .split('.')
        .map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(0)), Some(Ok(minor))) => minor < 12,
        (Some(Ok(0) | Err(_)) | None, _) => true,
        (Some(Ok(_)), _) => false,
    }
}

fn check_stacks(app: &ImageConfig, run_image: &ImageConfig) -> Result<(), RebaseError> {
    let stack = |config: &ImageConfig, role| match config.label(labels::STACK_ID) {
        Some(id) if !id.is_empty() => Ok(id.to_owned()),
        _ => Err(RebaseError::NoStack { role }),
    };
    let old = stack(app, APP)?;
    let new = stack(run_image, RUN_IMAGE)?;
    if old != new {
        return Err(RebaseError::Stack { new, old });
    }
    let have = mixins(run_image, RUN_IMAGE)?;
    let missing: Vec<String> = mixins(app, APP)?
        .into_iter()
        .filter(|mixin| !have.contains(mixin))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(RebaseError::Mixins {
        missing: missing.join(", "),
    })
}

/// The mixins of a stack, without the stage that they are for.
fn mixins(config: &ImageConfig, role: &'static str) -> Result<BTreeSet<String>, RebaseError> {
    let Some(label) = config
        .label(labels::STACK_MIXINS)
        .filter(|label| !label.is_empty())
    else {
        return Ok(BTreeSet::new());
    };
    let mixins: Vec<String> = serde_json::from_str(label).map_err(|error| RebaseError::Label {
        label: labels::STACK_MIXINS,
        role,
        reason: error.to_string(),
    })?;
    let without_stage = |mixin: String| match mixin.split_once(':') {
        Some((_, name)) => name.to_owned(),
        None => mixin,
    };
    Ok(mixins.into_iter().map(without_stage).collect())
}

fn describe(target: &TargetMetadata) -> String {
    let mut text = format!("{}/{}", target.os, target.arch);
    if !target.variant.is_empty() {
        text = format!("{text}/{}", target.variant);
    }
    if let Some(distro) = &target.distro {
        text = format!("{text} on {} {}", distro.name, distro.version);
    }
    text
}

/// Index of the first layer above the run image's top layer.
fn layers_above(image: &Image, top_layer: &str) -> Result<usize, RebaseError> {
    let diff_ids = &image.config.rootfs.diff_ids;
    let found = diff_ids
        .iter()
        .position(|diff_id| diff_id.to_string() == top_layer);
    match found {
        Some(index) => Ok(index + 1),
        None => Err(RebaseError::NoTopLayer {
            top_layer: top_layer.to_owned(),
        }),
    }
}

fn layers_of(image: &Image, from: usize) -> impl Iterator<Item = NewLayer> + '_ {
    let diff_ids = image.config.rootfs.diff_ids.iter();
    diff_ids
        .zip(&image.manifest.layers)
        .skip(from)
        .map(|(diff_id, descriptor)| NewLayer {
            diff_id: *diff_id,
            content: LayerContent::Existing {
                descriptor: descriptor.clone(),
                blobs: image.blobs.clone(),
            },
        })
}

/// The same blob under the media type of a family.
fn in_family(mut layer: NewLayer, family: Family) -> NewLayer {
    if let LayerContent::Existing { descriptor, .. } = &mut layer.content {
        let compression = Compression::of_media_type(&descriptor.media_type);
        if let Some(media_type) = family.layer(compression) {
            media_type.clone_into(&mut descriptor.media_type);
        }
    }
    layer
}

/// What a container is started with stays the application's; what the image is for becomes the run image's.
fn new_config(request: &RebaseRequest<'_>, layers: &[NewLayer]) -> ImageConfig {
    let base = &request.run_image.config;
    let mut config = ImageConfig {
        architecture: base.architecture.clone(),
        os: base.os.clone(),
        os_version: base.os_version.clone(),
        os_features: base.os_features.clone(),
        variant: base.variant.clone(),
        config: request.app.config.config.clone(),
        ..ImageConfig::default()
    };
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    config.history = history_of(&config, false);
    set_times(&mut config, NORMALIZED_TIME);
    let follows = |name: &str| {
        name.starts_with("io.buildpacks.stack.")
            || (request.platform_api >= PlatformApi::V0_12
                && name.starts_with("io.buildpacks.base."))
    };
    config.config.labels.retain(|name, _| !follows(name));
    let new = base.config.labels.iter().filter(|(name, _)| follows(name));
    let new: Vec<(String, String)> = new
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    config.config.labels.extend(new);
    config
}

/// The metadata label, edited as JSON: what this version reads in another shape, or not at all, stays as it is.
struct Metadata(Map<String, Value>);

/// Keys that survive; what else is in the label belongs to somebody who did not expect a rebase.
const KEYS: [&str; 8] = [
    "app",
    "sbom",
    "buildpacks",
    "config",
    "launcher",
    "process-types",
    "runImage",
    "stack",
];
const RUN_IMAGE_KEYS: [&str; 4] = ["topLayer", "reference", "image", "mirrors"];

impl Metadata {
    fn parse(label: &str) -> Result<Self, RebaseError> {
        if label.is_empty() {
            return Ok(Self(Map::new()));
        }
        let mut map: Map<String, Value> =
            serde_json::from_str(label).map_err(|error| RebaseError::Label {
                label: labels::LIFECYCLE_METADATA,
                role: APP,
                reason: error.to_string(),
            })?;
        map.retain(|key, _| KEYS.contains(&key.as_str()));
        if let Some(Value::Object(run_image)) = map.get_mut("runImage") {
            run_image.retain(|key, _| RUN_IMAGE_KEYS.contains(&key.as_str()));
        }
        Ok(Self(map))
    }

    fn top_layer(&self) -> String {
        let run_image = self.0.get("runImage");
        let top_layer = run_image.and_then(|run_image| run_image.get("topLayer"));
        top_layer
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    fn set_run_image(&mut self, key: &str, value: &str) {
        let run_image = self.0.entry("runImage").or_insert_with(|| json!({}));
        if !run_image.is_object() {
            *run_image = json!({});
        }
        if let Some(run_image) = run_image.as_object_mut() {
            run_image.insert(key.to_owned(), json!(value));
        }
    }

    /// Names in the label, first those of the run image, then those of the stack.
    fn all_names(&self) -> [RunImageNames; 2] {
        let stack = self.0.get("stack").and_then(|stack| stack.get("runImage"));
        [self.0.get("runImage"), stack].map(names_in)
    }

    fn names(&self, name: &str) -> bool {
        self.all_names().iter().any(|names| contains(names, name))
    }

    fn known(&self) -> String {
        let names = self.all_names();
        let mut all: Vec<&String> = Vec::new();
        for name in names
            .iter()
            .flat_map(|names| names.image.iter().chain(&names.mirrors))
        {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        match all.as_slice() {
            [] => "none".to_owned(),
            _ => all
                .into_iter()
                .map(|name| format!("`{}`", name.escape_debug()))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    /// From now on the application belongs to this run image, and nobody knows of mirrors.
    fn rename(&mut self, name: &str) {
        self.set_run_image("image", name);
        if let Some(Value::Object(run_image)) = self.0.get_mut("runImage") {
            run_image.remove("mirrors");
        }
        self.0
            .insert("stack".to_owned(), json!({"runImage": {"image": name}}));
    }

    fn print(self) -> String {
        Value::Object(self.0).to_string()
    }
}

/// Reads name and mirrors of a run image in a label, as far as they are texts.
fn names_in(run_image: Option<&Value>) -> RunImageNames {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let get = |key: &str| run_image.and_then(|run_image| run_image.get(key));
    RunImageNames {
        image: get("image")
            .and_then(text)
            .filter(|image| !image.is_empty()),
        mirrors: match get("mirrors") {
            Some(Value::Array(mirrors)) => mirrors.iter().filter_map(text).collect(),
            _ => Vec::new(),
        },
    }
}

/// The names under which an application's label knows its run image, for a rebase that is given none.
pub fn run_image_names(app: &ImageConfig, api: PlatformApi) -> Result<RunImageNames, RebaseError> {
    let label = app.label(labels::LIFECYCLE_METADATA).unwrap_or_default();
    let [run_image, stack] = Metadata::parse(label)?.all_names();
    if api >= PlatformApi::V0_12 && run_image.image.is_some() {
        return Ok(run_image);
    }
    Ok(stack)
}

#[cfg(test)]
mod tests;
