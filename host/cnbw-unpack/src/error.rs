//! Why an archive is not unpacked.

use std::fmt;
use std::io;

use crate::options::Format;

/// An archive that could not be unpacked. What came before the fault was written.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// An entry breaks a rule.
    #[error("entry `{entry}` is refused: {rule}")]
    Refused {
        /// The entry as the archive names it.
        entry: EntryName,
        /// The rule.
        rule: Rule,
    },
    /// The archive is larger than allowed.
    #[error("the archive is too large at entry `{entry}`: {limit}")]
    Limit {
        /// The entry that would have been too much.
        entry: EntryName,
        /// The limit that it goes beyond.
        limit: Limit,
    },
    /// The archive breaks its own format, or ends too early.
    #[error("the {format} archive is damaged after entry `{entry}`: {fault}")]
    Damaged {
        /// The last entry that was read; empty if it is the first that is damaged.
        entry: EntryName,
        /// The format that is broken.
        format: Format,
        /// What is wrong.
        fault: &'static str,
    },
    /// Decompression failed.
    #[error("the compressed data ({format}) is damaged after entry `{entry}`")]
    Decode {
        /// The last entry that was read.
        entry: EntryName,
        /// The format that is broken.
        format: Format,
        /// What the decoder says.
        source: io::Error,
    },
    /// The archive is of another kind.
    #[error("the file is {found}, and not the `{expected}` archive that it should be")]
    Format {
        /// What was asked for.
        expected: Format,
        /// What its first bytes say.
        found: &'static str,
    },
    /// The archive itself could not be read.
    #[error("cannot read the archive")]
    Read {
        /// The cause.
        source: io::Error,
    },
    /// Something could not be written.
    #[error("cannot {action} `{path}`")]
    Write {
        /// What was tried.
        action: &'static str,
        /// Where, below the directory.
        path: EntryName,
        /// The cause.
        source: io::Error,
    },
}

/// A rule that an entry can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// It has no name.
    #[error("it has no name")]
    NoName,
    /// Its name begins with a slash.
    #[error("its name is absolute")]
    Absolute,
    /// `..` is a component of its name.
    #[error("its name leads upwards with `..`")]
    Upwards,
    /// A zero byte is in a name or target.
    #[error("its name or target has a zero byte")]
    ZeroByte,
    /// It is a path of another system: `C:\x`, or backslashes in a zip archive.
    #[error("its name is a path of another system")]
    ForeignPath,
    /// A component of its name is longer than any file system allows.
    #[error("a part of its name has more than 255 bytes")]
    LongComponent,
    /// A directory is wanted where a symbolic link is. Nothing is written through links.
    #[error("a symbolic link is where it needs a directory")]
    ThroughLink,
    /// A directory is wanted where a file is.
    #[error("a file is where it needs a directory")]
    FileInTheWay,
    /// A file or link is wanted where a directory is.
    #[error("a directory is in its place")]
    DirectoryInTheWay,
    /// A hard link to what is no file of this archive that was unpacked before.
    #[error("it is a hard link to what is no file that this archive unpacked before")]
    HardLink,
    /// A symbolic link without a target, or with one that no file system takes.
    #[error("the target of the link is empty or has more than 4095 bytes")]
    LinkTarget,
    /// A device, fifo or socket.
    #[error("it is a device, a fifo or a socket")]
    Special,
    /// A sparse file.
    #[error("it is a sparse file; pack the archive without `--sparse`")]
    Sparse,
    /// Anything else that is neither file nor directory nor link.
    #[error("its type (`{}`) is neither file nor directory nor link", .0.escape_ascii())]
    Type(u8),
    /// A directory or link with content.
    #[error("it has content although it is no file")]
    Content,
    /// Extended headers that can be read in more than one way.
    #[error("its extended header is ambiguous: {0}")]
    Extended(&'static str),
    /// The two places where a zip archive describes an entry say different things, or what they say is not done here.
    #[error("{0}")]
    Zip(&'static str),
}

/// A limit of [`Limits`](crate::Limits), with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// See [`Limits::bytes`](crate::Limits::bytes).
    #[error("its files may have {0} bytes together")]
    Bytes(u64),
    /// See [`Limits::entries`](crate::Limits::entries).
    #[error("it may make {0} files, links and directories")]
    Entries(u64),
    /// See [`Limits::depth`](crate::Limits::depth).
    #[error("names may have {0} components")]
    Depth(usize),
    /// See [`Limits::name_bytes`](crate::Limits::name_bytes).
    #[error("names may have {0} bytes")]
    NameBytes(usize),
    /// See [`Limits::decoded_bytes`](crate::Limits::decoded_bytes).
    #[error("decompressed, it may have {0} bytes")]
    DecodedBytes(u64),
    /// See [`Limits::read_entries`](crate::Limits::read_entries).
    #[error("it may have {0} entries")]
    ReadEntries(u64),
    /// The table of contents of a zip archive is read as a whole.
    #[error("a zip archive's directory may have {0} bytes")]
    ZipDirectory(u64),
}

/// A name as the archive has it. Shown, it is escaped and not long.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EntryName(Vec<u8>);

/// How much of a name is shown, in characters of output.
const SHOWN_CAP: usize = 256;

impl EntryName {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The bytes, as they are.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = String::new();
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() || is_hidden(character) || character == '`' {
                    shown.extend(character.escape_unicode());
                } else {
                    shown.push(character);
                }
                if shown.len() > SHOWN_CAP {
                    return write!(formatter, "{shown}…");
                }
            }
            if !chunk.invalid().is_empty() {
                shown.push_str(&chunk.invalid().escape_ascii().to_string());
            }
        }
        formatter.write_str(&shown)
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{self}`")
    }
}

/// Characters that reorder or hide what stands around them on a terminal.
fn is_hidden(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_escaped_and_short() {
        let shown = |bytes: &[u8]| EntryName::new(bytes).to_string();
        assert_eq!(shown("a/ü".as_bytes()), "a/ü");
        assert_eq!(shown(b"\x1b[31m\n\xff"), "\\u{1b}[31m\\u{a}\\xff");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert!(shown(&[b'x'; 5000]).len() < 270);
    }
}
