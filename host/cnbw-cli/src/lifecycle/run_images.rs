//! Which run image a platform means: by flag, by `run.toml` or by `stack.toml`.

use std::collections::BTreeSet;

use cnbw_lifecycle::run_image::{SelectError, names_for_label, select_run_image};
use cnbw_oci::reference::{ReferenceError, RegistryRef};
use cnbw_spec::analyzed::Analyzed;
use cnbw_spec::exit;
use cnbw_spec::run::{Run, RunImageNames, parse_run};
use cnbw_spec::stack::{Stack, parse_stack};

use super::stores::Stores;
use super::{Context, Failure, read_document};

fn invalid(action: &str, error: impl std::error::Error) -> Failure {
    Failure::new(exit::INVALID_ARGS, action).because_of(error)
}

/// Checks that names are names, and that everything that is written goes to one registry.
pub(crate) fn check_names(context: &Context) -> Result<(), Failure> {
    let inputs = &context.inputs;
    let wrong = |error: ReferenceError| invalid("resolve inputs", error);
    if inputs.output_image.is_empty() {
        let failure = Failure::new(exit::INVALID_ARGS, "resolve inputs");
        return Err(failure.because("image argument is required".to_owned()));
    }
    let given = [
        &inputs.previous_image,
        &inputs.build_image,
        &inputs.run_image,
        &inputs.deprecated_run_image,
        &inputs.cache_image,
    ];
    let is_path = |name: &str| inputs.use_layout && name.starts_with('/');
    for name in given
        .into_iter()
        .filter(|name| !name.is_empty() && !is_path(name))
    {
        parse_loosely(name).map_err(wrong)?;
    }
    let mut registries = BTreeSet::new();
    for name in std::iter::once(&inputs.output_image).chain(&inputs.tags) {
        registries.insert(parse_loosely(name).map_err(wrong)?.registry);
    }
    if registries.len() > 1 {
        let failure = Failure::new(exit::INVALID_ARGS, "resolve inputs");
        return Err(failure.because("writing to multiple registries is unsupported".to_owned()));
    }
    Ok(())
}

/// Reads a name as the reference does at this point: it lets double slashes pass, and fails when the image is asked for.
fn parse_loosely(name: &str) -> Result<RegistryRef, ReferenceError> {
    name.parse().or_else(|error| {
        let single = name.split('/').filter(|part| !part.is_empty());
        let single = single.collect::<Vec<_>>().join("/");
        single.parse().map_err(|_| error)
    })
}

/// Names all output images: the argument, then further tags, each once.
pub(crate) fn output_names(context: &Context) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in std::iter::once(&context.inputs.output_image).chain(&context.inputs.tags) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Fills in the run image where the platform gave none.
pub(crate) fn fill_run_image(context: &mut Context, stores: &Stores) -> Result<(), Failure> {
    if !context.inputs.run_image.is_empty() {
        return Ok(());
    }
    let names = if context.inputs.platform_api.reads_run_toml() {
        let run = read_run(context).map_err(|failure| as_inputs(&failure))?;
        run.images.into_iter().next().ok_or_else(|| {
            let cause = "-run-image is required when there is no run metadata available";
            Failure::new(exit::INVALID_ARGS, "resolve inputs").because(cause.to_owned())
        })?
    } else {
        read_stack(context)
            .map_err(|failure| as_inputs(&failure))?
            .run_image
    };
    let output = &context.inputs.output_image;
    let selected = best_name(output, &names, stores);
    context.inputs.run_image = selected.map_err(|error| invalid("resolve inputs", error))?;
    Ok(())
}

fn as_inputs(failure: &Failure) -> Failure {
    Failure::new(exit::INVALID_ARGS, "resolve inputs").because(failure.to_string())
}

/// Chooses among names for an image that goes to, or is in, the registry of `near`.
pub(crate) fn best_name(
    near: &str,
    names: &RunImageNames,
    stores: &Stores,
) -> Result<String, SelectError> {
    let registry = near
        .parse::<RegistryRef>()
        .map(|reference| reference.registry);
    let registry = registry.unwrap_or_default();
    select_run_image(&registry, names, &mut |name| stores.is_readable(name))
}

pub(crate) fn read_run(context: &Context) -> Result<Run, Failure> {
    let path = &context.inputs.run_path;
    let run = read_document("run file", path, parse_run)?;
    Ok(run.unwrap_or_else(|| {
        let text = format!("No run metadata found at path \"{path}\"");
        context.logger.info(&text);
        Run::default()
    }))
}

fn read_stack(context: &Context) -> Result<Stack, Failure> {
    let path = &context.inputs.stack_path;
    let stack = read_document("stack file", path, parse_stack)?;
    Ok(stack.unwrap_or_else(|| {
        let text = format!("No stack metadata found at path \"{path}\"");
        context.logger.info(&text);
        Stack::default()
    }))
}

/// The run image's names for the label of a new image.
pub(crate) fn names_for_export(
    context: &Context,
    analyzed: &Analyzed,
    has_extensions: bool,
) -> Result<RunImageNames, Failure> {
    if !context.inputs.platform_api.reads_run_toml() {
        return Ok(read_stack(context)?.run_image);
    }
    let run_image = analyzed.run_image.as_ref();
    let image = run_image.and_then(|run_image| run_image.image.as_deref());
    let run = read_run(context)?;
    Ok(names_for_label(
        &run,
        image.unwrap_or_default(),
        has_extensions,
    ))
}
