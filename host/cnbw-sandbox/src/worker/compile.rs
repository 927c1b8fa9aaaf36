//! Turns a program into native code.

use std::fs::File;
use std::io::{Read as _, Write as _};

use rustix::fd::OwnedFd;

use super::adapter;
use super::guest::Kit;
use crate::protocol::Outcome;

/// Compiles the program in the first descriptor into the file in the second.
pub(super) fn compile(kit: &Kit, descriptors: Vec<OwnedFd>) -> Outcome {
    let mut files = descriptors.into_iter().map(File::from);
    let (Some(mut program), Some(mut result)) = (files.next(), files.next()) else {
        return Outcome::Failed("a compile job came without its files".to_owned());
    };
    let mut bytes = Vec::new();
    // The writer's position is shared with this end.
    let read = std::io::Seek::rewind(&mut program).and_then(|()| program.read_to_end(&mut bytes));
    if let Err(error) = read {
        return Outcome::Failed(format!("cannot read the program: {error}"));
    }
    let component = match adapter::adapt(bytes) {
        Ok(component) => component,
        Err(reason) => return Outcome::Unloadable(reason),
    };
    let engine = match kit.engine() {
        Ok(engine) => engine,
        Err(outcome) => return outcome,
    };
    let compiled = match engine.precompile_component(&component) {
        Ok(compiled) => compiled,
        Err(error) => return Outcome::Unloadable(format!("{error:#}")),
    };
    match result.write_all(&compiled) {
        Ok(()) => Outcome::Compiled,
        Err(error) => Outcome::Failed(format!("cannot write the compiled program: {error}")),
    }
}
