//! A registry as it presented itself: scheme, challenge, and the credential that we have for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ureq::http::Method;

use crate::challenge::Challenge;
use crate::content::Content;
use crate::error::{RegistryError, shown};
use crate::keychain::{Credential, KeychainError};
use crate::options::Options;
use crate::origin::{Origin, Scheme, allows_http, is_loopback};
use crate::transport::{Answer, Failure, Outgoing, Reach, Transport};

/// What is known of a registry.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Its name in references.
    pub(crate) registry: String,
    /// Scheme and address that it answers on.
    pub(crate) origin: Origin,
    /// What it asked for when it was asked for nothing.
    pub(crate) challenge: Challenge,
    /// What we have to answer with.
    pub(crate) credential: Option<Credential>,
    /// Why we may have no credential although one is configured.
    pub(crate) note: Option<String>,
    /// How connections to it are checked.
    pub(crate) reach: Reach,
    /// Other sites that may see the credential.
    pub(crate) token_hosts: Vec<String>,
}

impl Host {
    /// Texts that must not be shown.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.credential
            .as_ref()
            .map(Credential::secrets)
            .unwrap_or_default()
    }

    /// Says where a connection may lead that this registry points to.
    ///
    /// A public registry has no business in this machine's network; one that is in that network itself has
    /// its storage and its token service there, too.
    pub(crate) fn reach_towards(&self, next: &Origin) -> Reach {
        let near = next.host() == self.origin.host()
            || is_loopback(&self.origin.authority)
            || self.reach == Reach::Lax
            || self
                .token_hosts
                .iter()
                .any(|host| host == next.host() || host == &next.authority)
            || self.origin.resolves_inside();
        if near { self.reach } else { Reach::Outside }
    }

    /// Adds to a refusal what the user cannot see: that we came without a credential, and why.
    pub(crate) fn with_note(&self, said: String) -> String {
        match (&self.credential, &self.note) {
            (Some(_), _) => said,
            (None, Some(note)) => format!("{said} (asked without credentials: {note})"),
            (None, None) => format!("{said} (asked without credentials: none are configured)"),
        }
    }
}

/// Which connection to a registry is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    registry: String,
    credential: Option<Credential>,
    insecure: bool,
}

/// Registries that were met already.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    met: Mutex<HashMap<Key, Slot>>,
}

/// Where a host is kept as soon as it was met; the lock is held while it is being met.
type Slot = Arc<Mutex<Option<Arc<Host>>>>;

impl Hosts {
    /// Returns what is known of a registry; the first time it is asked.
    pub(crate) fn get(
        &self,
        registry: &str,
        repository: &str,
        options: &Options,
        transport: &Transport,
    ) -> Result<Arc<Host>, RegistryError> {
        let insecure = is_insecure(&options.insecure, registry, repository);
        let (credential, note) = credential(options, registry, repository)?;
        let key = Key {
            registry: registry.to_owned(),
            credential: credential.clone(),
            insecure,
        };
        let place = {
            let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(met.entry(key).or_default())
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = place.as_ref() {
            return Ok(Arc::clone(host));
        }
        let (origin, reach, challenge) = meet(registry, insecure, options, transport)?;
        let host = Arc::new(Host {
            registry: registry.to_owned(),
            origin,
            challenge,
            credential,
            note,
            reach,
            token_hosts: options.token_hosts.clone(),
        });
        *place = Some(Arc::clone(&host));
        Ok(host)
    }
}

/// Returns whether a reference begins as one of the listed ones.
fn is_insecure(listed: &[String], registry: &str, repository: &str) -> bool {
    let full = format!("{registry}/{repository}");
    listed
        .iter()
        .any(|begin| !begin.is_empty() && full.starts_with(begin.as_str()))
}

/// Looks up the credential. A helper that fails is no reason to stop: the registry may be public.
fn credential(
    options: &Options,
    registry: &str,
    repository: &str,
) -> Result<(Option<Credential>, Option<String>), RegistryError> {
    match options.keychain.credential(registry, repository) {
        Ok(credential) => Ok((credential, None)),
        Err(error @ KeychainError::Helper { .. }) => {
            let mut note = error.to_string();
            if let Some(source) = std::error::Error::source(&error) {
                note = format!("{note}: {source}");
            }
            Ok((None, Some(shown(&note, &[]))))
        }
        Err(source) => Err(RegistryError::Credentials {
            registry: registry.to_owned(),
            source,
        }),
    }
}

/// Finds out how a registry wants to be talked to.
///
/// TLS first, except on this machine, where nobody stands between and a second try costs time.
fn meet(
    registry: &str,
    insecure: bool,
    options: &Options,
    transport: &Transport,
) -> Result<(Origin, Reach, Challenge), RegistryError> {
    let tls = if insecure {
        Reach::Lax
    } else {
        Reach::Registry
    };
    let ways: &[(Scheme, Reach)] = if is_loopback(&registry.to_ascii_lowercase()) {
        &[(Scheme::Http, Reach::Registry), (Scheme::Https, tls)]
    } else if insecure || allows_http(&registry.to_ascii_lowercase()) {
        &[(Scheme::Https, tls), (Scheme::Http, Reach::Registry)]
    } else {
        &[(Scheme::Https, tls)]
    };
    let mut reasons: Vec<String> = Vec::new();
    let mut refused = None;
    for (position, (scheme, reach)) in ways.iter().enumerate() {
        let last = position + 1 == ways.len();
        let origin = Origin::new(*scheme, registry);
        match ping(&origin, *reach, last, options, transport) {
            // This is how TLS servers answer plain HTTP.
            Ok(answer) if answer.status == 400 && *scheme == Scheme::Http => {
                reasons.push("it does not answer over plain HTTP".to_owned());
            }
            Ok(answer) => match greeting(registry, answer) {
                Ok(challenge) => return Ok((origin, *reach, challenge)),
                // Perhaps something else answers on this port; the other way decides.
                Err(error) => refused = refused.or(Some(error)),
            },
            Err(reason) if reasons.contains(&reason) => {}
            Err(reason) => reasons.push(reason),
        }
    }
    Err(refused.unwrap_or_else(|| RegistryError::Unreachable {
        host: registry.to_owned(),
        reason: reasons.join("; "),
    }))
}

/// Asks for nothing, until there is an answer or no hope. Where another way is left, one failure is enough.
fn ping(
    origin: &Origin,
    reach: Reach,
    last: bool,
    options: &Options,
    transport: &Transport,
) -> Result<Answer, String> {
    let outgoing = Outgoing {
        method: Method::GET,
        url: format!("{origin}/v2/"),
        headers: Vec::new(),
        content: Content::NOTHING,
        offset: 0,
    };
    let retries = &options.retries;
    let mut failures = 0;
    loop {
        failures += 1;
        let again = failures < retries.attempts;
        let pause = match transport.run(reach, &outgoing) {
            Ok(answer) if is_passing(answer.status) && again => {
                let wish = wished_pause(&answer).unwrap_or(retries.pause(failures));
                if wish > retries.longest_wish {
                    return Ok(answer);
                }
                answer.discard();
                wish
            }
            Ok(answer) => return Ok(answer),
            Err(Failure::Passing(_)) if again && last => retries.pause(failures),
            Err(Failure::Passing(reason) | Failure::Refused(reason) | Failure::Lasting(reason)) => {
                return Err(reason);
            }
            Err(Failure::Content(error)) => return Err(error.to_string()),
        };
        std::thread::sleep(pause);
    }
}

/// Reads the challenge off the answer to a ping.
fn greeting(registry: &str, answer: Answer) -> Result<Challenge, RegistryError> {
    let status = answer.status;
    if status == 200 {
        answer.discard();
        return Ok(Challenge::Open);
    }
    if status == 401 {
        let challenge = Challenge::pick(answer.header_values("www-authenticate").into_iter());
        answer.discard();
        return Ok(challenge);
    }
    let host = registry.to_owned();
    let said = shown(&answer.into_error_text(), &[]);
    let rule = |rule: &str| RegistryError::Rule {
        host: registry.to_owned(),
        rule: rule.to_owned(),
    };
    Err(match status {
        403 => RegistryError::Denied { host, status, said },
        404 => rule("it is no registry: `/v2/` is not there"),
        300..=399 => rule("its `/v2/` is redirected"),
        _ => RegistryError::Status { host, status, said },
    })
}

/// Returns whether a status may be another one soon.
pub(crate) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Returns the pause that an answer asks for, if it does so in seconds.
pub(crate) fn wished_pause(answer: &Answer) -> Option<std::time::Duration> {
    let seconds = answer.header("retry-after")?.trim();
    if seconds.is_empty() || !seconds.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // A number too large to be read is a long time.
    Some(std::time::Duration::from_secs(
        seconds.parse().unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    // shows: registry-auth-008
    #[test]
    fn insecure_entries_are_begins_of_references() {
        let listed = [
            "r.io:5000".to_owned(),
            "x.io/team/".to_owned(),
            String::new(),
        ];
        let cases = [
            ("r.io:5000", "a", true),
            ("r.io", "a", false),
            ("x.io", "team/a", true),
            ("x.io", "other/a", false),
        ];
        for (registry, repository, insecure) in cases {
            assert_eq!(
                is_insecure(&listed, registry, repository),
                insecure,
                "{registry}/{repository}"
            );
        }
    }
}
