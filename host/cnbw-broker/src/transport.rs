//! One request, one answer: connections, TLS, proxies and where they may lead. No retries, no redirects.

use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};

use ureq::http::{HeaderMap, Request, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Proxy, ProxyProtocol};

use crate::address::Reach;
use crate::error::{OptionError, shown};
use crate::options::{BrokerOptions, ProxyOption, Roots};

/// The largest head of an answer.
const HEAD_CAP: usize = 64 * 1024;
/// How much of a body that nobody needs is read, so that the connection can be used again.
const DISCARD_CAP: u64 = 8 * 1024;

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

impl Answer {
    /// Returns a header field's value, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the declared length of the body.
    pub(crate) fn length(&self) -> Option<u64> {
        self.body.content_length()
    }

    pub(crate) fn into_reader(self) -> impl Read + Send + use<> {
        self.body.into_reader()
    }

    /// Reads what is left of a body that nobody needs.
    pub(crate) fn discard(self) {
        let mut rest = self.body.into_reader().take(DISCARD_CAP);
        drop(io::copy(&mut rest, &mut io::sink()));
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may go better next time.
    Passing(String),
    /// It will not go better.
    Lasting(String),
    /// The host has an address that the connection must not lead to.
    Inside(IpAddr),
}

/// Sends requests.
#[derive(Debug)]
pub(crate) struct Transport {
    outside: Agent,
    near: Agent,
    anywhere: Agent,
}

impl Transport {
    pub(crate) fn new(options: &BrokerOptions) -> Result<Self, OptionError> {
        let tls = TlsConfig::builder()
            .root_certs(roots(&options.roots)?)
            .build();
        let proxy = options.proxy.as_ref().map(proxy).transpose()?;
        let agent = |reach: Reach| {
            let config = Agent::config_builder()
                .tls_config(tls.clone())
                // Without this line the environment would choose one.
                .proxy(proxy.clone())
                .http_status_as_error(false)
                .max_redirects(0)
                .accept("*/*")
                .accept_encoding("identity")
                .user_agent(options.user_agent.as_str())
                .max_response_header_size(HEAD_CAP)
                .max_idle_connections(64)
                .max_idle_connections_per_host(options.parallel.max(1))
                .timeout_connect(Some(options.timeouts.connect))
                .timeout_resolve(Some(options.timeouts.connect))
                .timeout_per_read(Some(options.timeouts.idle))
                .timeout_per_write(Some(options.timeouts.idle))
                .timeout_recv_response(Some(options.timeouts.answer))
                .build();
            let resolver = FilteringResolver {
                reach,
                proxy: proxy
                    .as_ref()
                    .map(|proxy| (proxy.host().to_owned(), proxy.port())),
            };
            Agent::with_parts(config, DefaultConnector::default(), resolver)
        };
        Ok(Self {
            outside: agent(Reach::Outside),
            near: agent(Reach::Near),
            anywhere: agent(Reach::Anywhere),
        })
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) fn get(
        &self,
        reach: Reach,
        url: &str,
        authorization: Option<&str>,
    ) -> Result<Answer, Failure> {
        let agent = match reach {
            Reach::Outside => &self.outside,
            Reach::Near => &self.near,
            Reach::Anywhere => &self.anywhere,
        };
        let mut builder = Request::builder().method("GET").uri(url);
        if let Some(authorization) = authorization {
            builder = builder.header("authorization", authorization);
        }
        // The error may quote what it does not like.
        let request = builder
            .body(())
            .map_err(|_| Failure::Lasting("the request cannot be formed".to_owned()))?;
        let response = agent.run(request).map_err(|error| failure(&error))?;
        let (parts, body) = response.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
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
    Failure::Lasting(shown(&error.to_string()))
}

fn io_failure(error: &io::Error) -> Failure {
    // TLS faults come as the first of these, and host names that are not known as the second.
    const LASTING: [io::ErrorKind; 2] = [io::ErrorKind::InvalidData, io::ErrorKind::Other];
    if let Some(Inside(address)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return Failure::Inside(*address);
    }
    let text = shown(&error.to_string());
    if LASTING.contains(&error.kind()) {
        Failure::Lasting(text)
    } else {
        Failure::Passing(text)
    }
}

/// The address that a connection would have led to.
#[derive(Debug, thiserror::Error)]
#[error("{0} is inside")]
struct Inside(IpAddr);

/// Looks names up, and refuses addresses that a connection must not lead to. What it returns is what is connected to:
/// the name is not looked up again.
#[derive(Debug)]
struct FilteringResolver {
    reach: Reach,
    /// The proxy, which the operator chose.
    proxy: Option<(String, u16)>,
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
        if self.is_proxy(uri) {
            return Ok(addresses);
        }
        let refused = addresses
            .iter()
            .map(SocketAddr::ip)
            .find(|address| !self.reach.allows(*address));
        match refused {
            Some(address) => Err(ureq::Error::Io(io::Error::other(Inside(address)))),
            None => Ok(addresses),
        }
    }
}

impl FilteringResolver {
    /// Returns whether an address is that of the proxy. One that is asked for by its own address passes, too: the proxy
    /// is not secret, and what it serves itself is the operator's affair.
    fn is_proxy(&self, uri: &Uri) -> bool {
        self.proxy.as_ref().is_some_and(|(host, port)| {
            uri.host() == Some(host.as_str()) && uri.port_u16() == Some(*port)
        })
    }
}

fn roots(roots: &Roots) -> Result<RootCerts, OptionError> {
    let given = |pem: &str| {
        let mut found = Vec::new();
        for item in parse_pem(pem.as_bytes()) {
            let item = item.map_err(|_| OptionError {
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

fn proxy(option: &ProxyOption) -> Result<Proxy, OptionError> {
    let wrong = || OptionError {
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
