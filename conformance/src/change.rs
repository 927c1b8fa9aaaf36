//! Makes the changes that a case wants between two phases.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use regex::Regex;

use crate::case::{ChangeStep, Entry, EntryType};
use crate::images::Registries;
use crate::names::Names;
use crate::tree::{self, CNB};
use crate::world;

/// The byte that `flip-byte` changes: past the header of a file's first entry.
const FLIPPED_BYTE: usize = 600;

/// Makes a change in the entered world.
pub(crate) fn make(change: &ChangeStep, registries: &Registries, names: &Names) -> Result<()> {
    let root = Path::new("/");
    let place = |path: &str| tree::below(root, &names.expand(path));
    let entry = |entry: &Entry, kind: EntryType| {
        tree::make(
            root,
            &Entry {
                r#type: kind,
                ..entry.clone()
            },
            CNB,
            names,
        )
    };
    match change {
        ChangeStep::Write(file) => entry(file, EntryType::File),
        ChangeStep::Mkdir(directory) => entry(directory, EntryType::Dir),
        ChangeStep::Symlink(link) => entry(link, EntryType::Symlink),
        ChangeStep::Append(file) => {
            let path = place(&file.path);
            let mut bytes = fs::read(&path).unwrap_or_default();
            bytes.extend(tree::content(file, names)?);
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
        }
        ChangeStep::Remove { path } => tree::remove(&place(path)),
        ChangeStep::Empty { path } => {
            let path = place(path);
            for entry in
                fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))?
            {
                tree::remove(&entry?.path())?;
            }
            Ok(())
        }
        ChangeStep::Chmod { path, mode } => {
            let mode = tree::mode(Some(mode))?.unwrap_or_default();
            fs::set_permissions(place(path), fs::Permissions::from_mode(mode))
                .with_context(|| format!("cannot set the mode of {path}"))
        }
        ChangeStep::SetBuildpack(buildpack) => world::make_buildpack(buildpack, names),
        ChangeStep::FlipByte { path, r#match } => each_match(&place(path), r#match, |path| {
            let mut bytes = fs::read(path)?;
            if let Some(byte) = bytes.get_mut(FLIPPED_BYTE) {
                *byte ^= 1;
            }
            Ok(fs::write(path, bytes)?)
        }),
        ChangeStep::RemoveMatch { path, r#match } => {
            each_match(&place(path), r#match, tree::remove)
        }
        ChangeStep::PullLayout {
            image,
            path,
            sparse,
        } => registries.pull_layout(&names.expand(image), &place(path), *sparse),
        ChangeStep::Relabel(relabel) => registries.relabel(relabel, names),
    }
}

fn each_match(directory: &Path, pattern: &str, act: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let pattern = Regex::new(pattern).with_context(|| format!("`{pattern}` is no pattern"))?;
    for entry in
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?
    {
        let entry = entry?;
        if entry.file_type()?.is_file() && pattern.is_match(&entry.file_name().to_string_lossy()) {
            act(&entry.path())?;
        }
    }
    Ok(())
}
