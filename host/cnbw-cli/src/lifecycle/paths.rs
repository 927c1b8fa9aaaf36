//! Paths as the reference resolves them: absolute and clean, by their letters alone.

use std::path::Path;

/// Makes a directory's path absolute and takes out `.`, `..` and double slashes, without asking the
/// file system.
pub(crate) fn absolute(path: &str, current: &Path) -> String {
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", current.to_string_lossy())
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn paths_become_absolute_and_clean() {
        for (path, expected) in [
            ("/layers", "/layers"),
            ("/layers/", "/layers"),
            ("layers", "/here/layers"),
            (".", "/here"),
            ("../x", "/x"),
            ("/../a//b/./c/..", "/a/b"),
            ("/", "/"),
        ] {
            assert_eq!(absolute(path, "/here".as_ref()), expected, "{path}");
        }
    }
}
