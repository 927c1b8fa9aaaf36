//! `detector`: chooses a group of buildpacks.

use std::thread;

use cnbw_lifecycle::buildpacks::Buildpacks;
use cnbw_lifecycle::detect::{DetectError, DetectLimits, DetectRequest, Detected, detect};
use cnbw_lifecycle::generate::{GenerateError, GenerateRequest, generate};
use cnbw_spec::analyzed::{Analyzed, AnalyzedRunImage, print_analyzed};
use cnbw_spec::api::PlatformApi;
use cnbw_spec::exit;
use cnbw_spec::group::print_group;
use cnbw_spec::order::{Order, parse_order};
use cnbw_spec::plan::print_plan;
use cnbw_spec::run::{RunImageNames, parse_run};
use cnbw_spec::system::{System, parse_system};

use super::programs::{
    PhasePrograms, make_directory, open_modules, read_analyzed, run_image_target, sandbox,
};
use super::{Context, Failure, guard_experimental, read_document, read_existing, write_document};

/// Exit status where an extension would have to change an image.
const GENERATE: u8 = 92;

/// Runs the phase.
pub(crate) fn run(context: &mut Context) -> Result<(), Failure> {
    let analyzed = read_analyzed(context)?;
    let detected = run_with(context, &analyzed)?;
    apply_extensions(context, analyzed, &detected)
}

/// Detects, writes `group.toml` and `plan.toml`, and gives what they hold.
pub(crate) fn run_with(context: &Context, analyzed: &Analyzed) -> Result<Detected, Failure> {
    let inputs = &context.inputs;
    let order = read_existing("order", &inputs.order_path(), parse_order)
        .map_err(|failure| failure.while_trying_to("initialize detector: reading order"))?;
    let system = read_system(context)?;
    let buildpacks = open_modules(&inputs.buildpacks_dir, exit::FAILED)?;
    let extensions = open_extensions(context, &order)?;
    let programs = PhasePrograms::open(context, run_image_target(analyzed), exit::DETECT)?;
    let request = DetectRequest {
        platform_api: inputs.platform_api,
        order: &order,
        system: &system,
        buildpacks: &buildpacks,
        extensions: &extensions,
        programs: &programs.programs,
        workers: thread::available_parallelism().map_or(1, Into::into),
        limits: DetectLimits::default(),
    };
    let detected = detect(&request, &sandbox(context), &context.logger);
    let detected = detected.map_err(|error| failed(context, error))?;
    write_document(
        "group file",
        &inputs.group_path(),
        &print_group(&detected.group),
    )?;
    write_document(
        "plan file",
        &inputs.plan_path(),
        &print_plan(&detected.plan),
    )?;
    Ok(detected)
}

fn failed(context: &Context, error: DetectError) -> Failure {
    if matches!(error, DetectError::NoGroup | DetectError::NoGroupWithErrors) {
        context
            .logger
            .error("No buildpack groups passed detection.");
    }
    if matches!(error, DetectError::NoGroup) {
        let hint = "Please check that you are running against the correct path.";
        context.logger.error(hint);
    }
    let action = match &error {
        DetectError::Order { .. } => "initialize detector",
        DetectError::Nested { .. }
        | DetectError::Expansion(_)
        | DetectError::Resolution(_)
        | DetectError::NoGroup
        | DetectError::NoGroupWithErrors
        | DetectError::Runner { .. }
        | DetectError::Scratch { .. } => "detect",
    };
    Failure::new(error.exit_code(), action).because_of(error)
}

fn read_system(context: &Context) -> Result<System, Failure> {
    let inputs = &context.inputs;
    if inputs.platform_api < PlatformApi::V0_15 {
        return Ok(System::default());
    }
    let system = read_document("system", &inputs.system_path, parse_system)
        .map_err(|failure| failure.while_trying_to("initialize detector: reading system"))?;
    Ok(system.unwrap_or_default())
}

/// Extensions are experimental before Platform API 0.13.
fn open_extensions(context: &Context, order: &Order) -> Result<Buildpacks, Failure> {
    if order.order_extensions.is_empty() {
        return Ok(Buildpacks::new());
    }
    if context.inputs.platform_api < PlatformApi::V0_13 {
        guard_experimental("Dockerfiles", context)?;
    }
    open_modules(&context.inputs.extensions_dir, exit::FAILED)
}

/// Does what extensions that passed ask for, if it is no more than another run image.
fn apply_extensions(
    context: &Context,
    mut analyzed: Analyzed,
    detected: &Detected,
) -> Result<(), Failure> {
    let inputs = &context.inputs;
    let group_extensions = &detected.group.group_extensions;
    if group_extensions.is_empty() {
        return Ok(());
    }
    let run = read_document("run file", &inputs.run_path, parse_run)?.unwrap_or_default();
    let extensions = open_modules(&inputs.extensions_dir, GENERATE)?;
    let generated = make_directory(&inputs.generated_dir(), GENERATE)?;
    let request = GenerateRequest {
        platform_api: inputs.platform_api,
        group_extensions,
        plan: &detected.plan,
        extensions: &extensions,
        generated: &generated,
    };
    let generated = generate(&request).map_err(|error: GenerateError| {
        Failure::new(error.exit_code(), "generate").because_of(error)
    })?;
    let current = analyzed.run_image.as_ref().and_then(|it| it.image.clone());
    let is_new =
        |it: &String| inputs.platform_api < PlatformApi::V0_12 || current.as_ref() != Some(it);
    if let Some(image) = generated.run_image.filter(is_new) {
        let names =
            |it: &RunImageNames| it.image.as_ref() == Some(&image) || it.mirrors.contains(&image);
        if !run.images.iter().any(names) {
            let image = image.escape_debug();
            let warning = format!("new runtime base image '{image}' not found in run metadata");
            context.logger.warning(&warning);
        }
        // What is known of the old image says nothing about this one.
        analyzed.run_image = Some(AnalyzedRunImage {
            reference: image.clone(),
            image: Some(image),
            extend: false,
            target: None,
        });
    }
    let text = print_analyzed(&analyzed);
    write_document("analyzed file", &inputs.analyzed_path(), &text)?;
    write_document(
        "plan file",
        &inputs.plan_path(),
        &print_plan(&generated.plan),
    )
}
