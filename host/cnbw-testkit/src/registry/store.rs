//! What a registry keeps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::http::Request;

/// A manifest as it came.
#[derive(Clone, Debug)]
pub(super) struct StoredManifest {
    pub(super) media_type: String,
    pub(super) bytes: Arc<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(super) struct Repository {
    pub(super) blobs: BTreeSet<String>,
    pub(super) manifests: BTreeMap<String, StoredManifest>,
    pub(super) tags: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) blobs: HashMap<String, Arc<Vec<u8>>>,
    pub(super) repositories: BTreeMap<String, Repository>,
    pub(super) uploads: HashMap<String, Vec<u8>>,
    pub(super) uploads_begun: u64,
}

impl Store {
    pub(super) fn put_blob(&mut self, repository: &str, bytes: Vec<u8>) -> String {
        let digest = sha256(&bytes);
        self.put_blob_as(repository, digest.clone(), bytes);
        digest
    }

    pub(super) fn put_blob_as(&mut self, repository: &str, digest: String, bytes: Vec<u8>) {
        self.repository(repository).blobs.insert(digest.clone());
        self.blobs.entry(digest).or_insert_with(|| Arc::new(bytes));
    }

    pub(super) fn put_manifest(
        &mut self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> String {
        let digest = sha256(&bytes);
        let stored = StoredManifest {
            media_type: media_type.to_owned(),
            bytes: Arc::new(bytes),
        };
        let repository = self.repository(repository);
        repository.manifests.insert(digest.clone(), stored);
        if !reference.contains(':') {
            repository.tags.insert(reference.to_owned(), digest.clone());
        }
        digest
    }

    pub(super) fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    /// Finds a manifest by tag or digest, with its digest.
    pub(super) fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Option<(String, &StoredManifest)> {
        let repository = self.repositories.get(repository)?;
        let digest = match repository.tags.get(reference) {
            Some(digest) => digest,
            None => reference,
        };
        let manifest = repository.manifests.get(digest)?;
        Some((digest.to_owned(), manifest))
    }

    pub(super) fn linked_blob(&self, repository: &str, digest: &str) -> Option<&Arc<Vec<u8>>> {
        let linked = self.repositories.get(repository)?.blobs.contains(digest);
        if linked { self.blobs.get(digest) } else { None }
    }

    pub(super) fn tags(&self, repository: &str) -> Vec<String> {
        self.repositories
            .get(repository)
            .map(|repository| repository.tags.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Keeps what came of a request body that was cut: a real registry keeps it, too.
    pub(super) fn append_cut(&mut self, request: &Request) {
        if request.method != "PATCH" {
            return;
        }
        let id = request.path.rsplit('/').next().unwrap_or_default();
        if let Some(upload) = self.uploads.get_mut(id) {
            upload.extend_from_slice(&request.body);
        }
    }
}

/// The digest of some bytes, as the protocol writes it.
pub fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(71);
    text.push_str("sha256:");
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot go wrong.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
