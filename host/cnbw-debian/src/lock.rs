//! The packages of a run image, each with its digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The packages of a run image, for each architecture. Printed as TOML, in an order that makes differences readable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Version of this form: 1.
    pub version: u32,
    /// Codename of the suite: `trixie`.
    pub suite: String,
    /// Number of the release, as `/etc/os-release` has it: `13`.
    pub release: String,
    /// The moment of which it is, as Debian's record of the past names it: `20261121T091544Z`.
    pub snapshot: String,
    /// The packages by name of the architecture (`amd64`), in the order in which they are unpacked.
    pub package: BTreeMap<String, Vec<LockedPackage>>,
}

/// A package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it was found.
    pub url: String,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
}

/// A lock that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// It is no such document.
    #[error("`{file}` is no list of packages: {reason}")]
    Document {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// It was written by a later version.
    #[error("`{file}` has version {version}, and this cnbw knows version 1; a newer one reads it")]
    Version {
        /// The file.
        file: String,
        /// What it says.
        version: u32,
    },
}

impl Lock {
    /// The packages that this version of cnbw was made with: [`DEFAULT_ROOTS`](crate::DEFAULT_ROOTS) for amd64 and arm64.
    pub fn built_in() -> Result<Self, LockError> {
        Self::parse("the built-in list", include_str!("../data/trixie.toml"))
    }

    /// Reads a lock. `file` is for messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, LockError> {
        let document = |reason: String| LockError::Document {
            file: file.to_owned(),
            reason,
        };
        let lock: Self = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.matches('\n').count() + 1);
            document(format!("line {line}: {}", error.message().escape_debug()))
        })?;
        if lock.version != 1 {
            return Err(LockError::Version {
                file: file.to_owned(),
                version: lock.version,
            });
        }
        for package in lock.package.values().flatten() {
            let is_digest = package.sha256.len() == 64
                && package
                    .sha256
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let name = package.name.escape_debug();
            if !is_digest {
                return Err(document(format!("the package `{name}` has no SHA-256")));
            }
            if !is_name(&package.name) {
                return Err(document(format!("`{name}` is no name of a package")));
            }
        }
        Ok(lock)
    }

    /// Prints it.
    pub fn print(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut lines = vec![
            "# Packages of a run image. `cnbw run-image create --update` writes this file."
                .to_owned(),
            format!("version = {}", self.version),
            format!("suite = {}", quoted(&self.suite)),
            format!("release = {}", quoted(&self.release)),
            format!("snapshot = {}", quoted(&self.snapshot)),
        ];
        for (architecture, packages) in &self.package {
            for package in packages {
                lines.extend([
                    String::new(),
                    format!("[[package.{architecture}]]"),
                    format!("name = {}", quoted(&package.name)),
                    format!("version = {}", quoted(&package.version)),
                    format!("url = {}", quoted(&package.url)),
                    format!("sha256 = {}", quoted(&package.sha256)),
                    format!("size = {}", package.size),
                ]);
            }
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// Names of packages: lower case letters, digits, `+`, `-` and `.`.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let package = |name: &str| LockedPackage {
            name: name.to_owned(),
            version: "1:2.0-1~x".to_owned(),
            url: "https://deb.example/pool/a.deb".to_owned(),
            sha256: "0a".repeat(32),
            size: 17,
        };
        Lock {
            version: 1,
            suite: "trixie".to_owned(),
            release: "13".to_owned(),
            snapshot: "20261121T091544Z".to_owned(),
            package: [
                ("arm64".to_owned(), vec![package("b"), package("a")]),
                ("amd64".to_owned(), vec![package("libstdc++6")]),
            ]
            .into(),
        }
    }

    #[test]
    fn the_built_in_list_has_all_roots_for_both_architectures() {
        let lock = Lock::built_in().unwrap();
        for architecture in ["amd64", "arm64"] {
            for root in crate::DEFAULT_ROOTS {
                let has = lock.package[architecture].iter().any(|it| it.name == *root);
                assert!(has, "{root} for {architecture}");
            }
        }
        assert_eq!(lock.print(), include_str!("../data/trixie.toml"));
    }

    #[test]
    fn what_is_printed_is_read_again() {
        let text = lock().print();
        assert_eq!(Lock::parse("lock", &text).unwrap(), lock());
        assert_eq!(Lock::parse("lock", &text).unwrap().print(), text);
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let text = lock().print();
        for (from, to, reason) in [
            ("version = 1\n", "version = 2\n", "has version 2"),
            ("size = 17", "size = x", "line 12"),
            ("size = 17", "siez = 17", "unknown field `siez`"),
            ("0a0a", "0A0A", "`libstdc++6` has no SHA-256"),
            ("name = \"b\"", "name = \"../b\"", "`../b` is no name"),
            ("suite =", "<<<<<<< HEAD\nsuite =", "line 3"),
        ] {
            let error = Lock::parse("my.lock", &text.replacen(from, to, 1)).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains(reason) && error.contains("`my.lock`"),
                "{error}"
            );
        }
    }
}
