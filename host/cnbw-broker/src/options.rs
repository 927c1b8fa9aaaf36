//! How downloads are done: everything that the operator decides, as values.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a [`Fetcher`](crate::Fetcher) is made from. [`BrokerOptions::default`] is safe everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerOptions {
    /// Places to try before the address itself, in order.
    pub mirrors: Vec<Mirror>,
    /// The proxy for everything that is not excepted.
    pub proxy: Option<ProxyOption>,
    /// Which certificates are trusted.
    pub roots: Roots,
    /// What is said to hosts that want to know who asks.
    pub credentials: Vec<HostCredential>,
    /// Hosts (`host` or `host:port`) inside this machine's network that downloads, redirects included, may lead to.
    /// Hosts of mirrors need not be listed.
    pub inside: Vec<String>,
    /// Whether only the store may be used.
    pub offline: bool,
    /// The largest file in bytes.
    pub largest: u64,
    /// The largest document that is looked up, in bytes.
    pub largest_lookup: u64,
    /// How failures are repeated.
    pub retries: Retries,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How many downloads run at once; the others wait.
    pub parallel: usize,
    /// What we call ourselves.
    pub user_agent: String,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            proxy: None,
            roots: Roots::Bundled,
            credentials: Vec::new(),
            inside: Vec::new(),
            offline: false,
            largest: 8 << 30,
            largest_lookup: 16 << 20,
            retries: Retries::default(),
            timeouts: Timeouts::default(),
            parallel: 12,
            user_agent: concat!("cnbw/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Another place for what has addresses with a certain begin. What comes from there is compared with the digest as
/// anything is; what is looked up there is believed, because the operator chose the place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The begin that is replaced: `https://registry.example.org/`. It has to end in a slash.
    pub prefix: String,
    /// What it is replaced with, ending in a slash too.
    pub replacement: String,
}

/// A proxy and what does not go through it. It looks names up itself: which addresses it may reach is its own affair.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyOption {
    /// `http://[user:password@]host:port`.
    pub url: String,
    /// Hosts and domains that are reached directly. Loopback always is.
    pub except: Vec<String>,
}

impl fmt::Debug for ProxyOption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.url.rsplit('@').next().unwrap_or_default();
        write!(formatter, "ProxyOption({place}, except {:?})", self.except)
    }
}

/// Which certificates vouch for a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Roots {
    /// Mozilla's list, as of this version.
    #[default]
    Bundled,
    /// Mozilla's list and those in a PEM text.
    BundledAnd(String),
    /// Those in a PEM text only, such as a system's bundle.
    Only(String),
}

/// A credential and the one host that gets to see it. It is sent over TLS only, or within this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCredential {
    /// `host`, or `host:port` for another port than the scheme's own. Nothing else matches, subdomains neither.
    pub host: String,
    /// The credential.
    pub secret: Secret,
}

/// What is said in the `Authorization` field. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Secret {
    /// User name and password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Bearer(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Basic { .. } => "Basic(…)",
            Self::Bearer(_) => "Bearer(…)",
        })
    }
}

/// How failures are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// How often a request is sent at most.
    pub attempts: u32,
    /// The pause after the first failure; each further one is three times as long.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// A server that asks for a longer pause than this is given up.
    pub longest_wish: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_pause: Duration::from_millis(250),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the next bytes.
    pub idle: Duration,
    /// For the head of an answer.
    pub answer: Duration,
    /// For one file from its first request to its last byte, repetitions and mirrors included.
    pub total: Duration,
    /// A download that is slower than this many bytes per second on average is given up.
    pub slowest: u64,
    /// The average counts after this time.
    pub grace: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            answer: Duration::from_mins(1),
            total: Duration::from_hours(1),
            slowest: 1024,
            grace: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let options = BrokerOptions {
            credentials: vec![
                HostCredential {
                    host: "a.io".to_owned(),
                    secret: Secret::Basic {
                        user: "me".to_owned(),
                        password: "hunter2".to_owned(),
                    },
                },
                HostCredential {
                    host: "b.io".to_owned(),
                    secret: Secret::Bearer("hunter2".to_owned()),
                },
            ],
            proxy: Some(ProxyOption {
                url: "http://me:hunter2@proxy:3128".to_owned(),
                except: Vec::new(),
            }),
            ..BrokerOptions::default()
        };
        let shown = format!("{options:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            shown.contains("proxy:3128") && shown.contains("a.io"),
            "{shown}"
        );
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(
            serde_json::from_str::<BrokerOptions>(&text).unwrap(),
            options
        );
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let retries = Retries::default();
        let pauses: Vec<u128> = (1..=4).map(|n| retries.pause(n).as_millis()).collect();
        assert_eq!(pauses, [250, 750, 2250, 5000]);
        assert_eq!(retries.pause(u32::MAX), retries.longest_pause);
    }
}
