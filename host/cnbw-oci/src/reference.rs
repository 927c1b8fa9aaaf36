//! Names of images: where they are, and what they are called there.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::digest::Digest;

/// Registry of names that name none.
pub const DEFAULT_REGISTRY: &str = "index.docker.io";

/// Tag of names that have neither tag nor digest.
pub const DEFAULT_TAG: &str = "latest";

/// An image's name with the transport that leads to it, as skopeo and podman write it.
///
/// A path ends at the first colon, as there. After `@` a digest may stand instead of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageName {
    /// `docker://NAME`, or a plain name.
    Registry(RegistryRef),
    /// `oci:DIR[:TAG]`.
    Layout {
        /// The layout's directory.
        path: PathBuf,
        /// Which image of it: a tag or, as `sha256:…`, a digest.
        tag: Option<String>,
    },
    /// `oci-archive:FILE[:TAG]`.
    OciArchive {
        /// The archive.
        path: PathBuf,
        /// Which image of it: a tag or, as `sha256:…`, a digest.
        tag: Option<String>,
    },
    /// `docker-archive:FILE[:NAME]`.
    DockerArchive {
        /// The archive.
        path: PathBuf,
        /// Which image of it: `NAME:TAG`.
        tag: Option<String>,
    },
}

/// An image in a registry: always a registry, a repository, and a tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryRef {
    /// Host and perhaps port: `index.docker.io` for Docker Hub.
    pub registry: String,
    /// Path of the repository: `library/alpine`.
    pub repository: String,
    /// A tag or a digest.
    pub version: Version,
}

/// Which image of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The one that has this tag now.
    Tag(String),
    /// The one with this digest, for ever.
    Digest(Digest),
}

/// A text that does not name an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` does not name an image: {rule}", name.escape_debug())]
pub struct ReferenceError {
    /// The text.
    pub name: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl FromStr for ImageName {
    type Err = ReferenceError;

    fn from_str(name: &str) -> Result<Self, ReferenceError> {
        let wrong = |rule| ReferenceError {
            name: name.to_owned(),
            rule,
        };
        if let Some(plain) = name.strip_prefix("docker://") {
            return plain.parse().map(Self::Registry);
        }
        for transport in ["docker-daemon:", "containers-storage:", "dir:/", "dir:."] {
            if name.starts_with(transport) {
                return Err(wrong(
                    "images are kept in registries, layouts and archives only",
                ));
            }
        }
        let local = |rest: &str| split_path(rest).ok_or_else(|| wrong("the path is missing"));
        if let Some(rest) = name.strip_prefix("oci:") {
            let (path, tag) = local(rest)?;
            Ok(Self::Layout { path, tag })
        } else if let Some(rest) = name.strip_prefix("oci-archive:") {
            let (path, tag) = local(rest)?;
            Ok(Self::OciArchive { path, tag })
        } else if let Some(rest) = name.strip_prefix("docker-archive:") {
            let (path, tag) = local(rest)?;
            Ok(Self::DockerArchive { path, tag })
        } else {
            name.parse().map(Self::Registry)
        }
    }
}

/// Splits `PATH[:TAG]` or `PATH@DIGEST`.
fn split_path(rest: &str) -> Option<(PathBuf, Option<String>)> {
    let by_digest = rest
        .rsplit_once('@')
        .filter(|(_, digest)| digest.parse::<Digest>().is_ok());
    let (path, tag) = by_digest
        .or_else(|| rest.split_once(':'))
        .map_or((rest, None), |(path, tag)| {
            (path, Some(tag).filter(|tag| !tag.is_empty()))
        });
    (!path.is_empty()).then(|| (path.into(), tag.map(str::to_owned)))
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, tag) = match self {
            Self::Registry(reference) => return reference.fmt(f),
            Self::Layout { path, tag } => ("oci", path, tag),
            Self::OciArchive { path, tag } => ("oci-archive", path, tag),
            Self::DockerArchive { path, tag } => ("docker-archive", path, tag),
        };
        write!(f, "{transport}:{}", path.display())?;
        match tag {
            None => Ok(()),
            Some(digest) if digest.parse::<Digest>().is_ok() => write!(f, "@{digest}"),
            Some(tag) => write!(f, ":{tag}"),
        }
    }
}

impl RegistryRef {
    /// Registry and repository: `index.docker.io/library/alpine`.
    pub fn repository_name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same repository's image with a digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            version: Version::Digest(digest),
            ..self.clone()
        }
    }
}

impl FromStr for RegistryRef {
    type Err = ReferenceError;

    /// Reads a name and fills in what it leaves out, as the reference does: Docker Hub, `library/`, `latest`. A tag
    /// before a digest is dropped.
    fn from_str(name: &str) -> Result<Self, ReferenceError> {
        let wrong = |rule| ReferenceError {
            name: name.to_owned(),
            rule,
        };
        let (tagged, digest) = match name.split_once('@') {
            Some((tagged, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|_| wrong("after `@` comes `sha256:` and 64 hexadecimal digits"))?;
                (tagged, Some(digest))
            }
            None => (name, None),
        };
        let (base, tag) = match tagged.rsplit_once(':') {
            Some((base, tag)) if !tag.contains('/') => (base, Some(tag)),
            _ => (tagged, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("a tag has 1 to 128 letters, digits, `_`, `-` or `.`"));
        }
        let (registry, path) = split_registry(base);
        if registry.is_some_and(|registry| !is_registry(registry)) {
            return Err(wrong(
                "the registry is not of the form `host` or `host:port`",
            ));
        }
        if !is_repository(path) {
            return Err(wrong(
                "a repository has 2 to 255 lower-case letters, digits, `_`, `-`, `.` or `/`",
            ));
        }
        let registry = registry.map_or(DEFAULT_REGISTRY, |name| {
            if name == "docker.io" {
                DEFAULT_REGISTRY
            } else {
                name
            }
        });
        let official = registry == DEFAULT_REGISTRY && !path.contains('/');
        Ok(Self {
            registry: registry.to_owned(),
            repository: if official {
                format!("library/{path}")
            } else {
                path.to_owned()
            },
            version: match digest {
                Some(digest) => Version::Digest(digest),
                None => Version::Tag(tag.unwrap_or(DEFAULT_TAG).to_owned()),
            },
        })
    }
}

/// Splits off a registry: the first part is one if it looks like a host rather than like a user of Docker Hub.
fn split_registry(base: &str) -> (Option<&str>, &str) {
    match base.split_once('/') {
        Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) => {
            (Some(first), rest)
        }
        _ => (None, base),
    }
}

fn is_tag(tag: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=128).contains(&tag.len()) && tag.bytes().all(plain)
}

fn is_repository(path: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-./".contains(&byte);
    // Empty and dotted parts never get to a registry, where a URL would be resolved with them.
    let part = |part: &str| !matches!(part, "" | "." | "..");
    (2..=255).contains(&path.len()) && path.bytes().all(plain) && path.split('/').all(part)
}

fn is_registry(name: &str) -> bool {
    let (host, port) = match name.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("v6", port)
        }
        None => name.split_at(name.find(':').unwrap_or(name.len())),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let port_is_right = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok());
    !host.is_empty() && host.bytes().all(plain) && port_is_right
}

impl fmt::Display for RegistryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match &self.version {
            Version::Tag(tag) => write!(f, ":{tag}"),
            Version::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_a_name_leaves_out_is_filled_in() {
        let by_digest = format!("localhost:5000/a/b:1@{DIGEST}");
        let kept = format!("localhost:5000/a/b@{DIGEST}");
        for (name, full) in [
            ("ubuntu", "index.docker.io/library/ubuntu:latest"),
            ("me/app:1.0", "index.docker.io/me/app:1.0"),
            ("docker.io/ubuntu", "index.docker.io/library/ubuntu:latest"),
            ("docker.io/me/app", "index.docker.io/me/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"),
            ("ghcr.io/x/y/z:T_-.9", "ghcr.io/x/y/z:T_-.9"),
            ("[::1]:5000/app:1", "[::1]:5000/app:1"),
            (by_digest.as_str(), kept.as_str()),
        ] {
            assert_eq!(name.parse::<RegistryRef>().unwrap().to_string(), full);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = format!("a/{}", "b".repeat(254));
        let tag = format!("ab:{}", "t".repeat(129));
        for name in [
            "",
            "a",
            "Ubuntu",
            "me/app:",
            "me/app:a b",
            "me/app@sha256:00",
            "me/app@",
            "a.b:x/app",
            "a.b:99999/app",
            "host.x/../app",
            "host.x//app",
            "host.x/app/",
            "host.x/a?b",
            "user@host.x/app",
            ".x\n/app",
            &long,
            &tag,
            "[::1/app",
            "[zz]:1/app",
        ] {
            assert!(name.parse::<RegistryRef>().is_err(), "{name}");
        }
    }

    #[test]
    fn transports_lead_to_places() {
        let at = |path: &str, tag: Option<&str>| (PathBuf::from(path), tag.map(str::to_owned));
        let by_digest = format!("oci:/a/b@{DIGEST}");
        for (name, (path, tag)) in [
            ("oci:dir", at("dir", None)),
            ("oci:/a/b:tag", at("/a/b", Some("tag"))),
            ("oci:/a/b:x/y:1", at("/a/b", Some("x/y:1"))),
            ("oci:/a/b:", at("/a/b", None)),
            (by_digest.as_str(), at("/a/b", Some(DIGEST))),
        ] {
            assert_eq!(name.parse(), Ok(ImageName::Layout { path, tag }));
        }
        let (path, tag) = at("x.tar", Some("me/app:1"));
        assert_eq!(
            "docker-archive:x.tar:me/app:1".parse(),
            Ok(ImageName::DockerArchive { path, tag })
        );
        let (path, tag) = at("x.tar", None);
        assert_eq!(
            "oci-archive:x.tar".parse(),
            Ok(ImageName::OciArchive { path, tag })
        );
        assert_eq!(
            "docker://ubuntu".parse(),
            "ubuntu".parse::<RegistryRef>().map(ImageName::Registry)
        );
    }

    #[test]
    fn places_that_are_not_served_are_named_as_such() {
        for name in [
            "docker-daemon:x:1",
            "containers-storage:x",
            "dir:/x",
            "oci:",
            "oci-archive::t",
        ] {
            assert!(name.parse::<ImageName>().is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_name_reads_back(
            name in "(oci|oci-archive|docker-archive):[a-z/.]{1,20}(:[a-z0-9.:/]{1,10})?|([a-z0-9.]{1,9}(:[0-9]{1,4})?/)?[a-z0-9/._-]{2,20}(:[a-z]{1,5})?",
        ) {
            if let Ok(parsed) = name.parse::<ImageName>() {
                prop_assert_eq!(parsed.to_string().parse(), Ok(parsed));
            }
        }

        #[test]
        fn an_error_says_which_name(name in ".*") {
            if let Err(error) = name.parse::<ImageName>() {
                prop_assert!(name.ends_with(&error.name));
            }
        }
    }
}
