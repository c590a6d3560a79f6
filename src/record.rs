//! What travels from a source to a table: pages of records, and what became of them.
//!
//! A record stays the bytes the source sent until its values are bound to a statement; no tree of
//! values is built on the way.

use std::fmt;
use std::ops::{AddAssign, Range};
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use jiff::civil;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// One answer of a resource.
#[derive(Debug, Clone)]
pub struct Page {
    /// Which page of the run this is, from 1.
    pub number: u64,
    /// The body as it came, decompressed, in UTF-8.
    pub body: Bytes,
    /// Where each record, a JSON object, stands in the body.
    pub records: Vec<Range<usize>>,
}

impl Page {
    /// Returns how many bytes of memory the page takes up.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body.len() + size_of_val(self.records.as_slice())
    }

    /// Returns the records as JSON text, in the order of the page.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.records.iter().map(|range| {
            // Whoever made the page found the records as JSON text, which is UTF-8.
            std::str::from_utf8(&self.body[range.clone()]).unwrap_or_default()
        })
    }
}

/// The name of a field inside a record or a body, one segment per level.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// Returns the names from the outside in; empty for the value itself.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// Makes a path of ready segments.
    #[must_use]
    pub fn of(segments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(segments.into_iter().map(Into::into).collect())
    }
}

/// Reads `a.b`, `$.a.b`, `$.a.b[*]` and `$['@odata.nextLink']`: the part of RFC 9535 that can be
/// followed while a body streams by.
impl FromStr for FieldPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text.strip_suffix("[*]").unwrap_or(text);
        rest = match rest.strip_prefix('$') {
            Some(after) => after.strip_prefix('.').unwrap_or(after),
            None => rest,
        };
        let mut segments = Vec::new();
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix("['") {
                let (name, after) = quoted_name(quoted).ok_or("a `['` has no `']`")?;
                segments.push(name);
                rest = after.strip_prefix('.').unwrap_or(after);
                continue;
            }
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let name = &rest[..end];
            if name.is_empty() {
                return Err("a name between two dots is empty".to_owned());
            }
            if name.contains(['*', '?', ']', '"']) {
                return Err(format!("`{name}` is not a plain field name"));
            }
            segments.push(name.to_owned());
            rest = &rest[end..];
            if let Some(after) = rest.strip_prefix('.') {
                if after.is_empty() {
                    return Err("the path ends with a dot".to_owned());
                }
                rest = after;
            } else if !rest.is_empty() && !rest.starts_with("['") {
                return Err(format!(
                    "`{rest}` is not supported here; use names, dots and ['…']"
                ));
            }
        }
        Ok(Self(segments))
    }
}

/// Splits the text after `['` into the name that ends at `']`, and the rest. `\'` and `\\` stand for
/// themselves.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut letters = text.chars();
    loop {
        match letters.next()? {
            '\\' => name.push(letters.next()?),
            '\'' => return Some((name, letters.as_str().strip_prefix(']')?)),
            letter => name.push(letter),
        }
    }
}

/// Prints what reading gives back, also for names that no one should choose.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SPECIAL: [char; 9] = ['.', '[', ']', '\'', '"', '*', '?', '$', '\\'];
        for (index, segment) in self.0.iter().enumerate() {
            if segment.is_empty() || segment.contains(SPECIAL) {
                let quoted = segment.replace('\\', r"\\").replace('\'', r"\'");
                write!(f, "['{quoted}']")?;
            } else {
                let dot = if index > 0 { "." } else { "" };
                write!(f, "{dot}{segment}")?;
            }
        }
        Ok(())
    }
}

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

/// The cursor values of some records, in the order they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CursorSpan {
    /// The value of the first record.
    pub first: Option<CursorValue>,
    /// The greatest value.
    pub greatest: Option<CursorValue>,
    /// True if some value was less than one before it, or could not be compared with it.
    pub disordered: bool,
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
        self.missing += later.missing;
        if self.first.is_none() {
            self.first = later.first;
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

/// What became of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Pages merged.
    pub pages: u64,
    /// Records read.
    pub records: u64,
    /// Rows that were not there before.
    pub inserted: u64,
    /// Rows that differed and were written.
    pub updated: u64,
    /// Rows that were equal, and were not written.
    pub unchanged: u64,
    /// Rows removed or marked removed.
    pub deleted: u64,
    /// Bytes of bodies, decompressed.
    pub bytes: u64,
    /// Requests sent, repeats included.
    pub requests: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.pages += more.pages;
        self.records += more.records;
        self.inserted += more.inserted;
        self.updated += more.updated;
        self.unchanged += more.unchanged;
        self.deleted += more.deleted;
        self.bytes += more.bytes;
        self.requests += more.requests;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_and_print() {
        let cases: [(&str, &[&str]); 8] = [
            ("$", &[]),
            ("$[*]", &[]),
            ("d.results", &["d", "results"]),
            ("$.data.items[*]", &["data", "items"]),
            ("$['@odata.nextLink']", &["@odata.nextLink"]),
            ("a['b.c'].d", &["a", "b.c", "d"]),
            (r"['it\'s'].a", &["it's", "a"]),
            (r"['\\']['']", &["\\", ""]),
        ];
        for (text, segments) in cases {
            let path: FieldPath = text.parse().unwrap();
            assert_eq!(path, FieldPath::of(segments.iter().copied()), "{text}");
            assert_eq!(path.to_string().parse::<FieldPath>().unwrap(), path);
        }
        for wrong in ["a..b", "a.", "$.a[?(@.b)]", "a[0]", "$..a", "['a"] {
            assert!(wrong.parse::<FieldPath>().is_err(), "{wrong}");
        }
    }

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
}
