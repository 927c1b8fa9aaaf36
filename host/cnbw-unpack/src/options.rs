//! What is asked for: the kind of archive, the part of it, and how large it may get.

use std::fmt;
use std::str::FromStr;

use crate::filter::Filter;

/// The kind of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Whichever of the others its first bytes say, except a single file.
    #[default]
    Auto,
    /// Tar without compression.
    Tar,
    /// Tar in gzip, of one member or several.
    TarGz,
    /// Tar in xz.
    TarXz,
    /// Tar in zstd.
    TarZst,
    /// Zip.
    Zip,
    /// No archive: the bytes are one file's content. See [`Options::file_name`].
    Raw,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 7] = [
        Self::Auto,
        Self::Tar,
        Self::TarGz,
        Self::TarXz,
        Self::TarZst,
        Self::Zip,
        Self::Raw,
    ];

    /// Returns the format's name, as [`FromStr`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tar => "tar",
            Self::TarGz => "tar.gz",
            Self::TarXz => "tar.xz",
            Self::TarZst => "tar.zst",
            Self::Zip => "zip",
            Self::Raw => "raw",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A text that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no archive format; the formats are `auto`, `tar`, `tar.gz`, `tar.xz`, `tar.zst`, `zip` and `raw`", .0.escape_debug())]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let known = Self::ALL.into_iter().find(|format| format.name() == text);
        known.ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// What is to be unpacked, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The archive's kind.
    pub format: Format,
    /// How many leading components names lose, as with `tar --strip-components`. Entries that have no more than these
    /// are passed over. Targets of hard links lose them too; targets of symbolic links stay as they are.
    pub strip: usize,
    /// Which entries are wanted.
    pub filter: Filter,
    /// How large it may get.
    pub limits: Limits,
    /// For [`Format::Raw`]: the name of the file, which may have directories in it.
    pub file_name: Vec<u8>,
    /// For [`Format::Raw`]: whether the file gets mode 0755 instead of 0644.
    pub executable: bool,
}

impl Options {
    /// Everything in an archive of a format, within limits.
    pub fn new(format: Format, limits: Limits) -> Self {
        Self {
            format,
            strip: 0,
            filter: Filter::everything(),
            limits,
            file_name: Vec::new(),
            executable: false,
        }
    }
}

/// How large an archive's content may get. Each limit is the largest value that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sum of the sizes of the files that are written, in bytes.
    pub bytes: u64,
    /// Files, links and directories that are made, directories that no entry names included. Directories that are
    /// there already do not count.
    pub entries: u64,
    /// Components of a name, after stripping. The unpacker holds a descriptor for each level while it is below it.
    pub depth: usize,
    /// Length of a name in bytes, before stripping.
    pub name_bytes: usize,
    /// Bytes that come out of decompression, wanted or not. This bounds the time that a bomb can take.
    pub decoded_bytes: u64,
    /// Entries of the archive, wanted or not.
    pub read_entries: u64,
}

impl Default for Limits {
    /// What a build may write by default: 8 GiB in a million entries.
    fn default() -> Self {
        Self {
            bytes: 8 << 30,
            entries: 1_000_000,
            depth: 128,
            name_bytes: 4095,
            decoded_bytes: 32 << 30,
            read_entries: 4_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_by_their_names() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let error = "rar\n".parse::<Format>().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`rar\\n` is no archive format")
        );
    }
}
