//! The only unsafe code of the project's host side. Each function says what it rests on.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::thread::UnshareFlags;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Closes every descriptor above standard error. To be called before anything else has opened one.
pub(crate) fn close_inherited_descriptors() -> std::io::Result<()> {
    const FIRST: libc::c_uint = 3;
    #[expect(
        unsafe_code,
        reason = "called first thing in main, when no value of this process owns a descriptor above 2"
    )]
    let result = unsafe { libc::close_range(FIRST, libc::c_uint::MAX, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Loads a compiled program.
///
/// The file holds native code, and the engine believes it. It was written by a compile worker of this
/// program for this very engine, and is loaded inside the jail only: code that lies can do there what a
/// guest that broke out of the engine could do, and no more.
pub(crate) fn load_compiled(engine: &Engine, file: OwnedFd) -> wasmtime::Result<Component> {
    // By its path the file is mapped instead of copied. The path needs `/proc`.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    #[expect(
        unsafe_code,
        reason = "the file comes from this program's own compile worker, see above"
    )]
    let mapped = unsafe { Component::deserialize_file(engine, path) };
    if let Ok(component) = mapped {
        return Ok(component);
    }
    let mut bytes = Vec::new();
    let mut file = File::from(file);
    std::io::Seek::rewind(&mut file)?;
    file.read_to_end(&mut bytes)?;
    #[expect(
        unsafe_code,
        reason = "the file comes from this program's own compile worker, see above"
    )]
    unsafe {
        Component::deserialize(engine, bytes)
    }
}

/// Leaves the host's namespaces for fresh ones.
pub(crate) fn unshare(namespaces: UnshareFlags) -> rustix::io::Result<()> {
    #[expect(
        unsafe_code,
        reason = "what can break is a shared table of descriptors, and that one is not unshared here"
    )]
    unsafe {
        rustix::thread::unshare_unsafe(namespaces.difference(UnshareFlags::FILES))
    }
}
