//! TLS: who is trusted, and who is not.

use std::io::Cursor;
use std::sync::Arc;

use cnbw_oci::image::{ImageSink, ImageSource, StoreErrorKind};
use cnbw_registry::{Client, Roots};
use cnbw_testkit::{Registry, RegistryOptions, ServerTls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::{client, image, name, open, options, read_layer, whole};

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

fn registry() -> Registry {
    Registry::with_tls(RegistryOptions::default(), server_tls())
}

#[test]
fn a_given_authority_is_trusted() {
    let registry = registry();
    for roots in [Roots::Only(CA.to_owned()), Roots::BundledAnd(CA.to_owned())] {
        let mut options = options();
        options.roots = roots;
        let client = Client::new(options).unwrap();
        let target = name(&registry, "app:v1");
        client
            .write(image(&[b"x"]), std::slice::from_ref(&target))
            .unwrap();
        assert_eq!(read_layer(&open(&client, &target), 0).unwrap(), b"x");
    }
}

#[test]
fn an_unknown_authority_is_not_trusted() {
    let registry = registry();
    let error = client().open(&name(&registry, "app:v1"), None).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreachable);
    assert!(whole(&error).contains("UnknownIssuer"), "{error}");
    assert_eq!(registry.requests(), []);
}

// shows: registry-auth-008
#[test]
fn a_listed_registry_needs_no_authority() {
    let registry = registry();
    let mut options = options();
    options.insecure = vec![registry.address()];
    let client = Client::new(options).unwrap();
    let target = name(&registry, "app:v1");
    client
        .write(image(&[b"x"]), std::slice::from_ref(&target))
        .unwrap();
    assert_eq!(read_layer(&open(&client, &target), 0).unwrap(), b"x");
}

#[test]
fn roots_that_are_no_pem_are_refused() {
    let mut options = options();
    options.roots =
        Roots::Only("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_owned());
    let error = Client::new(options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the option `roots` is wrong: the certificates are not PEM"
    );
}
