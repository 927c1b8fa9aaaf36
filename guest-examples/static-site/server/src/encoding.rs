//! Which precompressed variant of a file a client takes.

use hyper::header::{ACCEPT_ENCODING, HeaderMap};

/// A coding that a file may be stored in beside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Brotli, in `NAME.br`.
    Brotli,
    /// Gzip, in `NAME.gz`.
    Gzip,
}

impl Coding {
    /// All codings, the better ones first.
    pub(crate) const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// The name in headers.
    pub(crate) fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// What a variant's name has after the file's own.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// Lists the codings that a client takes, best first: by its own weight, then by ours.
    pub(crate) fn accepted(headers: &HeaderMap) -> Vec<Self> {
        let values = headers
            .get_all(ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let elements: Vec<(&str, u16)> = values
            .flat_map(|value| value.split(','))
            .map(parse_element)
            .collect();
        let weight = |coding: Self| {
            let of = |token: &str| {
                elements
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(token))
                    .map(|(_, weight)| *weight)
            };
            let named = of(coding.token()).or_else(|| {
                if coding == Self::Gzip {
                    of("x-gzip")
                } else {
                    None
                }
            });
            named.or_else(|| of("*")).unwrap_or(0)
        };
        let mut accepted: Vec<(Self, u16)> = Self::ALL
            .into_iter()
            .map(|coding| (coding, weight(coding)))
            .collect();
        accepted.retain(|(_, weight)| *weight > 0);
        accepted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        accepted.into_iter().map(|(coding, _)| coding).collect()
    }
}

/// Splits an element into its name and its weight in thousandths; a weight that is none counts as zero.
fn parse_element(element: &str) -> (&str, u16) {
    let mut parts = element.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (name, weight.map_or(1000, parse_weight))
}

fn parse_weight(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "1" if is_number => 1000,
        "0" if is_number => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_follow_the_clients_weights() {
        use Coding::{Brotli, Gzip};
        let cases: &[(&str, &[Coding])] = &[
            ("", &[]),
            ("identity", &[]),
            ("gzip", &[Gzip]),
            ("gzip, deflate, br, zstd", &[Brotli, Gzip]),
            ("br;q=0.5, gzip;q=0.8", &[Gzip, Brotli]),
            ("br;q=0, gzip", &[Gzip]),
            ("*", &[Brotli, Gzip]),
            ("*;q=0.1, br;q=0.0", &[Gzip]),
            ("GZIP ; Q=0.05", &[Gzip]),
            ("x-gzip", &[Gzip]),
            ("gzip;q=2, br;q=0.0001", &[]),
        ];
        for (value, expected) in cases {
            let headers: HeaderMap = [(ACCEPT_ENCODING, value.parse().unwrap())]
                .into_iter()
                .collect();
            assert_eq!(Coding::accepted(&headers), *expected, "{value}");
        }
        assert_eq!(Coding::accepted(&HeaderMap::new()), []);
    }
}
