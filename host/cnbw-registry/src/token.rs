//! Bearer tokens: which service may be asked, with which credential, and what it answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::Method;

use crate::challenge::Bearer;
use crate::content::Content;
use crate::error::{RegistryError, shown};
use crate::host::Host;
use crate::keychain::Credential;
use crate::origin::{Origin, Scheme, is_loopback, same_site};
use crate::transport::{Answer, Outgoing, Reach};

/// The largest answer of a token service.
const ANSWER_CAP: u64 = 64 * 1024;
/// Tokens live this long if the service does not say otherwise.
const DEFAULT_LIFE: u64 = 60;
/// A token is renewed this long before its end.
const MARGIN: Duration = Duration::from_secs(10);
/// What the client calls itself towards a token service.
const CLIENT_ID: &str = "cnbw";

/// What is to be done with a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scope {
    pub(crate) repository: String,
    pub(crate) push: bool,
}

impl Scope {
    pub(crate) fn pull(repository: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            push: false,
        }
    }

    pub(crate) fn push(repository: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            push: true,
        }
    }

    fn text(&self) -> String {
        let actions = if self.push { "pull,push" } else { "pull" };
        format!("repository:{}:{actions}", self.repository)
    }
}

/// Tokens that are still good.
#[derive(Default)]
pub(crate) struct Tokens {
    held: Mutex<HashMap<(Origin, String), Slot>>,
}

/// Where a token is kept; the lock is held while it is fetched, so that many threads ask for it once.
type Slot = Arc<Mutex<Option<Held>>>;

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tokens(…)")
    }
}

#[derive(Clone)]
struct Held {
    value: String,
    good_until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    expires_in: Option<i64>,
}

impl Tokens {
    /// Returns a token for some scopes, an old one if it is still good.
    pub(crate) fn get(
        &self,
        host: &Host,
        bearer: &Bearer,
        scopes: &[Scope],
        send: &dyn Fn(Reach, &Outgoing<'_>) -> Result<Answer, RegistryError>,
    ) -> Result<String, RegistryError> {
        let wanted = wanted_scopes(bearer, scopes);
        let slot = self.slot(host, &wanted);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = slot.as_ref()
            && held.good_until > Instant::now()
        {
            return Ok(held.value.clone());
        }
        let (value, life) = fetch(host, bearer, &wanted, send)?;
        *slot = Some(Held {
            value: value.clone(),
            good_until: Instant::now() + life.saturating_sub(MARGIN),
        });
        Ok(value)
    }

    /// Forgets a token that was refused.
    pub(crate) fn forget(&self, host: &Host, bearer: &Bearer, scopes: &[Scope]) {
        let slot = self.slot(host, &wanted_scopes(bearer, scopes));
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn slot(&self, host: &Host, wanted: &[String]) -> Slot {
        let key = (host.origin.clone(), wanted.join(" "));
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(held.entry(key).or_default())
    }
}

/// The scopes of the operation; what the registry itself named, if the operation has none.
fn wanted_scopes(bearer: &Bearer, scopes: &[Scope]) -> Vec<String> {
    let mut wanted: Vec<String> = scopes.iter().map(Scope::text).collect();
    if wanted.is_empty() {
        wanted.clone_from(&bearer.scopes);
    }
    wanted.sort();
    wanted.dedup();
    wanted
}

fn fetch(
    host: &Host,
    bearer: &Bearer,
    scopes: &[String],
    send: &dyn Fn(Reach, &Outgoing<'_>) -> Result<Answer, RegistryError>,
) -> Result<(String, Duration), RegistryError> {
    let (realm, path) = check_realm(host, &bearer.realm)?;
    let reach = host.reach_towards(&realm);
    let mut headers = vec![("accept", "application/json".to_owned())];
    let answer = if let Some(Credential::Identity(token)) = &host.credential {
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("client_id", CLIENT_ID),
            ("refresh_token", token.as_str()),
        ];
        let scope = scopes.join(" ");
        form.extend(
            bearer
                .service
                .as_deref()
                .map(|service| ("service", service)),
        );
        form.push(("scope", &scope));
        let body = encode_pairs(&form);
        headers.push((
            "content-type",
            "application/x-www-form-urlencoded".to_owned(),
        ));
        let outgoing = Outgoing {
            method: Method::POST,
            url: format!("{realm}{path}"),
            headers,
            content: Content::Bytes(body.as_bytes()),
            offset: 0,
        };
        send(reach, &outgoing)?
    } else {
        if let Some(Credential::Basic(encoded)) = &host.credential {
            headers.push(("authorization", format!("Basic {encoded}")));
        }
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        pairs.extend(
            bearer
                .service
                .as_deref()
                .map(|service| ("service", service)),
        );
        pairs.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
        let joint = if path.contains('?') { '&' } else { '?' };
        let outgoing = Outgoing {
            method: Method::GET,
            url: format!("{realm}{path}{joint}{}", encode_pairs(&pairs)),
            headers,
            content: Content::NOTHING,
            offset: 0,
        };
        send(reach, &outgoing)?
    };
    read_answer(host, &realm, answer)
}

fn read_answer(
    host: &Host,
    realm: &Origin,
    answer: Answer,
) -> Result<(String, Duration), RegistryError> {
    let rule = |rule: &str| RegistryError::Rule {
        host: realm.authority.clone(),
        rule: rule.to_owned(),
    };
    match answer.status {
        200 => {}
        status @ (400 | 401 | 403) => {
            let said = shown(&said_by(&answer.into_error_text()), &host.secrets());
            return Err(RegistryError::Denied {
                host: realm.authority.clone(),
                status,
                said: host.with_note(said),
            });
        }
        status => {
            let said = shown(&said_by(&answer.into_error_text()), &host.secrets());
            return Err(RegistryError::Status {
                host: realm.authority.clone(),
                status,
                said,
            });
        }
    }
    let bytes = answer
        .into_bytes(ANSWER_CAP)
        .map_err(|error| RegistryError::Unreachable {
            host: realm.authority.clone(),
            reason: shown(&error.to_string(), &[]),
        })?
        .ok_or_else(|| rule("the answer of the token service has more than 64 KiB"))?;
    let answer: TokenAnswer = serde_json::from_slice(&bytes)
        .map_err(|_| rule("the answer of the token service is not the JSON object it has to be"))?;
    let value = if answer.token.is_empty() {
        answer.access_token
    } else {
        answer.token
    };
    let plain = |byte: u8| byte.is_ascii_graphic();
    if value.is_empty() || !value.bytes().all(plain) {
        return Err(rule("the answer of the token service holds no token"));
    }
    let life = answer.expires_in.and_then(|life| u64::try_from(life).ok());
    Ok((
        value,
        Duration::from_secs(life.unwrap_or(DEFAULT_LIFE).min(3600)),
    ))
}

/// Decides whether a token service may be asked at all, and gives its origin and path.
///
/// A registry that somebody took over could otherwise collect the passwords of its users elsewhere, or
/// make this machine send requests into its own network.
fn check_realm(host: &Host, realm: &str) -> Result<(Origin, String), RegistryError> {
    let refuse = |rule: String| RegistryError::Rule {
        host: host.registry.clone(),
        rule,
    };
    let (origin, path) = Origin::split(realm).ok_or_else(|| {
        refuse(format!(
            "its token service `{}` is no http(s) URL",
            shown(realm, &[])
        ))
    })?;
    if origin.scheme == Scheme::Http && host.origin.scheme == Scheme::Https {
        return Err(refuse(format!(
            "its token service `{}` would be asked without TLS",
            shown(realm, &[])
        )));
    }
    let trusted = same_site(origin.host(), host.origin.host())
        || (is_loopback(&origin.authority) && is_loopback(&host.origin.authority))
        || host
            .token_hosts
            .iter()
            .any(|allowed| allowed == &origin.authority || allowed == origin.host());
    if host.credential.is_some() && !trusted {
        return Err(refuse(format!(
            "its token service `{}` belongs to another site, so credentials are not sent there unless it is allowed as a token host",
            shown(&origin.authority, &[])
        )));
    }
    Ok((origin, path))
}

/// Takes the text out of an error body of a token service, which may be the registry's own form.
fn said_by(body: &str) -> String {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        details: String,
        #[serde(default)]
        message: String,
        #[serde(default)]
        error_description: String,
    }
    let Ok(said) = serde_json::from_str::<Said>(body) else {
        return body.to_owned();
    };
    [said.details, said.message, said.error_description]
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or_else(|| body.to_owned())
}

/// Encodes a query or a form.
pub(crate) fn encode_pairs(pairs: &[(&str, &str)]) -> String {
    let encoded: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
        .collect();
    encoded.join("&")
}

/// Encodes everything that means something in a query or form.
pub(crate) fn percent_encode(text: &str) -> String {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:,".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push('%');
            out.extend(HEX.get(usize::from(byte >> 4)));
            out.extend(HEX.get(usize::from(byte & 15)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(registry: &str, scheme: Scheme, credential: Option<Credential>) -> Host {
        Host {
            registry: registry.to_owned(),
            origin: Origin::new(scheme, registry),
            challenge: crate::challenge::Challenge::Open,
            credential,
            note: None,
            reach: Reach::Registry,
            token_hosts: vec!["sso.corp.example".to_owned()],
        }
    }

    fn known() -> Credential {
        Credential::basic("u", "p")
    }

    #[test]
    fn credentials_go_to_token_services_of_the_same_site_only() {
        let cases = [
            ("index.docker.io", "https://auth.docker.io/token", true),
            ("ghcr.io", "https://ghcr.io/token", true),
            ("r.corp.test", "https://sso.corp.example/token", true),
            ("ghcr.io", "https://evil.io/token", false),
            ("ghcr.io", "http://ghcr.io/token", false),
            ("ghcr.io", "https://ghcr.io@evil.io/token", false),
            ("ghcr.io", "file:///etc/passwd", false),
            ("10.1.2.3", "https://169.254.169.254/token", false),
            ("ghcr.io", "", false),
        ];
        for (registry, realm, fine) in cases {
            let found = check_realm(&host(registry, Scheme::Https, Some(known())), realm);
            assert_eq!(found.is_ok(), fine, "{registry} {realm}");
        }
        let local = host("127.0.0.1:5000", Scheme::Http, Some(known()));
        assert!(check_realm(&local, "http://127.0.0.1:9999/token").is_ok());
        let anonymous = host("lscr.io", Scheme::Https, None);
        assert!(check_realm(&anonymous, "https://ghcr.io/token").is_ok());
    }

    #[test]
    fn the_refusal_of_a_foreign_token_service_names_it() {
        let error = check_realm(
            &host("ghcr.io", Scheme::Https, Some(known())),
            "https://evil.io/t",
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "`ghcr.io` breaks a rule: its token service `evil.io` belongs to another site, so \
             credentials are not sent there unless it is allowed as a token host"
        );
    }

    #[test]
    fn pairs_are_encoded_for_queries_and_forms() {
        let pairs = [("scope", "repository:a/b:pull,push"), ("x", "a b&c=d%")];
        assert_eq!(
            encode_pairs(&pairs),
            "scope=repository:a/b:pull,push&x=a%20b%26c%3Dd%25"
        );
    }

    #[test]
    fn scopes_are_sorted_and_told_once() {
        let scopes = [Scope::push("b"), Scope::pull("a"), Scope::push("b")];
        let wanted = wanted_scopes(&Bearer::default(), &scopes);
        assert_eq!(wanted, ["repository:a:pull", "repository:b:pull,push"]);
    }
}
