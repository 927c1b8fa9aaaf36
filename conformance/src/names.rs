//! The placeholders of texts, arguments and values.

use std::collections::BTreeMap;

/// What the placeholders stand for in one world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    known: BTreeMap<String, String>,
}

impl Names {
    /// The names for a case whose registries answer at these addresses.
    pub(crate) fn new(case: &str, registry: &str, registry2: &str) -> Self {
        let known = [
            ("registry", registry.to_owned()),
            ("registry2", registry2.to_owned()),
            ("run", format!("{registry}/run")),
            ("image", format!("{registry}/{case}")),
        ];
        Self {
            known: known.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }

    /// Adds the digest of a run image's manifest.
    pub(crate) fn add_run_image(&mut self, name: &str, digest: &str) {
        self.known
            .insert(format!("digest:{name}"), digest.to_owned());
        self.known.insert(
            format!("hex:{name}"),
            digest.trim_start_matches("sha256:").to_owned(),
        );
    }

    /// What a placeholder, without its braces, stands for.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.known.get(name).map(String::as_str)
    }

    /// Puts values in place of the placeholders of a text. Braces around anything else stay.
    pub(crate) fn expand(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            out.push_str(before);
            let found = after.find('}').and_then(|close| {
                let value = self.get(after.get(1..close)?)?;
                Some((value, after.get(close + 1..)?))
            });
            if let Some((value, remaining)) = found {
                out.push_str(value);
                rest = remaining;
            } else {
                out.push('{');
                rest = after.get(1..).unwrap_or_default();
            }
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_give_way_to_values_and_other_braces_stay() {
        let mut names = Names::new("some-case", "127.0.0.1:1", "127.0.0.1:2");
        names.add_run_image("run:base", "sha256:abc");
        let cases = [
            ("{image}:1", "127.0.0.1:1/some-case:1"),
            ("{run}@{digest:run:base}", "127.0.0.1:1/run@sha256:abc"),
            ("sha256/{hex:run:base}", "sha256/abc"),
            ("{registry2}/x", "127.0.0.1:2/x"),
            ("{\"l\":1}", "{\"l\":1}"),
            ("{{image}}", "{127.0.0.1:1/some-case}"),
            ("{digest:1} {", "{digest:1} {"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(names.expand(text), expected, "{text}");
        }
    }
}
