//! Builds OCI images from source with WebAssembly buildpacks.
//!
//! A [`BuildRequest`] becomes a [`BuildReport`] by [`build`]; what happens meanwhile is told as events. The library never
//! prints, never exits, and takes clock and environment from its caller. Start reading at [`pipeline`].

mod buildpacks;
mod builtin;
mod error;
mod intake;
mod interrupt;
mod pipeline;
mod request;

pub use buildpacks::BuildpackError;
pub use builtin::{BUILDPACKS, BuiltInBuildpack, launcher};
pub use error::BuildError;
pub use intake::{Filter, IntakeError, IntakeLimits};
pub use interrupt::Interrupt;
pub use pipeline::build;
pub use request::{
    BuildReport, BuildRequest, BuildpackSource, Destination, LayerReport, PlatformReport, RunImage,
};
