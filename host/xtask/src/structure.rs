//! The structure of the tree: which crate may use which, and how long a file may get.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::run::{cargo, root};

/// The allowed arrows between our own crates. Adding one takes a decision record in `docs/decisions/`.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "cnbw",
        &[
            "cnbw-broker",
            "cnbw-lifecycle",
            "cnbw-oci",
            "cnbw-registry",
            "cnbw-sandbox",
            "cnbw-spec",
        ],
    ),
    ("cnbw-broker", &["cnbw-spec"]),
    (
        "cnbw-cli",
        &[
            "cnbw",
            "cnbw-broker",
            "cnbw-debian",
            "cnbw-lifecycle",
            "cnbw-oci",
            "cnbw-registry",
            "cnbw-sandbox",
            "cnbw-spec",
        ],
    ),
    ("cnbw-debian", &["cnbw-oci", "cnbw-unpack"]),
    ("cnbw-launcher", &[]),
    ("cnbw-lifecycle", &["cnbw-oci", "cnbw-spec"]),
    ("cnbw-oci", &[]),
    ("cnbw-registry", &["cnbw-oci"]),
    ("cnbw-sandbox", &["cnbw-lifecycle", "cnbw-spec"]),
    ("cnbw-spec", &[]),
    ("cnbw-testkit", &[]),
    ("cnbw-unpack", &[]),
    ("conformance", &["cnbw-testkit"]),
    ("xtask", &[]),
];

/// Only these crates may use wasmtime, and only these the network.
const KEPT_APART: &[(&str, &[&str])] = &[
    ("wasmtime", &["cnbw-sandbox"]),
    ("wasmtime-wasi", &["cnbw-sandbox"]),
    ("ureq", &["cnbw-broker", "cnbw-registry"]),
];

const MAX_LINES: usize = 800;

/// Runs all structure checks.
pub(crate) fn check() -> Result<()> {
    let mut faults = Vec::new();
    arrows(&mut faults)?;
    for folder in ["host", "conformance", "guest-examples"] {
        file_sizes(&root().join(folder), &mut faults)?;
    }
    if !faults.is_empty() {
        bail!(
            "the structure of the tree is broken:\n  {}",
            faults.join("\n  ")
        );
    }
    println!("structure: arrows between crates and file sizes hold");
    Ok(())
}

fn arrows(faults: &mut Vec<String>) -> Result<()> {
    let output = cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"]).output()?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in metadata["packages"].as_array().context("packages")? {
        let name = package["name"].as_str().context("name")?;
        let Some(may_use) = allowed.get(name) else {
            faults.push(format!("crate `{name}` is not in the list of crates"));
            continue;
        };
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            let used = dependency["name"].as_str().context("dependency name")?;
            let is_dev = dependency["kind"].as_str() == Some("dev");
            if is_dev && used == "cnbw-testkit" {
                continue;
            }
            if allowed.contains_key(used) && !may_use.contains(&used) {
                faults.push(format!(
                    "crate `{name}` uses `{used}`, which no arrow allows"
                ));
            }
            if let Some((_, owners)) = KEPT_APART.iter().find(|(kept, _)| *kept == used)
                && !owners.contains(&name)
            {
                faults.push(format!(
                    "crate `{name}` uses `{used}`, which only {} may",
                    owners.join(", ")
                ));
            }
        }
    }
    Ok(())
}

fn file_sizes(folder: &Path, faults: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if name != "target" && name != "tests" && name != "cases" {
                file_sizes(&path, faults)?;
            }
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") || name == "tests.rs" {
            continue;
        }
        let lines = code_lines(&std::fs::read_to_string(&path)?);
        if lines > MAX_LINES {
            faults.push(format!(
                "{} has {lines} lines of code; {MAX_LINES} is the limit",
                path.display()
            ));
        }
    }
    Ok(())
}

/// Lines before the file's own test module.
fn code_lines(text: &str) -> usize {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .count()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_structure_of_the_tree_holds() -> anyhow::Result<()> {
        super::check()
    }
}
