//! Exit statuses of the phases. See `platform.md`, and each phase's "Exit Codes".

/// Success.
pub const SUCCESS: u8 = 0;
/// A failure that has no status of its own.
pub const FAILED: u8 = 1;
/// Unknown flag.
pub const UNKNOWN_FLAG: u8 = 2;
/// Invalid arguments.
pub const INVALID_ARGS: u8 = 3;
/// The Platform API is missing, malformed or not supported.
pub const PLATFORM_API: u8 = 11;
/// A Buildpack API is missing, malformed or not supported.
pub const BUILDPACK_API: u8 = 12;
/// No group passed detection.
pub const DETECT_NO_GROUP: u8 = 20;
/// No group passed detection, and a buildpack failed with an error.
pub const DETECT_NO_GROUP_WITH_ERRORS: u8 = 21;
/// Another error of detection.
pub const DETECT: u8 = 22;
/// An error of analysis.
pub const ANALYZE: u8 = 32;
/// An error while restoring.
pub const RESTORE: u8 = 42;
/// A build program failed.
pub const BUILD_PROGRAM: u8 = 51;
/// Another error while building.
pub const BUILD: u8 = 52;
/// An error of the export.
pub const EXPORT: u8 = 62;
/// An error of the rebase.
pub const REBASE: u8 = 72;
/// An error of the launcher.
pub const LAUNCH: u8 = 82;
