//! Credentials for registries, as values: who looked them up, and where, is the caller's business.

mod docker_config;
mod helper;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use docker_config::DockerConfig;
pub use helper::{CredentialHelpers, HelperError, HelperPrograms, parse_helper_answer};

/// Docker Hub's name in references, which is also the name that credentials are kept under.
pub(crate) const DOCKER_HUB: &str = "index.docker.io";

/// What proves to a registry who asks. Never shown, not even by `Debug`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Credential {
    /// User and password, already encoded as the value after `Basic `.
    Basic(String),
    /// A token that is sent as it is.
    Bearer(String),
    /// A refresh token, which the registry's token service exchanges for bearer tokens.
    Identity(String),
}

impl Credential {
    /// Encodes user and password.
    pub fn basic(user: &str, password: &str) -> Self {
        Self::Basic(STANDARD.encode(format!("{user}:{password}")))
    }

    /// Reads the value of an `Authorization` header as platforms give it in `CNB_REGISTRY_AUTH`:
    /// `Basic …`, `Bearer …`, or `X-Identity …` for a refresh token. Cases of letters do not matter.
    pub fn parse_header(value: &str) -> Option<Self> {
        let (scheme, rest) = value.split_once(' ')?;
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => Some(Self::Basic(rest.to_owned())),
            "bearer" => Some(Self::Bearer(rest.to_owned())),
            "x-identity" => Some(Self::Identity(rest.to_owned())),
            _ => None,
        }
    }

    /// Returns every text that must not appear in a message.
    pub(crate) fn secrets(&self) -> Vec<String> {
        match self {
            Self::Bearer(token) | Self::Identity(token) => vec![token.clone()],
            Self::Basic(encoded) => {
                let mut secrets = vec![encoded.clone()];
                let plain = STANDARD.decode(encoded).unwrap_or_default();
                let plain = String::from_utf8_lossy(&plain).into_owned();
                secrets.extend(
                    plain
                        .split_once(':')
                        .map(|(_, password)| password.to_owned()),
                );
                secrets
            }
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Basic(_) => "Basic(…)",
            Self::Bearer(_) => "Bearer(…)",
            Self::Identity(_) => "Identity(…)",
        })
    }
}

/// Why a place that should hold credentials could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeychainError {
    /// The text is not the JSON object that it has to be.
    #[error("{what} is not a JSON object of the expected form")]
    Json {
        /// Which text.
        what: &'static str,
        /// What is wrong with it. It never quotes the text.
        source: serde_json::Error,
    },
    /// A header value has a scheme that nobody knows.
    #[error("the value for `{registry}` starts with none of `Basic`, `Bearer` and `X-Identity`")]
    Scheme {
        /// For which registry.
        registry: String,
    },
    /// An entry of a configuration file is not base64 of `user:password`.
    #[error("the entry `{entry}` does not hold base64 of `user:password`")]
    Entry {
        /// The entry's key.
        entry: String,
    },
    /// A credential helper could not be asked.
    #[error("the credential helper `{helper}` could not be used")]
    Helper {
        /// The helper's name, without `docker-credential-`.
        helper: String,
        /// What happened.
        source: HelperError,
    },
}

/// A place where credentials are looked up.
pub trait CredentialSource: Send + Sync + fmt::Debug {
    /// Looks up the credential for a repository of a registry.
    fn credential(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Credential>, KeychainError>;
}

/// Places with credentials in the order in which they are asked; the first that has one decides.
#[derive(Clone, Debug, Default)]
pub struct Keychain {
    sources: Vec<Arc<dyn CredentialSource>>,
}

impl Keychain {
    /// A keychain without keys.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Adds a place that is asked after all others.
    #[must_use]
    pub fn with(mut self, source: impl CredentialSource + 'static) -> Self {
        self.sources.push(Arc::new(source));
        self
    }

    /// Returns the credential for a repository of a registry.
    pub fn credential(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Credential>, KeychainError> {
        for source in &self.sources {
            if let Some(credential) = source.credential(registry, repository)? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }
}

/// The content of `CNB_REGISTRY_AUTH`: header values by registry.
///
/// A value of an unknown kind is an error only when its registry is used, as in the reference.
#[derive(Clone, Default)]
pub struct RegistryAuth {
    headers: BTreeMap<String, String>,
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.headers.keys()).finish()
    }
}

impl RegistryAuth {
    /// Reads the variable's value; an empty one holds nothing.
    pub fn parse(value: &str) -> Result<Self, KeychainError> {
        if value.is_empty() {
            return Ok(Self::default());
        }
        let raw: BTreeMap<String, String> =
            serde_json::from_str(value).map_err(|source| KeychainError::Json {
                what: "the registry authentication",
                source: redact(&source),
            })?;
        let headers = raw
            .into_iter()
            .map(|(key, header)| (host_of(&key).to_owned(), header))
            .collect();
        Ok(Self { headers })
    }
}

impl CredentialSource for RegistryAuth {
    fn credential(
        &self,
        registry: &str,
        _repository: &str,
    ) -> Result<Option<Credential>, KeychainError> {
        let Some(header) = self.headers.get(registry) else {
            return Ok(None);
        };
        match Credential::parse_header(header) {
            Some(credential) => Ok(Some(credential)),
            None => Err(KeychainError::Scheme {
                registry: registry.to_owned(),
            }),
        }
    }
}

/// Strips scheme and path from a key, and calls Docker Hub by its one name.
pub(crate) fn host_of(key: &str) -> &str {
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    match bare.split('/').next().unwrap_or(bare) {
        "docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        host => host,
    }
}

/// Keeps an error's kind and place but not its text, which may quote a secret.
fn redact(error: &serde_json::Error) -> serde_json::Error {
    use serde::de::Error as _;
    serde_json::Error::custom(format!(
        "{} at line {}, column {}",
        match error.classify() {
            serde_json::error::Category::Data => "a value of the wrong type",
            serde_json::error::Category::Eof => "the text ends early",
            serde_json::error::Category::Syntax => "no JSON",
            serde_json::error::Category::Io => "unreadable",
        },
        error.line(),
        error.column()
    ))
}

#[cfg(test)]
mod tests;
