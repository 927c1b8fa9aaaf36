//! `analyzer`: reads the images that a build starts from.

use cnbw_lifecycle::analyze::{Analysis, AnalyzeRequest, ImageRequest, RunImageRequest, analyze};
use cnbw_oci::descriptor::Platform;
use cnbw_spec::analyzed::print_analyzed;
use cnbw_spec::exit;

use super::privileges::drop_privileges;
use super::programs::machine;
use super::run_images::{check_names, fill_run_image};
use super::stores::Stores;
use super::trees::OpenTree;
use super::{Context, Failure, guard_experimental, write_document};

/// Runs the phase.
pub(crate) fn run(context: &mut Context) -> Result<(), Failure> {
    let stores = Stores::open(context)?;
    resolve(context, &stores)?;
    if context.inputs.use_layout {
        guard_experimental("export to OCI layout", context)?;
    }
    let inputs = &context.inputs;
    let directories = [
        &*inputs.layers_dir,
        &*inputs.cache_dir,
        &*inputs.launch_cache_dir,
    ];
    drop_privileges(context, &directories)?;
    run_with(context, &stores).map(drop)
}

/// Fills in what the platform left out, and checks names.
pub(crate) fn resolve(context: &mut Context, stores: &Stores) -> Result<(), Failure> {
    if context.inputs.previous_image.is_empty() {
        let output = context.inputs.output_image.clone();
        context.inputs.previous_image = output;
    }
    fill_run_image(context, stores)?;
    warn_of_launch_cache(context);
    check_names(context)?;
    let inputs = &context.inputs;
    if inputs.parallel_export && inputs.cache_image.is_empty() && inputs.cache_dir.is_empty() {
        context.logger.warning(
            "Parallel export has been enabled, but it has not taken effect because no cache has been specified.",
        );
    }
    Ok(())
}

/// A launch cache is for daemons only.
pub(crate) fn warn_of_launch_cache(context: &Context) {
    if !context.inputs.launch_cache_dir.is_empty() {
        let text = "Ignoring -launch-cache, only intended for use with -daemon";
        context.logger.warning(text);
    }
}

/// Analyzes, writes `analyzed.toml`, and gives what was found.
pub(crate) fn run_with(context: &Context, stores: &Stores) -> Result<Analysis, Failure> {
    let inputs = &context.inputs;
    check_access(context, stores)?;
    let layers = OpenTree::open_or_make(&inputs.layers_dir, exit::ANALYZE)?;
    let named = |name| ImageRequest {
        name,
        source: stores.source(),
        identity: stores.identity(),
    };
    let request = AnalyzeRequest {
        platform_api: inputs.platform_api,
        previous_image: (!inputs.previous_image.is_empty()).then(|| named(&*inputs.previous_image)),
        run_image: (!inputs.run_image.is_empty())
            .then(|| RunImageRequest::Named(named(&*inputs.run_image))),
        platform: Some(Platform::new("linux", machine())),
        layers: &layers.tree(),
        skip_layers: inputs.skip_layers,
    };
    let analysis = analyze(&request, &context.logger)
        .map_err(|error| Failure::new(exit::ANALYZE, "analyze").because_of(error))?;
    let text = print_analyzed(&analysis.document);
    write_document("analyzed file", &inputs.analyzed_path(), &text)?;
    Ok(analysis)
}

/// Asks registries for access before any work is done. Layouts are not asked, the cache image always is.
fn check_access(context: &Context, stores: &Stores) -> Result<(), Failure> {
    let inputs = &context.inputs;
    let client = stores.client();
    let in_registry = stores.layouts().is_none();
    let is_given = |name: &&String| !name.is_empty();
    let refused = |kind: &str, name: &String, error: cnbw_registry::RegistryError| {
        let access = format!(
            "validate registry {kind} access to `{}`",
            name.escape_debug()
        );
        Failure::new(exit::ANALYZE, access).because_of(error)
    };
    let read = [&inputs.previous_image, &inputs.run_image];
    for name in read.into_iter().filter(is_given).filter(|_| in_registry) {
        client
            .check_read(name)
            .map_err(|error| refused("read", name, error))?;
    }
    let outputs = std::iter::once(&inputs.output_image).chain(&inputs.tags);
    let outputs = outputs.filter(|_| in_registry);
    for name in std::iter::once(&inputs.cache_image)
        .chain(outputs)
        .filter(is_given)
    {
        client
            .check_read_write(name)
            .map_err(|error| refused("read/write", name, error))?;
    }
    Ok(())
}
