//! How far a flow has got: the values of a cursor field, how sources write them, and what a run has
//! seen of them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use serde::{Deserialize, Serialize};

/// Nanoseconds in a second.
const SECOND: i128 = 1_000_000_000;
/// Nanoseconds in a millisecond.
const MILLISECOND: i128 = 1_000_000;

/// A value of a cursor field: how far a flow has got.
///
/// Values of one kind are ordered; values of two kinds are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum CursorValue {
    /// A row version or another whole number, also when the source writes it as text.
    Integer(i64),
    /// A moment with a zone.
    Instant(Timestamp),
    /// A wall-clock time without one, as OData v2's `Edm.DateTime` is.
    Civil(civil::DateTime),
    /// Anything else, compared letter by letter.
    Text(String),
}

impl CursorValue {
    /// Reads a value as a source writes it, after `/Date(…)/` has become ISO 8601.
    #[must_use]
    pub fn read(text: &str) -> Self {
        // Only as a number would be written: `0042` is text, and loses its zeros as anything else.
        let is_padded = text.starts_with('+') || text.trim_start_matches('-').starts_with('0');
        match text.parse() {
            Ok(number) if !is_padded || text == "0" => return Self::Integer(number),
            _ => {}
        }
        // A zone stands behind the date. Most sources have none, and this is asked of every record.
        let may_have_zone = text
            .bytes()
            .skip("YYYY-MM-DD".len())
            .any(|byte| b"Zz+-".contains(&byte));
        if may_have_zone && let Ok(instant) = text.parse() {
            return Self::Instant(instant);
        }
        // A date alone is midnight; a time must follow a date, or `08:15` would be today's.
        let dated = text.len() >= 10 && text.as_bytes()[4] == b'-';
        match text.parse() {
            Ok(civil) if dated => Self::Civil(civil),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// Returns the later of two values; `other` if they cannot be compared.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    /// Returns the value `lookback` earlier. Numbers and text have no earlier.
    #[must_use]
    pub fn back(&self, lookback: Duration) -> Self {
        let Ok(lookback) = SignedDuration::try_from(lookback) else {
            return self.clone();
        };
        match self {
            Self::Instant(instant) => {
                Self::Instant(instant.checked_sub(lookback).unwrap_or(Timestamp::MIN))
            }
            Self::Civil(civil) => {
                Self::Civil(civil.checked_sub(lookback).unwrap_or(civil::DateTime::MIN))
            }
            Self::Integer(_) | Self::Text(_) => self.clone(),
        }
    }
}

impl PartialOrd for CursorValue {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Instant(a), Self::Instant(b)) => Some(a.cmp(b)),
            (Self::Civil(a), Self::Civil(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// As a source reads it: digits, RFC 3339, ISO 8601 without a zone, or the text itself.
impl fmt::Display for CursorValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Instant(instant) => instant.fmt(f),
            Self::Civil(civil) => civil.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// How a source writes the values of a cursor field, and wants to be asked with them, where that is
/// neither ISO 8601 nor a number of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorFormat {
    /// Seconds since 1970, with or without a fraction.
    Epoch,
    /// Milliseconds since 1970.
    EpochMillis,
    /// `strftime` directives.
    Pattern(String),
}

/// Reads `epoch`, `epoch_ms`, or directives that tell a day at least.
impl FromStr for CursorFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "epoch" => return Ok(Self::Epoch),
            "epoch_ms" => return Ok(Self::EpochMillis),
            _ => {}
        }
        let format = Self::Pattern(text.to_owned());
        let sample = civil::date(2026, 11, 23).at(16, 5, 7, 0);
        let in_utc = TimeZone::UTC
            .to_timestamp(sample)
            .map_err(|error| error.to_string())?;
        let written = BrokenDownTime::from(&in_utc.to_zoned(TimeZone::UTC)).to_string(text);
        let written = written.map_err(|error| format!("is no format: {error}"))?;
        match format.read(&written) {
            Some(CursorValue::Civil(read)) if read.date() == sample.date() => Ok(format),
            Some(CursorValue::Instant(read))
                if TimeZone::UTC.to_datetime(read).date() == sample.date() =>
            {
                Ok(format)
            }
            _ => Err("does not tell which day it is".to_owned()),
        }
    }
}

impl CursorFormat {
    /// Reads a value as the source writes it; `None` if it is written otherwise.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<CursorValue> {
        match self {
            Self::Epoch => since_epoch(text, SECOND).map(CursorValue::Instant),
            Self::EpochMillis => since_epoch(text, MILLISECOND).map(CursorValue::Instant),
            Self::Pattern(pattern) => {
                let read = BrokenDownTime::parse(pattern, text).ok()?;
                if let Ok(instant) = read.to_timestamp() {
                    return Some(CursorValue::Instant(instant));
                }
                let date = read.to_date().ok()?;
                let time = match read.hour() {
                    Some(_) => read.to_time().ok()?,
                    None => civil::Time::midnight(),
                };
                Some(CursorValue::Civil(date.to_datetime(time)))
            }
        }
    }

    /// Writes a value as the source reads it. What the format has no room for, such as a fraction of
    /// a second, is left out: that makes a moment earlier, never later.
    #[must_use]
    pub fn write(&self, value: &CursorValue) -> String {
        let instant = match (self, value) {
            (_, CursorValue::Instant(instant)) => *instant,
            (Self::Pattern(pattern), CursorValue::Civil(civil)) => {
                let written = BrokenDownTime::from(*civil).to_string(pattern);
                return written.unwrap_or_else(|_| value.to_string());
            }
            (Self::Epoch | Self::EpochMillis, CursorValue::Civil(civil)) => {
                match TimeZone::UTC.to_timestamp(*civil) {
                    Ok(instant) => instant,
                    Err(_) => return value.to_string(),
                }
            }
            (_, CursorValue::Integer(_) | CursorValue::Text(_)) => return value.to_string(),
        };
        match self {
            Self::Epoch => instant.as_nanosecond().div_euclid(SECOND).to_string(),
            Self::EpochMillis => instant.as_nanosecond().div_euclid(MILLISECOND).to_string(),
            Self::Pattern(pattern) => {
                let zoned = instant.to_zoned(TimeZone::UTC);
                let written = BrokenDownTime::from(&zoned).to_string(pattern);
                written.unwrap_or_else(|_| value.to_string())
            }
        }
    }

    /// Returns true if a value written so has no zone.
    #[must_use]
    pub fn is_wall_clock(&self) -> bool {
        let midnight = CursorValue::Instant(Timestamp::UNIX_EPOCH);
        matches!(
            self.read(&self.write(&midnight)),
            Some(CursorValue::Civil(_))
        )
    }
}

/// Reads a decimal number of units since 1970, each so many nanoseconds.
fn since_epoch(text: &str, unit: i128) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(fraction) {
        return None;
    }
    let is_negative = whole.starts_with('-');
    let mut nanoseconds = whole
        .parse::<i64>()
        .ok()
        .map(i128::from)?
        .checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes().map(|byte| i128::from(byte - b'0')) {
        place /= 10;
        nanoseconds += if is_negative {
            -digit * place
        } else {
            digit * place
        };
    }
    Timestamp::from_nanosecond(nanoseconds).ok()
}

/// The cursor values of some records, in the order they came.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CursorSpan {
    /// The value of the first record.
    pub first: Option<CursorValue>,
    /// The greatest value.
    pub greatest: Option<CursorValue>,
    /// The value of the last record.
    pub last: Option<CursorValue>,
    /// True if some value was less than one before it, or could not be compared with it.
    pub disordered: bool,
    /// True if some value was greater than the one right before it.
    pub rises: bool,
    /// How many records had no value, or null.
    pub missing: u64,
}

impl CursorSpan {
    /// Takes note of the next record's value.
    pub fn note(&mut self, value: Option<CursorValue>) {
        let Some(value) = value else {
            self.missing += 1;
            return;
        };
        self.rises |= self.last.as_ref().is_some_and(|last| value > *last);
        self.last = Some(value.clone());
        match &self.greatest {
            None => {
                self.first = Some(value.clone());
                self.greatest = Some(value);
            }
            Some(greatest) if in_order(greatest, &value) => self.greatest = Some(value),
            Some(_) => self.disordered = true,
        }
    }

    /// Takes note of the records that came after these.
    pub fn append(&mut self, later: Self) {
        self.disordered |= later.disordered
            || matches!((&self.greatest, &later.first), (Some(a), Some(b)) if !in_order(a, b));
        self.rises |=
            later.rises || matches!((&self.last, &later.first), (Some(a), Some(b)) if b > a);
        self.missing += later.missing;
        if self.first.is_none() {
            self.first = later.first;
        }
        if later.last.is_some() {
            self.last = later.last;
        }
        self.greatest = match (self.greatest.take(), later.greatest) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
}

/// True if `later` is comparable with `earlier` and not less.
fn in_order(earlier: &CursorValue, later: &CursorValue) -> bool {
    matches!(
        earlier.partial_cmp(later),
        Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_values_are_what_they_look_like() {
        assert_eq!(CursorValue::read("493115"), CursorValue::Integer(493_115));
        assert!(matches!(
            CursorValue::read("2026-03-29T02:30:00Z"),
            CursorValue::Instant(_)
        ));
        assert!(matches!(
            CursorValue::read("2026-03-29T02:30:00"),
            CursorValue::Civil(_)
        ));
        assert!(matches!(
            CursorValue::read("2026-03-29"),
            CursorValue::Civil(_)
        ));
        for text in ["0042", "+5", "-0", "00"] {
            assert_eq!(CursorValue::read(text), CursorValue::Text(text.to_owned()));
        }
        assert_eq!(CursorValue::read("0"), CursorValue::Integer(0));
        assert_eq!(CursorValue::read("-7"), CursorValue::Integer(-7));
        assert!(matches!(CursorValue::read("v2-beta"), CursorValue::Text(_)));
        let civil = CursorValue::read("2026-03-29T02:03:00");
        assert_eq!(
            civil.back(Duration::from_secs(300)).to_string(),
            "2026-03-29T01:58:00"
        );
    }

    #[test]
    fn a_span_notices_disorder_within_and_between() {
        let span = |values: &[i64]| {
            let mut span = CursorSpan::default();
            values
                .iter()
                .for_each(|value| span.note(Some(CursorValue::Integer(*value))));
            span
        };
        assert!(span(&[3, 2]).disordered && !span(&[2, 2, 3]).disordered);
        let mut first = span(&[1, 5]);
        first.append(span(&[5, 6]));
        assert!(!first.disordered && first.greatest == Some(CursorValue::Integer(6)));
        first.append(span(&[4]));
        assert!(first.disordered && first.greatest == Some(CursorValue::Integer(6)));
    }

    #[test]
    fn a_value_is_read_and_sent_as_the_source_writes_it() {
        let cases = [
            ("epoch", "1767225600", "2026-01-01T00:00:00Z", "1767225600"),
            (
                "epoch",
                "1767225600.000200",
                "2026-01-01T00:00:00.0002Z",
                "1767225600",
            ),
            ("epoch", "-1.5", "1969-12-31T23:59:58.5Z", "-2"),
            (
                "epoch_ms",
                "1767225600001",
                "2026-01-01T00:00:00.001Z",
                "1767225600001",
            ),
            (
                "%d-%m-%Y %H:%M",
                "24-12-2026 18:30",
                "2026-12-24T18:30:00",
                "24-12-2026 18:30",
            ),
            ("%Y%m%d", "20261224", "2026-12-24T00:00:00", "20261224"),
            (
                "%a %b %d %H:%M:%S %z %Y",
                "Wed Oct 10 20:19:24 +0200 2018",
                "2018-10-10T18:19:24Z",
                "Wed Oct 10 18:19:24 +0000 2018",
            ),
        ];
        for (format, text, value, sent) in cases {
            let format: CursorFormat = format.parse().unwrap();
            let read = format.read(text).unwrap();
            assert_eq!(read, CursorValue::read(value), "{text}");
            assert_eq!(format.write(&read), sent);
        }
        let pattern: CursorFormat = "%d-%m-%Y".parse().unwrap();
        assert_eq!(pattern.read("2026-12-24"), None);
        assert!(pattern.is_wall_clock());
        assert!(!CursorFormat::Epoch.is_wall_clock());
        assert_eq!(CursorFormat::Epoch.read("1.x"), None);
    }

    #[test]
    fn a_format_tells_the_day() {
        for wrong in ["%H:%M", "%d-%m", "%Q", "", "today"] {
            assert!(wrong.parse::<CursorFormat>().is_err(), "{wrong}");
        }
    }
}
