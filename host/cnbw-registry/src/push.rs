//! Writing: blobs that are there already are not sent, those of a sister repository are mounted, the
//! rest goes up in one request and is taken up again where it broke.

use cnbw_oci::descriptor::Descriptor;
use cnbw_oci::digest::BlobDigest;
use ureq::http::Method;

use crate::client::{Call, Client, Place, refusal};
use crate::content::Content;
use crate::error::{RegistryError, shown};
use crate::token::{Scope, percent_encode};
use crate::transport::Answer;

/// Blobs from this size on are sent so that a part of them counts when the connection breaks.
const RESUMABLE_SIZE: u64 = 16 * 1024 * 1024;

/// What became of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It was there.
    Present,
    /// Another repository of the registry had it.
    Mounted,
    /// It was sent.
    Sent,
}

/// Makes sure that a repository has a blob.
pub(crate) fn push_blob(
    client: &Client,
    place: &Place,
    descriptor: &Descriptor,
    content: Content<'_>,
    mount_from: Option<&str>,
) -> Result<Pushed, RegistryError> {
    let mut session = None;
    match mount_from {
        Some(from) if from != place.repository => {
            match mount(client, place, &descriptor.digest, from)? {
                Mount::Done => return Ok(Pushed::Mounted),
                Mount::Session(location) => session = Some(location),
                Mount::Refused => {}
            }
        }
        _ => {}
    }
    if has_blob(client, place, descriptor)? {
        if let Some(location) = session {
            give_up(client, place, location);
        }
        return Ok(Pushed::Present);
    }
    let upload = Upload {
        client,
        place,
        scopes: [Scope::push(&place.repository)],
        descriptor,
        content,
    };
    upload.run(session)?;
    Ok(Pushed::Sent)
}

/// Asks whether a repository has a blob.
pub(crate) fn has_blob(
    client: &Client,
    place: &Place,
    descriptor: &Descriptor,
) -> Result<bool, RegistryError> {
    // With the token that the upload needs anyway.
    let scopes = [Scope::push(&place.repository)];
    let path = place.path(&format!("blobs/{}", descriptor.digest));
    let answer = client.send(&place.host, &Call::new(Method::HEAD, path, &scopes))?;
    match answer.status {
        200 => {
            // A blob of another length under this digest cannot be the same.
            let length = answer
                .header("content-length")
                .and_then(|length| length.parse().ok());
            // Zero is what caches in between make of an answer without a body.
            Ok(length.is_none_or(|length: u64| length == descriptor.size || length == 0))
        }
        404 => Ok(false),
        _ => Err(refusal(&place.host, answer)),
    }
}

enum Mount {
    Done,
    /// The registry wants the bytes, and says where.
    Session(String),
    Refused,
}

fn mount(
    client: &Client,
    place: &Place,
    digest: &BlobDigest,
    from: &str,
) -> Result<Mount, RegistryError> {
    let scopes = [Scope::push(&place.repository), Scope::pull(from)];
    let path = place.path(&format!(
        "blobs/uploads/?mount={}&from={}",
        percent_encode(&digest.to_string()),
        percent_encode(from)
    ));
    let answer = match client.send(&place.host, &Call::new(Method::POST, path, &scopes)) {
        Ok(answer) => answer,
        // A token service that does not let us read the other repository is no reason to fail.
        Err(RegistryError::Denied { .. }) => return Ok(Mount::Refused),
        Err(error) => return Err(error),
    };
    match answer.status {
        201 => {
            answer.discard();
            Ok(Mount::Done)
        }
        202 => Ok(Mount::Session(location(place, answer)?)),
        _ => {
            answer.discard();
            Ok(Mount::Refused)
        }
    }
}

/// Ends an upload that is not needed. If this fails the registry forgets it by itself, later.
pub(crate) fn give_up(client: &Client, place: &Place, location: String) {
    let scopes = [Scope::push(&place.repository)];
    let mut call = Call::new(Method::DELETE, location, &scopes);
    call.attempts = 1;
    if let Ok(answer) = client.send(&place.host, &call) {
        answer.discard();
    }
}

/// Begins an upload and returns where it goes on.
pub(crate) fn begin(client: &Client, place: &Place) -> Result<String, RegistryError> {
    let scopes = [Scope::push(&place.repository)];
    let call = Call::new(Method::POST, place.path("blobs/uploads/"), &scopes);
    let answer = client.send(&place.host, &call)?;
    match answer.status {
        202 => location(place, answer),
        _ => Err(refusal(&place.host, answer)),
    }
}

/// Returns path and query of the place where an upload goes on, which must be at the registry itself.
fn location(place: &Place, answer: Answer) -> Result<String, RegistryError> {
    let found = answer.header("location").unwrap_or_default().to_owned();
    answer.discard();
    match place.host.origin.resolve(&found) {
        // Registries behind a proxy that ends TLS give their own scheme, which is the wrong one.
        Some((origin, path)) if origin.same_place(&place.host.origin) => Ok(path),
        Some((origin, _)) => Err(rule(
            place,
            format!(
                "it sends an upload to another host, `{}`",
                shown(&origin.authority, &[])
            ),
        )),
        None => Err(rule(
            place,
            "it begins an upload without saying where it goes on".to_owned(),
        )),
    }
}

struct Upload<'a> {
    client: &'a Client,
    place: &'a Place,
    scopes: [Scope; 1],
    descriptor: &'a Descriptor,
    content: Content<'a>,
}

impl Upload<'_> {
    /// Sends the blob. Failures of the connection count only while nothing more arrives.
    fn run(&self, session: Option<String>) -> Result<(), RegistryError> {
        let retries = self.client.options().retries;
        let mut session = session;
        let mut arrived = 0;
        let mut failures = 0;
        loop {
            let location = if let Some(location) = session.take() {
                location
            } else {
                arrived = 0;
                begin(self.client, self.place)?
            };
            let error = match self.attempt(&location, arrived) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            failures += 1;
            let passing = matches!(error, RegistryError::Unreachable { .. })
                || matches!(error, RegistryError::Status { status, .. } if crate::host::is_passing(status) || status == 404 || status == 416);
            if !passing || failures >= retries.attempts.max(1) {
                return Err(error);
            }
            std::thread::sleep(retries.pause(failures));
            if matches!(
                error,
                RegistryError::Status {
                    status: 404 | 416,
                    ..
                }
            ) {
                // What the registry has and what we think it has disagree: begin anew.
                continue;
            }
            if let Some((next, count)) = self.status(&location) {
                if count > arrived {
                    failures = 0;
                }
                arrived = count;
                session = Some(next);
            }
        }
    }

    /// Sends what is missing, and closes the upload.
    fn attempt(&self, location: &str, arrived: u64) -> Result<(), RegistryError> {
        let size = self.descriptor.size;
        if arrived == 0 && size < RESUMABLE_SIZE {
            return self.close(location, self.content, 0);
        }
        if arrived >= size {
            return self.close(location, Content::NOTHING, 0);
        }
        let mut call = Call::new(Method::PATCH, location.to_owned(), &self.scopes)
            .header("content-type", "application/octet-stream")
            .header(
                "content-range",
                format!("{arrived}-{}", size.saturating_sub(1)),
            );
        call.content = self.content;
        call.offset = arrived;
        call.attempts = 1;
        let answer = self.client.send(&self.place.host, &call)?;
        match answer.status {
            201 | 202 | 204 => {
                let next = self::location(self.place, answer)?;
                self.close(&next, Content::NOTHING, 0)
            }
            _ => Err(self.refused(answer)),
        }
    }

    fn close(
        &self,
        location: &str,
        content: Content<'_>,
        offset: u64,
    ) -> Result<(), RegistryError> {
        let joint = if location.contains('?') { '&' } else { '?' };
        let digest = self.descriptor.digest.to_string();
        let path = format!("{location}{joint}digest={}", percent_encode(&digest));
        let mut call = Call::new(Method::PUT, path, &self.scopes)
            .header("content-type", "application/octet-stream");
        call.content = content;
        call.offset = offset;
        call.attempts = 1;
        let answer = self.client.send(&self.place.host, &call)?;
        if answer.status != 201 && answer.status != 204 {
            return Err(self.refused(answer));
        }
        let stored = answer.header("docker-content-digest").map(str::to_owned);
        answer.discard();
        match stored {
            Some(stored) if stored != digest && stored.starts_with("sha256:") => Err(rule(
                self.place,
                format!("it stored the blob `{digest}` as `{}`", shown(&stored, &[])),
            )),
            _ => Ok(()),
        }
    }

    /// An upload that the registry does not know any more is a status to be tried again, not a missing thing.
    fn refused(&self, answer: Answer) -> RegistryError {
        let error = refusal(&self.place.host, answer);
        if let RegistryError::Missing { host, said } = error {
            return RegistryError::Status {
                host,
                status: 404,
                said,
            };
        }
        error
    }

    /// Asks how much of an upload arrived; `None` if the registry knows nothing of it. Distribution 2.8 does
    /// not: the state in its locations is outdated as soon as a part of a request arrived.
    fn status(&self, location: &str) -> Option<(String, u64)> {
        let call = Call::new(Method::GET, location.to_owned(), &self.scopes);
        let answer = self.client.send(&self.place.host, &call).ok()?;
        if answer.status != 204 && answer.status != 202 && answer.status != 200 {
            answer.discard();
            return None;
        }
        let range = answer.header("range").unwrap_or_default().to_owned();
        let next = self::location(self.place, answer).unwrap_or_else(|_| location.to_owned());
        let count = arrived_of(&range)?;
        (count <= self.descriptor.size).then_some((next, count))
    }
}

/// Reads `0-LAST`. Registries say `0-0` for nothing as well as for one byte: nothing is the safe reading.
fn arrived_of(range: &str) -> Option<u64> {
    let bare = range.strip_prefix("bytes=").unwrap_or(range);
    let (first, last) = bare.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    match (first, last) {
        (0, 0) => Some(0),
        (0, last) => last.checked_add(1),
        _ => None,
    }
}

/// Puts a manifest under a tag or its digest.
pub(crate) fn put_manifest(
    client: &Client,
    place: &Place,
    reference: &str,
    descriptor: &Descriptor,
    bytes: &[u8],
) -> Result<Stored, RegistryError> {
    let scopes = [Scope::push(&place.repository)];
    let path = place.path(&format!("manifests/{reference}"));
    let mut call = Call::new(Method::PUT, path, &scopes)
        .header("content-type", descriptor.media_type.as_str());
    call.content = Content::Bytes(bytes);
    let answer = client.send(&place.host, &call)?;
    if answer.status != 201 && answer.status != 200 && answer.status != 202 {
        return Err(refusal(&place.host, answer));
    }
    let stored = answer.header("docker-content-digest").map(str::to_owned);
    let knows_subject = answer.header("oci-subject").is_some();
    answer.discard();
    match stored {
        Some(stored)
            if stored != descriptor.digest.to_string() && stored.starts_with("sha256:") =>
        {
            Err(rule(
                place,
                format!(
                    "it stored the manifest `{}` as `{}`",
                    descriptor.digest,
                    shown(&stored, &[])
                ),
            ))
        }
        _ => Ok(Stored { knows_subject }),
    }
}

/// What a registry did with a manifest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    /// It lists the manifest among the referrers of its subject.
    pub(crate) knows_subject: bool,
}

fn rule(place: &Place, rule: String) -> RegistryError {
    RegistryError::Rule {
        host: place.host.registry.clone(),
        rule,
    }
}

#[cfg(test)]
mod tests {
    use super::arrived_of;

    #[test]
    fn ranges_of_uploads_are_read_carefully() {
        let cases = [
            ("", None),
            ("0-0", Some(0)),
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("3-9", None),
            ("0-18446744073709551615", None),
            ("x", None),
            ("0-x", None),
        ];
        for (range, arrived) in cases {
            assert_eq!(arrived_of(range), arrived, "{range}");
        }
    }
}
