//! Archives in, trees out: honest ones whole, hostile ones with the exact reason, and nothing outside in either case.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop, and it makes its own files"
)]

mod place;
mod roundtrip;
mod tar_cases;
mod zip_cases;
mod zips;
