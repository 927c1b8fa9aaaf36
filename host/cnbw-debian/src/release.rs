//! What a suite consists of: `InRelease` names the indices of packages, and each package with its digest.

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use cnbw_oci::digest::Digest;
use lzma_rust2::XzReader;

use crate::control::{paragraphs, relations};
use crate::version;

/// The largest index, decompressed, in bytes. That of a stable suite has 50 MB.
const MAX_INDEX_BYTES: u64 = 512 << 20;

/// A package that a suite offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Its version.
    pub version: String,
    /// Where it is, below the archive's root: `pool/main/…`.
    pub filename: String,
    /// SHA-256 of the package.
    pub sha256: String,
    /// Its length in bytes.
    pub size: u64,
    /// What it needs: for each position the alternatives.
    pub depends: Vec<Vec<String>>,
    /// Names that it stands for besides its own.
    pub provides: Vec<String>,
    /// The archive that has it, as an address without a slash at the end.
    pub archive: String,
}

/// A document that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// An `InRelease` without the index.
    #[error("`{file}` lists no `{index}` with a SHA-256")]
    NoIndex {
        /// The document.
        file: String,
        /// What it should list.
        index: String,
    },
    /// An index that cannot be read.
    #[error("`{file}` cannot be read: {reason}")]
    Damaged {
        /// The document.
        file: String,
        /// Why.
        reason: String,
    },
}

/// The digest of an index, as `InRelease` lists it.
///
/// The document is signed; the signature is not looked at here. What vouches for it is the connection it came over.
pub fn index_digest(release: &str, file: &str, index: &str) -> Result<Digest, ReleaseError> {
    let listed = paragraphs(release)
        .find_map(|paragraph| paragraph.get("SHA256").map(str::to_owned))
        .unwrap_or_default();
    listed
        .lines()
        .find_map(|line| {
            let mut words = line.split_whitespace();
            let (digest, _size, path) = (words.next()?, words.next()?, words.next()?);
            (path == index).then(|| format!("sha256:{digest}").parse().ok())?
        })
        .ok_or_else(|| ReleaseError::NoIndex {
            file: file.to_owned(),
            index: index.to_owned(),
        })
}

/// The moment of a release, from its field `Date`, in the form of Debian's record of the past: `20261121T091544Z`.
pub fn moment(release: &str, file: &str) -> Result<String, ReleaseError> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let date = paragraphs(release)
        .find_map(|paragraph| paragraph.get("Date").map(str::to_owned))
        .unwrap_or_default();
    let number = |text: &str| (text.len() <= 2).then(|| text.parse::<u8>().ok()).flatten();
    // `Sat, 21 Nov 2026 09:15:44 UTC`
    let read = || {
        let words: Vec<&str> = date.split_whitespace().collect();
        let [_, day, month, year, time, "UTC"] = words.as_slice() else {
            return None;
        };
        let month = MONTHS.iter().position(|name| name == month)? + 1;
        let year: u16 = year
            .parse()
            .ok()
            .filter(|year| (1993..=9999).contains(year))?;
        let time: Vec<u8> = time.split(':').map(number).collect::<Option<_>>()?;
        let [hour, minute, second] = time.as_slice() else {
            return None;
        };
        let day = number(day)?;
        Some(format!(
            "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"
        ))
    };
    read().ok_or_else(|| ReleaseError::Damaged {
        file: file.to_owned(),
        reason: format!("`{}` is no date", date.escape_debug()),
    })
}

/// Reads a compressed index into `packages`; of a package that is there already the higher version stays.
pub fn read_index(
    compressed: &[u8],
    file: &str,
    archive: &str,
    packages: &mut BTreeMap<String, Offered>,
) -> Result<(), ReleaseError> {
    let damaged = |reason: String| ReleaseError::Damaged {
        file: file.to_owned(),
        reason,
    };
    let mut text = String::new();
    XzReader::new(compressed, true)
        .take(MAX_INDEX_BYTES + 1)
        .read_to_string(&mut text)
        .and_then(|count| {
            if count as u64 > MAX_INDEX_BYTES {
                return Err(io::Error::other("it is too large"));
            }
            Ok(())
        })
        .map_err(|error| damaged(error.to_string()))?;
    for paragraph in paragraphs(&text) {
        let field = |name: &str| {
            paragraph
                .get(name)
                .map(str::to_owned)
                .ok_or_else(|| damaged(format!("a package has no field `{name}`")))
        };
        let names = |name: &str| -> Vec<Vec<String>> {
            relations(paragraph.get(name).unwrap_or_default())
                .into_iter()
                .map(|names| names.into_iter().map(str::to_owned).collect())
                .collect()
        };
        let (name, version) = (field("Package")?, field("Version")?);
        let is_older = packages.get(&name).is_some_and(|known| {
            version::compare(&known.version, &version) != std::cmp::Ordering::Less
        });
        if is_older {
            continue;
        }
        let size = field("Size")?;
        let mut depends = names("Pre-Depends");
        depends.extend(names("Depends"));
        let offered = Offered {
            version,
            filename: field("Filename")?,
            sha256: field("SHA256")?,
            size: size
                .parse()
                .map_err(|_| damaged(format!("`{}` is no size", size.escape_debug())))?,
            depends,
            provides: names("Provides").into_iter().flatten().collect(),
            archive: archive.to_owned(),
        };
        packages.insert(name, offered);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn xz(text: &str) -> Vec<u8> {
        let mut writer =
            lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        writer.finish().unwrap()
    }

    fn package(name: &str, version: &str) -> String {
        format!(
            "Package: {name}\nVersion: {version}\nFilename: pool/{name}.deb\nSize: 7\nSHA256: ab\nPre-Depends: a\nDepends: b | c\nProvides: d (= 1)\n\n"
        )
    }

    #[test]
    fn the_digest_of_an_index_stands_in_the_release() {
        let hex = "a".repeat(64);
        let release = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSuite: stable\nMD5Sum:\n {0} 1 main/x\nSHA256:\n {hex} 12 main/x\n {hex} 9 main/y\n",
            "b".repeat(32)
        );
        let digest = index_digest(&release, "InRelease", "main/x").unwrap();
        assert_eq!(digest.to_string(), format!("sha256:{hex}"));
        for text in [&release, "", "SHA256:\n zz 1 main/z\n"] {
            let error = index_digest(text, "InRelease", "main/z").unwrap_err();
            assert_eq!(
                error.to_string(),
                "`InRelease` lists no `main/z` with a SHA-256"
            );
        }
    }

    #[test]
    fn the_moment_of_a_release_is_its_date() {
        let release = |date: &str| format!("Suite: stable\nDate: {date}\n");
        assert_eq!(
            moment(&release("Sat, 21 Nov 2026 09:15:44 UTC"), "").unwrap(),
            "20261121T091544Z"
        );
        for date in [
            "",
            "yesterday",
            "Sat, 21 Foo 2026 09:15:44 UTC",
            "Sat, 21 Nov 2026 9 UTC",
            "Sat, 21 Nov 26 09:15:44 UTC",
        ] {
            let error = moment(&release(date), "R").unwrap_err().to_string();
            assert!(error.contains("is no date"), "{error}");
        }
    }

    #[test]
    fn the_higher_version_of_two_suites_counts() {
        let mut packages = BTreeMap::new();
        let main = xz(&(package("x", "1.0-1+deb13u2") + &package("y", "2")));
        let security = xz(&(package("x", "1.0-1+deb13u10") + &package("y", "1")));
        read_index(&main, "main", "https://a", &mut packages).unwrap();
        read_index(&security, "security", "https://b", &mut packages).unwrap();
        assert_eq!(packages["x"].version, "1.0-1+deb13u10");
        assert_eq!(packages["x"].archive, "https://b");
        assert_eq!(packages["x"].depends, [vec!["a"], vec!["b", "c"]]);
        assert_eq!(packages["x"].provides, ["d"]);
        assert_eq!(packages["y"].version, "2");
        assert_eq!(packages["y"].archive, "https://a");
    }

    #[test]
    fn a_damaged_index_is_named() {
        let mut packages = BTreeMap::new();
        let whole = xz(&package("x", "1"));
        let (half, _) = whole.split_at(whole.len() / 2);
        for bytes in [half, b"", b"Package: x"] {
            let error = read_index(bytes, "the index", "", &mut packages).unwrap_err();
            assert!(error.to_string().starts_with("`the index` cannot be read"));
        }
        let error = read_index(&xz("Package: x\n"), "i", "", &mut packages).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`i` cannot be read: a package has no field `Version`"
        );
        assert!(packages.is_empty());
    }
}
