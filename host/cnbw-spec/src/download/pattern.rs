//! Patterns of addresses, as grants and policies have them.

use std::fmt;

use super::address::{
    Address, AddressError, Origin, broken, normal_query, normal_segment, split_authority,
    split_scheme,
};

/// A pattern of addresses: `https://files.example.org/releases/**`.
///
/// Scheme and port match exactly. A host matches exactly, or begins with `*.` and matches any host below, not the
/// name itself. In the path `*` stands for any characters of one part, and `**` alone in a part for one or more
/// parts. A query matches exactly; `?*` takes any query and none; without `?` an address with a query does not
/// match. Nothing is implied: `https://example.org/` is one address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressPattern {
    origin: Origin,
    /// Whether the host is what the name must end with.
    is_below: bool,
    path: Vec<Part>,
    query: QueryPattern,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Literal texts with anything between.
    Pieces(Vec<String>),
    /// One or more parts.
    Rest,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum QueryPattern {
    None,
    Any,
    Exactly(String),
}

impl AddressPattern {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (is_https, rest) = split_scheme(text)?;
        let (authority, rest) = split_authority(rest);
        let (is_below, authority) = match authority.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, authority),
        };
        if authority.contains('*') {
            return Err(broken(
                "`*` in a host is only allowed as its first part: `*.example.org`",
            ));
        }
        let origin = Origin::parse(is_https, authority)?;
        let is_name = origin.host.bytes().any(|byte| byte.is_ascii_alphabetic());
        if is_below && (!origin.host.contains('.') || !is_name || origin.host.starts_with('[')) {
            return Err(broken("`*.` is followed by a name of at least two parts"));
        }
        let (path, query) = match rest.split_once('?') {
            None => (rest, QueryPattern::None),
            Some((path, "*")) => (path, QueryPattern::Any),
            Some((path, query)) => (path, QueryPattern::Exactly(normal_query(query)?)),
        };
        let Some(path) = path.strip_prefix('/') else {
            return Err(broken(
                "a pattern has a path: `/` for the address itself, `/**` for everything below",
            ));
        };
        Ok(Self {
            origin,
            is_below,
            path: path.split('/').map(Part::parse).collect::<Result<_, _>>()?,
            query,
            text: text.to_owned(),
        })
    }

    /// Whether an address is meant.
    pub fn matches(&self, address: &Address) -> bool {
        let one_or_other = |pattern: &Origin, origin: &Origin| {
            pattern.is_https == origin.is_https && pattern.port == origin.port
        };
        let host = address.origin.host.as_str();
        let host_matches = if self.is_below {
            host.strip_suffix(self.origin.host.as_str())
                .is_some_and(|below| below.len() > 1 && below.ends_with('.'))
        } else {
            host == self.origin.host
        };
        let query_matches = match (&self.query, address.query()) {
            (QueryPattern::Any, _) | (QueryPattern::None, None) => true,
            (QueryPattern::Exactly(pattern), Some(query)) => pattern == query,
            (QueryPattern::None, Some(_)) | (QueryPattern::Exactly(_), None) => false,
        };
        one_or_other(&self.origin, &address.origin)
            && host_matches
            && query_matches
            && path_matches(&self.path, &address.segments().collect::<Vec<_>>())
    }

    /// Whether only encrypted ways are meant.
    pub fn is_https(&self) -> bool {
        self.origin.is_https
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Part {
    fn parse(text: &str) -> Result<Self, AddressError> {
        if text == "**" {
            return Ok(Self::Rest);
        }
        if text.contains("**") {
            return Err(broken("`**` stands alone between two slashes"));
        }
        // What is between could be completed to `..`, so that the whole is looked at with something between.
        normal_segment(&text.replace('*', "x"))?;
        let pieces = text.split('*').map(|piece| {
            // A lone dot is no way up as long as something else is required beside it.
            match piece {
                "." | ".." => Ok(piece.to_owned()),
                _ => normal_segment(piece),
            }
        });
        Ok(Self::Pieces(pieces.collect::<Result<_, _>>()?))
    }

    fn matches(&self, segment: &str) -> bool {
        let Self::Pieces(pieces) = self else {
            return true;
        };
        let (Some((first, rest)), Some(last)) = (pieces.split_first(), pieces.last()) else {
            return false;
        };
        if rest.is_empty() {
            return first == segment;
        }
        let Some(between) = segment.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some(mut between) = between.strip_suffix(last.as_str()) else {
            return false;
        };
        let middle = rest.split_last().map_or(rest, |(_, middle)| middle);
        for piece in middle {
            let Some(start) = between.find(piece.as_str()) else {
                return false;
            };
            between = between.get(start + piece.len()..).unwrap_or_default();
        }
        true
    }
}

/// Goes through both from the left; where it gets stuck, the last `**` takes one part more. Earlier ones need
/// not: what they could leave to the last one it can take itself.
fn path_matches(pattern: &[Part], segments: &[&str]) -> bool {
    let (mut part, mut segment) = (0, 0);
    // The part after the last `**`, and the first segment that it has not taken.
    let mut retry: Option<(usize, usize)> = None;
    while segment < segments.len() || part < pattern.len() {
        let step = match (pattern.get(part), segments.get(segment)) {
            (Some(Part::Rest), Some(_)) => {
                retry = Some((part + 1, segment + 1));
                true
            }
            (Some(part), Some(segment)) => part.matches(segment),
            _ => false,
        };
        if step {
            part += 1;
            segment += 1;
            continue;
        }
        match &mut retry {
            Some((after, taken)) if *taken < segments.len() => {
                *taken += 1;
                (part, segment) = (*after, *taken);
            }
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, address: &str) -> bool {
        let address = Address::parse(address).unwrap();
        AddressPattern::parse(pattern).unwrap().matches(&address)
    }

    #[test]
    fn patterns_mean_what_they_say_and_no_more() {
        for (pattern, address, expected) in [
            ("https://e.org/", "https://e.org", true),
            ("https://e.org/", "https://e.org/a", false),
            ("https://e.org/a", "https://e.org/a", true),
            ("https://e.org/a", "https://e.org/ab", false),
            ("https://e.org/a", "https://e.org/a/", false),
            ("https://e.org/a", "https://e.org/A", false),
            ("https://E.org:443/%61", "https://e.org/a", true),
            ("https://e.org/a", "http://e.org/a", false),
            ("https://e.org/a", "https://e.org:8443/a", false),
            ("https://e.org/a", "https://evil-e.org/a", false),
            ("https://e.org/**", "https://e.org/", true),
            ("https://e.org/**", "https://e.org/a/b/c", true),
            ("https://e.org/a/**", "https://e.org/a", false),
            ("https://e.org/a/**", "https://e.org/a/", true),
            ("https://e.org/a/**", "https://e.org/ab/c", false),
            ("https://e.org/a/**/z", "https://e.org/a/b/c/z", true),
            ("https://e.org/a/**/z", "https://e.org/a/z", false),
            ("https://e.org/**/b/**/c", "https://e.org/a/b/b/x/c/c", true),
            ("https://e.org/**/b/**/c", "https://e.org/a/b/c", false),
            ("https://e.org/*/b", "https://e.org/a/b", true),
            ("https://e.org/*/b", "https://e.org/a/a/b", false),
            ("https://e.org/v*-*.tar", "https://e.org/v1-2-3.tar", true),
            ("https://e.org/v*-*.tar", "https://e.org/v1.tar", false),
            ("https://e.org/a*a", "https://e.org/a", false),
            ("https://e.org/@*%2F*", "https://e.org/@babel%2fcore", true),
            ("https://*.e.org/a", "https://x.e.org/a", true),
            ("https://*.e.org/a", "https://x.y.e.org/a", true),
            ("https://*.e.org/a", "https://e.org/a", false),
            ("https://*.e.org/a", "https://xe.org/a", false),
            ("https://e.org/a", "https://e.org/a?b", false),
            ("https://e.org/a?b", "https://e.org/a?b", true),
            ("https://e.org/a?b", "https://e.org/a?c", false),
            ("https://e.org/a?*", "https://e.org/a?b=c", true),
            ("https://e.org/a?*", "https://e.org/a", true),
            ("https://e.org/**", "https://e.org/a?b", false),
        ] {
            assert_eq!(matches(pattern, address), expected, "{pattern} {address}");
        }
    }

    #[test]
    fn patterns_that_mean_too_much_are_refused() {
        for text in [
            "https://**",
            "https://*/a",
            "https://*.org/a",
            "https://*.0.0.1/a",
            "https://a.*.org/a",
            "https://e.org",
            "https://e.org?x",
            "https://e.org:*/a",
            "*://e.org/a",
            "https://e.org/a**",
            "https://e.org/../**",
            "https://u@e.org/**",
            "**",
            "",
        ] {
            assert!(AddressPattern::parse(text).is_err(), "{text}");
        }
    }

    /// The obvious definition, as slow as it is.
    fn naive(pattern: &[Part], segments: &[&str]) -> bool {
        match pattern.split_first() {
            None => segments.is_empty(),
            Some((Part::Rest, after)) => {
                (1..=segments.len()).any(|taken| naive(after, &segments[taken..]))
            }
            Some((part, after)) => segments
                .split_first()
                .is_some_and(|(first, rest)| part.matches(first) && naive(after, rest)),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(
            pattern in proptest::collection::vec("a|b|\\*|\\*\\*|a\\*", 1..6),
            segments in proptest::collection::vec("a|b|ab|", 1..7),
        ) {
            let parts: Vec<_> = pattern.iter().map(|part| Part::parse(part).unwrap()).collect();
            let segments: Vec<_> = segments.iter().map(String::as_str).collect();
            prop_assert_eq!(path_matches(&parts, &segments), naive(&parts, &segments));
        }
    }
}
