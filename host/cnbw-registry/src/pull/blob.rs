//! Blobs: size and digest are checked while reading, and a connection that breaks is taken up again.

use std::io::{self, Read};
use std::time::Instant;

use cnbw_oci::descriptor::Descriptor;
use cnbw_oci::digest::Hasher;
use ureq::http::Method;

use crate::client::{Call, Client, Place, refusal};
use crate::error::{RegistryError, shown};
use crate::token::Scope;
use crate::transport::{Answer, too_slow};

/// Opens a blob.
pub(crate) fn open_blob(
    client: &Client,
    place: &Place,
    descriptor: &Descriptor,
) -> Result<BlobReader, RegistryError> {
    let answer = request(client, place, descriptor, 0)?;
    let body: Box<dyn Read + Send> = Box::new(answer.into_reader());
    Ok(BlobReader {
        client: client.clone(),
        place: place.clone(),
        descriptor: descriptor.clone(),
        body,
        hasher: Some(Hasher::new()),
        position: 0,
        resumed: 0,
        begun: Instant::now(),
    })
}

/// Reads a small blob whole.
pub(crate) fn read_whole(
    client: &Client,
    place: &Place,
    descriptor: &Descriptor,
    cap: u64,
) -> Result<Vec<u8>, RegistryError> {
    if descriptor.size > cap {
        return Err(rule(
            place,
            format!(
                "the blob `{}` has {} bytes, and {cap} are allowed",
                descriptor.digest, descriptor.size
            ),
        ));
    }
    let mut bytes = Vec::new();
    let mut reader = open_blob(client, place, descriptor)?;
    match reader.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(match error.downcast::<RegistryError>() {
            Ok(error) => error,
            Err(error) => RegistryError::Unreachable {
                host: place.host.registry.clone(),
                reason: shown(&error.to_string(), &[]),
            },
        }),
    }
}

/// Asks for a blob from an offset on.
fn request(
    client: &Client,
    place: &Place,
    descriptor: &Descriptor,
    offset: u64,
) -> Result<Answer, RegistryError> {
    let scopes = [Scope::pull(&place.repository)];
    let path = place.path(&format!("blobs/{}", descriptor.digest));
    let mut call = Call::new(Method::GET, path, &scopes).header("accept-encoding", "identity");
    if offset > 0 {
        call = call.header("range", format!("bytes={offset}-"));
    }
    let answer = client.send(&place.host, &call)?;
    let expected = if offset > 0 { 206 } else { 200 };
    if answer.status != expected {
        if offset > 0 && answer.status == 200 {
            return Err(rule(place, "it cannot deliver a part of a blob".to_owned()));
        }
        return Err(refusal(&place.host, answer));
    }
    if answer
        .header("content-encoding")
        .is_some_and(|coding| coding != "identity")
    {
        return Err(rule(
            place,
            format!(
                "it encodes the blob `{}` although nobody asked for it",
                descriptor.digest
            ),
        ));
    }
    let left = descriptor.size - offset.min(descriptor.size);
    match answer.length() {
        Some(length) if length != left => Err(rule(
            place,
            format!(
                "the blob `{}` is announced with {} bytes, and its descriptor says {}",
                descriptor.digest,
                length.saturating_add(offset),
                descriptor.size
            ),
        )),
        _ => Ok(answer),
    }
}

/// Reads a blob. The end is reached only if size and digest are right.
pub(crate) struct BlobReader {
    client: Client,
    place: Place,
    descriptor: Descriptor,
    body: Box<dyn Read + Send>,
    /// Taken when the end was checked.
    hasher: Option<Hasher>,
    position: u64,
    resumed: u32,
    begun: Instant,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.hasher.is_none() || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.body.read(buffer) {
                Ok(0) if self.position < self.descriptor.size => {
                    self.resume("the connection ended early")?;
                }
                Ok(0) => return self.finish(),
                Ok(read) => return self.take(buffer, read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.resume(&shown(&error.to_string(), &[]))?,
            }
        }
    }
}

impl BlobReader {
    fn take(&mut self, buffer: &[u8], read: usize) -> io::Result<usize> {
        self.position += read as u64;
        if self.position > self.descriptor.size {
            return Err(self.broken(&format!("has more than its {} bytes", self.descriptor.size)));
        }
        if let (Some(hasher), Some(bytes)) = (&mut self.hasher, buffer.get(..read)) {
            hasher.update(bytes);
        }
        if too_slow(
            &self.client.options().timeouts,
            self.begun.elapsed(),
            self.position,
        ) {
            return Err(io::Error::other(RegistryError::Unreachable {
                host: self.place.host.registry.clone(),
                reason: format!(
                    "the blob `{}` comes with less than {} bytes per second",
                    self.descriptor.digest,
                    self.client.options().timeouts.slowest
                ),
            }));
        }
        Ok(read)
    }

    fn finish(&mut self) -> io::Result<usize> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(0);
        };
        let found = hasher.finish();
        if found == self.descriptor.digest.digest() {
            return Ok(0);
        }
        Err(self.broken(&format!("has content with the digest `{found}`")))
    }

    /// Takes a broken download up where it ended.
    fn resume(&mut self, reason: &str) -> io::Result<()> {
        self.resumed += 1;
        let retries = &self.client.options().retries;
        if self.resumed >= retries.attempts {
            return Err(io::Error::other(RegistryError::Unreachable {
                host: self.place.host.registry.clone(),
                reason: format!(
                    "the blob `{}` broke off after {} of {} bytes: {reason}",
                    self.descriptor.digest, self.position, self.descriptor.size
                ),
            }));
        }
        std::thread::sleep(retries.pause(self.resumed));
        let answer = request(&self.client, &self.place, &self.descriptor, self.position)
            .map_err(io::Error::other)?;
        self.body = Box::new(answer.into_reader());
        Ok(())
    }

    fn broken(&self, what: &str) -> io::Error {
        let error = RegistryError::Rule {
            host: self.place.host.registry.clone(),
            rule: format!("the blob `{}` {what}", self.descriptor.digest),
        };
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

fn rule(place: &Place, rule: String) -> RegistryError {
    RegistryError::Rule {
        host: place.host.registry.clone(),
        rule,
    }
}
