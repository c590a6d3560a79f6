//! Raw JSON values into SQLite values that mean the same; pure.
//!
//! There are two ways. A *learnt* column takes what fits its kind and asks for a wider kind when
//! something else comes. A *declared* column keeps its kind: it takes whatever can be read as that
//! kind without losing anything, and refuses the rest.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::number;
use super::text;
use crate::config::Kind;

/// A value ready to be bound; text is borrowed from the page or from a scratch buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(number),
            Self::Real(number) => ValueRef::Real(number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// Returns the value of a learnt column, or `None` if its kind is too narrow.
pub(super) fn learnt<'a>(
    kind: Option<Kind>,
    raw: &'a str,
    scratch: &'a mut String,
) -> Option<Value<'a>> {
    match raw.as_bytes().first() {
        None | Some(b'n') => return Some(Value::Null),
        Some(b'{') if text::is_deferred(raw) => return Some(Value::Null),
        _ => {}
    }
    let kind = kind?;
    match raw.as_bytes().first() {
        Some(b'"') => match kind {
            Kind::Text if !text::may_be_odata_date(raw) => {
                Some(Value::Text(text::unescape(raw, scratch)))
            }
            // Decoded here too, so that a column keeps its values when it is widened to text.
            Kind::Text if text::odata_date(raw, scratch).is_some() => Some(Value::Text(scratch)),
            Kind::Text => Some(Value::Text(text::unescape(raw, scratch))),
            Kind::Timestamp => text::odata_date(raw, scratch).map(Value::Text),
            Kind::Integer | Kind::Real | Kind::Decimal | Kind::Boolean => None,
            Kind::Json | Kind::Date | Kind::Guid => None,
        },
        Some(b't' | b'f') => match kind {
            Kind::Boolean => Some(Value::Integer(i64::from(raw == "true"))),
            Kind::Json | Kind::Text => Some(Value::Text(raw)),
            Kind::Integer | Kind::Real | Kind::Decimal => None,
            Kind::Timestamp | Kind::Date | Kind::Guid => None,
        },
        Some(b'{' | b'[') => {
            let fits = matches!(kind, Kind::Json | Kind::Text);
            fits.then(|| Value::Text(text::compact(raw, scratch)))
        }
        _ => match kind {
            Kind::Integer => number::integer(raw).map(Value::Integer),
            Kind::Real => number::real(raw).map(Value::Real),
            Kind::Decimal | Kind::Json | Kind::Text => Some(Value::Text(raw)),
            Kind::Boolean | Kind::Timestamp | Kind::Date | Kind::Guid => None,
        },
    }
}

/// Returns true if a learnt key column of this kind tells `raw` from every value that differs: a text
/// column would take a number or a date for the text it becomes.
pub(super) fn is_distinct_key(kind: Option<Kind>, raw: &str) -> bool {
    let is_text = raw.starts_with('"') && text::odata_date(raw, &mut String::new()).is_none();
    kind != Some(Kind::Text) || is_text
}

/// Returns the value of a declared column, or `None` if it cannot be read as its kind.
pub(super) fn declared<'a>(kind: Kind, raw: &'a str, scratch: &'a mut String) -> Option<Value<'a>> {
    match (raw.as_bytes().first(), kind) {
        (None | Some(b'n'), _) => Some(Value::Null),
        (Some(b'{'), _) if text::is_deferred(raw) => Some(Value::Null),
        (_, Kind::Json) | (Some(b'{' | b'['), Kind::Text) => {
            Some(Value::Text(text::compact(raw, scratch)))
        }
        (Some(b'{' | b'['), _) => None,
        (Some(b'"'), Kind::Guid) => {
            *scratch = guid(text::unescape(raw, scratch))?;
            Some(Value::Text(scratch))
        }
        (Some(b'"'), Kind::Date | Kind::Timestamp) if text::odata_date(raw, scratch).is_some() => {
            said(kind, scratch)
        }
        (Some(b'"'), _) => said(kind, text::unescape(raw, scratch)),
        (_, Kind::Date | Kind::Timestamp | Kind::Guid) => None,
        _ => said(kind, raw),
    }
}

/// Returns a scalar's text as a value of a declared kind.
fn said(kind: Kind, text: &str) -> Option<Value<'_>> {
    match kind {
        Kind::Integer => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            let is_whole = !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0');
            let number = number::is_number(whole)
                .then(|| whole.parse().ok())
                .flatten();
            number.filter(|_| is_whole).map(Value::Integer)
        }
        Kind::Real => {
            let number = number::is_number(text)
                .then(|| text.parse::<f64>().ok())
                .flatten();
            number.filter(|number| number.is_finite()).map(Value::Real)
        }
        Kind::Decimal => number::is_number(text).then_some(Value::Text(text)),
        Kind::Boolean => match text {
            "true" | "True" | "TRUE" | "1" => Some(Value::Integer(1)),
            "false" | "False" | "FALSE" | "0" => Some(Value::Integer(0)),
            _ => None,
        },
        Kind::Date => {
            let (date, rest) = text.split_at_checked("YYYY-MM-DD".len())?;
            let ends = rest.is_empty() || rest.starts_with(['T', 't', ' ']);
            (ends && date.parse::<Date>().is_ok()).then_some(Value::Text(date))
        }
        Kind::Timestamp => {
            let dated = text.as_bytes().get(4) == Some(&b'-');
            let is_time = text.parse::<DateTime>().is_ok() || text.parse::<Timestamp>().is_ok();
            (dated && is_time).then_some(Value::Text(text))
        }
        Kind::Guid | Kind::Json | Kind::Text => Some(Value::Text(text)),
    }
}

/// Returns a GUID in lower case with hyphens and without braces.
fn guid(text: &str) -> Option<String> {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    const HYPHENATED: usize = 36;
    let bare = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .unwrap_or(text);
    let mut rest = bare;
    let mut guid = String::with_capacity(HYPHENATED);
    for (index, length) in GROUPS.into_iter().enumerate() {
        if index > 0 {
            guid.push('-');
            if bare.len() == HYPHENATED {
                rest = rest.strip_prefix('-')?;
            }
        }
        let (group, after) = rest.split_at_checked(length)?;
        if !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        guid.extend(group.chars().map(|digit| digit.to_ascii_lowercase()));
        rest = after;
    }
    rest.is_empty().then_some(guid)
}
