//! Digests while bytes go by.

use cnbw_spec::download::ContentDigest;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// Computes the digest that files are stored by, and the one that was asked for if it is another.
pub(crate) struct Hasher {
    sha256: Sha256,
    other: Option<Other>,
}

enum Other {
    Sha384(Sha384),
    Sha512(Sha512),
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hashes {
    /// `sha256:…`.
    pub(crate) sha256: String,
    /// The other one.
    other: Option<String>,
}

impl Hasher {
    pub(crate) fn new(expected: Option<&ContentDigest>) -> Self {
        let other = match expected.map(algorithm) {
            Some("sha384") => Some(Other::Sha384(Sha384::new())),
            Some("sha512") => Some(Other::Sha512(Sha512::new())),
            _ => None,
        };
        Self {
            sha256: Sha256::new(),
            other,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        match &mut self.other {
            Some(Other::Sha384(hash)) => hash.update(bytes),
            Some(Other::Sha512(hash)) => hash.update(bytes),
            None => {}
        }
    }

    pub(crate) fn finish(self) -> Hashes {
        let other = self.other.map(|other| match other {
            Other::Sha384(hash) => format!("sha384:{}", hex(&hash.finalize())),
            Other::Sha512(hash) => format!("sha512:{}", hex(&hash.finalize())),
        });
        Hashes {
            sha256: format!("sha256:{}", hex(&self.sha256.finalize())),
            other,
        }
    }
}

impl Hashes {
    /// The digest in the algorithm of the expected one.
    pub(crate) fn like(&self, expected: &ContentDigest) -> &str {
        match &self.other {
            Some(other) if algorithm(expected) != "sha256" => other,
            _ => &self.sha256,
        }
    }

    pub(crate) fn is(&self, expected: &ContentDigest) -> bool {
        self.like(expected) == expected.as_str()
    }
}

/// The part before the colon.
pub(crate) fn algorithm(digest: &ContentDigest) -> &str {
    digest.as_str().split(':').next().unwrap_or_default()
}

/// The part after the colon.
pub(crate) fn digits(digest: &str) -> &str {
    digest.rsplit(':').next().unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .filter_map(|nibble| DIGITS.get(usize::from(nibble)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_gives_its_own_digest() {
        let of = |algorithm: &str, digits: usize| {
            let any = ContentDigest::parse(&format!("{algorithm}:{}", "0".repeat(digits))).unwrap();
            let mut hasher = Hasher::new(Some(&any));
            hasher.update(b"ab");
            hasher.update(b"c");
            let found = hasher.finish();
            assert!(!found.is(&any));
            found.like(&any).to_owned()
        };
        assert_eq!(
            of("sha256", 64),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(
            of("sha384", 96).starts_with("sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163")
        );
        assert!(
            of("sha512", 128)
                .starts_with("sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea2")
        );
    }
}
