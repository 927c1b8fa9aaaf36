//! Versions of the Platform and Buildpack APIs, as far as a launch depends on them.

/// A version `major.minor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion {
    major: u64,
    minor: u64,
}

/// Minor versions of Platform API 0 that are supported.
const PLATFORM_MINORS: std::ops::RangeInclusive<u64> = 7..=15;
/// Minor versions of Buildpack API 0 that are supported.
const BUILDPACK_MINORS: std::ops::RangeInclusive<u64> = 7..=12;

/// Why a version was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// The text is no version.
    Malformed,
    /// The version is not among the supported ones.
    Unsupported,
}

impl ApiVersion {
    /// Parses `0.12`, `v0.12`, and what the reference also takes: `0.` and `1`.
    fn parse(text: &str) -> Result<Self, ApiError> {
        let digits = text.strip_prefix('v').unwrap_or(text);
        let (major, minor) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if major.is_empty() || !is_digits(major) || !is_digits(minor) {
            return Err(ApiError::Malformed);
        }
        let number = |part: &str| part.parse().map_err(|_| ApiError::Malformed);
        let minor = if minor.is_empty() { 0 } else { number(minor)? };
        Ok(Self {
            major: number(major)?,
            minor,
        })
    }

    /// Parses a Platform API version and checks that it is supported.
    pub(crate) fn parse_platform(text: &str) -> Result<Self, ApiError> {
        Self::parse(text)?.supported_by(&PLATFORM_MINORS)
    }

    /// Parses a Buildpack API version and checks that it is supported.
    pub(crate) fn parse_buildpack(text: &str) -> Result<Self, ApiError> {
        Self::parse(text)?.supported_by(&BUILDPACK_MINORS)
    }

    fn supported_by(self, minors: &std::ops::RangeInclusive<u64>) -> Result<Self, ApiError> {
        if self.major == 0 && minors.contains(&self.minor) {
            Ok(self)
        } else {
            Err(ApiError::Unsupported)
        }
    }

    /// Tells whether a process's arguments are defaults that the user's replace (Buildpack API 0.9).
    pub(crate) fn replaces_arguments(self) -> bool {
        self >= Self { major: 0, minor: 9 }
    }

    /// Tells whether a command may be a list whose tail always stays (Platform API 0.10).
    pub(crate) fn has_command_lists(self) -> bool {
        self >= Self {
            major: 0,
            minor: 10,
        }
    }

    /// Tells whether processes may be limited to execution environments (Platform API 0.15).
    pub(crate) fn honors_exec_env(self) -> bool {
        self >= Self {
            major: 0,
            minor: 15,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_reference_reads_them() {
        for (text, expected) in [
            ("0.12", Ok((0, 12))),
            ("v0.10", Ok((0, 10))),
            ("0.010", Ok((0, 10))),
            ("0.", Ok((0, 0))),
            ("3", Ok((3, 0))),
            ("012", Ok((12, 0))),
            ("", Err(ApiError::Malformed)),
            ("v", Err(ApiError::Malformed)),
            (".7", Err(ApiError::Malformed)),
            ("0.10.", Err(ApiError::Malformed)),
            ("0.10.1", Err(ApiError::Malformed)),
            (" 0.10", Err(ApiError::Malformed)),
            ("+0.10", Err(ApiError::Malformed)),
            ("0.18446744073709551616", Err(ApiError::Malformed)),
        ] {
            let expected = expected.map(|(major, minor)| ApiVersion { major, minor });
            assert_eq!(ApiVersion::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn the_supported_versions_are_those_of_the_reference() {
        for (text, platform, buildpack) in [
            ("0.6", false, false),
            ("0.7", true, true),
            ("0.12", true, true),
            ("0.13", true, false),
            ("0.15", true, false),
            ("0.16", false, false),
            ("1.7", false, false),
        ] {
            assert_eq!(ApiVersion::parse_platform(text).is_ok(), platform, "{text}");
            assert_eq!(
                ApiVersion::parse_buildpack(text).is_ok(),
                buildpack,
                "{text}"
            );
        }
    }
}
