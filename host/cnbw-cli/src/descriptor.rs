//! What a project descriptor (`project.toml`) asks of a build.

use cap_std::fs::Dir;
use cnbw::{BuildpackSource, Filter, IntakeError};
use cnbw_spec::document::DocumentError;
use cnbw_spec::exec_env;
use cnbw_spec::project::{Project, parse_project};

/// The part of a project descriptor that a build follows.
#[derive(Debug, Default)]
pub(crate) struct Descriptor {
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) env: Vec<(String, Vec<u8>)>,
    pub(crate) buildpacks: Vec<BuildpackSource>,
    /// What is there and not followed, as sentences.
    pub(crate) notes: Vec<String>,
}

/// A descriptor that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DescriptorError {
    #[error("cannot read the project descriptor `{file}`")]
    Read {
        file: String,
        source: std::io::Error,
    },
    #[error("the project descriptor is wrong")]
    Document { source: DocumentError },
    #[error(
        "the project descriptor `{file}` sets both `include` and `exclude`; only one of them can hold"
    )]
    IncludeAndExclude { file: String },
    #[error("the project descriptor `{file}` asks for {what}, which cnbw does not do: {instead}")]
    Unsupported {
        file: String,
        what: String,
        instead: &'static str,
    },
    #[error(transparent)]
    Filter { source: IntakeError },
}

/// Descriptors are small; a larger file is something else.
const MAX_BYTES: u64 = 1 << 20;

/// Reads `project.toml` in the application, if it is there.
pub(crate) fn read_in(app: &Dir) -> Result<Option<Descriptor>, DescriptorError> {
    let file = "project.toml";
    match app.symlink_metadata(file) {
        Ok(metadata) if metadata.is_file() => read(app, file).map(Some),
        // A link could lead anywhere, and the application is not trusted to say where.
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Reads a descriptor by its name in a directory.
pub(crate) fn read(dir: &Dir, file: &str) -> Result<Descriptor, DescriptorError> {
    let error = |source| DescriptorError::Read {
        file: file.to_owned(),
        source,
    };
    let opened = dir.open(file).map_err(error)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(
        &mut std::io::Read::take(opened.into_std(), MAX_BYTES + 1),
        &mut bytes,
    )
    .map_err(error)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(error(std::io::Error::other("it is larger than 1 MiB")));
    }
    let project =
        parse_project(file, &bytes).map_err(|source| DescriptorError::Document { source })?;
    follow(file, &project)
}

fn follow(file: &str, project: &Project) -> Result<Descriptor, DescriptorError> {
    if !project.include.is_empty() && !project.exclude.is_empty() {
        return Err(DescriptorError::IncludeAndExclude {
            file: file.to_owned(),
        });
    }
    let unsupported = |what: String, instead| DescriptorError::Unsupported {
        file: file.to_owned(),
        what,
        instead,
    };
    if !project.pre.is_empty() || !project.post.is_empty() {
        return Err(unsupported(
            "buildpacks before or after the builder's own (`pre`, `post`)".to_owned(),
            "name the whole group with --buildpack",
        ));
    }
    let mut buildpacks = Vec::new();
    for buildpack in project.group.iter().filter(|it| applies(&it.exec_env)) {
        if buildpack.script.is_some() {
            return Err(unsupported(
                "an inline buildpack (`script`)".to_owned(),
                "there is no shell in the sandbox; write a WebAssembly program",
            ));
        }
        match (&buildpack.id, &buildpack.uri) {
            (Some(id), None) => buildpacks.push(BuildpackSource::BuiltIn {
                id: id.clone(),
                version: buildpack.version.clone(),
            }),
            (_, Some(uri)) => {
                return Err(unsupported(
                    format!("the buildpack `{}`", uri.escape_debug()),
                    "an application does not decide what is loaded from elsewhere; name it with --buildpack",
                ));
            }
            (None, None) => {
                return Err(unsupported(
                    "a buildpack without `id`".to_owned(),
                    "name it by its id",
                ));
            }
        }
    }
    let mut notes: Vec<String> = project
        .unknown_keys
        .iter()
        .map(|key| {
            format!(
                "the project descriptor `{file}` has the unknown key `{}`, which is ignored",
                key.escape_debug()
            )
        })
        .collect();
    if !project.has_schema {
        notes.push(format!(
            "the project descriptor `{file}` names no `schema-version`; it is read as schema 0.1"
        ));
    }
    if let Some(builder) = &project.builder {
        notes.push(format!(
            "the project descriptor names the builder `{}`; cnbw uses its own",
            builder.escape_debug()
        ));
    }
    Ok(Descriptor {
        include: project.include.clone(),
        exclude: project.exclude.clone(),
        env: project
            .build_env
            .iter()
            .filter(|variable| applies(&variable.exec_env))
            .map(|variable| (variable.name.clone(), variable.value.clone().into_bytes()))
            .collect(),
        buildpacks,
        notes,
    })
}

/// Whether something that is declared for execution environments exists in the one that images are built for.
fn applies(declared: &[String]) -> bool {
    exec_env::is_eligible(declared, exec_env::DEFAULT)
}

impl Descriptor {
    pub(crate) fn filter(&self) -> Result<Filter, DescriptorError> {
        Filter::new(&self.include, &self.exclude)
            .map_err(|source| DescriptorError::Filter { source })
    }
}
