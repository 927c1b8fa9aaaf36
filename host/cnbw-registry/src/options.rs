//! How a client behaves: everything that the outside decides, as values.

use std::time::Duration;

use cnbw_oci::compress::Compression;

use crate::keychain::Keychain;

/// What a [`Client`](crate::Client) is made from. [`Options::new`] starts from what is safe everywhere.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where credentials come from.
    pub keychain: Keychain,
    /// Beginnings of references for which plain HTTP, and certificates that nobody vouches for, are
    /// accepted: `host:port`, or more of a name. Loopback and `*.local` need no entry for HTTP.
    pub insecure: Vec<String>,
    /// Places to try before a registry itself when something is read.
    pub mirrors: Vec<Mirror>,
    /// The proxy for everything that is not excepted.
    pub proxy: Option<ProxyOption>,
    /// Which certificates are trusted.
    pub roots: Roots,
    /// Hosts (`host` or `host:port`) that credentials may be sent to as token services, although
    /// they belong to another site than the registry.
    pub token_hosts: Vec<String>,
    /// How failures are repeated.
    pub retries: Retries,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How many blobs are moved at once.
    pub parallel: usize,
    /// How new layers should be compressed.
    pub compression: Compression,
    /// What the client calls itself.
    pub user_agent: String,
}

impl Options {
    /// TLS only, Mozilla's roots, no proxy, no mirror.
    pub fn new(keychain: Keychain) -> Self {
        Self {
            keychain,
            insecure: Vec::new(),
            mirrors: Vec::new(),
            proxy: None,
            roots: Roots::Bundled,
            token_hosts: Vec::new(),
            retries: Retries::default(),
            timeouts: Timeouts::default(),
            parallel: 4,
            compression: Compression::Gzip,
            user_agent: concat!("cnbw/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Another place that has a registry's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The registry that is mirrored, as it stands in references: `index.docker.io`.
    pub registry: String,
    /// Host and perhaps port of the mirror, then perhaps a path that goes before repository names.
    pub location: String,
}

/// A proxy and what does not go through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyOption {
    /// `http://[user:password@]host:port`.
    pub url: String,
    /// Hosts and domains that are reached directly. Loopback always is.
    pub except: Vec<String>,
}

/// Which certificates vouch for a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// Mozilla's list, as of this version.
    #[default]
    Bundled,
    /// Mozilla's list and those in a PEM text.
    BundledAnd(String),
    /// Those in a PEM text only, such as a system's bundle.
    Only(String),
}

/// How failures are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often a request is sent at most.
    pub attempts: u32,
    /// The pause after the first failure; each further one is three times as long.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// A registry that asks for a longer pause than this is given up.
    pub longest_wish: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
            longest_wish: Duration::from_mins(1),
        }
    }
}

impl Retries {
    /// Returns the pause after a number of failures.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let factor = 3_u32.saturating_pow(failures.saturating_sub(1));
        self.first_pause
            .saturating_mul(factor)
            .min(self.longest_pause)
    }
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the next bytes.
    pub idle: Duration,
    /// For the head of an answer, and for the whole of a small one.
    pub answer: Duration,
    /// For the answer to an upload: registries move the blob about before they answer.
    pub upload_answer: Duration,
    /// A download that is slower than this many bytes per second on average is given up.
    pub slowest: u64,
    /// The average counts after this time.
    pub grace: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_mins(1),
            answer: Duration::from_mins(2),
            upload_answer: Duration::from_mins(10),
            slowest: 1024,
            grace: Duration::from_mins(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let retries = Retries::default();
        let pauses: Vec<u128> = (1..=5).map(|n| retries.pause(n).as_millis()).collect();
        assert_eq!(pauses, [200, 600, 1800, 5000, 5000]);
        assert_eq!(retries.pause(u32::MAX), retries.longest_pause);
    }
}
