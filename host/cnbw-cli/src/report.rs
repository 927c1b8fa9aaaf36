//! What people see: the same events and errors, as text.

pub(crate) mod error;
pub(crate) mod escape;
pub(crate) mod human;
pub(crate) mod json;
