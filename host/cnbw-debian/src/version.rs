//! The order of Debian's version numbers.
//!
//! <https://www.debian.org/doc/debian-policy/ch-controlfields.html#version>

use std::cmp::Ordering;

/// Compares two versions.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left_epoch, left) = epoch(left);
    let (right_epoch, right) = epoch(right);
    let ((left, left_revision), (right, right_revision)) = (revision(left), revision(right));
    compare_numbers(left_epoch, right_epoch)
        .then_with(|| compare_part(left.as_bytes(), right.as_bytes()))
        .then_with(|| compare_part(left_revision.as_bytes(), right_revision.as_bytes()))
}

fn epoch(version: &str) -> (&[u8], &str) {
    match version.split_once(':') {
        Some((epoch, rest)) => (epoch.as_bytes(), rest),
        None => (b"0", version),
    }
}

fn revision(version: &str) -> (&str, &str) {
    version.rsplit_once('-').unwrap_or((version, "0"))
}

/// Takes turns with the longest starts without and with digits.
fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (left_text, left_rest) = split(left, |byte| !byte.is_ascii_digit());
        let (right_text, right_rest) = split(right, |byte| !byte.is_ascii_digit());
        let (left_number, left_rest) = split(left_rest, u8::is_ascii_digit);
        let (right_number, right_rest) = split(right_rest, u8::is_ascii_digit);
        let order = compare_text(left_text, right_text)
            .then_with(|| compare_numbers(left_number, right_number));
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

fn split(bytes: &[u8], belongs: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !belongs(byte));
    bytes.split_at(end.unwrap_or(bytes.len()))
}

/// A tilde comes before the end, the end before letters, letters before all else.
fn compare_text(left: &[u8], right: &[u8]) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    };
    (0..left.len().max(right.len()))
        .map(|at| weight(left.get(at)).cmp(&weight(right.get(at))))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

/// Compares digits as numbers of any length.
fn compare_numbers(left: &[u8], right: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| {
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.get(zeros..).unwrap_or_default().to_vec()
    };
    let (left, right) = (significant(left), significant(right));
    left.len().cmp(&right.len()).then_with(|| left.cmp(&right))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_in_the_order_that_the_policy_gives() {
        let ordered = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0a",
            "0+",
            "1.0~rc1-1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0-2",
            "1.0.1-1",
            "1.2-1",
            "1.10-1",
            "2.41-12+deb13u9",
            "2.41-12+deb13u10",
            "99999999999999999999999-1",
            "1:0.1",
            "2:0~",
        ];
        for (at, left) in ordered.iter().enumerate() {
            for (other, right) in ordered.iter().enumerate() {
                assert_eq!(compare(left, right), at.cmp(&other), "{left} and {right}");
            }
        }
        assert_eq!(compare("1.0", "1.0-0"), Ordering::Equal);
        assert_eq!(compare("1.01", "1.1"), Ordering::Equal);
        assert_eq!(compare("0:1", "1"), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn the_order_is_one(left in "[0-9a-c.~+:-]{0,12}", right in "[0-9a-c.~+:-]{0,12}") {
            prop_assert_eq!(compare(&left, &right), compare(&right, &left).reverse());
            prop_assert_eq!(compare(&left, &left), Ordering::Equal);
        }
    }
}
