//! Where connections lead: redirects, inner addresses, mirrors, proxies, and who sees credentials.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use cnbw_broker::{
    BrokerOptions, FetchErrorKind, Fetcher, HostCredential, Mirror, ProxyOption, Secret, Store,
};
use cnbw_testkit::Response;

use crate::support::{Counting, Place, open, options, read};

fn redirect(status: u16, location: &str) -> Response {
    Response::new(status).header("Location", location)
}

#[test]
fn redirects_are_followed_within_limits() {
    let server = Counting::start(|request, _| match request.path.as_str() {
        "/file" => Response::with_body(200, "content"),
        "/loop" => redirect(302, "/loop"),
        "/none" => Response::new(302),
        "/user" => redirect(302, "http://u:p@example.org/"),
        "/scheme" => redirect(302, "file:///etc/passwd"),
        "/metadata" => redirect(302, "http://169.254.169.254/latest"),
        "/relative" => redirect(308, "file"),
        _ => redirect(307, "/relative"),
    });
    let place = Place::new();
    let (file, fetched) = place.fetch(&server.url("/start"), b"content").unwrap();
    assert_eq!(read(file), b"content");
    assert_eq!(fetched.url, Some(server.url("/file")));
    let place = Place::new();
    for path in ["/loop", "/none", "/user", "/scheme"] {
        let found = place.fault(&server.url(path), b"content");
        assert!(
            matches!(found, FetchErrorKind::Redirect { .. }),
            "{path}: {found:?}"
        );
    }
    let found = place.fault(&server.url("/metadata"), b"content");
    assert!(matches!(found, FetchErrorKind::Inside { .. }), "{found:?}");
}

#[test]
fn nobody_is_led_inside() {
    let inner = Counting::start(|_, _| Response::with_body(200, "content"));
    let port = inner.server.port();
    let server = Counting::start(move |request, _| {
        let host = request.path.trim_start_matches('/');
        let host = host.replace("%5B", "[").replace("%5D", "]");
        redirect(302, &format!("http://{host}:{port}/"))
    });
    let place = Place::new();
    // The server itself is inside too, but the address says so, and whoever granted it saw that. It may not lead to
    // other inner hosts.
    for host in [
        "localhost",
        "127.0.0.2",
        "[::1]",
        "0.0.0.0",
        "10.0.0.1",
        "[::ffff:127.0.0.1]",
    ] {
        let path = host.replace('[', "%5B").replace(']', "%5D");
        let found = place.fault(&server.url(&format!("/{path}")), b"content");
        assert!(
            matches!(found, FetchErrorKind::Inside { .. }),
            "{host}: {found:?}"
        );
    }
    assert_eq!(inner.count(), 0);
    // It may lead to itself on another port, and where the operator says.
    assert!(place.fetch(&server.url("/127.0.0.1"), b"content").is_ok());
    let place = Place::with(BrokerOptions {
        inside: vec![format!("localhost:{port}")],
        ..options()
    });
    assert!(place.fetch(&server.url("/localhost"), b"content").is_ok());
    assert_eq!(inner.count(), 2);
}

#[test]
fn services_of_the_surroundings_are_out_of_reach_even_by_their_own_address() {
    let place = Place::new();
    for host in [
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "0.0.0.0",
        "[::]",
    ] {
        let found = place.fault(&format!("http://{host}/latest/meta-data"), b"x");
        assert!(
            matches!(found, FetchErrorKind::Inside { .. }),
            "{host}: {found:?}"
        );
    }
}

#[test]
fn a_mirror_comes_first_and_the_address_itself_after_it() {
    let mirror = Counting::start(|request, _| match request.path.as_str() {
        "/m/a" => Response::with_body(200, "content"),
        "/m/lie" => Response::with_body(200, "a lie"),
        _ => Response::new(404),
    });
    let origin = Counting::start(|request, _| match request.path.as_str() {
        "/x/no" => Response::new(404),
        _ => Response::with_body(200, "content"),
    });
    let options = BrokerOptions {
        mirrors: vec![Mirror {
            prefix: origin.url("/x/"),
            replacement: mirror.url("/m/"),
        }],
        ..options()
    };
    let fetch = |path: &str| Place::with(options.clone()).fetch(&origin.url(path), b"content");
    assert_eq!(fetch("/x/a").unwrap().1.url, Some(mirror.url("/m/a")));
    assert_eq!(origin.count(), 0);
    assert_eq!(fetch("/x/lie").unwrap().1.url, Some(origin.url("/x/lie")));
    assert_eq!(
        fetch("/x/missing").unwrap().1.url,
        Some(origin.url("/x/missing"))
    );
    assert_eq!(mirror.count(), 3);
    assert!(fetch("/y/a").is_ok());
    assert_eq!(mirror.count(), 3, "another prefix");
    let error = fetch("/x/no").unwrap_err();
    assert_eq!(error.tried.len(), 1);
    assert!(
        error.tried[0].contains("the mirror") && error.tried[0].contains("404"),
        "{error}"
    );
    // What is looked up comes from mirrors, too.
    let (bytes, looked) = Place::with(options.clone())
        .fetcher
        .lookup(&origin.url("/x/a"))
        .unwrap();
    assert_eq!(
        (bytes.as_slice(), looked.url),
        (&b"content"[..], mirror.url("/m/a"))
    );
}

#[test]
fn a_mirror_without_a_slash_at_its_end_is_refused() {
    for (prefix, replacement) in [
        ("https://a.io", "https://b.io/"),
        ("https://a.io/", "https://b.io/x"),
        ("a.io/", "https://b.io/"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let options = BrokerOptions {
            mirrors: vec![Mirror {
                prefix: prefix.to_owned(),
                replacement: replacement.to_owned(),
            }],
            ..options()
        };
        let error = Fetcher::new(Store::open(open(dir.path())).unwrap(), options).unwrap_err();
        assert_eq!(error.option, "mirrors");
    }
}

#[test]
fn credentials_go_to_their_host_and_to_nobody_else() {
    type Seen = Arc<Mutex<Vec<Option<String>>>>;
    let record = |seen: &Seen| {
        let seen = Arc::clone(seen);
        move |request: &cnbw_testkit::Request| {
            let value = request.header("authorization").map(str::to_owned);
            seen.lock().unwrap().push(value);
        }
    };
    let (at_first, at_other) = (Seen::default(), Seen::default());
    let note = record(&at_other);
    let other = Counting::start(move |request, _| {
        note(&request);
        Response::with_body(200, "content")
    });
    let target = other.url("/");
    let note = record(&at_first);
    let first = Counting::start(move |request, _| {
        note(&request);
        redirect(302, &target)
    });
    let place = Place::with(BrokerOptions {
        credentials: vec![HostCredential {
            host: first.server.address(),
            secret: Secret::Basic {
                user: "me".to_owned(),
                password: "hunter2".to_owned(),
            },
        }],
        ..options()
    });
    assert!(place.fetch(&first.url("/"), b"content").is_ok());
    let basic = base64::engine::general_purpose::STANDARD.encode("me:hunter2");
    assert_eq!(*at_first.lock().unwrap(), [Some(format!("Basic {basic}"))]);
    assert_eq!(*at_other.lock().unwrap(), [None]);
    let denying = Counting::start(|_, _| Response::new(403));
    let place = Place::with(BrokerOptions {
        credentials: vec![HostCredential {
            host: denying.server.address(),
            secret: Secret::Bearer("hunter2".to_owned()),
        }],
        ..options()
    });
    let error = place.fetch(&denying.url("/"), b"content").unwrap_err();
    assert!(matches!(
        error.kind,
        FetchErrorKind::Denied {
            credentials: true,
            ..
        }
    ));
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

/// A proxy that builds tunnels, and plays every server at their other ends.
fn proxy(log: Arc<Mutex<Vec<String>>>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || tunnel(&stream, &log));
        }
    });
    address
}

fn tunnel(mut stream: &TcpStream, log: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = BufReader::new(stream.try_clone().ok()?).lines();
    let mut next_head = || {
        let lines: Vec<String> = head
            .by_ref()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        (!lines.is_empty()).then_some(lines)
    };
    let connect = next_head()?;
    log.lock().unwrap().push(connect[0].clone());
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let request = next_head()?;
    let answer = if request[0].contains("/inner") {
        "HTTP/1.1 302 Found\r\nLocation: http://10.1.2.3/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    } else {
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\ncontent"
    };
    stream.write_all(answer.as_bytes()).ok()
}

#[test]
fn a_proxy_is_asked_for_what_is_not_excepted() {
    let log = Arc::default();
    let place = Place::with(BrokerOptions {
        proxy: Some(ProxyOption {
            url: format!("http://{}", proxy(Arc::clone(&log))),
            except: Vec::new(),
        }),
        ..options()
    });
    // Nobody knows this name; the proxy is asked for it, although it is inside itself.
    let found = place.fault("http://files.invalid/inner", b"content");
    assert!(matches!(found, FetchErrorKind::Inside { .. }), "{found:?}");
    assert!(place.fetch("http://files.invalid/a", b"content").is_ok());
    let asked = log.lock().unwrap().clone();
    assert_eq!(asked, ["CONNECT files.invalid:80 HTTP/1.1"; 2]);
    let direct = Counting::start(|_, _| Response::with_body(200, "direct"));
    assert!(place.fetch(&direct.url("/"), b"direct").is_ok());
    assert_eq!((direct.count(), log.lock().unwrap().len()), (1, 2));
}
