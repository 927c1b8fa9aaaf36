//! Which entries of an archive are wanted.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Patterns of a filter together, and bytes of each. They come from programs that are not trusted.
const MAX_PATTERNS: usize = 256;
const MAX_PATTERN_BYTES: usize = 1024;

/// Why a filter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// More patterns than are looked at.
    #[error("a filter may have {MAX_PATTERNS} patterns, and this has {0}")]
    TooMany(usize),
    /// A pattern is too long.
    #[error("a pattern may have {MAX_PATTERN_BYTES} bytes, and one has {0}")]
    TooLong(usize),
    /// A pattern is no glob.
    #[error("pattern `{}` is no glob: {}", pattern.escape_debug(), rule.escape_debug())]
    Syntax {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        rule: String,
    },
    /// All patterns together are too much.
    #[error("the patterns are too complex together")]
    Complex,
}

/// Chooses entries by their names.
///
/// Patterns are globs over the name as it stands in the archive, before anything is stripped: `*` and `?` do not match a
/// slash, `**` does, and there are `[a-z]` and `{a,b}`. A pattern that matches a directory's name takes in all that is
/// below it, so that a plain path is a prefix. Matching takes time in proportion to the name, whatever the pattern.
#[derive(Clone, Debug)]
pub struct Filter {
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

impl Filter {
    /// Every entry.
    pub fn everything() -> Self {
        Self {
            include: None,
            exclude: None,
        }
    }

    /// Entries that one of `include` matches (all, if there are none), without those that one of `exclude` does.
    pub fn new<S: AsRef<str>>(include: &[S], exclude: &[S]) -> Result<Self, FilterError> {
        let count = include.len().saturating_add(exclude.len());
        if count > MAX_PATTERNS {
            return Err(FilterError::TooMany(count));
        }
        Ok(Self {
            include: set(include)?,
            exclude: set(exclude)?,
        })
    }

    /// Returns whether an entry is wanted. The name is in its normal form.
    pub(crate) fn wants(&self, name: &[u8]) -> bool {
        let included = self
            .include
            .as_ref()
            .is_none_or(|include| matches(include, name));
        let excluded = self
            .exclude
            .as_ref()
            .is_some_and(|exclude| matches(exclude, name));
        included && !excluded
    }
}

/// Returns whether the set matches the name or a directory that it is in.
fn matches(set: &GlobSet, name: &[u8]) -> bool {
    let ends = name
        .iter()
        .enumerate()
        .filter_map(|(index, byte)| (*byte == b'/').then_some(index))
        .chain([name.len()]);
    ends.filter_map(|end| name.get(..end))
        .any(|prefix| set.is_match(OsStr::from_bytes(prefix)))
}

fn set<S: AsRef<str>>(patterns: &[S]) -> Result<Option<GlobSet>, FilterError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        let pattern = pattern.as_ref();
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(FilterError::TooLong(pattern.len()));
        }
        // Written as prefixes are written elsewhere.
        let plain = pattern.strip_prefix("./").unwrap_or(pattern);
        let plain = plain.strip_suffix('/').unwrap_or(plain);
        let glob = GlobBuilder::new(plain)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| FilterError::Syntax {
                pattern: pattern.to_owned(),
                rule: error.kind().to_string(),
            })?;
        builder.add(glob);
    }
    builder.build().map(Some).map_err(|_| FilterError::Complex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_names_and_what_is_below() {
        let filter =
            Filter::new(&["go/bin", "./go/src/**/*.go", "*.md"], &["go/bin/old/"]).unwrap();
        for name in [
            "go/bin",
            "go/bin/go",
            "go/bin/x/y",
            "go/src/a/b.go",
            "go/src/b.go",
            "a.md",
        ] {
            assert!(filter.wants(name.as_bytes()), "{name}");
        }
        for name in [
            "go",
            "go/binary",
            "go/src/a.c",
            "go/bin/old",
            "go/bin/old/x",
            "x/a.md",
        ] {
            assert!(!filter.wants(name.as_bytes()), "{name}");
        }
        assert!(Filter::everything().wants(b"x"));
        assert!(
            Filter::new(&["a\u{fc}*"], &[])
                .unwrap()
                .wants("aü\u{1}".as_bytes())
        );
    }

    #[test]
    fn filters_that_ask_too_much_are_refused() {
        let many = vec!["a"; MAX_PATTERNS + 1];
        assert_eq!(
            Filter::new(&many, &[]).unwrap_err(),
            FilterError::TooMany(MAX_PATTERNS + 1)
        );
        let long = "x".repeat(MAX_PATTERN_BYTES + 1);
        let error = Filter::new(&[long.as_str()], &[]).unwrap_err();
        assert_eq!(error, FilterError::TooLong(MAX_PATTERN_BYTES + 1));
        let error = Filter::new(&["[z"], &[]).unwrap_err();
        assert!(matches!(error, FilterError::Syntax { .. }), "{error}");
    }

    #[test]
    fn a_pattern_cannot_make_matching_slow() {
        let pattern = "*a".repeat(300);
        let filter = Filter::new(&[pattern.as_str()], &[]).unwrap();
        let begin = std::time::Instant::now();
        assert!(!filter.wants("a".repeat(250).as_bytes()));
        assert!(begin.elapsed().as_secs() < 5);
    }
}
