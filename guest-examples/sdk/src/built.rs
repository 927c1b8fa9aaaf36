//! What a build gives: layers, processes, labels.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::detection::text;
use crate::{Build, Error};

/// The result of a build.
#[derive(Clone, Debug, Default)]
pub struct Built {
    layers: Vec<Layer>,
    processes: Vec<Process>,
    labels: Vec<(String, String)>,
}

impl Built {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a layer.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// With a process.
    #[must_use]
    pub fn process(mut self, process: Process) -> Self {
        self.processes.push(process);
        self
    }

    /// With a label of the image.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Writes the documents of the Buildpack API into the layers directory.
    pub fn write(&self, layers: &Path) -> Result<(), Error> {
        for layer in &self.layers {
            layer.write(layers)?;
        }
        let launch = self.launch();
        if launch.is_empty() {
            return Ok(());
        }
        write(&layers.join("launch.toml"), launch.to_string().as_bytes())
    }

    fn launch(&self) -> Table {
        let mut launch = Table::new();
        if !self.labels.is_empty() {
            let labels = self.labels.iter().map(|(key, value)| {
                let pairs = [("key", key), ("value", value)];
                Value::Table(
                    pairs
                        .map(|(name, it)| (name.to_owned(), text(it)))
                        .into_iter()
                        .collect(),
                )
            });
            launch.insert("labels".to_owned(), Value::Array(labels.collect()));
        }
        if !self.processes.is_empty() {
            let processes = self.processes.iter().map(Process::table);
            launch.insert("processes".to_owned(), Value::Array(processes.collect()));
        }
        launch
    }
}

/// A process that can be started in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its type, by which it is started: `web`.
    pub kind: String,
    /// The program and the arguments that are always given. There is no shell in between.
    pub command: Vec<String>,
    /// Whether it starts when nothing else is said.
    pub default: bool,
}

impl Process {
    /// A process of a type.
    pub fn new<S: Into<String>>(
        kind: impl Into<String>,
        command: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            kind: kind.into(),
            command: command.into_iter().map(Into::into).collect(),
            default: false,
        }
    }

    /// The one that starts when nothing else is said.
    #[must_use]
    pub fn default(mut self) -> Self {
        self.default = true;
        self
    }

    fn table(&self) -> Value {
        let command = self.command.iter().map(|word| text(word));
        let mut table = Table::from_iter([
            ("type".to_owned(), text(&self.kind)),
            ("command".to_owned(), Value::Array(command.collect())),
        ]);
        if self.default {
            table.insert("default".to_owned(), Value::Boolean(true));
        }
        Value::Table(table)
    }
}

/// How a layer changes a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets it.
    Override,
    /// Sets it if nobody else does.
    Default,
    /// Puts the value in front of what is there.
    Prepend,
    /// Puts the value behind what is there.
    Append,
    /// Says what goes between, for the two before.
    Delimiter,
}

impl Change {
    fn suffix(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::Default => "default",
            Self::Prepend => "prepend",
            Self::Append => "append",
            Self::Delimiter => "delim",
        }
    }
}

/// A layer: a directory that may be in the image, there for later buildpacks, or kept for the next build.
#[derive(Clone, Debug)]
pub struct Layer {
    name: String,
    launch: bool,
    build: bool,
    cache: bool,
    metadata: Table,
    launch_variables: Vec<(String, Change, String)>,
}

impl Layer {
    /// A layer of a name, which nobody gets yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            launch: false,
            build: false,
            cache: false,
            metadata: Table::new(),
            launch_variables: Vec::new(),
        }
    }

    /// It is in the image.
    #[must_use]
    pub fn launch(mut self) -> Self {
        self.launch = true;
        self
    }

    /// Later buildpacks see it.
    #[must_use]
    pub fn build(mut self) -> Self {
        self.build = true;
        self
    }

    /// It is kept for the next build.
    #[must_use]
    pub fn cache(mut self) -> Self {
        self.cache = true;
        self
    }

    /// Something to recognize it by in the next build.
    #[must_use]
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Changes a variable of the processes in the image.
    #[must_use]
    pub fn launch_variable(
        mut self,
        name: impl Into<String>,
        change: Change,
        value: impl Into<String>,
    ) -> Self {
        self.launch_variables
            .push((name.into(), change, value.into()));
        self
    }

    /// Its directory, which is made when the build is over if it is not there.
    pub fn dir(&self, build: &Build) -> PathBuf {
        build.layers.join(&self.name)
    }

    fn write(&self, layers: &Path) -> Result<(), Error> {
        let types = [
            ("launch", self.launch),
            ("build", self.build),
            ("cache", self.cache),
        ];
        let types = types
            .into_iter()
            .filter(|(_, is)| *is)
            .map(|(name, is)| (name.to_owned(), Value::Boolean(is)));
        let mut document = Table::from_iter([("types".to_owned(), Value::Table(types.collect()))]);
        if !self.metadata.is_empty() {
            document.insert("metadata".to_owned(), Value::Table(self.metadata.clone()));
        }
        let path = layers.join(format!("{}.toml", self.name));
        write(&path, document.to_string().as_bytes())?;
        let dir = layers.join(&self.name);
        std::fs::create_dir_all(&dir).map_err(Error::at("make", &dir))?;
        for (name, change, value) in &self.launch_variables {
            let file = format!("{name}.{}", change.suffix());
            write(&dir.join("env.launch").join(file), value.as_bytes())?;
        }
        Ok(())
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(Error::at("make", parent))?;
    }
    std::fs::write(path, content).map_err(Error::at("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_processes_and_labels_become_documents() {
        let layers = tempfile::tempdir().unwrap();
        let layer = Layer::new("tool")
            .launch()
            .cache()
            .metadata("version", "1")
            .launch_variable("PATH", Change::Prepend, "/x")
            .launch_variable("PATH", Change::Delimiter, ":");
        Built::new()
            .layer(layer)
            .process(Process::new("web", ["a", "b c"]).default())
            .process(Process::new("worker", ["w"]))
            .label("k", "v \"quoted\"")
            .write(layers.path())
            .unwrap();
        let read = |path: &str| std::fs::read_to_string(layers.path().join(path)).unwrap();
        let document: Table = read("tool.toml").parse().unwrap();
        assert_eq!(document["types"]["launch"].as_bool(), Some(true));
        assert_eq!(document["types"]["cache"].as_bool(), Some(true));
        assert!(document["types"].get("build").is_none());
        assert_eq!(document["metadata"]["version"].as_str(), Some("1"));
        assert_eq!(read("tool/env.launch/PATH.prepend"), "/x");
        assert_eq!(read("tool/env.launch/PATH.delim"), ":");
        let launch: Table = read("launch.toml").parse().unwrap();
        assert_eq!(launch["processes"][0]["command"][1].as_str(), Some("b c"));
        assert_eq!(launch["processes"][0]["default"].as_bool(), Some(true));
        assert!(launch["processes"][1].get("default").is_none());
        assert_eq!(launch["labels"][0]["value"].as_str(), Some("v \"quoted\""));
    }

    #[test]
    fn nothing_built_writes_nothing() {
        let layers = tempfile::tempdir().unwrap();
        Built::new().write(layers.path()).unwrap();
        assert_eq!(std::fs::read_dir(layers.path()).unwrap().count(), 0);
    }
}
