//! `project.toml`: an application's own description, schemas 0.1 to 0.3, as `pack` reads it.
//!
//! <https://github.com/buildpacks/spec/blob/main/extensions/project-descriptor.md>

use crate::document::{Document, DocumentError, Reader, escape};
use crate::value::Table;

/// The content of `project.toml`, all schemas in one shape.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Project {
    /// Schema version: 0.1 also if none is given.
    pub schema: ProjectSchema,
    /// Whether the file names a schema; `pack` warns if not.
    pub has_schema: bool,
    /// `[_] id` or `[project] id`.
    pub id: Option<String>,
    /// Name for people.
    pub name: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Where it lives: `source-url`.
    pub source_url: Option<String>,
    /// Authors.
    pub authors: Vec<String>,
    /// Documentation.
    pub documentation_url: Option<String>,
    /// Licenses.
    pub licenses: Vec<License>,
    /// Builder image or file.
    pub builder: Option<String>,
    /// Patterns of files to take; empty means all.
    pub include: Vec<String>,
    /// Patterns of files to leave out.
    pub exclude: Vec<String>,
    /// Buildpacks instead of the builder's order.
    pub group: Vec<ProjectBuildpack>,
    /// Buildpacks before the builder's order.
    pub pre: Vec<ProjectBuildpack>,
    /// Buildpacks after it.
    pub post: Vec<ProjectBuildpack>,
    /// Environment of the build.
    pub build_env: Vec<ProjectVariable>,
    /// `[_.metadata]` or `[metadata]`, free-form.
    pub metadata: Option<Table>,
    /// Keys that the schema does not know, outside of free-form tables. Worth a warning.
    pub unknown_keys: Vec<String>,
}

/// Schema of a project descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ProjectSchema {
    /// 0.1: `[project]`, `[build]`.
    #[default]
    V0_1,
    /// 0.2: `[_]`, `[io.buildpacks]`.
    V0_2,
    /// 0.3: as 0.2, with execution environments.
    V0_3,
}

/// A license.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct License {
    /// SPDX id.
    pub license_type: Option<String>,
    /// Address of its text.
    pub uri: Option<String>,
}

/// A buildpack that a project names, by id or by address.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProjectBuildpack {
    /// Id.
    pub id: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Where it is fetched from.
    pub uri: Option<String>,
    /// Inline script.
    pub script: Option<ProjectScript>,
    /// Execution environments in which it is used; none means all. Schema 0.3.
    pub exec_env: Vec<String>,
}

/// An inline buildpack.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProjectScript {
    /// Buildpack API.
    pub api: Option<String>,
    /// Text of the script.
    pub inline: Option<String>,
    /// Its shell.
    pub shell: Option<String>,
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProjectVariable {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// Execution environments in which it is set; none means all. Schema 0.3.
    pub exec_env: Vec<String>,
}

const PROJECT_KEYS: [&str; 9] = [
    "schema-version",
    "id",
    "name",
    "version",
    "authors",
    "documentation-url",
    "source-url",
    "licenses",
    "metadata",
];
const BUILD_KEYS_0_1: [&str; 5] = ["include", "exclude", "buildpacks", "env", "builder"];
const BUILD_KEYS_0_2: [&str; 8] = [
    "include", "exclude", "group", "pre", "post", "build", "env", "builder",
];

/// Parses `project.toml` and checks what can be checked without knowing a builder.
pub fn parse_project(file: &str, bytes: &[u8]) -> Result<Project, DocumentError> {
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    let underscore = root.table("_")?;
    let version = match &underscore {
        Some(table) => table.filled("schema-version")?,
        None => None,
    };
    let schema = match version.as_deref() {
        None | Some("0.1") => ProjectSchema::V0_1,
        Some("0.2") => ProjectSchema::V0_2,
        Some("0.3") => ProjectSchema::V0_3,
        Some(other) => {
            let reason = format!(
                "unknown schema version `{}`; known are 0.1, 0.2 and 0.3",
                escape(other)
            );
            return Err(root.error("_", reason));
        }
    };
    let mut project = match schema {
        ProjectSchema::V0_1 => read_old(&root)?,
        ProjectSchema::V0_2 | ProjectSchema::V0_3 => {
            read_new(&root, underscore.as_ref(), schema == ProjectSchema::V0_3)?
        }
    };
    project.schema = schema;
    project.has_schema = version.is_some();
    Ok(project)
}

fn read_old(root: &Reader<'_>) -> Result<Project, DocumentError> {
    let mut project = match root.table("project")? {
        Some(table) => read_about(&table)?,
        None => Project::default(),
    };
    project.metadata = root.free_table("metadata")?;
    if let Some(build) = root.table("build")? {
        project
            .unknown_keys
            .extend(build.unknown_keys(&BUILD_KEYS_0_1));
        read_files(&build, &mut project)?;
        project.builder = build.filled("builder")?;
        project.group = build.each("buildpacks", |entry| read_buildpack(entry, false))?;
        project.build_env = build.each("env", |variable| read_variable(variable, false))?;
    }
    Ok(project)
}

fn read_new(
    root: &Reader<'_>,
    underscore: Option<&Reader<'_>>,
    has_exec_env: bool,
) -> Result<Project, DocumentError> {
    let mut project = match underscore {
        Some(table) => Project {
            metadata: table.free_table("metadata")?,
            ..read_about(table)?
        },
        None => Project::default(),
    };
    let Some(io) = root.table("io")? else {
        return Ok(project);
    };
    let Some(buildpacks) = io.table("buildpacks")? else {
        return Ok(project);
    };
    let group =
        |reader: &Reader<'_>| reader.each("group", |entry| read_buildpack(entry, has_exec_env));
    project
        .unknown_keys
        .extend(buildpacks.unknown_keys(&BUILD_KEYS_0_2));
    read_files(&buildpacks, &mut project)?;
    project.builder = buildpacks.filled("builder")?;
    project.group = group(&buildpacks)?;
    if let Some(pre) = buildpacks.table("pre")? {
        project.pre = group(&pre)?;
    }
    if let Some(post) = buildpacks.table("post")? {
        project.post = group(&post)?;
    }
    // `env.build` is a misspelling that old descriptors have; the right key wins.
    for (outer, inner) in [("build", "env"), ("env", "build")] {
        if let Some(table) = buildpacks.table(outer)?
            && table.has(inner)
            && project.build_env.is_empty()
        {
            project.build_env = table.each(inner, |entry| read_variable(entry, has_exec_env))?;
        }
    }
    Ok(project)
}

fn read_about(table: &Reader<'_>) -> Result<Project, DocumentError> {
    let licenses = table.each("licenses", |license| {
        let read = License {
            license_type: license.filled("type")?,
            uri: license.filled("uri")?,
        };
        if read == License::default() {
            return Err(license.error_here("a license needs `type` or `uri`"));
        }
        Ok(read)
    })?;
    Ok(Project {
        id: table.filled("id")?,
        name: table.filled("name")?,
        version: table.filled("version")?,
        source_url: table.filled("source-url")?,
        authors: table.strings("authors")?.unwrap_or_default(),
        documentation_url: table.filled("documentation-url")?,
        licenses,
        unknown_keys: table.unknown_keys(&PROJECT_KEYS),
        ..Project::default()
    })
}

fn read_files(table: &Reader<'_>, project: &mut Project) -> Result<(), DocumentError> {
    if table.has("include") && table.has("exclude") {
        return Err(table.error("exclude", "`include` and `exclude` exclude each other"));
    }
    project.include = table.strings("include")?.unwrap_or_default();
    project.exclude = table.strings("exclude")?.unwrap_or_default();
    Ok(())
}

fn read_buildpack(
    entry: &Reader<'_>,
    has_exec_env: bool,
) -> Result<ProjectBuildpack, DocumentError> {
    let script = match entry.table("script")? {
        Some(script) => Some(ProjectScript {
            api: script.filled("api")?,
            inline: script.filled("inline")?,
            shell: script.filled("shell")?,
        }),
        None => None,
    };
    let buildpack = ProjectBuildpack {
        id: entry.filled("id")?,
        version: entry.filled("version")?,
        uri: entry.filled("uri")?,
        script,
        exec_env: read_exec_env(entry, has_exec_env)?,
    };
    if buildpack.id.is_none() && buildpack.uri.is_none() {
        return Err(entry.error_here("a buildpack needs `id` or `uri`"));
    }
    if buildpack.uri.is_some() && buildpack.version.is_some() {
        return Err(entry.error("version", "`uri` and `version` exclude each other"));
    }
    Ok(buildpack)
}

fn read_variable(entry: &Reader<'_>, has_exec_env: bool) -> Result<ProjectVariable, DocumentError> {
    let name = entry.text("name")?;
    if name.is_empty() || name.contains(['=', '\0', '/']) {
        return Err(entry.error("name", "not a name of a variable"));
    }
    Ok(ProjectVariable {
        name,
        value: entry.text("value")?,
        exec_env: read_exec_env(entry, has_exec_env)?,
    })
}

fn read_exec_env(entry: &Reader<'_>, has_exec_env: bool) -> Result<Vec<String>, DocumentError> {
    if !has_exec_env {
        return Ok(Vec::new());
    }
    Ok(entry.strings("exec-env")?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Project, DocumentError> {
        parse_project("project.toml", text.as_bytes())
    }

    fn parse_0_2(text: &str) -> Result<Project, DocumentError> {
        parse(&format!("[_]\nschema-version = \"0.2\"\n{text}"))
    }

    #[test]
    fn schema_0_2_is_read() {
        let project = parse_0_2(
            "id = \"i\"\nname = \"n\"\nauthors = [\"a\"]\n[_.metadata]\nx = 1\n[[_.licenses]]\ntype = \"MIT\"\n\
             [io.buildpacks]\nbuilder = \"b\"\nexclude = [\"spec/\"]\n\
             [[io.buildpacks.group]]\nid = \"a/b\"\nversion = \"1\"\nexec-env = [\"test\"]\n\
             [[io.buildpacks.group]]\nid = \"s\"\n[io.buildpacks.group.script]\napi = \"0.10\"\ninline = \"x\"\n\
             [[io.buildpacks.pre.group]]\nuri = \"u\"\n[[io.buildpacks.post.group]]\nid = \"p\"\n\
             [[io.buildpacks.build.env]]\nname = \"N\"\nvalue = \"v\"\n",
        )
        .unwrap();
        assert_eq!(project.schema, ProjectSchema::V0_2);
        assert_eq!(project.builder.as_deref(), Some("b"));
        assert_eq!(project.exclude, ["spec/"]);
        let ids: Vec<_> = project
            .group
            .iter()
            .map(|buildpack| buildpack.id.as_deref())
            .collect();
        assert_eq!(ids, [Some("a/b"), Some("s")]);
        assert!(
            project
                .group
                .iter()
                .all(|buildpack| buildpack.exec_env.is_empty())
        );
        let script = project
            .group
            .get(1)
            .and_then(|buildpack| buildpack.script.as_ref())
            .unwrap();
        assert_eq!(script.inline.as_deref(), Some("x"));
        assert_eq!((project.pre.len(), project.post.len()), (1, 1));
        let variable = project.build_env.first().unwrap();
        assert_eq!(
            (variable.name.as_str(), variable.value.as_str()),
            ("N", "v")
        );
        assert_eq!(project.metadata, Some("x = 1".parse().unwrap()));
        assert_eq!(project.unknown_keys, Vec::<String>::new());
    }

    #[test]
    fn schema_0_1_is_read_and_is_what_a_file_without_schema_has() {
        let project = parse(
            "[project]\nid = \"i\"\n[build]\ninclude = [\"src\"]\n[[build.buildpacks]]\nid = \"b\"\n\
             [[build.env]]\nname = \"N\"\nvalue = \"v\"\n[metadata]\nx = 1\n",
        )
        .unwrap();
        assert_eq!(
            (project.schema, project.has_schema),
            (ProjectSchema::V0_1, false)
        );
        assert_eq!(project.include, ["src"]);
        assert_eq!(project.group.len(), 1);
        assert_eq!(project.build_env.len(), 1);
        assert!(project.metadata.is_some());
    }

    // shows: project-001
    #[test]
    fn schema_0_3_knows_execution_environments() {
        let text = "[_]\nschema-version = \"0.3\"\n[[io.buildpacks.build.env]]\nname = \"N\"\nexec-env = [\"test\"]";
        let project = parse(text).unwrap();
        assert_eq!(
            project
                .build_env
                .first()
                .map(|entry| entry.exec_env.clone()),
            Some(vec!["test".to_owned()])
        );
        let error = parse("[_]\nschema-version = \"9.9\"").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`project.toml`, line 1, key `_`: unknown schema version `9.9`; known are 0.1, 0.2 and 0.3"
        );
    }

    // shows: project-008
    #[test]
    fn the_misspelt_key_counts_only_without_the_right_one() {
        let old = "[[io.buildpacks.env.build]]\nname = \"OLD\"\n";
        let new = "[[io.buildpacks.build.env]]\nname = \"NEW\"\n";
        for (text, expected) in [(old.to_owned(), "OLD"), (format!("{old}{new}"), "NEW")] {
            let project = parse_0_2(&text).unwrap();
            let names: Vec<_> = project
                .build_env
                .iter()
                .map(|entry| entry.name.as_str())
                .collect();
            assert_eq!(names, [expected]);
        }
    }

    // shows: project-004, project-011
    #[test]
    fn contradictions_are_refused() {
        let cases = [
            (
                "[io.buildpacks]\ninclude = []\nexclude = []",
                "exclude each other",
            ),
            (
                "[[io.buildpacks.group]]\nversion = \"1\"",
                "needs `id` or `uri`",
            ),
            (
                "[[io.buildpacks.group]]\nuri = \"u\"\nversion = \"1\"",
                "exclude each other",
            ),
            ("[[_.licenses]]", "needs `type` or `uri`"),
            (
                "[[io.buildpacks.build.env]]\nname = \"A=B\"",
                "not a name of a variable",
            ),
            (
                "[[io.buildpacks.build.env]]\nvalue = \"v\"",
                "not a name of a variable",
            ),
        ];
        for (text, reason) in cases {
            let error = parse_0_2(text).unwrap_err();
            assert!(error.reason.contains(reason), "{error}");
        }
    }

    #[test]
    fn unknown_keys_are_reported_and_otherwise_skipped() {
        let project =
            parse_0_2("later = 1\n[io.buildpacks]\nfoo = 1\n[com.example]\nx = 1").unwrap();
        assert_eq!(project.unknown_keys, ["_.later", "io.buildpacks.foo"]);
    }
}
