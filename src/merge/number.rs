//! JSON numbers into SQLite numbers where nothing is lost; pure.

use std::ops::RangeInclusive;

/// The whole numbers among which every one is exactly a 64-bit float.
pub(super) const EXACT_AS_REAL: RangeInclusive<i64> = -(1 << 53)..=1 << 53;
/// Decimal digits that always survive the way into a 64-bit float and back.
const SURE_DIGITS: usize = 15;

/// Returns a number as a 64-bit integer, if it is written as one. `-0` is not: its sign would go.
pub(super) fn integer(raw: &str) -> Option<i64> {
    if raw == "-0" { None } else { raw.parse().ok() }
}

/// Returns true if a whole number is also exactly a 64-bit float.
pub(super) fn is_exact_as_real(number: i64) -> bool {
    EXACT_AS_REAL.contains(&number)
}

/// Returns a number as a 64-bit float, if the shortest text for that float has the digits given.
///
/// So `1.5`, `5.0` and `1E-05` are floats; `1.50`, `0.1000000000000000055`, `-0.0` and `1e400` are
/// not, and a whole number is one only as far as floats count in ones.
pub(super) fn real(raw: &str) -> Option<f64> {
    if is_surely_real(raw) {
        return raw.parse().ok();
    }
    if let Some(number) = integer(raw) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "the guard says that nothing is lost"
        )]
        return is_exact_as_real(number).then_some(number as f64);
    }
    if !raw.contains(['.', 'e', 'E']) {
        return None;
    }
    let real: f64 = raw.parse().ok()?;
    if !real.is_finite() || (real == 0.0 && raw.starts_with('-')) {
        return None;
    }
    let same = Digits::of(raw)? == Digits::of(&format!("{real:e}"))?;
    same.then_some(real)
}

/// Returns true for plain `12.5` and `12.0`: few digits, and no zero that a float would forget.
fn is_surely_real(raw: &str) -> bool {
    let Some((whole, fraction)) = raw.split_once('.') else {
        return false;
    };
    let keeps_all = if fraction == "0" {
        whole != "-0"
    } else {
        !fraction.ends_with('0')
    };
    keeps_all && raw.len() <= SURE_DIGITS + 1 && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

/// A decimal number as its digits and the power of ten of the last one.
#[derive(PartialEq, Eq)]
struct Digits {
    digits: String,
    exponent: i64,
}

impl Digits {
    fn of(number: &str) -> Option<Self> {
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = if fraction == "0" { "" } else { fraction };
        let all = format!("{}{fraction}", whole.trim_start_matches('-'));
        let mut digits = all.trim_start_matches('0');
        let mut exponent: i64 = exponent.parse().ok()?;
        exponent -= i64::try_from(fraction.len()).ok()?;
        if fraction.is_empty() {
            // Zeros at the end of a whole number count nothing but tens.
            let kept = digits.trim_end_matches('0');
            exponent += i64::try_from(digits.len() - kept.len()).ok()?;
            digits = kept;
        }
        if digits.is_empty() && fraction.is_empty() {
            exponent = 0;
        }
        Some(Self {
            digits: digits.to_owned(),
            exponent,
        })
    }
}

/// Writes a float as the plainest text with the same digits.
pub(super) fn text_of_real(real: f64) -> String {
    /// From here on a plain number has more zeros than digits.
    const LONG: f64 = 1e21;
    /// The same on the small side.
    const SHORT: f64 = 1e-7;
    let size = real.abs();
    if size == 0.0 || (SHORT..LONG).contains(&size) {
        format!("{real}")
    } else {
        format!("{real:e}")
    }
}

/// Returns true if a text is a number as JSON writes them.
pub(super) fn is_number(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    starts
        && text.trim_end() == text
        && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_is_real_only_if_no_digit_is_lost() {
        let real_ones = [
            ("1.5", 1.5),
            ("-1.5", -1.5),
            ("5.0", 5.0),
            ("100.0", 100.0),
            ("0.0", 0.0),
            ("0.1", 0.1),
            ("1e5", 1e5),
            ("1E-05", 1e-5),
            ("1.5e+3", 1500.0),
            ("0.00001", 1e-5),
            ("123456789.123456", 123_456_789.123_456),
            ("3.141592653589793", std::f64::consts::PI),
            ("1.7976931348623157e308", f64::MAX),
            ("5", 5.0),
            ("9007199254740992", 9_007_199_254_740_992.0),
        ];
        for (raw, value) in real_ones {
            assert_eq!(real(raw), Some(value), "{raw}");
        }
        let others = [
            "1.50",
            "0.00",
            "-0",
            "-0.0",
            "-0e3",
            "1e400",
            "1e-400",
            "9007199254740993",
            "12345678901234567890",
            "3.1415926535897932",
            "1.50e3",
        ];
        for raw in others {
            assert_eq!(real(raw), None, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn the_quick_answer_is_the_thorough_one(whole in 0_u64..1_000_000_000, fraction in "0|[0-9]{1,9}") {
            let raw = format!("{whole}.{fraction}");
            if is_surely_real(&raw) {
                let value: f64 = raw.parse().unwrap();
                prop_assert!(Digits::of(&raw) == Digits::of(&format!("{value:e}")), "{raw}");
            }
        }

        #[test]
        fn a_float_written_as_text_is_the_same_float(value in any::<f64>()) {
            prop_assume!(value.is_finite());
            let text = text_of_real(value);
            prop_assert!(text.parse::<f64>().unwrap().to_bits() == value.to_bits(), "{text}");
            prop_assert!(is_number(&text));
        }
    }
}
