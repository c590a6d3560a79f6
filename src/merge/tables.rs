//! What tables there are, for people who ask.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::shape::{SYNC_AT, quoted};
use crate::store;

/// One table of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
    /// When a row was last written, in UTC; `None` as long as there are none.
    pub last_sync_at: Option<String>,
    /// Its columns in their order, those included that a person added.
    pub columns: Vec<ColumnInfo>,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// Its SQLite type.
    #[serde(rename = "type")]
    pub storage: String,
    /// What it holds; `None` for `sync_at` and for columns that are not ours.
    pub kind: Option<String>,
    /// The source field it holds.
    pub field: Option<String>,
    /// True if it is part of the primary key.
    pub is_key: bool,
}

/// Returns the tables of all flows by name.
///
/// # Errors
/// If the database cannot be read.
pub fn tables(conn: &Connection) -> Result<Vec<TableInfo>, store::Error> {
    let mut statement = conn.prepare_cached(
        "SELECT name FROM sqlite_schema \
         WHERE type = 'table' AND name COLLATE NOCASE IN (SELECT \"table\" FROM _tidegate_columns) \
         ORDER BY name",
    )?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.map(|name| table(conn, name?)).collect()
}

fn table(conn: &Connection, name: String) -> Result<TableInfo, store::Error> {
    let counts = format!("SELECT count(*), max({SYNC_AT}) FROM {}", quoted(&name));
    let (rows, last_sync_at) = conn.query_one(&counts, [], |row| {
        Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))
    })?;
    let columns = columns(conn, &name)?;
    Ok(TableInfo {
        name,
        rows,
        last_sync_at,
        columns,
    })
}

/// Returns the columns of a table in their order; none if there is no such table.
pub(super) fn columns(conn: &Connection, table: &str) -> Result<Vec<ColumnInfo>, store::Error> {
    let mut statement = conn.prepare_cached(
        "SELECT info.name, info.type, ours.kind, ours.field, info.pk > 0 \
         FROM pragma_table_info(?1) AS info \
         LEFT JOIN _tidegate_columns AS ours \
           ON ours.\"table\" = ?1 AND ours.name = info.name \
         ORDER BY info.cid",
    )?;
    let columns = statement.query_map([table], |row| {
        Ok(ColumnInfo {
            name: row.get(0)?,
            storage: row.get(1)?,
            kind: row.get(2)?,
            field: row.get(3)?,
            is_key: row.get(4)?,
        })
    })?;
    Ok(columns.collect::<Result<_, _>>()?)
}

/// Returns true if a table has no rows, or there is no such table.
///
/// # Errors
/// If the database cannot be read.
pub fn is_empty(conn: &Connection, table: &str) -> Result<bool, store::Error> {
    if !exists(conn, table)? {
        return Ok(true);
    }
    let sql = format!("SELECT NOT EXISTS (SELECT 1 FROM {})", quoted(table));
    Ok(conn.query_one(&sql, [], |row| row.get(0))?)
}

/// Returns true if a table of this name exists.
///
/// A bookmark whose table was dropped covers nothing: the flow must start at the beginning.
///
/// # Errors
/// If the database cannot be read.
pub fn exists(conn: &Connection, table: &str) -> Result<bool, store::Error> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' \
               AND name = ?1 COLLATE NOCASE)",
        )?
        .query_one([table], |row| row.get(0))?)
}
