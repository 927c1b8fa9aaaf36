//! The configuration files of docker (`config.json`) and podman (`auth.json`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{Credential, CredentialHelpers, CredentialSource, DOCKER_HUB, KeychainError, host_of};

/// The key under which docker keeps Docker Hub's credentials.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// A docker or podman configuration file, with the helpers that it may name.
#[derive(Clone)]
pub struct DockerConfig {
    file: File,
    helpers: Arc<dyn CredentialHelpers>,
    /// What helpers answered, by helper and server: each start of one costs.
    answers: Arc<Mutex<Answers>>,
}

type Answers = BTreeMap<(String, String), Option<Credential>>;

impl fmt::Debug for DockerConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DockerConfig")
            .field("auths", &self.file.auths.keys())
            .field("helpers", &self.helpers)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct File {
    auths: BTreeMap<String, Entry>,
    #[serde(rename = "credsStore")]
    store: String,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    #[serde(rename = "identitytoken")]
    identity_token: String,
    #[serde(rename = "registrytoken")]
    registry_token: String,
}

impl DockerConfig {
    /// Reads a file's text. Keys that it has for other purposes are ignored.
    pub fn parse(text: &str, helpers: Arc<dyn CredentialHelpers>) -> Result<Self, KeychainError> {
        let file = serde_json::from_str(text).map_err(|source| KeychainError::Json {
            what: "the docker configuration",
            source: super::redact(&source),
        })?;
        Ok(Self {
            file,
            helpers,
            answers: Arc::default(),
        })
    }

    fn ask(&self, helper: &str, registry: &str) -> Result<Option<Credential>, KeychainError> {
        let server = if registry == DOCKER_HUB {
            DOCKER_HUB_KEY
        } else {
            registry
        };
        let key = (helper.to_owned(), server.to_owned());
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(&key) {
            return Ok(answer.clone());
        }
        let answer = self
            .helpers
            .get(helper, server)
            .map_err(|source| KeychainError::Helper {
                helper: helper.to_owned(),
                source,
            })?;
        answers.insert(key, answer.clone());
        Ok(answer)
    }
}

impl CredentialSource for DockerConfig {
    fn credential(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Credential>, KeychainError> {
        let helper = best_key(&self.file.helpers, registry, repository);
        if let Some((_, helper)) = helper {
            return self.ask(helper, registry);
        }
        let stored = if self.file.store.is_empty() {
            Ok(None)
        } else {
            self.ask(&self.file.store, registry)
        };
        if let Ok(Some(credential)) = stored {
            return Ok(Some(credential));
        }
        match best_key(&self.file.auths, registry, repository) {
            Some((key, entry)) => match entry.credential(key)? {
                Some(credential) => Ok(Some(credential)),
                None => stored,
            },
            None => stored,
        }
    }
}

impl Entry {
    fn credential(&self, key: &str) -> Result<Option<Credential>, KeychainError> {
        if !self.identity_token.is_empty() {
            return Ok(Some(Credential::Identity(self.identity_token.clone())));
        }
        if !self.registry_token.is_empty() {
            return Ok(Some(Credential::Bearer(self.registry_token.clone())));
        }
        if !self.auth.is_empty() {
            let decoded = STANDARD.decode(self.auth.trim()).unwrap_or_default();
            // Some docker versions pad with zero bytes.
            let plain = String::from_utf8_lossy(&decoded);
            return match plain.trim_end_matches('\0').split_once(':') {
                Some((user, password)) => Ok(Some(Credential::basic(user, password))),
                None => Err(KeychainError::Entry {
                    entry: key.to_owned(),
                }),
            };
        }
        if self.username.is_empty() {
            return Ok(None);
        }
        Ok(Some(Credential::basic(&self.username, &self.password)))
    }
}

/// Finds the entry that names most of `registry/repository`: podman's files may hold keys with paths.
fn best_key<'a, T>(
    entries: &'a BTreeMap<String, T>,
    registry: &str,
    repository: &str,
) -> Option<(&'a str, &'a T)> {
    let full = format!("{registry}/{repository}");
    entries
        .iter()
        .filter_map(|(key, value)| Some((matched_length(key, registry, &full)?, key, value)))
        .max_by_key(|(length, ..)| *length)
        .map(|(_, key, value)| (key.as_str(), value))
}

/// Returns how much of a reference a key covers; `None` if it is for something else.
fn matched_length(key: &str, registry: &str, full: &str) -> Option<usize> {
    let host = host_of(key);
    if host != registry {
        return None;
    }
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let path = bare
        .split_once('/')
        .map_or("", |(_, path)| path)
        .trim_end_matches('/');
    // `/v1` and `/v2` are leftovers of old clients and say nothing about a repository.
    if path.is_empty() || path == "v1" || path == "v2" {
        return Some(registry.len());
    }
    let prefix = format!("{registry}/{path}");
    let rest = full.strip_prefix(&prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(prefix.len())
}
