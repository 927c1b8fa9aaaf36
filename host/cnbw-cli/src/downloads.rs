//! How downloads that are no images are done on this machine.

use std::path::PathBuf;

use cap_std::fs::Dir;
use cnbw_broker::{BrokerOptions, Fetcher, ProxyOption, Roots, Store};

use crate::error::CliError;
use crate::{environment, places};

/// A fetcher with the user's store; `temporary` is the store where there is none.
///
/// `HTTPS_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` mean what they mean to other programs.
pub(crate) fn fetcher(temporary: &Dir, largest: u64) -> Result<Fetcher, CliError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| CliError::Downloads { source };
    let dir = match places::download_store() {
        Some(dir) => dir,
        None => temporary
            .try_clone()
            .map_err(|error| failed(error.into()))?,
    };
    let store = Store::open(dir).map_err(|error| failed(error.into()))?;
    let options = BrokerOptions {
        largest,
        proxy: proxy(),
        roots: roots()?,
        ..BrokerOptions::default()
    };
    Fetcher::new(store, options).map_err(|error| failed(error.into()))
}

fn text(names: [&str; 2]) -> Option<String> {
    names
        .into_iter()
        .filter_map(environment::variable)
        .filter_map(|value| value.into_string().ok())
        .find(|value| !value.is_empty())
}

fn proxy() -> Option<ProxyOption> {
    let except = text(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    Some(ProxyOption {
        url: text(["HTTPS_PROXY", "https_proxy"])?,
        except: except
            .split(',')
            .map(|host| host.trim().to_owned())
            .filter(|host| !host.is_empty())
            .collect(),
    })
}

/// The authorities of this machine, if it names its own; some networks look into every connection.
fn roots() -> Result<Roots, CliError> {
    match environment::variable("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
        None => Ok(Roots::Bundled),
        Some(path) => Ok(Roots::BundledAnd(places::read_text(&PathBuf::from(path))?)),
    }
}
