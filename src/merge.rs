//! Merges records into their table by primary key.
//!
//! [`upsert`] walks every record once, binds its fields to one prepared statement, and lets SQLite
//! write a row only where it differs. The table itself follows the records: it is made from the first
//! ones and widened, inside the same transaction, when a later one does not fit.

mod error;
mod grow;
mod kind;
mod list;
mod number;
mod preview;
mod rebuild;
mod remove;
mod seen;
mod shape;
mod statement;
mod survey;
mod sweep;
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
pub use preview::{ColumnPreview, Preview, preview};
pub use seen::Seen;
pub use sweep::{Cover, Scope, Swept, TooMany, awaits_second_look, group, purge, sweep};
pub use tables::{ColumnInfo, TableInfo, exists, is_empty, tables};

use crate::config::{Table, Tombstones};
use crate::record::{CursorFormat, CursorSpan, FieldPath, Page, Tally};
use crate::store::Tx;
use remove::Whose;
use write::{Position, Progress, Target};

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
    /// How the source tells that a row is gone.
    pub tombstones: Option<&'a Tombstones>,
    /// What a row that changes has for `sync_at`.
    pub at: Timestamp,
}

impl<'a> Batch<'a> {
    fn whose(&self) -> Whose<'a> {
        Whose {
            account: self.account,
            at: self.at,
        }
    }
}

/// Merges the records of a batch, in their order, into `table`.
///
/// A row is written, and its `sync_at` set, only if a column differs. A field that a record
/// does not have is null. Records with the same key are merged one after the other: the last one
/// stays, and each is counted. What says that a row is gone is done in its turn, as the flow's
/// `deletes` wants it, so that a row may go and come back within a batch; a row that comes back loses
/// its mark. `seen` takes note of the rows the records became.
///
/// # Errors
/// If a record has no key or does not fit a declared column, or if the table is not ours or has
/// another primary key. The caller's transaction must then be rolled back.
pub fn upsert(
    tx: &Tx<'_>,
    table: &Table,
    batch: &Batch<'_>,
    seen: Option<&mut Seen>,
) -> Result<Merged, Error> {
    let mut progress = Progress {
        merged: Merged::default(),
        seen,
    };
    let mut shape = match shape::settled(tx, table)? {
        Some(shape) => shape,
        None => grow::grow(tx, table, batch, &mut progress.merged.widened)?,
    };
    let mut from = Position::default();
    for _ in 0..=MOST_CHANGES {
        let target = Target {
            table,
            shape: &shape,
        };
        let Some(stopped) = write::write(tx, target, batch, from, &mut progress)? else {
            let mut merged = progress.merged;
            merged.tally.pages = batch.pages.len() as u64;
            let bytes = batch.pages.iter().map(|page| page.body.len() as u64);
            merged.tally.bytes = bytes.sum();
            return Ok(merged);
        };
        shape = grow::grow(tx, table, batch, &mut progress.merged.widened)?;
        from = stopped;
    }
    Err(Error::Unsettled {
        table: table.name.clone(),
    })
}
