//! The command line, as people type it.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

/// Builds OCI images from source with Cloud Native Buildpacks that are WebAssembly programs.
///
/// No daemon, no root, no container runtime: one command turns a directory into an image.
#[derive(Debug, Parser)]
#[command(
    name = "cnbw",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = CLI_HELP,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results and messages are shown.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArgs {
    /// Show warnings and errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Show every detail.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Never use color; the environment variable `NO_COLOR` does the same.
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build an image from an application's source.
    Build(Box<BuildArgs>),
    /// Check images.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Make run images.
    #[command(subcommand)]
    RunImage(RunImageCommand),
    /// Put new run images below applications, without touching their layers.
    Rebase(RebaseArgs),
    /// Look after what builds left for the next ones.
    #[command(subcommand)]
    Cache(CacheCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunImageCommand {
    /// Make a run image from Debian packages, without root and without Debian's tools.
    Create(RunImageArgs),
}

/// What `cnbw run-image create` takes.
#[derive(Debug, Args)]
#[command(after_help = RUN_IMAGE_HELP)]
pub(crate) struct RunImageArgs {
    /// Where the image goes: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:TAG]`,
    /// `docker://NAME`, or a plain name, which becomes the file `NAME.tar` here.
    pub(crate) image: String,
    /// For which platforms: `linux/amd64`, `linux/arm64`, or both with a comma, which makes an index.
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',')]
    pub(crate) platform: Vec<String>,
    /// The list of packages to use instead of the built-in one; with `--update`, the file to write.
    #[arg(long, value_name = "FILE", required_if_eq("update", "true"))]
    pub(crate) lock: Option<PathBuf>,
    /// Look up the newest packages and write them to the list.
    #[arg(long)]
    pub(crate) update: bool,
    /// A further Debian package, with all that it needs. May be given several times.
    #[arg(long = "package", value_name = "NAME", requires = "update")]
    pub(crate) packages: Vec<String>,
    /// A registry that may be reached without TLS. May be given several times.
    #[arg(long = "insecure-registry", value_name = "HOST[:PORT]")]
    pub(crate) insecure_registries: Vec<String>,
}

/// What `cnbw rebase` takes.
#[derive(Debug, Args)]
pub(crate) struct RebaseArgs {
    /// Images to rebase: `docker://NAME` or a plain name in a registry, `oci:DIR[:TAG]`.
    #[arg(required_unless_present = "all_from")]
    pub(crate) images: Vec<String>,
    /// A file with further images, one a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) all_from: Option<PathBuf>,
    /// The new run image; else the one that each image's label names.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) run_image: Option<String>,
    /// Go on with a warning where the images do not fit together.
    #[arg(long)]
    pub(crate) force: bool,
    /// How many images are rebased at once.
    #[arg(long, value_name = "N", default_value = "4")]
    pub(crate) jobs: std::num::NonZeroUsize,
    /// A file to which a line of JSON is added for each image. Images that it says are done are left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// List the caches, the least recently used first.
    Ls,
    /// Remove the least recently used caches until the rest fits.
    Prune {
        /// How many bytes may stay.
        #[arg(long, value_name = "BYTES", default_value_t = 0)]
        max_size: u64,
    },
    /// Recompute the digest of every cached layer.
    Verify,
}

/// What `cnbw build` takes.
#[derive(Debug, Args)]
#[command(after_help = BUILD_HELP)]
pub(crate) struct BuildArgs {
    /// Where the image goes: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:TAG]`,
    /// `docker://NAME`, or a plain name, which becomes the file `NAME.tar` here (see below).
    pub(crate) image: String,
    /// The application's directory.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) path: PathBuf,
    /// A buildpack: a directory, or `ID[@VERSION]` of a built-in one. May be given several times;
    /// the group then is exactly these, in this order.
    #[arg(
        short,
        long = "buildpack",
        value_name = "BUILDPACK",
        value_delimiter = ','
    )]
    pub(crate) buildpacks: Vec<String>,
    /// What the application's image stands on: `scratch`, `oci:DIR[:TAG]`, `docker://NAME`, …
    #[arg(long, value_name = "IMAGE", default_value = "scratch")]
    pub(crate) run_image: String,
    /// A variable for the build: `NAME=VALUE`, or `NAME` to pass on the value that this command was given.
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// A file of such variables, one a line.
    #[arg(long = "env-file", value_name = "FILE")]
    pub(crate) env_files: Vec<PathBuf>,
    /// The process type that starts when the image is run without naming one.
    #[arg(short = 'D', long, value_name = "TYPE")]
    pub(crate) default_process: Option<String>,
    /// Where the application lies in the image.
    #[arg(long, value_name = "PATH", default_value = "/workspace")]
    pub(crate) workspace: String,
    /// A further name for the same image, of the same kind as the first. May be given several times.
    #[arg(short, long = "tag", value_name = "IMAGE")]
    pub(crate) tags: Vec<String>,
    /// For which platforms: `linux/amd64`, `linux/arm64`, or both with a comma. Nothing is emulated.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    pub(crate) platform: Vec<String>,
    /// Send a plainly named image to its registry.
    #[arg(long)]
    pub(crate) publish: bool,
    /// A project descriptor; `project.toml` in the application's directory if none is given.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) descriptor: Option<PathBuf>,
    /// An image whose layers and metadata are reused, if it is not the one that is built.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) previous_image: Option<String>,
    /// Forget what earlier builds cached for this image.
    #[arg(long)]
    pub(crate) clear_cache: bool,
    /// A registry that may be reached without TLS. May be given several times.
    #[arg(long = "insecure-registry", value_name = "HOST[:PORT]")]
    pub(crate) insecure_registries: Vec<String>,
    /// Write the report of the build (TOML, as the lifecycle writes it) into this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) report_output_dir: Option<PathBuf>,
    /// How long one buildpack's program may run, in seconds (detect 30, build 900 unless given).
    #[arg(long, value_name = "SECONDS")]
    pub(crate) guest_timeout: Option<u64>,
    /// How much memory one buildpack's program may use, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(crate) guest_memory: u64,
    /// Run buildpacks without the jail around WebAssembly. Only for buildpacks that you trust.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) no_jail: bool,
}

const CLI_HELP: &str = "\
cnbw lifecycle PHASE [FLAGS] runs one phase of the Cloud Native Buildpacks lifecycle with the flags
of the reference lifecycle: analyzer, detector, restorer, builder, exporter, creator, rebaser.
A link to cnbw with the name of a phase does the same.";

const BUILD_HELP: &str = "\
A plain name without --publish becomes one file that is both an OCI archive and a Docker archive:
  cnbw build shop --path ./shop
  docker load -i shop.tar        podman load -i shop.tar        skopeo copy oci-archive:shop.tar …

The reference of the image, with its digest, is all that is printed on standard output.

Exit status: 0 built; 1 another error; 2 wrong usage; 3 an argument has no meaning;
11, 12 an API is not supported; 20 no buildpack wants the application; 21 the same, and some
failed; 22 detection broke; 3x analysis, 4x restoring, 51 a buildpack failed, 5x building,
6x export; 130 interrupted.";

const RUN_IMAGE_HELP: &str = "\
The image has a C and C++ library (glibc), a shell, certificate authorities and time zones. Its packages come from
deb.debian.org by their digests: the same list gives the same image everywhere, and nothing of a package is run.

  cnbw run-image create oci:run                                              the packages of this cnbw
  cnbw run-image create oci:run --lock run.lock --update --package libpq5    the newest, and one more
  cnbw rebase oci:shop --run-image oci:run                                   security updates, without a build";

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Recompute every digest, size and diff ID of an image.
    Validate {
        /// The image: `oci:DIR[:TAG]`, `oci-archive:FILE`, `docker-archive:FILE`, `docker://NAME`.
        image: String,
    },
}
