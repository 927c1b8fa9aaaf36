//! Which packages an image needs, as of today.

use std::collections::{BTreeMap, BTreeSet};

use crate::lock::{Lock, LockedPackage, is_name};
use crate::release::{Offered, ReleaseError, index_digest, moment, read_index};
use crate::{FetchError, MIRROR, Packages};

/// What every run image has: a C and C++ library, a shell and the usual small programs, certificate authorities and
/// time zones.
pub const DEFAULT_ROOTS: &[&str] = &[
    "base-files",
    "ca-certificates",
    "coreutils",
    "dash",
    "libatomic1",
    "libc-bin",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "netbase",
    "tzdata",
    "zlib1g",
];

/// What only installing needs, or scripts that are not run here.
const NOT_NEEDED: &[&str] = &[
    "awk",
    "cdebconf",
    "debconf",
    "debconf-2.0",
    "debianutils",
    "dpkg",
    "gcc-14-base",
    "openssl",
    "perl-base",
];

/// The suite that images are made from, and its release.
const SUITE: &str = "trixie";
const RELEASE: &str = "13";

/// Packages that one architecture may have. More is a mistake.
const MAX_PACKAGES: usize = 2000;

/// Why no lock could be made.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A document did not come.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A document is damaged.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// Nobody has the package.
    #[error(
        "Debian {SUITE} has no package `{}` for {architecture}{}",
        name.escape_debug(),
        wanted_by.as_deref().map(|by| format!(", which `{by}` needs")).unwrap_or_default()
    )]
    Missing {
        /// Its name.
        name: String,
        /// For which architecture.
        architecture: String,
        /// Which package needs it; `None` if the caller asked for it.
        wanted_by: Option<String>,
    },
    /// Too many.
    #[error("more than {MAX_PACKAGES} packages are needed, which is a mistake")]
    TooMany,
}

/// Looks up the packages of an image: `roots` and all that they need, in the newest version of the suite and its
/// security updates.
pub fn resolve(
    packages: &dyn Packages,
    architectures: &[&str],
    roots: &[&str],
) -> Result<Lock, ResolveError> {
    let mut lock = Lock {
        version: 1,
        suite: SUITE.to_owned(),
        release: RELEASE.to_owned(),
        snapshot: String::new(),
        package: BTreeMap::new(),
    };
    let suites = [
        (format!("{MIRROR}/debian"), SUITE.to_owned()),
        (
            format!("{MIRROR}/debian-security"),
            format!("{SUITE}-security"),
        ),
    ];
    let mut releases = Vec::new();
    for (archive, suite) in &suites {
        let url = format!("{archive}/dists/{suite}/InRelease");
        let release = packages.fetch(&url, None)?;
        let release = String::from_utf8_lossy(&release).into_owned();
        // The later one: the record of the past gives what was there before a moment.
        lock.snapshot = lock.snapshot.max(moment(&release, &url)?);
        releases.push((archive, suite, url, release));
    }
    for architecture in architectures {
        let mut offered = BTreeMap::new();
        for (archive, suite, url, release) in &releases {
            let index = format!("main/binary-{architecture}/Packages.xz");
            let digest = index_digest(release, url, &index)?;
            // By its digest, so that a mirror that is being updated does no harm.
            let url = format!(
                "{archive}/dists/{suite}/main/binary-{architecture}/by-hash/SHA256/{}",
                digest.hex()
            );
            let bytes = packages.fetch(&url, Some(&digest))?;
            read_index(&bytes, &url, archive, &mut offered)?;
        }
        let needed = closure(&offered, roots, architecture)?;
        let locked = needed.into_iter().map(|(name, offered)| LockedPackage {
            url: format!("{}/{}", offered.archive, offered.filename),
            name,
            version: offered.version.clone(),
            sha256: offered.sha256.clone(),
            size: offered.size,
        });
        lock.package
            .insert((*architecture).to_owned(), locked.collect());
    }
    Ok(lock)
}

/// The roots and what they need, by name.
fn closure<'a>(
    offered: &'a BTreeMap<String, Offered>,
    roots: &[&str],
    architecture: &str,
) -> Result<BTreeMap<String, &'a Offered>, ResolveError> {
    let mut providers: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, package) in offered {
        for provided in &package.provides {
            providers.entry(provided).or_insert(name);
        }
    }
    let mut needed = BTreeMap::new();
    let mut pending: Vec<(&str, Option<&str>)> = roots.iter().map(|root| (*root, None)).collect();
    let mut passed_over = BTreeSet::new();
    while let Some((name, wanted_by)) = pending.pop() {
        let missing = || ResolveError::Missing {
            name: name.to_owned(),
            architecture: architecture.to_owned(),
            wanted_by: wanted_by.map(str::to_owned),
        };
        if !is_name(name) {
            return Err(missing());
        }
        // A name that only others provide stands for the first of them.
        let name = if offered.contains_key(name) {
            name
        } else {
            providers.get(name).copied().ok_or_else(missing)?
        };
        let package = offered.get(name).ok_or_else(missing)?;
        if needed.contains_key(name) {
            continue;
        }
        if needed.len() == MAX_PACKAGES {
            return Err(ResolveError::TooMany);
        }
        needed.insert(name.to_owned(), package);
        for alternatives in &package.depends {
            let has = |it: &String| needed.contains_key(it) || passed_over.contains(it.as_str());
            if alternatives.iter().any(has) {
                continue;
            }
            if let Some(skipped) = alternatives
                .iter()
                .find(|it| NOT_NEEDED.contains(&it.as_str()))
            {
                passed_over.insert(skipped.as_str());
                continue;
            }
            let known =
                |it: &&String| offered.contains_key(*it) || providers.contains_key(it.as_str());
            let chosen = alternatives.iter().find(known).or(alternatives.first());
            pending.extend(chosen.map(|chosen| (chosen.as_str(), Some(name))));
        }
    }
    Ok(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(list: &[(&str, &str, &str)]) -> BTreeMap<String, Offered> {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        list.iter()
            .map(|(name, depends, provides)| {
                let package = Offered {
                    version: "1".to_owned(),
                    filename: format!("pool/{name}.deb"),
                    sha256: String::new(),
                    size: 1,
                    depends: depends
                        .split(',')
                        .filter(|it| !it.is_empty())
                        .map(words)
                        .collect(),
                    provides: words(provides),
                    archive: String::new(),
                };
                ((*name).to_owned(), package)
            })
            .collect()
    }

    fn names(list: &[(&str, &str, &str)], roots: &[&str]) -> Result<Vec<String>, String> {
        let offered = offered(list);
        closure(&offered, roots, "amd64")
            .map(|needed| needed.into_keys().collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn all_that_is_needed_comes_along_once() {
        let list = [
            ("app", "lib,debconf debconf-2.0", ""),
            ("lib", "app,other,virtual", ""),
            ("other", "none-such lib", ""),
            ("real", "", "virtual"),
            ("unused", "", ""),
        ];
        assert_eq!(
            names(&list, &["app"]).unwrap(),
            ["app", "lib", "other", "real"]
        );
    }

    #[test]
    fn what_nobody_has_is_named_with_who_wants_it() {
        let list = [("app", "ghost", "")];
        assert_eq!(
            names(&list, &["app"]).unwrap_err(),
            "Debian trixie has no package `ghost` for amd64, which `app` needs"
        );
        assert_eq!(
            names(&list, &["No Such\n"]).unwrap_err(),
            "Debian trixie has no package `No Such\\n` for amd64"
        );
    }
}
