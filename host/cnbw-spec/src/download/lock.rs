//! `cnbw.lock`: what buildpacks downloaded, pinned by digest.
//!
//! One line for each download, sorted, below the buildpack's id: two branches that download different things
//! merge by themselves, and those that do not are merged by keeping all lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Address, ContentDigest, Verb};
use crate::document::{Document, DocumentError, MAX_DOCUMENT_BYTES, Reader, escape};
use crate::id::BuildpackId;

/// The version of the format that is written, and the only one that is read.
const VERSION: i64 = 1;

const HEAD: &str = "\
# What buildpacks downloaded for this application. Written by cnbw, to be committed; one line is one download.
# After a merge conflict keep the lines of both sides.
";

/// A download that was done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockEntry {
    /// Where it came from.
    pub url: Address,
    /// What came.
    pub digest: ContentDigest,
    /// Its size in bytes.
    pub size: u64,
}

/// All downloads of an application's build.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Lock {
    buildpacks: BTreeMap<BuildpackId, Downloads>,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Downloads {
    /// One answer for each address.
    lookups: BTreeMap<Address, LockEntry>,
    /// An address may have given different files at different times: the digest is the name.
    fetches: BTreeMap<(Address, ContentDigest), u64>,
}

/// A lock that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Two versions of the file were merged, and the merge is not finished.
    #[error(
        "`{file}`, line {line}: a merge was left unfinished; keep the lines of both sides and remove the markers \
         `<<<<<<<`, `=======` and `>>>>>>>`"
    )]
    Conflict {
        /// The file.
        file: String,
        /// Line of the first marker, from 1.
        line: usize,
    },
    /// A rule of the format is broken.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl Lock {
    /// Whether nothing was downloaded.
    pub fn is_empty(&self) -> bool {
        self.buildpacks.is_empty()
    }

    /// What an address gave when it was looked up.
    pub fn lookup(&self, buildpack: &BuildpackId, url: &Address) -> Option<&LockEntry> {
        self.buildpacks.get(buildpack)?.lookups.get(url)
    }

    /// Whether a file was fetched.
    pub fn has_fetch(
        &self,
        buildpack: &BuildpackId,
        url: &Address,
        digest: &ContentDigest,
    ) -> bool {
        self.buildpacks.get(buildpack).is_some_and(|downloads| {
            let key = (url.clone(), digest.clone());
            downloads.fetches.contains_key(&key)
        })
    }

    /// Pins a download. Of lookups of the same address the last one counts.
    pub fn record(&mut self, buildpack: &BuildpackId, verb: Verb, entry: LockEntry) {
        let downloads = self.buildpacks.entry(buildpack.clone()).or_default();
        match verb {
            Verb::Lookup => {
                downloads.lookups.insert(entry.url.clone(), entry);
            }
            Verb::Fetch => {
                downloads
                    .fetches
                    .insert((entry.url, entry.digest), entry.size);
            }
        }
    }

    /// Forgets a buildpack's downloads. Says whether there were any.
    pub fn forget(&mut self, buildpack: &BuildpackId) -> bool {
        self.buildpacks.remove(buildpack).is_some()
    }

    /// All downloads in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = (&BuildpackId, Verb, LockEntry)> {
        self.buildpacks.iter().flat_map(|(id, downloads)| {
            let lookups = downloads.lookups.values().cloned();
            let fetches = downloads
                .fetches
                .iter()
                .map(|((url, digest), size)| LockEntry {
                    url: url.clone(),
                    digest: digest.clone(),
                    size: *size,
                });
            let lookups = lookups.map(move |entry| (id, Verb::Lookup, entry));
            lookups.chain(fetches.map(move |entry| (id, Verb::Fetch, entry)))
        })
    }
}

/// Parses `cnbw.lock`. The order of lines is free, and a line may be there twice.
pub fn parse_lock(file: &str, bytes: &[u8]) -> Result<Lock, LockError> {
    if let Some(line) = conflict_marker(bytes) {
        return Err(LockError::Conflict {
            file: file.to_owned(),
            line,
        });
    }
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    match root.any("version")? {
        Some(version) if version.as_integer() == Some(VERSION) => {}
        Some(_) => {
            let reason = format!(
                "only version {VERSION} is known: use the cnbw that wrote it, or a later one"
            );
            return Err(root.error("version", reason).into());
        }
        None => {
            return Err(root
                .error("version", "missing: this is no lock, or it is damaged")
                .into());
        }
    }
    let mut lock = Lock::default();
    for (name, table) in root
        .table("buildpack")?
        .map_or(Ok(Vec::new()), |table| table.named_tables())?
    {
        let id = BuildpackId::parse(&name).map_err(|error| table.error_here(error.to_string()))?;
        for verb in Verb::ALL {
            for line in table.tables(verb.name())? {
                let entry = read_entry(&line)?;
                if verb == Verb::Lookup
                    && let Some(other) = lock.lookup(&id, &entry.url)
                    && *other != entry
                {
                    let reason = format!(
                        "`{}` is pinned twice, and differently: keep one of the two lines",
                        entry.url
                    );
                    return Err(line.error("url", reason).into());
                }
                lock.record(&id, verb, entry);
            }
        }
    }
    Ok(lock)
}

fn conflict_marker(bytes: &[u8]) -> Option<usize> {
    let is_marker = |line: &[u8]| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        [&b"<<<<<<<"[..], b">>>>>>>", b"|||||||"]
            .iter()
            .any(|marker| line.starts_with(marker))
            || line == b"======="
    };
    let index = bytes.split(|byte| *byte == b'\n').position(is_marker)?;
    Some(index + 1)
}

fn read_entry(line: &Reader<'_>) -> Result<LockEntry, DocumentError> {
    let url = line.text("url")?;
    let url = Address::parse(&url)
        .map_err(|error| line.error("url", format!("`{}`: {error}", escape(&url))))?;
    let digest = ContentDigest::parse(&line.text("digest")?)
        .map_err(|error| line.error("digest", error.to_string()))?;
    let size = line.any("size")?.and_then(|size| size.as_integer());
    let size = size
        .and_then(|size| u64::try_from(size).ok())
        .ok_or_else(|| line.error("size", "a size is a number of bytes"))?;
    Ok(LockEntry { url, digest, size })
}

/// Prints `cnbw.lock`. `None` says that there are more downloads than a lock can hold.
pub fn print_lock(lock: &Lock) -> Option<String> {
    let mut text = format!("{HEAD}version = {VERSION}\n");
    for (id, downloads) in &lock.buildpacks {
        // Characters of ids need no escapes, and those that do are refused before anything is downloaded.
        let _infallible = write!(text, "\n[buildpack.\"{}\"]\n", id.as_str());
        let lookups = downloads
            .lookups
            .values()
            .map(|entry| (&entry.url, &entry.digest, entry.size));
        let fetches = downloads
            .fetches
            .iter()
            .map(|((url, digest), size)| (url, digest, *size));
        print_entries(&mut text, Verb::Lookup, lookups);
        print_entries(&mut text, Verb::Fetch, fetches);
    }
    (text.len() <= MAX_DOCUMENT_BYTES).then_some(text)
}

fn print_entries<'a>(
    text: &mut String,
    verb: Verb,
    entries: impl Iterator<Item = (&'a Address, &'a ContentDigest, u64)>,
) {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return;
    }
    let _infallible = writeln!(text, "{verb} = [");
    for (url, digest, size) in entries {
        // An address has no quote and no backslash in its one form.
        let _infallible = writeln!(
            text,
            "  {{ url = \"{url}\", digest = \"{digest}\", size = {size} }},"
        );
    }
    text.push_str("]\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> BuildpackId {
        BuildpackId::parse(text).unwrap()
    }

    fn entry(url: &str, digit: &str, size: u64) -> LockEntry {
        LockEntry {
            url: Address::parse(url).unwrap(),
            digest: ContentDigest::parse(&format!("sha256:{}", digit.repeat(64))).unwrap(),
            size,
        }
    }

    fn sample() -> Lock {
        let mut lock = Lock::default();
        lock.record(
            &id("b/node"),
            Verb::Fetch,
            entry("https://e.org/b.tgz", "b", 2),
        );
        lock.record(
            &id("b/node"),
            Verb::Fetch,
            entry("https://e.org/a.tgz", "a", 1),
        );
        lock.record(
            &id("b/node"),
            Verb::Lookup,
            entry("https://e.org/index?x=1", "c", 3),
        );
        lock.record(&id("a"), Verb::Fetch, entry("https://e.org/a.tgz", "a", 1));
        lock
    }

    #[test]
    fn a_lock_is_sorted_with_one_line_for_each_download() {
        let text = print_lock(&sample()).unwrap();
        let lines: Vec<_> = text.lines().skip(2).collect();
        let line = |url, digit: &str, size| {
            format!(
                "  {{ url = \"{url}\", digest = \"sha256:{}\", size = {size} }},",
                digit.repeat(64)
            )
        };
        assert_eq!(
            lines,
            [
                "version = 1",
                "",
                "[buildpack.\"a\"]",
                "fetch = [",
                &line("https://e.org/a.tgz", "a", 1),
                "]",
                "",
                "[buildpack.\"b/node\"]",
                "lookup = [",
                &line("https://e.org/index?x=1", "c", 3),
                "]",
                "fetch = [",
                &line("https://e.org/a.tgz", "a", 1),
                &line("https://e.org/b.tgz", "b", 2),
                "]",
            ]
        );
        assert_eq!(parse_lock("cnbw.lock", text.as_bytes()).unwrap(), sample());
        assert_eq!(sample().entries().count(), 4);
    }

    #[test]
    fn lines_of_both_sides_of_a_merge_can_be_kept() {
        let text = print_lock(&sample()).unwrap();
        let line = text.lines().find(|line| line.contains("a.tgz")).unwrap();
        let doubled = text.replacen(line, &format!("{line}\n{line}"), 1);
        assert_eq!(
            parse_lock("cnbw.lock", doubled.as_bytes()).unwrap(),
            sample()
        );
    }

    #[test]
    fn damage_is_named_with_its_line() {
        let text = print_lock(&sample()).unwrap();
        let lookup = text.lines().find(|line| line.contains("index")).unwrap();
        let other = lookup.replace("size = 3", "size = 4");
        for (damaged, message) in [
            (
                format!("<<<<<<< HEAD\n{text}"),
                "line 1: a merge was left unfinished",
            ),
            (
                text.replace("version = 1\n", "=======\n"),
                "line 3: a merge was left unfinished",
            ),
            (text.replace("version = 1\n", ""), "key `version`: missing"),
            (
                text.replace("version = 1", "version = 2"),
                "line 3, key `version`: only version 1",
            ),
            (
                text.replacen("https://", "htps://", 1),
                "line 7, key `buildpack.a.fetch[0].url`",
            ),
            (
                text.replacen("sha256:a", "sha256:", 1),
                "has 64 hexadecimal digits, and this one has 63",
            ),
            (
                text.replacen("size = 1", "size = -1", 1),
                "a size is a number of bytes",
            ),
            (
                text.replacen(", size = 1", "", 1),
                "a size is a number of bytes",
            ),
            (
                text.replace(lookup, &format!("{lookup}\n{other}")),
                "is pinned twice, and differently",
            ),
            (text.replace("]\n", ""), "not TOML"),
        ] {
            let error = parse_lock("cnbw.lock", damaged.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}\n{damaged}");
        }
    }

    #[test]
    fn more_than_can_be_read_is_not_printed() {
        let mut lock = Lock::default();
        for number in 0..10_000 {
            let url = format!("https://e.org/{number}");
            lock.record(&id("a"), Verb::Fetch, entry(&url, "a", 1));
        }
        assert_eq!(print_lock(&lock), None);
    }

    #[test]
    fn a_forgotten_buildpack_leaves_no_trace() {
        let mut lock = sample();
        assert!(lock.forget(&id("a")));
        assert!(!lock.forget(&id("a")));
        assert!(!print_lock(&lock).unwrap().contains("\"a\""));
    }

    proptest! {
        #[test]
        fn a_printed_lock_is_read_back(
            entries in proptest::collection::vec(
                ("[a-z]{1,3}(/[a-z]{1,3})?", any::<bool>(), "https?://[a-z]{1,4}(/[a-zA-Z0-9%$'*~]{0,4}){0,3}(\\?[a-z=&]{0,4})?", 0_u8..16, 0_u64..1 << 62),
                0..8,
            )
        ) {
            let mut lock = Lock::default();
            for (name, is_lookup, url, digit, size) in entries {
                let Ok(url) = Address::parse(&url) else { continue };
                let digest = format!("sha512:{}", format!("{digit:x}").repeat(128));
                let digest = ContentDigest::parse(&digest).unwrap();
                let verb = if is_lookup { Verb::Lookup } else { Verb::Fetch };
                lock.record(&id(&name), verb, LockEntry { url, digest, size });
            }
            let text = print_lock(&lock).unwrap();
            prop_assert_eq!(parse_lock("cnbw.lock", text.as_bytes()).unwrap(), lock);
        }
    }
}
