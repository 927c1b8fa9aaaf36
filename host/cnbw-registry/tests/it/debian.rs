//! Debian's `docker-registry`, which is the reference implementation of the protocol: plain, with passwords,
//! with TLS, and with tokens of a service of ours.
//!
//! The tests need the program; where it is missing they say so and end.

use std::io::{Cursor, Read};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cnbw_oci::image::{ImageSink, ImageSource, LayerContent, NewLayer, StoreErrorKind};
use cnbw_registry::keychain::{Credential, Keychain};
use cnbw_registry::{Client, Options, Roots};
use cnbw_testkit::{HttpServer, Request, Response};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::support::{Always, image, image_for, layer, noise, open, read_layer};

const PROGRAM: &str = "/usr/bin/docker-registry";
const PASSWORD: &str = "hunter22";
/// bcrypt of the password.
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuZ6QNu0NKXZkZHC5hsQUItfxcGamvB8i\n";
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

/// A running registry, stopped when it is dropped.
struct Debian {
    child: Child,
    address: String,
    directory: tempfile::TempDir,
}

impl Drop for Debian {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Debian {
    /// Starts a registry with some more lines of configuration; `None` where the program is missing, which
    /// it must not be where `CI` is set.
    #[expect(clippy::print_stdout, reason = "a test that is not run has to say so")]
    #[expect(
        clippy::disallowed_methods,
        reason = "only the environment knows what has to be there"
    )]
    fn start(more: &str) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            assert!(std::env::var_os("CI").is_none(), "{PROGRAM} is missing");
            println!("not run: {PROGRAM} is missing (Debian package docker-registry)");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let root = directory.path().display();
        let configuration = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {root}/data}}\n  delete: {{enabled: true}}\nhttp:\n  addr: {address}\n  secret: x\n{more}\n"
        );
        write(&directory.path().join("config.yml"), &configuration);
        write(&directory.path().join("htpasswd"), HTPASSWD);
        let child = Command::new(PROGRAM)
            .arg("serve")
            .arg(directory.path().join("config.yml"))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self {
            child,
            address,
            directory,
        };
        registry.wait();
        Some(registry)
    }

    fn wait(&self) {
        let begin = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "the registry does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the registry reads its configuration from a path"
)]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

fn anonymous(roots: Roots) -> Client {
    client(Keychain::anonymous(), roots)
}

fn user() -> Client {
    let credential = Always(Credential::basic("user", PASSWORD));
    client(Keychain::anonymous().with(credential), Roots::Bundled)
}

fn client(keychain: Keychain, roots: Roots) -> Client {
    let mut options = Options::new(keychain);
    options.roots = roots;
    Client::new(options).unwrap()
}

/// Pushes, pulls, mounts and copies.
fn round_trip(client: &Client, registry: &Debian) {
    let big = noise(1, 20 << 20);
    let base = registry.name("team/base:1");
    client
        .write(image(&[&big, b"small"]), std::slice::from_ref(&base))
        .unwrap();
    let base = open(client, &base);
    assert_eq!(read_layer(&base, 0).unwrap(), big);
    let layers = vec![
        NewLayer {
            diff_id: base.config.rootfs.diff_ids[0],
            content: LayerContent::Existing {
                descriptor: base.manifest.layers[0].clone(),
                blobs: base.blobs.clone(),
            },
        },
        layer(b"application"),
    ];
    let names = [
        registry.name("app:v1"),
        registry.name("app:v2"),
        registry.name("other:v1"),
    ];
    let written = client
        .write(image_for("linux/amd64", layers), &names)
        .unwrap();
    for name in &names {
        let found = open(client, name);
        assert_eq!(found.descriptor.digest, written.manifest.digest);
        assert_eq!(read_layer(&found, 1).unwrap(), b"application");
    }
    assert!(
        client
            .open(&registry.name("none:v1"), None)
            .unwrap()
            .is_none()
    );
    let copied = client
        .copy(&names[0], None, &[registry.name("copy:v1")])
        .unwrap()
        .unwrap();
    assert_eq!(copied.digest, written.manifest.digest);
    client.check_read_write(&registry.name("fresh:v1")).unwrap();
}

#[test]
fn everything_works_in_the_clear() {
    let Some(registry) = Debian::start("") else {
        return;
    };
    round_trip(&anonymous(Roots::Bundled), &registry);
    let directory = registry.directory.path().join("data");
    assert!(directory.is_dir());
}

/// Passes one connection after the other on to an address; of the first few, only so many bytes.
fn cutting_proxy(address: String, mut cuts: Vec<u64>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let own = listener.local_addr().unwrap().to_string();
    // The thread ends with the process: it holds nothing that has to be given back.
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&address).unwrap());
            let limit = cuts.pop().unwrap_or(1 << 40);
            let pairs = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let (client, mut server) = (client, server);
                drop(std::io::copy(&mut (&client).take(limit), &mut server));
                drop(client.shutdown(Shutdown::Both));
                drop(server.shutdown(Shutdown::Both));
            });
            std::thread::spawn(move || {
                let (mut client, mut server) = pairs;
                drop(std::io::copy(&mut server, &mut client));
                drop(client.shutdown(Shutdown::Both));
            });
        }
    });
    own
}

#[test]
fn an_upload_that_breaks_is_repeated() {
    let Some(registry) = Debian::start("") else {
        return;
    };
    let bytes = noise(9, 40 << 20);
    let own = cutting_proxy(registry.address.clone(), vec![12 << 20, 18 << 20]);
    anonymous(Roots::Bundled)
        .write(image(&[&bytes]), &[format!("{own}/app:v1")])
        .unwrap();
    let found = open(&anonymous(Roots::Bundled), &registry.name("app:v1"));
    assert_eq!(read_layer(&found, 0).unwrap(), bytes);
}

#[test]
fn everything_works_with_a_password() {
    let Some(registry) = Debian::start("auth:\n  htpasswd: {realm: test, path: htpasswd}") else {
        return;
    };
    round_trip(&user(), &registry);
    let error = anonymous(Roots::Bundled)
        .open(&registry.name("app:v1"), None)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied);
    let error = anonymous(Roots::Bundled)
        .check_read(&registry.name("app:v1"))
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Denied);
}

#[test]
fn everything_works_with_tls() {
    let tls = format!("  tls: {{certificate: {DATA}/server.pem, key: {DATA}/server.key}}");
    let Some(registry) = Debian::start(&tls) else {
        return;
    };
    #[expect(clippy::disallowed_methods, reason = "a file of the tests")]
    let ca = std::fs::read_to_string(format!("{DATA}/ca.pem")).unwrap();
    round_trip(&anonymous(Roots::Only(ca)), &registry);
    let error = anonymous(Roots::Bundled)
        .open(&registry.name("app:v1"), None)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreachable, "{error}");
}

// shows: registry-auth-009
#[test]
fn everything_works_with_tokens() {
    let service = HttpServer::start(|request: Request| issue_token(&request));
    let auth = format!(
        "auth:\n  token: {{realm: \"http://{}/token\", service: test, issuer: cnbw, rootcertbundle: {DATA}/ca.pem}}",
        service.address()
    );
    let Some(registry) = Debian::start(&auth) else {
        return;
    };
    round_trip(&user(), &registry);
    let error = anonymous(Roots::Bundled)
        .open(&registry.name("app:v1"), None)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
}

/// Gives whoever knows the password a token for what is asked.
fn issue_token(request: &Request) -> Response {
    let expected = format!("Basic {}", STANDARD.encode(format!("user:{PASSWORD}")));
    if request.header("authorization") != Some(expected.as_str()) {
        return Response::with_body(401, r#"{"details":"who are you"}"#);
    }
    let access: Vec<serde_json::Value> = request
        .query
        .iter()
        .filter(|(name, _)| name == "scope")
        .filter_map(|(_, scope)| {
            let (name, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
            let actions: Vec<&str> = actions.split(',').collect();
            Some(serde_json::json!({"type": "repository", "name": name, "actions": actions}))
        })
        .collect();
    let claims = serde_json::json!({
        "iss": "cnbw", "sub": "user", "aud": "test", "access": access,
        "nbf": 0, "iat": 0, "exp": 4_000_000_000_u64, "jti": "1",
    });
    let pem = include_str!("../data/server.pem");
    let certificate = CertificateDer::from_pem_reader(Cursor::new(pem)).unwrap();
    let header = serde_json::json!({
        "typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(certificate.as_ref())],
    });
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let key = PrivatePkcs8KeyDer::from_pem_reader(Cursor::new(include_str!("../data/server.key")))
        .unwrap();
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        key.secret_pkcs8_der(),
        &random,
    )
    .unwrap();
    let signature = pair.sign(&random, signed.as_bytes()).unwrap();
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
    Response::with_body(200, serde_json::json!({"token": token}).to_string())
}
