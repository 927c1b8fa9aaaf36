//! `restorer`: brings layers of earlier builds back.

use cnbw_lifecycle::analyze::identify;
use cnbw_lifecycle::cache::Cache;
use cnbw_lifecycle::restore::{RestoreRequest, restore};
use cnbw_lifecycle::run_image::{contains, target_of};
use cnbw_oci::descriptor::Platform;
use cnbw_oci::image::Image;
use cnbw_spec::analyzed::{Analyzed, print_analyzed};
use cnbw_spec::api::PlatformApi;
use cnbw_spec::exit;
use cnbw_spec::group::{Group, parse_group};
use cnbw_spec::labels::LifecycleMetadata;

use super::builder::verify_apis;
use super::caches::{Scratch, open_cache, warn_without_cache};
use super::privileges::drop_privileges;
use super::programs::{machine, read_analyzed};
use super::run_images::read_run;
use super::stores::Stores;
use super::trees::OpenTree;
use super::{Context, Failure, read_existing, write_document};

/// Runs the phase.
pub(crate) fn run(context: &mut Context) -> Result<(), Failure> {
    warn_without_cache(context);
    let stores = Stores::open(context)?;
    let inputs = &context.inputs;
    drop_privileges(context, &[&inputs.layers_dir, &inputs.cache_dir])?;
    let group = read_existing("group file", &inputs.group_path(), parse_group)?;
    verify_apis(&group)?;
    let analyzed = match read_analyzed(context) {
        Ok(analyzed) => update_analyzed(context, &stores, analyzed, &group)?,
        // What is known of the previous image is lost, what is cached is not.
        Err(failure) => {
            let text = format!("Not using analyzed data, usable file not found: {failure}");
            context.logger.warning(&text);
            Analyzed::default()
        }
    };
    let scratch = Scratch::make(context)?;
    let cache = open_cache(context, &stores, &scratch)?;
    run_with(context, &analyzed.metadata, &group, cache.as_deref())
}

/// Restores.
pub(crate) fn run_with(
    context: &Context,
    metadata: &LifecycleMetadata,
    group: &Group,
    cache: Option<&dyn Cache>,
) -> Result<(), Failure> {
    let layers = OpenTree::open_or_make(&context.inputs.layers_dir, exit::RESTORE)?;
    let request = RestoreRequest {
        platform_api: context.inputs.platform_api,
        group: &group.group,
        layers: &layers.tree(),
        metadata,
        cache,
        skip_layers: context.inputs.skip_layers,
    };
    restore(&request, &context.logger)
        .map(drop)
        .map_err(|error| Failure::new(exit::RESTORE, "restore").because_of(error))
}

/// Adds what extensions made necessary to know, checks the run image, and writes the file anew.
fn update_analyzed(
    context: &Context,
    stores: &Stores,
    mut analyzed: Analyzed,
    group: &Group,
) -> Result<Analyzed, Failure> {
    let inputs = &context.inputs;
    let api = inputs.platform_api;
    if api >= PlatformApi::V0_10 && !inputs.build_image.is_empty() {
        let image = open(stores, &inputs.build_image, "builder image")?;
        analyzed.build_image = Some(identify(&image, stores.identity()));
    }
    check_run_image(context, stores, &analyzed)?;
    if let Some(run_image) = &mut analyzed.run_image {
        let has_target = run_image
            .target
            .as_ref()
            .is_some_and(|target| !target.os.is_empty());
        let has_extensions = !group.group_extensions.is_empty();
        if api >= PlatformApi::V0_10 && has_extensions && !has_target {
            let name = run_image.image.clone().unwrap_or_default();
            let image = open(stores, &name, "run image")?;
            run_image.reference = identify(&image, stores.identity());
            run_image.target = (api >= PlatformApi::V0_12).then(|| target_of(&image.config));
        }
    }
    write_document(
        "analyzed file",
        &inputs.analyzed_path(),
        &print_analyzed(&analyzed),
    )?;
    Ok(analyzed)
}

/// Analysis chose the run image; here it is only asked whether it can still be read.
fn check_run_image(context: &Context, stores: &Stores, analyzed: &Analyzed) -> Result<(), Failure> {
    if context.inputs.platform_api < PlatformApi::V0_14 {
        return Ok(());
    }
    let run = read_run(context)?;
    let image = analyzed
        .run_image
        .as_ref()
        .and_then(|run_image| run_image.image.as_deref());
    let image = image.unwrap_or_default();
    let is_listed = run.images.iter().any(|names| contains(names, image));
    if image.is_empty() || !is_listed || stores.is_readable(image) {
        return Ok(());
    }
    let cause = format!(
        "the selected run image `{}` is not accessible",
        image.escape_debug()
    );
    Err(Failure::new(exit::FAILED, "check the run image").because(cause))
}

fn open(stores: &Stores, name: &str, role: &str) -> Result<Image, Failure> {
    let failed = || {
        let action = format!("get {role} `{}`", name.escape_debug());
        Failure::new(exit::FAILED, action)
    };
    let platform = Platform::new("linux", machine());
    let opened = stores.source().open(name, Some(&platform));
    opened
        .map_err(|error| failed().because_of(error))?
        .ok_or_else(|| failed().because("there is no such image".to_owned()))
}
