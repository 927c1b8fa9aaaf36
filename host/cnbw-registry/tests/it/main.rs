//! The client against registries: ours in memory, Debian's, and one that lies.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail where it stands"
)]

mod auth;
mod debian;
mod hostile;
mod pull;
mod push;
mod support;
mod tls;
