//! What a buildpack asks for: `[metadata.cnbw.grants]` of `buildpack.toml`.

use super::pattern::AddressPattern;
use super::{Address, Verb};
use crate::document::{Document, DocumentError, Reader, escape};

/// What a buildpack declares that it downloads. Empty if it declares nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Grants {
    /// Files with a digest that is known before.
    pub fetch: Vec<AddressPattern>,
    /// Documents without one.
    pub lookup: Vec<AddressPattern>,
}

impl Grants {
    /// The patterns of a verb.
    pub fn of(&self, verb: Verb) -> &[AddressPattern] {
        match verb {
            Verb::Fetch => &self.fetch,
            Verb::Lookup => &self.lookup,
        }
    }

    /// Whether a download is declared.
    pub fn declare(&self, verb: Verb, address: &Address) -> bool {
        self.of(verb).iter().any(|pattern| pattern.matches(address))
    }

    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.fetch.is_empty() && self.lookup.is_empty()
    }
}

/// Parses the grants in `buildpack.toml`. A key that is not known is an error: it would be a power that the
/// buildpack counts on and does not get.
pub fn parse_grants(file: &str, bytes: &[u8]) -> Result<Grants, DocumentError> {
    let document = Document::parse(file, bytes)?;
    let mut table = document.root();
    for name in ["metadata", "cnbw", "grants"] {
        match table.table(name)? {
            Some(inner) => table = inner,
            None => return Ok(Grants::default()),
        }
    }
    for verb in ["tools", "http"] {
        if table.has(verb) && !matches!(table.flag(verb), Ok(Some(false))) {
            return Err(table.error(verb, "this version of cnbw does not offer this grant"));
        }
    }
    refuse_unknown(&table, &["fetch", "lookup", "tools", "http"])?;
    Ok(Grants {
        fetch: read_patterns(&table, "fetch")?.unwrap_or_default(),
        lookup: read_patterns(&table, "lookup")?.unwrap_or_default(),
    })
}

/// Reads a list of patterns, if the key is there.
pub(super) fn read_patterns(
    table: &Reader<'_>,
    name: &str,
) -> Result<Option<Vec<AddressPattern>>, DocumentError> {
    let Some(texts) = table.strings(name)? else {
        return Ok(None);
    };
    let parse = |text: &String| {
        AddressPattern::parse(text)
            .map_err(|error| table.error(name, format!("`{}`: {error}", escape(text))))
    };
    texts.iter().map(parse).collect::<Result<_, _>>().map(Some)
}

pub(super) fn refuse_unknown(table: &Reader<'_>, known: &[&str]) -> Result<(), DocumentError> {
    match table.unknown_keys(known).first() {
        None => Ok(()),
        Some(key) => Err(table.error_here(format!(
            "`{}` is not known here; known are {}",
            escape(key),
            known.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Grants, DocumentError> {
        parse_grants("buildpack.toml", text.as_bytes())
    }

    #[test]
    fn both_lists_are_read_and_none_is_needed() {
        assert!(parse("[metadata]\nx = 1").unwrap().is_empty());
        let grants = parse(
            "[metadata.cnbw.grants]\nfetch = [\"https://e.org/**\"]\nlookup = [\"https://e.org/index\"]\ntools = false",
        )
        .unwrap();
        let address = |text| Address::parse(text).unwrap();
        assert!(grants.declare(Verb::Fetch, &address("https://e.org/a")));
        assert!(!grants.declare(Verb::Lookup, &address("https://e.org/a")));
        assert!(grants.declare(Verb::Lookup, &address("https://e.org/index")));
    }

    #[test]
    fn what_is_not_offered_or_not_known_is_an_error() {
        for (text, message) in [
            (
                "tools = true",
                "this version of cnbw does not offer this grant",
            ),
            ("http = [\"https://e.org/**\"]", "does not offer this grant"),
            (
                "sockets = true",
                "`metadata.cnbw.grants.sockets` is not known here",
            ),
            ("fetch = [\"e.org\"]", "`e.org`: an address starts with"),
            ("fetch = \"https://e.org/**\"", "expected an array"),
        ] {
            let error = parse(&format!("[metadata.cnbw.grants]\n{text}")).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
