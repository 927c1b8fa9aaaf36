//! Why there is no file, in words that hold no secret and no control character.

use serde::{Deserialize, Serialize};

/// How much of a remote text is shown.
const SHOWN_CAP: usize = 300;

/// A download that did not come about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("cannot download `{url}`: {kind}{}", mirrors_tried(.tried))]
pub struct FetchError {
    /// The address that was asked for, without the values of its query.
    pub url: String,
    /// Why it failed there.
    pub kind: FetchErrorKind,
    /// What went wrong at mirrors before.
    pub tried: Vec<String>,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum FetchErrorKind {
    /// The address is none that is downloaded from.
    #[error("{rule}")]
    Address {
        /// The rule that it breaks.
        rule: String,
    },
    /// The digest is none.
    #[error("{rule}")]
    DigestFormat {
        /// The rule that it breaks.
        rule: String,
    },
    /// Only what the store has may be used, and it has not got this.
    #[error("it is not in the store of downloads, and this run is offline")]
    Offline,
    /// The host is in this machine's network, where downloads do not lead.
    #[error(
        "`{host}` is inside this machine's network ({address}); hosts there are reached only if the operator lists them"
    )]
    Inside {
        /// The host.
        host: String,
        /// Its address.
        address: String,
    },
    /// A redirect that is not followed.
    #[error("`{host}` redirects where it must not: {rule}")]
    Redirect {
        /// Who redirects.
        host: String,
        /// Why that is not followed.
        rule: String,
    },
    /// Nothing is there.
    #[error("`{host}` has no such file (status {status})")]
    NotFound {
        /// Who answers.
        host: String,
        /// 404 or 410.
        status: u16,
    },
    /// The server does not let us.
    #[error("`{host}` refuses access (status {status}); {}", with_credentials(*.credentials))]
    Denied {
        /// Who answers.
        host: String,
        /// 401, 403 or 407.
        status: u16,
        /// Whether it was asked with credentials.
        credentials: bool,
    },
    /// The server answers with another status.
    #[error("`{host}` answers with status {status}")]
    Status {
        /// Who answers.
        host: String,
        /// The status.
        status: u16,
    },
    /// No connection, or it broke, or the answer took too long.
    #[error("`{host}` cannot be reached, or does not answer as it should: {reason}")]
    Unreachable {
        /// Who.
        host: String,
        /// What happened.
        reason: String,
    },
    /// It took too long altogether.
    #[error("`{host}` is too slow: {bytes} bytes came in {seconds} s")]
    Slow {
        /// Who.
        host: String,
        /// How much came.
        bytes: u64,
        /// In which time.
        seconds: u64,
    },
    /// The answer breaks a rule of the protocol or of ours.
    #[error("the answer of `{host}` breaks a rule: {rule}")]
    Protocol {
        /// Who answers.
        host: String,
        /// Which rule.
        rule: String,
    },
    /// It is larger than allowed.
    #[error("it is larger than {limit} bytes, which is allowed")]
    TooLarge {
        /// The largest size.
        limit: u64,
    },
    /// It has another size than it should.
    #[error("it should have {expected} bytes and has {found}{}", or_more(*.at_least))]
    Size {
        /// The size that was asked for.
        expected: u64,
        /// The size that came or was announced.
        found: u64,
        /// Whether more may have followed.
        at_least: bool,
    },
    /// It has another digest than it should.
    #[error(
        "its digest is `{found}` and should be `{expected}`; what came ({size} bytes) was thrown away"
    )]
    Digest {
        /// The digest that was asked for.
        expected: String,
        /// The digest of what came.
        found: String,
        /// How much came.
        size: u64,
    },
    /// The store could not be used.
    #[error("{reason}")]
    Store {
        /// What happened.
        reason: String,
    },
    /// The process that downloads is gone or makes no sense.
    #[error("the broker process is of no use any more: {reason}")]
    Broker {
        /// What happened.
        reason: String,
    },
}

fn with_credentials(sent: bool) -> &'static str {
    if sent {
        "it was asked with the credentials that are configured for it"
    } else {
        "it was asked without credentials, because none are configured for it"
    }
}

fn or_more(at_least: bool) -> &'static str {
    if at_least { " or more" } else { "" }
}

fn mirrors_tried(tried: &[String]) -> String {
    use std::fmt::Write as _;
    tried.iter().fold(String::new(), |mut text, tried| {
        let _infallible = write!(text, "; {tried}");
        text
    })
}

/// An option that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the option `{option}` is wrong: {rule}")]
pub struct OptionError {
    /// The option's name.
    pub option: &'static str,
    /// The rule that it breaks.
    pub rule: String,
}

/// Makes a remote text fit to be shown: no control character, not long.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for character in text.trim().chars() {
        if out.len() > SHOWN_CAP {
            out.push('…');
            break;
        }
        match character {
            '\n' | '\r' | '\t' => out.push(' '),
            plain if plain.is_control() || is_hidden(plain) => out.extend(plain.escape_unicode()),
            plain => out.push(plain),
        }
    }
    out
}

/// Characters that reorder or hide what stands around them on a terminal.
fn is_hidden(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Says an error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    shown(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_address_reason_and_mirrors() {
        let error = FetchError {
            url: "https://a.io/x".to_owned(),
            kind: FetchErrorKind::NotFound {
                host: "a.io".to_owned(),
                status: 404,
            },
            tried: vec!["mirror `https://m/` failed: no connection".to_owned()],
        };
        assert_eq!(
            error.to_string(),
            "cannot download `https://a.io/x`: `a.io` has no such file (status 404); mirror `https://m/` failed: no connection"
        );
        assert_eq!(shown("a\u{1b}[31m\nb\u{202e}"), "a\\u{1b}[31m b\\u{202e}");
        assert!(shown(&"x".repeat(1000)).len() < 310);
    }
}
