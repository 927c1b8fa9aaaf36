//! A lock becomes an image.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use cap_std::fs::Dir;
use cnbw_oci::compress::Compression;
use cnbw_oci::config::{ContainerConfig, History, ImageConfig, RootFs, format_time};
use cnbw_oci::digest::Digest;
use cnbw_oci::image::NewImage;
use cnbw_oci::layer::{LayerError, LayerOptions, LayerWriter, Owner, scan_tree};
use cnbw_oci::manifest::Family;

use crate::lock::{Lock, LockedPackage};
use crate::tree::{TreeError, configure, install};
use crate::{FetchError, MIRROR, PAST, Packages};

/// Who applications run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Name of user and group.
    pub name: String,
    /// Number of the user.
    pub uid: u64,
    /// Number of the group.
    pub gid: u64,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            name: "cnb".to_owned(),
            uid: 1000,
            gid: 1000,
        }
    }
}

/// What does not follow from the packages.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who applications run as.
    pub account: Account,
    /// How the layer is stored.
    pub compression: Compression,
    /// How many threads compress.
    pub workers: usize,
    /// When the image was made, in seconds since 1970. Files have the layers' constant time.
    pub created: i64,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The lock has nothing for the architecture.
    #[error("the list of packages has none for `{}`", .0.escape_debug())]
    Architecture(String),
    /// A package did not come.
    #[error("cannot get the package `{package}` {version}")]
    Fetch {
        /// Which.
        package: String,
        /// In which version.
        version: String,
        /// Why.
        source: FetchError,
    },
    /// A package has another length than the lock says.
    #[error("the package `{package}` has {found} bytes, and {wanted} are on the list")]
    Size {
        /// Which.
        package: String,
        /// How many it has.
        found: u64,
        /// How many it should have.
        wanted: u64,
    },
    /// The packages cannot be put together.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The layer cannot be written.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// Directories in which everybody may write, and nobody may remove what is another's.
const SHARED: [&str; 2] = ["tmp", "var/tmp"];

/// Makes the image for one architecture. `root` is empty, and is filled; `scratch` is for temporary files.
/// `progress` is told each package before it is fetched.
pub fn build(
    lock: &Lock,
    architecture: &str,
    packages: &dyn Packages,
    (root, scratch): (&Dir, &Dir),
    settings: &Settings,
    progress: &mut dyn FnMut(&LockedPackage),
) -> Result<NewImage, ImageError> {
    let locked = lock
        .package
        .get(architecture)
        .filter(|packages| !packages.is_empty())
        .ok_or_else(|| ImageError::Architecture(architecture.to_owned()))?;
    for package in locked {
        progress(package);
        let bytes = fetch(package, &lock.snapshot, packages)?;
        install(&package.name, &bytes, root, scratch)?;
    }
    configure(root, &settings.account)?;
    let options = LayerOptions {
        family: Family::Oci,
        compression: settings.compression,
        workers: settings.workers,
        ..LayerOptions::default()
    };
    let mut layer = LayerWriter::create(scratch, &options)?;
    let shared = |path: &std::path::Path| SHARED.iter().any(|it| path.starts_with(it));
    let found = scan_tree(root)?;
    let paths = found
        .iter()
        .map(|entry| entry.path.as_path())
        .filter(|path| !shared(path));
    layer.add_paths("", root, paths, Owner::ROOT)?;
    for path in SHARED {
        layer.add_directory(&format!("/{path}"), Owner::ROOT, 0o1777)?;
    }
    let Account { name, uid, gid } = &settings.account;
    let owner = Owner {
        uid: *uid,
        gid: *gid,
    };
    layer.add_directory(&format!("/home/{name}"), owner, 0o755)?;
    let blob = layer.finish()?;
    let config = config(lock, architecture, settings, blob.diff_id);
    Ok(NewImage {
        family: Family::Oci,
        config,
        layers: vec![blob.into()],
        annotations: BTreeMap::new(),
    })
}

/// Gets a package from where it was found, or, when newer ones have taken its place there, from Debian's record of the
/// past.
fn fetch(
    package: &LockedPackage,
    snapshot: &str,
    packages: &dyn Packages,
) -> Result<Vec<u8>, ImageError> {
    let failed = |source| ImageError::Fetch {
        package: package.name.clone(),
        version: package.version.clone(),
        source,
    };
    let digest = Digest::from_str(&format!("sha256:{}", package.sha256))
        .map_err(|source| failed(FetchError(source.into())))?;
    let bytes = packages
        .fetch(&package.url, Some(&digest))
        .or_else(|error| {
            // What the usual place said is the better reason if both fail.
            past_address(&package.url, snapshot)
                .and_then(|past| packages.fetch(&past, Some(&digest)).ok())
                .ok_or(error)
        })
        .map_err(failed)?;
    let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if found == package.size {
        Ok(bytes)
    } else {
        Err(ImageError::Size {
            package: package.name.clone(),
            found,
            wanted: package.size,
        })
    }
}

/// `https://deb.debian.org/debian/pool/…` as of a moment.
fn past_address(url: &str, snapshot: &str) -> Option<String> {
    let (archive, path) = url
        .strip_prefix(MIRROR)?
        .strip_prefix('/')?
        .split_once('/')?;
    (!snapshot.is_empty()).then(|| format!("{PAST}/{archive}/{snapshot}/{path}"))
}

fn config(
    lock: &Lock,
    architecture: &str,
    settings: &Settings,
    diff_id: cnbw_oci::digest::DiffId,
) -> ImageConfig {
    let account = &settings.account;
    let created = format_time(settings.created);
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    ImageConfig {
        architecture: architecture.to_owned(),
        variant: if architecture == "arm64" { "v8" } else { "" }.to_owned(),
        os: "linux".to_owned(),
        created: created.clone(),
        history: vec![History {
            created,
            created_by: format!("cnbw run-image create (Debian {})", lock.suite),
            ..History::default()
        }],
        rootfs: RootFs {
            diff_ids: vec![diff_id],
            ..RootFs::default()
        },
        config: ContainerConfig {
            env: vec![
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            ],
            user: format!("{}:{}", account.uid, account.gid),
            labels: [
                label("io.buildpacks.base.distro.name", "debian"),
                label("io.buildpacks.base.distro.version", &lock.release),
                label("io.buildpacks.base.maintainer", "cnbw"),
                label(
                    "io.buildpacks.base.description",
                    "Debian packages: C and C++ libraries, a shell, certificate authorities, time zones",
                ),
            ]
            .into(),
            ..ContainerConfig::default()
        },
        ..ImageConfig::default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use cap_std::ambient_authority;

    use super::*;

    /// A tar of files.
    pub(crate) fn tar(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, mode, content) in files {
            let mut header = tar::Header::new_gnu();
            // The crate refuses the names that hostile archives have.
            let field = &mut header.as_old_mut().name;
            field[..name.len()].copy_from_slice(name.as_bytes());
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// A package with this content.
    pub(crate) fn deb(name: &str, data: &[u8]) -> Vec<u8> {
        let control = format!("Package: {name}\nVersion: 1\n");
        let control = tar(&[("./control", 0o644, control.as_bytes())]);
        crate::deb::tests::archive(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &control),
            ("data.tar", data),
        ])
    }

    struct Shelf(HashMap<String, Vec<u8>>);

    impl Packages for Shelf {
        fn fetch(&self, url: &str, digest: Option<&Digest>) -> Result<Vec<u8>, FetchError> {
            let missing = || FetchError(format!("`{url}` is not there").into());
            let bytes = self.0.get(url).cloned().ok_or_else(missing)?;
            match digest {
                Some(digest) if *digest == Digest::of(&bytes) => Ok(bytes),
                _ => Err(FetchError("it was not asked for by its digest".into())),
            }
        }
    }

    fn world() -> (Lock, Shelf) {
        let mut shelf = Shelf(HashMap::new());
        let mut packages = Vec::new();
        for (name, data) in [
            (
                "base",
                tar(&[("./usr/bin/sh", 0o755, b"sh"), ("./tmp/x", 0o644, b"")]),
            ),
            ("lib", tar(&[("./usr/lib/lib.so", 0o644, b"lib")])),
        ] {
            let bytes = deb(name, &data);
            let url = format!("{MIRROR}/debian-security/pool/{name}.deb");
            packages.push(LockedPackage {
                name: name.to_owned(),
                version: "1".to_owned(),
                url: url.clone(),
                sha256: Digest::of(&bytes).hex(),
                size: bytes.len() as u64,
            });
            shelf.0.insert(url, bytes);
        }
        let lock = Lock {
            version: 1,
            suite: "trixie".to_owned(),
            release: "13".to_owned(),
            snapshot: "20261121T091544Z".to_owned(),
            package: [("arm64".to_owned(), packages)].into(),
        };
        (lock, shelf)
    }

    fn make(lock: &Lock, shelf: &Shelf, architecture: &str) -> Result<NewImage, ImageError> {
        let temp = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            std::fs::create_dir(temp.path().join(name)).unwrap();
            Dir::open_ambient_dir(temp.path().join(name), ambient_authority()).unwrap()
        };
        let settings = Settings {
            account: Account::default(),
            compression: Compression::None,
            workers: 1,
            created: 315_532_801,
        };
        build(
            lock,
            architecture,
            shelf,
            (&dir("root"), &dir("scratch")),
            &settings,
            &mut |_| {},
        )
    }

    fn entries(image: NewImage) -> Vec<(String, u32, u64)> {
        let mut layers = image.layers;
        let cnbw_oci::image::LayerContent::File { file, .. } = layers.remove(0).content else {
            panic!("the layer is a file");
        };
        let mut file = file;
        std::io::Seek::rewind(&mut file).unwrap();
        tar::Archive::new(file)
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                (
                    entry.path().unwrap().to_string_lossy().into_owned(),
                    header.mode().unwrap() & 0o7777,
                    header.uid().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn an_image_has_the_packages_the_accounts_and_shared_directories() {
        let (lock, shelf) = world();
        let image = make(&lock, &shelf, "arm64").unwrap();
        assert_eq!(image.config.architecture, "arm64");
        assert_eq!(image.config.config.user, "1000:1000");
        let entries = entries(image);
        for expected in [
            ("/usr/bin/sh", 0o755, 0),
            ("/usr/lib/lib.so", 0o644, 0),
            ("/etc/passwd", 0o644, 0),
            ("/tmp", 0o1777, 0),
            ("/var/tmp", 0o1777, 0),
            ("/home/cnb", 0o755, 1000),
        ] {
            assert!(
                entries.iter().any(|(path, mode, uid)| {
                    (path.trim_end_matches('/'), *mode, *uid) == expected
                }),
                "{expected:?} is not in {entries:?}"
            );
        }
        assert!(!entries.iter().any(|(path, ..)| path == "/tmp/x"));
    }

    #[test]
    fn one_lock_gives_one_image() {
        let (lock, shelf) = world();
        let digest = |image: NewImage| image.config.rootfs.diff_ids;
        let first = digest(make(&lock, &shelf, "arm64").unwrap());
        assert_eq!(first, digest(make(&lock, &shelf, "arm64").unwrap()));
    }

    #[test]
    fn what_is_not_on_the_list_or_has_another_length_is_refused() {
        let (mut lock, shelf) = world();
        let error = make(&lock, &shelf, "amd64").unwrap_err().to_string();
        assert_eq!(error, "the list of packages has none for `amd64`");
        lock.package.get_mut("arm64").unwrap()[1].size += 1;
        let error = make(&lock, &shelf, "arm64").unwrap_err().to_string();
        assert!(error.starts_with("the package `lib` has "), "{error}");
    }

    #[test]
    fn what_is_no_longer_offered_comes_from_the_past() {
        let (lock, mut shelf) = world();
        let now = format!("{MIRROR}/debian-security/pool/lib.deb");
        let bytes = shelf.0.remove(&now).unwrap();
        let error = make(&lock, &shelf, "arm64").unwrap_err();
        assert_eq!(error.to_string(), "cannot get the package `lib` 1");
        let past = format!("{PAST}/debian-security/20261121T091544Z/pool/lib.deb");
        shelf.0.insert(past, bytes);
        make(&lock, &shelf, "arm64").unwrap();
        assert_eq!(past_address("https://other.example/a/b", "2026"), None);
        assert_eq!(past_address(&now, ""), None);
    }
}
