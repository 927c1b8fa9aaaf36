//! A registry that lies, stalls, drips and points elsewhere: each time the client ends with the right
//! error, soon, and with little memory.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cnbw_oci::image::{ImageSink, ImageSource, StoreError, StoreErrorKind};
use cnbw_registry::Client;
use cnbw_registry::keychain::Credential;
use cnbw_testkit::{HttpServer, Piece, Request, Response, sha256};

use crate::support::{client, client_with, image, impatient, noise, read_layer, whole};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SECRET: &str = "hunter22-correct-horse";

/// A server whose answers a test decides; what it leaves open is 404, and `/v2/` is open.
struct Liar {
    server: HttpServer,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Liar {
    fn start(answer: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) -> Self {
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = Arc::clone(&requests);
        let server = HttpServer::start(move |request: Request| {
            let found = answer(&request);
            let greeting = request.path == "/v2/";
            seen.lock().unwrap().push(request);
            match found {
                Some(response) => response,
                None if greeting => Response::with_body(200, "{}"),
                None => Response::new(404),
            }
        });
        Self { server, requests }
    }

    fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.server.address())
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    fn refused(&self) -> StoreError {
        self.refused_by(&client())
    }

    fn refused_by(&self, client: &Client) -> StoreError {
        client.open(&self.name("app:v1"), None).unwrap_err()
    }
}

fn config(layer: &str) -> String {
    format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        sha256(layer.as_bytes())
    )
}

/// The documents of an image with one layer of which only digest and size are known.
fn manifest(config: &str, layer_digest: &str, layer_size: u64) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer_digest}","size":{layer_size},"urls":["http://127.0.0.1:1/foreign"]}}]}}"#,
        sha256(config.as_bytes()),
        config.len()
    )
}

fn document(media_type: &str, text: &str) -> Response {
    Response::with_body(200, text).header("Content-Type", media_type)
}

/// A registry with one good image whose layer is delivered as the test says.
fn with_layer(
    bytes: &[u8],
    deliver: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> (Liar, String) {
    let config = config("layer");
    let layer = sha256(bytes);
    let manifest = manifest(&config, &layer, bytes.len() as u64);
    let path = format!("/v2/app/blobs/{layer}");
    let liar = Liar::start(move |request| {
        if request.path == path {
            return Some(deliver(request));
        }
        if request.path.contains("/manifests/") {
            return Some(document(MANIFEST, &manifest));
        }
        request
            .path
            .ends_with(&sha256(config.as_bytes()))
            .then(|| Response::with_body(200, config.clone()))
    });
    (liar, layer)
}

fn layer_error(
    bytes: &[u8],
    deliver: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> String {
    layer_error_for(&client(), bytes, deliver)
}

fn layer_error_for(
    client: &Client,
    bytes: &[u8],
    deliver: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> String {
    let (liar, _) = with_layer(bytes, deliver);
    let found = client.open(&liar.name("app:v1"), None).unwrap().unwrap();
    let error = read_layer(&found, 0).unwrap_err();
    whole(&error)
}

fn pieces(pause: u64, piece: Vec<u8>) -> impl Iterator<Item = Piece> + Send {
    std::iter::repeat_with(move || Piece {
        pause: Duration::from_millis(pause),
        bytes: piece.clone(),
    })
}

#[test]
fn a_manifest_of_another_digest_is_not_even_parsed() {
    let liar = Liar::start(|request| {
        request
            .path
            .contains("/manifests/")
            .then(|| document(MANIFEST, "no JSON"))
    });
    let wanted = sha256(b"what was asked for");
    let error = client()
        .open(&liar.name(&format!("app@{wanted}")), None)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.contains(&format!("the manifest `{wanted}` came with the digest")),
        "{text}"
    );
}

#[test]
fn a_digest_header_that_lies_is_found_out() {
    let liar = Liar::start(|request| {
        let document = document(MANIFEST, &manifest(&config("x"), &sha256(b"x"), 1));
        request
            .path
            .contains("/manifests/")
            .then(|| document.header("Docker-Content-Digest", sha256(b"something else")))
    });
    let error = liar.refused();
    assert_eq!(error.kind, StoreErrorKind::Invalid);
    assert!(error.to_string().contains("was announced as"), "{error}");
}

#[test]
fn blobs_with_other_content_or_length_end_in_an_error() {
    let bytes = noise(1, 10_000);
    let wrong = noise(2, 10_000);
    let error = layer_error(&bytes, move |_| Response::with_body(200, wrong.clone()));
    assert!(error.contains("has content with the digest"), "{error}");

    let longer = noise(1, 10_001);
    let error = layer_error(&bytes, move |_| Response::with_body(200, longer.clone()));
    assert!(
        error.contains("is announced with 10001 bytes, and its descriptor says 10000"),
        "{error}"
    );

    // Right content, then more: with no length announced this shows only at its end.
    let longer = noise(1, 10_001);
    let error = layer_error(&bytes, move |_| {
        let piece = Piece {
            pause: Duration::ZERO,
            bytes: longer.clone(),
        };
        Response::scripted(200, None, std::iter::once(piece))
    });
    assert!(error.contains("has more than its 10000 bytes"), "{error}");
}

#[test]
fn an_endless_blob_is_cut_at_its_size() {
    let begin = Instant::now();
    let error = layer_error(b"short", |_| {
        Response::scripted(200, None, pieces(0, vec![0; 65_536]))
    });
    assert!(error.contains("has more than its 5 bytes"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_blob_that_always_breaks_off_is_given_up() {
    let bytes = noise(3, 10_000);
    let half = bytes[..5000].to_vec();
    let error = layer_error(&bytes, move |request| {
        if request.header("range").is_some() {
            return Response::hangup();
        }
        let piece = Piece {
            pause: Duration::ZERO,
            bytes: half.clone(),
        };
        Response::scripted(200, Some(10_000), std::iter::once(piece))
    });
    assert!(error.contains("cannot be reached"), "{error}");
}

#[test]
fn a_dripping_blob_and_a_stalling_one_are_given_up() {
    let begin = Instant::now();
    let error = layer_error_for(&impatient(), &vec![7; 1_000_000], |_| {
        Response::scripted(200, Some(1_000_000), pieces(50, vec![7]))
    });
    assert!(
        error.contains("comes with less than 1000 bytes per second"),
        "{error}"
    );
    let error = layer_error_for(&impatient(), &vec![7; 1_000_000], |_| {
        Response::scripted(200, Some(1_000_000), pieces(600_000, vec![7]))
    });
    assert!(
        error.contains("broke off after 0 of 1000000 bytes"),
        "{error}"
    );
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_head_that_never_ends_or_is_huge_is_given_up() {
    let stalls = Liar::start(|request| {
        request.path.contains("/manifests/").then(|| {
            std::thread::sleep(Duration::from_millis(1500));
            Response::new(200)
        })
    });
    assert_eq!(
        stalls.refused_by(&impatient()).kind,
        StoreErrorKind::Unreachable
    );
    let huge = Liar::start(|request| {
        request.path.contains("/manifests/").then(|| {
            (0..2000).fold(Response::new(200), |response, number| {
                response.header(&format!("X-Filler-{number}"), "x".repeat(100))
            })
        })
    });
    let error = huge.refused();
    assert_eq!(error.kind, StoreErrorKind::Unreachable);
    assert!(
        error.to_string().contains("the head of the answer")
            || error.to_string().contains("header"),
        "{error}"
    );
}

#[test]
fn huge_manifests_are_refused_whether_announced_or_not() {
    for declared in [Some(1 << 30), None] {
        let liar = Liar::start(move |request| {
            request.path.contains("/manifests/").then(|| {
                Response::scripted(200, declared, pieces(0, vec![b' '; 65_536]))
                    .header("Content-Type", MANIFEST)
            })
        });
        let error = liar.refused();
        assert_eq!(error.kind, StoreErrorKind::Invalid);
        assert!(
            error.to_string().contains("has more than 4194304 bytes"),
            "{error}"
        );
    }
}

#[test]
fn documents_with_impossible_digests_and_sizes_are_refused() {
    let good = manifest(&config("x"), &sha256(b"x"), 1);
    let digest = sha256(b"x");
    let cases = [
        good.replace(&digest, "sha256:../../etc/passwd"),
        good.replace(&digest, &digest.to_uppercase()),
        good.replace(&digest, "md5:d41d8cd98f00b204e9800998ecf8427e"),
        good.replace("\"size\":1,", "\"size\":-1,"),
        good.replace("\"size\":1,", "\"size\":18446744073709551616,"),
    ];
    for text in cases {
        let shown = text.clone();
        let liar = Liar::start(move |request| {
            request
                .path
                .contains("/manifests/")
                .then(|| document(MANIFEST, &text))
        });
        assert_eq!(liar.refused().kind, StoreErrorKind::Invalid, "{shown}");
    }
    // A configuration that says to be huge is never asked for.
    let text = good.replace(
        &format!("\"size\":{}", config("x").len()),
        "\"size\":9223372036854775808",
    );
    let liar = Liar::start(move |request| {
        request
            .path
            .contains("/manifests/")
            .then(|| document(MANIFEST, &text))
    });
    assert_eq!(liar.refused().kind, StoreErrorKind::Invalid);
    assert_eq!(liar.count(), 2);
}

#[test]
fn indexes_deep_in_one_another_are_not_followed_for_ever() {
    let mut documents = vec![manifest(&config("x"), &sha256(b"x"), 1)];
    for _ in 0..5 {
        let inner = documents.last().unwrap();
        let media_type = if documents.len() == 1 {
            MANIFEST
        } else {
            INDEX
        };
        documents.push(format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{{"mediaType":"{media_type}","digest":"{}","size":{},"platform":{{"os":"linux","architecture":"amd64"}}}}]}}"#,
            sha256(inner.as_bytes()),
            inner.len()
        ));
    }
    let outermost = documents.last().unwrap().clone();
    let liar = Liar::start(move |request| {
        if request.path.ends_with("/manifests/v1") {
            return Some(document(INDEX, &outermost));
        }
        let found = documents
            .iter()
            .find(|text| request.path.ends_with(&sha256(text.as_bytes())))?;
        let media_type = if found.contains("\"layers\"") {
            MANIFEST
        } else {
            INDEX
        };
        Some(document(media_type, found))
    });
    let platform = "linux/amd64".parse().unwrap();
    let error = client()
        .open(&liar.name("app:v1"), Some(&platform))
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Invalid);
    assert!(error.to_string().contains("more than 2 deep"), "{error}");
}

#[test]
fn foreign_layers_are_never_fetched_from_elsewhere() {
    let (liar, layer) = with_layer(b"content", |_| Response::new(404));
    let found = client().open(&liar.name("app:v1"), None).unwrap().unwrap();
    read_layer(&found, 0).unwrap_err();
    let requests = liar.requests.lock().unwrap();
    assert!(requests.last().unwrap().path.ends_with(&layer));
}

#[test]
fn an_encoded_blob_is_refused() {
    let error = layer_error(b"content", |_| {
        Response::with_body(200, "gzip it says").header("Content-Encoding", "gzip")
    });
    assert!(error.contains("although nobody asked for it"), "{error}");
}

#[test]
fn a_redirect_is_followed_without_the_credential() {
    let bytes = noise(4, 1000);
    let storage = Liar::start({
        let bytes = bytes.clone();
        move |request| {
            (request.path == "/bucket/x").then(|| Response::with_body(200, bytes.clone()))
        }
    });
    let target = format!("http://{}/bucket/x?signature=abc", storage.server.address());
    let (liar, _) = with_layer(&bytes, move |_| {
        Response::new(307).header("Location", target.clone())
    });
    let client = client_with(Credential::basic("user", SECRET));
    let found = client.open(&liar.name("app:v1"), None).unwrap().unwrap();
    assert_eq!(read_layer(&found, 0).unwrap(), bytes);
    let requests = storage.requests.lock().unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].query_value("signature"), Some("abc"));
    assert_eq!(requests[0].header("authorization"), None);
}

#[test]
fn the_credential_stays_at_home_when_it_was_asked_for() {
    let bytes = noise(4, 1000);
    let storage = Liar::start({
        let bytes = bytes.clone();
        move |_| Some(Response::with_body(200, bytes.clone()))
    });
    let target = format!("http://{}/x", storage.server.address());
    let config = config("layer");
    let layer = sha256(&bytes);
    let text = manifest(&config, &layer, bytes.len() as u64);
    let liar = Liar::start(move |request| {
        if request.header("authorization").is_none() {
            return Some(Response::new(401).header("WWW-Authenticate", "Basic realm=\"x\""));
        }
        if request.path.contains("/manifests/") {
            return Some(document(MANIFEST, &text));
        }
        if request.path.ends_with(&layer) {
            return Some(Response::new(302).header("Location", target.clone()));
        }
        Some(Response::with_body(200, config.clone()))
    });
    let client = client_with(Credential::basic("user", SECRET));
    let found = client.open(&liar.name("app:v1"), None).unwrap().unwrap();
    assert_eq!(read_layer(&found, 0).unwrap(), bytes);
    let requests = storage.requests.lock().unwrap();
    assert!(
        requests
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
    let at_home = liar.requests.lock().unwrap();
    assert!(
        at_home
            .iter()
            .any(|request| request.header("authorization").is_some())
    );
}

#[test]
fn redirects_in_a_circle_and_to_nowhere_are_refused() {
    for (location, part) in [
        ("/v2/app/manifests/again", "redirects more than 5 times"),
        ("file:///etc/passwd", "no http(s) URL"),
        ("", "no http(s) URL"),
    ] {
        let liar = Liar::start(move |request| {
            request
                .path
                .contains("/manifests/")
                .then(|| Response::new(302).header("Location", location))
        });
        let error = liar.refused();
        assert_eq!(error.kind, StoreErrorKind::Invalid);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn uploads_are_not_taken_elsewhere() {
    let canary = Liar::start(|_| Some(Response::new(201)));
    let elsewhere = format!("http://{}/collect", canary.server.address());
    for status in [202, 307] {
        let elsewhere = elsewhere.clone();
        let liar = Liar::start(move |request| {
            (request.method == "POST")
                .then(|| Response::new(status).header("Location", elsewhere.clone()))
        });
        let error = client()
            .write(image(&[b"source code"]), &[liar.name("app:v1")])
            .unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Invalid, "{error}");
    }
    assert_eq!(canary.count(), 0);
}

#[test]
fn a_registry_that_always_says_401_is_left_soon() {
    let liar = Liar::start(|request| {
        let realm = format!(
            "http://{}/token",
            request.header("host").unwrap_or_default()
        );
        if request.path == "/token" {
            return Some(Response::with_body(200, r#"{"token":"t","expires_in":-1}"#));
        }
        let challenge = format!("Bearer realm=\"{realm}\",scope=\"repository:app:pull\"");
        Some(Response::new(401).header("WWW-Authenticate", challenge))
    });
    let error = liar.refused();
    assert_eq!(error.kind, StoreErrorKind::Denied);
    assert!(liar.count() <= 5, "{}", liar.count());
}

#[test]
fn a_wish_to_wait_is_granted_within_limits() {
    let begin = Instant::now();
    let liar = Liar::start(|request| {
        request
            .path
            .contains("/manifests/")
            .then(|| Response::new(429).header("Retry-After", "1000000000000000000000"))
    });
    let error = liar.refused();
    assert_eq!(error.kind, StoreErrorKind::Unreachable);
    assert!(error.to_string().contains("longer than 2 s"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(20));

    let calls = Mutex::new(0);
    let patient = Liar::start(move |request| {
        if !request.path.contains("/manifests/") {
            return None;
        }
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        (*calls == 1).then(|| Response::new(429).header("Retry-After", "1"))
    });
    let begin = Instant::now();
    assert!(
        client()
            .open(&patient.name("app:v1"), None)
            .unwrap()
            .is_none()
    );
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

// shows: registry-auth-010
#[test]
fn what_a_registry_says_is_shown_without_secrets_and_control_characters() {
    let liar = Liar::start(|request| {
        let sent = request
            .header("authorization")
            .unwrap_or("nothing")
            .to_owned();
        if sent == "nothing" {
            return Some(Response::new(401).header("WWW-Authenticate", "Basic realm=\"x\""));
        }
        let text = format!("\u{1b}[2J you sent {sent} {SECRET} {}", "x".repeat(100_000));
        Some(Response::with_body(403, text))
    });
    let client = client_with(Credential::basic("user", SECRET));
    let error = client.open(&liar.name("app:v1"), None).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied);
    let text = format!("{} {error:?}", whole(&error));
    assert!(
        !text.contains(SECRET) && !text.contains("dXNlcj") && !text.contains('\u{1b}'),
        "{text}"
    );
    assert!(text.len() < 1500, "{}", text.len());
}

#[test]
fn token_services_that_talk_nonsense_are_refused() {
    let bodies: [(&'static str, Option<u64>); 4] = [
        ("nonsense", None),
        ("{}", None),
        (r#"{"token":"a\r\nX-Injected: yes"}"#, None),
        ("", Some(1 << 30)),
    ];
    for (body, declared) in bodies {
        let liar = Liar::start(move |request| {
            let realm = format!(
                "http://{}/token",
                request.header("host").unwrap_or_default()
            );
            if request.path != "/token" {
                let challenge = format!("Bearer realm=\"{realm}\"");
                return Some(Response::new(401).header("WWW-Authenticate", challenge));
            }
            Some(match declared {
                Some(_) => Response::scripted(200, declared, pieces(0, vec![b' '; 4096])),
                None => Response::with_body(200, body),
            })
        });
        let error = liar.refused();
        assert_eq!(error.kind, StoreErrorKind::Invalid, "{body}: {error}");
        assert!(error.to_string().contains("token service"), "{error}");
    }
}

#[test]
fn what_is_no_registry_is_called_so() {
    let liar = Liar::start(|_| Some(Response::with_body(404, "<html>nothing here</html>")));
    let error = liar.refused();
    assert!(error.to_string().contains("it is no registry"), "{error}");
}
