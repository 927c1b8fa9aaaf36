//! Schemes, hosts and the few things that are done with URLs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

/// How a host is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scheme {
    /// In the clear.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> &'static str {
        match self {
            Self::Http => ":80",
            Self::Https => ":443",
        }
    }
}

/// Scheme and host with port: what credentials are bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Origin {
    /// The scheme.
    pub(crate) scheme: Scheme,
    /// Host and perhaps port, in lower case, without the scheme's own port.
    pub(crate) authority: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme.text(), self.authority)
    }
}

impl Origin {
    pub(crate) fn new(scheme: Scheme, authority: &str) -> Self {
        let lower = authority.to_ascii_lowercase();
        let bare = lower.strip_suffix(scheme.default_port()).unwrap_or(&lower);
        Self {
            scheme,
            authority: bare.to_owned(),
        }
    }

    /// Returns the host without its port.
    pub(crate) fn host(&self) -> &str {
        host_of_authority(&self.authority)
    }

    /// Returns whether the host has an address inside this machine's network. A name that is not known here
    /// (behind a proxy, say) has none.
    pub(crate) fn resolves_inside(&self) -> bool {
        let host = self.host();
        if let Some(address) = ip_of(host) {
            return is_inside(address);
        }
        (host, 0)
            .to_socket_addrs()
            .is_ok_and(|mut addresses| addresses.any(|address| is_inside(address.ip())))
    }

    /// Splits an absolute URL into its origin and the rest, which begins with a slash.
    ///
    /// `None` for other schemes, for user information, and for what no host name has.
    pub(crate) fn split(url: &str) -> Option<(Self, String)> {
        let (scheme, rest) = if let Some(rest) = strip_prefix_ignoring_case(url, "https://") {
            (Scheme::Https, rest)
        } else {
            (Scheme::Http, strip_prefix_ignoring_case(url, "http://")?)
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if authority.is_empty() || !authority.bytes().all(plain) {
            return None;
        }
        let path = path.split('#').next().unwrap_or_default();
        if path.bytes().any(|byte| byte <= b' ' || byte >= 0x7f) {
            return None;
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some((Self::new(scheme, authority), format!("{slash}{path}")))
    }

    /// Resolves a `Location` that came in answer to a request to this origin.
    pub(crate) fn resolve(&self, location: &str) -> Option<(Self, String)> {
        if location.starts_with("//") {
            return Self::split(&format!("{}:{location}", self.scheme.text()));
        }
        if location.starts_with('/') {
            return Self::split(&format!("{self}{location}"));
        }
        Self::split(location)
    }

    /// Returns whether two origins have the same host and port, whatever their schemes are.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        let bare = |origin: &Self| {
            let authority = origin.authority.as_str();
            let without = authority
                .strip_suffix(":80")
                .or_else(|| authority.strip_suffix(":443"));
            without.unwrap_or(authority).to_owned()
        };
        bare(self) == bare(other)
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    if !head.eq_ignore_ascii_case(prefix) {
        return None;
    }
    text.get(prefix.len()..)
}

fn host_of_authority(authority: &str) -> &str {
    if authority.starts_with('[') {
        let end = authority.find(']').map_or(authority.len(), |end| end + 1);
        return authority.get(..end).unwrap_or(authority);
    }
    authority.split(':').next().unwrap_or(authority)
}

fn ip_of(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

/// Returns whether an authority is this machine itself.
pub(crate) fn is_loopback(authority: &str) -> bool {
    let host = host_of_authority(authority);
    host.rsplit('.').next() == Some("localhost")
        || ip_of(host).is_some_and(|address| address.to_canonical().is_loopback())
}

/// Returns whether plain HTTP is accepted without being asked for: on this machine, and for names
/// that only a local network has.
pub(crate) fn allows_http(authority: &str) -> bool {
    is_loopback(authority) || host_of_authority(authority).rsplit('.').next() == Some("local")
}

/// Returns whether an address leads to this machine, its network, or a cloud's metadata service.
pub(crate) fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let shared = Ipv4Addr::new(100, 64, 0, 0).to_bits() >> 22;
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_broadcast()
                || address.is_multicast()
                || address.to_bits() >> 22 == shared
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

/// Returns whether two hosts belong to one site, so that one may vouch for the other's credentials.
///
/// There is no list of public suffixes here: the last two labels decide, three under suffixes such as
/// `co.uk`. Addresses have to be equal.
pub(crate) fn same_site(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    if ip_of(one).is_some() || ip_of(other).is_some() {
        return false;
    }
    match (site(one), site(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

fn site(host: &str) -> Option<Vec<&str>> {
    const GENERIC: [&str; 8] = ["ac", "co", "com", "edu", "gov", "net", "or", "org"];
    let mut labels: Vec<&str> = host.split('.').rev().collect();
    let kept = match labels.as_slice() {
        [top, second, ..] if top.len() == 2 && GENERIC.contains(second) => 3,
        _ => 2,
    };
    if labels.len() < kept || labels.iter().any(|label| label.is_empty()) {
        return None;
    }
    labels.truncate(kept);
    Some(labels)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(url: &str) -> Option<(String, String)> {
        Origin::split(url).map(|(origin, path)| (origin.to_string(), path))
    }

    #[test]
    fn urls_are_split_or_refused() {
        let good = [
            ("https://A.b/c?d=e#f", "https://a.b", "/c?d=e"),
            ("HTTP://a:80?x", "http://a", "/?x"),
            ("https://a:80", "https://a:80", "/"),
            ("http://[::1]:5000/v2/", "http://[::1]:5000", "/v2/"),
        ];
        for (url, origin, path) in good {
            assert_eq!(
                split(url),
                Some((origin.to_owned(), path.to_owned())),
                "{url}"
            );
        }
        for url in [
            "ftp://a/",
            "https://u:p@a/",
            "https:///x",
            "https://a b/",
            "/x",
            "https://a/\r\nx",
            "https://ä/",
        ] {
            assert_eq!(split(url), None, "{url}");
        }
    }

    #[test]
    fn locations_are_resolved_against_their_origin() {
        let origin = Origin::new(Scheme::Https, "r.io:5000");
        let cases = [
            ("/v2/x?y=z", Some(("https://r.io:5000", "/v2/x?y=z"))),
            ("//other/x", Some(("https://other", "/x"))),
            ("http://r.io:5000/x", Some(("http://r.io:5000", "/x"))),
            ("x/y", None),
        ];
        for (location, expected) in cases {
            let found = origin.resolve(location);
            let expected = expected.map(|(origin, path)| (origin.to_owned(), path.to_owned()));
            assert_eq!(
                found.map(|(origin, path)| (origin.to_string(), path)),
                expected,
                "{location}"
            );
        }
    }

    #[test]
    fn plain_http_is_for_loopback_and_local_names() {
        for authority in [
            "localhost:5000",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:5000",
            "a.local",
            "b.localhost:80",
            "x.local:5000",
        ] {
            assert!(allows_http(authority), "{authority}");
        }
        for authority in [
            "10.0.0.1:5000",
            "locallhost",
            "127.0.0.1.evil.io",
            "evil.io",
            "local.io",
            "192.168.1.1",
        ] {
            assert!(!allows_http(authority), "{authority}");
        }
    }

    #[test]
    fn one_site_has_one_registrable_name() {
        for (one, other) in [
            ("ghcr.io", "ghcr.io"),
            ("index.docker.io", "auth.docker.io"),
            ("registry.gitlab.com", "gitlab.com"),
            ("a.example.co.uk", "b.example.co.uk"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert!(same_site(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("ghcr.io", "evil.io"),
            ("docker.io.evil.com", "docker.io"),
            ("a.co.uk", "b.co.uk"),
            ("10.0.0.1", "20.0.0.1"),
            ("localhost", "evil"),
        ] {
            assert!(!same_site(one, other), "{one} {other}");
        }
    }

    #[test]
    fn inner_addresses_are_known() {
        for address in [
            "127.0.0.1",
            "10.1.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
        ] {
            assert!(is_inside(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "100.128.0.1", "2606:4700::1111"] {
            assert!(!is_inside(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn an_inner_host_is_known_by_its_address() {
        let inside = |authority| Origin::new(Scheme::Https, authority).resolves_inside();
        assert!(inside("10.0.0.1:5000") && inside("[fd00::1]") && inside("localhost:5000"));
        assert!(!inside("1.1.1.1"));
    }

    proptest! {
        #[test]
        fn any_url_is_split_into_parts_that_make_it_again(url in "(https?://)?\\PC{0,40}") {
            if let Some((origin, path)) = Origin::split(&url) {
                prop_assert!(path.starts_with('/'));
                let again = Origin::split(&format!("{origin}{path}"));
                prop_assert_eq!(again, Some((origin, path)));
            }
        }
    }

    #[test]
    fn a_default_port_does_not_make_another_place() {
        let ours = Origin::new(Scheme::Https, "r.io");
        assert!(ours.same_place(&Origin::new(Scheme::Http, "r.io:80")));
        assert!(ours.same_place(&Origin::new(Scheme::Http, "R.io")));
        assert!(!ours.same_place(&Origin::new(Scheme::Https, "r.io:8443")));
    }
}
