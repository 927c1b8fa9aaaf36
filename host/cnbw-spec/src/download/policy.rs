//! What the operator allows: `policy.toml`.

use std::fmt;

use super::grants::{read_patterns, refuse_unknown};
use super::{Address, AddressPattern, Grants, Verb};
use crate::document::{Document, DocumentError, Reader, escape};
use crate::id::BuildpackId;

/// Who may download what. The default allows what cnbw's own buildpacks declare, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Policy {
    /// What is allowed beyond the default.
    pub allow: Vec<Rule>,
    /// What is refused, whatever allows it.
    pub deny: Vec<Rule>,
}

/// One `[[allow]]` or `[[deny]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    buildpack: IdPattern,
    /// `None` means all.
    verbs: Option<Vec<Verb>>,
    /// `None` means, in `[[allow]]`, what the buildpack declares for `https`, and in `[[deny]]` everything.
    urls: Option<Vec<AddressPattern>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum IdPattern {
    Any,
    /// Ids that begin with this, which ends with a slash.
    Below(String),
    Exactly(String),
}

/// A buildpack that wants to download.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// Its id.
    pub buildpack: &'a BuildpackId,
    /// What it declares.
    pub grants: &'a Grants,
    /// Whether it is one that cnbw carries: decided by where it came from, not by its id.
    pub is_built_in: bool,
}

/// Why a download is refused. Says what would allow it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The buildpack does not declare it.
    #[error(
        "`{buildpack}` may not {verb} `{address}`: its buildpack.toml does not declare it; \
         it would by `{verb} = [\"{pattern}\"]` in `[metadata.cnbw.grants]`"
    )]
    NotDeclared {
        /// Who asked.
        buildpack: BuildpackId,
        /// For what.
        verb: Verb,
        /// From where.
        address: Address,
        /// A pattern that would do.
        pattern: String,
    },
    /// The policy does not allow it.
    #[error(
        "`{buildpack}` may not {verb} `{address}`: it declares that it does, and nobody allowed it; \
         allow it by `--grant '{grant}'`, or in a policy file by\n{rule}"
    )]
    NotAllowed {
        /// Who asked.
        buildpack: BuildpackId,
        /// For what.
        verb: Verb,
        /// From where.
        address: Address,
        /// What `--grant` would need.
        grant: String,
        /// The lines that a policy file would need.
        rule: String,
    },
    /// A rule forbids it.
    #[error(
        "`{buildpack}` may not {verb} `{address}`: the policy forbids it by its `[[deny]]` rule {number}"
    )]
    Forbidden {
        /// Who asked.
        buildpack: BuildpackId,
        /// For what.
        verb: Verb,
        /// From where.
        address: Address,
        /// Which rule, from 1.
        number: usize,
    },
}

impl Policy {
    /// Decides about one download.
    pub fn decide(
        &self,
        requester: Requester<'_>,
        verb: Verb,
        address: &Address,
    ) -> Result<(), Denial> {
        let buildpack = requester.buildpack;
        if !requester.grants.declare(verb, address) {
            return Err(Denial::NotDeclared {
                buildpack: buildpack.clone(),
                verb,
                address: address.clone(),
                pattern: pattern_of(address),
            });
        }
        let denied = self
            .deny
            .iter()
            .position(|rule| rule.is_about(buildpack, verb) && rule.names(address).unwrap_or(true));
        if let Some(index) = denied {
            return Err(Denial::Forbidden {
                buildpack: buildpack.clone(),
                verb,
                address: address.clone(),
                number: index + 1,
            });
        }
        // What is declared for `http` is only had by naming it: an operator who trusts a buildpack's list
        // does not mean to trust whoever sits on the way.
        let as_declared = address.is_https();
        let allowed = (requester.is_built_in && as_declared)
            || self.allow.iter().any(|rule| {
                rule.is_about(buildpack, verb) && rule.names(address).unwrap_or(as_declared)
            });
        if allowed {
            return Ok(());
        }
        Err(Denial::NotAllowed {
            buildpack: buildpack.clone(),
            verb,
            address: address.clone(),
            grant: Rule::grant_for(buildpack, address),
            rule: Rule::lines_for(buildpack, address),
        })
    }
}

impl Rule {
    /// The rule that `--grant ID`, `--grant ID=PATTERN` means. The id may be `*` or end with `/*`.
    pub fn parse_grant(text: &str) -> Result<Self, String> {
        let (id, urls) = match text.split_once('=') {
            None => (text, None),
            Some((id, pattern)) => {
                let pattern = AddressPattern::parse(pattern)
                    .map_err(|error| format!("`{}`: {error}", escape(pattern)))?;
                (id, Some(vec![pattern]))
            }
        };
        Ok(Self {
            buildpack: IdPattern::parse(id)?,
            verbs: None,
            urls,
        })
    }

    fn is_about(&self, buildpack: &BuildpackId, verb: Verb) -> bool {
        let id = buildpack.as_str();
        let names_id = match &self.buildpack {
            IdPattern::Any => true,
            IdPattern::Below(prefix) => id.starts_with(prefix.as_str()),
            IdPattern::Exactly(exactly) => id == exactly,
        };
        names_id
            && self
                .verbs
                .as_ref()
                .is_none_or(|verbs| verbs.contains(&verb))
    }

    /// Whether the rule names an address; `None` if it names none at all.
    fn names(&self, address: &Address) -> Option<bool> {
        let urls = self.urls.as_ref()?;
        Some(urls.iter().any(|pattern| pattern.matches(address)))
    }

    fn grant_for(buildpack: &BuildpackId, address: &Address) -> String {
        if address.is_https() {
            buildpack.to_string()
        } else {
            format!("{buildpack}={}", pattern_of(address))
        }
    }

    fn lines_for(buildpack: &BuildpackId, address: &Address) -> String {
        let mut lines = format!("[[allow]]\nbuildpack = \"{buildpack}\"");
        if !address.is_https() {
            lines.push_str("\nurls = [\"");
            lines.push_str(&pattern_of(address));
            lines.push_str("\"]");
        }
        lines
    }
}

/// The narrowest pattern for an address, whatever its query.
fn pattern_of(address: &Address) -> String {
    let any_query = if address.query().is_some() { "?*" } else { "" };
    format!("{}{any_query}", address.without_query())
}

impl IdPattern {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (prefix, id) = match text.strip_suffix("/*") {
            Some(namespace) => (true, namespace),
            None => (false, text),
        };
        BuildpackId::parse(id)
            .and_then(|id| id.check_characters().map(|()| id))
            .map_err(|error| {
                format!("{error}; a rule is about an id, a name space `…/*`, or `*`")
            })?;
        Ok(if prefix {
            Self::Below(format!("{id}/"))
        } else {
            Self::Exactly(id.to_owned())
        })
    }
}

impl fmt::Display for IdPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("*"),
            Self::Below(prefix) => write!(formatter, "{prefix}*"),
            Self::Exactly(id) => formatter.write_str(id),
        }
    }
}

/// Parses `policy.toml`. A key that is not known is an error, lest a rule mean less than its author thinks.
pub fn parse_policy(file: &str, bytes: &[u8]) -> Result<Policy, DocumentError> {
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    refuse_unknown(&root, &["allow", "deny"])?;
    Ok(Policy {
        allow: root.each("allow", read_rule)?,
        deny: root.each("deny", read_rule)?,
    })
}

fn read_rule(table: &Reader<'_>) -> Result<Rule, DocumentError> {
    refuse_unknown(table, &["buildpack", "verbs", "urls"])?;
    let buildpack = table.text("buildpack")?;
    let verbs = table.strings("verbs")?.map(|names| {
        let read = |name: &String| {
            let verb = Verb::ALL.into_iter().find(|verb| verb.name() == name);
            verb.ok_or_else(|| {
                table.error(
                    "verbs",
                    format!("`{}` is no verb; verbs are fetch and lookup", escape(name)),
                )
            })
        };
        names.iter().map(read).collect::<Result<Vec<_>, _>>()
    });
    Ok(Rule {
        buildpack: IdPattern::parse(&buildpack).map_err(|error| table.error("buildpack", error))?,
        verbs: verbs.transpose()?,
        urls: read_patterns(table, "urls")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::parse_grants;

    const ADDRESS: &str = "https://e.org/a/b";

    fn decide(policy: &str, is_built_in: bool, verb: Verb, address: &str) -> Result<(), Denial> {
        let grants = "[metadata.cnbw.grants]\nfetch = [\"https://e.org/**\", \"http://e.org/**\"]";
        let grants = parse_grants("buildpack.toml", grants.as_bytes()).unwrap();
        let requester = Requester {
            buildpack: &BuildpackId::parse("acme/node").unwrap(),
            grants: &grants,
            is_built_in,
        };
        let policy = parse_policy("policy.toml", policy.as_bytes()).unwrap();
        policy.decide(requester, verb, &Address::parse(address).unwrap())
    }

    fn is_allowed(policy: &str, address: &str) -> bool {
        decide(policy, false, Verb::Fetch, address).is_ok()
    }

    #[test]
    fn by_default_only_built_in_buildpacks_get_what_they_declare() {
        assert!(decide("", true, Verb::Fetch, ADDRESS).is_ok());
        assert!(decide("", false, Verb::Fetch, ADDRESS).is_err());
        assert!(decide("", true, Verb::Lookup, ADDRESS).is_err());
        assert!(decide("", true, Verb::Fetch, "https://other.org/a").is_err());
        assert!(decide("", true, Verb::Fetch, "http://e.org/a").is_err());
    }

    #[test]
    fn rules_allow_by_id_verb_and_address() {
        for (policy, expected) in [
            ("[[allow]]\nbuildpack = \"acme/node\"", true),
            ("[[allow]]\nbuildpack = \"acme/*\"", true),
            ("[[allow]]\nbuildpack = \"*\"", true),
            ("[[allow]]\nbuildpack = \"acme\"", false),
            ("[[allow]]\nbuildpack = \"acm/*\"", false),
            ("[[allow]]\nbuildpack = \"*\"\nverbs = [\"lookup\"]", false),
            ("[[allow]]\nbuildpack = \"*\"\nverbs = [\"fetch\"]", true),
            ("[[allow]]\nbuildpack = \"*\"\nverbs = []", false),
            (
                "[[allow]]\nbuildpack = \"*\"\nurls = [\"https://e.org/a/*\"]",
                true,
            ),
            (
                "[[allow]]\nbuildpack = \"*\"\nurls = [\"https://e.org/b/*\"]",
                false,
            ),
            ("[[allow]]\nbuildpack = \"*\"\nurls = []", false),
        ] {
            assert_eq!(is_allowed(policy, ADDRESS), expected, "{policy}");
        }
    }

    #[test]
    fn a_deny_rule_wins() {
        let allow = "[[allow]]\nbuildpack = \"*\"\n";
        let deny = "[[deny]]\nbuildpack = \"acme/*\"\nurls = [\"https://e.org/a/**\"]\n";
        assert!(!is_allowed(&format!("{allow}{deny}"), ADDRESS));
        assert!(is_allowed(&format!("{allow}{deny}"), "https://e.org/b"));
        let denied = decide("[[deny]]\nbuildpack = \"*\"", true, Verb::Fetch, ADDRESS).unwrap_err();
        assert!(matches!(denied, Denial::Forbidden { number: 1, .. }));
    }

    #[test]
    fn http_is_only_had_by_naming_it() {
        let http = "http://e.org/a";
        assert!(!is_allowed("[[allow]]\nbuildpack = \"*\"", http));
        assert!(is_allowed(
            "[[allow]]\nbuildpack = \"*\"\nurls = [\"http://e.org/*\"]",
            http
        ));
    }

    #[test]
    fn a_refusal_says_what_would_allow_it_and_that_does() {
        for address in [ADDRESS, "http://e.org/a"] {
            let Err(Denial::NotAllowed { grant, rule, .. }) =
                decide("", false, Verb::Fetch, address)
            else {
                panic!("{address}");
            };
            assert!(is_allowed(&rule, address), "{rule}");
            let policy = Policy {
                allow: vec![Rule::parse_grant(&grant).unwrap()],
                deny: Vec::new(),
            };
            assert_eq!(
                policy,
                parse_policy("policy.toml", rule.as_bytes()).unwrap()
            );
        }
        let error = decide("", false, Verb::Fetch, "https://x.org/a?b").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`acme/node` may not fetch `https://x.org/a?b`: its buildpack.toml does not declare it; \
             it would by `fetch = [\"https://x.org/a?*\"]` in `[metadata.cnbw.grants]`"
        );
    }

    #[test]
    fn a_policy_that_says_something_unknown_is_refused() {
        for (policy, message) in [
            ("[[alow]]", "`alow` is not known here"),
            (
                "[[allow]]\nbuildpack = \"*\"\nurl = []",
                "`allow[0].url` is not known here",
            ),
            ("[[allow]]", "buildpack id is empty"),
            ("[[allow]]\nbuildpack = \"a*\"", "a rule is about an id"),
            (
                "[[allow]]\nbuildpack = \"*\"\nverbs = [\"get\"]",
                "`get` is no verb",
            ),
            (
                "[[allow]]\nbuildpack = \"*\"\nurls = [\"x\"]",
                "`x`: an address starts with",
            ),
        ] {
            let error = parse_policy("policy.toml", policy.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
