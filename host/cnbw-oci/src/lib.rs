//! OCI images: digests, documents, reproducible layers, layouts and archives.
//!
//! This crate never uses the network, the clock or the environment. Start reading at [`image`]; new layers are made
//! with [`layer`], names are read with [`reference`](mod@reference), images
//! are kept in a [`layout`] or an [`archive`].

pub mod archive;
pub mod assemble;
mod blob;
pub mod collect;
pub mod compress;
pub mod config;
pub mod descriptor;
pub mod digest;
pub mod document;
pub mod image;
pub mod layer;
pub mod layout;
pub mod manifest;
pub mod reference;
pub mod scratch;
pub mod validate;
pub mod verify;
