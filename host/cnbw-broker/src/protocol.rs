//! What a program and its broker process say to each other: messages on a socket pair that keeps their borders.
//!
//! A message is JSON and never larger than [`MAX_BYTES`]; files travel beside it as descriptors, documents too, so that
//! nothing has to be larger. The first message brings the options (a file, because certificates are long) and the
//! store's directory. After that the program sends requests with numbers of its choice, and the broker answers each with
//! the same number, in any order.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::FetchError;
use crate::fetch::{FetchRequest, Fetched, Looked};

/// Largest message in bytes: an address has 4 KiB at most, an error quotes a few.
pub(crate) const MAX_BYTES: usize = 64 * 1024;

/// Most descriptors beside a message.
const MAX_DESCRIPTORS: usize = 2;

/// A conversation that broke the rules, or broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProtocolError {
    /// The other side is gone.
    #[error("the other side is gone")]
    Closed,
    /// A message that is larger than allowed.
    #[error("a message is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// A message that is not what it should be.
    #[error("a message cannot be understood: {0}")]
    Payload(#[source] serde_json::Error),
    /// Descriptors are missing or came without need.
    #[error("a message has the wrong number of files")]
    Descriptors,
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Socket(Errno),
}

/// The first message. Descriptors: the options, the store's directory.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Says that both sides are the same version.
    pub(crate) version: String,
}

/// The answer to the first message: what is wrong, if something is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) fault: Option<String>,
}

/// A request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) wish: Wish,
}

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Wish {
    Fetch(FetchRequest),
    Lookup(String),
}

/// An answer. With one that is no error comes the file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) id: u64,
    pub(crate) result: Result<Gift, FetchError>,
}

/// What came of a request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Gift {
    Fetched(Fetched),
    Looked(Looked),
}

/// Sends a message with descriptors.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), ProtocolError> {
    let payload = serde_json::to_vec(message).map_err(ProtocolError::Payload)?;
    if payload.len() > MAX_BYTES {
        return Err(ProtocolError::TooLarge);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(ProtocolError::Descriptors);
    }
    loop {
        let parts = [IoSlice::new(&payload)];
        match rustix::net::sendmsg(socket, &parts, &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(ProtocolError::Closed),
            Err(errno) => return Err(ProtocolError::Socket(errno)),
        }
    }
}

/// Receives a message with the descriptors beside it.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
) -> Result<(T, Vec<OwnedFd>), ProtocolError> {
    let mut buffer = vec![0; MAX_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        match rustix::net::recvmsg(socket, &mut parts, &mut ancillary, flags) {
            Ok(received) => break received,
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Err(ProtocolError::Closed),
            Err(errno) => return Err(ProtocolError::Socket(errno)),
        }
    };
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Err(ProtocolError::Closed);
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(ProtocolError::TooLarge);
    }
    let payload = buffer.get(..received.bytes).unwrap_or_default();
    let message = serde_json::from_slice(payload).map_err(ProtocolError::Payload)?;
    Ok((message, descriptors))
}
