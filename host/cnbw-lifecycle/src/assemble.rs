//! Puts together what an image says of itself. Pure: values in, a configuration out.

use cnbw_oci::config::{History, ImageConfig, format_time};
use cnbw_oci::digest::DiffId;

/// What an export changes in the run image's configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigPlan<'a> {
    /// The new layers, in order: diff ID, and what the history says.
    pub(crate) layers: Vec<(DiffId, String)>,
    /// Labels; a later one wins.
    pub(crate) labels: Vec<(String, String)>,
    /// Environment variables. `PATH` is extended, not replaced.
    pub(crate) env: Vec<(&'a str, String)>,
    /// Directories that come first in `PATH`.
    pub(crate) path: &'a [&'a str],
    /// Where processes start.
    pub(crate) working_dir: &'a str,
    /// What is started.
    pub(crate) entrypoint: String,
    /// Creation time in seconds since 1970.
    pub(crate) created: i64,
    /// Whether the history tells how layers were made; else it has times alone.
    pub(crate) keeps_history: bool,
}

/// Makes the configuration of an application's image from that of its run image.
///
/// Everything that the plan does not name survives.
pub(crate) fn assemble_config(run: &ImageConfig, plan: &ConfigPlan<'_>) -> ImageConfig {
    let mut config = run.clone();
    config.history = history_of(run, plan.keeps_history);
    for (diff_id, created_by) in &plan.layers {
        config.rootfs.diff_ids.push(*diff_id);
        config.history.push(History {
            created_by: if plan.keeps_history {
                created_by.clone()
            } else {
                String::new()
            },
            ..History::default()
        });
    }
    set_times(&mut config, plan.created);
    for (name, value) in &plan.env {
        config.set_env(name, value);
    }
    let below = config.env("PATH").unwrap_or_default().to_owned();
    let path: Vec<&str> = plan.path.iter().copied().chain([&*below]).collect();
    config.set_env("PATH", &path.join(":"));
    for (name, value) in &plan.labels {
        config.set_label(name.clone(), value.clone());
    }
    plan.working_dir.clone_into(&mut config.config.working_dir);
    config.config.entrypoint = vec![plan.entrypoint.clone()];
    config.config.cmd = Vec::new();
    config
}

/// One history entry for each layer. Where they do not fit together, they say nothing that is true: blank ones take their place.
pub(crate) fn history_of(config: &ImageConfig, keep: bool) -> Vec<History> {
    let layers = config.rootfs.diff_ids.len();
    let mut history: Vec<History> = config
        .history
        .iter()
        .filter(|entry| !entry.empty_layer)
        .cloned()
        .collect();
    if !keep || history.len() != layers {
        history = vec![History::default(); layers];
    }
    history
}

/// Sets all times to one, and drops the name of the container that the run image was committed from.
pub(crate) fn set_times(config: &mut ImageConfig, seconds: i64) {
    config.created = format_time(seconds);
    for entry in &mut config.history {
        entry.created.clone_from(&config.created);
    }
    config.extra.remove("container");
}

#[cfg(test)]
mod tests {
    use cnbw_oci::layer::NORMALIZED_TIME;

    use super::*;

    fn run_image() -> ImageConfig {
        let text = r#"{"architecture":"amd64","os":"linux","container":"c","docker_version":"20",
            "config":{"Env":["A=1","PATH=/usr/bin","B=2"],"Cmd":["bash"],"Entrypoint":["/e"],"User":"1:2",
                "WorkingDir":"/w","ExposedPorts":{"8080/tcp":{}},"Labels":{"keep":"me"}},
            "history":[{"created_by":"base"},{"created_by":"ENV","empty_layer":true}],
            "rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;
        serde_json::from_str(text).unwrap()
    }

    fn plan() -> ConfigPlan<'static> {
        ConfigPlan {
            layers: vec![(DiffId::of(b"x"), "Application Layer".to_owned())],
            labels: vec![
                ("k".to_owned(), "1".to_owned()),
                ("k".to_owned(), "2".to_owned()),
            ],
            env: vec![("CNB_APP_DIR", "/workspace".to_owned())],
            path: &["/cnb/process", "/cnb/lifecycle"],
            working_dir: "/workspace",
            entrypoint: "/cnb/process/web".to_owned(),
            created: NORMALIZED_TIME,
            keeps_history: true,
        }
    }

    // shows: export-004 export-005 export-008 export-009 export-010 export-011 export-013 labels-016
    #[test]
    fn what_the_plan_does_not_name_survives() {
        let config = assemble_config(&run_image(), &plan());
        assert_eq!(
            config.config.env,
            [
                "A=1",
                "PATH=/cnb/process:/cnb/lifecycle:/usr/bin",
                "B=2",
                "CNB_APP_DIR=/workspace"
            ]
        );
        assert_eq!(config.config.user, "1:2");
        assert_eq!(config.config.cmd, Vec::<String>::new());
        assert_eq!(config.config.entrypoint, ["/cnb/process/web"]);
        assert_eq!(config.config.working_dir, "/workspace");
        assert_eq!(config.label("keep"), Some("me"));
        assert_eq!(config.label("k"), Some("2"));
        assert!(config.config.extra.contains_key("ExposedPorts"));
        assert!(
            config.extra.contains_key("docker_version") && !config.extra.contains_key("container")
        );
    }

    // shows: export-022
    #[test]
    fn history_has_an_entry_for_each_layer_and_one_time() {
        let entries = |config: &ImageConfig| -> Vec<(String, String)> {
            let entry = |entry: &History| (entry.created_by.clone(), entry.created.clone());
            config.history.iter().map(entry).collect()
        };
        let pair = |by: &str| (by.to_owned(), "1980-01-01T00:00:01Z".to_owned());
        let config = assemble_config(&run_image(), &plan());
        assert_eq!(entries(&config), [pair("base"), pair("Application Layer")]);
        assert_eq!(config.rootfs.diff_ids.len(), 2);
        let old = ConfigPlan {
            keeps_history: false,
            ..plan()
        };
        assert_eq!(
            entries(&assemble_config(&run_image(), &old)),
            [pair(""), pair("")]
        );
        let mut odd = run_image();
        odd.history.truncate(0);
        assert_eq!(
            entries(&assemble_config(&odd, &plan())),
            [pair(""), pair("Application Layer")]
        );
    }

    // shows: export-011
    #[test]
    fn a_run_image_without_path_gets_one_with_an_empty_end() {
        let config = assemble_config(&ImageConfig::default(), &plan());
        assert_eq!(config.env("PATH"), Some("/cnb/process:/cnb/lifecycle:"));
    }
}
