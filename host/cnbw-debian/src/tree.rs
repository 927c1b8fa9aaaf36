//! Puts the packages into a directory, and does what their scripts would.

use std::io::{self, Cursor};

use cap_std::fs::Dir;
use cnbw_unpack::{Filter, FilterError, Format, Limits, Options, UnpackError, unpack_stream};

use crate::control::paragraphs;
use crate::deb::{Deb, DebError};
use crate::image::Account;

/// What nothing in a container reads. Copyrights stay: the licenses ask for it.
const LEFT_OUT: &[&str] = &[
    "usr/share/bug",
    "usr/share/doc-base",
    "usr/share/doc/*/NEWS*",
    "usr/share/doc/*/README*",
    "usr/share/doc/*/TODO*",
    "usr/share/doc/*/changelog*",
    "usr/share/doc/*/examples",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
];

/// Where certificate authorities are, one file each, and the list that programs read.
const AUTHORITIES: &str = "usr/share/ca-certificates/mozilla";
const AUTHORITIES_LIST: &str = "etc/ssl/certs/ca-certificates.crt";

/// Where scanners look for what is installed, one file for each package.
const INSTALLED: &str = "var/lib/dpkg/status.d";

/// Why the packages could not be put into a directory.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file that is no package.
    #[error("the package `{package}` cannot be used")]
    Deb {
        /// Which.
        package: String,
        /// Why.
        source: DebError,
    },
    /// An archive in a package breaks a rule.
    #[error("the package `{package}` cannot be unpacked")]
    Unpack {
        /// Which.
        package: String,
        /// Why.
        source: UnpackError,
    },
    /// A package that says nothing of itself.
    #[error("the package `{package}` describes itself as something else")]
    Control {
        /// Which.
        package: String,
    },
    /// The patterns of what is left out.
    #[error("the list of what is left out cannot be used")]
    Filter(#[from] FilterError),
    /// The directory cannot be written or read.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// Why.
        source: io::Error,
    },
}

fn failed(action: &'static str, path: &str) -> impl FnOnce(io::Error) -> TreeError {
    let path = path.to_owned();
    move |source| TreeError::Io {
        action,
        path,
        source,
    }
}

/// Unpacks a package into `root` and enters it into the list of what is installed.
pub(crate) fn install(
    name: &str,
    bytes: &[u8],
    root: &Dir,
    scratch: &Dir,
) -> Result<(), TreeError> {
    let package = || name.to_owned();
    let deb = Deb::parse(bytes).map_err(|source| TreeError::Deb {
        package: package(),
        source,
    })?;
    let mut options = Options::new(Format::Auto, Limits::default());
    options.filter = Filter::new(&[], LEFT_OUT)?;
    unpack_stream(Cursor::new(deb.data), root, &options, &mut |_| {}).map_err(|source| {
        TreeError::Unpack {
            package: package(),
            source,
        }
    })?;
    let control = control_file(name, &deb, scratch)?;
    root.create_dir_all(INSTALLED)
        .map_err(failed("make", INSTALLED))?;
    let path = format!("{INSTALLED}/{name}");
    root.write(&path, control).map_err(failed("write", &path))
}

/// The file `control` of a package, which must be about that package.
fn control_file(name: &str, deb: &Deb<'_>, scratch: &Dir) -> Result<String, TreeError> {
    const PLACE: &str = "control";
    let control = TreeError::Control {
        package: name.to_owned(),
    };
    let dir = scratch
        .create_dir(PLACE)
        .and_then(|()| scratch.open_dir(PLACE))
        .map_err(failed("make", PLACE))?;
    let mut options = Options::new(Format::Auto, Limits::default());
    options.filter = Filter::new(&["control", "./control"], &[])?;
    unpack_stream(Cursor::new(deb.control), &dir, &options, &mut |_| {}).map_err(|source| {
        TreeError::Unpack {
            package: name.to_owned(),
            source,
        }
    })?;
    let text = dir.read_to_string("control");
    scratch
        .remove_dir_all(PLACE)
        .map_err(failed("remove", PLACE))?;
    let Ok(text) = text else {
        return Err(control);
    };
    let says = paragraphs(&text)
        .next()
        .and_then(|paragraph| paragraph.get("Package").map(str::to_owned));
    if says.as_deref() == Some(name) {
        Ok(text)
    } else {
        Err(control)
    }
}

/// Makes what the packages' scripts would make: the list of authorities, accounts, how names are looked up.
pub(crate) fn configure(root: &Dir, account: &Account) -> Result<(), TreeError> {
    for dir in ["etc/ssl/certs", "home", "root", "run", "var/lib"] {
        root.create_dir_all(dir).map_err(failed("make", dir))?;
    }
    if root.is_dir(AUTHORITIES) {
        let list = authorities(root).map_err(failed("read", AUTHORITIES))?;
        root.write(AUTHORITIES_LIST, list)
            .map_err(failed("write", AUTHORITIES_LIST))?;
    }
    let Account { name, uid, gid } = account;
    let files = [
        (
            "etc/passwd",
            format!(
                "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n{name}:x:{uid}:{gid}::/home/{name}:/bin/sh\n"
            ),
        ),
        (
            "etc/group",
            format!("root:x:0:\nnogroup:x:65534:\n{name}:x:{gid}:\n"),
        ),
        (
            "etc/nsswitch.conf",
            "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n".to_owned(),
        ),
    ];
    for (path, text) in files {
        root.write(path, text).map_err(failed("write", path))?;
    }
    Ok(())
}

/// All certificates, in the order of their files' names.
fn authorities(root: &Dir) -> io::Result<Vec<u8>> {
    let dir = root.open_dir(AUTHORITIES)?;
    let mut names = dir
        .entries()?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    let mut list = Vec::new();
    for name in names {
        list.extend(dir.read(name)?);
        if list.last() != Some(&b'\n') {
            list.push(b'\n');
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::{deb, tar};

    fn account() -> Account {
        Account::default()
    }

    fn place() -> (tempfile::TempDir, Dir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            std::fs::create_dir(temp.path().join(name)).unwrap();
            Dir::open_ambient_dir(temp.path().join(name), cap_std::ambient_authority()).unwrap()
        };
        let (root, scratch) = (dir("root"), dir("scratch"));
        (temp, root, scratch)
    }

    #[test]
    fn a_package_is_unpacked_without_what_nobody_reads_and_entered() {
        let (_temp, root, scratch) = place();
        let data = tar(&[
            ("./usr/bin/tool", 0o755, b"tool"),
            ("./usr/share/man/man1/tool.1", 0o644, b"m"),
            ("./usr/share/doc/tool/copyright", 0o644, b"c"),
            ("./usr/share/doc/tool/changelog.gz", 0o644, b"l"),
        ]);
        install("tool", &deb("tool", &data), &root, &scratch).unwrap();
        assert_eq!(root.read("usr/bin/tool").unwrap(), b"tool");
        assert!(root.exists("usr/share/doc/tool/copyright"));
        assert!(!root.exists("usr/share/doc/tool/changelog.gz"));
        assert!(!root.exists("usr/share/man/man1/tool.1"));
        let entered = root.read_to_string("var/lib/dpkg/status.d/tool").unwrap();
        assert!(entered.starts_with("Package: tool\n"), "{entered}");
    }

    #[test]
    fn packages_that_lie_or_break_out_are_refused_by_name() {
        let (_temp, root, scratch) = place();
        let nothing = tar(&[]);
        let error = install("other", &deb("tool", &nothing), &root, &scratch).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the package `other` describes itself as something else"
        );
        let escape = tar(&[("../evil", 0o644, b"x")]);
        let error = install("tool", &deb("tool", &escape), &root, &scratch).unwrap_err();
        assert!(matches!(error, TreeError::Unpack { .. }), "{error}");
        let error = install("tool", b"!<arch>\n", &root, &scratch).unwrap_err();
        assert!(matches!(error, TreeError::Deb { .. }), "{error}");
    }

    #[test]
    fn authorities_are_listed_in_the_order_of_their_names() {
        let (_temp, root, _) = place();
        root.create_dir_all(AUTHORITIES).unwrap();
        for (name, text) in [("b.crt", "B\n"), ("a.crt", "A"), ("c.crt", "C\n")] {
            root.write(format!("{AUTHORITIES}/{name}"), text).unwrap();
        }
        configure(&root, &account()).unwrap();
        assert_eq!(root.read(AUTHORITIES_LIST).unwrap(), b"A\nB\nC\n");
        let passwd = root.read_to_string("etc/passwd").unwrap();
        assert!(passwd.contains("cnb:x:1000:1000::/home/cnb:/bin/sh\n"));
    }
}
