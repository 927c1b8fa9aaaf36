//! Directories of a build, and what they are called in the image.

use cap_std::fs::Dir;
use cnbw_oci::layer::Owner;

/// Owner and permission bits of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryAttributes {
    /// Who owns it.
    pub owner: Owner,
    /// Permission bits, such as `0o755`.
    pub mode: u32,
}

/// Where layers take owner and mode of the directories above their own content from.
///
/// A layer that holds `/layers/a/jre` also has entries for `/layers` and `/layers/a`, and these count in its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ancestors {
    /// From the disk, as the specification's phases do.
    ///
    /// Directories above the tree are out of reach of its handle, so they are given: outermost first, each with its
    /// path in the image, the tree itself not among them. Empty for `/layers` and `/workspace`.
    Disk(Vec<(String, DirectoryAttributes)>),
    /// The same for each of them, wherever the tree really lies: the host's owners and modes never reach the image.
    ///
    /// The root of the application and what the host itself writes (configuration, SBOM files) are then normalized, too.
    Fixed(DirectoryAttributes),
}

/// A directory of a build: a handle for the host, a path for the image.
#[derive(Clone, Debug)]
pub struct Tree<'a> {
    /// The directory; its host path is never asked for.
    pub dir: &'a Dir,
    /// Absolute path in the image, without a slash at the end: `/layers`.
    pub path: &'a str,
    /// How the directories above its content are described.
    pub ancestors: Ancestors,
}
