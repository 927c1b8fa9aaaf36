use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::{Answer, Server};

fn signal(server: &Server, name: &str) {
    let sent = Command::new("kill")
        .args([name, &server.process.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

#[test]
fn a_stop_waits_for_the_response_under_way_and_for_nothing_else() {
    let content = vec![b'x'; 20 << 20];
    for name in ["-TERM", "-INT"] {
        let mut server = Server::start(&[("big.bin", &content)]);
        let mut idle = server.connect();
        idle.write_all(b"GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n")
            .unwrap();
        let mut busy = server.connect();
        busy.write_all(b"GET /big.bin HTTP/1.1\r\nHost: test\r\n\r\n")
            .unwrap();
        let mut start = [0; 64];
        busy.read_exact(&mut start).unwrap();
        let told = Instant::now();
        signal(&server, name);
        std::thread::sleep(Duration::from_millis(100));
        let mut rest = start.to_vec();
        busy.read_to_end(&mut rest).unwrap();
        assert!(Answer::parse(&rest).body == content, "{name}");
        assert_eq!(server.process.wait().unwrap().code(), Some(0), "{name}");
        assert!(
            told.elapsed() < Duration::from_secs(7),
            "an idle connection holds nobody up"
        );
        let mut end = Vec::new();
        idle.read_to_end(&mut end).unwrap();
    }
}

#[test]
fn one_connection_serves_several_requests() {
    let server = Server::start(&[("a", b"a"), ("b", b"b")]);
    let answer = server.send(
        b"GET /a HTTP/1.1\r\nHost: t\r\n\r\nHEAD /a HTTP/1.1\r\nHost: t\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
    );
    let text = answer.text();
    assert!(
        text.starts_with("aHTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nb"),
        "{text}"
    );
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2);
}

#[test]
fn heads_that_are_too_large_or_none_at_all_are_refused() {
    let server = Server::start(&[("index.html", b"x")]);
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
        "a".repeat(10_000)
    );
    assert_eq!(server.send(long.as_bytes()).status, 400);
    let many = "X: y\r\n".repeat(65);
    assert_eq!(
        server
            .send(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes())
            .status,
        431
    );
    let large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(17 << 10));
    assert_eq!(server.send(large.as_bytes()).status, 431);
    assert_eq!(server.send(b"nonsense\r\n\r\n").status, 400);
    assert_eq!(
        server.get("/").status,
        200,
        "and others are served as before"
    );
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let server = Server::start(&[]);
    let taken = server.address.port().to_string();
    for (variables, text) in [
        (
            &[("PORT", "x")][..],
            "error: `PORT` is `x`, which is no number from 0 to 65535\n",
        ),
        (
            &[("HOST", "a.b")],
            "error: `HOST` is `a.b`, which is neither an IP address nor `localhost`\n",
        ),
        (
            &[("WEB_ROOT", "/nowhere")],
            "error: cannot open the web root `/nowhere`: No such file or directory (os error 2)\n",
        ),
        (
            &[("HOST", "127.0.0.1"), ("PORT", &taken)],
            "Address already in use (os error 98)\n",
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_static-site-server"));
        let output = command
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.ends_with(text), "{said}");
    }
}
