//! Flags, in the form that the reference takes: `-name value`, `-name=value`, with one dash or two.
//!
//! Which flags a phase has depends on the Platform API. Flags end at the first positional argument.

use std::fmt::Write;

use cnbw_spec::api::PlatformApi;
use cnbw_spec::exit;

use super::Phase;
use super::environ::parse_switch;
use super::failure::Failure;
use super::inputs::Inputs;
use super::logger::Logger;

/// Where the value of a flag goes.
enum Target<'i> {
    Text(&'i mut String),
    Path(&'i mut Option<String>),
    Number(&'i mut i64),
    Switch(&'i mut bool),
    List(&'i mut Vec<String>),
}

/// What was asked for instead of running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    Version,
    Help,
}

/// What is left after flags were read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) positional: Vec<String>,
    pub(crate) instead: Option<Instead>,
}

/// A command line that is no command line of this phase.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    reason: String,
    usage: String,
}

impl Refusal {
    /// Shows which flags there are, and gives the failure.
    pub(crate) fn show(self, phase: Phase, logger: &Logger) -> Failure {
        logger.line(&self.usage);
        let action = format!("parse flags of {}", phase.program());
        Failure::new(exit::UNKNOWN_FLAG, action).because(self.reason)
    }
}

/// Flags that a phase has at all Platform APIs.
fn always(phase: Phase) -> &'static str {
    match phase {
        Phase::Analyzer => {
            "analyzed cache-image daemon gid layers log-level no-color previous-image run-image tag uid"
        }
        Phase::Detector => "app buildpacks group layers log-level no-color order plan platform",
        Phase::Restorer => {
            "analyzed cache-dir cache-image gid group layers log-level no-color skip-layers uid"
        }
        Phase::Builder => "app buildpacks group layers log-level no-color plan platform",
        Phase::Exporter => {
            "analyzed app cache-dir cache-image daemon gid group image launch-cache launcher layers \
             log-level no-color parallel process-type project-metadata report run-image uid"
        }
        Phase::Creator => {
            "app buildpacks cache-dir cache-image daemon gid launch-cache launcher layers log-level \
             no-color order parallel platform previous-image process-type project-metadata report \
             run-image skip-restore stack tag uid"
        }
        Phase::Rebaser => "daemon gid image log-level no-color report run-image uid",
        Phase::Extender => {
            "analyzed app buildpacks generated gid group kaniko-cache-ttl layers log-level no-color \
             plan platform uid"
        }
    }
}

/// Flags that a phase has from some Platform API on.
fn since(phase: Phase) -> &'static [(PlatformApi, &'static str)] {
    use PlatformApi::{V0_9, V0_10, V0_11, V0_12, V0_13, V0_14, V0_15};
    match phase {
        Phase::Analyzer => &[
            (V0_9, "launch-cache skip-layers"),
            (V0_12, "layout layout-dir run"),
            (V0_13, "insecure-registry"),
        ],
        Phase::Detector => &[
            (V0_10, "analyzed extensions generated"),
            (V0_11, "build-config"),
            (V0_12, "run"),
            (V0_15, "system"),
        ],
        Phase::Restorer => &[
            (V0_10, "build-image"),
            (V0_12, "daemon generated layout layout-dir"),
            (V0_13, "insecure-registry"),
            (V0_14, "run"),
        ],
        Phase::Builder => &[(V0_11, "build-config"), (V0_12, "analyzed")],
        Phase::Exporter => &[
            (V0_11, "launcher-sbom"),
            (V0_12, "extended layout layout-dir run"),
            (V0_13, "insecure-registry"),
        ],
        Phase::Creator => &[
            (V0_11, "build-config launcher-sbom"),
            (V0_12, "layout layout-dir run"),
            (V0_13, "insecure-registry"),
            (V0_15, "system"),
        ],
        Phase::Rebaser => &[
            (V0_11, "previous-image"),
            (V0_12, "force"),
            (V0_13, "insecure-registry"),
        ],
        Phase::Extender => &[(V0_12, "extended kind")],
    }
}

/// The flags of a phase at a Platform API, sorted.
fn available(phase: Phase, api: PlatformApi) -> Vec<&'static str> {
    let mut names = vec!["version"];
    names.extend(always(phase).split_whitespace());
    for (_, added) in since(phase).iter().filter(|(since, _)| api >= *since) {
        names.extend(added.split_whitespace());
    }
    // Where `run.toml` takes the place of `stack.toml`, the flag goes, but not that of `creator`.
    if matches!(phase, Phase::Analyzer | Phase::Exporter) && !api.reads_run_toml() {
        names.push("stack");
    }
    names.sort_unstable();
    names
}

fn target<'i>(name: &str, inputs: &'i mut Inputs) -> Option<Target<'i>> {
    Some(match name {
        "analyzed" => Target::Path(&mut inputs.analyzed_path),
        "app" => Target::Text(&mut inputs.app_dir),
        "build-config" => Target::Text(&mut inputs.build_config_dir),
        "build-image" => Target::Text(&mut inputs.build_image),
        "buildpacks" => Target::Text(&mut inputs.buildpacks_dir),
        "cache-dir" => Target::Text(&mut inputs.cache_dir),
        "cache-image" => Target::Text(&mut inputs.cache_image),
        "daemon" => Target::Switch(&mut inputs.use_daemon),
        "extended" => Target::Path(&mut inputs.extended_dir),
        "extensions" => Target::Text(&mut inputs.extensions_dir),
        "force" => Target::Switch(&mut inputs.force),
        "generated" => Target::Path(&mut inputs.generated_dir),
        "gid" => Target::Number(&mut inputs.gid),
        "group" => Target::Path(&mut inputs.group_path),
        "image" => Target::Text(&mut inputs.deprecated_run_image),
        "insecure-registry" => Target::List(&mut inputs.insecure_registries),
        "kaniko-cache-ttl" => Target::Text(&mut inputs.kaniko_cache_ttl),
        "kind" => Target::Text(&mut inputs.extend_kind),
        "launch-cache" => Target::Text(&mut inputs.launch_cache_dir),
        "launcher" => Target::Text(&mut inputs.launcher_path),
        "launcher-sbom" => Target::Text(&mut inputs.launcher_sbom_dir),
        "layers" => Target::Text(&mut inputs.layers_dir),
        "layout" => Target::Switch(&mut inputs.use_layout),
        "layout-dir" => Target::Text(&mut inputs.layout_dir),
        "log-level" => Target::Text(&mut inputs.log_level),
        "no-color" => Target::Switch(&mut inputs.no_color),
        "order" => Target::Path(&mut inputs.order_path),
        "parallel" => Target::Switch(&mut inputs.parallel_export),
        "plan" => Target::Path(&mut inputs.plan_path),
        "platform" => Target::Text(&mut inputs.platform_dir),
        "previous-image" => Target::Text(&mut inputs.previous_image),
        "process-type" => Target::Text(&mut inputs.default_process_type),
        "project-metadata" => Target::Path(&mut inputs.project_metadata_path),
        "report" => Target::Path(&mut inputs.report_path),
        "run" => Target::Text(&mut inputs.run_path),
        "run-image" => Target::Text(&mut inputs.run_image),
        "skip-layers" | "skip-restore" => Target::Switch(&mut inputs.skip_layers),
        "stack" => Target::Text(&mut inputs.stack_path),
        "system" => Target::Text(&mut inputs.system_path),
        "tag" => Target::List(&mut inputs.tags),
        "uid" => Target::Number(&mut inputs.uid),
        _ => return None,
    })
}

/// Reads flags into the inputs.
pub(crate) fn parse(
    phase: Phase,
    api: PlatformApi,
    arguments: &[String],
    inputs: &mut Inputs,
) -> Result<Parsed, Refusal> {
    let available = available(phase, api);
    let refuse = |reason: String| Refusal {
        reason,
        usage: usage(phase, api),
    };
    let mut instead = None;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.as_slice().first() {
        let Some(flag) = argument.strip_prefix('-').filter(|it| !it.is_empty()) else {
            break;
        };
        rest.next();
        if flag == "-" {
            break;
        }
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        let (name, mut value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let shown = argument.escape_debug();
        if name.is_empty() || name.starts_with('-') {
            return Err(refuse(format!("bad flag syntax: `{shown}`")));
        }
        if !available.contains(&name) {
            if matches!(name, "h" | "help") {
                instead = Some(Instead::Help);
                break;
            }
            let name = name.escape_debug();
            return Err(refuse(format!("flag provided but not defined: -{name}")));
        }
        let mut version = false;
        let target = match name {
            "version" => Target::Switch(&mut version),
            name => target(name, inputs)
                .ok_or_else(|| refuse(format!("flag provided but not defined: -{name}")))?,
        };
        if value.is_none() && !matches!(target, Target::Switch(_)) {
            value = rest.next().map(String::as_str);
            if value.is_none() {
                return Err(refuse(format!("flag needs an argument: -{name}")));
            }
        }
        set(target, value).map_err(|reason| refuse(format!("-{name}: {reason}")))?;
        if version {
            instead = Some(Instead::Version);
        }
    }
    Ok(Parsed {
        positional: rest.as_slice().to_vec(),
        instead,
    })
}

fn set(target: Target<'_>, value: Option<&str>) -> Result<(), String> {
    let text = value.unwrap_or_default();
    match target {
        Target::Text(place) => text.clone_into(place),
        Target::Path(place) => *place = Some(text.to_owned()),
        Target::List(place) => place.push(text.to_owned()),
        Target::Number(place) => {
            let number = text.parse();
            *place = number.map_err(|_| format!("`{}` is no number", text.escape_debug()))?;
        }
        Target::Switch(place) => {
            let switch = value.map_or(Some(true), parse_switch);
            *place = switch.ok_or_else(|| format!("`{}` is no switch", text.escape_debug()))?;
        }
    }
    Ok(())
}

/// Which flags there are.
pub(crate) fn usage(phase: Phase, api: PlatformApi) -> String {
    let program = phase.program();
    let mut text = format!("Flags of {program} at Platform API {api}:");
    for name in available(phase, api) {
        // Writing to a string does not fail.
        write!(text, "\n  -{name}").ok();
    }
    text
}
