//! The broker's side: takes its options and its store, locks itself in, and downloads until nobody asks any more.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::Dir;
use rustix::fd::{AsFd as _, OwnedFd};

use crate::error::{FetchError, chain};
use crate::fetch::Fetcher;
use crate::jail;
use crate::options::BrokerOptions;
use crate::protocol::{self, Gift, ProtocolError, Reply, Request, Start, Started, Wish};
use crate::store::Store;

/// The largest options: a bundle of certificates has a few hundred KiB.
const MAX_OPTIONS_BYTES: u64 = 16 * 1024 * 1024;

/// Is a broker: the whole life of a broker process. To be called first thing in `main`; the caller returns what it
/// returns, and all downloads that still run end with it.
///
/// A broker that was not started by [`BrokerClient::start`](crate::BrokerClient::start) ends with an error.
pub fn broker_main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(()) => ExitCode::FAILURE,
    }
}

fn serve() -> Result<(), ()> {
    // The signal at a parent's death is sent at the death of the thread that started us, which may be a short-lived
    // one. The socket's end comes when the whole program is gone, and is waited for all the time.
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map_err(drop)?;
    let (start, descriptors) = protocol::receive::<Start>(socket.as_fd()).map_err(drop)?;
    let (fetcher, fault) = match prepare(&start, descriptors) {
        Ok(fetcher) => (Some(fetcher), None),
        Err(fault) => (None, Some(fault)),
    };
    protocol::send(socket.as_fd(), &Started { fault }, &[]).map_err(drop)?;
    let fetcher = fetcher.ok_or(())?;
    work(&Arc::new(fetcher), &Arc::new(socket)).map_err(drop)
}

fn prepare(start: &Start, descriptors: Vec<OwnedFd>) -> Result<Fetcher, String> {
    if start.version != env!("CARGO_PKG_VERSION") {
        return Err(format!(
            "the broker is version {}, and the program is version {}",
            env!("CARGO_PKG_VERSION"),
            crate::error::shown(&start.version)
        ));
    }
    let Ok([options, store]) = <[OwnedFd; 2]>::try_from(descriptors) else {
        return Err("options and store are missing".to_owned());
    };
    jail::enter(store.as_fd())?;
    let mut text = Vec::new();
    let mut options = File::from(options);
    options
        .rewind()
        .and_then(|()| options.take(MAX_OPTIONS_BYTES).read_to_end(&mut text))
        .map_err(|error| format!("cannot read the options: {error}"))?;
    // The message of a fault would quote what may be a secret.
    let options: BrokerOptions =
        serde_json::from_slice(&text).map_err(|_| "the options are not readable".to_owned())?;
    let store =
        Store::open(Dir::from_std_file(File::from(store))).map_err(|error| chain(&error))?;
    Fetcher::new(store, options).map_err(|error| chain(&error))
}

/// Takes requests and hands them to threads, until the socket is closed.
fn work(fetcher: &Arc<Fetcher>, socket: &Arc<OwnedFd>) -> Result<(), ProtocolError> {
    let (give, take) = channel();
    let take = Arc::new(Mutex::new(take));
    for number in 0..fetcher.options.parallel.max(1) {
        let (fetcher, socket, take) = (Arc::clone(fetcher), Arc::clone(socket), Arc::clone(&take));
        std::thread::Builder::new()
            .name(format!("download-{number}"))
            .spawn(move || answer_all(&fetcher, &socket, &take))
            .map_err(|error| {
                let errno = rustix::io::Errno::from_io_error(&error);
                ProtocolError::Socket(errno.unwrap_or(rustix::io::Errno::AGAIN))
            })?;
    }
    loop {
        match protocol::receive::<Request>(socket.as_fd()) {
            // It cannot fail: this function holds the other end.
            Ok((request, _)) => drop(give.send(request)),
            Err(ProtocolError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn answer_all(fetcher: &Fetcher, socket: &OwnedFd, take: &Mutex<Receiver<Request>>) {
    let _vigil = Vigil;
    loop {
        let next = take.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(request) = next else {
            return;
        };
        // If nobody is there to take the answer, the main thread ends the process.
        let _gone = answer(fetcher, socket, request);
    }
}

fn answer(fetcher: &Fetcher, socket: &OwnedFd, request: Request) -> Result<(), ProtocolError> {
    let result = match request.wish {
        Wish::Fetch(wish) => fetcher
            .fetch(&wish)
            .map(|(file, fetched)| (file, Gift::Fetched(fetched))),
        Wish::Lookup(url) => fetcher
            .look_up(&url)
            .map(|(file, looked)| (file, Gift::Looked(looked))),
    };
    let (file, result) = match result {
        Ok((file, gift)) => (Some(file), Ok(gift)),
        Err(error) => (None, Err(error)),
    };
    let reply = Reply {
        id: request.id,
        result,
    };
    let sent = match &file {
        Some(file) => protocol::send(socket.as_fd(), &reply, &[file.as_fd()]),
        None => protocol::send(socket.as_fd(), &reply, &[]),
    };
    match sent {
        // Faults of many mirrors together. Whoever asked waits for an answer all the same.
        Err(ProtocolError::TooLarge) => protocol::send(socket.as_fd(), &shortened(reply), &[]),
        other => other,
    }
}

/// An answer without what went wrong at mirrors.
fn shortened(reply: Reply) -> Reply {
    let result = reply.result.map_err(|error| FetchError {
        tried: vec!["what went wrong at mirrors before is too long to be told".to_owned()],
        ..error
    });
    Reply { result, ..reply }
}

/// Ends the process with a thread that fails: somebody waits for the answer that it owes.
struct Vigil;

impl Drop for Vigil {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::error::FetchErrorKind;

    use super::*;

    #[test]
    fn an_answer_that_is_too_long_loses_what_mirrors_said() {
        let error = FetchError {
            url: "https://a.io/".to_owned(),
            kind: FetchErrorKind::Offline,
            tried: vec!["x".repeat(10_000); 10],
        };
        let reply = Reply {
            id: 7,
            result: Err(error),
        };
        let short = shortened(reply);
        let error = short.result.unwrap_err();
        assert_eq!((short.id, error.kind), (7, FetchErrorKind::Offline));
        assert_eq!(error.tried.len(), 1);
    }
}
