//! Reading: manifests by tag or digest, and blobs that are checked while they are read.

mod blob;
mod document;

use cnbw_oci::descriptor::Descriptor;
use cnbw_oci::digest::{BlobDigest, Digest};
use cnbw_oci::document::Document;
use cnbw_oci::manifest::{MANIFEST_CAP, media_type};
use cnbw_oci::reference::Version;
use ureq::http::Method;

use crate::client::{Call, Client, Place, refusal};
use crate::error::{RegistryError, shown};
use crate::token::Scope;

pub(crate) use blob::{open_blob, read_whole};
pub(crate) use document::parse;

/// What we can read, in the order in which we like it.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or index as it came, after its digest was checked.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) descriptor: Descriptor,
    pub(crate) bytes: Vec<u8>,
    pub(crate) document: Document,
}

/// Fetches a manifest or index; `None` if the registry has none of that name.
pub(crate) fn fetch_manifest(
    client: &Client,
    place: &Place,
    version: &Version,
) -> Result<Option<Fetched>, RegistryError> {
    let scopes = [Scope::pull(&place.repository)];
    let path = place.path(&format!("manifests/{}", version_text(version)));
    let call = Call::new(Method::GET, path, &scopes).header("accept", ACCEPT);
    let answer = client.send(&place.host, &call)?;
    match answer.status {
        200 => {}
        404 => {
            answer.discard();
            return Ok(None);
        }
        _ => return Err(refusal(&place.host, answer)),
    }
    let content_type = answer.header("content-type").unwrap_or_default().to_owned();
    let claimed = answer.header("docker-content-digest").map(str::to_owned);
    let bytes = answer
        .into_bytes(MANIFEST_CAP)
        .map_err(|error| RegistryError::Unreachable {
            host: place.host.registry.clone(),
            reason: shown(&error.to_string(), &[]),
        })?
        .ok_or_else(|| {
            rule(
                place,
                format!("the manifest has more than {MANIFEST_CAP} bytes"),
            )
        })?;
    let digest = Digest::of(&bytes);
    check_digest(place, version, claimed.as_deref(), digest)?;
    let (media_type, document) =
        parse(&bytes, &content_type).map_err(|reason| rule(place, reason))?;
    let descriptor = Descriptor::new(media_type, BlobDigest::new(digest), bytes.len() as u64);
    Ok(Some(Fetched {
        descriptor,
        bytes,
        document,
    }))
}

/// Asks for a manifest's existence only; `None` if the registry has none of that name.
pub(crate) fn head_manifest(
    client: &Client,
    place: &Place,
    version: &Version,
) -> Result<Option<()>, RegistryError> {
    let scopes = [Scope::pull(&place.repository)];
    let path = place.path(&format!("manifests/{}", version_text(version)));
    let call = Call::new(Method::HEAD, path, &scopes).header("accept", ACCEPT);
    let answer = client.send(&place.host, &call)?;
    match answer.status {
        200 => Ok(Some(())),
        404 => Ok(None),
        _ => Err(refusal(&place.host, answer)),
    }
}

/// The digest that we compute decides; what the registry claims must agree.
fn check_digest(
    place: &Place,
    version: &Version,
    claimed: Option<&str>,
    digest: Digest,
) -> Result<(), RegistryError> {
    if let Version::Digest(wanted) = version
        && *wanted != digest
    {
        return Err(rule(
            place,
            format!("the manifest `{wanted}` came with the digest `{digest}`"),
        ));
    }
    match claimed {
        // Another algorithm than ours says nothing that we could check.
        Some(claimed) if claimed.starts_with("sha256:") && claimed != digest.to_string() => {
            let claimed = shown(claimed, &[]);
            Err(rule(
                place,
                format!("the manifest was announced as `{claimed}` and has the digest `{digest}`"),
            ))
        }
        _ => Ok(()),
    }
}

pub(crate) fn version_text(version: &Version) -> String {
    match version {
        Version::Tag(tag) => tag.clone(),
        Version::Digest(digest) => digest.to_string(),
    }
}

fn rule(place: &Place, rule: String) -> RegistryError {
    RegistryError::Rule {
        host: place.host.registry.clone(),
        rule,
    }
}

/// Says whether a media type is one of an index.
pub(crate) fn is_index(kind: &str) -> bool {
    kind == media_type::OCI_INDEX || kind == media_type::DOCKER_INDEX
}
