//! Comma-separated values (RFC 4180), rebuilt as JSON objects whose values are text or null.
//!
//! Read by hand, because what a quote says must not be lost: `a,,b` has nothing in the middle, and
//! `a,"",b` has empty text there.

use std::borrow::Cow;

use super::{Making, Problem, ShapeProblem, given, names};
use crate::config::Csv;
use crate::jq::Outputs;

/// One field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field<'t> {
    text: Cow<'t, str>,
    is_quoted: bool,
}

/// What is left of the text to read.
struct Reader<'t> {
    rest: &'t str,
    delimiter: char,
    quote: char,
    /// The number of the row that was read last, from 1.
    row: usize,
}

/// Makes a JSON object of each row.
pub(super) fn rebuild(text: &str, csv: &Csv, most_bytes: usize) -> Result<Outputs, Problem> {
    let mut reader = Reader {
        rest: text,
        delimiter: char::from(csv.delimiter),
        quote: char::from(csv.quote),
        row: 0,
    };
    let names = match given(&csv.header)? {
        Some(names) => names,
        None => match reader.row()? {
            Some(first) => names(first.iter().map(|field| field.text.as_ref()))?,
            None => return Err(Problem::Empty),
        },
    };
    let mut making = Making::new(most_bytes);
    while let Some(fields) = reader.row()? {
        let (number, values, names_count) = (reader.row, fields.len(), names.len());
        if values != names_count {
            return Err(reader.uneven(number, values, names_count));
        }
        making.record(|out| {
            for (index, (name, field)) in names.iter().zip(&fields).enumerate() {
                out.push(if index == 0 { b'{' } else { b',' });
                out.extend(name.as_bytes());
                if csv.empty_is_null && field.text.is_empty() && !field.is_quoted {
                    out.extend(b"null");
                } else {
                    // Writing text to memory cannot fail.
                    drop(serde_json::to_writer(&mut *out, &field.text));
                }
            }
            out.push(b'}');
        })?;
    }
    Ok(making.made)
}

impl<'t> Reader<'t> {
    /// Reads the next row that has anything in it; `None` after the last.
    fn row(&mut self) -> Result<Option<Vec<Field<'t>>>, Problem> {
        loop {
            self.row += 1;
            match self.rest {
                "" => return Ok(None),
                rest if rest.starts_with('\n') => self.rest = &rest[1..],
                rest if rest.starts_with("\r\n") => self.rest = &rest[2..],
                _ => break,
            }
        }
        let mut fields = Vec::new();
        loop {
            fields.push(match self.rest.strip_prefix(self.quote) {
                Some(inside) => self.quoted(inside)?,
                None => self.bare(),
            });
            if let Some(rest) = self.rest.strip_prefix(self.delimiter) {
                self.rest = rest;
                continue;
            }
            let end = ["\r\n", "\n"]
                .iter()
                .find_map(|end| self.rest.strip_prefix(end));
            match end {
                Some(rest) => self.rest = rest,
                None if self.rest.is_empty() => {}
                None => return Err(ShapeProblem::Quote(self.row).into()),
            }
            return Ok(Some(fields));
        }
    }

    /// Reads a field without quotes; a quote further in is a letter like any other.
    fn bare(&mut self) -> Field<'t> {
        let end = self
            .rest
            .find([self.delimiter, '\n'])
            .unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let is_last = !rest.starts_with(self.delimiter);
        let kept = match text.strip_suffix('\r') {
            Some(kept) if is_last => kept,
            _ => text,
        };
        self.rest = &self.rest[kept.len()..];
        if rest.is_empty() {
            self.rest = rest;
        }
        Field {
            text: Cow::Borrowed(kept),
            is_quoted: false,
        }
    }

    /// Reads a field whose opening quote has been read; a quote in it is written twice.
    fn quoted(&mut self, inside: &'t str) -> Result<Field<'t>, Problem> {
        let mut text = Cow::Borrowed("");
        let mut rest = inside;
        loop {
            // A quote that is never closed: the rest of the file is missing.
            let end = rest.find(self.quote).ok_or(Problem::Cut)?;
            let after = &rest[end + self.quote.len_utf8()..];
            text += &rest[..end];
            match after.strip_prefix(self.quote) {
                Some(more) => {
                    text += &rest[end..end + self.quote.len_utf8()];
                    rest = more;
                }
                None => {
                    self.rest = after;
                    return Ok(Field {
                        text,
                        is_quoted: true,
                    });
                }
            }
        }
    }

    /// The problem of a row with too many or too few fields. The last one may have been cut.
    fn uneven(&self, number: usize, values: usize, names: usize) -> Problem {
        let is_last = self.rest.is_empty();
        match values > names {
            true => ShapeProblem::Long {
                number,
                values,
                names,
            }
            .into(),
            false if is_last => Problem::Cut,
            false => ShapeProblem::Short {
                number,
                values,
                names,
            }
            .into(),
        }
    }
}
