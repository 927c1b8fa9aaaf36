//! A fetcher with a store of its own, and what is compared with.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw_broker::{
    BrokerOptions, FetchError, FetchErrorKind, FetchRequest, Fetched, Fetcher, Retries, Store,
    Timeouts,
};
use cnbw_testkit::{HttpServer, Request, Response};

pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) fetcher: Fetcher,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with(options())
    }

    pub(crate) fn with(options: BrokerOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(open(dir.path())).unwrap();
        let fetcher = Fetcher::new(store, options).unwrap();
        Self { dir, fetcher }
    }

    pub(crate) fn fetch(&self, url: &str, content: &[u8]) -> Result<(File, Fetched), FetchError> {
        self.fetcher.fetch(&request(url, content))
    }

    /// Why a download fails. Nothing of it may stay.
    pub(crate) fn fault(&self, url: &str, content: &[u8]) -> FetchErrorKind {
        let error = self.fetch(url, content).unwrap_err();
        assert_eq!(self.files(), 0, "something stayed in the store: {error}");
        error.kind
    }

    /// How many files the store has, those included that are not complete.
    pub(crate) fn files(&self) -> usize {
        let count = |name| self.dir.path().join(name).read_dir().unwrap().count();
        count("sha256") + count("tmp")
    }
}

pub(crate) fn open(path: &Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).unwrap()
}

/// Options for tests: nobody waits long.
pub(crate) fn options() -> BrokerOptions {
    BrokerOptions {
        retries: Retries {
            attempts: 3,
            first_pause: Duration::from_millis(10),
            longest_pause: Duration::from_millis(50),
            longest_wish: Duration::from_secs(2),
        },
        timeouts: Timeouts {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(2),
            answer: Duration::from_secs(3),
            total: Duration::from_mins(1),
            slowest: 1024,
            grace: Duration::from_secs(1),
        },
        ..BrokerOptions::default()
    }
}

pub(crate) fn request(url: &str, content: &[u8]) -> FetchRequest {
    FetchRequest {
        url: url.to_owned(),
        digest: cnbw_testkit::sha256(content),
        size: None,
    }
}

pub(crate) fn read(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A server that counts its requests.
pub(crate) struct Counting {
    pub(crate) server: HttpServer,
    count: std::sync::Arc<AtomicUsize>,
}

impl Counting {
    /// `answer` gets the request and its number, counted from 1.
    pub(crate) fn start(
        answer: impl Fn(Request, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        let count = std::sync::Arc::new(AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&count);
        let server = HttpServer::start(move |request| {
            let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
            answer(request, number)
        });
        Self { server, count }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}
