use std::os::unix::fs::symlink;
use std::process::Command;

use crate::server::Server;

const PAGE: &[u8] = b"<p>page</p>";

#[test]
fn a_directory_has_its_page_behind_a_slash() {
    let server = Server::start(&[("a b/index.html", PAGE), ("empty/x.txt", b"x")]);
    let answer = server.get("/a%20b?q=1&r=%2F");
    assert_eq!(
        (answer.status, answer.header("location")),
        (301, Some("/a%20b/?q=1&r=%2F"))
    );
    assert_eq!(server.get("/a%20b/").body, PAGE);
    assert_eq!(server.get("//a%20b").header("location"), Some("/a%20b/"));
    for target in ["/empty", "/empty/", "/empty/x.txt/", "/"] {
        assert_eq!(
            server.get(target).status,
            404,
            "{target}: nothing is listed"
        );
    }
}

#[test]
fn what_is_not_there_has_the_sites_page_or_a_plain_one() {
    let plain = Server::start(&[]).get("/nowhere");
    assert_eq!(
        (plain.status, plain.header("content-type")),
        (404, Some("text/plain; charset=utf-8"))
    );
    assert_eq!(plain.text(), "404 Not Found\n");
    let server = Server::start(&[("404.html", PAGE), ("index.html", b"")]);
    for target in ["/nowhere", "/index.html/x", "/.hidden"] {
        let answer = server.request("GET", target, &["If-None-Match: *", "Range: bytes=0-1"]);
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (404, PAGE),
            "{target}"
        );
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
    }
}

#[test]
fn nothing_outside_the_root_is_reached() {
    let server = Server::start(&[("index.html", PAGE), ("a/x", b"x")]);
    std::fs::write(server.outside("secret"), "secret").unwrap();
    for target in [
        "/../secret",
        "/a/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/a/..%5c..%5csecret",
        "/%2e%2e%2fsecret",
        "//../secret",
        "/./../secret",
        "/a/%00/../../secret",
        "/secret",
        "/%2f%2e%2e%2fsecret",
        "/..;/secret",
    ] {
        let answer = server.get(target);
        assert!(
            matches!(answer.status, 400 | 404),
            "{target}: {}",
            answer.status
        );
        assert!(!answer.text().contains("secret"), "{target}");
    }
}

#[test]
fn links_are_followed_inside_the_root_only() {
    let server = Server::start(&[("real/index.html", PAGE)]);
    std::fs::create_dir(server.outside("private")).unwrap();
    std::fs::write(server.outside("private/index.html"), "secret").unwrap();
    let (secret, private) = (
        server.outside("private/index.html"),
        server.outside("private"),
    );
    for (target, name) in [
        ("real/index.html".as_ref(), "inside.html"),
        ("real".as_ref(), "alias"),
        ("../private/index.html".as_ref(), "up.html"),
        (secret.as_path(), "absolute.html"),
        (private.as_path(), "away"),
        ("loop".as_ref(), "loop"),
        ("nowhere".as_ref(), "dangling"),
        ("/proc/self/environ".as_ref(), "environ"),
    ] {
        symlink(target, server.site(name)).unwrap();
    }
    assert_eq!(server.get("/inside.html").body, PAGE);
    assert_eq!(server.get("/alias/").body, PAGE);
    for target in [
        "/up.html",
        "/absolute.html",
        "/away/",
        "/away",
        "/away/index.html",
        "/loop",
        "/dangling",
        "/environ",
    ] {
        assert_eq!(server.get(target).status, 404, "{target}");
    }
}

#[test]
fn hidden_files_stay_hidden_but_for_the_well_known_ones() {
    let server = Server::start(&[
        (".env", b"secret"),
        (".git/config", b"secret"),
        ("a/.htpasswd", b"secret"),
        (".well-known/security.txt", b"contact"),
        (".well-known/.x", b"secret"),
    ]);
    for target in [
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/a/.htpasswd",
        "/.well-known/.x",
    ] {
        assert_eq!(server.get(target).status, 404, "{target}");
    }
    assert_eq!(server.get("/.well-known/security.txt").text(), "contact");
}

#[test]
fn only_regular_files_are_sent() {
    let server = Server::start(&[("x", b"x")]);
    let made = Command::new("mkfifo")
        .arg(server.site("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    assert_eq!(
        server.get("/pipe").status,
        404,
        "and nobody waits for its other end"
    );
}

#[test]
fn other_methods_are_refused_by_name() {
    let server = Server::start(&[("index.html", PAGE)]);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"] {
        let answer = server.request(method, "/", &[]);
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
}
