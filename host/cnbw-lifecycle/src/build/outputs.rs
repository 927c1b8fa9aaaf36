//! Everything that a build program left behind, read and judged.

use cnbw_spec::api::BuildpackApi;
use cnbw_spec::build_plan::Require;
use cnbw_spec::build_toml::{BuildToml, Unmet, parse_build_toml};
use cnbw_spec::buildpack_plan::BuildpackPlan;
use cnbw_spec::document::MAX_DOCUMENT_BYTES;
use cnbw_spec::env::Environment;
use cnbw_spec::group::GroupElement;
use cnbw_spec::id::BuildpackRef;
use cnbw_spec::launch::{Label, LaunchToml, ProcessEntry, Slice, parse_launch};
use cnbw_spec::metadata::{BomEntry, Process};
use cnbw_spec::sbom::is_sbom_file;

use super::OutputError;
use super::layers::{apply_layers, read_layers};
use super::sboms::{self, SbomFile};
use crate::event::Event;
use crate::guest_tree::GuestTree;
use crate::ports::Events;

/// What is needed to judge the outputs of one buildpack.
pub(super) struct Context<'a> {
    pub(super) buildpack: &'a BuildpackRef,
    pub(super) api: BuildpackApi,
    pub(super) sbom_formats: &'a [String],
    /// Its layers directory, now that the program is gone.
    pub(super) layers: GuestTree<'a>,
    /// The plan that it was given.
    pub(super) plan: &'a BuildpackPlan,
    pub(super) events: &'a dyn Events,
}

/// What one buildpack gives to the build.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    /// Names of the plan that it met.
    pub(super) met: Vec<String>,
    pub(super) sboms: Vec<SbomFile>,
    pub(super) build_bom: Vec<BomEntry>,
    pub(super) launch_bom: Vec<BomEntry>,
    pub(super) labels: Vec<Label>,
    pub(super) processes: Vec<Process>,
    pub(super) slices: Vec<Slice>,
}

impl Context<'_> {
    /// Reads the outputs, renames layers without types, and changes the environment for whoever
    /// comes next.
    pub(super) fn read(&self, environment: &mut Environment) -> Result<Outputs, OutputError> {
        let layers = read_layers(&self.layers)?;
        apply_layers(&self.layers, &layers, environment)?;

        let build = self.build_toml()?;
        let build_bom = self.bom(&build.bom)?;
        self.check_unmet(&build.unmet)?;
        let mut outputs = Outputs {
            met: self.plan.met_names(&build.unmet),
            sboms: sboms::find(self.buildpack, &self.layers, &layers, self.sbom_formats)?,
            build_bom,
            ..Outputs::default()
        };
        let Some(launch) = self.launch_toml()? else {
            return Ok(outputs);
        };
        outputs.launch_bom = self.bom(&launch.bom)?;
        outputs.labels = launch.labels;
        outputs.slices = launch.slices;
        for process in launch.processes {
            let process = self.process(process)?;
            let mut earlier = outputs.processes.iter();
            if earlier.any(|it| it.process_type == process.process_type) {
                self.warn(&format!(
                    "{}: process type {} is defined more than once, and the last definition counts",
                    self.buildpack, process.process_type
                ));
            }
            outputs.processes.push(process);
        }
        Ok(outputs)
    }

    fn build_toml(&self) -> Result<BuildToml, OutputError> {
        const FILE: &str = "build.toml";
        match self.layers.read(FILE, MAX_DOCUMENT_BYTES)? {
            Some(bytes) => Ok(parse_build_toml(&self.layers.join(FILE), &bytes)?),
            None => Ok(BuildToml::default()),
        }
    }

    fn launch_toml(&self) -> Result<Option<LaunchToml>, OutputError> {
        const FILE: &str = "launch.toml";
        let Some(bytes) = self.layers.read(FILE, MAX_DOCUMENT_BYTES)? else {
            return Ok(None);
        };
        let launch = parse_launch(&self.layers.join(FILE), &bytes, self.api)?;
        Ok(Some(launch))
    }

    /// Each unmet name has to be one of the plan.
    fn check_unmet(&self, unmet: &[Unmet]) -> Result<(), OutputError> {
        for Unmet { name } in unmet {
            if name.is_empty() {
                return Err(OutputError::NamelessUnmet);
            }
            if !self.plan.entries.iter().any(|it| it.name == *name) {
                let name = name.clone();
                return Err(OutputError::UnknownUnmet { name });
            }
        }
        Ok(())
    }

    /// The old bill of materials, with the buildpack that made it.
    fn bom(&self, entries: &[Require]) -> Result<Vec<BomEntry>, OutputError> {
        if let Some(entry) = entries.iter().find(|it| it.version.is_some()) {
            let name = entry.name.clone();
            return Err(OutputError::BomVersion { name });
        }
        if !entries.is_empty() {
            // Whoever writes both is on the way to the new form.
            let files = self.layers.entries()?;
            if !files.iter().any(|it| is_sbom_file(&it.name)) {
                self.warn(&format!(
                    "{}: the BOM table is deprecated; write <layer>.sbom.<ext>, launch.sbom.<ext> or build.sbom.<ext>",
                    self.buildpack
                ));
            }
        }
        let entry = |it: &Require| BomEntry {
            require: it.clone(),
            buildpack: GroupElement::new(self.buildpack.clone()),
        };
        Ok(entries.iter().map(entry).collect())
    }

    fn process(&self, entry: ProcessEntry) -> Result<Process, OutputError> {
        let process_type = entry.process_type;
        let allowed = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
        if !process_type.chars().all(allowed) {
            return Err(OutputError::ProcessType { process_type });
        }
        let mut working_dir = entry.working_dir.filter(|it| !it.is_empty());
        if working_dir.is_some() && !self.api.has_process_working_dir() {
            self.warn(&format!(
                "{}: Buildpack API {} knows no working directory of a process, so that of {process_type} is ignored",
                self.buildpack, self.api
            ));
            working_dir = None;
        }
        Ok(Process {
            process_type,
            command: entry.command,
            args: entry.args,
            direct: entry.direct,
            default: entry.default,
            buildpack_id: self.buildpack.id.to_string(),
            working_dir,
            exec_env: entry.exec_env,
        })
    }

    fn warn(&self, text: &str) {
        self.events.emit(Event::Warning(text));
    }
}
