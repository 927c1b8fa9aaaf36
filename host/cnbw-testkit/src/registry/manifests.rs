//! Manifests, tags and referrers.

use serde_json::{Value, json};

use super::store::Store;
use super::{RegistryOptions, error};
use crate::http::{Body, Request, Response};

pub(super) fn get(store: &Store, repository: &str, reference: &str) -> Response {
    let Some((digest, manifest)) = store.manifest(repository, reference) else {
        return error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    };
    let mut response = Response::new(200)
        .header("Content-Type", manifest.media_type.as_str())
        .header("Docker-Content-Digest", digest);
    response.body = Body::Bytes(manifest.bytes.clone());
    response
}

pub(super) fn put(
    store: &mut Store,
    repository: &str,
    reference: &str,
    request: &Request,
    digest: &str,
    options: &RegistryOptions,
) -> Response {
    if reference.contains(':') && reference != digest {
        return error(
            400,
            "DIGEST_INVALID",
            "provided digest did not match uploaded content",
        );
    }
    let Ok(document) = serde_json::from_slice::<Value>(&request.body) else {
        return error(400, "MANIFEST_INVALID", "manifest is no JSON");
    };
    if options.check_blobs
        && let Some(missing) = missing(store, repository, &document)
    {
        return error(400, "MANIFEST_BLOB_UNKNOWN", &missing);
    }
    let media_type = request.header("content-type").unwrap_or_default();
    store.put_manifest(repository, reference, media_type, request.body.clone());
    let response = Response::new(201)
        .header("Location", format!("/v2/{repository}/manifests/{digest}"))
        .header("Docker-Content-Digest", digest);
    match document.pointer("/subject/digest").and_then(Value::as_str) {
        Some(subject) if options.referrers => response.header("OCI-Subject", subject),
        _ => response,
    }
}

/// Names the first blob or manifest that a document lists and its repository lacks.
fn missing(store: &Store, repository: &str, document: &Value) -> Option<String> {
    let digest_of = |value: &Value| {
        value
            .get("digest")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let layers = document.get("layers").and_then(Value::as_array);
    let blobs = layers.into_iter().flatten().chain(document.get("config"));
    let children = document.get("manifests").and_then(Value::as_array);
    blobs
        .filter_map(digest_of)
        .find(|digest| store.linked_blob(repository, digest).is_none())
        .or_else(|| {
            children
                .into_iter()
                .flatten()
                .filter_map(digest_of)
                .find(|digest| store.manifest(repository, digest).is_none())
        })
}

pub(super) fn delete(store: &mut Store, repository: &str, reference: &str) -> Response {
    let repository = store.repository(repository);
    if repository.tags.remove(reference).is_some() {
        return Response::new(202);
    }
    if repository.manifests.remove(reference).is_none() {
        return error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    }
    repository.tags.retain(|_, digest| digest != reference);
    Response::new(202)
}

pub(super) fn tags(store: &Store, repository: &str, request: &Request) -> Response {
    if !store.repositories.contains_key(repository) {
        return error(404, "NAME_UNKNOWN", "repository name not known to registry");
    }
    let last = request.query_value("last").unwrap_or_default();
    let limit: usize = request
        .query_value("n")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(usize::MAX);
    let all: Vec<String> = store
        .tags(repository)
        .into_iter()
        .filter(|tag| tag.as_str() > last)
        .collect();
    let page: Vec<&String> = all.iter().take(limit).collect();
    let body = json!({"name": repository, "tags": page}).to_string();
    let response = Response::with_body(200, body).header("Content-Type", "application/json");
    match page.last() {
        Some(last) if page.len() < all.len() => response.header(
            "Link",
            format!("</v2/{repository}/tags/list?n={limit}&last={last}>; rel=\"next\""),
        ),
        _ => response,
    }
}

pub(super) fn referrers(
    store: &Store,
    repository: &str,
    digest: &str,
    request: &Request,
) -> Response {
    let wanted = request.query_value("artifactType");
    let manifests = store
        .repositories
        .get(repository)
        .map(|found| &found.manifests);
    let mut entries = Vec::new();
    for (found, manifest) in manifests.into_iter().flatten() {
        let Ok(document) = serde_json::from_slice::<Value>(&manifest.bytes) else {
            continue;
        };
        if document.pointer("/subject/digest").and_then(Value::as_str) != Some(digest) {
            continue;
        }
        let artifact_type = document
            .get("artifactType")
            .or_else(|| document.pointer("/config/mediaType"))
            .cloned()
            .unwrap_or_default();
        if wanted.is_some_and(|wanted| artifact_type != wanted) {
            continue;
        }
        let mut entry = json!({
            "mediaType": manifest.media_type,
            "digest": found,
            "size": manifest.bytes.len(),
            "artifactType": artifact_type,
        });
        if let (Some(annotations), Some(entry)) =
            (document.get("annotations"), entry.as_object_mut())
        {
            entry.insert("annotations".to_owned(), annotations.clone());
        }
        entries.push(entry);
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let body = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries});
    let response = Response::with_body(200, body.to_string()).header("Content-Type", media_type);
    match wanted {
        Some(_) => response.header("OCI-Filters-Applied", "artifactType"),
        None => response,
    }
}
