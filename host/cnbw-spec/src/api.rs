//! API versions: parsed once, ordered, and asked questions instead of compared as strings.

use std::fmt;

/// A Platform API version that this lifecycle implements.
///
/// See <https://github.com/buildpacks/spec/blob/main/platform.md>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each variant is the version it is named for")]
pub enum PlatformApi {
    V0_7,
    V0_8,
    V0_9,
    V0_10,
    V0_11,
    V0_12,
    V0_13,
    V0_14,
    V0_15,
}

/// A Buildpack API version that this lifecycle implements.
///
/// See <https://github.com/buildpacks/spec/blob/main/buildpack.md>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each variant is the version it is named for")]
pub enum BuildpackApi {
    V0_7,
    V0_8,
    V0_9,
    V0_10,
    V0_11,
    V0_12,
}

/// A text that names no API version, or none that is implemented.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Nothing was given.
    #[error("no {kind} version is set")]
    Missing {
        /// `Platform API` or `Buildpack API`.
        kind: &'static str,
    },
    /// The text is no version.
    #[error("`{}` is not a {kind} version: expected `MAJOR.MINOR`", text.escape_debug())]
    Malformed {
        /// `Platform API` or `Buildpack API`.
        kind: &'static str,
        /// What was given.
        text: String,
    },
    /// The version is not implemented.
    #[error(
        "{kind} `{}` is not supported; supported are {supported}",
        text.escape_debug()
    )]
    Unsupported {
        /// `Platform API` or `Buildpack API`.
        kind: &'static str,
        /// What was given.
        text: String,
        /// The versions that are.
        supported: &'static str,
    },
}

const PLATFORM: &str = "Platform API";
const BUILDPACK: &str = "Buildpack API";

impl PlatformApi {
    /// The newest version.
    pub const LATEST: Self = Self::V0_15;

    /// Parses a version as the reference does: `0.10`, and also `v0.10`.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        match parse_minor(PLATFORM, "0.7 to 0.15", text)? {
            7 => Ok(Self::V0_7),
            8 => Ok(Self::V0_8),
            9 => Ok(Self::V0_9),
            10 => Ok(Self::V0_10),
            11 => Ok(Self::V0_11),
            12 => Ok(Self::V0_12),
            13 => Ok(Self::V0_13),
            14 => Ok(Self::V0_14),
            15 => Ok(Self::V0_15),
            _ => Err(ApiError::Unsupported {
                kind: PLATFORM,
                text: text.to_owned(),
                supported: "0.7 to 0.15",
            }),
        }
    }

    /// Whether processes and buildpacks are filtered by execution environment.
    pub fn honors_exec_env(self) -> bool {
        self >= Self::V0_15
    }

    /// Whether `metadata.toml` and the build label hold commands as lists; else as one string.
    pub fn has_command_lists(self) -> bool {
        self >= Self::V0_10
    }

    /// Whether SBOM files of buildpacks are collected.
    pub fn collects_sbom_files(self) -> bool {
        self >= Self::V0_8
    }

    /// Whether the old bill of materials goes to `sbom.legacy.json` files; else into label and report.
    pub fn writes_legacy_bom_files(self) -> bool {
        self >= Self::V0_9
    }

    /// Whether run image data comes from `run.toml`; else from `stack.toml`.
    pub fn reads_run_toml(self) -> bool {
        self >= Self::V0_12
    }
}

impl fmt::Display for PlatformApi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V0_7 => "0.7",
            Self::V0_8 => "0.8",
            Self::V0_9 => "0.9",
            Self::V0_10 => "0.10",
            Self::V0_11 => "0.11",
            Self::V0_12 => "0.12",
            Self::V0_13 => "0.13",
            Self::V0_14 => "0.14",
            Self::V0_15 => "0.15",
        })
    }
}

impl BuildpackApi {
    /// The newest version.
    pub const LATEST: Self = Self::V0_12;

    /// Parses a version as the reference does: `0.10`, and also `v0.10`.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        match parse_minor(BUILDPACK, "0.7 to 0.12", text)? {
            7 => Ok(Self::V0_7),
            8 => Ok(Self::V0_8),
            9 => Ok(Self::V0_9),
            10 => Ok(Self::V0_10),
            11 => Ok(Self::V0_11),
            12 => Ok(Self::V0_12),
            _ => Err(ApiError::Unsupported {
                kind: BUILDPACK,
                text: text.to_owned(),
                supported: "0.7 to 0.12",
            }),
        }
    }

    /// Whether programs get their paths in `CNB_PLATFORM_DIR`, `CNB_LAYERS_DIR` and so on.
    pub fn passes_paths_in_env(self) -> bool {
        self >= Self::V0_8
    }

    /// Whether a process may set its working directory.
    pub fn has_process_working_dir(self) -> bool {
        self >= Self::V0_8
    }

    /// Whether a process's command is a list and every process is direct; else a string.
    pub fn has_command_lists(self) -> bool {
        self >= Self::V0_9
    }

    /// Whether programs get the target in `CNB_TARGET_*`.
    pub fn passes_target_in_env(self) -> bool {
        self >= Self::V0_10
    }

    /// Whether the buildpack is chosen, and told, by execution environment.
    pub fn honors_exec_env(self) -> bool {
        self >= Self::V0_12
    }
}

impl fmt::Display for BuildpackApi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V0_7 => "0.7",
            Self::V0_8 => "0.8",
            Self::V0_9 => "0.9",
            Self::V0_10 => "0.10",
            Self::V0_11 => "0.11",
            Self::V0_12 => "0.12",
        })
    }
}

/// Parses `v?MAJOR.?MINOR?`, which is the reference's grammar, and returns the minor number of major 0.
fn parse_minor(kind: &'static str, supported: &'static str, text: &str) -> Result<u64, ApiError> {
    if text.trim().is_empty() {
        return Err(ApiError::Missing { kind });
    }
    let malformed = || ApiError::Malformed {
        kind,
        text: text.to_owned(),
    };
    let digits = text.strip_prefix('v').unwrap_or(text);
    let (major, minor) = digits.split_once('.').unwrap_or((digits, ""));
    if major.is_empty()
        || ![major, minor]
            .iter()
            .all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(malformed());
    }
    let major: u64 = major.parse().map_err(|_| malformed())?;
    let minor: u64 = if minor.is_empty() {
        0
    } else {
        minor.parse().map_err(|_| malformed())?
    };
    if major == 0 {
        return Ok(minor);
    }
    Err(ApiError::Unsupported {
        kind,
        text: text.to_owned(),
        supported,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_parsed_as_the_reference_parses_them() {
        for text in ["0.10", "v0.10", "00.010"] {
            assert_eq!(PlatformApi::parse(text), Ok(PlatformApi::V0_10), "{text}");
            assert_eq!(BuildpackApi::parse(text), Ok(BuildpackApi::V0_10), "{text}");
        }
        for text in [
            "0.10.1", "0.10.", "abc", "-1.0", "vv0.10", " 0.10", "0.10 ", ".10", "0x10", "0.٣", "v",
        ] {
            let error = BuildpackApi::parse(text).unwrap_err();
            assert!(
                matches!(error, ApiError::Malformed { .. }),
                "{text}: {error}"
            );
        }
        for text in ["", "  "] {
            let error = PlatformApi::parse(text).unwrap_err();
            assert!(
                matches!(error, ApiError::Missing { .. }),
                "{text:?}: {error}"
            );
        }
        let beyond_u64 = "0.99999999999999999999";
        assert!(matches!(
            PlatformApi::parse(beyond_u64),
            Err(ApiError::Malformed { .. })
        ));
    }

    #[test]
    fn versions_that_are_not_implemented_are_named_with_those_that_are() {
        for text in ["0.6", "0.16", "0", "1", "1.", "1.0", "7"] {
            let error = PlatformApi::parse(text).unwrap_err();
            assert!(
                matches!(error, ApiError::Unsupported { .. }),
                "{text}: {error}"
            );
        }
        assert_eq!(
            BuildpackApi::parse("0.13").unwrap_err().to_string(),
            "Buildpack API `0.13` is not supported; supported are 0.7 to 0.12"
        );
    }

    #[test]
    fn every_version_prints_what_it_is_parsed_from() {
        for minor in 7..=15 {
            let text = format!("0.{minor}");
            assert_eq!(
                PlatformApi::parse(&text).map(|api| api.to_string()),
                Ok(text)
            );
        }
        for minor in 7..=12 {
            let text = format!("0.{minor}");
            assert_eq!(
                BuildpackApi::parse(&text).map(|api| api.to_string()),
                Ok(text)
            );
        }
        assert!(PlatformApi::V0_9 < PlatformApi::V0_10);
        assert_eq!(PlatformApi::parse("0.15"), Ok(PlatformApi::LATEST));
        assert_eq!(BuildpackApi::parse("0.12"), Ok(BuildpackApi::LATEST));
    }

    #[test]
    fn each_question_has_its_boundary() {
        type Question<T> = (fn(T) -> bool, T, T);
        let platform: [Question<PlatformApi>; 5] = [
            (
                PlatformApi::collects_sbom_files,
                PlatformApi::V0_7,
                PlatformApi::V0_8,
            ),
            (
                PlatformApi::writes_legacy_bom_files,
                PlatformApi::V0_8,
                PlatformApi::V0_9,
            ),
            (
                PlatformApi::has_command_lists,
                PlatformApi::V0_9,
                PlatformApi::V0_10,
            ),
            (
                PlatformApi::reads_run_toml,
                PlatformApi::V0_11,
                PlatformApi::V0_12,
            ),
            (
                PlatformApi::honors_exec_env,
                PlatformApi::V0_14,
                PlatformApi::V0_15,
            ),
        ];
        for (question, last_no, first_yes) in platform {
            assert!(!question(last_no) && question(first_yes), "{last_no}");
        }
        let buildpack: [Question<BuildpackApi>; 5] = [
            (
                BuildpackApi::passes_paths_in_env,
                BuildpackApi::V0_7,
                BuildpackApi::V0_8,
            ),
            (
                BuildpackApi::has_process_working_dir,
                BuildpackApi::V0_7,
                BuildpackApi::V0_8,
            ),
            (
                BuildpackApi::has_command_lists,
                BuildpackApi::V0_8,
                BuildpackApi::V0_9,
            ),
            (
                BuildpackApi::passes_target_in_env,
                BuildpackApi::V0_9,
                BuildpackApi::V0_10,
            ),
            (
                BuildpackApi::honors_exec_env,
                BuildpackApi::V0_11,
                BuildpackApi::V0_12,
            ),
        ];
        for (question, last_no, first_yes) in buildpack {
            assert!(!question(last_no) && question(first_yes), "{last_no}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,12}") {
            let _verdicts = (PlatformApi::parse(&text), BuildpackApi::parse(&text));
        }
    }
}
