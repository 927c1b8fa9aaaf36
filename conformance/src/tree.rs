//! Makes and lists files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use serde_json::{Map, Value, json};

use crate::case::{Entry, EntryType};
use crate::names::Names;

/// The modification time of files that say nothing else.
const ORDINARY_MTIME: i64 = 1_600_000_000;

/// Who owns what says nothing else.
pub(crate) const CNB: (u32, u32) = (1001, 1000);

/// Makes an entry below a directory.
pub(crate) fn make(base: &Path, entry: &Entry, owner: (u32, u32), names: &Names) -> Result<()> {
    let path = below(base, &names.expand(&entry.path));
    let owner = (entry.uid.unwrap_or(owner.0), entry.gid.unwrap_or(owner.1));
    make_at(&path, entry, owner, names).with_context(|| format!("cannot make {}", path.display()))
}

fn make_at(path: &Path, entry: &Entry, owner: (u32, u32), names: &Names) -> Result<()> {
    if let Some(parent) = path.parent() {
        make_directories(parent, owner)?;
    }
    let target = entry.target.as_deref().map(|target| names.expand(target));
    match entry.r#type {
        EntryType::Symlink => {
            symlink(target.context("a symbolic link has no target")?, path)?;
            lchown(path, Some(owner.0), Some(owner.1))?;
        }
        EntryType::Hardlink => {
            let target = target.context("a hard link has no target")?;
            let base = path.parent().unwrap_or(Path::new("/"));
            fs::hard_link(
                if target.starts_with('/') {
                    PathBuf::from(target)
                } else {
                    base.join(target)
                },
                path,
            )?;
        }
        EntryType::Dir => {
            make_directories(path, owner)?;
            own(path, owner, mode(entry.mode.as_deref())?.unwrap_or(0o755))?;
        }
        EntryType::File => {
            fs::write(path, content(entry, names)?)?;
            own(path, owner, mode(entry.mode.as_deref())?.unwrap_or(0o644))?;
        }
    }
    set_mtime(path, entry.mtime.unwrap_or(ORDINARY_MTIME))
}

/// The place of a path that may begin with a slash.
pub(crate) fn below(base: &Path, path: &str) -> PathBuf {
    base.join(path.trim_start_matches('/'))
}

fn own(path: &Path, owner: (u32, u32), mode: u32) -> Result<()> {
    chown(path, Some(owner.0), Some(owner.1))?;
    // After the owner, because a change of owner takes setuid and setgid away.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn set_mtime(path: &Path, seconds: i64) -> Result<()> {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

/// Makes a directory and its missing parents, 0755.
pub(crate) fn make_directories(path: &Path, owner: (u32, u32)) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directories(parent, owner)?;
    }
    fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))?;
    own(path, owner, 0o755)
}

/// Reads permission bits.
pub(crate) fn mode(text: Option<&str>) -> Result<Option<u32>> {
    let Some(text) = text else { return Ok(None) };
    let mode = u32::from_str_radix(text, 8).with_context(|| format!("`{text}` is no mode"))?;
    Ok(Some(mode))
}

/// The content of a file entry.
pub(crate) fn content(entry: &Entry, names: &Names) -> Result<Vec<u8>> {
    if let Some(text) = &entry.text {
        return Ok(names.expand(text).into_bytes());
    }
    if let Some(text) = &entry.b64 {
        return base64::engine::general_purpose::STANDARD
            .decode(text)
            .context("content is not base64");
    }
    let fill = entry
        .fill
        .as_ref()
        .and_then(|fill| fill.bytes().next())
        .unwrap_or(0);
    Ok(vec![fill; entry.size.unwrap_or(0)])
}

/// Removes a file or tree, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let done = if found.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    done.with_context(|| format!("cannot remove {}", path.display()))
}

/// Everything below a directory, by relative path; `null` if it is not there.
pub(crate) fn list(directory: &Path) -> Result<Value> {
    let mut found = Map::new();
    match fs::symlink_metadata(directory) {
        Err(_) => return Ok(Value::Null),
        Ok(it) if !it.is_dir() => bail!("{} is no directory", directory.display()),
        Ok(_) => walk(directory, "", &mut found)?,
    }
    Ok(Value::Object(found))
}

fn walk(directory: &Path, prefix: &str, found: &mut Map<String, Value>) -> Result<()> {
    for entry in
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?
    {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let relative = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        };
        let path = entry.path();
        let facts = describe(&path)?;
        if facts.get("type").is_some_and(|kind| kind == "dir") {
            walk(&path, &relative, found)?;
        }
        found.insert(relative, facts);
    }
    Ok(())
}

fn describe(path: &Path) -> Result<Value> {
    let facts = fs::symlink_metadata(path)?;
    let mode = format!("{:04o}", facts.permissions().mode() & 0o7777);
    let kind = facts.file_type();
    Ok(if kind.is_symlink() {
        json!({"type": "symlink", "target": fs::read_link(path)?.to_string_lossy()})
    } else if kind.is_dir() {
        json!({"type": "dir", "mode": mode})
    } else if kind.is_file() {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        json!({"type": "file", "mode": mode, "text": text_of(&bytes)})
    } else {
        json!({"type": "special"})
    })
}

/// Bytes as text; what is no text, by its digest.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("<{} bytes, {}>", bytes.len(), cnbw_testkit::sha256(bytes)),
    }
}
