//! Downloads for programs that have no network: verified, stored by content, done by a process of their own.
//!
//! A [`Store`] keeps files by their digest. A [`Fetcher`] fills it from the network: it knows proxies, certificates,
//! mirrors and credentials, and takes nothing on trust that comes in. [`broker_main`] is a whole process around a
//! fetcher, and [`BrokerClient`] speaks with it, so that who asks for downloads has neither network nor credentials.
//!
//! The crate decides *how* something is downloaded and never *whether*: grants and policies are for the caller. It
//! never reads the environment, and never looks into what it downloads. Start reading at [`Fetcher::fetch`].

mod address;
mod answer;
mod attempt;
mod client;
mod digest;
mod error;
mod fetch;
mod flights;
mod jail;
mod options;
mod protocol;
mod server;
mod store;
mod transport;

pub use client::{BROKER_ARGUMENT, BrokerClient, BrokerProgram, StartError};
pub use error::{FetchError, FetchErrorKind, OptionError};
pub use fetch::{FetchRequest, Fetched, Fetcher, Looked};
pub use options::{
    BrokerOptions, HostCredential, Mirror, ProxyOption, Retries, Roots, Secret, Timeouts,
};
pub use server::broker_main;
pub use store::{Blob, Held, Pruned, Store, StoreError, StoreWriter};
