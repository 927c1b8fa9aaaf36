//! One request, one answer: connections, TLS, proxies and time limits. No retries and no credentials here.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use ureq::http::{HeaderMap, Method, Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Proxy, ProxyProtocol, SendBody};

use crate::content::Content;
use crate::error::{RegistryError, shown};
use crate::options::{Options, ProxyOption, Roots, Timeouts};

/// The largest head of an answer.
const HEAD_CAP: usize = 64 * 1024;
/// How much of an error's body is read.
const ERROR_CAP: u64 = 8 * 1024;

/// Bodies from this size on are sent only when the other side wants them: who refuses early closes the
/// connection, and its reason would be lost in the middle of the body.
const ASK_FIRST_SIZE: u64 = 1024 * 1024;

/// Whom a connection may trust, and where it may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The registry itself.
    Registry,
    /// The same, but any certificate will do.
    Lax,
    /// Somewhere that the registry pointed to: never into this machine or its network.
    Outside,
}

/// A request as it goes out.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content: Content<'a>,
    /// How much of the content is left out at its begin.
    pub(crate) offset: u64,
}

/// An answer whose body was not read yet.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    body: Body,
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Answer({})", self.status)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may go better next time.
    Passing(String),
    /// Nobody listens there: it may go better next time, but hardly if it never did.
    Refused(String),
    /// It will not go better.
    Lasting(String),
    /// The content could not be read.
    Content(io::Error),
}

impl Answer {
    /// Returns a header field's value, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns all values of a header field that are text.
    pub(crate) fn header_values(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).collect()
    }

    /// Returns the declared length of the body.
    pub(crate) fn length(&self) -> Option<u64> {
        self.body.content_length()
    }

    /// Returns the body as a reader without a limit.
    pub(crate) fn into_reader(self) -> impl Read + Send + use<> {
        self.body.into_reader()
    }

    /// Reads a body of at most `cap` bytes; `None` if there are more.
    pub(crate) fn into_bytes(self, cap: u64) -> io::Result<Option<Vec<u8>>> {
        if self.length().is_some_and(|length| length > cap) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let read = self
            .body
            .into_reader()
            .take(cap + 1)
            .read_to_end(&mut bytes)?;
        Ok((read as u64 <= cap).then_some(bytes))
    }

    /// Reads what is left of a body that nobody needs, so that the connection can be used again.
    pub(crate) fn discard(self) {
        let mut rest = self.body.into_reader().take(ERROR_CAP);
        drop(io::copy(&mut rest, &mut io::sink()));
    }

    /// Reads the begin of an error's body.
    pub(crate) fn into_error_text(self) -> String {
        let mut bytes = Vec::new();
        let reader = self.body.into_reader();
        // What came before a failure is as good as nothing or better.
        drop(reader.take(ERROR_CAP).read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Sends requests.
#[derive(Debug)]
pub(crate) struct Transport {
    registry: Agent,
    lax: Agent,
    outside: Agent,
    timeouts: Timeouts,
}

impl Transport {
    pub(crate) fn new(options: &Options) -> Result<Self, RegistryError> {
        let roots = roots(&options.roots)?;
        let proxy = options.proxy.as_ref().map(proxy).transpose()?;
        let agent = |lax: bool, outside: bool| {
            let tls = TlsConfig::builder()
                .root_certs(roots.clone())
                .disable_verification(lax)
                .build();
            let config = Agent::config_builder()
                .tls_config(tls)
                // Without this line the environment would choose one.
                .proxy(proxy.clone())
                .http_status_as_error(false)
                .max_redirects(0)
                .accept("")
                .user_agent(options.user_agent.as_str())
                .max_response_header_size(HEAD_CAP)
                .max_idle_connections(64)
                .max_idle_connections_per_host(options.parallel.max(1))
                .timeout_connect(Some(options.timeouts.connect))
                .timeout_per_read(Some(options.timeouts.idle))
                .timeout_per_write(Some(options.timeouts.idle))
                .timeout_recv_response(Some(options.timeouts.answer))
                .build();
            let resolver = FilteringResolver { outside };
            Agent::with_parts(config, DefaultConnector::default(), resolver)
        };
        Ok(Self {
            registry: agent(false, false),
            lax: agent(true, false),
            outside: agent(false, true),
            timeouts: options.timeouts,
        })
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) fn run(&self, reach: Reach, outgoing: &Outgoing<'_>) -> Result<Answer, Failure> {
        let agent = match reach {
            Reach::Registry => &self.registry,
            Reach::Lax => &self.lax,
            Reach::Outside => &self.outside,
        };
        let mut builder = Request::builder()
            .method(outgoing.method.clone())
            .uri(&outgoing.url);
        for (name, value) in &outgoing.headers {
            builder = builder.header(*name, value);
        }
        let length = outgoing.content.length().saturating_sub(outgoing.offset);
        if outgoing.content.is_empty() {
            let bodiless = outgoing.method == Method::GET
                || outgoing.method == Method::HEAD
                || outgoing.method == Method::DELETE;
            return if bodiless {
                self.finish(agent, builder.body(SendBody::none()), false)
            } else {
                // These have a body by their method: the length must say that it is empty.
                let mut nothing: &[u8] = &[];
                let builder = builder.header("content-length", 0);
                self.finish(
                    agent,
                    builder.body(SendBody::from_reader(&mut nothing)),
                    true,
                )
            };
        }
        let source = outgoing
            .content
            .open(outgoing.offset)
            .map_err(Failure::Content)?;
        let mut source = Noting {
            source,
            failed: RefCell::default(),
        };
        let mut builder = builder.header("content-length", length);
        if length >= ASK_FIRST_SIZE {
            builder = builder.header("expect", "100-continue");
        }
        let result = self.finish(
            agent,
            builder.body(SendBody::from_reader(&mut source)),
            true,
        );
        match source.failed.take() {
            Some(error) => Err(Failure::Content(error)),
            None => result,
        }
    }

    fn finish(
        &self,
        agent: &Agent,
        request: Result<Request<SendBody<'_>>, ureq::http::Error>,
        upload: bool,
    ) -> Result<Answer, Failure> {
        let request = request
            .map_err(|error| Failure::Lasting(format!("the request cannot be formed: {error}")))?;
        let result = if upload {
            let configured = agent
                .configure_request(request)
                .timeout_per_read(Some(self.timeouts.upload_answer))
                .timeout_recv_response(Some(self.timeouts.upload_answer))
                .build();
            agent.run(configured)
        } else {
            agent.run(request)
        };
        result.map(answer).map_err(|error| failure(&error))
    }
}

fn answer(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    }
}

/// Says what went wrong, and whether another try makes sense.
fn failure(error: &ureq::Error) -> Failure {
    if let ureq::Error::Io(error) = error {
        return io_failure(error);
    }
    if let ureq::Error::Timeout(limit) = error {
        return Failure::Passing(format!("no answer in time ({limit})"));
    }
    if matches!(error, ureq::Error::ConnectionFailed) {
        return Failure::Passing("no connection".to_owned());
    }
    if matches!(error, ureq::Error::HostNotFound) {
        return Failure::Lasting("the host name is not known".to_owned());
    }
    if matches!(error, ureq::Error::LargeResponseHeader(..)) {
        return Failure::Lasting(format!(
            "the head of the answer has more than {HEAD_CAP} bytes"
        ));
    }
    Failure::Lasting(shown(&error.to_string(), &[]))
}

fn io_failure(error: &io::Error) -> Failure {
    // TLS faults come as the first of these, and host names that are not known as the second.
    const LASTING: [io::ErrorKind; 2] = [io::ErrorKind::InvalidData, io::ErrorKind::Other];
    let text = shown(&error.to_string(), &[]);
    if error.kind() == io::ErrorKind::ConnectionRefused {
        Failure::Refused(text)
    } else if LASTING.contains(&error.kind()) {
        Failure::Lasting(text)
    } else {
        Failure::Passing(text)
    }
}

/// Remembers why reading failed: towards the connection it looks like a fault of the network.
struct Noting<'a> {
    source: Box<dyn Read + Send + 'a>,
    failed: RefCell<Option<io::Error>>,
}

impl Read for Noting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.read(buffer).map_err(|error| {
            let kind = error.kind();
            *self.failed.borrow_mut() = Some(error);
            kind.into()
        })
    }
}

fn roots(roots: &Roots) -> Result<RootCerts, RegistryError> {
    let given = |pem: &str| {
        let mut found = Vec::new();
        for item in parse_pem(pem.as_bytes()) {
            let item = item.map_err(|_| RegistryError::Option {
                option: "roots",
                rule: "the certificates are not PEM".to_owned(),
            })?;
            if let PemItem::Certificate(certificate) = item {
                found.push(certificate);
            }
        }
        Ok(found)
    };
    match roots {
        Roots::Bundled => Ok(RootCerts::WebPki),
        Roots::Only(pem) => Ok(given(pem)?.into_iter().into()),
        Roots::BundledAnd(pem) => {
            let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS
                .iter()
                .map(|der| Certificate::from_der(der));
            Ok(bundled.chain(given(pem)?).into())
        }
    }
}

fn proxy(option: &ProxyOption) -> Result<Proxy, RegistryError> {
    let wrong = || RegistryError::Option {
        option: "proxy",
        rule: "it has to be `http://[user:password@]host:port`".to_owned(),
    };
    let parsed = Proxy::new(&option.url).map_err(|_| wrong())?;
    if !matches!(
        parsed.protocol(),
        ProxyProtocol::Http | ProxyProtocol::Https
    ) {
        return Err(wrong());
    }
    let mut builder = Proxy::builder(parsed.protocol())
        .host(parsed.host())
        .port(parsed.port());
    if let Some(user) = parsed.username() {
        builder = builder.username(user);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
    for host in own.iter().chain(&option.except) {
        builder = builder.no_proxy(host);
    }
    builder.build().map_err(|_| wrong())
}

/// Refuses inner addresses for connections that a registry asked for.
#[derive(Debug)]
struct FilteringResolver {
    outside: bool,
}

impl Resolver for FilteringResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        // The system's resolver has tried more than once already: its failures are not passing ones.
        let lasting = |error: ureq::Error| {
            if let ureq::Error::Io(error) = &error {
                return ureq::Error::Io(io::Error::other(error.to_string()));
            }
            error
        };
        let addresses = DefaultResolver::default()
            .resolve(uri, config, timeout)
            .map_err(lasting)?;
        let inside = addresses
            .iter()
            .any(|found| crate::origin::is_inside(found.ip()));
        if self.outside && inside {
            return Err(ureq::Error::Io(io::Error::other(
                "the registry points to an address inside this machine's network",
            )));
        }
        Ok(addresses)
    }
}

/// Returns whether a download is too slow to be waited for.
pub(crate) fn too_slow(timeouts: &Timeouts, elapsed: Duration, bytes: u64) -> bool {
    let floor = timeouts.slowest.saturating_mul(elapsed.as_secs());
    elapsed > timeouts.grace && bytes < floor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keychain::Keychain;

    fn run(options: &Options, reach: Reach, url: &str) -> Result<Answer, Failure> {
        let outgoing = Outgoing {
            method: Method::GET,
            url: url.to_owned(),
            headers: Vec::new(),
            content: Content::NOTHING,
            offset: 0,
        };
        Transport::new(options).unwrap().run(reach, &outgoing)
    }

    #[test]
    fn what_a_registry_points_to_is_not_looked_for_inside() {
        let server = cnbw_testkit::HttpServer::start(|_| cnbw_testkit::Response::new(200));
        let options = Options::new(Keychain::anonymous());
        let url = format!("http://{}/", server.address());
        assert_eq!(run(&options, Reach::Registry, &url).unwrap().status, 200);
        for url in [
            url.as_str(),
            "http://169.254.169.254/latest",
            "http://[::1]:1/",
        ] {
            match run(&options, Reach::Outside, url) {
                Err(Failure::Lasting(reason)) => assert!(reason.contains("inside"), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn requests_go_through_the_proxy_except_to_this_machine() {
        let proxy = cnbw_testkit::HttpServer::start(|_| cnbw_testkit::Response::new(200));
        let direct = cnbw_testkit::HttpServer::start(|_| cnbw_testkit::Response::new(418));
        let mut options = Options::new(Keychain::anonymous());
        options.proxy = Some(ProxyOption {
            url: format!("http://user:secret@{}", proxy.address()),
            except: vec!["direct.invalid".to_owned()],
        });
        let local = format!("http://{}/", direct.address());
        assert_eq!(run(&options, Reach::Registry, &local).unwrap().status, 418);
        // The proxy agrees to the tunnel, and is also what answers at its end.
        let far = run(&options, Reach::Registry, "http://registry.invalid/").unwrap();
        assert_eq!(far.status, 200);
        let excepted = run(&options, Reach::Registry, "http://direct.invalid/");
        assert!(matches!(excepted, Err(Failure::Lasting(_))), "{excepted:?}");
    }

    #[test]
    fn a_proxy_has_to_be_an_http_proxy() {
        for url in ["socks5://127.0.0.1:1", "", "http://"] {
            let mut options = Options::new(Keychain::anonymous());
            options.proxy = Some(ProxyOption {
                url: url.to_owned(),
                except: Vec::new(),
            });
            let error = Transport::new(&options).unwrap_err();
            assert!(
                error.to_string().starts_with("the option `proxy` is wrong"),
                "{error}"
            );
        }
    }

    #[test]
    fn slowness_counts_after_the_grace() {
        let timeouts = Timeouts::default();
        assert!(!too_slow(&timeouts, Duration::from_secs(50), 0));
        assert!(too_slow(&timeouts, Duration::from_secs(70), 70_000));
        assert!(!too_slow(&timeouts, Duration::from_secs(70), 72_000));
    }
}
