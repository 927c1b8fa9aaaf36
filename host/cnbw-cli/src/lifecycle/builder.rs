//! `builder`: runs the build programs of the chosen group.

use cnbw_lifecycle::build::{BuildError, BuildRequest, Built, build};
use cnbw_lifecycle::programs::GuestDirectory;
use cnbw_spec::analyzed::Analyzed;
use cnbw_spec::api::BuildpackApi;
use cnbw_spec::exit;
use cnbw_spec::group::{Group, parse_group};
use cnbw_spec::plan::{Plan, parse_plan};

use super::programs::{
    PhasePrograms, open_directory, open_modules, read_analyzed, run_image_target, sandbox,
};
use super::{Context, Failure, read_existing};

/// Runs the phase.
pub(crate) fn run(context: &mut Context) -> Result<(), Failure> {
    let inputs = &context.inputs;
    let group = read_existing("group file", &inputs.group_path(), parse_group)?;
    let plan = read_existing("plan file", &inputs.plan_path(), parse_plan)?;
    verify_apis(&group)?;
    let analyzed = read_analyzed(context)?;
    run_with(context, &group, &plan, &analyzed).map(drop)
}

/// Builds; `metadata.toml` is written into the layers directory.
pub(crate) fn run_with(
    context: &Context,
    group: &Group,
    plan: &Plan,
    analyzed: &Analyzed,
) -> Result<Built, Failure> {
    let inputs = &context.inputs;
    let programs = PhasePrograms::open(context, run_image_target(analyzed), exit::BUILD)?;
    let buildpacks = open_modules(&inputs.buildpacks_dir, exit::BUILD)?;
    let layers = GuestDirectory {
        guest_path: inputs.layers_dir.clone(),
        dir: open_directory(&inputs.layers_dir, exit::BUILD)?,
    };
    let request = BuildRequest {
        platform_api: inputs.platform_api,
        group,
        plan,
        buildpacks: &buildpacks,
        programs: &programs.programs,
        layers: &layers,
    };
    let built = build(&request, &sandbox(context), &context.logger);
    built.map_err(|error: BuildError| Failure::new(error.exit_code(), "build").because_of(error))
}

/// Every phase that reads a group refuses Buildpack APIs that are not implemented.
pub(crate) fn verify_apis(group: &Group) -> Result<(), Failure> {
    for element in &group.group {
        let api = element.api.as_deref().unwrap_or_default();
        BuildpackApi::parse(api).map_err(|error| {
            let action = format!("set API for buildpack `{}`", element.buildpack);
            Failure::new(exit::BUILDPACK_API, action).because_of(error)
        })?;
    }
    Ok(())
}
