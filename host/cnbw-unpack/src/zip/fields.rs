//! The fields of a zip archive's records: little-endian numbers, one after the other.

/// Before each entry.
pub(super) const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
pub(super) const LOCAL_BYTES: usize = 30;
/// Each entry of the directory.
pub(super) const CENTRAL_SIGNATURE: u32 = 0x0201_4b50;
pub(super) const CENTRAL_BYTES: usize = 46;
/// The end of the directory.
pub(super) const END_SIGNATURE: u32 = 0x0605_4b50;
pub(super) const END_BYTES: usize = 22;
/// The same with 64-bit fields, and where it stands.
pub(super) const END64_SIGNATURE: u32 = 0x0606_4b50;
pub(super) const END64_BYTES: usize = 56;
pub(super) const LOCATOR_SIGNATURE: u32 = 0x0706_4b50;
pub(super) const LOCATOR_BYTES: usize = 20;

/// Ways of compression.
pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;

/// Flags: encryption of three kinds, and patches.
pub(super) const UNREADABLE_FLAGS: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;
/// Flag: sizes and checksum stand after the content.
pub(super) const VALUES_FOLLOW: u16 = 1 << 3;

/// Extra fields.
const ZIP64: u16 = 1;
const UNICODE_PATH: u16 = 0x7075;

/// What is left to be read of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// Finds an extra field. What does not look like one ends the search: some writers pad with zeros.
fn extra_field(extra: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = Bytes(extra);
    loop {
        let id = rest.u16()?;
        let length = rest.u16()?;
        let content = rest.take(usize::from(length))?;
        if id == wanted {
            return Some(content);
        }
    }
}

/// The 64-bit values of an entry of the directory, of those that do not fit into its own fields.
pub(super) fn central_values(extra: &[u8]) -> Option<Bytes<'_>> {
    extra_field(extra, ZIP64).map(Bytes)
}

/// The 64-bit sizes before an entry: first the size, then the compressed one.
pub(super) fn local_sizes(extra: &[u8]) -> Option<(u64, u64)> {
    let mut values = Bytes(extra_field(extra, ZIP64)?);
    Some((values.u64()?, values.u64()?))
}

/// A second name, which some programs take in place of the first.
pub(super) fn second_name(extra: &[u8]) -> Option<&[u8]> {
    let content = extra_field(extra, UNICODE_PATH)?;
    // A version and a checksum of the first name come first.
    content.get(5..)
}
