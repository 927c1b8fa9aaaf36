//! OCI images: digests, documents, reproducible layers, layouts and archives.
//!
//! This crate never uses the network. Start reading at `image`.
