//! What a build is asked for: complete at birth, with every default resolved.

use std::sync::Arc;

use cap_std::fs::Dir;
use cnbw_oci::descriptor::Platform;
use cnbw_oci::image::{ImageSource, IndexSink};
use cnbw_oci::layer::Owner;
use cnbw_sandbox::SandboxRunner;

use crate::intake::{Filter, IntakeLimits};

/// Where a buildpack comes from.
#[derive(Clone, Debug)]
pub enum BuildpackSource {
    /// A directory with `buildpack.toml`.
    Directory {
        /// The directory.
        dir: Arc<Dir>,
        /// How the user named it, for messages.
        shown: String,
    },
    /// One that cnbw carries, by id and perhaps version.
    BuiltIn {
        /// Its id.
        id: String,
        /// Its version; any if none is given.
        version: Option<String>,
    },
}

/// The run image that the application's image stands on.
#[derive(Clone, Debug)]
pub enum RunImage {
    /// Nothing: for static programs and sites.
    Scratch,
    /// An image in some place.
    Named {
        /// Its name there.
        name: String,
        /// The place.
        source: Arc<dyn ImageSource>,
        /// Whether the name may be shown to others, in labels: names of local files may not.
        public: bool,
    },
}

/// Where the image goes.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The place.
    pub sink: Arc<dyn IndexSink>,
    /// Names there; the first is the main one.
    pub names: Vec<String>,
    /// The same names as users write them.
    pub shown: Vec<String>,
    /// The image of the build before, to reuse layers of: its place and its name there.
    pub previous: Option<(Arc<dyn ImageSource>, String)>,
    /// Whether names may be shown to others.
    pub public: bool,
}

/// Everything that a build depends on.
#[derive(Debug)]
pub struct BuildRequest<'a> {
    /// The application's source.
    pub app: Dir,
    /// Which of its files take part.
    pub filter: Filter,
    /// How much it may be.
    pub intake: IntakeLimits,
    /// The group of buildpacks, in order; the default builder's order if empty.
    pub buildpacks: Vec<BuildpackSource>,
    /// The run image.
    pub run_image: RunImage,
    /// For which platforms. At least one.
    pub platforms: Vec<Platform>,
    /// Variables of the user, as `<platform>/env` gives them to buildpacks.
    pub env: Vec<(String, Vec<u8>)>,
    /// The process type that starts by default, if the user wants a certain one.
    pub default_process: Option<String>,
    /// Where the application lies in the image.
    pub workspace: String,
    /// Who owns application and layers in the image: numbers only, the build changes no user.
    pub owner: Owner,
    /// Creation time of the image in seconds since 1970.
    pub created: i64,
    /// Runs the buildpacks' programs.
    pub runner: &'a SandboxRunner,
    /// A private, empty directory for this build, which the caller removes.
    pub scratch: &'a Dir,
    /// Where the image goes.
    pub destination: Destination,
    /// What earlier builds of this image cached; `None` caches nothing.
    pub cache: Option<&'a Dir>,
    /// How many threads may work. At least one.
    pub workers: usize,
}

/// What a build made.
#[derive(Clone, Debug)]
pub struct BuildReport {
    /// Digest of the manifest, or of the index if there are several platforms.
    pub digest: String,
    /// The image's names.
    pub names: Vec<String>,
    /// One entry for each platform.
    pub images: Vec<PlatformReport>,
}

/// What a build made for one platform.
#[derive(Clone, Debug)]
pub struct PlatformReport {
    /// The platform, as `os/architecture[/variant]`.
    pub platform: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Digest of the configuration.
    pub image_id: String,
    /// Size of the manifest in bytes.
    pub manifest_size: u64,
    /// The group that was chosen, as `id@version`.
    pub buildpacks: Vec<String>,
    /// Layers above the run image.
    pub layers: Vec<LayerReport>,
    /// Process types that can be started.
    pub processes: Vec<String>,
    /// The one that starts by default.
    pub default_process: Option<String>,
}

/// A layer of the image.
#[derive(Clone, Debug)]
pub struct LayerReport {
    /// What it is.
    pub id: String,
    /// Digest of its tar.
    pub diff_id: String,
    /// Size of the blob as stored.
    pub size: u64,
    /// Whether it comes from the image before.
    pub reused: bool,
}
