//! A small static file server, made for images: no configuration file, no log, no listing of directories.
//!
//! It serves the directory `WEB_ROOT` (the current one unless said) on `PORT` (8080) of `HOST` (all addresses), and
//! nothing outside it. It stops on SIGTERM and SIGINT after the responses under way. Start reading at
//! [`respond::respond`].

mod body;
mod conditions;
mod encoding;
mod media_type;
mod patience;
mod range;
mod request_path;
mod respond;
mod serve;
mod settings;
mod site;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use serve::{Limits, serve};
use settings::{Settings, SettingsError};
use site::Site;

/// Threads that handle connections; files are read on others.
const MAX_WORKERS: usize = 4;
/// Threads that read files at the same time.
const MAX_READERS: usize = 32;

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot open the web root `{}`", .0.display())]
    Root(PathBuf, #[source] std::io::Error),
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the one message of a server that does not start"
)]
fn complain(error: &StartError) {
    match std::error::Error::source(error) {
        None => eprintln!("error: {error}"),
        Some(cause) => eprintln!("error: {error}: {cause}"),
    }
}

fn run() -> Result<(), StartError> {
    let settings = Settings::from_variables(|name| std::env::var(name).ok())?;
    let site = Site::open(&settings.root)
        .map_err(|error| StartError::Root(settings.root.clone(), error))?;
    let workers = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MAX_WORKERS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(MAX_READERS)
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let served = runtime.block_on(listen_and_serve(settings, Arc::new(site)));
    // Connections that outlived the time for stopping are cut.
    runtime.shutdown_background();
    served
}

async fn listen_and_serve(settings: Settings, site: Arc<Site>) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Runtime)?;
    let listener = listen(&settings.addresses).await?;
    announce(&listener);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve(listener, site, Limits::STANDARD, stop).await;
    Ok(())
}

/// Listens on the first address that can be had.
async fn listen(addresses: &[SocketAddr]) -> Result<TcpListener, StartError> {
    let mut failure = StartError::Runtime(std::io::ErrorKind::AddrNotAvailable.into());
    for &address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = StartError::Listen(address, error),
        }
    }
    Err(failure)
}

#[expect(
    clippy::print_stdout,
    reason = "the one line of a server that has started"
)]
fn announce(listener: &TcpListener) {
    if let Ok(address) = listener.local_addr() {
        println!("listening on http://{address}");
    }
}
