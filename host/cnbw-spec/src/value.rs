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

/// The fraction of a second, with its point and without trailing zeros.
pub(crate) fn fraction(nanosecond: u32) -> String {
    if nanosecond == 0 {
        return String::new();
    }
    let digits = format!("{nanosecond:09}");
    format!(".{}", digits.trim_end_matches('0'))
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
    fn a_fraction_has_no_trailing_zeros() {
        assert_eq!(fraction(0), "");
        assert_eq!(fraction(500_000_000), ".5");
        assert_eq!(fraction(1), ".000000001");
    }
}
