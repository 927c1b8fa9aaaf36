//! `creator`: all phases in one.

use cnbw_spec::api::PlatformApi;
use cnbw_spec::exit;

use super::caches::{Scratch, open_cache, warn_without_cache};
use super::privileges::drop_privileges;
use super::stores::Stores;
use super::{
    Context, Failure, analyzer, builder, detector, exporter, guard_experimental, restorer,
};

/// Runs the phases.
pub(crate) fn run(context: &mut Context) -> Result<(), Failure> {
    let stores = Stores::open(context)?;
    analyzer::resolve(context, &stores)?;
    warn_without_cache(context);
    if context.inputs.use_layout {
        guard_experimental("export to OCI layout", context)?;
    }
    let inputs = &context.inputs;
    drop_privileges(
        context,
        &[
            &inputs.cache_dir,
            &inputs.launch_cache_dir,
            &inputs.layers_dir,
        ],
    )?;
    set_home(context);
    let scratch = Scratch::make(context)?;
    let cache = open_cache(context, &stores, &scratch)?;

    context.logger.heading("ANALYZING");
    let analyzed = analyzer::run_with(context, &stores)?.document;

    context.logger.heading("DETECTING");
    let detected = detector::run_with(context, &analyzed)?;
    if !detected.group.group_extensions.is_empty() {
        let cause = "detected order contains extensions which is not supported by the creator";
        return Err(Failure::new(exit::DETECT, "detect").because(cause.to_owned()));
    }
    let group = &detected.group;

    if !context.inputs.skip_layers || context.inputs.platform_api >= PlatformApi::V0_10 {
        context.logger.heading("RESTORING");
        restorer::run_with(context, &analyzed.metadata, group, cache.as_deref())?;
    }

    context.logger.heading("BUILDING");
    builder::run_with(context, group, &detected.plan, &analyzed)?;

    context.logger.heading("EXPORTING");
    exporter::run_with(
        context,
        &stores,
        &scratch,
        group,
        &analyzed,
        cache.as_deref(),
    )
}

/// Programs see the home of the user that they run as, not root's.
fn set_home(context: &mut Context) {
    let uid = context.inputs.uid.to_string();
    let Some(passwd) = read_passwd() else { return };
    let user = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [name, _, id, _, _, home, ..] if *id == uid => Some((*name, *home)),
            _ => None,
        }
    });
    if let Some((name, home)) = user {
        context.environ.set("HOME", home);
        context.environ.set("USER", name);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the user database is at this path on every system"
)]
fn read_passwd() -> Option<String> {
    std::fs::read_to_string("/etc/passwd").ok()
}
