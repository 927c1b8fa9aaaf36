//! Rules by which environment variables are changed. The caller decides in which order they apply.
//!
//! <https://github.com/buildpacks/spec/blob/main/buildpack.md#environment-variable-modification-rules>

use std::collections::BTreeMap;

/// Variables by name. Values are bytes: files hold any.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Environment {
    variables: BTreeMap<String, Vec<u8>>,
}

/// A file of an environment directory: its name and its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFile {
    /// Name, such as `PATH.prepend`.
    pub name: String,
    /// Content, taken as it is.
    pub value: Vec<u8>,
}

/// What a file does to a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `.prepend`: put before, with the delimiter.
    Prepend,
    /// `.append`: put after, with the delimiter.
    Append,
    /// `.override`: replace.
    Override,
    /// `.default`: set if unset or empty.
    Default,
    /// A name that ends in a period: put before, with `:` unless there is a delimiter file.
    PrependPath,
}

/// When an environment is made; decides which directories of a layer enter which variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// While building.
    Build,
    /// While launching.
    Launch,
}

impl Environment {
    /// An environment without variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a variable, empty if it is unset.
    pub fn value(&self, name: &str) -> &[u8] {
        self.variables.get(name).map_or(&[], Vec::as_slice)
    }

    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.variables.insert(name.into(), value.into());
    }

    /// All variables, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The environment that build programs inherit: the allowed variables of the host, and the path variables.
    pub fn for_build<'a>(host: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut environment = Self::new();
        for (name, value) in host {
            if is_inherited_by_build(name) {
                environment.set(name, value);
            }
        }
        environment
    }

    /// Prepends `<layer>/<directory>` to the variables that `directory` feeds: `bin` to `PATH`, …
    pub fn add_layer_directory(&mut self, moment: Moment, layer: &str, directory: &str) {
        for name in path_variables(moment, directory) {
            let mut value = format!("{layer}/{directory}").into_bytes();
            let old = self.value(name);
            if !old.is_empty() {
                value.push(b':');
                value.extend_from_slice(old);
            }
            self.set(*name, value);
        }
    }

    /// Applies the files of one directory, in the order of their names.
    pub fn apply_files(&mut self, files: &[EnvFile], default_action: Action) {
        let mut sorted: Vec<&EnvFile> = files.iter().collect();
        sorted.sort_by(|one, other| one.name.as_bytes().cmp(other.name.as_bytes()));
        for file in sorted {
            // A name that starts with a period would set the variable without a name.
            if file.name.starts_with('.') {
                continue;
            }
            let (name, action) = match file.name.split_once('.') {
                None => (file.name.as_str(), default_action),
                Some((name, suffix)) => match suffix_action(suffix) {
                    Some(action) => (name, action),
                    None => continue,
                },
            };
            self.apply(name, action, &file.value, delimiter(files, name));
        }
    }

    /// Applies the files of `<platform>/env`: the whole name is the variable's; path variables are prepended to.
    pub fn apply_user_files(&mut self, files: &[EnvFile]) {
        for file in files {
            if is_build_path_variable(&file.name) {
                self.apply(&file.name, Action::PrependPath, &file.value, None);
            } else {
                self.set(file.name.clone(), file.value.clone());
            }
        }
    }

    fn apply(&mut self, name: &str, action: Action, value: &[u8], delimiter: Option<&[u8]>) {
        let old = self.value(name);
        let joined =
            |first: &[u8], delimiter: &[u8], second: &[u8]| [first, delimiter, second].concat();
        let new = match action {
            Action::Default if !old.is_empty() => return,
            Action::Default | Action::Override => value.to_vec(),
            Action::Prepend | Action::Append | Action::PrependPath if old.is_empty() => {
                value.to_vec()
            }
            Action::Prepend => joined(value, delimiter.unwrap_or_default(), old),
            Action::Append => joined(old, delimiter.unwrap_or_default(), value),
            Action::PrependPath => joined(value, delimiter.unwrap_or(b":"), old),
        };
        self.set(name, new);
    }
}

/// Variables of the host that build programs get.
const BUILD_INHERITED: [&str; 9] = [
    "CNB_STACK_ID",
    "HOSTNAME",
    "HOME",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// Directories of a layer that feed variables while building, and those variables.
pub const LAYER_DIRECTORIES: [&str; 4] = ["bin", "lib", "include", "pkgconfig"];

/// The variables that a layer's directory feeds.
pub fn path_variables(moment: Moment, directory: &str) -> &'static [&'static str] {
    match (moment, directory) {
        (_, "bin") => &["PATH"],
        (Moment::Build, "lib") => &["LD_LIBRARY_PATH", "LIBRARY_PATH"],
        (Moment::Launch, "lib") => &["LD_LIBRARY_PATH"],
        (Moment::Build, "include") => &["CPATH"],
        (Moment::Build, "pkgconfig") => &["PKG_CONFIG_PATH"],
        _ => &[],
    }
}

fn is_build_path_variable(name: &str) -> bool {
    LAYER_DIRECTORIES
        .iter()
        .any(|directory| path_variables(Moment::Build, directory).contains(&name))
}

fn is_inherited_by_build(name: &str) -> bool {
    BUILD_INHERITED.contains(&name) || is_build_path_variable(name)
}

fn suffix_action(suffix: &str) -> Option<Action> {
    match suffix {
        "" => Some(Action::PrependPath),
        "prepend" => Some(Action::Prepend),
        "append" => Some(Action::Append),
        "override" => Some(Action::Override),
        "default" => Some(Action::Default),
        _ => None,
    }
}

fn delimiter<'a>(files: &'a [EnvFile], name: &str) -> Option<&'a [u8]> {
    let wanted = format!("{name}.delim");
    files
        .iter()
        .find(|file| file.name == wanted)
        .map(|file| file.value.as_slice())
}

#[cfg(test)]
mod tests;
