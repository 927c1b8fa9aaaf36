//! Tar headers, byte for byte as Go's `archive/tar` prints them, because that is what the reference lifecycle uses.
//!
//! ustar where it can say everything; otherwise an extended (`x`) header first, with no more records than needed.

use std::borrow::Cow;

use super::Owner;

/// Size of tar's blocks.
pub(super) const TAR_BLOCK: usize = 512;

const NAME: usize = 100;
const PREFIX: usize = 155;

/// What kind of entry a header announces: tar's type flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TypeFlag {
    File,
    Symlink,
    Directory,
}

impl TypeFlag {
    fn byte(self) -> u8 {
        match self {
            Self::File => b'0',
            Self::Symlink => b'2',
            Self::Directory => b'5',
        }
    }
}

/// What a header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    /// Clean absolute path.
    pub(super) path: &'a [u8],
    /// Target of a symbolic link, else empty.
    pub(super) link: &'a [u8],
    pub(super) kind: TypeFlag,
    /// Permission bits with set-id and sticky bits; no type bits.
    pub(super) mode: u32,
    pub(super) owner: Owner,
    pub(super) size: u64,
    pub(super) mtime: i64,
}

impl Header<'_> {
    /// Appends the header's blocks.
    pub(super) fn print(&self, out: &mut Vec<u8>) {
        let split = split_path(self.path);
        let records = self.records(split.is_some());
        if records.is_empty() {
            let (prefix, name) = split.unwrap_or((b"", self.path));
            self.print_block(name, self.link, prefix, out);
            return;
        }
        print_records(self.path, &self.all_records(), out);
        self.print_block(&ascii(self.path), &ascii(self.link), b"", out);
    }

    /// The fields that ustar cannot hold, by key, sorted.
    fn records(&self, splits: bool) -> Vec<(&'static str, Vec<u8>)> {
        let mut records = self.all_records();
        if splits {
            records.retain(|(key, _)| *key != "path");
        }
        records
    }

    /// As [`Self::records`]; but once there is an extended header, a long path is in it even if it could be split.
    fn all_records(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut records = Vec::new();
        let mut number = |key, value: u64, width| {
            if !fits_octal(value, width) {
                records.push((key, value.to_string().into_bytes()));
            }
        };
        number("gid", self.owner.gid, 8);
        number("uid", self.owner.uid, 8);
        number("size", self.size, 12);
        if self.mtime < 0 || !fits_octal(self.mtime.unsigned_abs(), 12) {
            records.push(("mtime", self.mtime.to_string().into_bytes()));
        }
        for (key, text) in [("path", self.path), ("linkpath", self.link)] {
            if text.len() > NAME || !is_plain(text) {
                records.push((key, text.to_vec()));
            }
        }
        records.sort_unstable();
        records
    }

    fn print_block(&self, name: &[u8], link: &[u8], prefix: &[u8], out: &mut Vec<u8>) {
        let mut block = Block::new();
        block.text(0, NAME, name);
        block.octal(100, 8, self.mode.into());
        block.octal(108, 8, self.owner.uid);
        block.octal(116, 8, self.owner.gid);
        block.octal(124, 12, self.size);
        block.octal(136, 12, u64::try_from(self.mtime).unwrap_or(0));
        block.put(156, &[self.kind.byte()]);
        block.text(157, NAME, link);
        block.octal(329, 8, 0);
        block.octal(337, 8, 0);
        block.put(345, prefix);
        block.seal(out);
    }
}

/// Prints the extended header with its records.
fn print_records(path: &[u8], records: &[(&'static str, Vec<u8>)], out: &mut Vec<u8>) {
    let mut content = Vec::new();
    for (key, value) in records {
        print_record(key, value, &mut content);
    }
    let at = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    let (directory, file) = path.split_at_checked(at).unwrap_or((b"", path));
    let name = [directory, b"PaxHeaders.0/", file].concat();
    let mut name = ascii(&name).into_owned();
    name.truncate(NAME);
    while name.last() == Some(&b'/') {
        name.pop();
    }
    let mut block = Block::new();
    block.put(0, &name);
    for (at, width, value) in [
        (100, 8, 0),
        (108, 8, 0),
        (116, 8, 0),
        (124, 12, content.len() as u64),
        (136, 12, 0),
    ] {
        block.octal(at, width, value);
    }
    block.put(156, b"x");
    block.seal(out);
    out.extend_from_slice(&content);
    pad(content.len() as u64, out);
}

/// Appends one `LENGTH KEY=VALUE` record, whose length counts itself.
fn print_record(key: &str, value: &[u8], out: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    if rest + digits(length) != length {
        length = rest + digits(length);
    }
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

/// Appends zeros up to the next block, after content of this length.
pub(super) fn pad(length: u64, out: &mut Vec<u8>) {
    let zeros = length.next_multiple_of(TAR_BLOCK as u64) - length;
    out.extend(std::iter::repeat_n(0, usize::try_from(zeros).unwrap_or(0)));
}

/// Splits a path that is too long for the name field between prefix and name.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME || !is_plain(path) {
        return None;
    }
    let head = path.get(..path.len().min(PREFIX + 1))?;
    let slash = head
        .iter()
        .rposition(|byte| *byte == b'/')
        .filter(|at| *at > 0)?;
    let (prefix, name) = (path.get(..slash)?, path.get(slash + 1..)?);
    (!name.is_empty() && name.len() <= NAME && prefix.len() <= PREFIX).then_some((prefix, name))
}

fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii() && *byte != 0)
}

fn ascii(text: &[u8]) -> Cow<'_, [u8]> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.iter()
            .copied()
            .filter(|byte| byte.is_ascii() && *byte != 0)
            .collect(),
    )
}

fn fits_octal(value: u64, width: u32) -> bool {
    value < 1 << ((width - 1) * 3)
}

struct Block([u8; TAR_BLOCK]);

impl Block {
    fn new() -> Self {
        let mut block = Self([0; TAR_BLOCK]);
        block.put(257, b"ustar\x0000");
        block
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        for (to, from) in self.0.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    }

    /// Puts as much of a text as there is room for. A cut text does not end in a slash: some readers would take the
    /// entry for a directory.
    fn text(&mut self, at: usize, width: usize, text: &[u8]) {
        let Some(cut) = text.get(..width).filter(|_| text.len() > width) else {
            return self.put(at, text);
        };
        self.put(at, cut);
        if cut.last() == Some(&b'/') {
            let kept = cut
                .iter()
                .rposition(|byte| *byte != b'/')
                .map_or(0, |last| last + 1);
            self.put(at + kept, b"\0");
        }
    }

    /// Puts an octal number with its closing zero byte; 0 if it does not fit (a record says it then).
    fn octal(&mut self, at: usize, width: u32, value: u64) {
        let mut rest = if fits_octal(value, width) { value } else { 0 };
        let digits = width as usize - 1;
        for to in self.0.iter_mut().skip(at).take(digits).rev() {
            *to = b"01234567"
                .get((rest & 7) as usize)
                .copied()
                .unwrap_or(b'0');
            rest >>= 3;
        }
    }

    fn seal(mut self, out: &mut Vec<u8>) {
        self.put(148, b"        ");
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        self.octal(148, 7, sum);
        self.put(154, b"\0 ");
        out.extend_from_slice(&self.0);
    }
}
