//! Names of entries: relative, downwards only, and bytes.

use crate::error::{EntryName, Limit, Rule, UnpackError};
use crate::options::Limits;

/// What Linux allows a component.
const COMPONENT_BYTES: usize = 255;

/// What Linux allows a symbolic link's target.
const TARGET_BYTES: usize = 4095;

/// A checked name: components joined by single slashes, none of them empty, `.` or `..`. Empty for the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Name {
    /// The normal form.
    bytes: Vec<u8>,
    /// Whether the archive's form ends in a slash.
    pub(crate) trailing_slash: bool,
}

impl Name {
    /// Checks a name.
    pub(crate) fn parse(raw: &[u8], limits: &Limits) -> Result<Self, UnpackError> {
        let refused = |rule| UnpackError::Refused {
            entry: EntryName::new(raw),
            rule,
        };
        if raw.is_empty() {
            return Err(refused(Rule::NoName));
        }
        if raw.len() > limits.name_bytes {
            return Err(UnpackError::Limit {
                entry: EntryName::new(raw),
                limit: Limit::NameBytes(limits.name_bytes),
            });
        }
        if raw.contains(&0) {
            return Err(refused(Rule::ZeroByte));
        }
        if raw.starts_with(b"/") {
            return Err(refused(Rule::Absolute));
        }
        if matches!(raw, [letter, b':', b'\\', ..] if letter.is_ascii_alphabetic()) {
            return Err(refused(Rule::ForeignPath));
        }
        let mut bytes = Vec::with_capacity(raw.len());
        for component in raw.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(refused(Rule::Upwards)),
                long if long.len() > COMPONENT_BYTES => return Err(refused(Rule::LongComponent)),
                _ => {}
            }
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(component);
        }
        Ok(Self {
            bytes,
            trailing_slash: raw.ends_with(b"/"),
        })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the name without its first components; `None` if nothing is left.
    pub(crate) fn strip(&self, count: usize) -> Option<&[u8]> {
        let mut rest = self.bytes.as_slice();
        for _ in 0..count {
            let slash = rest.iter().position(|byte| *byte == b'/')?;
            rest = rest.get(slash + 1..)?;
        }
        (!rest.is_empty()).then_some(rest)
    }
}

/// Splits a name into its parent, which may be empty, and its last component.
pub(crate) fn split_last(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (
            path.get(..slash).unwrap_or_default(),
            path.get(slash + 1..).unwrap_or_default(),
        ),
        None => (b"", path),
    }
}

/// Returns the components of a name in its normal form.
pub(crate) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty())
}

/// Checks a symbolic link's target, which is data: it may lead anywhere.
pub(crate) fn check_target(target: &[u8]) -> Result<(), Rule> {
    if target.is_empty() || target.len() > TARGET_BYTES {
        return Err(Rule::LinkTarget);
    }
    if target.contains(&0) {
        return Err(Rule::ZeroByte);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(raw: &[u8]) -> Option<Rule> {
        match Name::parse(raw, &Limits::default()) {
            Ok(_) => None,
            Err(UnpackError::Refused { rule, .. }) => Some(rule),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn names_are_normalized_or_refused() {
        let good: [(&[u8], &[u8]); 6] = [
            (b"./a//b/./c", b"a/b/c"),
            (b"a/", b"a"),
            (b"./", b""),
            (b"...", b"..."),
            (b"a\xff\\b", b"a\xff\\b"),
            (b"-rf $(x)\n", b"-rf $(x)\n"),
        ];
        for (raw, normal) in good {
            let name = Name::parse(raw, &Limits::default()).unwrap();
            assert_eq!(name.as_bytes(), normal);
        }
        let long = [b'x'; 256];
        let bad: [(&[u8], Rule); 8] = [
            (b"", Rule::NoName),
            (b"/etc/passwd", Rule::Absolute),
            (b"../x", Rule::Upwards),
            (b"a/./../..", Rule::Upwards),
            (b"a/..", Rule::Upwards),
            (b"a\0b", Rule::ZeroByte),
            (b"C:\\x", Rule::ForeignPath),
            (&long, Rule::LongComponent),
        ];
        for (raw, expected) in bad {
            assert_eq!(rule(raw), Some(expected), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn stripping_takes_components_away() {
        let name = Name::parse(b"a/b/c", &Limits::default()).unwrap();
        assert_eq!(name.strip(0), Some(&b"a/b/c"[..]));
        assert_eq!(name.strip(2), Some(&b"c"[..]));
        assert_eq!(name.strip(3), None);
        assert_eq!(name.strip(usize::MAX), None);
    }

    proptest! {
        #[test]
        fn a_name_that_is_taken_stays_below(raw in proptest::collection::vec(
            prop_oneof![Just(b'/'), Just(b'.'), Just(0), any::<u8>()], 0..40)) {
            if let Ok(name) = Name::parse(&raw, &Limits::default()) {
                let all: Vec<&[u8]> = components(name.as_bytes()).collect();
                prop_assert!(all.iter().all(|part| !part.is_empty() && *part != b"." && *part != b".."));
                prop_assert_eq!(all.join(&b'/'), name.as_bytes());
            }
        }
    }
}
