//! Addresses of downloads: the part of URLs that cannot be read in two ways.
//!
//! A grant is only as good as the comparison with it. So what servers, proxies and libraries are known to read
//! differently is refused here: user names, backslashes, `.` and `..` in any spelling, numbers that stand for IP
//! addresses, names that are not ASCII. The rest is brought into one form, which is what is sent.

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest address in bytes.
const MAX_ADDRESS_BYTES: usize = 4096;

/// Longest host name in bytes, and longest part of one, as DNS has it.
const MAX_HOST_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// An `https` or `http` address in its one form: lowercase host, no default port, an absolute path, percent
/// escapes only where they are needed. It has no user name and no fragment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub(super) origin: Origin,
    /// Starts with `/`.
    path: String,
    query: Option<String>,
}

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Origin {
    pub(super) is_https: bool,
    pub(super) host: String,
    /// `None` is the scheme's own.
    pub(super) port: Option<u16>,
}

/// A text that is no address that cnbw downloads from: the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct AddressError {
    pub(super) rule: &'static str,
}

pub(super) fn broken(rule: &'static str) -> AddressError {
    AddressError { rule }
}

impl Address {
    /// Parses an address and brings it into its one form.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (is_https, rest) = split_scheme(text)?;
        let (authority, rest) = split_authority(rest);
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let path = if path.is_empty() { "/" } else { path };
        let path = path
            .split('/')
            .map(normal_segment)
            .collect::<Result<Vec<_>, _>>()?
            .join("/");
        Ok(Self {
            origin: Origin::parse(is_https, authority)?,
            path,
            query: query.map(normal_query).transpose()?,
        })
    }

    /// Whether the way to the server is encrypted.
    pub fn is_https(&self) -> bool {
        self.origin.is_https
    }

    /// Host name or IP address; version 6 in brackets.
    pub fn host(&self) -> &str {
        &self.origin.host
    }

    /// The parts between the slashes of the path.
    pub(super) fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').skip(1)
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The address without its query: the narrowest pattern that has no query of its own.
    pub(super) fn without_query(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.origin, self.path)?;
        match &self.query {
            Some(query) => write!(formatter, "?{query}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(formatter, "{scheme}://{}", self.host)?;
        match self.port {
            Some(port) => write!(formatter, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Checks what is true of every address and takes the scheme off.
pub(super) fn split_scheme(text: &str) -> Result<(bool, &str), AddressError> {
    if text.len() > MAX_ADDRESS_BYTES {
        return Err(broken("an address has at most 4096 bytes"));
    }
    if !text.is_ascii() {
        return Err(broken(
            "an address is ASCII: names in other scripts are written as `xn--…`, and other characters of a path as `%…`",
        ));
    }
    if let Some(rest) = text.strip_prefix("https://") {
        return Ok((true, rest));
    }
    text.strip_prefix("http://")
        .map(|rest| (false, rest))
        .ok_or(broken("an address starts with `https://` or `http://`"))
}

/// Splits host and port from what follows.
pub(super) fn split_authority(rest: &str) -> (&str, &str) {
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    rest.split_at(end)
}

impl Origin {
    pub(super) fn parse(is_https: bool, authority: &str) -> Result<Self, AddressError> {
        if authority.contains('@') {
            return Err(broken("an address has no user name and no password"));
        }
        let (host, port) = split_port(authority)?;
        let default = if is_https { 443 } else { 80 };
        Ok(Self {
            is_https,
            host: normal_host(host)?,
            port: port.filter(|port| *port != default),
        })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), AddressError> {
    let after_host = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']').map_or(0, |end| end + 2),
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority
        .split_at_checked(after_host)
        .unwrap_or((authority, ""));
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.strip_prefix(':').unwrap_or_default();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    match digits.parse() {
        Ok(port) if is_number => Ok((host, Some(port))),
        _ => Err(broken("a port is a number from 1 to 65535")),
    }
}

fn normal_host(host: &str) -> Result<String, AddressError> {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').unwrap_or_default();
        let address: Ipv6Addr = inner
            .parse()
            .map_err(|_| broken("brackets hold an IP address of version 6"))?;
        return Ok(format!("[{address}]"));
    }
    let host = host.to_ascii_lowercase();
    if host.is_empty() || host.len() > MAX_HOST_BYTES {
        return Err(broken("a host name has 1 to 253 bytes"));
    }
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if !host.split('.').all(is_label) {
        return Err(broken(
            "a host name is made of letters, digits, `-` and `_`, with single dots between",
        ));
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_numeric = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if is_numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(broken(
            "a host that ends in a number is an IP address of four plain decimal numbers",
        ));
    }
    Ok(host)
}

/// The one form of a part of a path. Refuses what some server reads as a way up or as another part.
pub(super) fn normal_segment(segment: &str) -> Result<String, AddressError> {
    let normal = normal_text(segment, |byte| matches!(byte, b':' | b'@'))?;
    // Twice, because a proxy may decode once and the server again.
    let once = decode(normal.as_bytes());
    let twice = decode(&once);
    for bytes in [&once, &twice] {
        if bytes.iter().any(u8::is_ascii_control) {
            return Err(broken("a path has no control characters, escaped or not"));
        }
        let mut parts = bytes.split(|byte| matches!(byte, b'/' | b'\\'));
        if parts.any(|part| matches!(part, b"." | b"..")) {
            return Err(broken("a path has no `.` and no `..`, escaped or not"));
        }
    }
    Ok(normal)
}

pub(super) fn normal_query(query: &str) -> Result<String, AddressError> {
    let normal = normal_text(query, |byte| matches!(byte, b':' | b'@' | b'/' | b'?'))?;
    if decode(normal.as_bytes()).iter().any(u8::is_ascii_control) {
        return Err(broken("a query has no control characters, escaped or not"));
    }
    Ok(normal)
}

/// Decodes escapes that need not be, and writes the others in upper case.
fn normal_text(text: &str, also: fn(u8) -> bool) -> Result<String, AddressError> {
    let mut normal = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| byte.and_then(hex_value);
            let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                return Err(broken("`%` is followed by two hexadecimal digits"));
            };
            let decoded = high << 4 | low;
            if is_unreserved(decoded) {
                normal.push(char::from(decoded));
            } else {
                let _infallible = write!(normal, "%{decoded:02X}");
            }
        } else if is_unreserved(byte) || is_sub_delimiter(byte) || also(byte) {
            normal.push(char::from(byte));
        } else if byte == b'#' {
            return Err(broken("an address has no fragment"));
        } else {
            return Err(broken(
                "blanks, quotes, brackets, backslashes and the like are written as `%…`",
            ));
        }
    }
    Ok(normal)
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%'
            && let [high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (hex_value(*high), hex_value(*low))
        {
            decoded.push(high << 4 | low);
            rest = after;
        } else {
            decoded.push(*first);
        }
    }
    decoded
}

fn hex_value(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn is_sub_delimiter(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_form_is_made_of_many_spellings() {
        for (text, normal) in [
            ("https://example.org", "https://example.org/"),
            ("https://EXAMPLE.org:443/a", "https://example.org/a"),
            ("http://example.org:80/a", "http://example.org/a"),
            ("http://example.org:443/a", "http://example.org:443/a"),
            ("https://example.org/%61%2d%7E", "https://example.org/a-~"),
            (
                "https://registry.npmjs.org/@babel%2fcore",
                "https://registry.npmjs.org/@babel%2Fcore",
            ),
            ("https://e.org/a?b=%2f&c", "https://e.org/a?b=%2F&c"),
            ("https://e.org?x", "https://e.org/?x"),
            (
                "https://[2001:DB8::0001]:8443/",
                "https://[2001:db8::1]:8443/",
            ),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
            (
                "https://xn--bcher-kva.example/",
                "https://xn--bcher-kva.example/",
            ),
            ("https://e.org/a//b/", "https://e.org/a//b/"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), normal);
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "ftp://e.org/",
            "HTTPS://e.org/",
            "https:/e.org/",
            "https:///x",
            "https://user@e.org/",
            "https://e.org:pass@evil.org/",
            "https://e.org\\@evil.org/",
            "https://e.org#@evil.org/",
            "https://e.org/#x",
            "https://bücher.example/",
            "https://e.org./",
            "https://.e.org/",
            "https://e..org/",
            "https://-e.org/",
            "https://e.org:0/",
            "https://e.org:65536/",
            "https://e.org:+80/",
            "https://e.org:/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://127.1/",
            "https://0177.0.0.1/",
            "https://127.0.0.0x1/",
            "https://[::1",
            "https://[::1]x/",
            "https://[v1.x]/",
            "https://e.org/a/../b",
            "https://e.org/a/./b",
            "https://e.org/a/..",
            "https://e.org/%2e%2E/b",
            "https://e.org/a/.%2e/b",
            "https://e.org/a%2f..%2fb",
            "https://e.org/a%5c..%5cb",
            "https://e.org/%252e%252e/b",
            "https://e.org/a\\..\\b",
            "https://e.org/a b",
            "https://e.org/a%",
            "https://e.org/a%0",
            "https://e.org/a%zz",
            "https://e.org/a%0d%0aHost:",
            "https://e.org/a\n",
            "https://e.org/a?b\"",
            "https://e.org/a?b%00",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        assert!(Address::parse(&format!("https://e.org/{}", "a".repeat(4096))).is_err());
    }

    proptest! {
        #[test]
        fn the_one_form_is_its_own_form(text in "https?://[a-zA-Z0-9.]{1,12}(:[0-9]{1,5})?(/[a-z%0-9A-F.@~*]{0,6}){0,4}(\\?[a-z=%0-9/]{0,6})?") {
            if let Ok(address) = Address::parse(&text) {
                let printed = address.to_string();
                prop_assert_eq!(Address::parse(&printed).unwrap(), address);
            }
        }

        #[test]
        fn no_text_at_all_makes_it_panic(text in ".{0,60}") {
            let _either = Address::parse(&text).is_ok();
        }
    }
}
