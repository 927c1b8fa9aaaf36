//! The Cloud Native Buildpacks lifecycle: phases and the one pipeline, through ports.
//!
//! This crate never prints, never names the WebAssembly engine, never names HTTP.
//! Start reading at [`ports`].

pub mod analyze;
pub mod build;
pub mod buildpacks;
pub mod cache;
pub mod detect;
pub mod event;
pub mod export;
pub mod generate;
pub mod order;
pub mod ports;
pub mod programs;
pub mod rebase;
pub mod report;
pub mod resolve;
pub mod restore;
pub mod run_image;
pub mod tree;

mod assemble;
mod files;
mod guest_tree;
mod layers_dir;

#[cfg(test)]
mod scripted;
#[cfg(test)]
mod test_images;
