//! Cloud Native Buildpacks as plain functions, compiled to WASI.
//!
//! A buildpack is a value with two functions: [`Buildpack::detect`] says whether it applies, [`Buildpack::build`] makes
//! layers and says which processes there are. [`run`] is the whole `main`: it reads what the lifecycle hands over, calls
//! the right function by the name under which the program was started (`detect` or `build`), and writes the documents.
//! Both functions take directories and values and give values, so that their tests run natively.
//!
//! ```no_run
//! use cnbw_buildpack::{Build, Built, Buildpack, Detect, Detection, Error, Process};
//!
//! struct Hello;
//!
//! impl Buildpack for Hello {
//!     fn detect(&self, detect: &Detect) -> Result<Detection, Error> {
//!         if !detect.app.join("hello.sh").is_file() {
//!             return Ok(Detection::fail("no `hello.sh`"));
//!         }
//!         Ok(Detection::pass())
//!     }
//!
//!     fn build(&self, _: &Build) -> Result<Built, Error> {
//!         let process = Process::new("web", ["/bin/sh", "hello.sh"]).default();
//!         Ok(Built::new().process(process))
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     cnbw_buildpack::run(&Hello)
//! }
//! ```

mod built;
mod context;
mod detection;
mod error;
mod program;

pub use built::{Built, Change, Layer, Process};
pub use context::{Build, Detect, Target, Variables};
pub use detection::Detection;
pub use error::Error;
pub use program::run;

/// A buildpack.
pub trait Buildpack {
    /// Says whether the buildpack applies to the application, and what it provides and requires.
    ///
    /// An error is no verdict: it ends the whole detection as failed.
    fn detect(&self, detect: &Detect) -> Result<Detection, Error>;

    /// Makes layers, and says how the application is started.
    fn build(&self, build: &Build) -> Result<Built, Error>;
}
