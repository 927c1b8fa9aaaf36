//! What addresses mean for a connection: who is meant, and whether that is inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cnbw_spec::download::Address;

/// The metadata service of one cloud has an address that looks like any private one.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Where a connection may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reach {
    /// Nowhere inside this machine or its network.
    Outside,
    /// Inside as well, but to no address that only the machine's surroundings are meant to serve: clouds give
    /// credentials away there.
    Near,
    /// Anywhere: the operator listed the host.
    Anywhere,
}

impl Reach {
    /// Returns whether a connection may lead to an address.
    pub(crate) fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Outside => !is_inside(address) && !is_local_service(address),
            Self::Near => !is_local_service(address),
            Self::Anywhere => true,
        }
    }
}

/// Host and port as they stand in an address: `example.org`, `127.0.0.1:8080`.
pub(crate) fn authority(address: &Address) -> String {
    let text = address.to_string();
    let (_, rest) = text.split_once("://").unwrap_or_default();
    rest.split(['/', '?']).next().unwrap_or_default().to_owned()
}

/// The address as it is shown: values in a query may be secrets.
pub(crate) fn shown_address(address: &Address) -> String {
    let text = address.to_string();
    match text.split_once('?') {
        Some((address, _)) => format!("{address}?…"),
        None => text,
    }
}

/// The IP address that a host is, if it is no name.
pub(crate) fn ip_of(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

/// Returns whether a host is this machine by its very name.
pub(crate) fn names_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || ip_of(host).is_some_and(|address| address.to_canonical().is_loopback())
}

/// Resolves a `Location` that came in answer to a request for an address.
pub(crate) fn resolve(from: &Address, location: &str) -> Result<Address, String> {
    // A fragment is for browsers.
    let location = location.split('#').next().unwrap_or_default();
    let scheme = if from.is_https() { "https" } else { "http" };
    let has_scheme = location.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    let absolute = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{}{location}", authority(from))
    } else if has_scheme {
        // Schemes may be written in any case.
        match location.split_once("://") {
            Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
            None => location.to_owned(),
        }
    } else {
        let text = from.to_string();
        let path = text.split('?').next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or(path, |(folder, _)| folder);
        format!("{folder}/{location}")
    };
    Address::parse(&absolute).map_err(|error| error.to_string())
}

/// Returns whether an address leads to this machine or its network.
fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let shared = Ipv4Addr::new(100, 64, 0, 0).to_bits() >> 22;
            address.is_loopback() || address.is_private() || address.to_bits() >> 22 == shared
        }
        IpAddr::V6(address) => {
            // An address of version 4 that is to be translated on the way leads where that one does.
            let translated = match address.segments() {
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
                }
                _ => None,
            };
            address.is_loopback()
                || address.is_unique_local()
                || translated.is_some_and(|address| is_inside(address.into()))
        }
    }
}

/// Returns whether an address means nobody in particular, or a service of the surroundings.
fn is_local_service(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            first == 0
                || address.is_link_local()
                || address.is_broadcast()
                || address.is_multicast()
        }
        IpAddr::V6(address) => {
            let translated = match address.segments() {
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
                }
                _ => None,
            };
            address.is_unspecified()
                || address.is_multicast()
                || address.is_unicast_link_local()
                || address == METADATA_V6
                || translated.is_some_and(|address| is_local_service(address.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn addresses_are_outside_inside_or_services_of_the_surroundings() {
        let reaches = [Reach::Outside, Reach::Near, Reach::Anywhere];
        for (ip, allowed) in [
            ("1.1.1.1", [true, true, true]),
            ("2606:4700::1111", [true, true, true]),
            ("127.0.0.1", [false, true, true]),
            ("10.1.1.1", [false, true, true]),
            ("192.168.0.1", [false, true, true]),
            ("100.64.0.1", [false, true, true]),
            ("::1", [false, true, true]),
            ("fd00::1", [false, true, true]),
            ("::ffff:127.0.0.1", [false, true, true]),
            ("64:ff9b::a00:1", [false, true, true]),
            ("169.254.169.254", [false, false, true]),
            ("::ffff:169.254.169.254", [false, false, true]),
            ("64:ff9b::a9fe:a9fe", [false, false, true]),
            ("fd00:ec2::254", [false, false, true]),
            ("fe80::1", [false, false, true]),
            ("0.0.0.0", [false, false, true]),
            ("::", [false, false, true]),
            ("255.255.255.255", [false, false, true]),
            ("224.0.0.1", [false, false, true]),
        ] {
            let found = reaches.map(|reach| reach.allows(ip.parse().unwrap()));
            assert_eq!(found, allowed, "{ip}");
        }
    }

    #[test]
    fn locations_are_resolved_against_what_was_asked_for() {
        let from = address("https://a.io:8443/x/y?q=1");
        for (location, expected) in [
            ("/z#f", Some("https://a.io:8443/z")),
            ("z?k=v", Some("https://a.io:8443/x/z?k=v")),
            ("//b.io/z", Some("https://b.io/z")),
            ("HTTPS://b.io", Some("https://b.io/")),
            ("http://b.io/", Some("http://b.io/")),
            ("https://u:p@b.io/", None),
            ("ftp://b.io/", None),
            ("file:/etc/passwd", None),
            ("../z", None),
            ("https://2130706433/", None),
            ("https://0x7f.1/", None),
        ] {
            let found = resolve(&from, location)
                .ok()
                .map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn hosts_are_read_off_addresses() {
        assert_eq!(authority(&address("https://A.io:443/x")), "a.io");
        assert_eq!(authority(&address("http://[::1]:80?x")), "[::1]");
        assert_eq!(
            authority(&address("http://127.0.0.1:8080/a?b")),
            "127.0.0.1:8080"
        );
        assert_eq!(
            shown_address(&address("https://a.io/x?token=s")),
            "https://a.io/x?…"
        );
        assert!(names_this_machine("localhost") && names_this_machine("127.1.1.1"));
        assert!(names_this_machine("[::1]") && !names_this_machine("localhost.io"));
    }
}
