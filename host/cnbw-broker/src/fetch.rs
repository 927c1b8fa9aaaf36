//! Downloads: from the store if it is there, from a mirror if one has it, from its own address otherwise.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cnbw_spec::download::{Address, ContentDigest};
use serde::{Deserialize, Serialize};

use crate::address::{authority, names_this_machine, shown_address};
use crate::attempt::Ask;
use crate::error::{FetchError, FetchErrorKind, OptionError, chain, shown};
use crate::flights::Flights;
use crate::options::{BrokerOptions, Secret};
use crate::store::{Blob, Store, StoreError};
use crate::transport::Transport;

/// A file that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// Its address, `https` or `http`.
    pub url: String,
    /// Its digest: `sha256:`, `sha384:` or `sha512:` and hexadecimal digits.
    pub digest: String,
    /// Its size in bytes, if it is known.
    pub size: Option<u64>,
}

/// What is known of a file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// Its sha256 digest, whichever was asked for.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where it came from in the end, without the values of a query; `None` if the store had it.
    pub url: Option<String>,
}

/// What is known of a document that was looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// Its sha256 digest, by which it can be fetched from now on.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where it came from in the end, without the values of a query.
    pub url: String,
}

/// Downloads into a store. May be used by many threads at once.
#[derive(Debug)]
pub struct Fetcher {
    pub(crate) options: BrokerOptions,
    pub(crate) store: Store,
    pub(crate) transport: Transport,
    flights: Flights,
}

impl Fetcher {
    /// Makes a fetcher that fills a store.
    pub fn new(store: Store, mut options: BrokerOptions) -> Result<Self, OptionError> {
        for mirror in &mut options.mirrors {
            for address in [&mut mirror.prefix, &mut mirror.replacement] {
                let wrong = |rule: String| OptionError {
                    option: "mirrors",
                    rule: format!("`{}`: {rule}", shown(address)),
                };
                if !address.ends_with('/') {
                    return Err(wrong(
                        "both addresses of a mirror end in a slash".to_owned(),
                    ));
                }
                let parsed = Address::parse(address).map_err(|error| wrong(error.to_string()))?;
                *address = parsed.to_string();
            }
        }
        Ok(Self {
            transport: Transport::new(&options)?,
            options,
            store,
            flights: Flights::default(),
        })
    }

    /// Gets a file by its digest. It is opened for reading only, and is at its begin.
    pub fn fetch(&self, request: &FetchRequest) -> Result<(File, Fetched), FetchError> {
        let address = parse(&request.url)?;
        let failed = |kind| FetchError {
            url: shown_address(&address),
            kind,
            tried: Vec::new(),
        };
        let digest = ContentDigest::parse(&request.digest).map_err(|error| {
            failed(FetchErrorKind::DigestFormat {
                rule: error.to_string(),
            })
        })?;
        let _flight = self.flights.board(digest.as_str());
        let stored = self.store.get(&digest);
        if let Some(blob) = stored.map_err(|error| failed(stored_badly(&error)))? {
            // The digest is right, so it is the size that was said wrongly; but then it is not what was meant.
            if let Some(expected) = request.size.filter(|expected| *expected != blob.size) {
                return Err(failed(FetchErrorKind::Size {
                    expected,
                    found: blob.size,
                    at_least: false,
                }));
            }
            return Ok(fetched(blob, None));
        }
        let ask = Ask {
            digest: Some(&digest),
            size: request.size,
            limit: self.options.largest,
            deadline: self.deadline(),
        };
        let (blob, from) = self.download(&address, &ask)?;
        Ok(fetched(blob, Some(from)))
    }

    /// Gets a small document whose digest is not known before. It is put into the store; whoever needs the same one
    /// again records its digest and fetches it. Offline there are no lookups.
    pub fn lookup(&self, url: &str) -> Result<(Vec<u8>, Looked), FetchError> {
        let (mut file, looked) = self.look_up(url)?;
        let mut bytes = Vec::new();
        let read = file
            .rewind()
            .and_then(|()| file.read_to_end(&mut bytes))
            .map_err(|error| FetchError {
                url: shown(url),
                kind: FetchErrorKind::Store {
                    reason: chain(&error),
                },
                tried: Vec::new(),
            });
        read.map(|_| (bytes, looked))
    }

    /// The same, with the document as a file.
    pub(crate) fn look_up(&self, url: &str) -> Result<(File, Looked), FetchError> {
        let address = parse(url)?;
        let ask = Ask {
            digest: None,
            size: None,
            limit: self.options.largest_lookup,
            deadline: self.deadline(),
        };
        let (blob, url) = self.download(&address, &ask)?;
        let looked = Looked {
            digest: blob.digest.to_string(),
            size: blob.size,
            url,
        };
        Ok((blob.file, looked))
    }

    /// Tries the mirrors and then the address itself. Returns where it came from, too.
    fn download(&self, address: &Address, ask: &Ask<'_>) -> Result<(Blob, String), FetchError> {
        let mut tried = Vec::new();
        if self.options.offline {
            return Err(FetchError {
                url: shown_address(address),
                kind: FetchErrorKind::Offline,
                tried,
            });
        }
        for mirror in self.mirrors_of(address) {
            match self.attempt(&mirror, true, ask) {
                Ok(found) => return Ok(found),
                Err(kind) => tried.push(format!(
                    "the mirror `{}` was tried before: {kind}",
                    shown_address(&mirror)
                )),
            }
        }
        self.attempt(address, false, ask)
            .map_err(|kind| FetchError {
                url: shown_address(address),
                kind,
                tried,
            })
    }

    fn mirrors_of(&self, address: &Address) -> Vec<Address> {
        let text = address.to_string();
        let mirrors = self.options.mirrors.iter();
        mirrors
            .filter_map(|mirror| {
                let rest = text.strip_prefix(&mirror.prefix)?;
                Address::parse(&format!("{}{rest}", mirror.replacement)).ok()
            })
            .collect()
    }

    /// The value of the `Authorization` field for a host, and for no other.
    pub(crate) fn authorization(&self, address: &Address) -> Option<String> {
        // In the clear it would be everybody's.
        if !address.is_https() && !names_this_machine(address.host()) {
            return None;
        }
        let authority = authority(address);
        let credentials = self.options.credentials.iter();
        let mut matching =
            credentials.filter(|credential| credential.host.eq_ignore_ascii_case(&authority));
        Some(match &matching.next()?.secret {
            Secret::Basic { user, password } => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
            }
            Secret::Bearer(token) => format!("Bearer {token}"),
        })
    }

    fn deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.options.timeouts.total)
    }
}

pub(crate) fn parse(url: &str) -> Result<Address, FetchError> {
    Address::parse(url).map_err(|error| FetchError {
        url: shown_text(url),
        kind: FetchErrorKind::Address {
            rule: error.to_string(),
        },
        tried: Vec::new(),
    })
}

/// What is no address, fit to be shown: there may be a password in it, and secrets in its query.
fn shown_text(url: &str) -> String {
    let text = url.split('?').next().unwrap_or_default();
    match text.rsplit_once('@') {
        Some((_, rest)) => shown(&format!("…@{rest}")),
        None => shown(text),
    }
}

fn fetched(blob: Blob, url: Option<String>) -> (File, Fetched) {
    let fetched = Fetched {
        digest: blob.digest.to_string(),
        size: blob.size,
        url,
    };
    (blob.file, fetched)
}

pub(crate) fn stored_badly(error: &StoreError) -> FetchErrorKind {
    FetchErrorKind::Store {
        reason: chain(error),
    }
}
