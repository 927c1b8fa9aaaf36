use std::time::{Duration, Instant};

use cnbw_broker::{BrokerOptions, FetchErrorKind, FetchRequest, Retries};
use cnbw_testkit::{Piece, Response};

use crate::support::{Counting, Place, options, request};

fn piece(pause: u64, bytes: &[u8]) -> Piece {
    Piece {
        pause: Duration::from_millis(pause),
        bytes: bytes.to_vec(),
    }
}

/// One try only, so that the first fault is the one that is reported.
fn once() -> Place {
    Place::with(BrokerOptions {
        retries: Retries {
            attempts: 1,
            ..options().retries
        },
        ..options()
    })
}

#[test]
fn content_with_another_digest_is_thrown_away_and_both_are_named() {
    let server = Counting::start(|_, _| Response::with_body(200, "content and more"));
    let place = Place::new();
    let found = place.fault(&server.url("/"), b"content");
    let expected = FetchErrorKind::Digest {
        expected: cnbw_testkit::sha256(b"content"),
        found: cnbw_testkit::sha256(b"content and more"),
        size: 16,
    };
    assert_eq!(found, expected);
    assert_eq!(server.count(), 1, "a lie is not asked for again");
}

#[test]
fn a_server_that_changes_its_answer_is_found_out() {
    let server = Counting::start(|_, number| Response::with_body(200, format!("answer {number}")));
    let place = Place::new();
    assert!(matches!(
        place.fault(&server.url("/"), b"answer 2"),
        FetchErrorKind::Digest { .. }
    ));
    assert!(place.fetch(&server.url("/"), b"answer 2").is_ok());
}

#[test]
fn sizes_that_are_announced_wrongly_are_found_out() {
    let place = once();
    // Shorter than announced.
    let short = Counting::start(|_, _| {
        Response::scripted(200, Some(100), [piece(0, b"content")].into_iter())
    });
    let found = place.fault(&short.url("/"), b"content");
    assert!(
        matches!(found, FetchErrorKind::Unreachable { .. }),
        "{found:?}"
    );
    // Longer than announced: the rest is not part of the answer.
    let long = Counting::start(|_, _| {
        Response::scripted(200, Some(7), [piece(0, b"content and more")].into_iter())
    });
    assert!(once().fetch(&long.url("/"), b"content").is_ok());
    // Another size than was asked for, before a byte is taken.
    let huge = Counting::start(|_, _| {
        Response::scripted(
            200,
            Some(u64::MAX / 2),
            std::iter::repeat_with(|| piece(0, &[0; 4096])),
        )
    });
    let ask = |size| FetchRequest {
        size,
        ..request(&huge.url("/"), b"content")
    };
    let error = place.fetcher.fetch(&ask(Some(7))).unwrap_err();
    assert!(
        matches!(error.kind, FetchErrorKind::Size { expected: 7, .. }),
        "{error}"
    );
    let error = place.fetcher.fetch(&ask(None)).unwrap_err();
    assert!(
        matches!(error.kind, FetchErrorKind::TooLarge { .. }),
        "{error}"
    );
    assert_eq!(place.files(), 0);
}

#[test]
fn an_endless_answer_ends_at_the_limit() {
    let server = Counting::start(|_, _| {
        Response::scripted(200, None, std::iter::repeat_with(|| piece(0, &[0; 8192])))
    });
    let place = Place::with(BrokerOptions {
        largest: 1 << 20,
        largest_lookup: 1 << 16,
        ..options()
    });
    let found = place.fault(&server.url("/"), b"x");
    assert_eq!(found, FetchErrorKind::TooLarge { limit: 1 << 20 });
    let error = place.fetcher.lookup(&server.url("/")).unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::TooLarge { limit: 1 << 16 });
    let ask = FetchRequest {
        size: Some(5),
        ..request(&server.url("/"), b"x")
    };
    let error = place.fetcher.fetch(&ask).unwrap_err();
    let is_size = matches!(
        error.kind,
        FetchErrorKind::Size {
            expected: 5,
            at_least: true,
            ..
        }
    );
    assert!(is_size, "{error}");
    assert_eq!(place.files(), 0);
}

#[test]
fn a_server_that_stalls_or_drips_is_given_up() {
    let stalling = Counting::start(|_, _| {
        Response::scripted(
            200,
            Some(7),
            [piece(0, b"con"), piece(60_000, b"tent")].into_iter(),
        )
    });
    let dripping = Counting::start(|_, _| {
        Response::scripted(200, None, std::iter::repeat_with(|| piece(100, b"x")))
    });
    let silent = Counting::start(|_, _| {
        std::thread::sleep(Duration::from_secs(4));
        Response::new(200)
    });
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let found = once().fault(&stalling.url("/"), b"content");
            assert!(
                matches!(found, FetchErrorKind::Unreachable { .. }),
                "{found:?}"
            );
        });
        scope.spawn(|| {
            let found = once().fault(&dripping.url("/"), b"content");
            assert!(matches!(found, FetchErrorKind::Slow { .. }), "{found:?}");
        });
        scope.spawn(|| {
            let found = once().fault(&silent.url("/"), b"content");
            assert!(
                matches!(found, FetchErrorKind::Unreachable { .. }),
                "{found:?}"
            );
        });
    });
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn answers_that_break_rules_are_refused() {
    let server = Counting::start(|request, _| match request.path.as_str() {
        "/gzip" => Response::with_body(200, "content").header("Content-Encoding", "gzip"),
        "/head" => Response::with_body(200, "content").header("X-Long", "x".repeat(100_000)),
        _ => Response::new(206),
    });
    let place = Place::new();
    let found = place.fault(&server.url("/gzip"), b"content");
    assert!(
        matches!(found, FetchErrorKind::Protocol { .. }),
        "{found:?}"
    );
    let found = place.fault(&server.url("/head"), b"content");
    assert!(
        matches!(found, FetchErrorKind::Unreachable { .. }),
        "{found:?}"
    );
    let found = place.fault(&server.url("/part"), b"content");
    assert!(
        matches!(found, FetchErrorKind::Status { status: 206, .. }),
        "{found:?}"
    );
    assert_eq!(server.count(), 3);
}

#[test]
fn what_is_no_address_or_digest_is_not_asked_for() {
    let place = Place::new();
    for url in [
        "ftp://a/",
        "http://user:hunter2@127.0.0.1/",
        "http://2130706433/",
        "x",
        "",
    ] {
        let error = place.fetch(url, b"x").unwrap_err();
        assert!(
            matches!(error.kind, FetchErrorKind::Address { .. }),
            "{error}"
        );
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let error = place
        .fetcher
        .fetch(&FetchRequest {
            url: "http://127.0.0.1:1/".to_owned(),
            digest: "md5:00".to_owned(),
            size: None,
        })
        .unwrap_err();
    assert!(
        matches!(error.kind, FetchErrorKind::DigestFormat { .. }),
        "{error}"
    );
}
