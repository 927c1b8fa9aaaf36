//! What the elements of an order are: looked up once, judged by target and execution environment.

use std::collections::HashMap;

use cnbw_spec::api::{BuildpackApi, PlatformApi};
use cnbw_spec::exec_env;
use cnbw_spec::id::BuildpackRef;
use cnbw_spec::target::Target;

use super::DetectRequest;
use crate::buildpacks::{
    Module, ModuleError, ModuleKind, load_buildpack, load_extension, module_api,
};
use crate::order::{Element, elements};

/// Kind, id and version: what a run is known by.
pub(super) type Key = (ModuleKind, BuildpackRef);

/// A buildpack or extension with programs.
#[derive(Clone, Debug)]
pub(super) struct Component {
    pub(super) module: Module,
    pub(super) api: BuildpackApi,
    /// The API as the descriptor spells it.
    pub(super) api_text: String,
    pub(super) homepage: Option<String>,
    pub(super) clear_env: bool,
    /// Whether one of its targets is that of the run image.
    pub(super) matches_target: bool,
    /// Whether it exists in the current execution environment.
    pub(super) matches_exec_env: bool,
}

/// What a key stands for.
#[derive(Clone, Debug)]
pub(super) enum Known {
    Component(Box<Component>),
    Composite(Vec<Vec<Element>>),
}

/// Everything that was looked up.
#[derive(Debug)]
pub(super) struct Components<'a> {
    request: &'a DetectRequest<'a>,
    known: HashMap<Key, Known>,
}

impl<'a> Components<'a> {
    pub(super) fn new(request: &'a DetectRequest<'a>) -> Self {
        Self {
            request,
            known: HashMap::new(),
        }
    }

    /// Whether an element can be used at all.
    pub(super) fn check(&mut self, element: &Element) -> Result<(), ModuleError> {
        self.look_up(element).map(drop)
    }

    pub(super) fn look_up(&mut self, element: &Element) -> Result<&Known, ModuleError> {
        let key = (element.kind, element.module.clone());
        if !self.known.contains_key(&key) {
            let known = match element.kind {
                ModuleKind::Buildpack => self.load_buildpack(&element.module)?,
                ModuleKind::Extension => self.load_extension(&element.module)?,
            };
            self.known.insert(key.clone(), known);
        }
        // Just inserted, or there before.
        self.known.get(&key).ok_or(ModuleError::Missing {
            kind: key.0,
            module: key.1,
        })
    }

    /// A component that was looked up before.
    pub(super) fn component(&self, element: &Element) -> Option<&Component> {
        match self.known.get(&(element.kind, element.module.clone()))? {
            Known::Component(component) => Some(component),
            Known::Composite(_) => None,
        }
    }

    fn load_buildpack(&self, wanted: &BuildpackRef) -> Result<Known, ModuleError> {
        const KIND: ModuleKind = ModuleKind::Buildpack;
        let loaded = load_buildpack(self.request.buildpacks, wanted)?;
        let descriptor = loaded.descriptor;
        let api = module_api(KIND, wanted, &descriptor.api)?;
        if descriptor.is_composite() {
            let groups = descriptor.order.iter().map(|it| elements(KIND, it));
            return Ok(Known::Composite(groups.collect()));
        }
        Ok(Known::Component(Box::new(Component {
            module: loaded.module,
            api,
            api_text: descriptor.api,
            homepage: descriptor.homepage,
            clear_env: descriptor.clear_env,
            matches_target: self.matches_target(&loaded.targets),
            matches_exec_env: self.matches_exec_env(api, &descriptor.exec_env),
        })))
    }

    fn load_extension(&self, wanted: &BuildpackRef) -> Result<Known, ModuleError> {
        let loaded = load_extension(self.request.extensions, wanted)?;
        let descriptor = loaded.descriptor;
        let api = module_api(ModuleKind::Extension, wanted, &descriptor.api)?;
        Ok(Known::Component(Box::new(Component {
            module: loaded.module,
            api,
            api_text: descriptor.api,
            homepage: descriptor.homepage,
            clear_env: descriptor.clear_env,
            matches_target: self.matches_target(&loaded.targets),
            matches_exec_env: true,
        })))
    }

    /// Before Platform API 0.12 targets do not count.
    fn matches_target(&self, targets: &[Target]) -> bool {
        let target = &self.request.programs.target;
        self.request.platform_api < PlatformApi::V0_12
            || targets.is_empty()
            || targets.iter().any(|it| it.is_satisfied_by(target))
    }

    /// The platform decides whether execution environments count, and the buildpack's API whether
    /// it can declare any.
    fn matches_exec_env(&self, api: BuildpackApi, declared: &[String]) -> bool {
        let current = self.request.programs.exec_env.as_str();
        !self.request.platform_api.honors_exec_env()
            || !api.honors_exec_env()
            || current.is_empty()
            || exec_env::is_eligible(declared, current)
    }
}
