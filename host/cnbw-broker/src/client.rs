//! The program's side: starts a broker process and asks it for downloads.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use cap_std::fs::Dir;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};

use crate::error::{FetchError, FetchErrorKind, shown};
use crate::fetch::{FetchRequest, Fetched, Looked, parse};
use crate::options::BrokerOptions;
use crate::protocol::{self, Gift, ProtocolError, Reply, Request, Start, Started, Wish};

/// The first argument of a broker process. A program that gets it calls [`broker_main`](crate::broker_main).
pub const BROKER_ARGUMENT: &str = "__broker";

/// The program that a broker is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerProgram {
    /// The executable file.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl BrokerProgram {
    /// The program that is running now, with [`BROKER_ARGUMENT`].
    pub fn current() -> Self {
        Self {
            path: PathBuf::from("/proc/self/exe"),
            args: vec![OsString::from(BROKER_ARGUMENT)],
        }
    }
}

/// Why there is no broker process.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process could not be started.
    #[error("cannot start the broker process")]
    Spawn {
        /// The cause.
        source: io::Error,
    },
    /// The process does not do what it should.
    #[error("the broker process does not start: {reason}")]
    Refused {
        /// What it says.
        reason: String,
    },
}

/// A broker process. May be used by many threads at once; dropping it ends the process and what it downloads.
#[derive(Debug)]
pub struct BrokerClient {
    socket: Arc<OwnedFd>,
    child: Mutex<Child>,
    waiting: Arc<Mutex<Waiting>>,
    listener: Option<JoinHandle<()>>,
}

/// An answer with its file.
type Answer = (Reply, Option<File>);

/// Who waits for answers.
#[derive(Debug, Default)]
struct Waiting {
    next_id: u64,
    callers: HashMap<u64, Sender<Answer>>,
    /// Why there will be no more answers.
    over: Option<String>,
}

impl BrokerClient {
    /// Starts a broker that fills the store in a directory. The process gets this directory, the options and the
    /// network, and nothing else: no environment, no working directory, no terminal.
    pub fn start(
        program: &BrokerProgram,
        store: &Dir,
        options: &BrokerOptions,
    ) -> Result<Self, StartError> {
        let spawn = |source| StartError::Spawn { source };
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|errno| spawn(errno.into()))?;
        let options = memory_file(options).map_err(spawn)?;
        let mut child = Command::new(&program.path)
            .args(&program.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A terminal's Ctrl-C is for the program, which then ends its broker.
            .process_group(0)
            .spawn()
            .map_err(spawn)?;
        if let Err(reason) = shake_hands(&ours, &options, store) {
            let _gone_already = child.kill();
            let _cannot_fail = child.wait();
            return Err(StartError::Refused { reason });
        }
        let socket = Arc::new(ours);
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let listener = {
            let (socket, waiting) = (Arc::clone(&socket), Arc::clone(&waiting));
            std::thread::Builder::new()
                .name("broker".to_owned())
                .spawn(move || listen(&socket, &waiting))
        };
        let mut client = Self {
            socket,
            child: Mutex::new(child),
            waiting,
            listener: None,
        };
        client.listener = Some(listener.map_err(spawn)?);
        Ok(client)
    }

    /// Gets a file by its digest. It is opened for reading only, and is at its begin. Blocks until it is there.
    pub fn fetch(&self, request: FetchRequest) -> Result<(File, Fetched), FetchError> {
        let url = request.url.clone();
        match self.ask(&url, Wish::Fetch(request))? {
            (file, Gift::Fetched(fetched)) => Ok((file, fetched)),
            (_, Gift::Looked(_)) => Err(broken(&url, "it answers another question")),
        }
    }

    /// Gets a small document whose digest is not known before. Blocks until it is there.
    pub fn lookup(&self, url: &str) -> Result<(Vec<u8>, Looked), FetchError> {
        match self.ask(url, Wish::Lookup(url.to_owned()))? {
            (mut file, Gift::Looked(looked)) => {
                let mut bytes = Vec::new();
                let read = file.rewind().and_then(|()| {
                    (&mut file)
                        .take(looked.size.saturating_add(1))
                        .read_to_end(&mut bytes)
                });
                match read {
                    Ok(count) if count as u64 == looked.size => Ok((bytes, looked)),
                    Ok(_) => Err(broken(url, "it gives another document than it says")),
                    Err(error) => Err(broken(url, &error.to_string())),
                }
            }
            (_, Gift::Fetched(_)) => Err(broken(url, "it answers another question")),
        }
    }

    /// Ends the process and what it downloads. Whoever waits gets an error, and so does whoever asks afterwards.
    pub fn stop(&self) {
        // This wakes the listener, and the broker takes it for the end.
        let _closed_already = rustix::net::shutdown(&self.socket, Shutdown::Both);
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _gone_already = child.kill();
        let _cannot_fail = child.wait();
    }

    fn ask(&self, url: &str, wish: Wish) -> Result<(File, Gift), FetchError> {
        // What is no address need not be sent, and might not fit into a message.
        parse(url)?;
        let (give, take) = channel();
        let id = {
            let mut waiting = lock(&self.waiting);
            if let Some(reason) = &waiting.over {
                return Err(broken(url, reason));
            }
            waiting.next_id += 1;
            let id = waiting.next_id;
            waiting.callers.insert(id, give);
            id
        };
        let sent = protocol::send(self.socket.as_fd(), &Request { id, wish }, &[]);
        if let Err(error) = sent {
            lock(&self.waiting).callers.remove(&id);
            return Err(broken(url, &error.to_string()));
        }
        let Ok((reply, file)) = take.recv() else {
            let waiting = lock(&self.waiting);
            return Err(broken(url, waiting.over.as_deref().unwrap_or("it is gone")));
        };
        match (reply.result, file) {
            (Ok(gift), Some(file)) => Ok((file, gift)),
            (Ok(_), None) => Err(broken(url, "it gives no file")),
            (Err(error), _) => Err(error),
        }
    }
}

impl Drop for BrokerClient {
    fn drop(&mut self) {
        self.stop();
        if let Some(listener) = self.listener.take() {
            drop(listener.join());
        }
    }
}

/// Hands answers to who waits for them, until there are no more.
fn listen(socket: &OwnedFd, waiting: &Mutex<Waiting>) {
    let reason = loop {
        match protocol::receive::<Reply>(socket.as_fd()) {
            Ok((reply, descriptors)) => {
                let wanted = usize::from(reply.result.is_ok());
                if descriptors.len() != wanted {
                    break ProtocolError::Descriptors;
                }
                let file = descriptors.into_iter().next().map(File::from);
                // Answers that nobody waits for are thrown away.
                if let Some(caller) = lock(waiting).callers.remove(&reply.id) {
                    drop(caller.send((reply, file)));
                }
            }
            Err(error) => break error,
        }
    };
    let mut waiting = lock(waiting);
    waiting.over = Some(shown(&reason.to_string()));
    // Dropping the senders wakes their owners.
    waiting.callers.clear();
}

fn shake_hands(socket: &OwnedFd, options: &OwnedFd, store: &Dir) -> Result<(), String> {
    let start = Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let descriptors = [options.as_fd(), store.as_fd()];
    protocol::send(socket.as_fd(), &start, &descriptors).map_err(|error| error.to_string())?;
    let (started, _) =
        protocol::receive::<Started>(socket.as_fd()).map_err(|error| error.to_string())?;
    started.fault.map_or(Ok(()), |fault| Err(shown(&fault)))
}

/// Puts the options where only the broker can read them.
fn memory_file(options: &BrokerOptions) -> io::Result<OwnedFd> {
    let text = serde_json::to_vec(options)?;
    let file = rustix::fs::memfd_create("broker-options", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(file);
    file.write_all(&text)?;
    Ok(file.into())
}

fn broken(url: &str, reason: &str) -> FetchError {
    FetchError {
        url: shown(url.split('?').next().unwrap_or_default()),
        kind: FetchErrorKind::Broker {
            reason: shown(reason),
        },
        tried: Vec::new(),
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
