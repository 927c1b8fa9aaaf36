//! `detector`: chooses a group of buildpacks.

use std::thread;

use cnbw_lifecycle::buildpacks::Buildpacks;
use cnbw_lifecycle::detect::{DetectError, DetectLimits, DetectRequest, Detected, detect};
use cnbw_spec::analyzed::Analyzed;
use cnbw_spec::api::PlatformApi;
use cnbw_spec::exit;
use cnbw_spec::group::print_group;
use cnbw_spec::order::{Order, parse_order};
use cnbw_spec::plan::print_plan;
use cnbw_spec::system::{System, parse_system};

use super::programs::{PhasePrograms, open_modules, read_analyzed, run_image_target, sandbox};
use super::{Context, Failure, guard_experimental, read_document, read_existing, write_document};

/// Exit status where an extension would have to change an image.
const GENERATE: u8 = 92;

/// Runs the phase.
pub(crate) fn run(context: &mut Context) -> Result<(), Failure> {
    let analyzed = read_analyzed(context)?;
    let detected = run_with(context, &analyzed)?;
    refuse_dockerfiles(context, &detected)
}

/// Detects, writes `group.toml` and `plan.toml`, and gives what they hold.
pub(crate) fn run_with(context: &Context, analyzed: &Analyzed) -> Result<Detected, Failure> {
    let inputs = &context.inputs;
    let order = read_existing("order", &inputs.order_path(), parse_order)?;
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
    let detected = detect(&request, &sandbox(), &context.logger);
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
    let system = read_document("system file", &inputs.system_path, parse_system)?;
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

/// Extensions that passed may only be such that change no image.
fn refuse_dockerfiles(context: &Context, detected: &Detected) -> Result<(), Failure> {
    let extensions = &detected.group.group_extensions;
    if extensions.is_empty() {
        return Ok(());
    }
    let root = open_modules(&context.inputs.extensions_dir, GENERATE)?;
    for element in extensions {
        let extension = &element.buildpack;
        let found = root.find(cnbw_lifecycle::buildpacks::ModuleKind::Extension, extension);
        let found = found.map_err(|error| Failure::new(GENERATE, "generate").because_of(error))?;
        let changing = [
            "bin/generate",
            "bin/generate.wasm",
            "generate/run.Dockerfile",
            "generate/build.Dockerfile",
        ];
        if let Some(path) = changing.iter().find(|it| found.dir.exists(it)) {
            return Err(Failure::new(GENERATE, "generate").because(format!(
                "extension `{extension}` has `{path}`: cnbw runs no Dockerfiles, because they need a container engine"
            )));
        }
    }
    Ok(())
}
