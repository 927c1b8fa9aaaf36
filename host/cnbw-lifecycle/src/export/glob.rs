//! Shell patterns as Go's `filepath.Match` reads them: no wildcard crosses a slash, `**` is nothing special.

/// A pattern, taken apart and known to be well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    chunks: Vec<Chunk>,
}

/// A run of fixed length, perhaps after a star.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chunk {
    after_star: bool,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Exactly this character.
    Literal(char),
    /// `?`: anything but a slash.
    Any,
    /// `[…]`: one character of the ranges, or none of them. Unlike the wildcards it may match a slash.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A pattern that breaks the syntax.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pattern `{}` is malformed: {rule}", pattern.escape_debug())]
pub struct GlobError {
    /// The pattern.
    pub pattern: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

impl Glob {
    /// Reads a pattern.
    pub(crate) fn parse(pattern: &str) -> Result<Self, GlobError> {
        let mut chunks = vec![Chunk::default()];
        let mut rest = pattern.chars().peekable();
        let wrong = |rule| GlobError {
            pattern: pattern.to_owned(),
            rule,
        };
        while let Some(character) = rest.next() {
            let piece = match character {
                '*' => {
                    chunks.push(Chunk {
                        after_star: true,
                        pieces: Vec::new(),
                    });
                    continue;
                }
                '?' => Piece::Any,
                '[' => parse_class(&mut rest).map_err(wrong)?,
                '\\' => Piece::Literal(rest.next().ok_or_else(|| wrong("a backslash ends it"))?),
                _ => Piece::Literal(character),
            };
            if let Some(chunk) = chunks.last_mut() {
                chunk.pieces.push(piece);
            }
        }
        // Stars in a row are one star.
        let mut kept: Vec<Chunk> = Vec::with_capacity(chunks.len());
        for (index, chunk) in chunks.into_iter().enumerate() {
            match kept.last_mut() {
                Some(last) if last.after_star && last.pieces.is_empty() => *last = chunk,
                _ if index == 0 && chunk.pieces.is_empty() => {}
                _ => kept.push(chunk),
            }
        }
        Ok(Self { chunks: kept })
    }

    /// Whether the whole of `name` matches.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let units = decode(name);
        let mut rest: &[Unit] = &units;
        for (index, chunk) in self.chunks.iter().enumerate() {
            let last = index + 1 == self.chunks.len();
            if last && chunk.after_star && chunk.pieces.is_empty() {
                return !rest.contains(&Unit::Char('/'));
            }
            match chunk.find(rest, last) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

impl Chunk {
    /// Matches here or, after a star, at the first place before the next slash; gives what follows.
    fn find<'n>(&self, name: &'n [Unit], last: bool) -> Option<&'n [Unit]> {
        let fits = |from: &'n [Unit]| {
            self.match_prefix(from)
                .filter(|after| !last || after.is_empty())
        };
        if let Some(after) = fits(name) {
            return Some(after);
        }
        if !self.after_star {
            return None;
        }
        let mut from = name;
        while let [first, after @ ..] = from {
            if *first == Unit::Char('/') {
                return None;
            }
            from = after;
            if let Some(after) = fits(from) {
                return Some(after);
            }
        }
        None
    }

    fn match_prefix<'n>(&self, mut name: &'n [Unit]) -> Option<&'n [Unit]> {
        for piece in &self.pieces {
            let [unit, after @ ..] = name else {
                return None;
            };
            if !piece.matches(*unit) {
                return None;
            }
            name = after;
        }
        Some(name)
    }
}

impl Piece {
    fn matches(&self, unit: Unit) -> bool {
        match self {
            Self::Literal(character) => unit == Unit::Char(*character),
            Self::Any => unit != Unit::Char('/'),
            Self::Class { negated, ranges } => {
                let character = match unit {
                    Unit::Char(character) => character,
                    Unit::Broken => char::REPLACEMENT_CHARACTER,
                };
                let inside = ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&character));
                inside != *negated
            }
        }
    }
}

/// A character of a name, or a byte that is no UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Char(char),
    Broken,
}

fn decode(name: &[u8]) -> Vec<Unit> {
    let mut units = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        units.extend(chunk.valid().chars().map(Unit::Char));
        units.extend(chunk.invalid().iter().map(|_| Unit::Broken));
    }
    units
}

type Characters<'p> = std::iter::Peekable<std::str::Chars<'p>>;

fn parse_class(rest: &mut Characters<'_>) -> Result<Piece, &'static str> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if rest.peek() == Some(&']') && !ranges.is_empty() {
            rest.next();
            return Ok(Piece::Class { negated, ranges });
        }
        let low = parse_class_character(rest)?;
        let high = match rest.next_if_eq(&'-') {
            Some(_) => parse_class_character(rest)?,
            None => low,
        };
        ranges.push((low, high));
    }
}

fn parse_class_character(rest: &mut Characters<'_>) -> Result<char, &'static str> {
    match rest.next() {
        Some('-' | ']') => Err("a range lacks an end"),
        Some('\\') => rest.next().ok_or("a backslash ends it"),
        Some(character) => Ok(character),
        None => Err("`[` has no `]`"),
    }
}

/// Cleans a path as Go's `filepath.Clean` does, by its text alone.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match kept.last() {
                Some(&last) if last != ".." => {
                    kept.pop();
                }
                _ if rooted => {}
                _ => kept.push(".."),
            },
            _ => kept.push(part),
        }
    }
    let joined = kept.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(name.as_bytes())
    }

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("[x\\-]", "-", true),
            ("*x", "xxx", true),
            ("**", "ab", true),
            ("**", "a/b", false),
            ("**/x", "a/x", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern:?} {name:?}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in [
            "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "\\", "[\\",
        ] {
            assert!(Glob::parse(pattern).is_err(), "{pattern:?}");
        }
    }

    #[test]
    fn a_byte_that_is_no_text_is_one_character() {
        let glob = Glob::parse("a?b").unwrap();
        assert!(glob.matches(b"a\xffb"));
        assert!(!Glob::parse("a\u{fffd}b").unwrap().matches(b"a\xffb"));
    }

    #[test]
    fn paths_are_cleaned_by_text() {
        for (path, expected) in [
            ("", "."),
            ("./", "."),
            ("static/", "static"),
            ("./a//b/../c", "a/c"),
            ("../x", "../x"),
            ("a/../../x", "../x"),
            ("/../a", "/a"),
            ("/", "/"),
        ] {
            assert_eq!(clean(path), expected, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_and_no_name_panics(pattern in ".{0,20}", name in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(glob) = Glob::parse(&pattern) {
                glob.matches(&name);
            }
        }

        #[test]
        fn an_escaped_name_matches_itself(name in "[^\u{0}]{0,20}") {
            let pattern: String = name.chars().flat_map(|c| ['\\', c]).collect();
            prop_assert!(matches(&pattern, &name));
        }
    }
}
