//! The client: requests to repositories, with credentials, retries and redirects.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cnbw_oci::reference::RegistryRef;
use ureq::http::Method;

use crate::challenge::Challenge;
use crate::content::Content;
use crate::error::{RegistryError, shown};
use crate::host::{Host, Hosts, is_passing, wished_pause};
use crate::keychain::Credential;
use crate::options::Options;
use crate::origin::{Origin, Scheme};
use crate::token::{Scope, Tokens};
use crate::transport::{Answer, Failure, Outgoing, Reach, Transport};

/// How many redirects are followed.
const REDIRECT_CAP: usize = 5;

/// Talks to registries. Clones share connections, tokens and what is known of hosts.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    transport: Transport,
    hosts: Hosts,
    tokens: Tokens,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

/// A repository of a registry that was met.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) host: Arc<Host>,
    pub(crate) repository: String,
}

impl Place {
    /// Returns the path of something in this repository.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.repository)
    }
}

/// Where a request goes: below the registry's origin.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content: Content<'a>,
    pub(crate) offset: u64,
    /// What a token has to allow.
    pub(crate) scopes: &'a [Scope],
    /// How often the request may be sent: uploads have their own way to go on.
    pub(crate) attempts: u32,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: String, scopes: &'a [Scope]) -> Self {
        Self {
            method,
            path,
            headers: Vec::new(),
            content: Content::NOTHING,
            offset: 0,
            scopes,
            attempts: u32::MAX,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Client {
    /// Makes a client. Nothing is sent before it is needed.
    pub fn new(options: Options) -> Result<Self, RegistryError> {
        let transport = Transport::new(&options)?;
        Ok(Self {
            shared: Arc::new(Shared {
                options,
                transport,
                hosts: Hosts::default(),
                tokens: Tokens::default(),
            }),
        })
    }

    pub(crate) fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Meets the registry of a repository.
    pub(crate) fn place(&self, registry: &str, repository: &str) -> Result<Place, RegistryError> {
        let shared = &self.shared;
        let host = shared
            .hosts
            .get(registry, repository, &shared.options, &shared.transport)?;
        Ok(Place {
            host,
            repository: repository.to_owned(),
        })
    }

    pub(crate) fn place_of(&self, reference: &RegistryRef) -> Result<Place, RegistryError> {
        self.place(&reference.registry, &reference.repository)
    }

    /// Sends a request until it has an answer that means something.
    ///
    /// Every status comes back except those that may pass by themselves and did.
    pub(crate) fn send(&self, host: &Host, call: &Call<'_>) -> Result<Answer, RegistryError> {
        let attempts = call.attempts.min(self.options().retries.attempts.max(1));
        let mut challenge = host.challenge.clone();
        let mut failures = 0;
        let mut renewed = false;
        loop {
            let result = self.send_once(host, &challenge, call);
            let pause = match result {
                Ok(answer) if answer.status == 401 && !renewed => {
                    let offered =
                        Challenge::pick(answer.header_values("www-authenticate").into_iter());
                    let Challenge::Bearer(bearer) = &offered else {
                        return Ok(answer);
                    };
                    renewed = true;
                    self.shared.tokens.forget(host, bearer, call.scopes);
                    challenge = offered;
                    answer.discard();
                    continue;
                }
                Ok(answer) if is_passing(answer.status) => {
                    failures += 1;
                    match self.pause_before_retry(host, &answer, failures, attempts)? {
                        Some(pause) => answer.discard_after(pause),
                        None => return Ok(answer),
                    }
                }
                Ok(answer) => return Ok(answer),
                Err(Broken::Failure(failure)) => {
                    failures += 1;
                    match failure {
                        Failure::Passing(_) | Failure::Refused(_) if failures < attempts => {
                            self.options().retries.pause(failures)
                        }
                        Failure::Passing(_)
                        | Failure::Refused(_)
                        | Failure::Lasting(_)
                        | Failure::Content(_) => return Err(broken(host, call, failure)),
                    }
                }
                Err(Broken::Error(error)) => return Err(error),
            };
            std::thread::sleep(pause);
        }
    }

    fn pause_before_retry(
        &self,
        host: &Host,
        answer: &Answer,
        failures: u32,
        attempts: u32,
    ) -> Result<Option<Duration>, RegistryError> {
        let retries = &self.options().retries;
        let wish = wished_pause(answer);
        if let Some(wish) = wish
            && wish > retries.longest_wish
        {
            return Err(RegistryError::Unreachable {
                host: host.registry.clone(),
                reason: format!(
                    "status {}, and it asks to wait {} s, longer than {} s",
                    answer.status,
                    wish.as_secs(),
                    retries.longest_wish.as_secs()
                ),
            });
        }
        if failures >= attempts {
            return Ok(None);
        }
        Ok(Some(wish.unwrap_or(retries.pause(failures))))
    }

    fn send_once(
        &self,
        host: &Host,
        challenge: &Challenge,
        call: &Call<'_>,
    ) -> Result<Answer, Broken> {
        let mut headers = call.headers.clone();
        let authorization = self
            .authorization(host, challenge, call.scopes)
            .map_err(Broken::Error)?;
        headers.extend(authorization.map(|value| ("authorization", value)));
        let outgoing = Outgoing {
            method: call.method.clone(),
            url: format!("{}{}", host.origin, call.path),
            headers,
            content: call.content,
            offset: call.offset,
        };
        let answer = self
            .shared
            .transport
            .run(host.reach, &outgoing)
            .map_err(Broken::Failure)?;
        self.follow(host, outgoing, answer)
    }

    /// Follows redirects of reading requests. The credential stays behind as soon as the origin changes.
    fn follow(
        &self,
        host: &Host,
        mut outgoing: Outgoing<'_>,
        mut answer: Answer,
    ) -> Result<Answer, Broken> {
        let reading = outgoing.method == Method::GET || outgoing.method == Method::HEAD;
        let mut origin = host.origin.clone();
        let mut reach = host.reach;
        for _ in 0..REDIRECT_CAP {
            if !(301..=308).contains(&answer.status) || answer.status == 304 {
                return Ok(answer);
            }
            if !reading {
                return Err(rule(host, "it redirects a request that changes something"));
            }
            let location = answer.header("location").unwrap_or_default().to_owned();
            answer.discard();
            let (next, path) = origin
                .resolve(&location)
                .ok_or_else(|| rule(host, "it redirects to something that is no http(s) URL"))?;
            if next.scheme == Scheme::Http && origin.scheme == Scheme::Https {
                return Err(rule(
                    host,
                    &format!(
                        "it redirects from TLS to plain HTTP at `{}`",
                        next.authority
                    ),
                ));
            }
            if next != origin {
                outgoing
                    .headers
                    .retain(|(name, _)| *name != "authorization");
                reach = host.reach_towards(&next);
            }
            outgoing.url = format!("{next}{path}");
            origin = next;
            answer = self
                .shared
                .transport
                .run(reach, &outgoing)
                .map_err(|failure| at(&origin, failure))?;
        }
        Err(rule(host, "it redirects more than 5 times"))
    }

    fn authorization(
        &self,
        host: &Host,
        challenge: &Challenge,
        scopes: &[Scope],
    ) -> Result<Option<String>, RegistryError> {
        match (challenge, &host.credential) {
            // A ready-made token is what its giver wants to be sent, whatever is asked for.
            (Challenge::Basic | Challenge::Bearer(_), Some(Credential::Bearer(token))) => {
                Ok(Some(format!("Bearer {token}")))
            }
            (Challenge::Open, _) | (Challenge::Basic, Some(Credential::Identity(_)) | None) => {
                Ok(None)
            }
            (Challenge::Basic, Some(Credential::Basic(encoded))) => {
                Ok(Some(format!("Basic {encoded}")))
            }
            (Challenge::Bearer(bearer), _) => {
                let send = |reach: Reach, outgoing: &Outgoing<'_>| self.ask(host, reach, outgoing);
                let token = self.shared.tokens.get(host, bearer, scopes, &send)?;
                Ok(Some(format!("Bearer {token}")))
            }
            (Challenge::Unknown(scheme), _) => Err(RegistryError::Rule {
                host: host.registry.clone(),
                rule: format!(
                    "it asks for the authentication scheme `{}`, and cnbw has `Basic` and `Bearer`",
                    shown(scheme, &[])
                ),
            }),
        }
    }

    /// Sends a request to a token service, with retries but no redirects.
    fn ask(
        &self,
        host: &Host,
        reach: Reach,
        outgoing: &Outgoing<'_>,
    ) -> Result<Answer, RegistryError> {
        let retries = &self.options().retries;
        let mut failures = 0;
        loop {
            failures += 1;
            let pause = match self.shared.transport.run(reach, outgoing) {
                Ok(answer) if is_passing(answer.status) => {
                    match self.pause_before_retry(host, &answer, failures, retries.attempts)? {
                        Some(pause) => answer.discard_after(pause),
                        None => return Ok(answer),
                    }
                }
                Ok(answer) => return Ok(answer),
                Err(Failure::Passing(_)) if failures < retries.attempts => retries.pause(failures),
                Err(failure) => {
                    let origin = Origin::split(&outgoing.url).map(|(origin, _)| origin);
                    let origin = origin.unwrap_or_else(|| host.origin.clone());
                    return Err(match at(&origin, failure) {
                        Broken::Error(error) => error,
                        Broken::Failure(failure) => unreachable(&origin.authority, failure),
                    });
                }
            };
            std::thread::sleep(pause);
        }
    }
}

/// Why a request came to nothing: something that may be tried again, or an error already.
enum Broken {
    Failure(Failure),
    Error(RegistryError),
}

impl Answer {
    /// Reads the rest so that the connection can be used again, and passes a pause on.
    fn discard_after(self, pause: Duration) -> Duration {
        self.discard();
        pause
    }
}

fn rule(host: &Host, rule: &str) -> Broken {
    Broken::Error(RegistryError::Rule {
        host: host.registry.clone(),
        rule: rule.to_owned(),
    })
}

/// A failure at the place that the registry pointed to: that place has to be named.
fn at(origin: &Origin, failure: Failure) -> Broken {
    match failure {
        Failure::Passing(_) | Failure::Content(_) => Broken::Failure(failure),
        Failure::Refused(reason) | Failure::Lasting(reason) => {
            Broken::Error(RegistryError::Unreachable {
                host: origin.authority.clone(),
                reason,
            })
        }
    }
}

fn broken(host: &Host, call: &Call<'_>, failure: Failure) -> RegistryError {
    if let Failure::Content(source) = failure {
        return RegistryError::Content {
            digest: call.content.name(),
            source: Box::new(source),
        };
    }
    unreachable(&host.registry, failure)
}

fn unreachable(host: &str, failure: Failure) -> RegistryError {
    let reason = match failure {
        Failure::Passing(reason) | Failure::Refused(reason) | Failure::Lasting(reason) => reason,
        Failure::Content(error) => error.to_string(),
    };
    RegistryError::Unreachable {
        host: host.to_owned(),
        reason,
    }
}

/// Makes an error of an answer whose status is none that the caller can use.
pub(crate) fn refusal(host: &Host, answer: Answer) -> RegistryError {
    let status = answer.status;
    let text = said_by(&answer.into_error_text(), status);
    let said = shown(&text, &host.secrets());
    let name = host.registry.clone();
    match status {
        401 | 403 => RegistryError::Denied {
            host: name,
            status,
            said: host.with_note(said),
        },
        404 => RegistryError::Missing { host: name, said },
        _ => RegistryError::Status {
            host: name,
            status,
            said,
        },
    }
}

/// Takes code and message out of an error body in the protocol's form; other bodies are shown as they are.
fn said_by(body: &str, status: u16) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let entries = serde_json::from_str::<Body>(body)
        .map(|body| body.errors)
        .unwrap_or_default();
    let texts: Vec<String> = entries
        .iter()
        .map(|entry| format!("{}: {}", entry.code, entry.message))
        .collect();
    match (texts.is_empty(), body.trim().is_empty()) {
        (false, _) => texts.join("; "),
        (true, false) => body.to_owned(),
        (true, true) => format!("no explanation with status {status}"),
    }
}
