//! An OCI registry in memory, on loopback: what the distribution protocol asks of a server, plus faults on order.

mod access;
mod blobs;
mod manifests;
mod store;

use std::fmt;
use std::sync::{Arc, Mutex};

pub use access::Auth;
use access::Tokens;
use store::Store;
pub use store::sha256;

use crate::http::server::{HttpServer, ServerTls, lock};
use crate::http::{BodyPlan, Handler, Request, Response};

/// How a registry behaves.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// Who gets in.
    pub auth: Auth,
    /// Whether blobs can be mounted from other repositories (else the answer is 202).
    pub mount: bool,
    /// Whether there is a referrers API.
    pub referrers: bool,
    /// Whether a manifest is refused whose blobs are not in its repository.
    pub check_blobs: bool,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            auth: Auth::Open,
            mount: true,
            referrers: true,
            check_blobs: true,
        }
    }
}

/// What is done instead of answering.
#[derive(Clone, Debug)]
pub enum FaultAction {
    /// Answers with a status, header fields and a body.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// Takes so many bytes of the body, lets them count, and closes the connection without an answer.
    CutBody(usize),
    /// Closes the connection at once.
    Hangup,
}

/// A fault for the next requests that match.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The method; empty: any.
    pub method: String,
    /// What the path contains.
    pub path: String,
    /// How often it happens.
    pub times: usize,
    /// What happens.
    pub action: FaultAction,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The method.
    pub method: String,
    /// The path, still percent-encoded.
    pub path: String,
    /// The query's pairs, decoded.
    pub query: Vec<(String, String)>,
    /// Header fields; names in lower case.
    pub headers: Vec<(String, String)>,
    /// How many bytes of body were taken.
    pub body_length: usize,
}

impl RecordedRequest {
    /// Returns the first header field of a name given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A running registry. Dropping it ends its threads and forgets its content.
pub struct Registry {
    server: HttpServer,
    service: Arc<Service>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Registry")
            .field("address", &self.server.address())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Starts an empty registry that lets everybody in.
    ///
    /// # Panics
    /// If loopback has no free port or the system no thread left.
    pub fn start() -> Self {
        Self::with_options(RegistryOptions::default())
    }

    /// Starts an empty registry.
    ///
    /// # Panics
    /// If loopback has no free port or the system no thread left.
    pub fn with_options(options: RegistryOptions) -> Self {
        Self::build(options, None)
    }

    /// Starts an empty registry whose connections go through `tls` first.
    ///
    /// # Panics
    /// If loopback has no free port or the system no thread left.
    pub fn with_tls(options: RegistryOptions, tls: ServerTls) -> Self {
        Self::build(options, Some(tls))
    }

    fn build(options: RegistryOptions, tls: Option<ServerTls>) -> Self {
        let service = Arc::new(Service {
            scheme: if tls.is_some() { "https" } else { "http" },
            options,
            state: Mutex::default(),
        });
        let handler: Arc<dyn Handler> = Arc::<Service>::clone(&service);
        let server = HttpServer::start_shared(handler, tls);
        Self { server, service }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// Returns the media type and the bytes of a manifest, by tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(String, Vec<u8>)> {
        let state = lock(&self.service.state);
        let manifest = state.store.manifest(repository, reference)?.1;
        Some((manifest.media_type.clone(), manifest.bytes.to_vec()))
    }

    /// Returns the digest that a tag stands for.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        let state = lock(&self.service.state);
        Some(state.store.manifest(repository, tag)?.0)
    }

    /// Returns a blob, whatever repository it is in.
    pub fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        let state = lock(&self.service.state);
        state.store.blobs.get(digest).map(|bytes| bytes.to_vec())
    }

    /// Returns whether a repository has a blob.
    pub fn has_blob(&self, repository: &str, digest: &str) -> bool {
        lock(&self.service.state)
            .store
            .linked_blob(repository, digest)
            .is_some()
    }

    /// Returns a repository's tags, sorted.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        lock(&self.service.state).store.tags(repository)
    }

    /// Returns the names of all repositories, sorted.
    pub fn repositories(&self) -> Vec<String> {
        let state = lock(&self.service.state);
        state.store.repositories.keys().cloned().collect()
    }

    /// Returns how many uploads were begun and neither finished nor given up.
    pub fn open_uploads(&self) -> usize {
        lock(&self.service.state).store.uploads.len()
    }

    /// Puts a blob into a repository and returns its digest.
    pub fn put_blob(&self, repository: &str, bytes: impl Into<Vec<u8>>) -> String {
        lock(&self.service.state)
            .store
            .put_blob(repository, bytes.into())
    }

    /// Puts a manifest under a tag or its digest, unchecked, and returns its digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: impl Into<Vec<u8>>,
    ) -> String {
        lock(&self.service.state).store.put_manifest(
            repository,
            reference,
            media_type,
            bytes.into(),
        )
    }

    /// Orders a fault.
    pub fn fault(&self, fault: Fault) {
        lock(&self.service.state).faults.push(fault);
    }

    /// Returns the requests since the start, or since they were cleared, in order of arrival.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.service.state).requests.clone()
    }

    /// Returns `METHOD path` of each request, for short comparisons.
    pub fn request_lines(&self) -> Vec<String> {
        let state = lock(&self.service.state);
        state
            .requests
            .iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        lock(&self.service.state).requests.clear();
    }
}

#[derive(Debug, Default)]
struct State {
    store: Store,
    tokens: Tokens,
    faults: Vec<Fault>,
    requests: Vec<RecordedRequest>,
}

impl State {
    fn matching_fault(&self, request: &Request) -> Option<usize> {
        self.faults.iter().position(|fault| {
            fault.times > 0
                && (fault.method.is_empty() || fault.method == request.method)
                && request.path.contains(&fault.path)
        })
    }

    fn take_fault(&mut self, request: &Request) -> Option<FaultAction> {
        let found = self.matching_fault(request)?;
        let fault = self.faults.get_mut(found)?;
        fault.times -= 1;
        Some(fault.action.clone())
    }
}

struct Service {
    scheme: &'static str,
    options: RegistryOptions,
    state: Mutex<State>,
}

impl Handler for Service {
    fn plan(&self, head: &Request) -> BodyPlan {
        let state = lock(&self.state);
        let fault = state
            .matching_fault(head)
            .and_then(|found| state.faults.get(found));
        match fault.map(|fault| &fault.action) {
            Some(FaultAction::CutBody(length)) => BodyPlan::First(*length),
            Some(FaultAction::Hangup) => BodyPlan::First(0),
            Some(FaultAction::Answer(..)) | None => BodyPlan::All,
        }
    }

    fn answer(&self, request: Request) -> Response {
        // Hashing is the work of an upload; it must not happen under the lock.
        let digest = if request.body.is_empty() || request.method == "PATCH" {
            String::new()
        } else {
            sha256(&request.body)
        };
        let mut state = lock(&self.state);
        state.requests.push(RecordedRequest {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            body_length: request.body.len(),
        });
        match state.take_fault(&request) {
            Some(FaultAction::Hangup) => return Response::hangup(),
            Some(FaultAction::CutBody(_)) => {
                state.store.append_cut(&request);
                return Response::hangup();
            }
            Some(FaultAction::Answer(status, headers, body)) => {
                let mut response = Response::with_body(status, body);
                response.headers = headers;
                return response;
            }
            None => {}
        }
        self.route(&mut state, request, &digest)
            .header("Docker-Distribution-Api-Version", "registry/2.0")
    }
}

/// What a path below `/v2/` names.
#[derive(Debug, PartialEq, Eq)]
enum Route<'a> {
    Base,
    Blob(&'a str, &'a str),
    Uploads(&'a str),
    Upload(&'a str, &'a str),
    Manifest(&'a str, &'a str),
    Tags(&'a str),
    Referrers(&'a str, &'a str),
}

impl<'a> Route<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/v2/")?;
        if rest.is_empty() {
            return Some(Self::Base);
        }
        if let Some(repository) = rest.strip_suffix("/tags/list") {
            return Some(Self::Tags(repository));
        }
        if let Some((repository, id)) = rest.split_once("/blobs/uploads/") {
            return Some(if id.is_empty() {
                Self::Uploads(repository)
            } else {
                Self::Upload(repository, id)
            });
        }
        if let Some(repository) = rest.strip_suffix("/blobs/uploads") {
            return Some(Self::Uploads(repository));
        }
        let (head, last) = rest.rsplit_once('/')?;
        if let Some(repository) = head.strip_suffix("/blobs") {
            return Some(Self::Blob(repository, last));
        }
        if let Some(repository) = head.strip_suffix("/referrers") {
            return Some(Self::Referrers(repository, last));
        }
        head.strip_suffix("/manifests")
            .map(|repository| Self::Manifest(repository, last))
    }

    fn repository(&self) -> Option<&'a str> {
        match self {
            Self::Base => None,
            Self::Blob(repository, _)
            | Self::Uploads(repository)
            | Self::Upload(repository, _)
            | Self::Manifest(repository, _)
            | Self::Tags(repository)
            | Self::Referrers(repository, _) => Some(repository),
        }
    }
}

impl Service {
    fn route(&self, state: &mut State, request: Request, digest: &str) -> Response {
        if request.path == "/token" {
            return access::token(&self.options.auth, &mut state.tokens, &request);
        }
        let Some(route) = Route::parse(&request.path) else {
            return error(404, "NAME_UNKNOWN", "no such path");
        };
        let refusal = access::check(
            &self.options.auth,
            &state.tokens,
            &request,
            &route,
            self.scheme,
        );
        if let Some(refusal) = refusal {
            return refusal;
        }
        let store = &mut state.store;
        match (request.method.as_str(), &route) {
            ("GET" | "HEAD", Route::Base) => Response::with_body(200, "{}"),
            ("GET" | "HEAD", Route::Blob(repository, digest)) => {
                blobs::get(store, repository, digest, request.header("range"))
            }
            ("DELETE", Route::Blob(repository, digest)) => blobs::delete(store, repository, digest),
            ("POST", Route::Uploads(repository)) => {
                let repository = (*repository).to_owned();
                blobs::begin(store, &repository, request, digest, self.options.mount)
            }
            ("GET", Route::Upload(repository, id)) => blobs::status(store, repository, id),
            ("PATCH", Route::Upload(..)) => blobs::patch(store, &request),
            ("PUT", Route::Upload(..)) => blobs::finish(store, request, digest),
            ("DELETE", Route::Upload(_, id)) => blobs::give_up(store, id),
            ("GET" | "HEAD", Route::Manifest(repository, reference)) => {
                manifests::get(store, repository, reference)
            }
            ("PUT", Route::Manifest(repository, reference)) => manifests::put(
                store,
                repository,
                reference,
                &request,
                digest,
                &self.options,
            ),
            ("DELETE", Route::Manifest(repository, reference)) => {
                manifests::delete(store, repository, reference)
            }
            ("GET", Route::Tags(repository)) => manifests::tags(store, repository, &request),
            ("GET", Route::Referrers(repository, digest)) if self.options.referrers => {
                manifests::referrers(store, repository, digest, &request)
            }
            _ => error(404, "UNSUPPORTED", "not offered here"),
        }
    }
}

/// An error answer in the protocol's form.
fn error(status: u16, code: &str, message: &str) -> Response {
    let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
    Response::with_body(status, body.to_string()).header("Content-Type", "application/json")
}

#[cfg(test)]
mod tests;
