//! Blobs: reading, mounting, uploading.

use super::error;
use super::store::Store;
use crate::http::{Body, Request, Response};

pub(super) fn get(store: &Store, repository: &str, digest: &str, range: Option<&str>) -> Response {
    let Some(bytes) = store.linked_blob(repository, digest) else {
        return error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    };
    let mut response = Response::new(200)
        .header("Content-Type", "application/octet-stream")
        .header("Docker-Content-Digest", digest)
        .header("Accept-Ranges", "bytes");
    response.body = Body::Bytes(bytes.clone());
    let Some(range) = range else {
        return response;
    };
    let Some((first, length)) = parse_range(range, bytes.len()) else {
        return Response::new(416).header("Content-Range", format!("bytes */{}", bytes.len()));
    };
    response.status = 206;
    response.body = Body::Part(bytes.clone(), first, length);
    response.header(
        "Content-Range",
        format!("bytes {first}-{}/{}", first + length - 1, bytes.len()),
    )
}

/// Parses `bytes=FIRST-[LAST]` into offset and length.
fn parse_range(range: &str, total: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let last = if last.is_empty() {
        total.checked_sub(1)?
    } else {
        last.parse::<usize>().ok()?.min(total.checked_sub(1)?)
    };
    (first <= last).then(|| (first, last - first + 1))
}

pub(super) fn delete(store: &mut Store, repository: &str, digest: &str) -> Response {
    if store.repository(repository).blobs.remove(digest) {
        Response::new(202)
    } else {
        error(404, "BLOB_UNKNOWN", "blob unknown to registry")
    }
}

/// `POST …/blobs/uploads/`: a mount, a whole blob at once, or the begin of an upload.
pub(super) fn begin(
    store: &mut Store,
    repository: &str,
    request: Request,
    body_digest: &str,
    mount: bool,
) -> Response {
    if let (true, Some(digest)) = (mount, request.query_value("mount")) {
        let from = request.query_value("from").unwrap_or_default();
        if store.linked_blob(from, digest).is_some() {
            let digest = digest.to_owned();
            store.repository(repository).blobs.insert(digest.clone());
            return created(repository, &digest);
        }
    }
    if let Some(digest) = request.query_value("digest") {
        let digest = digest.to_owned();
        return keep(store, repository, digest, body_digest, request.body);
    }
    store.uploads_begun += 1;
    let id = format!("upload-{}", store.uploads_begun);
    store.uploads.insert(id.clone(), Vec::new());
    accepted(repository, &id, 0, 202)
}

pub(super) fn status(store: &Store, repository: &str, id: &str) -> Response {
    match store.uploads.get(id) {
        Some(upload) => accepted(repository, id, upload.len(), 204),
        None => error(
            404,
            "BLOB_UPLOAD_UNKNOWN",
            "blob upload unknown to registry",
        ),
    }
}

pub(super) fn patch(store: &mut Store, request: &Request) -> Response {
    let (repository, id) = names(&request.path);
    let Some(upload) = store.uploads.get_mut(&id) else {
        return error(
            404,
            "BLOB_UPLOAD_UNKNOWN",
            "blob upload unknown to registry",
        );
    };
    let begin = request
        .header("content-range")
        .and_then(|range| range.split('-').next())
        .and_then(|first| first.parse::<usize>().ok());
    if begin.is_some_and(|begin| begin != upload.len()) {
        return accepted(&repository, &id, upload.len(), 416);
    }
    upload.extend_from_slice(&request.body);
    accepted(&repository, &id, upload.len(), 202)
}

pub(super) fn finish(store: &mut Store, request: Request, body_digest: &str) -> Response {
    let (repository, id) = names(&request.path);
    let Some(digest) = request.query_value("digest").map(str::to_owned) else {
        return error(400, "DIGEST_INVALID", "no digest given");
    };
    let Some(mut upload) = store.uploads.remove(&id) else {
        return error(
            404,
            "BLOB_UPLOAD_UNKNOWN",
            "blob upload unknown to registry",
        );
    };
    if upload.is_empty() {
        return keep(store, &repository, digest, body_digest, request.body);
    }
    upload.extend_from_slice(&request.body);
    let found = super::sha256(&upload);
    keep(store, &repository, digest, &found, upload)
}

pub(super) fn give_up(store: &mut Store, id: &str) -> Response {
    match store.uploads.remove(id) {
        Some(_) => Response::new(204),
        None => error(
            404,
            "BLOB_UPLOAD_UNKNOWN",
            "blob upload unknown to registry",
        ),
    }
}

fn names(path: &str) -> (String, String) {
    let rest = path.strip_prefix("/v2/").unwrap_or(path);
    let (repository, id) = rest.split_once("/blobs/uploads/").unwrap_or((rest, ""));
    (repository.to_owned(), id.to_owned())
}

fn keep(
    store: &mut Store,
    repository: &str,
    digest: String,
    found: &str,
    bytes: Vec<u8>,
) -> Response {
    let empty = super::sha256(&[]);
    let found = if bytes.is_empty() { &empty } else { found };
    if found != digest {
        return error(
            400,
            "DIGEST_INVALID",
            "provided digest did not match uploaded content",
        );
    }
    let response = created(repository, &digest);
    store.put_blob_as(repository, digest, bytes);
    response
}

fn created(repository: &str, digest: &str) -> Response {
    Response::new(201)
        .header("Location", format!("/v2/{repository}/blobs/{digest}"))
        .header("Docker-Content-Digest", digest)
}

/// Says where an upload goes on; the query in it is there because clients must keep it.
fn accepted(repository: &str, id: &str, length: usize, status: u16) -> Response {
    Response::new(status)
        .header(
            "Location",
            format!("/v2/{repository}/blobs/uploads/{id}?_state=s-{length}"),
        )
        .header("Docker-Upload-Uuid", id)
        .header("Range", format!("0-{}", length.saturating_sub(1)))
}
