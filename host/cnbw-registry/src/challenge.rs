//! `WWW-Authenticate`: what a registry wants before it answers.

/// What a registry asks for, as far as we can give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Nothing.
    Open,
    /// User and password with each request.
    Basic,
    /// A token from a token service.
    Bearer(Bearer),
    /// Something else; its name.
    Unknown(String),
}

/// Where tokens are had, and for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// URL of the token service.
    pub(crate) realm: String,
    /// What the registry calls itself towards it.
    pub(crate) service: Option<String>,
    /// Scopes that the registry named.
    pub(crate) scopes: Vec<String>,
}

impl Challenge {
    /// Picks the first challenge of some header values that we know how to meet.
    pub(crate) fn pick<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let offers: Vec<Offer> = values.flat_map(parse_offers).collect();
        offers
            .iter()
            .find_map(Offer::known)
            .unwrap_or_else(|| match offers.into_iter().next() {
                Some(offer) => Self::Unknown(offer.scheme),
                None => Self::Unknown(String::new()),
            })
    }
}

/// One challenge as it stands in the header.
#[derive(Debug, PartialEq, Eq)]
struct Offer {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Offer {
    fn known(&self) -> Option<Challenge> {
        if self.scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        if !self.scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        Some(Challenge::Bearer(Bearer {
            realm: self.parameter("realm").unwrap_or_default().to_owned(),
            service: self.parameter("service").map(str::to_owned),
            scopes: self
                .parameter("scope")
                .unwrap_or_default()
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
        }))
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Parses one header value, which may hold several challenges.
fn parse_offers(value: &str) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    for item in split_outside_quotes(value) {
        let item = item.trim();
        let name_end = item.find(['=', ' ', '"']).unwrap_or(item.len());
        let (name, rest) = item.split_at(name_end);
        let rest = rest.trim_start();
        let parameter = if rest.starts_with('=') {
            item
        } else {
            if !name.is_empty() {
                offers.push(Offer {
                    scheme: name.to_owned(),
                    parameters: Vec::new(),
                });
            }
            rest
        };
        if let (Some((name, value)), Some(offer)) = (parameter.split_once('='), offers.last_mut()) {
            let name = name.trim().to_owned();
            offer.parameters.push((name, unquote(value.trim())));
        }
    }
    offers
}

fn split_outside_quotes(value: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let mut quoted = false;
    let mut escaped = false;
    let mut begin = 0;
    for (position, character) in value.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                items.extend(value.get(begin..position));
                begin = position + 1;
            }
            _ => {}
        }
    }
    items.extend(value.get(begin..));
    items
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else {
        return value.to_owned();
    };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut out = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(characters.next()),
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scopes: &[&str]) -> Challenge {
        Challenge::Bearer(Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        })
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let cases = [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    &["repository:a/b:pull,push"],
                ),
            ),
            (
                r#"bearer service="a, b" , realm = "https://x/\"y\"""#,
                bearer("https://x/\"y\"", Some("a, b"), &[]),
            ),
            (
                r#"Bearer realm=https://x/y,scope="a b""#,
                bearer("https://x/y", None, &["a", "b"]),
            ),
            (r#"Basic realm="Registry Realm""#, Challenge::Basic),
            ("BASIC", Challenge::Basic),
            (r#"Negotiate, Basic realm="x""#, Challenge::Basic),
            (
                "Negotiate abc==",
                Challenge::Unknown("Negotiate".to_owned()),
            ),
            ("", Challenge::Unknown(String::new())),
        ];
        for (value, challenge) in cases {
            assert_eq!(Challenge::pick([value].into_iter()), challenge, "{value}");
        }
    }

    #[test]
    fn the_first_known_challenge_of_several_headers_is_taken() {
        let values = [
            "Negotiate",
            r#"Basic realm="x""#,
            r#"Bearer realm="https://y""#,
        ];
        assert_eq!(Challenge::pick(values.into_iter()), Challenge::Basic);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(value in "\\PC*") {
            drop(Challenge::pick([value.as_str()].into_iter()));
        }

        #[test]
        fn what_is_quoted_comes_back(realm in "[ -~]*", service in "[ -~]*") {
            let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let value = format!("Bearer realm=\"{}\",service=\"{}\"", quote(&realm), quote(&service));
            let expected = bearer(&realm, Some(&service), &[]);
            prop_assert_eq!(Challenge::pick([value.as_str()].into_iter()), expected);
        }
    }
}
