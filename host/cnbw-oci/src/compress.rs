//! How layers are compressed.

/// How the bytes of a layer are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// As one gzip member.
    Gzip,
    /// As zstd. The Docker family does not have it.
    Zstd,
}
