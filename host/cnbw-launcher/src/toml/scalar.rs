//! Numbers, truth values and dates.

use super::table::Value;
use super::{Parser, Problem};

const NO_VALUE: Problem = "something that is no value";

impl Parser<'_> {
    /// Reads a value that is neither a string nor a collection.
    pub(super) fn scalar(&mut self) -> Result<Value, Problem> {
        let is_scalar = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'_' | b'.' | b':')
        };
        let mut word = self.take_while(is_scalar);
        // A date and its time may be separated by a blank.
        let is_date = word.len() == 10 && word.as_bytes().get(4) == Some(&b'-');
        if is_date
            && self.peek() == Some(b' ')
            && self.at(1).is_some_and(|byte| byte.is_ascii_digit())
        {
            self.position += 1;
            word = word + "T" + &self.take_while(is_scalar);
        }
        match word.as_str() {
            "true" => return Ok(Value::Boolean(true)),
            "false" => return Ok(Value::Boolean(false)),
            _ => {}
        }
        if let Some((digits, radix)) = integer_digits(&word) {
            let integer =
                i64::from_str_radix(&digits, radix).map_err(|_| "an integer beyond 64 bits")?;
            return Ok(Value::Integer(integer));
        }
        let word = word.as_bytes();
        if is_float(word) {
            Ok(Value::Float)
        } else if is_datetime(word) {
            Ok(Value::Datetime)
        } else {
            Err(NO_VALUE)
        }
    }
}

/// Returns the sign and digits of an integer, and their radix; `None` if a word has not that form.
fn integer_digits(word: &str) -> Option<(String, u32)> {
    let ungrouped = |digits: &str| digits.chars().filter(|&digit| digit != '_').collect();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = word.strip_prefix(prefix) {
            let holds = is_grouped(digits.as_bytes(), |byte| char::from(byte).is_digit(radix));
            return holds.then(|| (ungrouped(digits), radix));
        }
    }
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    is_whole(digits.as_bytes()).then(|| (ungrouped(word), 10))
}

/// Digits, with single underscores between them.
fn is_grouped(digits: &[u8], is_digit: impl Fn(u8) -> bool) -> bool {
    digits
        .split(|&byte| byte == b'_')
        .all(|group| !group.is_empty() && group.iter().all(|&byte| is_digit(byte)))
}

fn is_decimal(digits: &[u8]) -> bool {
    is_grouped(digits, |byte| byte.is_ascii_digit())
}

/// Decimal digits without a leading zero.
fn is_whole(digits: &[u8]) -> bool {
    is_decimal(digits) && (digits.len() == 1 || digits.first() != Some(&b'0'))
}

fn is_float(word: &[u8]) -> bool {
    let unsigned = |text: &'_ [u8]| usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let word = word.get(unsigned(word)..).unwrap_or_default();
    if matches!(word, b"inf" | b"nan") {
        return true;
    }
    let (mantissa, exponent) = split(word, |byte| matches!(byte, b'e' | b'E'));
    let (whole, fraction) = split(mantissa, |byte| byte == b'.');
    let exponent_holds = exponent
        .is_none_or(|exponent| is_decimal(exponent.get(unsigned(exponent)..).unwrap_or_default()));
    is_whole(whole)
        && fraction.is_none_or(is_decimal)
        && exponent_holds
        && (fraction.is_some() || exponent.is_some())
}

/// Splits at the first byte that matches.
fn split(text: &[u8], at: impl Fn(u8) -> bool) -> (&[u8], Option<&[u8]>) {
    let mut parts = text.splitn(2, |&byte| at(byte));
    (parts.next().unwrap_or_default(), parts.next())
}

/// A date, a time of day, or both with or without an offset.
fn is_datetime(word: &[u8]) -> bool {
    let (first, second) = split(word, |byte| matches!(byte, b'T' | b't'));
    match second {
        None => is_date(first) || is_time(first),
        Some(time) => {
            let zone = time
                .iter()
                .position(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-'))
                .unwrap_or(time.len());
            let (time, zone) = time.split_at(zone);
            is_date(first) && is_time(time) && is_zone(zone)
        }
    }
}

fn is_date(text: &[u8]) -> bool {
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text else {
        return false;
    };
    let (year, month, day) = (
        number(&[y0, y1, y2, y3]),
        number(&[m0, m1]),
        number(&[d0, d1]),
    );
    let (Some(year), Some(month), Some(day)) = (year, month, day) else {
        return false;
    };
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// Hours and minutes, and optionally seconds, and optionally a fraction of those.
fn is_time(text: &[u8]) -> bool {
    let (Some(clock), rest) = (text.get(..5), text.get(5..).unwrap_or_default()) else {
        return false;
    };
    let seconds_hold = match rest {
        [] => true,
        [b':', a, b] => number(&[*a, *b]).is_some_and(|second| second <= 60),
        [b':', a, b, b'.', fraction @ ..] => {
            let is_fraction = !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit);
            is_fraction && number(&[*a, *b]).is_some_and(|second| second <= 60)
        }
        _ => false,
    };
    is_clock(clock) && seconds_hold
}

fn is_clock(text: &[u8]) -> bool {
    let &[a, b, b':', c, d] = text else {
        return false;
    };
    number(&[a, b]).is_some_and(|hour| hour < 24)
        && number(&[c, d]).is_some_and(|minute| minute < 60)
}

fn is_zone(text: &[u8]) -> bool {
    match text {
        [] | [b'Z' | b'z'] => true,
        [b'+' | b'-', offset @ ..] => is_clock(offset),
        _ => false,
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &digit| {
        Some(value * 10 + char::from(digit).to_digit(10)?)
    })
}
