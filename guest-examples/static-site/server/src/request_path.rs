//! Request paths: from what a client sends to names below the web root.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

/// The one name with a leading dot that is public: RFC 8615.
const WELL_KNOWN: &str = ".well-known";

/// What a path segment in a `Location` must not contain as it is.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// The longest path that is looked up; the system's own limit.
const MAX_LENGTH: usize = 4096;

/// A path that is safe to look up: every name is an ordinary one, none is hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestPath {
    names: Vec<String>,
    /// Whether it ends in a slash, so that only a directory can be meant.
    pub(crate) is_directory: bool,
}

/// Why a path is not looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathRefusal {
    /// It cannot come from an honest client.
    Malformed,
    /// It names something that is not public.
    Hidden,
}

impl RequestPath {
    /// Parses the path of a request target. Doubled slashes count as one.
    pub(crate) fn parse(path: &str) -> Result<Self, PathRefusal> {
        if !path.starts_with('/') || path.len() > MAX_LENGTH {
            return Err(PathRefusal::Malformed);
        }
        let mut names = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            names.push(decode_segment(segment)?);
        }
        let is_directory = path.ends_with('/');
        if names
            .iter()
            .any(|name| name.starts_with('.') && name != WELL_KNOWN)
        {
            return Err(PathRefusal::Hidden);
        }
        Ok(Self {
            names,
            is_directory,
        })
    }

    /// The path relative to the web root; `.` for the root itself.
    pub(crate) fn relative(&self) -> String {
        if self.names.is_empty() {
            ".".to_owned()
        } else {
            self.names.join("/")
        }
    }

    /// The path of the same name with a slash, for a `Location`. It always starts with exactly one slash, so that it
    /// can never name another host.
    pub(crate) fn directory_location(&self) -> String {
        let mut location = String::from("/");
        for name in &self.names {
            location.extend(utf8_percent_encode(name, SEGMENT));
            location.push('/');
        }
        location
    }
}

fn decode_segment(segment: &str) -> Result<String, PathRefusal> {
    // The decoder lets a stray percent sign pass; a client that means one sends `%25`.
    let well_formed = segment.split('%').skip(1).all(|rest| {
        let mut digits = rest.bytes().take(2);
        digits.len() == 2 && digits.all(|digit| digit.is_ascii_hexdigit())
    });
    let name = percent_decode(segment.as_bytes())
        .decode_utf8()
        .map_err(|_| PathRefusal::Malformed)?;
    if !well_formed || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(PathRefusal::Malformed);
    }
    Ok(name.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_paths_are_names_below_the_root() {
        for (path, relative, is_directory) in [
            ("/", ".", true),
            ("/a", "a", false),
            ("/a/b.html", "a/b.html", false),
            ("/a/", "a", true),
            ("//a///b//", "a/b", true),
            ("/%61%20b", "a b", false),
            ("/%C3%BC", "ü", false),
            ("/a%25b", "a%b", false),
            (
                "/.well-known/security.txt",
                ".well-known/security.txt",
                false,
            ),
            ("/a..b", "a..b", false),
        ] {
            let parsed = RequestPath::parse(path).unwrap();
            assert_eq!(
                (parsed.relative().as_str(), parsed.is_directory),
                (relative, is_directory),
                "{path}"
            );
        }
    }

    #[test]
    fn paths_that_could_escape_are_malformed() {
        for path in [
            "",
            "a",
            "*",
            "/..",
            "/../etc/passwd",
            "/a/../b",
            "/./a",
            "/%2e%2e/x",
            "/%2E",
            "/.%2e",
            "/a%2fb",
            "/a%2Fb",
            "/a%00",
            "/%",
            "/%4",
            "/%zz",
            "/a%c3",
            "/%ff",
        ] {
            assert_eq!(
                RequestPath::parse(path),
                Err(PathRefusal::Malformed),
                "{path}"
            );
        }
        assert_eq!(
            RequestPath::parse(&format!("/{}", "a".repeat(5000))),
            Err(PathRefusal::Malformed)
        );
    }

    #[test]
    fn names_with_a_leading_dot_are_hidden() {
        for path in [
            "/.git/config",
            "/a/.env",
            "/%2eenv",
            "/.well-known/.x",
            "/.well-knownx",
            "/...",
        ] {
            assert_eq!(RequestPath::parse(path), Err(PathRefusal::Hidden), "{path}");
        }
    }

    #[test]
    fn a_location_names_no_other_host() {
        for (path, location) in [
            ("//evil.example", "/evil.example/"),
            ("/%5Cevil", "/%5Cevil/"),
            ("/a b%3F", "/a%20b%3F/"),
            ("/ü", "/%C3%BC/"),
        ] {
            assert_eq!(
                RequestPath::parse(path).unwrap().directory_location(),
                location,
                "{path}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_root(path in "(/|[.]|%2[eEfF]|%00|%|\\\\|[a-z]|ü){0,20}") {
            if let Ok(parsed) = RequestPath::parse(&format!("/{path}")) {
                let relative = parsed.relative();
                prop_assert!(!relative.starts_with('/'));
                prop_assert!(relative == "." || relative.split('/').all(|name| !name.is_empty() && name != "." && name != ".."));
                prop_assert!(!relative.contains('\0'));
                let location = parsed.directory_location();
                prop_assert_eq!(RequestPath::parse(&location).unwrap().relative(), relative);
                prop_assert!(!location.starts_with("//") && !location.starts_with("/\\"));
            }
        }
    }
}
