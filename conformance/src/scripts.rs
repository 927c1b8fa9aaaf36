//! Buildpack programs that a case gives as shell scripts.
//!
//! cnbw runs none. Where the script does nothing but end with a code, the fixture can stand in for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::case::Entry;
use crate::names::Names;
use crate::tree::{self, CNB};
use crate::world::FIXTURE;

/// The code that a program ends with, if it is a script that does nothing else.
pub(crate) fn exit_code(entry: &Entry) -> Option<u8> {
    let (directory, _) = split(&entry.path)?;
    if directory.is_empty() {
        return None;
    }
    let body = entry.text.as_deref()?.strip_prefix("#!/bin/sh\n")?.trim();
    if body.is_empty() {
        Some(0)
    } else {
        body.strip_prefix("exit ")?.parse().ok()
    }
}

/// The buildpack's directory and the program's name.
fn split(path: &str) -> Option<(&str, &str)> {
    let (directory, name) = path.rsplit_once("/bin/")?;
    matches!(name, "detect" | "build" | "generate").then_some((directory, name))
}

/// Puts the fixture in a script's place.
pub(crate) fn make(base: &Path, entry: &Entry, code: u8, names: &Names) -> Result<()> {
    let path = names.expand(&entry.path);
    let (directory, name) = split(&path).context("the entry is no program of a buildpack")?;
    let program = tree::below(base, &path);
    tree::make_directories(program.parent().unwrap_or(base), CNB)?;
    fs::copy(Path::new("/").join(FIXTURE), &program)?;
    let mode = tree::mode(entry.mode.as_deref())?.unwrap_or(0o644);
    fs::set_permissions(&program, fs::Permissions::from_mode(mode))?;
    let ops = tree::below(base, directory).join(format!("ops-{name}"));
    fs::write(&ops, format!("do exit\ncode {code}\n"))
        .with_context(|| format!("cannot write {}", ops.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scripts_that_do_nothing_but_end_are_replaced() {
        let code = |path: &str, text: &str| {
            exit_code(&Entry {
                path: path.to_owned(),
                text: Some(text.to_owned()),
                ..Entry::default()
            })
        };
        assert_eq!(
            code("/cnb/extensions/e/1/bin/detect", "#!/bin/sh\nexit 100\n"),
            Some(100)
        );
        assert_eq!(code("/out/bps/z/1/bin/build", "#!/bin/sh\n"), Some(0));
        assert_eq!(
            code("/cnb/extensions/e/1/bin/generate", "#!/bin/sh\nexit 0"),
            Some(0)
        );
        assert_eq!(
            code(
                "/cnb/extensions/e/1/bin/generate",
                "#!/bin/sh\n[ $# -eq 3 ] || exit 3\n"
            ),
            None
        );
        assert_eq!(
            code("/cnb/extensions/e/1/bin/other", "#!/bin/sh\nexit 0\n"),
            None
        );
        assert_eq!(code("bin/run", "#!/bin/sh\n"), None);
    }
}
