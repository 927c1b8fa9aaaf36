//! Run images from Debian packages, made without root and without Debian's tools.
//!
//! A [`Lock`] names packages with their digests, and [`build`] turns them into an image: the same lock gives the same
//! image on every machine. [`resolve`] makes a lock from what Debian offers today. No script of a package is run; what
//! scripts would do and an image needs (the list of certificate authorities, accounts) is done here.
//!
//! The crate knows no network: packages come through [`Packages`].

pub mod control;
pub mod deb;
mod image;
mod lock;
pub mod release;
mod resolve;
mod tree;
pub mod version;

use cnbw_oci::digest::Digest;

pub use image::{Account, ImageError, Settings, build};
pub use lock::{Lock, LockError, LockedPackage};
pub use resolve::{DEFAULT_ROOTS, ResolveError, resolve};
pub use tree::TreeError;

/// Where the packages of a suite are.
pub const MIRROR: &str = "https://deb.debian.org";

/// Where packages are that the mirrors have no more.
pub const PAST: &str = "https://snapshot.debian.org/archive";

/// The largest package or index that is taken, in bytes.
pub const MAX_DOWNLOAD_BYTES: u64 = 512 << 20;

/// Gives bytes for addresses.
pub trait Packages {
    /// What is at an address, at most [`MAX_DOWNLOAD_BYTES`] long. With a digest, exactly the bytes that have it; they may
    /// come from anywhere.
    fn fetch(&self, url: &str, digest: Option<&Digest>) -> Result<Vec<u8>, FetchError>;
}

/// Why something did not come.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct FetchError(
    /// Why, with the address.
    pub Box<dyn std::error::Error + Send + Sync>,
);
