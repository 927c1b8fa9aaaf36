//! Collects the buildpacks of a build and the order in which they are tried.

use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;
use cnbw_lifecycle::buildpacks::Buildpacks;
use cnbw_spec::descriptor::{BuildpackDescriptor, parse_buildpack};
use cnbw_spec::document::{DocumentError, MAX_DOCUMENT_BYTES};
use cnbw_spec::id::BuildpackRef;
use cnbw_spec::order::{Order, OrderElement, OrderGroup};

use crate::builtin::{BUILDPACKS, BuiltInBuildpack, ORDER};
use crate::request::BuildpackSource;

/// Why the buildpacks of a build cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BuildpackError {
    /// A directory that is no buildpack.
    #[error("`{}` is no buildpack: its `buildpack.toml` cannot be read", shown.escape_debug())]
    NoDescriptor {
        /// How the user named it.
        shown: String,
        /// The cause.
        source: io::Error,
    },
    /// A descriptor that breaks a rule.
    #[error("the descriptor of buildpack `{}` is wrong", shown.escape_debug())]
    Descriptor {
        /// How the user named it.
        shown: String,
        /// The cause.
        source: DocumentError,
    },
    /// An id that none of the built-in buildpacks has.
    #[error("there is no built-in buildpack `{}`; there are: {known}", wanted.escape_debug())]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// Those there are.
        known: String,
    },
    /// Two of them have the same id and version.
    #[error("`{}` and another buildpack are both `{buildpack}`; each can be in a build once", shown.escape_debug())]
    Twice {
        /// How the user named the second.
        shown: String,
        /// Id and version.
        buildpack: BuildpackRef,
    },
    /// A built-in buildpack could not be written down.
    #[error("cannot unpack the built-in buildpack `{buildpack}`")]
    Unpack {
        /// Which.
        buildpack: BuildpackRef,
        /// The cause.
        source: io::Error,
    },
}

/// The buildpacks, and what to try.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) buildpacks: Buildpacks,
    pub(crate) order: Order,
}

/// Opens the buildpacks of one group, or those of the default builder if no source is given.
///
/// Built-in buildpacks are unpacked below `scratch`.
pub(crate) fn collect(
    sources: &[BuildpackSource],
    scratch: &Dir,
) -> Result<Collected, BuildpackError> {
    let mut collected = Collected {
        buildpacks: Buildpacks::new(),
        order: Order::default(),
    };
    if sources.is_empty() {
        for built_in in BUILDPACKS {
            let descriptor = describe(built_in)?;
            collected.add_built_in(built_in, &descriptor.buildpack, scratch)?;
        }
        for ids in ORDER {
            let members = ids
                .iter()
                .map(|id| Ok(find(id, None)?.1))
                .collect::<Result<Vec<_>, BuildpackError>>()?;
            let mut group = group(members);
            for element in group.group.iter_mut().skip(1) {
                element.optional = true;
            }
            collected.order.order.push(group);
        }
        return Ok(collected);
    }
    let mut members: Vec<BuildpackRef> = Vec::new();
    for source in sources {
        let (buildpack, shown) = match source {
            BuildpackSource::Directory { dir, shown } => {
                let descriptor = read_descriptor(dir, shown)?;
                collected
                    .buildpacks
                    .add(descriptor.buildpack.clone(), Arc::clone(dir));
                (descriptor.buildpack, shown.clone())
            }
            BuildpackSource::BuiltIn { id, version } => {
                let (built_in, buildpack) = find(id, version.as_deref())?;
                if !members.contains(&buildpack) {
                    collected.add_built_in(built_in, &buildpack, scratch)?;
                }
                let shown = buildpack.to_string();
                (buildpack, shown)
            }
        };
        if members.contains(&buildpack) {
            return Err(BuildpackError::Twice { shown, buildpack });
        }
        members.push(buildpack);
    }
    collected.order.order.push(group(members));
    Ok(collected)
}

impl Collected {
    fn add_built_in(
        &mut self,
        built_in: &BuiltInBuildpack,
        buildpack: &BuildpackRef,
        scratch: &Dir,
    ) -> Result<(), BuildpackError> {
        let error = |source| BuildpackError::Unpack {
            buildpack: buildpack.clone(),
            source,
        };
        let name = buildpack.id.escaped();
        scratch.create_dir(&name).map_err(error)?;
        let dir = scratch.open_dir(&name).map_err(error)?;
        built_in.write_into(&dir).map_err(error)?;
        self.buildpacks.add(buildpack.clone(), Arc::new(dir));
        Ok(())
    }
}

fn group(members: Vec<BuildpackRef>) -> OrderGroup {
    OrderGroup {
        group: members
            .into_iter()
            .map(|buildpack| OrderElement {
                buildpack,
                optional: false,
            })
            .collect(),
    }
}

fn find(
    id: &str,
    version: Option<&str>,
) -> Result<(&'static BuiltInBuildpack, BuildpackRef), BuildpackError> {
    let mut known = Vec::new();
    for built_in in BUILDPACKS {
        let buildpack = describe(built_in)?.buildpack;
        if buildpack.id.as_str() == id
            && version.is_none_or(|version| buildpack.version.as_str() == version)
        {
            return Ok((built_in, buildpack));
        }
        known.push(buildpack.to_string());
    }
    let wanted = version.map_or_else(|| id.to_owned(), |version| format!("{id}@{version}"));
    Err(BuildpackError::Unknown {
        wanted,
        known: known.join(", "),
    })
}

fn describe(built_in: &BuiltInBuildpack) -> Result<BuildpackDescriptor, BuildpackError> {
    built_in
        .descriptor()
        .map_err(|source| BuildpackError::Descriptor {
            shown: "(built in)".to_owned(),
            source,
        })
}

fn read_descriptor(dir: &Dir, shown: &str) -> Result<BuildpackDescriptor, BuildpackError> {
    let error = |source| BuildpackError::NoDescriptor {
        shown: shown.to_owned(),
        source,
    };
    let file = dir.open("buildpack.toml").map_err(error)?;
    if !file.metadata().map_err(error)?.is_file() {
        return Err(error(io::Error::other("it is no regular file")));
    }
    let mut bytes = Vec::new();
    let limit = MAX_DOCUMENT_BYTES as u64;
    io::Read::read_to_end(&mut io::Read::take(file.into_std(), limit + 1), &mut bytes)
        .map_err(error)?;
    parse_buildpack("buildpack.toml", &bytes).map_err(|source| BuildpackError::Descriptor {
        shown: shown.to_owned(),
        source,
    })
}
