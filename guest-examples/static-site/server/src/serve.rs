//! Accepting connections, and ending them.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::body::Body;
use crate::patience::PatientStream;
use crate::respond::{plain, respond};
use crate::site::Site;

/// Bounds on what clients may take up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at the same time; more wait in the system's queue. Well below the usual 1024 descriptors, of which
    /// a connection can need two.
    pub(crate) connections: usize,
    /// Time for a request's head, which is also how long an idle connection is kept.
    pub(crate) head: Duration,
    /// Time without progress in sending a response.
    pub(crate) stalled: Duration,
    /// Time for responses that are under way when the server is told to stop. Platforms wait at least 10 s before
    /// they kill.
    pub(crate) stop: Duration,
}

impl Limits {
    /// The limits of the program; tests have shorter ones.
    pub(crate) const STANDARD: Self = Self {
        connections: 400,
        head: Duration::from_secs(15),
        stalled: Duration::from_secs(30),
        stop: Duration::from_secs(8),
    };
}

/// Bytes that a request's head may have.
const MAX_HEAD: usize = 16 << 10;
/// Headers that a request may have.
const MAX_HEADERS: usize = 64;
/// How long to wait when no connection can be accepted, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves a site until `stop` is done, then lets responses under way finish.
pub(crate) async fn serve(
    listener: TcpListener,
    site: Arc<Site>,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            (listener.accept().await, slot)
        };
        let (accepted, slot) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = graceful.watch(connection(stream, Arc::clone(&site), limits));
        tokio::spawn(async move {
            // A connection that breaks concerns its client alone.
            let _broken = connection.await;
            drop(slot);
        });
    }
    drop(listener);
    let _late = tokio::time::timeout(limits.stop, graceful.shutdown()).await;
}

fn connection(
    stream: TcpStream,
    site: Arc<Site>,
    limits: Limits,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    // Without this small responses would wait for acknowledgments; a system that refuses it is merely slower.
    let _refused = stream.set_nodelay(true);
    let io = TokioIo::new(PatientStream::new(stream, limits.stalled));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(
            io,
            service_fn(move |request| handle(Arc::clone(&site), request)),
        )
}

async fn handle(site: Arc<Site>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (head, _) = request.into_parts();
    let answer =
        tokio::task::spawn_blocking(move || respond(&site, &head.method, &head.uri, &head.headers));
    // A fault in the answer must not look like a broken connection.
    Ok(answer
        .await
        .unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR)))
}

#[cfg(test)]
mod tests;
