//! What buildpacks may download, and what they did: addresses, grants, policy and lock.
//!
//! A download happens if the buildpack declares it ([`Grants`]), the operator's [`Policy`] allows it, and the
//! [`Lock`] does not contradict it. Nothing here downloads anything.

mod address;
mod digest;
mod grants;
mod lock;
mod pattern;
mod policy;

pub use address::{Address, AddressError};
pub use digest::{ContentDigest, ContentDigestError};
pub use grants::{Grants, parse_grants};
pub use lock::{Lock, LockEntry, LockError, parse_lock, print_lock};
pub use pattern::AddressPattern;
pub use policy::{Denial, Policy, Requester, Rule, parse_policy};

use std::fmt;

/// The ways to download.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// A file whose digest is known before: whatever server gives it, it is the same file.
    Fetch,
    /// A document whose digest is not known before: the first download decides, and the lock keeps it.
    Lookup,
}

impl Verb {
    /// All verbs, in the order in which documents list them.
    pub const ALL: [Self; 2] = [Self::Lookup, Self::Fetch];

    /// The verb's name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Lookup => "lookup",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
