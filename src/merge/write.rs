//! The hot path: records into rows by one prepared statement.

use rusqlite::{CachedStatement, ErrorCode};

use super::error::{self, Error, Place};
use super::shape::{Column, Shape};
use super::statement::{Inserts, upsert};
use super::value::{self, Value};
use super::walk::{Unknown, Walk};
use super::{Batch, Merged, kind, text};
use crate::config::{Columns, Table};
use crate::record::{CursorFormat, CursorValue};
use crate::store::{self, Tx};

/// A record among pages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Position {
    page: usize,
    record: usize,
}

/// Writes the records of a batch from a position on, and adds what became of them to `merged`.
///
/// Returns the position of the first record that the table cannot hold as it is, if there is one.
pub(super) fn write(
    tx: &Tx<'_>,
    table: &Table,
    batch: &Batch<'_>,
    shape: &Shape,
    from: Position,
    merged: &mut Merged,
) -> Result<Option<Position>, Error> {
    let mut writer = Writer::new(tx, table, batch, shape)?;
    for (page_index, page) in batch.pages.iter().enumerate().skip(from.page) {
        let done = if page_index == from.page {
            from.record
        } else {
            0
        };
        for (index, record) in page.texts().enumerate().skip(done) {
            let place = Place {
                table,
                page: page.number,
                index,
            };
            let tally = &mut merged.tally;
            match writer.row(record, &place)? {
                Row::Inserted => tally.inserted += 1,
                Row::Updated => tally.updated += 1,
                Row::Unchanged => tally.unchanged += 1,
                Row::DoesNotFit => {
                    return Ok(Some(Position {
                        page: page_index,
                        record: index,
                    }));
                }
            }
            tally.records += 1;
            if let Some(slot) = writer.watched {
                let format = batch.watch.and_then(|(_, format)| format);
                let value = cursor_value(writer.slots[slot], format, &mut writer.scratch);
                merged.span.note(value);
            }
        }
    }
    Ok(None)
}

/// Returns what the watched field of a record says, read the way a column would have it.
fn cursor_value(
    raw: &str,
    format: Option<&CursorFormat>,
    scratch: &mut String,
) -> Option<CursorValue> {
    let text = match raw.as_bytes().first() {
        None | Some(b'n') => return None,
        Some(b'"') => match text::odata_date(raw, scratch).is_some() {
            true => scratch,
            false => text::unescape(raw, scratch),
        },
        Some(_) => raw,
    };
    match format {
        Some(format) => format.read(text),
        None => Some(CursorValue::read(text)),
    }
}

/// What became of one record.
enum Row {
    Inserted,
    Updated,
    Unchanged,
    /// Nothing: the table must be changed first.
    DoesNotFit,
}

struct Writer<'t, 'l> {
    shape: &'l Shape,
    walk: Walk<'l>,
    /// The slot of each column.
    targets: Vec<usize>,
    /// The slot of the watched field.
    watched: Option<usize>,
    slots: Vec<&'l str>,
    scratch: String,
    statement: CachedStatement<'t>,
    inserts: Inserts<'t>,
}

impl<'t, 'l> Writer<'t, 'l> {
    fn new(
        tx: &'t Tx<'_>,
        table: &Table,
        batch: &Batch<'l>,
        shape: &'l Shape,
    ) -> Result<Self, Error> {
        let mut walk = Walk::new(match table.columns {
            Columns::All => Unknown::Reported,
            Columns::Listed(_) => Unknown::Ignored,
        });
        let targets = shape
            .columns
            .iter()
            .map(|column| walk.want(&column.field))
            .collect();
        for (field, raw) in batch.given {
            walk.give(field, raw);
        }
        let watched = batch.watch.map(|(field, _)| walk.watch(field));
        let mut statement = tx.prepare_cached(&upsert(shape))?;
        // The last parameters are our own columns. They stay bound from row to row.
        let ours = shape.columns.len() + 1;
        statement.raw_bind_parameter(ours, store::instant(batch.at))?;
        if shape.by_account {
            statement.raw_bind_parameter(ours + 1, batch.account.unwrap_or_default())?;
        }
        let inserts = Inserts::watch(tx, &shape.table)?;
        let (slots, scratch) = (Vec::new(), String::new());
        Ok(Self {
            shape,
            walk,
            targets,
            watched,
            slots,
            scratch,
            statement,
            inserts,
        })
    }

    fn row(&mut self, record: &'l str, place: &Place<'_>) -> Result<Row, Error> {
        let met_unknown = self
            .walk
            .record(record, &mut self.slots)
            .map_err(|error| place.not_a_record(&error))?;
        if met_unknown {
            return Ok(Row::DoesNotFit);
        }
        for (index, column) in self.shape.columns.iter().enumerate() {
            let raw = self.slots[self.targets[index]];
            let value = match column.kind {
                Some(kind) if column.is_declared => value::declared(kind, raw, &mut self.scratch),
                kind => value::learnt(kind, raw, &mut self.scratch),
            };
            let Some(value) = value else {
                if column.is_declared {
                    return Err(self.misfit(column, raw));
                }
                return Ok(Row::DoesNotFit);
            };
            if column.is_key {
                if value == Value::Null {
                    return Err(place.key_missing(&column.field, record));
                }
                if text::has_lone_surrogate(raw) {
                    return Err(place.key_broken(&column.field));
                }
                if !column.is_declared && !value::is_distinct_key(column.kind, raw) {
                    return Ok(Row::DoesNotFit);
                }
            }
            self.statement.raw_bind_parameter(index + 1, value)?;
        }
        let written = self
            .statement
            .raw_execute()
            .map_err(|error| self.refused(error))?;
        Ok(if written == 0 {
            Row::Unchanged
        } else if self.inserts.was_insert()? {
            Row::Inserted
        } else {
            Row::Updated
        })
    }

    #[cold]
    fn misfit(&self, column: &Column, raw: &str) -> Error {
        Error::Misfit {
            table: self.shape.table.clone(),
            column: column.name.clone(),
            kind: kind::word(column.kind),
            row: self.row_name(),
            sample: format!("`{}`", error::sample(raw)),
        }
    }

    #[cold]
    fn refused(&self, error: rusqlite::Error) -> Error {
        if error.sqlite_error_code() != Some(ErrorCode::ConstraintViolation) {
            return error.into();
        }
        let (table, row) = (self.shape.table.clone(), self.row_name());
        Error::Refused {
            table,
            row,
            reason: store::plain_words(&error),
        }
    }

    /// Names the row that is being written by its key.
    fn row_name(&self) -> String {
        let columns = self.shape.columns.iter().zip(&self.targets);
        let key = columns.filter(|(column, _)| column.is_key);
        error::row_name(key.map(|(column, slot)| (column.name.as_str(), self.slots[*slot])))
    }
}
