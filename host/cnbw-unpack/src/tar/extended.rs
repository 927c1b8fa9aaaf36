//! Headers that say more about the next entry: PAX records and GNU tar's long names.
//!
//! Programs that read the same archive differently are how something gets past a check. So whatever could be read in
//! two ways is refused: a thing that is said twice, or one thing here and another thing in the header.

use crate::error::{EntryName, Rule, UnpackError};
use crate::input::Input;
use crate::options::Options;
use crate::unpack::refused;

use super::header::{BLOCK, Header, Type};

/// The largest extended header: names, and attributes that nobody here reads.
const MAX_BYTES: u64 = 1024 * 1024;

/// The largest size that the header itself can say in octal digits.
const MAX_OCTAL: u64 = 0o77_777_777_777;

/// What is known of the next entry besides its header.
#[derive(Debug, Default)]
pub(super) struct Extended {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    records: Option<Records>,
    global: bool,
}

/// The records of one PAX header that matter here.
#[derive(Debug, Default)]
struct Records {
    path: Option<Vec<u8>>,
    linkpath: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extended {
    /// Returns whether nothing waits for an entry.
    pub(super) fn is_empty(&self) -> bool {
        self.long_name.is_none() && self.long_link.is_none() && self.records.is_none()
    }

    pub(super) fn name(&self) -> Option<&[u8]> {
        let path = self
            .records
            .as_ref()
            .and_then(|records| records.path.as_deref());
        path.or(self.long_name.as_deref())
    }

    pub(super) fn link(&self) -> Option<&[u8]> {
        let path = self
            .records
            .as_ref()
            .and_then(|records| records.linkpath.as_deref());
        path.or(self.long_link.as_deref())
    }

    /// Returns the size of the entry, which has to be one and the same wherever it stands.
    pub(super) fn size(&self, header: &Header) -> Result<u64, Rule> {
        let Some(size) = self.records.as_ref().and_then(|records| records.size) else {
            return Ok(header.size);
        };
        let unsaid = header.size == 0 || header.size == MAX_OCTAL;
        if header.size == size || (size > MAX_OCTAL && unsaid) {
            return Ok(size);
        }
        Err(Rule::Extended("its size is not the one in the header"))
    }

    /// Reads an extended header's content.
    pub(super) fn read(
        &mut self,
        header: &Header,
        input: &mut Input<'_>,
        options: &Options,
    ) -> Result<(), UnpackError> {
        let entry = EntryName::new(&header.name);
        let ambiguous = |why| UnpackError::Refused {
            entry: entry.clone(),
            rule: Rule::Extended(why),
        };
        if header.size > MAX_BYTES {
            return Err(ambiguous("it is larger than 1 MiB"));
        }
        let mut content = Vec::new();
        input.copy(header.size, |piece| {
            content.extend_from_slice(piece);
            Ok(())
        })?;
        let padding = header.size.next_multiple_of(BLOCK as u64) - header.size;
        input.skip(padding)?;
        match header.kind {
            Type::LongName => {
                put(&mut self.long_name, long(content, options)).map_err(ambiguous)?;
            }
            Type::LongLink => {
                put(&mut self.long_link, long(content, options)).map_err(ambiguous)?;
            }
            Type::Global => {
                // It would stand for all that follows; `git archive` puts a comment there, which is fine.
                let records = parse(&content).map_err(ambiguous)?;
                if records.path.is_some() || records.linkpath.is_some() || records.size.is_some() {
                    return Err(ambiguous("it gives all entries a name or size"));
                }
                if self.global || !self.is_empty() {
                    return Err(ambiguous(
                        "a global header stands between an entry and its own",
                    ));
                }
                self.global = true;
            }
            Type::Extended => {
                let records = parse(&content).map_err(|why| refused_sparse(&header.name, why))?;
                put(&mut self.records, records).map_err(ambiguous)?;
            }
            Type::File
            | Type::Directory
            | Type::HardLink
            | Type::Symlink
            | Type::Special
            | Type::Sparse
            | Type::Other(_) => return Err(input.damaged("a header extends nothing")),
        }
        let records = self.records.as_ref();
        let twice =
            |long: &Option<Vec<u8>>, path: Option<&Vec<u8>>| long.is_some() && path.is_some();
        if twice(
            &self.long_name,
            records.and_then(|records| records.path.as_ref()),
        ) || twice(
            &self.long_link,
            records.and_then(|records| records.linkpath.as_ref()),
        ) {
            return Err(ambiguous("a name is given in two ways"));
        }
        Ok(())
    }
}

/// The fault of records that say that the file is sparse.
const SPARSE: &str = "it makes the entry a sparse file";

fn refused_sparse(name: &[u8], why: &'static str) -> UnpackError {
    let rule = if why == SPARSE {
        Rule::Sparse
    } else {
        Rule::Extended(why)
    };
    refused(name, rule)
}

fn put<T>(place: &mut Option<T>, value: T) -> Result<(), &'static str> {
    if place.replace(value).is_some() {
        return Err("there are two of them");
    }
    Ok(())
}

/// A long name without the zero that ends it. One that is too long is cut where it is known to be too long.
fn long(mut content: Vec<u8>, options: &Options) -> Vec<u8> {
    while content.last() == Some(&0) {
        content.pop();
    }
    content.truncate(options.limits.name_bytes.saturating_add(1));
    content
}

/// Reads PAX records: `LENGTH KEY=VALUE\n`, the length being that of the whole record.
fn parse(mut rest: &[u8]) -> Result<Records, &'static str> {
    const MALFORMED: &str = "it is not made of records";
    let mut records = Records::default();
    while !rest.is_empty() {
        let space = rest
            .iter()
            .position(|byte| *byte == b' ')
            .ok_or(MALFORMED)?;
        let (digits, _) = rest.split_at(space);
        let length = decimal(digits).and_then(|length| usize::try_from(length).ok());
        let length = length
            .filter(|length| *length <= rest.len())
            .ok_or(MALFORMED)?;
        let (record, next) = rest.split_at(length);
        rest = next;
        let record = record.get(space + 1..).ok_or(MALFORMED)?;
        let record = record.strip_suffix(b"\n").ok_or(MALFORMED)?;
        let equals = record
            .iter()
            .position(|byte| *byte == b'=')
            .ok_or(MALFORMED)?;
        let (key, value) = record.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        match key {
            b"path" => put(&mut records.path, name(value)?)?,
            b"linkpath" => put(&mut records.linkpath, name(value)?)?,
            b"size" => put(
                &mut records.size,
                decimal(value).ok_or("its size is no number")?,
            )?,
            sparse if sparse.starts_with(b"GNU.sparse.") => return Err(SPARSE),
            _ => {}
        }
    }
    Ok(records)
}

fn name(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    if value.is_empty() || value.contains(&0) {
        return Err("a name in it is empty or has a zero byte");
    }
    Ok(value.to_vec())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_exactly() {
        let records = parse(b"12 path=a\xffb\n16 mtime=1.0000\n12 size=123\n").unwrap();
        assert_eq!(records.path.as_deref(), Some(&b"a\xffb"[..]));
        assert_eq!(records.size, Some(123));
        for (bad, why) in [
            (&b"10 path=ab\n"[..], "it is not made of records"),
            (b"99 path=a\n", "it is not made of records"),
            (b"path=a\n", "it is not made of records"),
            (b"10 path=a\n10 path=a\n", "there are two of them"),
            (b"8 path=\n", "a name in it is empty or has a zero byte"),
            (b"11 size=-1\n", "its size is no number"),
            (b"22 GNU.sparse.major=1\n", SPARSE),
        ] {
            assert_eq!(parse(bad).unwrap_err(), why, "{}", bad.escape_ascii());
        }
    }
}
