//! A body on its way into the store: counted, timed and hashed.

use std::io::{self, Read};
use std::time::Instant;

use crate::attempt::{Again, Ask, Trouble};
use crate::error::{FetchErrorKind, shown};
use crate::fetch::{Fetcher, stored_badly};
use crate::store::{Blob, StoreWriter};
use crate::transport::Answer;

const BUFFER_BYTES: usize = 128 * 1024;

/// Receives the body of an answer with status 200.
pub(crate) fn receive(
    fetcher: &Fetcher,
    host: &str,
    answer: Answer,
    ask: &Ask<'_>,
) -> Result<Blob, Trouble> {
    let encoding = answer.header("content-encoding").unwrap_or("identity");
    if !encoding.eq_ignore_ascii_case("identity") {
        return Err(Trouble::lasting(FetchErrorKind::Protocol {
            host: host.to_owned(),
            rule: format!(
                "it is encoded as `{}`, which was not asked for",
                shown(encoding)
            ),
        }));
    }
    let declared = answer.length();
    if let Some(found) = declared {
        check_size(found, false, ask)?;
    }
    let store = &fetcher.store;
    let mut writer = store
        .writer(ask.digest)
        .map_err(|error| Trouble::lasting(stored_badly(&error)))?;
    copy(fetcher, host, answer, ask, &mut writer)?;
    let size = writer.size();
    if let Some(expected) = ask.size.filter(|expected| *expected != size) {
        return Err(Trouble::lasting(FetchErrorKind::Size {
            expected,
            found: size,
            at_least: false,
        }));
    }
    let finished = writer
        .finish()
        .map_err(|error| Trouble::lasting(stored_badly(&error)))?;
    finished.map_err(|found| {
        Trouble::lasting(FetchErrorKind::Digest {
            expected: ask.digest.map(ToString::to_string).unwrap_or_default(),
            found,
            size,
        })
    })
}

fn copy(
    fetcher: &Fetcher,
    host: &str,
    answer: Answer,
    ask: &Ask<'_>,
    writer: &mut StoreWriter<'_>,
) -> Result<(), Trouble> {
    let mut reader = answer.into_reader();
    let begin = Instant::now();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Trouble::passing(FetchErrorKind::Unreachable {
                    host: host.to_owned(),
                    reason: shown(&format!(
                        "the connection broke after {} bytes: {error}",
                        writer.size()
                    )),
                }));
            }
        };
        writer
            .write(buffer.get(..count).unwrap_or_default())
            .map_err(|error| Trouble::lasting(stored_badly(&error)))?;
        check_size(writer.size(), true, ask)?;
        check_time(fetcher, host, ask, begin, writer.size())?;
    }
}

/// Compares a size, or what has come so far, with what it may be.
fn check_size(found: u64, may_grow: bool, ask: &Ask<'_>) -> Result<(), Trouble> {
    if let Some(expected) = ask.size
        && (found > expected || (found != expected && !may_grow))
    {
        return Err(Trouble::lasting(FetchErrorKind::Size {
            expected,
            found,
            at_least: may_grow,
        }));
    }
    if found > ask.limit {
        return Err(Trouble::lasting(FetchErrorKind::TooLarge {
            limit: ask.limit,
        }));
    }
    Ok(())
}

/// Gives a server up that lets bytes drip.
fn check_time(
    fetcher: &Fetcher,
    host: &str,
    ask: &Ask<'_>,
    begin: Instant,
    bytes: u64,
) -> Result<(), Trouble> {
    let timeouts = &fetcher.options.timeouts;
    let elapsed = begin.elapsed();
    let floor = timeouts.slowest.saturating_mul(elapsed.as_secs());
    let is_slow = elapsed > timeouts.grace && bytes < floor;
    let is_late = ask
        .deadline
        .is_some_and(|deadline| Instant::now() > deadline);
    if is_slow || is_late {
        return Err(Trouble {
            kind: FetchErrorKind::Slow {
                host: host.to_owned(),
                bytes,
                seconds: elapsed.as_secs(),
            },
            again: Again::No,
        });
    }
    Ok(())
}
