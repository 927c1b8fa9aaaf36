//! Unpacks layers of the cache or of an image below the layers directory.

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The layer itself could not be read.
    #[error("the layer is damaged or cannot be read")]
    Read {
        /// The cause.
        source: std::io::Error,
    },
    /// An entry may not be there.
    #[error("entry `{}` is refused: {rule}", path.escape_debug())]
    Refused {
        /// The entry as the layer names it.
        path: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Writing failed.
    #[error("cannot {action} `{}`", path.escape_debug())]
    Write {
        /// What was tried.
        action: &'static str,
        /// The entry.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
}
