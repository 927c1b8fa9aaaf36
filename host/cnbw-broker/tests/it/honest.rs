use cnbw_broker::{BrokerOptions, FetchErrorKind, FetchRequest};
use cnbw_testkit::Response;

use crate::support::{Counting, Place, options, read, request};

#[test]
fn a_file_is_fetched_once_and_then_comes_from_the_store() {
    let server = Counting::start(|request, _| {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        assert_eq!(request.header("authorization"), None);
        Response::with_body(200, "content")
    });
    let place = Place::new();
    let url = server.url("/a?token=secret");
    let (file, fetched) = place.fetch(&url, b"content").unwrap();
    assert_eq!(read(file), b"content");
    assert_eq!(fetched.digest, cnbw_testkit::sha256(b"content"));
    assert_eq!(fetched.size, 7);
    let from = format!("http://{}/a?…", server.server.address());
    assert_eq!(fetched.url.as_deref(), Some(from.as_str()));
    let (file, fetched) = place.fetch(&url, b"content").unwrap();
    assert_eq!((read(file), fetched.url), (b"content".to_vec(), None));
    assert_eq!((server.count(), place.files()), (1, 1));
}

#[test]
fn other_algorithms_and_the_size_are_checked_too() {
    let server = Counting::start(|_, _| Response::with_body(200, "abc"));
    let place = Place::new();
    let digest = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                  2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    let ask = |size| FetchRequest {
        url: server.url("/"),
        digest: digest.to_owned(),
        size,
    };
    let error = place.fetcher.fetch(&ask(Some(4))).unwrap_err();
    let wrong = FetchErrorKind::Size {
        expected: 4,
        found: 3,
        at_least: false,
    };
    assert_eq!(error.kind, wrong);
    let (file, fetched) = place.fetcher.fetch(&ask(Some(3))).unwrap();
    assert_eq!(read(file), b"abc");
    assert_eq!(fetched.digest, cnbw_testkit::sha256(b"abc"));
    // What the store has is not less checked.
    assert_eq!(place.fetcher.fetch(&ask(Some(4))).unwrap_err().kind, wrong);
    assert!(place.fetcher.fetch(&ask(None)).unwrap().1.url.is_none());
    assert_eq!(server.count(), 2);
}

#[test]
fn a_document_is_looked_up_and_can_then_be_fetched() {
    let server = Counting::start(|_, number| Response::with_body(200, format!("answer {number}")));
    let place = Place::new();
    let (bytes, looked) = place.fetcher.lookup(&server.url("/index.json")).unwrap();
    assert_eq!(bytes, b"answer 1");
    assert_eq!(looked.digest, cnbw_testkit::sha256(b"answer 1"));
    assert_eq!((looked.size, looked.url), (8, server.url("/index.json")));
    // A lookup asks each time; what it brought is there by its digest.
    assert_eq!(
        place.fetcher.lookup(&server.url("/index.json")).unwrap().0,
        b"answer 2"
    );
    let (file, _) = place
        .fetch(&server.url("/index.json"), b"answer 1")
        .unwrap();
    assert_eq!(read(file), b"answer 1");
    assert_eq!(server.count(), 2);
}

#[test]
fn offline_there_is_the_store_and_nothing_else() {
    let server = Counting::start(|_, _| Response::with_body(200, "content"));
    let online = Place::new();
    online.fetch(&server.url("/"), b"content").unwrap();
    let store = cnbw_broker::Store::open(crate::support::open(online.dir.path())).unwrap();
    let options = BrokerOptions {
        offline: true,
        ..options()
    };
    let offline = cnbw_broker::Fetcher::new(store, options).unwrap();
    let (file, _) = offline
        .fetch(&request(&server.url("/"), b"content"))
        .unwrap();
    assert_eq!(read(file), b"content");
    let error = offline
        .fetch(&request(&server.url("/"), b"other"))
        .unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::Offline);
    let error = offline.lookup(&server.url("/")).unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::Offline);
    assert_eq!(server.count(), 1);
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    for trouble in [429, 500, 503, 0] {
        let server = Counting::start(move |_, number| match (number, trouble) {
            (3, _) => Response::with_body(200, "content"),
            (_, 0) => Response::hangup(),
            (_, 429) => Response::new(429).header("Retry-After", "0"),
            (_, status) => Response::new(status),
        });
        let place = Place::new();
        let (file, _) = place.fetch(&server.url("/"), b"content").unwrap();
        assert_eq!(read(file), b"content");
        assert_eq!(server.count(), 3, "{trouble}");
    }
}

#[test]
fn trouble_that_lasts_is_reported() {
    let server = Counting::start(|request, _| match request.path.as_str() {
        "/gone" => Response::new(404),
        "/secret" => Response::new(401),
        "/later" => Response::new(503).header("Retry-After", "1000000000"),
        _ => Response::new(500),
    });
    let host = server.server.address();
    let place = Place::new();
    for (path, requests, expected) in [
        (
            "/gone",
            1,
            FetchErrorKind::NotFound {
                host: host.clone(),
                status: 404,
            },
        ),
        (
            "/secret",
            1,
            FetchErrorKind::Denied {
                host: host.clone(),
                status: 401,
                credentials: false,
            },
        ),
        (
            "/later",
            1,
            FetchErrorKind::Status {
                host: host.clone(),
                status: 503,
            },
        ),
        (
            "/broken",
            3,
            FetchErrorKind::Status {
                host: host.clone(),
                status: 500,
            },
        ),
    ] {
        let before = server.count();
        assert_eq!(place.fault(&server.url(path), b"x"), expected);
        assert_eq!(server.count() - before, requests, "{path}");
    }
}

#[test]
fn one_thing_is_downloaded_once_however_many_ask() {
    let server = Counting::start(|_, _| Response::with_body(200, "content"));
    let place = Place::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (file, _) = place.fetch(&server.url("/"), b"content").unwrap();
                assert_eq!(read(file), b"content");
            });
        }
    });
    assert_eq!(server.count(), 1);
}
