//! Writes a small image as an OCI layout, for scenarios that need a run image.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::json;

/// Writes an image of one layer with these files (`path`, text).
pub(crate) fn write(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    std::fs::create_dir_all(folder.join("blobs/sha256"))?;
    let mut layer = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        layer.append_data(&mut header, path, text.as_bytes())?;
    }
    let layer = layer.into_inner()?;
    let diff_id = digest(&layer)?;
    let (layer_digest, layer_size) = blob(folder, &layer)?;
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {}, "created": "2020-01-01T00:00:00Z",
        "rootfs": {"type": "layers", "diff_ids": [diff_id]}, "history": [{"created": "2020-01-01T00:00:00Z"}],
    });
    let (config_digest, config_size) = blob(folder, &serde_json::to_vec(&config)?)?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": layer_size}],
    });
    let (manifest_digest, manifest_size) = blob(folder, &serde_json::to_vec(&manifest)?)?;
    std::fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest_digest, "size": manifest_size,
            "platform": {"architecture": "amd64", "os": "linux"}}],
    });
    std::fs::write(folder.join("index.json"), serde_json::to_vec(&index)?)?;
    Ok(())
}

fn blob(folder: &Path, bytes: &[u8]) -> Result<(String, usize)> {
    let digest = digest(bytes)?;
    std::fs::write(
        folder
            .join("blobs/sha256")
            .join(digest.trim_start_matches("sha256:")),
        bytes,
    )?;
    Ok((digest, bytes.len()))
}

/// `sha256sum`, so that the task runner needs no hashing crate of its own.
fn digest(bytes: &[u8]) -> Result<String> {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("sha256sum (coreutils)")?;
    child
        .stdin
        .take()
        .context("no standard input")?
        .write_all(bytes)?;
    let output = child.wait_with_output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(format!(
        "sha256:{}",
        text.split_whitespace().next().context("no digest")?
    ))
}
