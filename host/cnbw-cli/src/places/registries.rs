//! The client for registries, made when the first one is needed, with the credentials that users keep for docker and podman.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use cnbw_registry::keychain::{DockerConfig, HelperPrograms, Keychain, RegistryAuth};
use cnbw_registry::{Client, Options};

use crate::environment;
use crate::error::CliError;

/// Access to registries.
#[derive(Debug)]
pub(crate) struct Registries {
    insecure: Vec<String>,
    client: OnceLock<Client>,
}

impl Registries {
    pub(crate) fn new(insecure: Vec<String>) -> Self {
        Self {
            insecure,
            client: OnceLock::new(),
        }
    }

    /// The one client of this command.
    pub(crate) fn client(&self) -> Result<Arc<Client>, CliError> {
        if self.client.get().is_none() {
            let mut options = Options::new(keychain()?);
            options.insecure.clone_from(&self.insecure);
            let client = Client::new(options).map_err(|error| CliError::Registries {
                source: Box::new(error),
            })?;
            // Nobody else has set it: there is one thread here.
            self.client.set(client).ok();
        }
        let client = self.client.get().cloned();
        client.map(Arc::new).ok_or_else(|| CliError::Registries {
            source: "the client vanished".into(),
        })
    }
}

/// `CNB_REGISTRY_AUTH` first, then the configuration files of docker and podman.
fn keychain() -> Result<Keychain, CliError> {
    let error = |source: cnbw_registry::keychain::KeychainError| CliError::Registries {
        source: Box::new(source),
    };
    let mut keychain = Keychain::anonymous();
    if let Some(value) = environment::variable("CNB_REGISTRY_AUTH") {
        keychain = keychain.with(RegistryAuth::parse(&value.to_string_lossy()).map_err(error)?);
    }
    for path in config_files() {
        match super::read_text(&path) {
            Ok(text) => {
                keychain = keychain
                    .with(DockerConfig::parse(&text, Arc::new(HelperPrograms)).map_err(error)?);
            }
            Err(failed) if failed.source.kind() == std::io::ErrorKind::NotFound => {}
            Err(failed) => return Err(failed.into()),
        }
    }
    Ok(keychain)
}

/// Where docker and podman keep credentials, in the order in which they are asked.
fn config_files() -> Vec<PathBuf> {
    let path = |name: &str| {
        environment::variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let mut files = Vec::new();
    files.extend(path("REGISTRY_AUTH_FILE"));
    let home = path("HOME");
    files.extend(
        path("DOCKER_CONFIG")
            .or_else(|| home.as_ref().map(|home| home.join(".docker")))
            .map(|dir| dir.join("config.json")),
    );
    files.extend(path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")));
    files.extend(
        path("XDG_CONFIG_HOME")
            .or_else(|| home.map(|home| home.join(".config")))
            .map(|dir| dir.join("containers/auth.json")),
    );
    files
}
