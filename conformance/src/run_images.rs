//! The run images that cases build on.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use cnbw_testkit::Registry;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::case::{Entry, EntryType};
use crate::json::from_toml;
use crate::names::Names;
use crate::tar::{self, Member};
use crate::tree;

const CREATED: &str = "2020-01-01T00:00:00Z";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    image: Vec<RunImage>,
}

/// An image as the data file describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunImage {
    name: String,
    #[serde(default)]
    config: toml::Table,
    layers: Vec<Vec<Entry>>,
    #[serde(default = "amd64")]
    arch: String,
    #[serde(default = "linux")]
    os: String,
    #[serde(default)]
    no_os: bool,
    variant: Option<String>,
    #[serde(default)]
    archs: Vec<String>,
    #[serde(default)]
    family: Family,
    #[serde(default)]
    both: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Family {
    #[default]
    Docker,
    Oci,
}

fn amd64() -> String {
    "amd64".to_owned()
}

fn linux() -> String {
    "linux".to_owned()
}

impl Family {
    fn types(self) -> [&'static str; 4] {
        match self {
            Self::Docker => [
                "application/vnd.docker.distribution.manifest.list.v2+json",
                "application/vnd.docker.distribution.manifest.v2+json",
                "application/vnd.docker.container.image.v1+json",
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
            ],
            Self::Oci => [
                "application/vnd.oci.image.index.v1+json",
                "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.oci.image.config.v1+json",
                "application/vnd.oci.image.layer.v1.tar+gzip",
            ],
        }
    }
}

/// Puts all run images into the registries, names their digests, and returns the diff IDs of their layers.
pub(crate) fn push_all(
    file: &Path,
    registries: [&Registry; 2],
    names: &mut Names,
) -> Result<BTreeSet<String>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let file: File =
        toml::from_str(&text).with_context(|| format!("cannot understand {}", file.display()))?;
    let mut diff_ids = BTreeSet::new();
    for image in &file.image {
        let layers = image
            .layers
            .iter()
            .map(|entries| layer(entries))
            .collect::<Result<Vec<_>>>()?;
        for layer in &layers {
            diff_ids.insert(layer.diff_id.clone());
        }
        let [first, second] = registries;
        for (name, digest) in image.push(first, &layers)? {
            names.add_run_image(&name, &digest);
        }
        if image.both {
            image.push(second, &layers)?;
        }
    }
    Ok(diff_ids)
}

struct Layer {
    diff_id: String,
    blob: Vec<u8>,
}

fn layer(entries: &[Entry]) -> Result<Layer> {
    let mut contents = Vec::new();
    for entry in entries {
        let mode = tree::mode(entry.mode.as_deref())?;
        let content = if entry.r#type == EntryType::Dir {
            None
        } else {
            Some(tree::content(entry, &Names::default())?)
        };
        contents.push((entry.path.as_str(), content, mode));
    }
    let members: Vec<_> = contents
        .iter()
        .map(|(name, content, mode)| Member {
            name,
            content: content.as_deref(),
            mode: mode.unwrap_or(if content.is_none() { 0o755 } else { 0o644 }),
        })
        .collect();
    let bytes = tar::write(&members);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&bytes)?;
    Ok(Layer {
        diff_id: cnbw_testkit::sha256(&bytes),
        blob: encoder.finish()?,
    })
}

impl RunImage {
    /// Puts the image into a registry, and returns its name and digest; for an index also those of its images,
    /// which are named for their architectures.
    fn push(&self, registry: &Registry, layers: &[Layer]) -> Result<Vec<(String, String)>> {
        let (repository, tag) = self
            .name
            .split_once(':')
            .context("a run image's name has no tag")?;
        let [index_type, manifest_type, ..] = self.family.types();
        if self.archs.is_empty() {
            let manifest = self.manifest(registry, repository, &self.arch, layers);
            let digest = registry.put_manifest(repository, tag, manifest_type, manifest);
            return Ok(vec![(self.name.clone(), digest)]);
        }
        let mut pushed = Vec::new();
        let mut manifests = Vec::new();
        for arch in &self.archs {
            let manifest = self.manifest(registry, repository, arch, layers);
            let (size, digest) = (manifest.len(), cnbw_testkit::sha256(&manifest));
            pushed.push((format!("{}-{arch}", self.name), digest.clone()));
            registry.put_manifest(repository, &digest, manifest_type, manifest);
            let platform = json!({"architecture": arch, "os": self.os});
            manifests
                .push(json!({"mediaType": manifest_type, "digest": digest, "size": size, "platform": platform}));
        }
        let index = json!({"schemaVersion": 2, "mediaType": index_type, "manifests": manifests});
        let digest = registry.put_manifest(repository, tag, index_type, index.to_string());
        pushed.push((self.name.clone(), digest));
        Ok(pushed)
    }

    fn manifest(
        &self,
        registry: &Registry,
        repository: &str,
        arch: &str,
        layers: &[Layer],
    ) -> Vec<u8> {
        let [_, manifest_type, config_type, layer_type] = self.family.types();
        let config = self.config_file(arch, layers).to_string();
        let config = json!({
            "mediaType": config_type,
            "size": config.len(),
            "digest": registry.put_blob(repository, config),
        });
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| {
                json!({
                    "mediaType": layer_type,
                    "size": layer.blob.len(),
                    "digest": registry.put_blob(repository, layer.blob.clone()),
                })
            })
            .collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers});
        manifest.to_string().into_bytes()
    }

    fn config_file(&self, arch: &str, layers: &[Layer]) -> Value {
        let history: Vec<_> = (0..layers.len())
            .map(|number| json!({"created": CREATED, "created_by": format!("run layer {number}")}))
            .collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
        let mut file = json!({
            "architecture": arch,
            "created": CREATED,
            "config": from_toml(&toml::Value::Table(self.config.clone())),
            "history": history,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        if let Value::Object(members) = &mut file {
            if !self.no_os {
                members.insert("os".to_owned(), json!(self.os));
            }
            if let Some(variant) = &self.variant {
                members.insert("variant".to_owned(), json!(variant));
            }
        }
        file
    }
}
