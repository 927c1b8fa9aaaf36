//! The verdict of detection, and the build plan.

use toml::{Table, Value};

/// Whether a buildpack applies.
#[derive(Clone, Debug, PartialEq)]
pub enum Detection {
    /// It does.
    Pass {
        /// Names of what it provides.
        provides: Vec<String>,
        /// What it requires: names, and what whoever provides it shall know.
        requires: Vec<(String, Table)>,
    },
    /// It does not, and why: the user reads it.
    Fail(String),
}

impl Detection {
    /// It applies.
    pub fn pass() -> Self {
        Self::Pass {
            provides: Vec::new(),
            requires: Vec::new(),
        }
    }

    /// It does not apply, because.
    pub fn fail(reason: impl Into<String>) -> Self {
        Self::Fail(reason.into())
    }

    /// It provides something.
    #[must_use]
    pub fn provides(mut self, name: impl Into<String>) -> Self {
        if let Self::Pass { provides, .. } = &mut self {
            provides.push(name.into());
        }
        self
    }

    /// It requires something.
    #[must_use]
    pub fn requires(self, name: impl Into<String>) -> Self {
        self.requires_with(name, Table::new())
    }

    /// It requires something, and whoever provides it shall know this.
    #[must_use]
    pub fn requires_with(mut self, name: impl Into<String>, metadata: Table) -> Self {
        if let Self::Pass { requires, .. } = &mut self {
            requires.push((name.into(), metadata));
        }
        self
    }

    /// The build plan; `None` if it does not apply.
    pub(crate) fn plan(&self) -> Option<String> {
        let Self::Pass { provides, requires } = self else {
            return None;
        };
        let named = |name: &String| Table::from_iter([("name".to_owned(), text(name))]);
        let mut plan = Table::new();
        if !provides.is_empty() {
            let entries = provides.iter().map(|name| Value::Table(named(name)));
            plan.insert("provides".to_owned(), Value::Array(entries.collect()));
        }
        if !requires.is_empty() {
            let entries = requires.iter().map(|(name, metadata)| {
                let mut entry = named(name);
                if !metadata.is_empty() {
                    entry.insert("metadata".to_owned(), Value::Table(metadata.clone()));
                }
                Value::Table(entry)
            });
            plan.insert("requires".to_owned(), Value::Array(entries.collect()));
        }
        Some(plan.to_string())
    }
}

pub(crate) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_what_is_provided_and_required() {
        let metadata = Table::from_iter([("version".to_owned(), text("22"))]);
        let plan = Detection::pass()
            .provides("a")
            .requires("a")
            .requires_with("b", metadata)
            .plan()
            .unwrap();
        let plan: Table = plan.parse().unwrap();
        assert_eq!(plan["provides"][0]["name"].as_str(), Some("a"));
        assert_eq!(
            plan["requires"][1]["metadata"]["version"].as_str(),
            Some("22")
        );
        assert!(plan["requires"][0].get("metadata").is_none());
        assert_eq!(Detection::pass().plan().unwrap(), "");
        assert_eq!(Detection::fail("no").provides("a").plan(), None);
    }
}
