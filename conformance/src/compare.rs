//! Compares an outcome with what was recorded, and allows for what may vary.
//!
//! A recorded text holds placeholders. Some are known before (the registries, the run images), some take the
//! value that they are first compared with and must have it wherever they occur again.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

use regex::Regex;
use serde_json::Value;

use crate::json::parse_toml;
use crate::names::Names;

/// One place where an outcome is not as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Where.
    pub(crate) path: String,
    /// What was recorded.
    pub(crate) expected: String,
    /// What was found.
    pub(crate) actual: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (expected, actual) = (shortened(&self.expected), shortened(&self.actual));
        if expected.contains('\n') || actual.contains('\n') {
            writeln!(formatter, "{}", self.path)?;
            return line_difference(formatter, &expected, &actual);
        }
        writeln!(formatter, "{}", self.path)?;
        writeln!(formatter, "  - {expected}")?;
        writeln!(formatter, "  + {actual}")
    }
}

/// Lists of lines, without those that both begin and end with.
fn line_difference(
    formatter: &mut fmt::Formatter<'_>,
    expected: &str,
    actual: &str,
) -> fmt::Result {
    let (left, right): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let same = left
        .iter()
        .zip(&right)
        .take_while(|(left, right)| left == right)
        .count();
    let (left, right) = (
        left.get(same..).unwrap_or_default(),
        right.get(same..).unwrap_or_default(),
    );
    let tail = left
        .iter()
        .rev()
        .zip(right.iter().rev())
        .take_while(|(left, right)| left == right)
        .count();
    for line in left.iter().take(left.len() - tail) {
        writeln!(formatter, "  - {line}")?;
    }
    for line in right.iter().take(right.len() - tail) {
        writeln!(formatter, "  + {line}")?;
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    const LIMIT: usize = 4000;
    if text.len() <= LIMIT {
        text.to_owned()
    } else {
        format!("{}…", text.chars().take(LIMIT).collect::<String>())
    }
}

/// Compares the steps of one case.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    names: &'a Names,
    bound: BTreeMap<String, String>,
    /// Recorded diff IDs and those that stand for them because a document is formatted differently.
    stand_ins: BTreeMap<String, String>,
    differences: Vec<Difference>,
}

const PLACEHOLDER: &str = r"\{(digest:[0-9]+|launcher-layer|lifecycle-[a-z]+|varies)\}";
const DIGEST: &str = "sha256:[0-9a-f]{64}";

impl<'a> Comparison<'a> {
    /// A comparison that has seen nothing yet.
    pub(crate) fn new(names: &'a Names) -> Self {
        Self {
            names,
            bound: BTreeMap::new(),
            stand_ins: BTreeMap::new(),
            differences: Vec::new(),
        }
    }

    /// Compares all steps and returns the differences.
    pub(crate) fn compare(mut self, expected: &[Value], actual: &[Value]) -> Vec<Difference> {
        for (expected, actual) in expected.iter().zip(actual) {
            self.find_stand_ins(expected, actual);
        }
        for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
            let run = expected.get("run").and_then(Value::as_str).unwrap_or("?");
            self.value(&format!("step {} ({run})", index + 1), expected, actual);
        }
        self.differences
    }

    /// Finds configuration layers that differ only in how their TOML is formatted.
    fn find_stand_ins(&mut self, expected: &Value, actual: &Value) {
        let images = |value: &Value| {
            value
                .get("images")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let actual = images(actual);
        for (name, image) in images(expected) {
            let other = actual.get(&self.names.expand(&name));
            let layers = |image: Option<&Value>| {
                image
                    .and_then(|image| image.get("layers")?.as_array().cloned())
                    .unwrap_or_default()
            };
            for (recorded, found) in layers(Some(&image)).iter().zip(layers(other).iter()) {
                let (Some(left), Some(right)) = (metadata_text(recorded), metadata_text(found))
                else {
                    continue;
                };
                let left = self.names.expand(left);
                let ids =
                    [recorded, found].map(|layer| layer.get("diff_id").and_then(Value::as_str));
                if left != right
                    && parse_toml(&left).is_some_and(|left| Some(left) == parse_toml(right))
                    && let [Some(recorded), Some(found)] = ids
                {
                    self.stand_ins.insert(recorded.to_owned(), found.to_owned());
                }
            }
        }
    }

    fn differ(&mut self, path: &str, expected: &dyn Display, actual: &dyn Display) {
        self.differences.push(Difference {
            path: path.to_owned(),
            expected: expected.to_string(),
            actual: actual.to_string(),
        });
    }

    fn value(&mut self, path: &str, expected: &Value, actual: &Value) {
        match (expected, actual) {
            (Value::String(pattern), _) if pattern == "{varies}" => {}
            (Value::String(pattern), Value::Number(number))
                if pattern == "{integer}" && number.is_i64() => {}
            (Value::String(left), Value::String(right)) => self.text(path, left, right),
            (Value::Object(_), Value::Object(_)) => self.objects(path, expected, actual),
            (Value::Array(left), Value::Array(right)) => self.arrays(path, left, right),
            // A label that holds JSON is recorded parsed.
            (_, Value::String(text)) if path.contains("/Labels/") => {
                match serde_json::from_str::<Value>(text) {
                    Ok(parsed) if !parsed.is_string() => self.value(path, expected, &parsed),
                    _ => self.differ(path, &expected, &actual),
                }
            }
            _ if expected == actual => {}
            _ => self.differ(path, &expected, &actual),
        }
    }

    fn text(&mut self, path: &str, expected: &str, actual: &str) {
        let mut wanted = self.names.expand(expected);
        for (recorded, found) in &self.stand_ins {
            wanted = wanted.replace(recorded, found);
        }
        if wanted == actual {
            return;
        }
        let wanted = free_layout_digest(path, wanted);
        if !self.bind(&wanted, actual) {
            self.differ(path, &quoted(&wanted), &quoted(actual));
        }
    }

    /// Matches a text that holds free placeholders, and binds them.
    fn bind(&mut self, wanted: &str, actual: &str) -> bool {
        let Ok(placeholder) = Regex::new(PLACEHOLDER) else {
            return false;
        };
        let mut pattern = String::from("(?s)^");
        let mut free = Vec::new();
        let mut end = 0;
        for found in placeholder.find_iter(wanted) {
            pattern.push_str(&regex::escape(
                wanted.get(end..found.start()).unwrap_or_default(),
            ));
            end = found.end();
            let name = found.as_str();
            match self.bound.get(name) {
                Some(value) if name != "{varies}" => pattern.push_str(&regex::escape(value)),
                _ => {
                    let digest = name.starts_with("{digest") || name == "{launcher-layer}";
                    // Writing to a string cannot go wrong.
                    let _ = write!(pattern, "({})", if digest { DIGEST } else { ".*?" });
                    free.push(name.to_owned());
                }
            }
        }
        if end == 0 {
            return false;
        }
        pattern.push_str(&regex::escape(wanted.get(end..).unwrap_or_default()));
        pattern.push('$');
        let Some(captures) = Regex::new(&pattern)
            .ok()
            .and_then(|pattern| pattern.captures(actual))
        else {
            return false;
        };
        for (name, value) in free.iter().zip(captures.iter().skip(1).flatten()) {
            let taken = |other: &String, held: &String| {
                other.starts_with("{digest") && other != name && held == value.as_str()
            };
            if name.starts_with("{digest")
                && self.bound.iter().any(|(other, held)| taken(other, held))
            {
                return false;
            }
            self.bound.insert(name.clone(), value.as_str().to_owned());
        }
        true
    }

    fn objects(&mut self, path: &str, expected: &Value, actual: &Value) {
        let (Some(left), Some(right)) = (expected.as_object(), actual.as_object()) else {
            return;
        };
        let mut right = right.clone();
        let reformatted = is_toml(path, expected) && self.same_toml(expected, actual);
        for (key, expected) in left {
            let expanded = self.names.expand(key);
            let place = format!("{path}/{expanded}");
            let found = right.remove(&expanded);
            if reformatted && matches!(key.as_str(), "text" | "sha256" | "size") {
                continue;
            }
            match found {
                Some(found) if key == "entries" && is_plan(path) => {
                    self.plan(&place, expected, &found);
                }
                Some(found) => self.value(&place, expected, &found),
                None => self.differ(&place, expected, &"<nothing>"),
            }
        }
        for (key, found) in right {
            // Texts are recorded of a few files only.
            if key != "text" || !left.contains_key("sha256") {
                self.differ(&format!("{path}/{key}"), &"<nothing>", &found);
            }
        }
    }

    fn same_toml(&self, expected: &Value, actual: &Value) -> bool {
        let text = |value: &Value| value.get("text").and_then(Value::as_str).map(str::to_owned);
        let (Some(left), Some(right)) = (text(expected), text(actual)) else {
            return false;
        };
        parse_toml(&self.names.expand(&left)).is_some_and(|left| Some(left) == parse_toml(&right))
    }

    /// The order of a plan's entries is free.
    fn plan(&mut self, path: &str, expected: &Value, actual: &Value) {
        let sorted = |value: &Value| {
            let mut entries = value.as_array().cloned().unwrap_or_default();
            entries.sort_by_key(|entry| (first_name(entry), entry.to_string()));
            entries
        };
        self.arrays(path, &sorted(expected), &sorted(actual));
    }

    fn arrays(&mut self, path: &str, expected: &[Value], actual: &[Value]) {
        let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
        let names = |values: &[Value]| values.iter().map(name).collect::<Option<Vec<_>>>();
        if let (Some(left), Some(right)) = (names(expected), names(actual))
            && left != right
        {
            return self.differ(path, &left.join("\n"), &right.join("\n"));
        }
        if expected.len() != actual.len() {
            let brief = |values: &[Value]| {
                values
                    .iter()
                    .map(|value| brief(value).to_string())
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            return self.differ(path, &brief(expected), &brief(actual));
        }
        for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
            let label = name(expected).unwrap_or_else(|| format!("[{index}]"));
            self.value(
                &format!("{path}/{}", label.trim_start_matches('/')),
                expected,
                actual,
            );
        }
    }
}

/// What to say of a layer in a list: how it came about, not everything in it.
fn brief(value: &Value) -> Value {
    value
        .get("created_by")
        .filter(|text| *text != "")
        .unwrap_or(value)
        .clone()
}

fn first_name(entry: &Value) -> String {
    let name = |key: &str| {
        entry
            .get(key)?
            .get(0)?
            .get("name")?
            .as_str()
            .map(str::to_owned)
    };
    name("requires")
        .or_else(|| name("providers"))
        .unwrap_or_default()
}

fn is_plan(path: &str) -> bool {
    path.ends_with("plan.toml") || path.ends_with("/p.toml") || path.contains("/out/plan-")
}

fn is_toml(path: &str, value: &Value) -> bool {
    let name = value.get("name").and_then(Value::as_str).unwrap_or(path);
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "toml")
}

fn metadata_text(layer: &Value) -> Option<&str> {
    let entries = layer.get("entries")?.as_array()?;
    let entry = entries.iter().find(|entry| {
        entry
            .get("name")
            .and_then(Value::as_str)
            .is_some_and(|name| name.ends_with("/config/metadata.toml"))
    })?;
    entry.get("text")?.as_str()
}

/// The digest of a run image in a layout hangs on how its layers were compressed, which is free. It occurs in a
/// label as it was recorded.
fn free_layout_digest(path: &str, wanted: String) -> String {
    match wanted.split_once("@sha256:") {
        Some((name, _)) if name.starts_with('/') && path.ends_with("/runImage/reference") => {
            format!("{name}@{{digest:99}}")
        }
        _ => wanted,
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
