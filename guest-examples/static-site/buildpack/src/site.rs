//! Which directory of an application is the site.

use std::path::{Component, Path};

/// Directories in which site generators leave their output, in the order in which they are tried.
const OUTPUT_DIRECTORIES: [&str; 3] = ["public", "dist", "_site"];

/// Why an application is no static site.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoSite {
    /// None of the usual places holds a page.
    #[error(
        "no static site: no `index.html` in the application directory, and no `*.html` file directly in `public/`, \
         `dist/` or `_site/` (another directory can be named in `BP_WEB_ROOT`)"
    )]
    NothingFound,
    /// The user named a directory that the application does not have.
    #[error("no static site: `BP_WEB_ROOT` names `{0}`, and the application has no such directory")]
    NotADirectory(String),
    /// The user named a path that could lead out of the application.
    #[error("no static site: `BP_WEB_ROOT` is `{0}`, which must be a relative path without `..`")]
    NotInside(String),
}

/// Finds the directory to serve, relative to the application directory; `.` is that directory itself.
///
/// A directory that the user names is taken whatever it holds. Otherwise the application has to have a page where
/// sites have one: `public/` or `dist/` alone may be anything.
pub fn find_web_root(app: &Path, configured: Option<&str>) -> Result<String, NoSite> {
    if let Some(configured) = configured {
        let shown = configured.trim().escape_debug().to_string();
        let root =
            relative_inside(configured.trim()).ok_or_else(|| NoSite::NotInside(shown.clone()))?;
        return if app.join(&root).is_dir() {
            Ok(root)
        } else {
            Err(NoSite::NotADirectory(shown))
        };
    }
    if app.join("index.html").is_file() {
        return Ok(".".to_owned());
    }
    OUTPUT_DIRECTORIES
        .into_iter()
        .find(|name| holds_a_page(&app.join(name)))
        .map(str::to_owned)
        .ok_or(NoSite::NothingFound)
}

fn holds_a_page(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "html")
                && entry.path().is_file()
        })
    })
}

/// Normalizes a relative path, or refuses it if it is absolute or names a parent.
fn relative_inside(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::Prefix(_) | Component::RootDir | Component::ParentDir => return None,
        }
    }
    Some(if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        directory
    }

    #[test]
    fn the_usual_places_are_tried_in_order() {
        for (files, root) in [
            (&["index.html", "public/index.html"][..], "."),
            (&["dist/index.html", "public/index.html"], "public"),
            (&["dist/start.html", "_site/index.html"], "dist"),
            (&["_site/index.html", "dist/wheel.whl"], "_site"),
        ] {
            assert_eq!(
                find_web_root(app(files).path(), None).as_deref(),
                Ok(root),
                "{files:?}"
            );
        }
    }

    #[test]
    fn an_application_without_a_page_is_no_site() {
        for files in [
            &[][..],
            &["main.py"],
            &["public/logo.svg"],
            &["public/deep/index.html"],
            &["index.html/x"],
        ] {
            assert_eq!(
                find_web_root(app(files).path(), None),
                Err(NoSite::NothingFound),
                "{files:?}"
            );
        }
    }

    #[test]
    fn the_named_directory_is_taken_whatever_it_holds() {
        let app = app(&["index.html", "www/pages/readme.txt"]);
        for (named, root) in [
            ("www", "www"),
            ("./www//pages/", "www/pages"),
            (" www\n", "www"),
            (".", "."),
        ] {
            assert_eq!(
                find_web_root(app.path(), Some(named)).as_deref(),
                Ok(root),
                "{named}"
            );
        }
        assert_eq!(
            find_web_root(app.path(), Some("nowhere")),
            Err(NoSite::NotADirectory("nowhere".to_owned()))
        );
    }

    #[test]
    fn a_named_directory_outside_the_application_is_refused() {
        let app = app(&["index.html"]);
        for named in ["/etc", "..", "www/../..", "/"] {
            assert_eq!(
                find_web_root(app.path(), Some(named)),
                Err(NoSite::NotInside(named.to_owned()))
            );
        }
    }
}
