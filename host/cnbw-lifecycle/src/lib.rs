//! The Cloud Native Buildpacks lifecycle: phases and the one pipeline, through ports.
//!
//! This crate never prints, never names the WebAssembly engine, never names HTTP.
//! Start reading at [`ports`].

pub mod event;
pub mod ports;
