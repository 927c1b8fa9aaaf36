//! The cache that the platform gives, and the directory for temporary files.

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw_lifecycle::cache::{Cache, DirectoryCache, ImageCache};
use cnbw_spec::exit;

use super::stores::Stores;
use super::{Context, Failure};
use crate::interrupts::PrivateDirectory;

/// A private directory that goes away with this value.
#[derive(Debug)]
pub(crate) struct Scratch {
    _removed_with_this: PrivateDirectory,
    /// The directory.
    pub(crate) dir: Dir,
}

impl Scratch {
    pub(crate) fn make(context: &Context) -> Result<Self, Failure> {
        let (private, dir) = context.temporary.directory().map_err(|error| {
            Failure::new(exit::FAILED, "make a private directory").because(error.to_string())
        })?;
        Ok(Self {
            _removed_with_this: private,
            dir,
        })
    }
}

/// Opens the cache image or else the cache directory; `None` if the platform gives neither.
pub(crate) fn open_cache<'a>(
    context: &Context,
    stores: &'a Stores,
    scratch: &'a Scratch,
) -> Result<Option<Box<dyn Cache + 'a>>, Failure> {
    let inputs = &context.inputs;
    if !inputs.cache_image.is_empty() {
        let client = stores.client();
        let cache = ImageCache::open(&inputs.cache_image, client, client, &scratch.dir, workers());
        let cache = cache
            .map_err(|error| Failure::new(exit::FAILED, "create image cache").because_of(error))?;
        return Ok(Some(Box::new(cache)));
    }
    if inputs.cache_dir.is_empty() {
        return Ok(None);
    }
    let failed = || Failure::new(exit::FAILED, "create volume cache");
    let dir = Dir::open_ambient_dir(&inputs.cache_dir, ambient_authority()).map_err(|error| {
        let cause = format!("cannot open `{}`: {error}", inputs.cache_dir.escape_debug());
        failed().because(cause)
    })?;
    let cache = DirectoryCache::open(dir, inputs.cache_dir.clone())
        .map_err(|error| failed().because_of(error))?;
    Ok(Some(Box::new(cache)))
}

/// Says so if there is no cache.
pub(crate) fn warn_without_cache(context: &Context) {
    if context.inputs.cache_image.is_empty() && context.inputs.cache_dir.is_empty() {
        let text = "No cached data will be used, no cache specified.";
        context.logger.warning(text);
    }
}

/// How many threads may work.
pub(crate) fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}
