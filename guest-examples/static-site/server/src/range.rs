//! Byte ranges (RFC 9110, section 14).

/// What a `Range` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requested {
    /// The whole file: there is no usable header, or it has several ranges. A server may ignore those; answering
    /// them lets a client ask for the same bytes a thousand times in one request.
    Whole,
    /// From the first byte, so many.
    Part {
        /// Offset of the first byte.
        start: u64,
        /// Number of bytes, at least one.
        length: u64,
    },
    /// Bytes that the file does not have.
    Unsatisfiable,
}

/// Reads a `Range` header for a file of `size` bytes.
pub(crate) fn parse_range(header: &str, size: u64) -> Requested {
    let Some((unit, range)) = header.split_once('=') else {
        return Requested::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || range.contains(',') {
        return Requested::Whole;
    }
    let Some((first, last)) = range.trim().split_once('-') else {
        return Requested::Whole;
    };
    let requested = if first.is_empty() {
        number(last).map(|length| last_bytes(length, size))
    } else {
        let last = if last.is_empty() {
            Some(u64::MAX)
        } else {
            number(last)
        };
        number(first)
            .zip(last)
            .filter(|(first, last)| first <= last)
            .map(|(first, last)| bytes_between(first, last, size))
    };
    requested.unwrap_or(Requested::Whole)
}

fn bytes_between(first: u64, last: u64, size: u64) -> Requested {
    if first < size {
        Requested::Part {
            start: first,
            length: last.min(size - 1) - first + 1,
        }
    } else {
        Requested::Unsatisfiable
    }
}

fn last_bytes(length: u64, size: u64) -> Requested {
    let length = length.min(size);
    if length > 0 {
        Requested::Part {
            start: size - length,
            length,
        }
    } else {
        Requested::Unsatisfiable
    }
}

/// Reads a number. One that is too large for 64 bits is beyond the end of any file.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn single_ranges_are_honored_and_others_ignored() {
        let part = |start, length| Requested::Part { start, length };
        for (header, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-4", part(2, 3)),
            ("bytes=2-", part(2, 8)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-30", part(0, 10)),
            ("bytes=5-99999999999999999999999", part(5, 5)),
            ("Bytes= 1-2 ", part(1, 2)),
            ("bytes=10-", Requested::Unsatisfiable),
            ("bytes=99999999999999999999999-", Requested::Unsatisfiable),
            ("bytes=-0", Requested::Unsatisfiable),
            ("bytes=4-2", Requested::Whole),
            ("bytes=0-1,3-4", Requested::Whole),
            ("bytes=-", Requested::Whole),
            ("bytes=a-b", Requested::Whole),
            ("bytes=+1-2", Requested::Whole),
            ("bytes", Requested::Whole),
            ("lines=1-2", Requested::Whole),
            ("", Requested::Whole),
        ] {
            assert_eq!(parse_range(header, 10), expected, "{header}");
        }
    }

    #[test]
    fn an_empty_file_has_no_ranges() {
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(parse_range(header, 0), Requested::Unsatisfiable, "{header}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_inside_the_file(header in "bytes=[0-9,-]{0,24}", size: u64) {
            if let Requested::Part { start, length } = parse_range(&header, size) {
                prop_assert!(length > 0);
                prop_assert!(start.checked_add(length).is_some_and(|end| end <= size));
            }
        }
    }
}
