//! Listens on loopback, a thread for each connection, and leaves nothing behind.

use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::{Handler, connection};

/// Enough for a handler that parses a manifest; thousands of threads stay cheap.
const STACK_SIZE: usize = 512 * 1024;

/// Both directions of a connection.
pub trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// Puts TLS, or whatever a test likes, around an accepted connection.
pub type ServerTls = Arc<dyn Fn(TcpStream) -> std::io::Result<Box<dyn Duplex>> + Send + Sync>;

/// Wakes waiting connections when the server stops.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    woken: Condvar,
}

impl Stop {
    /// Waits for a while. Returns whether the server stops.
    pub(crate) fn wait(&self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        let mut stopped = lock(&self.stopped);
        while !*stopped {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            stopped = self
                .woken
                .wait_timeout(stopped, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    fn set(&self) {
        *lock(&self.stopped) = true;
        self.woken.notify_all();
    }
}

/// A server on a free port of 127.0.0.1. Dropping it closes every connection and ends every thread.
pub struct HttpServer {
    address: SocketAddr,
    stop: Arc<Stop>,
    listener: Option<JoinHandle<()>>,
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl HttpServer {
    /// Starts a server that answers with `handler`.
    ///
    /// # Panics
    /// If loopback has no free port or the system no thread left.
    pub fn start(handler: impl Handler) -> Self {
        Self::start_shared(Arc::new(handler), None)
    }

    /// Starts a server whose connections go through `tls` first.
    ///
    /// # Panics
    /// If loopback has no free port or the system no thread left.
    pub fn start_tls(handler: impl Handler, tls: ServerTls) -> Self {
        Self::start_shared(Arc::new(handler), Some(tls))
    }

    #[expect(
        clippy::expect_used,
        reason = "a test without its server has to fail at once"
    )]
    pub(crate) fn start_shared(handler: Arc<dyn Handler>, tls: Option<ServerTls>) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        let stop = Arc::new(Stop::default());
        let listener = Listener {
            socket,
            handler,
            tls,
            stop: Arc::clone(&stop),
        };
        let thread = Builder::new()
            .name("http-accept".to_owned())
            .stack_size(STACK_SIZE)
            .spawn(move || listener.run())
            .expect("the system has a thread left");
        Self {
            address,
            stop,
            listener: Some(thread),
        }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.set();
        // Nothing in std ends a blocking accept, but a connection does.
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let (Ok(_), Some(thread)) = (woken, self.listener.take()) {
            // A handler that panicked has said so already.
            drop(thread.join());
        }
    }
}

type Streams = Arc<Mutex<HashMap<u64, TcpStream>>>;

struct Listener {
    socket: TcpListener,
    handler: Arc<dyn Handler>,
    tls: Option<ServerTls>,
    stop: Arc<Stop>,
}

impl Listener {
    fn run(self) {
        let streams = Streams::default();
        let mut threads: Vec<JoinHandle<()>> = Vec::new();
        for number in 0.. {
            let Ok((stream, _)) = self.socket.accept() else {
                continue;
            };
            if *lock(&self.stop.stopped) {
                break;
            }
            threads.retain(|thread| !thread.is_finished());
            if let Some(thread) = self.spawn(number, stream, &streams) {
                threads.push(thread);
            }
        }
        for stream in lock(&streams).values() {
            // It may be closed already.
            drop(stream.shutdown(Shutdown::Both));
        }
        for thread in threads {
            drop(thread.join());
        }
    }

    fn spawn(&self, number: u64, stream: TcpStream, streams: &Streams) -> Option<JoinHandle<()>> {
        stream.set_nodelay(true).ok()?;
        lock(streams).insert(number, stream.try_clone().ok()?);
        let handler = Arc::clone(&self.handler);
        let tls = self.tls.clone();
        let stop = Arc::clone(&self.stop);
        let streams = Arc::clone(streams);
        Builder::new()
            .name("http-connection".to_owned())
            .stack_size(STACK_SIZE)
            .spawn(move || {
                match tls {
                    None => connection::serve(stream, &handler, &stop),
                    Some(tls) => {
                        if let Ok(stream) = tls(stream) {
                            connection::serve(stream, &handler, &stop);
                        }
                    }
                }
                if let Some(stream) = lock(&streams).remove(&number) {
                    drop(stream.shutdown(Shutdown::Both));
                }
            })
            .ok()
    }
}

/// Locks even if a thread panicked while it held the lock: tests go on to say what they saw.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
