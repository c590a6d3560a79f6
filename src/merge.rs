//! Merges records into their table by primary key.
//!
//! [`upsert`] walks every record once, binds its fields to one prepared statement, and lets SQLite
//! write a row only where it differs. The table itself follows the records: it is made from the first
//! ones and widened, inside the same transaction, when a later one does not fit.

mod error;
mod grow;
mod kind;
mod number;
mod rebuild;
mod shape;
mod statement;
mod survey;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod walk;
mod write;

use std::fmt;

use jiff::Timestamp;

pub use error::Error;
pub use tables::{ColumnInfo, TableInfo, exists, tables};

use crate::config::Table;
use crate::record::{CursorFormat, CursorSpan, FieldPath, Page, Tally};
use crate::store::Tx;
use write::Position;

/// How often a table may be changed for the pages of one call. The first change looks at all of
/// them, so a second one means that we contradict ourselves.
const MOST_CHANGES: usize = 2;

/// What became of some pages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// Pages, records and bytes read; rows inserted, updated and left alone. Requests are not ours
    /// to count.
    pub tally: Tally,
    /// The values of the watched field, in the order of the records.
    pub span: CursorSpan,
    /// The columns that were changed to hold what came.
    pub widened: Vec<Widened>,
}

/// A column that holds more than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widened {
    /// Its name.
    pub column: String,
    /// What it held.
    pub from: &'static str,
    /// What it holds now.
    pub to: &'static str,
}

impl fmt::Display for Widened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, from, to } = self;
        write!(f, "column `{column}` was widened from {from} to {to}")
    }
}

/// What is merged by one call.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The pages, in their order.
    pub pages: &'a [Page],
    /// Whose records they are, where the table tells.
    pub account: Option<&'a str>,
    /// The columns of the table's `with`, each with its value as JSON.
    pub given: &'a [(FieldPath, String)],
    /// The field whose values are wanted, and how they are written if not as usual.
    pub watch: Option<(&'a FieldPath, Option<&'a CursorFormat>)>,
    /// What a row that changes has for `sync_at`.
    pub at: Timestamp,
}

/// Merges the records of a batch, in their order, into `table`.
///
/// A row is written, and its `sync_at` set, only if a column differs. A field that a record
/// does not have is null. Records with the same key are merged one after the other: the last one
/// stays, and each is counted.
///
/// # Errors
/// If a record has no key or does not fit a declared column, or if the table is not ours or has
/// another primary key. The caller's transaction must then be rolled back.
pub fn upsert(tx: &Tx<'_>, table: &Table, batch: &Batch<'_>) -> Result<Merged, Error> {
    let mut merged = Merged::default();
    let mut shape = match shape::settled(tx, table)? {
        Some(shape) => shape,
        None => grow::grow(tx, table, batch, &mut merged.widened)?,
    };
    let mut from = Position::default();
    for _ in 0..=MOST_CHANGES {
        let Some(stopped) = write::write(tx, table, batch, &shape, from, &mut merged)? else {
            merged.tally.pages = batch.pages.len() as u64;
            let bytes = batch.pages.iter().map(|page| page.body.len() as u64);
            merged.tally.bytes = bytes.sum();
            return Ok(merged);
        };
        shape = grow::grow(tx, table, batch, &mut merged.widened)?;
        from = stopped;
    }
    Err(Error::Unsettled {
        table: table.name.clone(),
    })
}
