//! A small static file server.
fn main() {}
