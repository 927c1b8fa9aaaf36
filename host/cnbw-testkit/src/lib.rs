//! Fixtures for tests: an HTTP server that does what a test tells it, and an OCI registry in memory.
//!
//! Nothing here is for production: helpers panic where a test should fail, and everything is kept in
//! memory. The crate depends on no other crate of this project, so that black-box tests can use it.
//! Start reading at [`Registry`], or at [`HttpServer`] for a server that misbehaves.

mod http;
mod registry;

pub use http::server::{HttpServer, ServerTls};
pub use http::{Body, BodyPlan, Handler, Piece, Request, Response};
pub use registry::{Auth, Fault, FaultAction, RecordedRequest, Registry, RegistryOptions, sha256};
