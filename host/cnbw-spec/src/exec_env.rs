//! Execution environments: `production`, `test`, `development`, or any other word.
//!
//! <https://github.com/buildpacks/spec/blob/main/buildpack.md#execution-environments>

use std::fmt;

use crate::id::NameError;

/// The execution environment of a platform that names none.
pub const DEFAULT: &str = "production";

/// The name of an execution environment. `/` is reserved by the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecEnv(String);

impl ExecEnv {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const KIND: &str = "execution environment";
        if text.is_empty() {
            return Err(NameError::Empty { kind: KIND });
        }
        let is_refused = |character: char| character == '/' || character.is_control();
        match text.chars().find(|character| is_refused(*character)) {
            None => Ok(Self(text.to_owned())),
            Some(character) => Err(NameError::Character {
                kind: KIND,
                name: text.to_owned(),
                character,
            }),
        }
    }

    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ExecEnv {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl fmt::Display for ExecEnv {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whether something that is declared for `declared` exists in `current`: nothing declared and `*` mean all.
pub fn is_eligible(declared: &[String], current: &str) -> bool {
    declared.is_empty() || declared.iter().any(|name| name == "*" || name == current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_declared_and_a_star_mean_everywhere() {
        let cases: [(&[&str], &str, bool); 5] = [
            (&[], "test", true),
            (&["*"], "test", true),
            (&["test"], "test", true),
            (&["production", "*"], "test", true),
            (&["production", "development"], "test", false),
        ];
        for (declared, current, expected) in cases {
            let declared: Vec<String> = declared.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(is_eligible(&declared, current), expected, "{declared:?}");
        }
    }

    #[test]
    fn a_slash_is_reserved() {
        assert_eq!(ExecEnv::parse("test").unwrap().as_str(), "test");
        assert_eq!(ExecEnv::default().to_string(), "production");
        assert_eq!(
            ExecEnv::parse("a/b").unwrap_err().to_string(),
            "execution environment `a/b` has the character `/`, which is not allowed"
        );
        assert!(ExecEnv::parse("").is_err());
    }
}
