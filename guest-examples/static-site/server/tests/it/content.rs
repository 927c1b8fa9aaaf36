use std::time::{Duration, SystemTime};

use crate::server::Server;

const PAGE: &[u8] = b"<p>hello</p>";

fn set_time(server: &Server, name: &str, seconds: u64) {
    let file = std::fs::File::options()
        .write(true)
        .open(server.site(name))
        .unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        .unwrap();
}

#[test]
fn a_file_comes_with_its_type_length_and_tag() {
    let server = Server::start(&[
        ("index.html", PAGE),
        ("a/style.css", b"p{}"),
        ("data", b"\0"),
    ]);
    for (target, r#type, body) in [
        ("/", "text/html; charset=utf-8", PAGE),
        ("/index.html?x=1", "text/html; charset=utf-8", PAGE),
        ("/a/style.css", "text/css; charset=utf-8", b"p{}"),
        ("/data", "application/octet-stream", b"\0"),
    ] {
        let answer = server.get(target);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(r#type)),
            "{target}"
        );
        assert_eq!(answer.body, body);
        assert_eq!(
            answer.header("content-length"),
            Some(body.len().to_string().as_str())
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert!(answer.header("etag").unwrap().starts_with('"'), "strong");
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let server = Server::start(&[("index.html", PAGE)]);
    for (target, range) in [
        ("/", "X: y"),
        ("/", "Range: bytes=0-1"),
        ("/nowhere", "X: y"),
        ("/", "If-None-Match: *"),
    ] {
        let get = server.request("GET", target, &[range]);
        let head = server.request("HEAD", target, &[range]);
        assert_eq!(head.body, b"");
        assert_eq!(head.status, get.status);
        for name in ["content-length", "content-type", "etag", "content-range"] {
            assert_eq!(
                head.header(name),
                get.header(name),
                "{target} {range} {name}"
            );
        }
    }
}

#[test]
fn equal_content_has_equal_tags_and_changed_content_another() {
    let server = Server::start(&[("a.txt", b"one"), ("b.txt", b"one")]);
    let tag = |name: &str| server.get(name).header("etag").unwrap().to_owned();
    let first = tag("/a.txt");
    assert_eq!(tag("/b.txt"), first);
    // As in an image: the same size and the same time.
    std::fs::write(server.site("a.txt"), "two").unwrap();
    set_time(&server, "a.txt", 315_532_801);
    let second = tag("/a.txt");
    assert_ne!(second, first);
    assert_eq!(tag("/a.txt"), second);
}

#[test]
fn a_client_that_has_the_content_gets_none() {
    let server = Server::start(&[("index.html", PAGE)]);
    let tag = server.get("/").header("etag").unwrap().to_owned();
    let answer = server.request("GET", "/", &[&format!("If-None-Match: \"x\", W/{tag}")]);
    assert_eq!(
        (answer.status, answer.body.as_slice(), answer.header("etag")),
        (304, &b""[..], Some(tag.as_str()))
    );
    assert_eq!(
        server.request("GET", "/", &["If-None-Match: \"x\""]).status,
        200
    );
    let failed = server.request("GET", "/", &["If-Match: \"x\""]);
    assert_eq!((failed.status, failed.body.as_slice()), (412, &b""[..]));
}

#[test]
fn the_time_of_files_in_images_is_not_shown() {
    let server = Server::start(&[("a", b"a"), ("b", b"b")]);
    set_time(&server, "a", 315_532_801);
    set_time(&server, "b", 1_600_000_000);
    let late = "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT";
    let a = server.request("GET", "/a", &[late]);
    assert_eq!((a.status, a.header("last-modified")), (200, None));
    assert_eq!(
        server.get("/b").header("last-modified"),
        Some("Sun, 13 Sep 2020 12:26:40 GMT")
    );
    assert_eq!(server.request("GET", "/b", &[late]).status, 304);
}

#[test]
fn one_range_is_sent_and_several_are_ignored() {
    let server = Server::start(&[("f", b"0123456789")]);
    let tag = server.get("/f").header("etag").unwrap().to_owned();
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, Some("bytes 2-4/10"), "234"),
        ("bytes=-2", 206, Some("bytes 8-9/10"), "89"),
        ("bytes=7-", 206, Some("bytes 7-9/10"), "789"),
        (
            "bytes=10-",
            416,
            Some("bytes */10"),
            "416 Range Not Satisfiable\n",
        ),
        ("bytes=0-1,3-4", 200, None, "0123456789"),
        ("lines=0-1", 200, None, "0123456789"),
    ] {
        let answer = server.request("GET", "/f", &[&format!("Range: {range}")]);
        assert_eq!(
            (answer.status, answer.header("content-range"), answer.text()),
            (status, content_range, body),
            "{range}"
        );
        assert_eq!(
            answer.header("content-length"),
            Some(body.len().to_string().as_str())
        );
    }
    let current = format!("If-Range: {tag}");
    assert_eq!(
        server
            .request("GET", "/f", &["Range: bytes=0-0", &current])
            .status,
        206
    );
    assert_eq!(
        server
            .request("GET", "/f", &["Range: bytes=0-0", "If-Range: \"old\""])
            .status,
        200
    );
}

#[test]
fn a_large_file_arrives_whole_and_in_part() {
    let content: Vec<u8> = (0..1_000_003_u32).flat_map(u32::to_le_bytes).collect();
    let server = Server::start(&[("big.bin", &content)]);
    assert!(server.get("/big.bin").body == content);
    let part = server.request("GET", "/big.bin", &["Range: bytes=65535-3000000"]);
    assert!(part.status == 206 && part.body == content[65_535..=3_000_000]);
}

#[test]
fn an_empty_file_is_an_answer_too() {
    let server = Server::start(&[("empty.txt", b"")]);
    let answer = server.get("/empty.txt");
    assert_eq!(
        (
            answer.status,
            answer.header("content-length"),
            answer.body.len()
        ),
        (200, Some("0"), 0)
    );
    assert_eq!(
        server
            .request("GET", "/empty.txt", &["Range: bytes=0-"])
            .status,
        416
    );
}

#[test]
fn precompressed_variants_are_sent_to_who_takes_them() {
    let files: &[(&str, &[u8])] = &[
        ("app.js", b"plain"),
        ("app.js.gz", b"gzipped"),
        ("app.js.br", b"brotli"),
        ("only.css.gz", b"x"),
        ("p.txt", b"p"),
    ];
    let server = Server::start(files);
    for (accept, coding, body) in [
        ("gzip, deflate, br", Some("br"), "brotli"),
        ("gzip", Some("gzip"), "gzipped"),
        ("br;q=0.1, gzip", Some("gzip"), "gzipped"),
        ("identity", None, "plain"),
        ("br;q=0", None, "plain"),
    ] {
        let answer = server.request("GET", "/app.js", &[&format!("Accept-Encoding: {accept}")]);
        assert_eq!(
            (answer.header("content-encoding"), answer.text()),
            (coding, body),
            "{accept}"
        );
        assert_eq!(
            answer.header("content-type"),
            Some("text/javascript; charset=utf-8")
        );
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
    }
    let tag = |accept: &str| {
        server
            .request("GET", "/app.js", &[accept])
            .header("etag")
            .unwrap()
            .to_owned()
    };
    assert_ne!(
        tag("Accept-Encoding: br"),
        tag("Accept-Encoding: gzip"),
        "other bytes, another tag"
    );
    assert_eq!(
        server
            .request("GET", "/only.css", &["Accept-Encoding: gzip"])
            .status,
        404
    );
    assert_eq!(server.get("/p.txt").header("vary"), None);
    let archive = server.request("GET", "/app.js.gz", &["Accept-Encoding: gzip"]);
    assert_eq!(
        (
            archive.header("content-type"),
            archive.header("content-encoding")
        ),
        (Some("application/gzip"), None)
    );
}
