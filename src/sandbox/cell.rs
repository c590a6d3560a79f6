//! Values as the source keeps them, and the three ways they are written: in an answer's JSON, in
//! a filter's literals, and plainly, for whoever compares a table with its source.

use std::cmp::Ordering;
use std::fmt::Write as _;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Guid(String),
    /// A Byte, Int16 or Int32: a number in JSON.
    Int(i64),
    /// An Int64: digits in quotes in JSON.
    Long(i64),
    Double(f64),
    Bool(bool),
    /// Wall-clock time in Amsterdam, which JSON carries as though it were UTC.
    Moment(DateTime),
    /// A collection that is not sent along, only named.
    Deferred,
}

impl Cell {
    /// Makes a text cell.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Orders two values of a column: nothing first, then by size.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Less,
            (_, Self::Null) => Ordering::Greater,
            _ => self.compare(other).unwrap_or(Ordering::Equal),
        }
    }

    /// Compares two values; `None` if they have nothing in common, or one is nothing.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Guid(a), Self::Guid(b)) => Some(a.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Moment(a), Self::Moment(b)) => Some(a.cmp(b)),
            (Self::Int(a) | Self::Long(a), Self::Int(b) | Self::Long(b)) => Some(a.cmp(b)),
            _ => self.float()?.partial_cmp(&other.float()?),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a filter compares a double with a short number"
    )]
    fn float(&self) -> Option<f64> {
        match self {
            Self::Double(number) => Some(*number),
            Self::Int(number) | Self::Long(number) => Some(*number as f64),
            _ => None,
        }
    }

    /// Writes the value as the service's JSON has it. `uri` is the record's own address.
    pub(super) fn write_json(&self, out: &mut String, name: &str, uri: &str) {
        let written = match self {
            Self::Null => {
                out.push_str("null");
                Ok(())
            }
            Self::Text(text) | Self::Guid(text) => {
                write_quoted(out, text);
                Ok(())
            }
            Self::Int(number) => write!(out, "{number}"),
            Self::Long(number) => write!(out, "\"{number}\""),
            // Whole doubles come without a fraction, so that nobody may guess a column's type
            // from its first value.
            Self::Double(number) => write!(out, "{number}"),
            Self::Bool(truth) => write!(out, "{truth}"),
            Self::Moment(moment) => write!(out, "\"/Date({})/\"", wall_clock_ms(*moment)),
            Self::Deferred => write!(out, "{{\"__deferred\":{{\"uri\":\"{uri}/{name}\"}}}}"),
        };
        // Writing into a string cannot fail.
        debug_assert!(written.is_ok());
    }

    /// Returns the value as a filter or a `$skiptoken` spells it.
    pub(super) fn literal(&self) -> String {
        match self {
            Self::Null | Self::Deferred => "null".to_owned(),
            Self::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Self::Guid(guid) => format!("guid'{guid}'"),
            Self::Int(number) => number.to_string(),
            Self::Long(number) => format!("{number}L"),
            Self::Double(number) => number.to_string(),
            Self::Bool(truth) => truth.to_string(),
            Self::Moment(moment) => format!("datetime'{moment}'"),
        }
    }

    /// Returns the value without the protocol's dress; `None` for what is not a value.
    pub(super) fn plain(&self) -> Option<Value> {
        Some(match self {
            Self::Null => Value::Null,
            Self::Text(text) | Self::Guid(text) => Value::from(text.as_str()),
            Self::Int(number) | Self::Long(number) => Value::from(*number),
            Self::Double(number) => Value::from(*number),
            Self::Bool(truth) => Value::from(*truth),
            Self::Moment(moment) => Value::from(moment.to_string()),
            Self::Deferred => return None,
        })
    }
}

fn wall_clock_ms(moment: DateTime) -> i64 {
    // No zone is involved: any civil time is an instant of UTC, save at the ends of time.
    TimeZone::UTC
        .to_timestamp(moment)
        .map_or(0, |instant| instant.as_millisecond())
}

/// Writes JSON text. What lies beyond the basic plane is escaped in pairs, as older writers do.
pub(super) fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if !(' '..='\u{ffff}').contains(&letter) => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let written = write!(out, "\\u{unit:04x}");
                    debug_assert!(written.is_ok());
                }
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// A record: its fields in the order of the service's own documentation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row(Vec<(&'static str, Cell)>);

impl Row {
    /// Makes a row of its fields.
    pub(super) fn new(fields: Vec<(&'static str, Cell)>) -> Self {
        Self(fields)
    }

    /// Returns the fields in order.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'static str, &Cell)> {
        self.0.iter().map(|(name, cell)| (*name, cell))
    }

    /// Returns a field, if the row has it.
    pub(super) fn get(&self, name: &str) -> Option<&Cell> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, cell)| cell)
    }

    /// Replaces a field's value, or adds the field at the end.
    pub(super) fn set(&mut self, name: &'static str, cell: Cell) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = cell,
            None => self.0.push((name, cell)),
        }
    }

    /// Returns the record as one plain JSON object.
    pub(super) fn plain(&self) -> Value {
        self.fields()
            .filter_map(|(name, cell)| Some((name.to_owned(), cell.plain()?)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_service_writes_them() {
        let moment = Cell::Moment("2022-01-01T00:00:00.25".parse().unwrap());
        let cases = [
            (Cell::Null, "null", "null"),
            (
                Cell::text("O'Brien \"x\"\n😀"),
                r#""O'Brien \"x\"\n\ud83d\ude00""#,
                "",
            ),
            (Cell::Guid("0a".into()), "\"0a\"", "guid'0a'"),
            (Cell::Int(10), "10", "10"),
            (Cell::Long(493_115), "\"493115\"", "493115L"),
            (Cell::Double(100.0), "100", "100"),
            (Cell::Double(0.1), "0.1", "0.1"),
            (Cell::Bool(true), "true", "true"),
            (
                moment,
                "\"/Date(1640995200250)/\"",
                "datetime'2022-01-01T00:00:00.25'",
            ),
            (Cell::Deferred, r#"{"__deferred":{"uri":"u/X"}}"#, "null"),
        ];
        for (cell, json, literal) in cases {
            let mut out = String::new();
            cell.write_json(&mut out, "X", "u");
            assert_eq!(out, json);
            assert!(serde_json::from_str::<Value>(&out).is_ok());
            assert!(literal.is_empty() || cell.literal() == literal);
        }
    }
}
