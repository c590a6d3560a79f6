//! What the records of a page would make of their table, tried out on a copy in memory.
//!
//! The copy has the table's definition and what we know of its columns, and none of its rows: the
//! data is only read, and the same code decides here as in a run.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shape::quoted;
use super::{Batch, ColumnInfo, Error, tables, upsert};
use crate::config::Table;
use crate::store;

/// How many rows are shown: enough to see what they are like.
const MOST_ROWS: usize = 20;
/// How many letters of a text are shown.
const LONGEST_TEXT: usize = 1_000;

/// How the names of our own columns begin.
const OWN: &str = "sync_";

/// A table as it would be after a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// Its name.
    pub table: String,
    /// True if there is no such table so far.
    pub is_new: bool,
    /// Its columns as they would be.
    pub columns: Vec<ColumnPreview>,
    /// The columns that would be changed to hold what came, each in words.
    pub widened: Vec<String>,
    /// How many rows the records of the page make.
    pub rows: u64,
    /// How many records have the same key as one before them, which they would replace.
    pub repeated: u64,
    /// The first rows: a value for each column.
    pub first_rows: Vec<Vec<Value>>,
}

/// A column as it would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnPreview {
    /// What it is.
    #[serde(flatten)]
    pub column: ColumnInfo,
    /// True if the table does not have it so far.
    pub is_new: bool,
}

/// Returns what `table` would be once `batch` were merged into it. Nothing is written.
///
/// # Errors
/// Why the batch could not be merged, or the database not be read.
pub fn preview(data: &Connection, table: &Table, batch: &Batch<'_>) -> Result<Preview, Error> {
    let before = tables::columns(data, &table.name)?;
    let scratch = scratch(data, &table.name).map_err(store::Error::from)?;
    let tx = scratch
        .unchecked_transaction()
        .map_err(store::Error::from)?;
    let merged = upsert(&tx, table, batch, None)?;
    let columns: Vec<ColumnInfo> = tables::columns(&tx, &table.name)?
        .into_iter()
        .filter(|column| column.is_key || !is_own(column))
        .collect();
    let widened = merged.widened.iter().map(|widened| {
        let super::Widened { column, from, to } = widened;
        format!("column `{column}` would be widened from {from} to {to}")
    });
    Ok(Preview {
        table: table.name.clone(),
        is_new: before.is_empty(),
        widened: widened.collect(),
        rows: merged.tally.inserted,
        repeated: merged.tally.updated + merged.tally.unchanged,
        first_rows: first_rows(&tx, &table.name, &columns).map_err(store::Error::from)?,
        columns: columns
            .into_iter()
            .map(|column| ColumnPreview {
                is_new: !before.iter().any(|before| before.name == column.name),
                column,
            })
            .collect(),
    })
}

/// Returns true if a column says when and why a row was written, whatever the source sends.
fn is_own(column: &ColumnInfo) -> bool {
    column.field.is_none() && column.name.starts_with(OWN)
}

/// Returns a database in memory that has the table and ours, empty but for what we know of its columns.
fn scratch(data: &Connection, table: &str) -> rusqlite::Result<Connection> {
    let scratch = Connection::open_in_memory()?;
    // What a person's columns refer to is not here.
    scratch.pragma_update(None, "foreign_keys", false)?;
    let mut definitions = data.prepare_cached(
        "SELECT sql FROM sqlite_schema WHERE type IN ('table', 'view') \
         AND (name = ?1 COLLATE NOCASE OR name GLOB '_tidegate_*')",
    )?;
    let mut rows = definitions.query([table])?;
    while let Some(row) = rows.next()? {
        scratch.execute_batch(&row.get::<_, String>(0)?)?;
    }
    let mut known = data.prepare_cached(
        "SELECT \"table\", name, field, kind, declared FROM _tidegate_columns WHERE \"table\" = ?1",
    )?;
    let mut rows = known.query([table])?;
    while let Some(row) = rows.next()? {
        scratch.execute(
            "INSERT INTO _tidegate_columns (\"table\", name, field, kind, declared) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, bool>(4)?,
            ),
        )?;
    }
    Ok(scratch)
}

fn first_rows(
    scratch: &Connection,
    table: &str,
    columns: &[ColumnInfo],
) -> rusqlite::Result<Vec<Vec<Value>>> {
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let mut statement = scratch.prepare(&format!(
        "SELECT {} FROM {} ORDER BY rowid LIMIT {MOST_ROWS}",
        names.join(", "),
        quoted(table)
    ))?;
    let rows = statement.query_map([], |row| {
        (0..columns.len())
            .map(|index| row.get_ref(index).map(shown))
            .collect()
    })?;
    rows.collect()
}

fn shown(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            match text.char_indices().nth(LONGEST_TEXT) {
                Some((cut, _)) => format!("{}…", &text[..cut]).into(),
                None => text.into(),
            }
        }
    }
}
