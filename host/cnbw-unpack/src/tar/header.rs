//! The 512 bytes before each entry of a tar archive.

/// Everything in a tar archive comes in blocks of this many bytes.
pub(super) const BLOCK: usize = 512;

/// What a header stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    File,
    Directory,
    HardLink,
    Symlink,
    /// A device or fifo.
    Special,
    /// A sparse file of GNU tar's own kind.
    Sparse,
    /// The name of the next entry, of GNU tar's own kind.
    LongName,
    /// The target of the next entry, of GNU tar's own kind.
    LongLink,
    /// What POSIX says of the next entry.
    Extended,
    /// What POSIX says of all entries that follow.
    Global,
    Other(u8),
}

/// A header. Its checksum was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// As it stands in the header, prefix included.
    pub(super) name: Vec<u8>,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) kind: Type,
    pub(super) link: Vec<u8>,
}

/// Returns whether an archive begins with a tar header, or with the end marker of an empty archive.
pub(crate) fn looks_like_tar(begin: &[u8]) -> bool {
    let Some((block, _)) = begin.split_first_chunk::<BLOCK>() else {
        return false;
    };
    block == &[0; BLOCK] || checksum_holds(block)
}

impl Header {
    /// Reads a header.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, &'static str> {
        if !checksum_holds(block) {
            return Err("the checksum of a header is wrong");
        }
        let field =
            |begin: usize, length: usize| block.get(begin..begin + length).unwrap_or_default();
        let [flag] = field(156, 1) else {
            return Err("a header is too short");
        };
        let mut name = Vec::new();
        // Only POSIX headers have a prefix; GNU tar keeps other things there.
        if field(257, 6) == b"ustar\0" {
            let prefix = text(field(345, 155));
            if !prefix.is_empty() {
                name.extend_from_slice(prefix);
                name.push(b'/');
            }
        }
        name.extend_from_slice(text(field(0, 100)));
        let kind = match *flag {
            b'0' | 0 => Type::File,
            b'1' => Type::HardLink,
            b'2' => Type::Symlink,
            b'3' | b'4' | b'6' => Type::Special,
            b'5' => Type::Directory,
            b'S' => Type::Sparse,
            b'L' => Type::LongName,
            b'K' => Type::LongLink,
            b'x' => Type::Extended,
            b'g' => Type::Global,
            other => Type::Other(other),
        };
        let mode = number(field(100, 8)).ok_or("the mode in a header is no number")?;
        Ok(Self {
            name,
            mode: u32::try_from(mode & 0o7777).unwrap_or_default(),
            size: number(field(124, 12)).ok_or("the size in a header is no number")?,
            kind,
            link: text(field(157, 100)).to_vec(),
        })
    }
}

/// Compares the sum of all bytes with what the header says. Old writers took bytes for signed numbers.
fn checksum_holds(block: &[u8; BLOCK]) -> bool {
    let Some(expected) = block.get(148..156).and_then(number) else {
        return false;
    };
    let mut unsigned = 0_i64;
    let mut signed = 0_i64;
    for (index, byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&index) {
            b' '
        } else {
            *byte
        };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    let expected = i64::try_from(expected).unwrap_or(-1);
    expected == unsigned || expected == signed
}

/// The bytes before the first zero.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Reads a number: octal digits between spaces and zeros, or, with the first bit set, a positive binary number.
fn number(field: &[u8]) -> Option<u64> {
    if let [first @ (0x80..), rest @ ..] = field {
        // The next bit is the sign.
        if first & 0x40 != 0 {
            return None;
        }
        let mut value = u64::from(first & 0x3f);
        for byte in rest {
            value = value.checked_mul(256)?.checked_add(u64::from(*byte))?;
        }
        return Some(value);
    }
    let begin = field
        .iter()
        .position(|byte| *byte != b' ')
        .unwrap_or(field.len());
    let digits = field.get(begin..).unwrap_or_default();
    let end = digits
        .iter()
        .position(|byte| !(b'0'..=b'7').contains(byte))
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if rest.iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(8)?.checked_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary_and_positive() {
        let cases: [(&[u8], Option<u64>); 10] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"77777777777\0", Some(0o77_777_777_777)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(2 << 32)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"12x\0", None),
            (b"-1\0", None),
            (b"8\0", None),
        ];
        for (field, expected) in cases {
            assert_eq!(number(field), expected, "{}", field.escape_ascii());
        }
    }
}
