//! Execution environments: `production`, `test`, `development`, or any other word.

/// The execution environment of a platform that names none.
pub const DEFAULT: &str = "production";

/// Whether something that is declared for `declared` exists in `current`: nothing declared and `*` mean all.
pub fn is_eligible(declared: &[String], current: &str) -> bool {
    declared.is_empty() || declared.iter().any(|name| name == "*" || name == current)
}
