//! A small HTTP/1.1 server: requests and answers as values, and answers that lie on purpose.

mod connection;
pub(crate) mod server;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A request, with its body unless the handler asked for less.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, `PUT`, …, as sent.
    pub method: String,
    /// The path, still percent-encoded.
    pub path: String,
    /// The query's pairs, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Header fields in order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Returns the first header field of a name given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the first query value of a name.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// How much of a request's body is taken before the handler answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyPlan {
    /// The whole body.
    All,
    /// At most so many bytes; then the answer is written and the connection is closed.
    First(usize),
}

/// One piece of a scripted body: a pause, then bytes.
#[derive(Clone, Debug)]
pub struct Piece {
    /// How long to wait before the bytes.
    pub pause: Duration,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What follows the answer's head.
pub enum Body {
    /// Exactly these bytes, with their length declared.
    Bytes(Arc<Vec<u8>>),
    /// A part of these bytes: offset and length.
    Part(Arc<Vec<u8>>, usize, usize),
    /// Pieces as they come, with whatever length is declared (`None`: chunked), then the connection is closed.
    Script {
        /// Value of `Content-Length`, true or not.
        declared: Option<u64>,
        /// The pieces; may be endless.
        pieces: Box<dyn Iterator<Item = Piece> + Send>,
    },
    /// Nothing, not even a head: the connection is closed.
    Hangup,
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(formatter, "Bytes({})", bytes.len()),
            Self::Part(_, offset, length) => write!(formatter, "Part({offset}, {length})"),
            Self::Script { declared, .. } => write!(formatter, "Script({declared:?})"),
            Self::Hangup => formatter.write_str("Hangup"),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header fields, written as given after the length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

impl Response {
    /// An answer without a body.
    pub fn new(status: u16) -> Self {
        Self::with_body(status, Vec::new())
    }

    /// An answer with a body of declared length.
    pub fn with_body(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Bytes(Arc::new(body.into())),
        }
    }

    /// An answer whose body follows a script.
    pub fn scripted(
        status: u16,
        declared: Option<u64>,
        pieces: impl Iterator<Item = Piece> + Send + 'static,
    ) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Script {
                declared,
                pieces: Box::new(pieces),
            },
        }
    }

    /// Closes the connection instead of answering.
    pub fn hangup() -> Self {
        Self {
            status: 0,
            headers: Vec::new(),
            body: Body::Hangup,
        }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Answers requests; called from one thread for each connection.
pub trait Handler: Send + Sync + 'static {
    /// Decides from the head how much of the body is read.
    fn plan(&self, head: &Request) -> BodyPlan {
        let _ = head;
        BodyPlan::All
    }

    /// Answers.
    fn answer(&self, request: Request) -> Response;
}

impl<F> Handler for F
where
    F: Fn(Request) -> Response + Send + Sync + 'static,
{
    fn answer(&self, request: Request) -> Response {
        self(request)
    }
}

/// Reads a form body as browsers send it.
pub(crate) fn parse_form(body: &[u8]) -> Vec<(String, String)> {
    connection::parse_pairs(&String::from_utf8_lossy(body))
}
