//! Digests of downloaded files.

use std::fmt;

/// The digest of a file's bytes: `sha256:`, `sha384:` or `sha512:` and lowercase hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentDigest(String);

/// A text that is no digest, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentDigestError {
    /// No algorithm, or one that is not taken.
    #[error("a digest starts with `sha256:`, `sha384:` or `sha512:`")]
    Algorithm,
    /// Another number of digits than the algorithm gives.
    #[error("a {algorithm} digest has {expected} hexadecimal digits, and this one has {found}")]
    Length {
        /// The algorithm.
        algorithm: &'static str,
        /// How many digits it gives.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Something else than lowercase hexadecimal digits.
    #[error("a digest has lowercase hexadecimal digits only")]
    Digits,
}

impl ContentDigest {
    /// Parses `algorithm:digits`.
    pub fn parse(text: &str) -> Result<Self, ContentDigestError> {
        let known = [("sha256", 64), ("sha384", 96), ("sha512", 128)];
        let (algorithm, digits) = text.split_once(':').ok_or(ContentDigestError::Algorithm)?;
        let (algorithm, expected) = known
            .into_iter()
            .find(|(name, _)| *name == algorithm)
            .ok_or(ContentDigestError::Algorithm)?;
        if digits.len() != expected {
            return Err(ContentDigestError::Length {
                algorithm,
                expected,
                found: digits.len(),
            });
        }
        if !digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(ContentDigestError::Digits);
        }
        Ok(Self(text.to_owned()))
    }

    /// `algorithm:digits`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_algorithms_in_their_exact_form_are_digests() {
        for (algorithm, digits) in [("sha256", 64), ("sha384", 96), ("sha512", 128)] {
            let text = format!("{algorithm}:{}", "0a".repeat(digits / 2));
            assert_eq!(ContentDigest::parse(&text).unwrap().as_str(), text);
            assert!(ContentDigest::parse(&text[..text.len() - 1]).is_err());
            assert_eq!(
                ContentDigest::parse(&text.replace("0a", "0A")),
                Err(ContentDigestError::Digits)
            );
        }
        for text in ["", "sha256", "md5:00", "SHA256:00", "sha1:00"] {
            assert_eq!(
                ContentDigest::parse(text),
                Err(ContentDigestError::Algorithm)
            );
        }
    }
}
