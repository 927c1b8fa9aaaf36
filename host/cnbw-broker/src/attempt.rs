//! One address: repetitions, redirects, and an answer that is checked while it comes in.

use std::time::{Duration, Instant};

use cnbw_spec::download::{Address, ContentDigest};

use crate::address::{Reach, authority, ip_of, names_this_machine, resolve, shown_address};
use crate::answer::receive;
use crate::error::FetchErrorKind;
use crate::fetch::Fetcher;
use crate::store::Blob;
use crate::transport::{Answer, Failure};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 10;

/// What is wanted, whatever the address is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// The digest that it has to have.
    pub(crate) digest: Option<&'a ContentDigest>,
    /// The size that it has to have.
    pub(crate) size: Option<u64>,
    /// The largest size.
    pub(crate) limit: u64,
    /// When it has to be there.
    pub(crate) deadline: Option<Instant>,
}

/// A failure, and whether to try again.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) kind: FetchErrorKind,
    pub(crate) again: Again,
}

/// Whether another try makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    No,
    Yes,
    /// The server says when.
    After(Duration),
}

impl Trouble {
    pub(crate) fn lasting(kind: FetchErrorKind) -> Self {
        Self {
            kind,
            again: Again::No,
        }
    }

    pub(crate) fn passing(kind: FetchErrorKind) -> Self {
        Self {
            kind,
            again: Again::Yes,
        }
    }
}

impl Ask<'_> {
    fn time_left(&self) -> Duration {
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        left.unwrap_or(Duration::MAX)
    }
}

impl Fetcher {
    /// Downloads from one address. Returns where it came from in the end, too.
    pub(crate) fn attempt(
        &self,
        address: &Address,
        is_mirror: bool,
        ask: &Ask<'_>,
    ) -> Result<(Blob, String), FetchErrorKind> {
        let retries = &self.options.retries;
        let mut failures = 0;
        loop {
            let trouble = match self.follow(address, is_mirror, ask) {
                Ok(found) => return Ok(found),
                Err(trouble) => trouble,
            };
            failures += 1;
            let pause = match trouble.again {
                Again::Yes => retries.pause(failures),
                Again::After(wish) if wish <= retries.longest_wish => wish,
                Again::No | Again::After(_) => return Err(trouble.kind),
            };
            if failures >= retries.attempts || pause >= ask.time_left() {
                return Err(trouble.kind);
            }
            std::thread::sleep(pause);
        }
    }

    /// Sends a request, and others where redirects lead.
    fn follow(
        &self,
        first: &Address,
        is_mirror: bool,
        ask: &Ask<'_>,
    ) -> Result<(Blob, String), Trouble> {
        let mut current = first.clone();
        for _ in 0..=MAX_REDIRECTS {
            let host = authority(&current);
            let answer = self.send(&current, first, is_mirror)?;
            if matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                let next = redirected(&current, &host, &answer)?;
                answer.discard();
                current = next;
                continue;
            }
            if answer.status != 200 {
                let credentials = self.authorization(&current).is_some();
                return Err(refused(host, answer, credentials));
            }
            let blob = receive(self, &host, answer, ask)?;
            return Ok((blob, shown_address(&current)));
        }
        Err(Trouble::lasting(FetchErrorKind::Redirect {
            host: authority(&current),
            rule: format!("there are more than {MAX_REDIRECTS} redirects"),
        }))
    }

    fn send(&self, current: &Address, first: &Address, is_mirror: bool) -> Result<Answer, Trouble> {
        let reach = self.reach(current, first, is_mirror);
        let host = authority(current);
        let inside = |address: std::net::IpAddr| {
            Trouble::lasting(FetchErrorKind::Inside {
                host: host.clone(),
                address: address.to_string(),
            })
        };
        // A proxy would look no name up here.
        if let Some(address) = ip_of(current.host()).filter(|address| !reach.allows(*address)) {
            return Err(inside(address));
        }
        let authorization = self.authorization(current);
        let result = self
            .transport
            .get(reach, &current.to_string(), authorization.as_deref());
        let unreachable = |reason| FetchErrorKind::Unreachable {
            host: host.clone(),
            reason,
        };
        result.map_err(|failure| match failure {
            Failure::Inside(address) => inside(address),
            Failure::Passing(reason) => Trouble::passing(unreachable(reason)),
            Failure::Lasting(reason) => Trouble::lasting(unreachable(reason)),
        })
    }

    /// Says where a connection may lead.
    ///
    /// Whoever granted an address with an inner host in it saw what is meant, and over TLS the certificate says that
    /// nobody else is. A name that is asked in the clear can be given an inner address by whoever owns the name, and a
    /// redirect by whoever owns the server: such lead outside only.
    fn reach(&self, current: &Address, first: &Address, is_mirror: bool) -> Reach {
        let host = current.host();
        let authority = authority(current);
        let listed = self.options.inside.iter().any(|listed| {
            listed.eq_ignore_ascii_case(host) || listed.eq_ignore_ascii_case(&authority)
        });
        let same_host = host == first.host();
        if listed || (is_mirror && same_host) {
            return Reach::Anywhere;
        }
        let is_meant = current.is_https() || names_this_machine(host) || ip_of(host).is_some();
        if same_host && is_meant {
            Reach::Near
        } else {
            Reach::Outside
        }
    }
}

/// Reads where a redirect leads.
fn redirected(current: &Address, host: &str, answer: &Answer) -> Result<Address, Trouble> {
    let wrong = |rule: String| {
        Trouble::lasting(FetchErrorKind::Redirect {
            host: host.to_owned(),
            rule,
        })
    };
    let location = answer
        .header("location")
        .ok_or_else(|| wrong("it does not say where to".to_owned()))?;
    let next = resolve(current, location).map_err(wrong)?;
    if current.is_https() && !next.is_https() {
        return Err(wrong(format!(
            "`{}` is not encrypted, and `{host}` is",
            authority(&next)
        )));
    }
    Ok(next)
}

/// Makes an error of an answer that is none.
fn refused(host: String, answer: Answer, credentials: bool) -> Trouble {
    let status = answer.status;
    let again = match status {
        408 | 425 | 429 | 500 | 502 | 503 | 504 => {
            wished_pause(&answer).map_or(Again::Yes, Again::After)
        }
        _ => Again::No,
    };
    answer.discard();
    let kind = match status {
        404 | 410 => FetchErrorKind::NotFound { host, status },
        401 | 403 | 407 => FetchErrorKind::Denied {
            host,
            status,
            credentials,
        },
        _ => FetchErrorKind::Status { host, status },
    };
    Trouble { kind, again }
}

/// Returns the pause that an answer asks for, if it does so in seconds.
fn wished_pause(answer: &Answer) -> Option<Duration> {
    let seconds = answer.header("retry-after")?.trim();
    if seconds.is_empty() || !seconds.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // A number too large to be read is a long time.
    Some(Duration::from_secs(seconds.parse().unwrap_or(u64::MAX)))
}
