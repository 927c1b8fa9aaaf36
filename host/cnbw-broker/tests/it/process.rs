//! The broker as a process: what it is given, what it answers, and how it ends.

use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cnbw_broker::{
    BrokerClient, BrokerOptions, BrokerProgram, FetchErrorKind, HostCredential, Secret, StartError,
};
use cnbw_testkit::{Piece, Response};

use crate::support::{Counting, open, options, read, request};

fn program() -> BrokerProgram {
    BrokerProgram {
        path: PathBuf::from(env!("CARGO_BIN_EXE_cnbw-broker-process")),
        args: Vec::new(),
    }
}

fn start(dir: &tempfile::TempDir, options: &BrokerOptions) -> BrokerClient {
    BrokerClient::start(&program(), &open(dir.path()), options).unwrap()
}

#[test]
fn files_and_documents_come_as_descriptors_for_reading() {
    let server = Counting::start(|_, _| Response::with_body(200, vec![b'x'; 300_000]));
    let dir = tempfile::tempdir().unwrap();
    let client = start(&dir, &options());
    let content = vec![b'x'; 300_000];
    let (file, fetched) = client.fetch(request(&server.url("/"), &content)).unwrap();
    let flags = rustix::fs::fcntl_getfl(file.as_fd()).unwrap();
    assert!(!flags.intersects(rustix::fs::OFlags::RDWR | rustix::fs::OFlags::WRONLY));
    assert_eq!(read(file), content);
    assert_eq!(
        (fetched.size, fetched.url),
        (300_000, Some(server.url("/")))
    );
    let (bytes, looked) = client.lookup(&server.url("/")).unwrap();
    assert_eq!((bytes, looked.digest), (content.clone(), fetched.digest));
    assert_eq!(server.count(), 2);
    let error = client
        .fetch(request(&server.url("/"), b"other"))
        .unwrap_err();
    assert!(
        matches!(error.kind, FetchErrorKind::Digest { .. }),
        "{error}"
    );
    let error = client
        .fetch(request(&"x".repeat(100_000), b"x"))
        .unwrap_err();
    assert!(
        matches!(error.kind, FetchErrorKind::Address { .. }),
        "{error}"
    );
    // Names are looked up inside the jail, too.
    let by_name = format!("http://localhost:{}/", server.server.port());
    assert_eq!(client.lookup(&by_name).unwrap().1.url, by_name);
    // It still works after all that.
    assert!(client.fetch(request(&server.url("/"), &content)).is_ok());
}

#[test]
fn many_requests_run_at_once() {
    let server = Counting::start(|request, _| {
        std::thread::sleep(Duration::from_millis(300));
        Response::with_body(200, request.path.into_bytes())
    });
    let dir = tempfile::tempdir().unwrap();
    let client = start(&dir, &options());
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..24 {
            let (client, server) = (&client, &server);
            scope.spawn(move || {
                let path = format!("/file-{number}");
                let (file, _) = client
                    .fetch(request(&server.url(&path), path.as_bytes()))
                    .unwrap();
                assert_eq!(read(file), path.as_bytes());
            });
        }
    });
    // One after the other they would take more than seven seconds.
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn the_process_has_no_environment_and_nothing_of_ours() {
    let server = Counting::start(|_, _| Response::with_body(200, "content"));
    let dir = tempfile::tempdir().unwrap();
    let options = BrokerOptions {
        credentials: vec![HostCredential {
            host: "example.org".to_owned(),
            secret: Secret::Bearer("canary-of-the-credential".to_owned()),
        }],
        ..options()
    };
    let client = start(&dir, &options);
    client.fetch(request(&server.url("/"), b"content")).unwrap();
    let process = children().into_iter().find(|path| {
        std::fs::read_link(path.join("exe"))
            .is_ok_and(|exe| exe.ends_with("cnbw-broker-process"))
            // Others of this test program are looked at by their own tests.
            && path.join("fd").read_dir().is_ok()
    });
    // Root can look into processes that others cannot.
    if let Some(process) = process {
        #[expect(clippy::disallowed_methods, reason = "the test looks at a process")]
        let read = |name: &str| std::fs::read(process.join(name)).unwrap_or_default();
        assert!(read("environ").is_empty());
        let arguments = String::from_utf8(read("cmdline")).unwrap();
        assert!(!arguments.contains("canary"), "{arguments}");
        assert_eq!(
            std::fs::read_link(process.join("cwd")).unwrap(),
            PathBuf::from("/")
        );
    }
}

/// The processes that this one started, as directories below `/proc`.
fn children() -> Vec<PathBuf> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in PathBuf::from("/proc").read_dir().unwrap().flatten() {
        #[expect(clippy::disallowed_methods, reason = "the test looks at processes")]
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        if after_name.split_whitespace().nth(1) == Some(own.as_str()) {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn dropping_the_client_ends_the_process_and_its_downloads() {
    let server = Counting::start(|_, _| {
        let drip = std::iter::repeat_with(|| Piece {
            pause: Duration::from_millis(20),
            bytes: vec![0; 4096],
        });
        Response::scripted(200, None, drip)
    });
    let dir = tempfile::tempdir().unwrap();
    let client = start(&dir, &options());
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let url = server.url("/");
        let client = std::sync::Arc::new(client);
        let asking = std::sync::Arc::clone(&client);
        let asked = scope.spawn(move || asking.fetch(request(&url, b"x")));
        while server.count() == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        client.stop();
        let error = asked.join().unwrap().unwrap_err();
        assert!(
            matches!(error.kind, FetchErrorKind::Broker { .. }),
            "{error}"
        );
        let error = client.lookup(&server.url("/")).unwrap_err();
        assert!(
            matches!(error.kind, FetchErrorKind::Broker { .. }),
            "{error}"
        );
    });
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_broker_that_cannot_start_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let options = BrokerOptions {
        roots: cnbw_broker::Roots::Only(
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_owned(),
        ),
        ..options()
    };
    let error = BrokerClient::start(&program(), &open(dir.path()), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the broker process does not start: the option `roots` is wrong: the certificates are not PEM"
    );
    let mut nothing = program();
    nothing.path = PathBuf::from("/nowhere");
    let error = BrokerClient::start(&nothing, &open(dir.path()), &options).unwrap_err();
    assert!(matches!(error, StartError::Spawn { .. }), "{error}");
    let mut other = program();
    other.path = PathBuf::from("/bin/true");
    let error = BrokerClient::start(&other, &open(dir.path()), &options).unwrap_err();
    assert!(matches!(error, StartError::Refused { .. }), "{error}");
}

#[test]
fn a_process_that_nobody_started_ends_with_an_error() {
    let status = std::process::Command::new(program().path)
        .stdin(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success());
}
