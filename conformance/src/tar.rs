//! Layer archives: writes the plain ones of run images, and reads any with every fact of a header.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::tree::text_of;

const BLOCK: usize = 512;
/// The modification time in layers: one second after 1980 began.
const LAYER_MTIME: u64 = 315_532_801;
/// Texts up to this size are kept for comparison.
const TEXT_LIMIT: usize = 64 * 1024;

/// A file or directory to write.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its content; `None`: a directory.
    pub(crate) content: Option<&'a [u8]>,
    /// Its permission bits.
    pub(crate) mode: u32,
}

/// Writes an archive of root's files in ustar format, padded to twenty blocks.
pub(crate) fn write(members: &[Member<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for member in members {
        let content = member.content.unwrap_or_default();
        let name = if member.content.is_none() {
            format!("{}/", member.name)
        } else {
            member.name.to_owned()
        };
        let kind = if member.content.is_none() { b'5' } else { b'0' };
        out.extend(header(&name, kind, member.mode, content.len()));
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize((out.len() + 2 * BLOCK).next_multiple_of(20 * BLOCK), 0);
    out
}

fn header(name: &str, kind: u8, mode: u32, size: usize) -> Vec<u8> {
    let mut block = field(name.as_bytes(), 100);
    block.extend(field(format!("{mode:07o}").as_bytes(), 8));
    block.extend(field(b"0000000", 8));
    block.extend(field(b"0000000", 8));
    block.extend(field(format!("{size:011o}").as_bytes(), 12));
    block.extend(field(format!("{LAYER_MTIME:011o}").as_bytes(), 12));
    let rest = [&[kind][..], &[0; 100], b"ustar\x0000", &[0; 247]].concat();
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let checksum = sum(&block) + 8 * u32::from(b' ') + sum(&rest);
    block.extend(format!("{checksum:06o}\0 ").bytes());
    block.extend(rest);
    block
}

fn field(bytes: &[u8], width: usize) -> Vec<u8> {
    let mut field = bytes.to_vec();
    field.resize(width, 0);
    field
}

/// Reads an archive into one object per entry. Fields with the ordinary value are left out.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Value>> {
    let mut entries = Vec::new();
    let mut records = BTreeMap::new();
    let mut rest = bytes;
    while let Some((block, after)) = rest.split_at_checked(BLOCK) {
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        let header = Header {
            block,
            records: &records,
        };
        let size = usize::try_from(header.number("size", 124, 12)?)?;
        let content = after
            .get(..size)
            .context("the archive ends within an entry")?;
        rest = after
            .get(size.next_multiple_of(BLOCK)..)
            .unwrap_or_default();
        if header.byte(156) == b'x' {
            records = pax_records(content)?;
        } else {
            entries.push(header.facts(content)?);
            records.clear();
        }
    }
    Ok(entries)
}

struct Header<'a> {
    block: &'a [u8],
    records: &'a BTreeMap<String, String>,
}

impl Header<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.block.get(at).copied().unwrap_or_default()
    }

    fn raw(&self, at: usize, width: usize) -> &[u8] {
        let raw = self.block.get(at..at + width).unwrap_or_default();
        raw.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    fn text(&self, at: usize, width: usize) -> String {
        String::from_utf8_lossy(self.raw(at, width)).into_owned()
    }

    fn number(&self, record: &str, at: usize, width: usize) -> Result<u64> {
        if let Some(value) = self.records.get(record) {
            return value
                .parse()
                .with_context(|| format!("the record `{record}={value}` is no number"));
        }
        if self.byte(at) & 0x80 != 0 {
            let bytes = self.block.get(at + 1..at + width).unwrap_or_default();
            return Ok(bytes
                .iter()
                .fold(0, |sum, byte| (sum << 8) | u64::from(*byte)));
        }
        let text = self.text(at, width);
        let digits = text.trim();
        if digits.is_empty() {
            return Ok(0);
        }
        u64::from_str_radix(digits, 8)
            .with_context(|| format!("`{digits}` is no number in a header"))
    }

    fn name(&self) -> String {
        if let Some(path) = self.records.get("path") {
            return path.clone();
        }
        let (name, prefix) = (self.text(0, 100), self.text(345, 155));
        if prefix.is_empty() || self.format() != "ustar" {
            name
        } else {
            format!("{prefix}/{name}")
        }
    }

    fn format(&self) -> &'static str {
        match self.block.get(257..265) {
            _ if !self.records.is_empty() => "pax",
            Some(b"ustar\x0000") => "ustar",
            Some(b"ustar  \0") => "gnu",
            _ => "v7",
        }
    }

    fn facts(&self, content: &[u8]) -> Result<Value> {
        let kind = self.byte(156);
        let mut facts = Map::new();
        facts.insert("name".to_owned(), json!(self.name()));
        facts.insert("type".to_owned(), json!(kind_name(kind)));
        facts.insert(
            "mode".to_owned(),
            json!(format!("{:04o}", self.number("mode", 100, 8)?)),
        );
        facts.insert("uid".to_owned(), json!(self.number("uid", 108, 8)?));
        facts.insert("gid".to_owned(), json!(self.number("gid", 116, 8)?));
        if matches!(kind, b'0' | 0) {
            facts.insert("size".to_owned(), json!(content.len()));
            let digest = cnbw_testkit::sha256(content);
            facts.insert(
                "sha256".to_owned(),
                json!(digest.trim_start_matches("sha256:")),
            );
            if content.len() <= TEXT_LIMIT {
                facts.insert("text".to_owned(), json!(text_of(content)));
            }
        }
        let mtime = self.number("mtime", 136, 12)?;
        if mtime != LAYER_MTIME {
            facts.insert("mtime".to_owned(), json!(mtime));
        }
        let link = self
            .records
            .get("linkpath")
            .cloned()
            .unwrap_or_else(|| self.text(157, 100));
        for (key, value) in [
            ("linkname", link),
            ("uname", self.text(265, 32)),
            ("gname", self.text(297, 32)),
        ] {
            if !value.is_empty() {
                facts.insert(key.to_owned(), json!(value));
            }
        }
        for (key, at) in [("devmajor", 329), ("devminor", 337)] {
            let number = self.number(key, at, 8)?;
            if number != 0 {
                facts.insert(key.to_owned(), json!(number));
            }
        }
        if self.format() != "ustar" {
            facts.insert("format".to_owned(), json!(self.format()));
        }
        if !self.records.is_empty() {
            facts.insert("pax".to_owned(), json!(self.records));
        }
        Ok(Value::Object(facts))
    }
}

fn kind_name(kind: u8) -> String {
    match kind {
        b'0' | 0 => "file".to_owned(),
        b'1' => "hardlink".to_owned(),
        b'2' => "symlink".to_owned(),
        b'3' => "char".to_owned(),
        b'4' => "block".to_owned(),
        b'5' => "dir".to_owned(),
        b'6' => "fifo".to_owned(),
        other => format!("type {:?}", char::from(other)),
    }
}

fn pax_records(mut bytes: &[u8]) -> Result<BTreeMap<String, String>> {
    let mut records = BTreeMap::new();
    while let Some(blank) = bytes.iter().position(|byte| *byte == b' ') {
        let length = String::from_utf8_lossy(bytes.get(..blank).unwrap_or_default()).into_owned();
        let length: usize = length
            .parse()
            .with_context(|| format!("`{length}` is no length of a record"))?;
        let Some(record) = bytes.get(blank + 1..length) else {
            bail!("a record is longer than its header")
        };
        let record = String::from_utf8_lossy(record).into_owned();
        let (key, value) = record
            .split_once('=')
            .with_context(|| format!("`{record}` is no record"))?;
        records.insert(key.to_owned(), value.trim_end_matches('\n').to_owned());
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_written_is_read_again() {
        let members = [
            Member {
                name: "etc",
                content: None,
                mode: 0o755,
            },
            Member {
                name: "etc/marker-0",
                content: Some(b"base 0\n"),
                mode: 0o644,
            },
        ];
        let bytes = write(&members);
        // The diff ID of the first layer of `run:base`, which the outcomes of many cases hold.
        assert_eq!(
            cnbw_testkit::sha256(&bytes),
            "sha256:602210cc29ff0197777a6dc57091bb560660f27468a1dd4cdce5fc4e13aff0aa"
        );
        let entries = read(&bytes).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            entries[0],
            json!({"name": "etc/", "type": "dir", "mode": "0755", "uid": 0, "gid": 0})
        );
        assert_eq!(entries[1]["text"], json!("base 0\n"));
        assert_eq!(entries[1]["size"], json!(7));
    }

    #[test]
    fn an_archive_that_ends_early_is_an_error() {
        let bytes = write(&[Member {
            name: "f",
            content: Some(&[1; 600]),
            mode: 0o644,
        }]);
        assert!(read(&bytes[..900]).is_err());
    }

    #[test]
    fn records_of_an_extended_header_are_split_by_their_lengths() {
        let records = pax_records(b"18 uid=3000000000\n15 path=/a = b\n").unwrap();
        assert_eq!(records["uid"], "3000000000");
        assert_eq!(records["path"], "/a = b");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            if let Ok(entries) = read(&bytes) {
                prop_assert!(entries.len() <= bytes.len() / BLOCK);
            }
        }
    }
}
