use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use super::*;

const LIMITS: Limits = Limits {
    connections: 2,
    head: Duration::from_millis(300),
    stalled: Duration::from_millis(300),
    stop: Duration::from_millis(300),
};

/// More than the system keeps for a connection, so that a client that reads nothing stops the server.
const BIG: usize = 24 << 20;

/// Serves a site of one large file while a test runs.
async fn with_server<T>(test: impl AsyncFnOnce(std::net::SocketAddr) -> T) -> T {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("big.bin"), vec![0; BIG]).unwrap();
    std::fs::write(root.path().join("small.txt"), "small").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let site = Arc::new(Site::open(root.path()).unwrap());
    let server = tokio::spawn(serve(listener, site, LIMITS, async move {
        stopped.await.unwrap();
    }));
    let result = test(address).await;
    stop.send(()).unwrap();
    server.await.unwrap();
    result
}

async fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    // A reset is an end like any other here.
    let _reset = stream.read_to_end(&mut read).await;
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_finish_its_head_is_cut_off() {
    with_server(async |address| {
        for start in ["", "GET / HT", "GET /small.txt HTTP/1.1\r\nHost: t\r\n\r\n"] {
            let begun = Instant::now();
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(start.as_bytes()).await.unwrap();
            // The last one is served, and then is an idle connection.
            read_to_end(stream).await;
            let elapsed = begun.elapsed();
            assert!(
                elapsed >= Duration::from_millis(250) && elapsed < Duration::from_secs(10),
                "{start:?}: {elapsed:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_drips_is_cut_off_all_the_same() {
    with_server(async |address| {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        while begun.elapsed() < Duration::from_secs(10) && stream.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_makes_room_for_others() {
    with_server(async |address| {
        let mut stalled = Vec::new();
        for _ in 0..LIMITS.connections {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(b"GET /big.bin HTTP/1.1\r\nHost: t\r\n\r\n")
                .await
                .unwrap();
            stalled.push(stream);
        }
        // All slots are taken; this one is served once the others are given up.
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET /small.txt HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(20), read_to_end(stream))
            .await
            .unwrap();
        assert!(answer.ends_with(b"small"));
        let mut given_up = 0;
        for stream in stalled {
            given_up += usize::from(read_to_end(stream).await.len() < BIG);
        }
        assert!(given_up > 0, "the slot was one that a stalled client had");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_longer_than_it_may() {
    let begun = with_server(async |address| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /big.bin HTTP/1.1\r\nHost: t\r\n\r\n")
            .await
            .unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.unwrap();
        (Instant::now(), stream)
    })
    .await;
    assert!(begun.0.elapsed() < Duration::from_secs(10));
}
