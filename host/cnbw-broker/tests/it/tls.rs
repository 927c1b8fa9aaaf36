//! TLS: who is trusted, and who is not. Certificate and key are for `localhost` and made for tests.

use std::io::Cursor;
use std::sync::Arc;

use cnbw_broker::{BrokerOptions, FetchErrorKind, Roots};
use cnbw_testkit::{HttpServer, Request, Response, ServerTls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::{Place, options, read};

const CA: &str = include_str!("../data/ca.pem");
const CERTIFICATE: &str = include_str!("../data/server.pem");
const KEY: &str = include_str!("../data/server.key");

fn server_tls() -> ServerTls {
    let chain = CertificateDer::pem_reader_iter(Cursor::new(CERTIFICATE))
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_reader(Cursor::new(KEY)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    Arc::new(move |stream| {
        let connection =
            rustls::ServerConnection::new(Arc::clone(&config)).map_err(std::io::Error::other)?;
        Ok(Box::new(rustls::StreamOwned::new(connection, stream)))
    })
}

fn server() -> HttpServer {
    let answer = |request: Request| match request.path.as_str() {
        "/down" => Response::new(302).header("Location", "http://example.org/"),
        _ => Response::with_body(200, "content"),
    };
    HttpServer::start_tls(answer, server_tls())
}

fn trusting(roots: Roots) -> Place {
    Place::with(BrokerOptions { roots, ..options() })
}

#[test]
fn a_given_authority_is_trusted() {
    let server = server();
    let url = format!("https://{}/", server.address());
    for roots in [Roots::Only(CA.to_owned()), Roots::BundledAnd(CA.to_owned())] {
        let (file, _) = trusting(roots).fetch(&url, b"content").unwrap();
        assert_eq!(read(file), b"content");
    }
}

#[test]
fn an_unknown_authority_is_not_trusted() {
    let server = server();
    let url = format!("https://{}/", server.address());
    let found = trusting(Roots::Bundled).fault(&url, b"content");
    let is_told = matches!(&found, FetchErrorKind::Unreachable { reason, .. } if reason.contains("UnknownIssuer"));
    assert!(is_told, "{found:?}");
}

#[test]
fn encryption_is_not_given_up_on_the_way() {
    let server = server();
    let url = format!("https://{}/down", server.address());
    let found = trusting(Roots::Only(CA.to_owned())).fault(&url, b"content");
    let is_told =
        matches!(&found, FetchErrorKind::Redirect { rule, .. } if rule.contains("not encrypted"));
    assert!(is_told, "{found:?}");
}
