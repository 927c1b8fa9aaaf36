//! A client for the OCI distribution protocol: reads images from registries and writes them there.
//!
//! Everything that the outside decides (credentials, insecure hosts, proxy, certificates) comes in as a value of
//! [`Options`]; the crate never reads the environment. Credentials go to the registry that they are for and to token
//! services of its site, and to nobody else. Start reading at [`Client`].

mod access;
mod challenge;
mod client;
mod content;
mod error;
mod host;
pub mod keychain;
mod options;
mod origin;
mod parallel;
mod pull;
mod push;
mod raw;
mod referrers;
mod sink;
mod source;
mod token;
mod transport;

pub use client::Client;
pub use error::RegistryError;
pub use options::{Mirror, Options, ProxyOption, Retries, Roots, Timeouts};
pub use raw::RawImage;
