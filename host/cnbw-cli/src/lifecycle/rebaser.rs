//! `rebaser`: puts a new run image below an application.

use cnbw_lifecycle::analyze::identify;
use cnbw_lifecycle::rebase::{RebaseRequest, rebase, run_image_names};
use cnbw_lifecycle::report::image_report;
use cnbw_oci::descriptor::Platform;
use cnbw_oci::image::{Image, ImageSource};
use cnbw_spec::exit;
use cnbw_spec::report::print_rebase_report;

use super::privileges::drop_privileges;
use super::programs::machine;
use super::run_images::{best_name, check_names, output_names};
use super::stores::Stores;
use super::{Context, Failure, write_document};

/// Runs the phase.
pub(crate) fn run(context: &mut Context) -> Result<(), Failure> {
    take_deprecated_flag(context)?;
    check_names(context)?;
    let stores = Stores::open(context)?;
    let inputs = &context.inputs;
    let app_name = match &*inputs.previous_image {
        "" => inputs.output_image.clone(),
        previous => previous.to_owned(),
    };
    let app = open_app(&stores, &app_name)?;
    if context.inputs.run_image.is_empty() {
        context.inputs.run_image = run_image_of(context, &stores, &app, &app_name)?;
    }
    drop_privileges(context, &[])?;
    let inputs = &context.inputs;
    let run_image = open_run_image(&stores, &inputs.run_image)?;
    let names = output_names(context);
    let request = RebaseRequest {
        platform_api: inputs.platform_api,
        app: &app,
        run_image: &run_image,
        run_image_name: Some(&inputs.run_image),
        run_image_reference: &identify(&run_image, stores.identity()),
        force: inputs.force,
        names: &names,
    };
    let written = rebase(&request, stores.client(), &context.logger)
        .map_err(|error| failed("rebase").because_of(error))?;
    let report = print_rebase_report(&image_report(&names, &written, true));
    write_document("rebase report", &inputs.report_path(), &report)
        .map_err(|failure| failure.with_code(exit::REBASE))
}

fn failed(action: &str) -> Failure {
    Failure::new(exit::REBASE, action)
}

/// `-image` is the old name of `-run-image`.
fn take_deprecated_flag(context: &mut Context) -> Result<(), Failure> {
    let inputs = &mut context.inputs;
    if inputs.deprecated_run_image.is_empty() {
        return Ok(());
    }
    if inputs.run_image != inputs.run_image_variable {
        let cause = "supply only one of -run-image or (deprecated) -image";
        return Err(Failure::new(exit::INVALID_ARGS, "resolve inputs").because(cause.to_owned()));
    }
    inputs.run_image.clone_from(&inputs.deprecated_run_image);
    Ok(())
}

fn open_app(stores: &Stores, name: &str) -> Result<Image, Failure> {
    let action = "access image to rebase";
    let opened = open(stores, name).map_err(|error| failed(action).because_of(error))?;
    opened.ok_or_else(|| {
        let cause = format!("there is no image `{}`", name.escape_debug());
        failed(action).because(cause)
    })
}

fn open_run_image(stores: &Stores, name: &str) -> Result<Image, Failure> {
    let failed = || Failure::new(exit::FAILED, "access run image");
    let opened = open(stores, name).map_err(|error| failed().because_of(error))?;
    opened.ok_or_else(|| {
        let cause = format!("there is no image `{}`", name.escape_debug());
        failed().because(cause)
    })
}

fn open(stores: &Stores, name: &str) -> Result<Option<Image>, cnbw_oci::image::StoreError> {
    let platform = Platform::new("linux", machine());
    stores.client().open(name, Some(&platform))
}

/// The run image that the application's label names, by the mirror that is nearest.
fn run_image_of(
    context: &Context,
    stores: &Stores,
    app: &Image,
    app_name: &str,
) -> Result<String, Failure> {
    let names = run_image_names(&app.config, context.inputs.platform_api)
        .map_err(|error| failed("read the label of the image").because_of(error))?;
    if names.image.is_none() {
        let cause = "-run-image is required when there is no run image metadata available";
        return Err(failed("set app image").because(cause.to_owned()));
    }
    best_name(app_name, &names, stores).map_err(|error| failed("set app image").because_of(error))
}
