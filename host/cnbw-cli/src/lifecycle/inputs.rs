//! Inputs of the phases: flags win over variables, variables over defaults.

use std::path::Path;

use cnbw_spec::api::PlatformApi;
use cnbw_spec::exec_env;

use super::environ::Environ;
use super::paths::absolute;

/// All inputs of all phases. A phase reads those that it has flags for.
///
/// Paths of files that belong into the layers directory are `None` until [`Inputs::resolve`] knows
/// which one that is; the methods give them afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct Inputs {
    pub(crate) platform_api: PlatformApi,
    pub(crate) analyzed_path: Option<String>,
    pub(crate) app_dir: String,
    pub(crate) build_config_dir: String,
    pub(crate) build_image: String,
    pub(crate) buildpacks_dir: String,
    pub(crate) cache_dir: String,
    pub(crate) cache_image: String,
    pub(crate) default_process_type: String,
    /// `-image` of exporter and rebaser.
    pub(crate) deprecated_run_image: String,
    pub(crate) exec_env: String,
    pub(crate) extend_kind: String,
    pub(crate) extended_dir: Option<String>,
    pub(crate) extensions_dir: String,
    pub(crate) force: bool,
    pub(crate) generated_dir: Option<String>,
    pub(crate) gid: i64,
    pub(crate) group_path: Option<String>,
    pub(crate) insecure_registries: Vec<String>,
    pub(crate) kaniko_cache_ttl: String,
    pub(crate) launch_cache_dir: String,
    pub(crate) launcher_path: String,
    pub(crate) launcher_sbom_dir: String,
    pub(crate) layers_dir: String,
    pub(crate) layout_dir: String,
    pub(crate) log_level: String,
    pub(crate) no_color: bool,
    pub(crate) order_path: Option<String>,
    /// The first positional argument.
    pub(crate) output_image: String,
    pub(crate) parallel_export: bool,
    pub(crate) plan_path: Option<String>,
    pub(crate) platform_dir: String,
    pub(crate) previous_image: String,
    pub(crate) project_metadata_path: Option<String>,
    pub(crate) report_path: Option<String>,
    pub(crate) run_image: String,
    /// `CNB_RUN_IMAGE`: some phases allow the variable but not the flag.
    pub(crate) run_image_variable: String,
    pub(crate) run_path: String,
    pub(crate) skip_layers: bool,
    pub(crate) stack_path: String,
    pub(crate) system_path: String,
    /// `-tag`, and positional arguments after the first.
    pub(crate) tags: Vec<String>,
    pub(crate) uid: i64,
    pub(crate) use_daemon: bool,
    pub(crate) use_layout: bool,
}

impl Inputs {
    /// Variables over defaults.
    pub(crate) fn from_environment(platform_api: PlatformApi, environ: &Environ) -> Self {
        let text = |name: &str| environ.text(name);
        let or = |name: &str, default: &str| text(name).unwrap_or_else(|| default.to_owned());
        let given = |name: &str| or(name, "");
        let registries = given("CNB_INSECURE_REGISTRIES");
        Self {
            platform_api,
            analyzed_path: text("CNB_ANALYZED_PATH"),
            app_dir: or("CNB_APP_DIR", "/workspace"),
            build_config_dir: or("CNB_BUILD_CONFIG_DIR", "/cnb/build-config"),
            build_image: given("CNB_BUILD_IMAGE"),
            buildpacks_dir: or("CNB_BUILDPACKS_DIR", "/cnb/buildpacks"),
            cache_dir: given("CNB_CACHE_DIR"),
            cache_image: given("CNB_CACHE_IMAGE"),
            default_process_type: given("CNB_PROCESS_TYPE"),
            deprecated_run_image: String::new(),
            exec_env: or("CNB_EXEC_ENV", exec_env::DEFAULT),
            extend_kind: or("CNB_EXTEND_KIND", "build"),
            extended_dir: text("CNB_EXTENDED_DIR"),
            extensions_dir: or("CNB_EXTENSIONS_DIR", "/cnb/extensions"),
            force: environ.switch("CNB_FORCE_REBASE"),
            generated_dir: text("CNB_GENERATED_DIR"),
            gid: environ.number("CNB_GROUP_ID"),
            group_path: text("CNB_GROUP_PATH"),
            insecure_registries: match registries.as_str() {
                "" => Vec::new(),
                list => list.split(',').map(str::to_owned).collect(),
            },
            kaniko_cache_ttl: given("CNB_KANIKO_CACHE_TTL"),
            launch_cache_dir: given("CNB_LAUNCH_CACHE_DIR"),
            launcher_path: "/cnb/lifecycle/launcher".to_owned(),
            launcher_sbom_dir: "/cnb/lifecycle".to_owned(),
            layers_dir: or("CNB_LAYERS_DIR", "/layers"),
            layout_dir: given("CNB_LAYOUT_DIR"),
            log_level: or("CNB_LOG_LEVEL", "info"),
            no_color: environ.switch("CNB_NO_COLOR"),
            order_path: text("CNB_ORDER_PATH"),
            output_image: String::new(),
            parallel_export: environ.switch("CNB_PARALLEL_EXPORT"),
            plan_path: text("CNB_PLAN_PATH"),
            platform_dir: or("CNB_PLATFORM_DIR", "/platform"),
            previous_image: given("CNB_PREVIOUS_IMAGE"),
            project_metadata_path: text("CNB_PROJECT_METADATA_PATH"),
            report_path: text("CNB_REPORT_PATH"),
            run_image: given("CNB_RUN_IMAGE"),
            run_image_variable: given("CNB_RUN_IMAGE"),
            run_path: or("CNB_RUN_PATH", "/cnb/run.toml"),
            skip_layers: environ.switch("CNB_SKIP_LAYERS") || environ.switch("CNB_SKIP_RESTORE"),
            stack_path: or("CNB_STACK_PATH", "/cnb/stack.toml"),
            system_path: or("CNB_SYSTEM_PATH", "/cnb/system.toml"),
            tags: Vec::new(),
            uid: environ.number("CNB_USER_ID"),
            use_daemon: environ.switch("CNB_USE_DAEMON"),
            use_layout: environ.switch("CNB_USE_LAYOUT"),
        }
    }

    /// Checks what every phase needs and makes directories absolute, now that flags have been read.
    pub(crate) fn resolve(&mut self) -> Result<(), String> {
        if self.use_daemon {
            return Err(
                "-daemon is unsupported: cnbw uses no container engine; it exports to \
                        registries and image layouts"
                    .to_owned(),
            );
        }
        if self.exec_env.contains('/') {
            let name = self.exec_env.escape_debug();
            return Err(format!("execution environment `{name}` has a `/`"));
        }
        let current = std::env::current_dir();
        let current =
            current.map_err(|error| format!("cannot tell the current directory: {error}"))?;
        self.make_absolute(&current);
        Ok(())
    }

    fn make_absolute(&mut self, current: &Path) {
        for path in [
            &mut self.app_dir,
            &mut self.build_config_dir,
            &mut self.buildpacks_dir,
            &mut self.cache_dir,
            &mut self.extensions_dir,
            &mut self.launch_cache_dir,
            &mut self.layers_dir,
            &mut self.platform_dir,
        ] {
            if !path.is_empty() {
                *path = absolute(path, current);
            }
        }
        if let Some(path) = &mut self.generated_dir {
            *path = absolute(path, current);
        }
    }

    /// `-analyzed`, or `<layers>/analyzed.toml`.
    pub(crate) fn analyzed_path(&self) -> String {
        self.in_layers(self.analyzed_path.as_ref(), "analyzed.toml")
    }

    /// `-group`, or `<layers>/group.toml`.
    pub(crate) fn group_path(&self) -> String {
        self.in_layers(self.group_path.as_ref(), "group.toml")
    }

    /// `-plan`, or `<layers>/plan.toml`.
    pub(crate) fn plan_path(&self) -> String {
        self.in_layers(self.plan_path.as_ref(), "plan.toml")
    }

    /// `-report`, or `<layers>/report.toml`.
    pub(crate) fn report_path(&self) -> String {
        self.in_layers(self.report_path.as_ref(), "report.toml")
    }

    /// `-generated`, or `<layers>/generated`.
    pub(crate) fn generated_dir(&self) -> String {
        self.in_layers(self.generated_dir.as_ref(), "generated")
    }

    /// `-project-metadata`, or `<layers>/project-metadata.toml`.
    pub(crate) fn project_metadata_path(&self) -> String {
        self.in_layers(self.project_metadata_path.as_ref(), "project-metadata.toml")
    }

    /// `-order`, or `<layers>/order.toml` if that exists, or `/cnb/order.toml`.
    pub(crate) fn order_path(&self) -> String {
        if let Some(path) = &self.order_path {
            return path.clone();
        }
        let in_layers = format!("{}/order.toml", self.layers_dir);
        if Path::new(&in_layers).exists() {
            in_layers
        } else {
            "/cnb/order.toml".to_owned()
        }
    }

    fn in_layers(&self, given: Option<&String>, name: &str) -> String {
        let given = given.cloned();
        given.unwrap_or_else(|| format!("{}/{name}", self.layers_dir.trim_end_matches('/')))
    }
}
