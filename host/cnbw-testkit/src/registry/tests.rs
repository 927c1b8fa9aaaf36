use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Auth, Fault, FaultAction, Registry, RegistryOptions, Route, sha256};

/// Sends requests over one connection and returns the status, the head and the body of each answer.
struct Client {
    stream: TcpStream,
}

impl Client {
    fn to(registry: &Registry) -> Self {
        let stream = TcpStream::connect(registry.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        Self { stream }
    }

    fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> (u16, String, Vec<u8>) {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(head.as_bytes()).unwrap();
        self.stream.write_all(body).unwrap();
        self.answer(method == "HEAD")
    }

    fn answer(&mut self, head_only: bool) -> (u16, String, Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(self.stream.read(&mut byte).unwrap(), 1, "closed");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = field(&head, "Content-Length").unwrap().parse().unwrap();
        let mut body = vec![0; if head_only { 0 } else { length }];
        self.stream.read_exact(&mut body).unwrap();
        (status, head, body)
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[test]
fn paths_are_routed_by_their_end_because_names_have_slashes() {
    let cases = [
        ("/v2/", Some(Route::Base)),
        (
            "/v2/a/b/blobs/sha256:1",
            Some(Route::Blob("a/b", "sha256:1")),
        ),
        ("/v2/a/blobs/uploads/", Some(Route::Uploads("a"))),
        ("/v2/a/blobs/uploads/7", Some(Route::Upload("a", "7"))),
        (
            "/v2/a/b/c/manifests/latest",
            Some(Route::Manifest("a/b/c", "latest")),
        ),
        ("/v2/a/tags/list", Some(Route::Tags("a"))),
        (
            "/v2/a/referrers/sha256:1",
            Some(Route::Referrers("a", "sha256:1")),
        ),
        ("/v3/", None),
        ("/v2/a", None),
    ];
    for (path, route) in cases {
        assert_eq!(Route::parse(path), route, "{path}");
    }
}

#[test]
fn a_blob_goes_up_in_pieces_and_comes_back_over_the_same_connection() {
    let registry = Registry::start();
    let mut client = Client::to(&registry);
    let digest = sha256(b"hello world");
    assert_eq!(
        client
            .send("HEAD", &format!("/v2/r/blobs/{digest}"), "", b"")
            .0,
        404
    );

    let (status, head, _) = client.send("POST", "/v2/r/blobs/uploads/", "", b"");
    assert_eq!(status, 202);
    let place = field(&head, "Location").unwrap().to_owned();
    let (status, head, _) = client.send("PATCH", &place, "Content-Range: 0-5\r\n", b"hello ");
    assert_eq!((status, field(&head, "Range")), (202, Some("0-5")));
    let (status, ..) = client.send("PATCH", &place, "Content-Range: 3-5\r\n", b"lo ");
    assert_eq!(status, 416);
    let place = field(&head, "Location").unwrap();
    let (status, ..) = client.send("PUT", &format!("{place}&digest={digest}"), "", b"world");
    assert_eq!(status, 201);

    let (status, _, body) = client.send("GET", &format!("/v2/r/blobs/{digest}"), "", b"");
    assert_eq!((status, body.as_slice()), (200, b"hello world".as_slice()));
    let range = "Range: bytes=6-\r\n";
    let (status, head, body) = client.send("GET", &format!("/v2/r/blobs/{digest}"), range, b"");
    assert_eq!((status, body.as_slice()), (206, b"world".as_slice()));
    assert_eq!(field(&head, "Content-Range"), Some("bytes 6-10/11"));
    assert_eq!(registry.blob(&digest).unwrap(), b"hello world");
    assert_eq!(registry.open_uploads(), 0);
}

#[test]
fn a_wrong_digest_is_refused_and_forgets_the_upload() {
    let registry = Registry::start();
    let mut client = Client::to(&registry);
    let wrong = sha256(b"something else");
    let (status, ..) = client.send(
        "POST",
        &format!("/v2/r/blobs/uploads/?digest={wrong}"),
        "",
        b"content",
    );
    assert_eq!(status, 400);
    assert_eq!(registry.blob(&wrong), None);
}

#[test]
fn a_manifest_needs_its_blobs_in_its_own_repository_until_they_are_mounted() {
    let registry = Registry::start();
    let config = registry.put_blob("one", "{}");
    let manifest = format!(r#"{{"config":{{"digest":"{config}"}},"layers":[]}}"#);
    let mut client = Client::to(&registry);
    let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
    let put = |client: &mut Client| {
        client
            .send("PUT", "/v2/two/manifests/latest", kind, manifest.as_bytes())
            .0
    };
    assert_eq!(put(&mut client), 400);
    let mount = format!(
        "/v2/two/blobs/uploads/?mount={}&from=one",
        config.replace(':', "%3A")
    );
    assert_eq!(client.send("POST", &mount, "", b"").0, 201);
    assert_eq!(put(&mut client), 201);
    assert_eq!(registry.tags("two"), ["latest"]);
    let (media_type, bytes) = registry.manifest("two", "latest").unwrap();
    assert_eq!(media_type, "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(bytes, manifest.as_bytes());
    let digest = registry.tag("two", "latest").unwrap();
    assert_eq!(
        client
            .send("HEAD", &format!("/v2/two/manifests/{digest}"), "", b"")
            .0,
        200
    );
}

#[test]
fn a_chunked_body_is_put_together() {
    let registry = Registry::start();
    let digest = sha256(b"abcdef");
    let mut client = Client::to(&registry);
    let head = format!(
        "POST /v2/r/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\n\r\n"
    );
    client.stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(client.answer(false).0, 201);
    assert!(registry.has_blob("r", &digest));
}

#[test]
fn tokens_carry_exactly_the_scopes_that_were_asked_for() {
    let registry = Registry::with_options(RegistryOptions {
        auth: Auth::Bearer {
            user: "u".to_owned(),
            password: "p".to_owned(),
            identity_token: "refresh".to_owned(),
            anonymous_pull: true,
            realm: String::new(),
        },
        ..RegistryOptions::default()
    });
    let mut client = Client::to(&registry);
    let (status, head, _) = client.send("POST", "/v2/r/blobs/uploads/", "", b"");
    assert_eq!(status, 401);
    assert_eq!(
        field(&head, "WWW-Authenticate").unwrap(),
        "Bearer realm=\"http://x/token\",service=\"test\",scope=\"repository:r:pull,push\""
    );
    let mut token = |headers: &str| {
        let target = "/token?service=test&scope=repository:r:pull,push";
        let (_, _, body) = client.send("GET", target, headers, b"");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let token = body["token"].as_str().unwrap().to_owned();
        let headers = format!("Authorization: Bearer {token}\r\n");
        client.send("POST", "/v2/r/blobs/uploads/", &headers, b"").0
    };
    assert_eq!(token(""), 401);
    assert_eq!(token("Authorization: Basic dTpw\r\n"), 202);
}

#[test]
fn a_cut_body_keeps_what_came() {
    let registry = Registry::start();
    let mut client = Client::to(&registry);
    let (_, head, _) = client.send("POST", "/v2/r/blobs/uploads/", "", b"");
    let place = field(&head, "Location").unwrap().to_owned();
    registry.fault(Fault {
        method: "PATCH".to_owned(),
        path: "/v2/r/".to_owned(),
        times: 1,
        action: FaultAction::CutBody(4),
    });
    let cut = format!("PATCH {place} HTTP/1.1\r\nContent-Length: 8\r\n\r\nabcdefgh");
    client.stream.write_all(cut.as_bytes()).unwrap();
    let mut rest = Vec::new();
    // The connection ends, by a reset or in order.
    drop(client.stream.read_to_end(&mut rest));
    assert_eq!(rest, b"");
    let mut client = Client::to(&registry);
    let (status, head, _) = client.send("GET", &place, "", b"");
    assert_eq!((status, field(&head, "Range")), (204, Some("0-3")));
}

#[test]
fn dropping_a_registry_ends_its_threads_even_with_open_connections() {
    let registry = Registry::start();
    let mut client = Client::to(&registry);
    assert_eq!(client.send("GET", "/v2/", "", b"").0, 200);
    let before = Instant::now();
    drop(registry);
    assert!(before.elapsed() < Duration::from_secs(20));
    let mut byte = [0];
    assert!(matches!(client.stream.read(&mut byte), Ok(0) | Err(_)));
}

#[test]
fn a_registry_starts_within_a_few_milliseconds() {
    let begin = Instant::now();
    let registries: Vec<Registry> = (0..100).map(|_| Registry::start()).collect();
    let each = begin.elapsed() / 100;
    // A hundredth of this on an idle machine.
    assert!(each < Duration::from_millis(20), "{each:?}");
    drop(registries);
}
