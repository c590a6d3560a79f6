//! JSON text into the text a column keeps; pure.
//!
//! Every function takes a raw JSON value that was already found to be valid. What needs no change is
//! handed back as it stands in the page; the rest is written into a scratch buffer that the caller
//! uses for every value.

use jiff::SignedDuration;
use jiff::civil::DateTime;

use crate::record::{CursorFormat, CursorValue};

/// What `/Date(0)/` is.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// What stands for a surrogate without its partner, which no text can hold.
const LONE_SURROGATE: char = char::REPLACEMENT_CHARACTER;

/// Returns what a JSON string, given with its quotes, says.
pub(super) fn unescape<'a>(raw: &'a str, scratch: &'a mut String) -> &'a str {
    let inner = inner(raw);
    let Some(first) = inner.find('\\') else {
        return inner;
    };
    scratch.clear();
    scratch.push_str(&inner[..first]);
    let mut rest = &inner[first..];
    while let Some(escaped) = rest.strip_prefix('\\') {
        rest = unescape_one(escaped, scratch);
        let plain = rest.find('\\').unwrap_or(rest.len());
        scratch.push_str(&rest[..plain]);
        rest = &rest[plain..];
    }
    scratch
}

/// Returns what a field says as a cursor, read the way a column would have it; `None` for null and
/// for a field that is not there.
pub(super) fn cursor_value(
    raw: &str,
    format: Option<&CursorFormat>,
    scratch: &mut String,
) -> Option<CursorValue> {
    let text = match raw.as_bytes().first() {
        None | Some(b'n') => return None,
        Some(b'"') => match odata_date(raw, scratch).is_some() {
            true => scratch,
            false => unescape(raw, scratch),
        },
        Some(_) => raw,
    };
    match format {
        Some(format) => format.read(text),
        None => Some(CursorValue::read(text)),
    }
}

/// Returns a JSON string without its quotes, escapes untouched.
pub(super) fn inner(raw: &str) -> &str {
    raw.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(raw)
}

/// Writes the character that `escaped`, the text after a backslash, begins with; returns the rest.
fn unescape_one<'a>(escaped: &'a str, out: &mut String) -> &'a str {
    let mut rest = escaped.chars();
    match rest.next() {
        Some('u') => return unescape_unit(rest.as_str(), out),
        Some('b') => out.push('\u{8}'),
        Some('f') => out.push('\u{c}'),
        Some('n') => out.push('\n'),
        Some('r') => out.push('\r'),
        Some('t') => out.push('\t'),
        Some(itself) => out.push(itself),
        None => {}
    }
    rest.as_str()
}

/// Writes the character of `\uXXXX`, or of two that are one; returns the rest.
fn unescape_unit<'a>(digits: &'a str, out: &mut String) -> &'a str {
    let (unit, rest) = code_unit(digits);
    if let Some(plain) = char::from_u32(unit) {
        out.push(plain);
        return rest;
    }
    let partner = rest.strip_prefix("\\u").map(code_unit);
    let pair = partner.and_then(|(low, rest)| {
        let both = char::decode_utf16([to_u16(unit), to_u16(low)]).next()?;
        Some((both.ok()?, rest))
    });
    match pair {
        Some((character, rest)) => {
            out.push(character);
            rest
        }
        None => {
            out.push(LONE_SURROGATE);
            rest
        }
    }
}

/// Returns true if a JSON string has a surrogate without its partner.
pub(super) fn has_lone_surrogate(raw: &str) -> bool {
    let may_have = raw.contains("\\ud") || raw.contains("\\uD");
    may_have && serde_json::from_str::<String>(raw).is_err()
}

fn code_unit(digits: &str) -> (u32, &str) {
    let (unit, rest) = digits.split_at_checked(4).unwrap_or((digits, ""));
    (
        u32::from_str_radix(unit, 16).unwrap_or(u32::from(LONE_SURROGATE)),
        rest,
    )
}

fn to_u16(unit: u32) -> u16 {
    u16::try_from(unit).expect("four hexadecimal digits are 16 bits")
}

/// Returns JSON as it was sent, but without whitespace outside its strings.
pub(super) fn compact<'a>(raw: &'a str, scratch: &'a mut String) -> &'a str {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    if !raw.bytes().any(is_space) {
        return raw;
    }
    scratch.clear();
    let bytes = raw.as_bytes();
    let (mut kept, mut at, mut in_string) = (0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_string = !in_string,
            b'\\' => at += 1, // Only strings have backslashes; what follows one ends no string.
            byte if is_space(byte) && !in_string => {
                scratch.push_str(&raw[kept..at]);
                kept = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    scratch.push_str(&raw[kept..]);
    scratch
}

/// Returns true if an object is nothing but OData's promise of more: `{"__deferred":{…}}`.
pub(super) fn is_deferred(raw: &str) -> bool {
    const WORD: &str = "\"__deferred\"";
    let Some(inside) = raw.strip_prefix('{') else {
        return false;
    };
    let Some(value) = inside.trim_start().strip_prefix(WORD) else {
        return false;
    };
    // Alone if the object inside is the last thing before the outer one ends.
    let value = value
        .trim_start()
        .strip_prefix(':')
        .unwrap_or(value)
        .trim_start();
    let mut parts = serde_json::Deserializer::from_str(value).into_iter::<serde::de::IgnoredAny>();
    matches!(parts.next(), Some(Ok(_))) && value[parts.byte_offset()..].trim() == "}"
}

/// Returns true if a string is worth a look by [`odata_date`].
pub(super) fn may_be_odata_date(raw: &str) -> bool {
    matches!(raw.as_bytes().get(1), Some(b'/' | b'\\'))
}

/// Returns `/Date(…)/` (OData v2, ASP.NET) as ISO 8601, written into `scratch`.
///
/// Without an offset it is a wall-clock time: zone-less, with a fraction only if there is one. With
/// an offset it is an instant: UTC, always with milliseconds, so that instants sort as text.
pub(super) fn odata_date<'a>(raw: &str, scratch: &'a mut String) -> Option<&'a str> {
    let inner = inner(raw);
    let inner = inner
        .strip_prefix("/Date(")
        .or_else(|| inner.strip_prefix("\\/Date("))?;
    let inner = inner
        .strip_suffix(")/")
        .or_else(|| inner.strip_suffix(")\\/"))?;
    let zone = inner
        .bytes()
        .skip(1)
        .position(|byte| matches!(byte, b'+' | b'-'));
    let (milliseconds, zone) = inner.split_at(zone.map_or(inner.len(), |at| at + 1));
    if !zone.is_empty() && !is_offset(zone) {
        return None;
    }
    let since = SignedDuration::from_millis(milliseconds.parse().ok()?);
    let civil = EPOCH.checked_add(since).ok()?;
    // ISO 8601 has four digits for a year; what needs more stays as it was sent.
    let year = u16::try_from(civil.year()).ok()?;
    let mut iso = *b"0000-00-00T00:00:00.000Z";
    write_digits(&mut iso[..4], year);
    for (place, part) in [
        (5, civil.month()),
        (8, civil.day()),
        (11, civil.hour()),
        (14, civil.minute()),
        (17, civil.second()),
    ] {
        write_digits(&mut iso[place..place + 2], u16::from(part.unsigned_abs()));
    }
    write_digits(&mut iso[20..23], civil.millisecond().unsigned_abs());
    let length = match (zone.is_empty(), civil.millisecond()) {
        (true, 0) => "YYYY-MM-DDTHH:MM:SS".len(),
        (true, _) => "YYYY-MM-DDTHH:MM:SS.mmm".len(),
        (false, _) => iso.len(),
    };
    scratch.clear();
    scratch.push_str(std::str::from_utf8(&iso[..length]).expect("digits and marks are ASCII"));
    Some(scratch)
}

fn is_offset(zone: &str) -> bool {
    zone.len() == 5 && zone[1..].bytes().all(|byte| byte.is_ascii_digit())
}

/// Fills a place with the last digits of a number.
fn write_digits(place: &mut [u8], mut number: u16) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("a remainder of ten is one digit");
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_say_what_they_say() {
        let cases = [
            (r#""plain""#, "plain"),
            (r#""""#, ""),
            (r#""a\"b\\c\/d\b\f\n\r\t""#, "a\"b\\c/d\u{8}\u{c}\n\r\t"),
            (r#""\u00e9\u0000x""#, "é\0x"),
            (r#""\ud83d\ude00!""#, "😀!"),
            (r#""\ud83d!""#, "\u{fffd}!"),
            (r#""\ude00\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
        ];
        for (raw, said) in cases {
            assert_eq!(unescape(raw, &mut String::new()), said, "{raw}");
        }
    }

    #[test]
    fn compact_json_keeps_every_digit_and_every_space_inside_strings() {
        let cases = [
            (r#"{"a":1.50}"#, r#"{"a":1.50}"#),
            (
                "{ \"a b\" :\n[ 1.50 ,\t\"x  y\" ] }",
                r#"{"a b":[1.50,"x  y"]}"#,
            ),
            (r#"[ "\\" , " \" " ]"#, r#"["\\"," \" "]"#),
        ];
        for (raw, kept) in cases {
            assert_eq!(compact(raw, &mut String::new()), kept, "{raw}");
        }
    }

    #[test]
    fn only_an_object_with_nothing_but_a_promise_is_deferred() {
        assert!(is_deferred(r#"{"__deferred":{"uri":"x"}}"#));
        assert!(is_deferred(r#"{ "__deferred" : { "uri" : "}" } }"#));
        for raw in [
            r#"{"__deferred":{"uri":"x"},"a":1}"#,
            r#"{"a":1,"__deferred":{}}"#,
            r#"{"__deferredX":{}}"#,
            "{}",
            "[]",
        ] {
            assert!(!is_deferred(raw), "{raw}");
        }
    }

    #[test]
    fn odata_dates_are_wall_clock_times_unless_they_carry_an_offset() {
        let cases = [
            ("\"/Date(1640995200000)/\"", Some("2022-01-01T00:00:00")),
            (
                r#""\/Date(1640995200123)\/""#,
                Some("2022-01-01T00:00:00.123"),
            ),
            ("\"/Date(-1)/\"", Some("1969-12-31T23:59:59.999")),
            ("\"/Date(-62135596800000)/\"", Some("0001-01-01T00:00:00")),
            (
                "\"/Date(253402300799999)/\"",
                Some("9999-12-31T23:59:59.999"),
            ),
            (
                "\"/Date(1640995200000+0100)/\"",
                Some("2022-01-01T00:00:00.000Z"),
            ),
            ("\"/Date(-1-0500)/\"", Some("1969-12-31T23:59:59.999Z")),
            ("\"/Date(1640995200000+01)/\"", None),
            ("\"/Date(253402300800000)/\"", None),
            ("\"/Date()/\"", None),
            ("\"/Date(x)/\"", None),
            ("\"on /Date(1)/\"", None),
        ];
        for (raw, iso) in cases {
            assert_eq!(odata_date(raw, &mut String::new()), iso, "{raw}");
        }
    }
}
