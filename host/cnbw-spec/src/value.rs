//! Free-form values: metadata of layers, plans and stores, of which the lifecycle knows no keys.

use std::ops::Range;

pub use toml::Table;
pub use toml::Value;
pub use toml::value::{Date, Datetime, Offset, Time};

/// Prints a finite float with as few digits as identify it, as Go's `strconv` does: with an exponent
/// of at least two digits unless the decimal exponent lies in `plain`.
pub(crate) fn shortest_float(float: f64, plain: Range<i32>) -> String {
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if plain.contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// Appends the escape of a character below U+10000: `\u` and four hexadecimal digits.
pub(crate) fn push_escape(character: char, out: &mut String) {
    out.push_str("\\u");
    let code = u32::from(character);
    for shift in [12, 8, 4, 0] {
        out.extend(char::from_digit((code >> shift) & 0xf, 16));
    }
}

pub(crate) fn printed_date(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

/// With seconds always, and a fraction without trailing zeros if there is one.
pub(crate) fn printed_time(time: Time) -> String {
    let second = time.second.unwrap_or_default();
    let nanosecond = format!("{:09}", time.nanosecond.unwrap_or_default());
    let fraction = nanosecond.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!(
        "{:02}:{:02}:{second:02}{point}{fraction}",
        time.hour, time.minute
    )
}

pub(crate) fn printed_offset(offset: Offset) -> String {
    let (sign, minutes) = match offset {
        Offset::Z | Offset::Custom { minutes: 0 } => return "Z".to_owned(),
        Offset::Custom { minutes } if minutes < 0 => ('-', minutes.unsigned_abs()),
        Offset::Custom { minutes } => ('+', minutes.unsigned_abs()),
    };
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_have_an_exponent_outside_the_plain_range() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1e300, "1e+300"),
        ];
        for (float, expected) in cases {
            assert_eq!(shortest_float(float, -4..6), expected);
        }
    }

    #[test]
    fn a_time_has_seconds_and_a_fraction_without_trailing_zeros() {
        for (text, expected) in [
            ("07:32:00", "07:32:00"),
            ("07:32:00.500", "07:32:00.5"),
            ("07:32:00.000000001", "07:32:00.000000001"),
        ] {
            let datetime: Datetime = text.parse().unwrap();
            assert_eq!(datetime.time.map(printed_time).as_deref(), Some(expected));
        }
    }
}
