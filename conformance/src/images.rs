//! Images in the two registries and in OCI layouts.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cnbw_testkit::Registry;
use serde_json::{Map, Value, json};

use crate::case::Relabel;
use crate::json::from_toml;
use crate::names::Names;
use crate::tar;
use crate::tree::{self, CNB};

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// The two registries of a case.
#[derive(Debug)]
pub(crate) struct Registries {
    /// `{registry}`.
    pub(crate) first: Registry,
    /// `{registry2}`.
    pub(crate) second: Registry,
    /// The diff IDs of all layers of run images.
    pub(crate) run_layers: BTreeSet<String>,
}

/// Where an image is within a registry.
struct Place<'a> {
    registry: &'a Registry,
    repository: String,
    reference: String,
}

impl Registries {
    fn place(&self, name: &str) -> Result<Place<'_>> {
        let (address, rest) = name
            .split_once('/')
            .with_context(|| format!("`{name}` names no registry"))?;
        let registry = [&self.first, &self.second]
            .into_iter()
            .find(|registry| registry.address() == address);
        let registry =
            registry.with_context(|| format!("`{address}` is no registry of this case"))?;
        let (repository, reference) = match (rest.split_once('@'), rest.rsplit_once(':')) {
            (Some(parts), _) | (None, Some(parts)) => parts,
            (None, None) => (rest, "latest"),
        };
        Ok(Place {
            registry,
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        })
    }

    /// The facts of an image in a registry; `null` if there is none.
    pub(crate) fn facts(&self, name: &str) -> Result<Value> {
        let place = self.place(name)?;
        let Some((media_type, bytes)) =
            place.registry.manifest(&place.repository, &place.reference)
        else {
            return Ok(Value::Null);
        };
        let blob = |digest: &str| {
            place
                .registry
                .blob(digest)
                .with_context(|| format!("{name} lacks the blob {digest}"))
        };
        let mut facts = image_facts(&bytes, &self.run_layers, &blob)?;
        facts.insert("media_type".to_owned(), json!(media_type));
        facts.insert("digest".to_owned(), json!(cnbw_testkit::sha256(&bytes)));
        Ok(Value::Object(facts))
    }

    /// The length of a manifest in any repository.
    pub(crate) fn manifest_length(&self, digest: &str) -> Option<usize> {
        [&self.first, &self.second]
            .into_iter()
            .find_map(|registry| {
                registry
                    .repositories()
                    .iter()
                    .find_map(|repository| Some(registry.manifest(repository, digest)?.1.len()))
            })
    }

    /// Gives an image another configuration under the same name.
    pub(crate) fn relabel(&self, change: &Relabel, names: &Names) -> Result<()> {
        let place = self.place(&names.expand(&change.image))?;
        let (media_type, bytes) = place
            .registry
            .manifest(&place.repository, &place.reference)
            .with_context(|| format!("there is no {}", change.image))?;
        let mut manifest: Value = serde_json::from_slice(&bytes)?;
        let digest = string(&manifest, "/config/digest")?;
        let config = place
            .registry
            .blob(&digest)
            .context("the configuration is missing")?;
        let mut config: Value = serde_json::from_slice(&config)?;
        change_config(&mut config, change, names)?;
        let config = config.to_string();
        let size = json!(config.len());
        let digest = json!(place.registry.put_blob(&place.repository, config));
        if let Some(descriptor) = manifest
            .pointer_mut("/config")
            .and_then(Value::as_object_mut)
        {
            descriptor.insert("size".to_owned(), size);
            descriptor.insert("digest".to_owned(), digest);
        }
        place.registry.put_manifest(
            &place.repository,
            &place.reference,
            &media_type,
            manifest.to_string(),
        );
        Ok(())
    }

    /// Writes an image of a registry as an OCI layout.
    pub(crate) fn pull_layout(&self, name: &str, directory: &Path, sparse: bool) -> Result<()> {
        let place = self.place(name)?;
        let (media_type, bytes) = place
            .registry
            .manifest(&place.repository, &place.reference)
            .with_context(|| format!("there is no {name}"))?;
        let manifest: Value = serde_json::from_slice(&bytes)?;
        let blobs = directory.join("blobs/sha256");
        tree::make_directories(&blobs, CNB)?;
        let write = |path: &Path, bytes: &[u8]| -> Result<()> {
            fs::write(path, bytes)?;
            std::os::unix::fs::chown(path, Some(CNB.0), Some(CNB.1))?;
            Ok(())
        };
        let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
        let mut wanted = vec![string(&manifest, "/config/digest")?];
        if !sparse {
            for layer in manifest
                .get("layers")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                wanted.push(string(layer, "/digest")?);
            }
        }
        for digest in wanted {
            let blob = place.registry.blob(&digest).context("a blob is missing")?;
            write(&blobs.join(hex(&digest)), &blob)?;
        }
        let digest = cnbw_testkit::sha256(&bytes);
        write(&blobs.join(hex(&digest)), &bytes)?;
        let descriptor = json!({"mediaType": media_type, "size": bytes.len(), "digest": digest});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [descriptor]});
        write(&directory.join("index.json"), index.to_string().as_bytes())?;
        write(
            &directory.join("oci-layout"),
            br#"{"imageLayoutVersion": "1.0.0"}"#,
        )
    }
}

/// The facts of an image in an OCI layout; `null` if there is none.
pub(crate) fn layout_facts(directory: &Path, run_layers: &BTreeSet<String>) -> Result<Value> {
    let Ok(index) = fs::read(directory.join("index.json")) else {
        return Ok(Value::Null);
    };
    let index: Value = serde_json::from_slice(&index).context("index.json is no JSON")?;
    let blob = |digest: &str| -> Result<Vec<u8>> {
        let path = directory.join("blobs").join(digest.replacen(':', "/", 1));
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if cnbw_testkit::sha256(&bytes) != digest {
            bail!(
                "{} does not have the digest that it is named for",
                path.display()
            );
        }
        Ok(bytes)
    };
    let descriptor = index
        .pointer("/manifests/0")
        .context("index.json has no manifest")?;
    let digest = string(descriptor, "/digest")?;
    let mut facts = image_facts(&blob(&digest)?, run_layers, &blob)?;
    let manifests = index
        .get("manifests")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    let annotations = descriptor
        .get("annotations")
        .cloned()
        .unwrap_or(Value::Null);
    let layout = fs::read(directory.join("oci-layout")).context("there is no file oci-layout")?;
    let layout: Value = serde_json::from_slice(&layout).context("oci-layout is no JSON")?;
    facts.insert("digest".to_owned(), json!(digest));
    facts.insert(
        "index".to_owned(),
        json!({"annotations": annotations, "manifests": manifests}),
    );
    facts.insert("oci_layout".to_owned(), layout);
    facts.insert(
        "media_type".to_owned(),
        descriptor
            .get("mediaType")
            .cloned()
            .unwrap_or_else(|| json!(MANIFEST_TYPE)),
    );
    Ok(Value::Object(facts))
}

fn string(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("the document has no `{pointer}`"))?
        .to_owned())
}

type Blobs<'a> = dyn Fn(&str) -> Result<Vec<u8>> + 'a;

fn image_facts(
    manifest: &[u8],
    run_layers: &BTreeSet<String>,
    blob: &Blobs<'_>,
) -> Result<Map<String, Value>> {
    let manifest: Value = serde_json::from_slice(manifest).context("a manifest is no JSON")?;
    let mut config: Value = serde_json::from_slice(&blob(&string(&manifest, "/config/digest")?)?)?;
    let members = config
        .as_object_mut()
        .context("a configuration is no object")?;
    let history = members.remove("history").unwrap_or_default();
    let rootfs = members.remove("rootfs").unwrap_or_default();
    let mut history = history
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry.get("empty_layer") != Some(&Value::Bool(true)));
    let mut layers = Vec::new();
    let descriptors = manifest
        .get("layers")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let diff_ids = rootfs
        .get("diff_ids")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if descriptors.len() != diff_ids.len() {
        bail!(
            "the manifest has {} layers, the configuration {}",
            descriptors.len(),
            diff_ids.len()
        );
    }
    for (descriptor, diff_id) in descriptors.iter().zip(diff_ids) {
        let entry = history.next().cloned().unwrap_or_default();
        let text = |key: &str| {
            entry
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let mut facts = Map::new();
        facts.insert("diff_id".to_owned(), diff_id.clone());
        facts.insert("created".to_owned(), json!(text("created")));
        facts.insert("created_by".to_owned(), json!(text("created_by")));
        if diff_id
            .as_str()
            .is_some_and(|diff_id| run_layers.contains(diff_id))
        {
            facts.insert("run_image".to_owned(), json!(true));
        } else {
            let bytes = unpack(&blob(&string(descriptor, "/digest")?)?)?;
            let own = cnbw_testkit::sha256(&bytes);
            if diff_id.as_str() != Some(&own) {
                bail!("the layer {diff_id} has the diff ID {own}");
            }
            facts.insert("entries".to_owned(), Value::Array(tar::read(&bytes)?));
        }
        layers.push(Value::Object(facts));
    }
    let mut facts = Map::new();
    facts.insert("config".to_owned(), config);
    facts.insert("layers".to_owned(), Value::Array(layers));
    Ok(facts)
}

fn unpack(blob: &[u8]) -> Result<Vec<u8>> {
    if !blob.starts_with(&[0x1f, 0x8b]) {
        return Ok(blob.to_vec());
    }
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(blob)
        .read_to_end(&mut bytes)
        .context("a layer is no gzip stream")?;
    Ok(bytes)
}

fn change_config(config: &mut Value, change: &Relabel, names: &Names) -> Result<()> {
    let inner = config
        .pointer_mut("/config")
        .context("the image has no inner configuration")?;
    let inner = inner
        .as_object_mut()
        .context("the inner configuration is no object")?;
    let labels = inner.entry("Labels").or_insert_with(|| json!({}));
    let labels = labels.as_object_mut().context("the labels are no object")?;
    for label in &change.drop_labels {
        labels.remove(label);
    }
    for (label, value) in &change.labels {
        labels.insert(label.clone(), json!(names.expand(value)));
    }
    for (label, patches) in &change.patch_label {
        let text = labels
            .get(label)
            .and_then(Value::as_str)
            .with_context(|| format!("no label {label}"))?;
        let mut content: Value = serde_json::from_str(text)?;
        for (path, value) in patches {
            patch(&mut content, path, from_toml(value))?;
        }
        labels.insert(label.clone(), json!(content.to_string()));
    }
    let variables = inner.entry("Env").or_insert_with(|| json!([]));
    let variables = variables
        .as_array_mut()
        .context("the environment is no list")?;
    variables.retain(|variable| {
        let name = variable
            .as_str()
            .and_then(|text| text.split('=').next())
            .unwrap_or_default();
        !change.drop_env.iter().any(|dropped| dropped == name)
    });
    variables.extend(change.add_env.iter().map(|variable| json!(variable)));
    Ok(())
}

fn patch(content: &mut Value, path: &str, value: Value) -> Result<()> {
    let mut place = content;
    for part in path.split('/') {
        let members = place
            .as_object_mut()
            .with_context(|| format!("`{path}` leads through no object"))?;
        place = members.entry(part).or_insert_with(|| json!({}));
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_changed_as_a_step_says() {
        let mut config = json!({"config": {
            "Labels": {"gone": "1", "doc": "{\"runImage\":{\"topLayer\":\"a\"},\"app\":[]}"},
            "Env": ["A=1", "CNB_PLATFORM_API=0.15"],
        }});
        let change: Relabel = toml::from_str(
            "image = 'x'\ndrop_labels = ['gone']\nlabels = {new = '2'}\ndrop_env = ['CNB_PLATFORM_API']\n\
             add_env = ['B=2']\npatch_label = {doc = {'runImage/topLayer' = 'b', later = {k = 1}}}",
        )
        .unwrap();
        change_config(&mut config, &change, &Names::default()).unwrap();
        let labels = config["config"]["Labels"].as_object().unwrap();
        assert_eq!(labels.keys().collect::<Vec<_>>(), ["doc", "new"]);
        let doc: Value = serde_json::from_str(labels["doc"].as_str().unwrap()).unwrap();
        assert_eq!(
            doc,
            json!({"runImage": {"topLayer": "b"}, "app": [], "later": {"k": 1}})
        );
        assert_eq!(config["config"]["Env"], json!(["A=1", "B=2"]));
    }
}
