//! The order: what a platform wants tried, made complete and checked, then expanded.
//!
//! Expansion turns nested orders into flat candidates, one after the other, and only as far as they
//! are needed. It asks for each element what it is, and for each candidate whether it passes; it
//! knows nothing of files and programs.

mod expand;
#[cfg(test)]
mod tests;

use cnbw_spec::id::BuildpackRef;
use cnbw_spec::order::{Order, OrderElement, OrderGroup};
use cnbw_spec::system::{System, SystemBuildpack};

use crate::buildpacks::ModuleKind;

pub(crate) use expand::{Candidates, Looked, Verdict, expand};
pub use expand::{ExpansionLimits, OrderError};

/// An element of a group: which module, and whether the group passes without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) kind: ModuleKind,
    pub(crate) module: BuildpackRef,
    pub(crate) optional: bool,
}

/// What a group is made of while it is expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Element(Element),
    /// The whole order of extensions, of which one group, or none, takes this place.
    Extensions(Vec<Vec<Element>>),
}

/// Adds the system's buildpacks to each group, and puts extensions before buildpacks.
///
/// A system buildpack is left out of a group that names its id itself, in whatever version. What
/// composite buildpacks contain does not count here: the expansion skips it.
pub(crate) fn complete(order: &Order, system: &System) -> Vec<Vec<Item>> {
    let extensions: Vec<Vec<Element>> = order
        .order_extensions
        .iter()
        .map(|it| elements(ModuleKind::Extension, it))
        .collect();
    let complete = |group: &OrderGroup| {
        let mut items = Vec::new();
        if !extensions.is_empty() {
            items.push(Item::Extensions(extensions.clone()));
        }
        items.extend(of_system(&system.pre, group));
        let own = elements(ModuleKind::Buildpack, group);
        items.extend(own.into_iter().map(Item::Element));
        items.extend(of_system(&system.post, group));
        items
    };
    order.order.iter().map(complete).collect()
}

/// The elements of a group. Extensions are always optional.
pub(crate) fn elements(kind: ModuleKind, group: &OrderGroup) -> Vec<Element> {
    let element = |it: &OrderElement| Element {
        kind,
        module: it.buildpack.clone(),
        optional: it.optional || kind == ModuleKind::Extension,
    };
    group.group.iter().map(element).collect()
}

fn of_system<'a>(
    system: &'a [SystemBuildpack],
    group: &'a OrderGroup,
) -> impl Iterator<Item = Item> + 'a {
    let is_named = |it: &SystemBuildpack| {
        let mut named = group.group.iter();
        named.any(|element| element.buildpack.id == it.buildpack.id)
    };
    let missing = system.iter().filter(move |it| !is_named(it));
    missing.map(|it| {
        Item::Element(Element {
            kind: ModuleKind::Buildpack,
            module: it.buildpack.clone(),
            optional: it.optional,
        })
    })
}
