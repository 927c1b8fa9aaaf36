//! Looks at what a phase left behind: exactly those things that the outcome file speaks of.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::case::{Case, RunStep};
use crate::images::{self, Registries};
use crate::json::parse_toml;
use crate::names::Names;
use crate::phase::Outcome;
use crate::{tar, tree};

/// Documents that phases write into the layers directory. They are compared as documents, not as files.
const DOCUMENTS: [&str; 6] = [
    "analyzed.toml",
    "group.toml",
    "plan.toml",
    "order.toml",
    "report.toml",
    "config/metadata.toml",
];

/// Looks at the world after a step.
pub(crate) struct Observer<'a> {
    /// The case.
    pub(crate) case: &'a Case,
    /// Its names.
    pub(crate) names: &'a Names,
    /// Its registries.
    pub(crate) registries: &'a Registries,
}

impl Observer<'_> {
    /// The outcome of a step, with the keys that `expected` has. Keys of maps are written with placeholders
    /// expanded.
    pub(crate) fn observe(
        &self,
        step: &RunStep,
        outcome: &Outcome,
        expected: &Value,
    ) -> Result<Value> {
        let mut found = Map::new();
        let Value::Object(expected) = expected else {
            return Ok(Value::Null);
        };
        for (key, expected) in expected {
            let keys: Vec<&str> = expected
                .as_object()
                .map(|keys| keys.keys().map(String::as_str).collect())
                .unwrap_or_default();
            let value = match key.as_str() {
                "run" => json!(step.run),
                "exit" => json!(outcome.exit),
                "stdout" => json!(own_words(&outcome.stdout)),
                "grep" => grep(&keys, &outcome.output)?,
                "documents" => self.each(&keys, |key| self.document(step, key)),
                "layers" => layers(Path::new(step.layers_dir.as_deref().unwrap_or("/layers")))?,
                "out" => self.out()?,
                "images" | "layouts" => self.each(&keys, |name| self.image(name)),
                "cache_image" => self.registries.facts(&self.cache_image(step)?)?,
                "cache" => self.each(&keys, |name| cache(&Path::new("/cache").join(name))),
                "files" => self.each(&keys, |path| file(Path::new(path))),
                "trees" => self.each(&keys, |path| tree::list(Path::new(path))),
                "reference_fault" => expected.clone(),
                _ => json!("<nothing that this runner can look at>"),
            };
            found.insert(key.clone(), value);
        }
        Ok(Value::Object(found))
    }

    fn each(&self, keys: &[&str], look: impl Fn(&str) -> Result<Value>) -> Value {
        let mut found = Map::new();
        for key in keys {
            let key = self.names.expand(key);
            // What cannot be read is a difference like any other.
            let value =
                look(&key).unwrap_or_else(|error| json!(format!("<unreadable: {error:#}>")));
            found.insert(key, value);
        }
        Value::Object(found)
    }

    fn image(&self, name: &str) -> Result<Value> {
        if name.starts_with('/') {
            images::layout_facts(Path::new(name), &self.registries.run_layers)
        } else {
            self.registries.facts(name)
        }
    }

    fn cache_image(&self, step: &RunStep) -> Result<String> {
        let mut arguments = step.args.iter();
        let name = arguments.find(|argument| argument.trim_start_matches('-') == "cache-image");
        let name = name
            .and_then(|_| arguments.next())
            .or_else(|| step.env.get("CNB_CACHE_IMAGE"));
        Ok(self
            .names
            .expand(name.context("the step names no cache image")?))
    }

    fn document(&self, step: &RunStep, key: &str) -> Result<Value> {
        let layers = step.layers_dir.as_deref().unwrap_or("/layers");
        let path = if key.starts_with('/') {
            PathBuf::from(key)
        } else {
            Path::new(layers).join(key)
        };
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(Value::Null);
        };
        let mut document =
            parse_toml(&text).with_context(|| format!("{} is no TOML", path.display()))?;
        self.check_manifest_size(&mut document);
        Ok(document)
    }

    /// Replaces a manifest's size in a report by words if it is not the length of the manifest.
    fn check_manifest_size(&self, document: &mut Value) {
        let digest = document.pointer("/image/digest").and_then(Value::as_str);
        let Some(length) = digest.and_then(|digest| self.registries.manifest_length(digest)) else {
            return;
        };
        if let Some(size) = document.pointer_mut("/image/manifest-size")
            && size.as_u64() != u64::try_from(length).ok()
        {
            *size = json!(format!("<{size}, but the manifest has {length} bytes>"));
        }
    }

    fn out(&self) -> Result<Value> {
        let listed = tree::list(&PathBuf::from(self.case.app_directory()).join("out"))?;
        let mut found = Map::new();
        for (path, facts) in listed.as_object().into_iter().flatten() {
            let Some(text) = facts.get("text").and_then(Value::as_str) else {
                continue;
            };
            let plan = path
                .starts_with("plan-")
                .then(|| parse_toml(text))
                .flatten();
            found.insert(path.clone(), plan.unwrap_or_else(|| json!(text)));
        }
        Ok(Value::Object(found))
    }
}

/// The output of a launched process, without what the launcher says itself and without what shells add to an
/// environment.
fn own_words(stdout: &str) -> String {
    let colors = Regex::new("\x1b\\[[0-9;]*m").ok();
    let shell = ["OLDPWD=", "PWD=", "SHLVL=", "_="];
    let mut out = String::new();
    for line in stdout.split_inclusive('\n') {
        let plain = colors
            .as_ref()
            .map_or(line.into(), |colors| colors.replace_all(line, ""));
        let message = ["ERROR: ", "Warning: ", "WARNING: "]
            .iter()
            .any(|word| plain.starts_with(word));
        let added = line
            .split_once("env: ")
            .is_some_and(|(_, variable)| shell.iter().any(|name| variable.starts_with(name)));
        if !message && !added {
            out.push_str(line);
        }
    }
    out
}

fn grep(patterns: &[&str], output: &str) -> Result<Value> {
    let mut found = Map::new();
    for pattern in patterns {
        let regex = Regex::new(pattern).with_context(|| format!("`{pattern}` is no pattern"))?;
        found.insert((*pattern).to_owned(), json!(regex.is_match(output)));
    }
    Ok(Value::Object(found))
}

fn layers(directory: &Path) -> Result<Value> {
    let mut listed = tree::list(directory)?;
    if let Value::Object(entries) = &mut listed {
        for document in DOCUMENTS {
            entries.remove(document);
        }
    }
    Ok(listed)
}

fn file(path: &Path) -> Result<Value> {
    match fs::read(path) {
        Ok(bytes) => Ok(json!(tree::text_of(&bytes))),
        Err(_) if path.is_dir() => tree::list(path),
        Err(_) => Ok(Value::Null),
    }
}

/// A directory of the cache: archives as their entries, the rest as documents.
fn cache(directory: &Path) -> Result<Value> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(Value::Null);
    };
    let mut found = Map::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {name}"))?;
        let value = if Path::new(&name)
            .extension()
            .is_some_and(|extension| extension == "tar")
        {
            Value::Array(tar::read(&bytes)?)
        } else {
            serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(tree::text_of(&bytes)))
        };
        found.insert(name, value);
    }
    Ok(Value::Object(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_launcher_and_of_shells_are_left_out() {
        let stdout = "args:\nenv: A=1\nenv: PWD=/x\nexecd-env: SHLVL=1\nenv: _=x\nenv: __=y\n\
                      \x1b[31;1mERROR: \x1b[0mit broke\nWarning: old\nlast";
        assert_eq!(own_words(stdout), "args:\nenv: A=1\nenv: __=y\nlast");
    }

    #[test]
    fn patterns_are_looked_for_across_lines_if_they_say_so() {
        let found = grep(&["(?s)A.*B", "A.*B", "^B"], "A\nB\n").unwrap();
        assert_eq!(found, json!({"(?s)A.*B": true, "A.*B": false, "^B": false}));
    }
}
