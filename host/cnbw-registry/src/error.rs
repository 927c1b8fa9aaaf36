//! What goes wrong between us and a registry, in words that hold no secret and no control character.

use std::error::Error;

use cnbw_oci::image::{StoreError, StoreErrorKind};

/// How much of a remote text is shown.
const SHOWN_CAP: usize = 300;

/// Why a registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry, or its token service, wants other credentials or none of ours suffice.
    #[error("`{host}` refuses access (status {status}): {said}")]
    Denied {
        /// Who refuses.
        host: String,
        /// 401 or 403.
        status: u16,
        /// What was said, escaped and capped.
        said: String,
    },
    /// What was asked for is not there.
    #[error("`{host}` has no such thing (status 404): {said}")]
    Missing {
        /// Who was asked.
        host: String,
        /// What was said, escaped and capped.
        said: String,
    },
    /// The registry answers with another status than the protocol has for the case.
    #[error("`{host}` answers with status {status}: {said}")]
    Status {
        /// Who answers.
        host: String,
        /// The status.
        status: u16,
        /// What was said, escaped and capped.
        said: String,
    },
    /// No connection, or it broke, or the answer took too long.
    #[error("`{host}` cannot be reached: {reason}")]
    Unreachable {
        /// Who.
        host: String,
        /// What happened.
        reason: String,
    },
    /// The other side breaks a rule of the protocol or of ours.
    #[error("`{host}` breaks a rule: {rule}")]
    Rule {
        /// Who.
        host: String,
        /// Which rule.
        rule: String,
    },
    /// The credentials for a registry cannot be used.
    #[error("the credentials for `{registry}` cannot be used")]
    Credentials {
        /// For which registry.
        registry: String,
        /// Why.
        source: crate::keychain::KeychainError,
    },
    /// A name does not name an image in a registry.
    #[error("`{name}` does not name an image in a registry")]
    Name {
        /// The name, escaped.
        name: String,
        /// Why.
        source: cnbw_oci::reference::ReferenceError,
    },
    /// The bytes to be sent could not be read.
    #[error("cannot read the blob `{digest}` that is to be sent")]
    Content {
        /// Which blob.
        digest: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The options for the client are wrong.
    #[error("the option `{option}` is wrong: {rule}")]
    Option {
        /// Which one.
        option: &'static str,
        /// The rule that it breaks.
        rule: String,
    },
}

impl RegistryError {
    /// Says which kind of failure it is.
    pub fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Denied { .. } | Self::Credentials { .. } => StoreErrorKind::Denied,
            Self::Unreachable { .. } => StoreErrorKind::Unreachable,
            Self::Status { status, .. } if *status >= 500 || *status == 429 => {
                StoreErrorKind::Unreachable
            }
            Self::Status { .. }
            | Self::Missing { .. }
            | Self::Rule { .. }
            | Self::Name { .. }
            | Self::Option { .. } => StoreErrorKind::Invalid,
            Self::Content { .. } => StoreErrorKind::Io,
        }
    }

    /// Makes it an error of the store port. What it says itself becomes the reason, its cause the cause.
    pub fn into_store(self, action: &'static str, subject: &str) -> StoreError {
        let (kind, reason) = (self.kind(), self.to_string());
        let source: Option<Box<dyn Error + Send + Sync>> = match self {
            Self::Credentials { source, .. } => Some(Box::new(source)),
            Self::Name { source, .. } => Some(Box::new(source)),
            Self::Content { source, .. } => Some(source),
            Self::Denied { .. }
            | Self::Missing { .. }
            | Self::Status { .. }
            | Self::Unreachable { .. }
            | Self::Rule { .. }
            | Self::Option { .. } => None,
        };
        StoreError {
            action,
            subject: subject.to_owned(),
            reason,
            kind,
            source,
        }
    }
}

/// Makes a remote text fit to be shown: no secret, no control character, not long.
pub(crate) fn shown(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        // Shorter ones would make holes in ordinary words.
        if secret.len() >= 4 {
            text = text.replace(secret.as_str(), "***");
        }
    }
    let mut out = String::new();
    for character in text.trim().chars() {
        if out.len() > SHOWN_CAP {
            out.push('…');
            break;
        }
        match character {
            '\n' | '\r' | '\t' => out.push(' '),
            plain if plain.is_control() || is_direction_mark(plain) => {
                out.extend(plain.escape_unicode());
            }
            plain => out.push(plain),
        }
    }
    out
}

/// Characters that reorder or hide what stands around them on a terminal.
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_text_is_redacted_escaped_and_capped() {
        let secrets = ["hunter22".to_owned(), "ab".to_owned()];
        assert_eq!(
            shown("no hunter22 in\nab \u{1b}[31mred", &secrets),
            "no *** in ab \\u{1b}[31mred"
        );
        assert_eq!(shown("a\u{202e}b", &[]), "a\\u{202e}b");
        let long = shown(&"x".repeat(5000), &[]);
        assert!(long.len() < 310 && long.ends_with('…'), "{}", long.len());
    }
}
