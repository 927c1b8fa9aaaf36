//! What the lifecycle hands over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Error;

/// What detection is given.
#[derive(Clone, Debug)]
pub struct Detect {
    /// The application, for reading.
    pub app: PathBuf,
    /// The directory of the buildpack itself, for reading.
    pub buildpack: PathBuf,
    /// What the user set for the build.
    pub variables: Variables,
    /// For which platform the image is.
    pub target: Target,
}

/// What a build is given.
#[derive(Clone, Debug)]
pub struct Build {
    /// The application; changes to it become part of the image.
    pub app: PathBuf,
    /// The directory of the buildpack itself, for reading.
    pub buildpack: PathBuf,
    /// Where layers are made: see [`Layer::dir`](crate::Layer::dir).
    pub layers: PathBuf,
    /// What the user set for the build.
    pub variables: Variables,
    /// For which platform the image is.
    pub target: Target,
}

/// For which platform the image is, in Go's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `linux`.
    pub os: String,
    /// `amd64` or `arm64`.
    pub arch: String,
}

/// Variables that the user set for the build, `BP_…` among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// A variable's value; one that is empty is as good as none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// All variables whose names start with a prefix, without it, by name.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    /// Reads the process's environment, and what the platform set for lifecycles that do not put it there.
    pub(crate) fn read(platform: Option<&Path>) -> Self {
        let mut all = BTreeMap::new();
        if let Some(entries) = platform.and_then(|dir| std::fs::read_dir(dir.join("env")).ok()) {
            for entry in entries.flatten() {
                if let (Ok(name), Ok(value)) = (
                    entry.file_name().into_string(),
                    std::fs::read_to_string(entry.path()),
                ) {
                    all.insert(name, value);
                }
            }
        }
        all.extend(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
        Self(all)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let pairs = variables.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

/// A variable that the lifecycle has to set.
pub(crate) fn required(name: &str) -> Result<PathBuf, Error> {
    std::env::var_os(name).map(PathBuf::from).ok_or_else(|| {
        Error::new(format!(
            "`{name}` is not set; this program is started by a CNB lifecycle"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_platform_are_read_and_empty_ones_do_not_count() {
        let platform = tempfile::tempdir().unwrap();
        std::fs::create_dir(platform.path().join("env")).unwrap();
        std::fs::write(platform.path().join("env/BP_CNBW_TEST_X"), "x").unwrap();
        std::fs::write(platform.path().join("env/BP_CNBW_TEST_Y"), "").unwrap();
        let variables = Variables::read(Some(platform.path()));
        assert_eq!(variables.get("BP_CNBW_TEST_X"), Some("x"));
        assert_eq!(variables.get("BP_CNBW_TEST_Y"), None);
        let all: Vec<_> = variables.with_prefix("BP_CNBW_TEST_").collect();
        assert_eq!(all, [("X", "x"), ("Y", "")]);
    }
}
