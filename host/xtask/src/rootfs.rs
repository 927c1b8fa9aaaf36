//! Reads an image archive far enough to show it and to start it without a container engine.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// What the image's configuration says about starting it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) env: Vec<String>,
    pub(crate) command: Vec<String>,
}

/// The layers of an image, as lines to show, and its configuration.
#[derive(Debug)]
pub(crate) struct Layers {
    pub(crate) shown: Vec<String>,
    pub(crate) config: Config,
    names: Vec<String>,
}

/// Reads the documents of a Docker archive.
pub(crate) fn layers(archive: &Path) -> Result<Layers> {
    let manifest: Value = serde_json::from_slice(&member(archive, "manifest.json")?)?;
    let config_name = manifest[0]["Config"].as_str().context("Config")?;
    let config: Value = serde_json::from_slice(&member(archive, config_name)?)?;
    let list = |value: &Value| {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut command = list(&config["config"]["Entrypoint"]);
    command.extend(list(&config["config"]["Cmd"]));
    let created = config["history"].as_array().cloned().unwrap_or_default();
    let diff_ids = list(&config["rootfs"]["diff_ids"]);
    let shown = diff_ids
        .iter()
        .enumerate()
        .map(|(index, diff_id)| {
            let what = created
                .get(index)
                .and_then(|entry| entry["created_by"].as_str())
                .unwrap_or("");
            format!("{}  {what}", diff_id.get(..19).unwrap_or(diff_id))
        })
        .collect();
    Ok(Layers {
        shown,
        config: Config {
            env: list(&config["config"]["Env"]),
            command,
        },
        names: list(&manifest[0]["Layers"]),
    })
}

/// Unpacks all layers on top of each other.
pub(crate) fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for name in layers(archive)?.names {
        let bytes = member(archive, &name)?;
        let mut layer = tar::Archive::new(bytes.as_slice());
        layer.set_preserve_permissions(true);
        for entry in layer.entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            // Names in layers start with a slash; `unpack_in` takes that away and refuses `..`.
            entry
                .unpack_in(folder)
                .with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

fn member(archive: &Path, name: &str) -> Result<Vec<u8>> {
    let mut outer =
        tar::Archive::new(File::open(archive).with_context(|| archive.display().to_string())?);
    for entry in outer.entries()? {
        let mut entry = entry?;
        if entry.path()?.to_str() == Some(name) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
    }
    anyhow::bail!("{} has no `{name}`", archive.display())
}
