//! The engine and its settings, the same for compiling and running.

use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Engine};

/// Native stack of a guest in bytes. Deep recursion is common in parsers.
pub(crate) const WASM_STACK_BYTES: usize = 4 * 1024 * 1024;

/// What the host's own code needs beside a guest's frames, in bytes.
pub(crate) const HOST_STACK_BYTES: usize = 2 * 1024 * 1024;

/// Makes the engine.
pub(crate) fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        // Not used here, and never to be smaller.
        .async_stack_size(WASM_STACK_BYTES + HOST_STACK_BYTES)
        // One result on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // What buildpacks do not need, or what the engine's makers do not call finished.
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false);
    Engine::new(&config)
}

/// What a compiled program depends on besides the program: engine, settings, processor.
pub(crate) fn compatibility(engine: &Engine) -> [u8; 32] {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

/// Lets a SHA-256 take what is given to a hash map's hasher.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not used: the digest is taken from the inside.
    fn finish(&self) -> u64 {
        0
    }
}
