//! What a flow's table looks like, and whether it still is what the configuration wants.
//!
//! A table is an ordinary `STRICT` table: the source's fields as columns, the primary key the
//! configuration names, and `sync_at`. `_tidegate_columns` remembers which field each column holds
//! and of what kind; columns a person adds are not in it, and are left alone.

use rusqlite::{Connection, OptionalExtension};

use super::error::Error;
use super::kind::{self, Seen};
use crate::config::{Columns, Kind, Table};
use crate::record::FieldPath;
use crate::store::Tx;

/// When a row was last written.
pub(super) const SYNC_AT: &str = "sync_at";

/// Since when a row is known to be gone at the source; null for one that is there.
pub(super) const SYNC_DELETED_AT: &str = "sync_deleted_at";

/// How that is known.
pub(super) const SYNC_DELETED_REASON: &str = "sync_deleted_reason";

/// Whose a row is, in tables that several accounts share.
pub(super) const SYNC_ACCOUNT: &str = "sync_account";

/// A table as a flow writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) table: String,
    pub(super) columns: Vec<Column>,
    /// True if `sync_account` is part of the key.
    pub(super) by_account: bool,
    /// True if the table has the columns that mark a row as gone.
    pub(super) has_marks: bool,
}

impl Shape {
    /// Returns the columns of the key but `sync_account`, in the table's order.
    pub(super) fn key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.is_key)
    }
}

/// One column that a flow writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) field: FieldPath,
    /// `None` as long as only nulls were seen.
    pub(super) kind: Option<Kind>,
    pub(super) is_declared: bool,
    pub(super) is_key: bool,
}

impl Column {
    /// Returns true if SQLite takes `name` for this column.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// Returns the table as it must be written, or `None` if it must be made or changed first.
pub(super) fn settled(tx: &Tx<'_>, table: &Table) -> Result<Option<Shape>, Error> {
    let Some(stored) = stored(tx, &table.name)? else {
        return Ok(None);
    };
    let columns = wanted(table, &stored);
    let system = system(tx, &table.name)?;
    check_key(table, &system, &stored, &columns)?;
    let has_marks = system.has_marks || !table.marks_deleted();
    let stands = has_marks && columns.iter().all(|column| stored.contains(column));
    Ok(stands.then(|| Shape {
        table: table.name.clone(),
        columns,
        by_account: table.by_account,
        has_marks: system.has_marks,
    }))
}

/// Returns our columns of a table in their order, or `None` if there is no such table.
pub(super) fn stored(conn: &Connection, table: &str) -> Result<Option<Vec<Column>>, Error> {
    let what: Option<String> = conn
        .prepare_cached(
            "SELECT type FROM sqlite_schema \
             WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')",
        )?
        .query_one([table], |row| row.get(0))
        .optional()?;
    let Some(what) = what else {
        return Ok(None);
    };
    // CROSS tells SQLite to ask the pragma once, not once for every remembered column.
    let mut statement = conn.prepare_cached(
        "SELECT info.name, ours.field, ours.kind, ours.declared, info.pk > 0 \
         FROM pragma_table_info(?1) AS info \
         CROSS JOIN _tidegate_columns AS ours \
           ON ours.\"table\" = ?1 AND ours.name = info.name \
         ORDER BY info.cid",
    )?;
    let mut rows = statement.query([table])?;
    let mut columns = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let (field, word): (String, String) = (row.get(1)?, row.get(2)?);
        let field = field.parse().unwrap_or_else(|_| FieldPath::of([&field]));
        let Some(kind) = kind::of_word(&word) else {
            return Err(Error::UnknownKind {
                table: table.to_owned(),
                column: name,
                kind: word,
            });
        };
        let (is_declared, is_key) = (row.get(3)?, row.get(4)?);
        columns.push(Column {
            name,
            field,
            kind,
            is_declared,
            is_key,
        });
    }
    if columns.is_empty() {
        return Err(Error::NotOurs {
            table: table.to_owned(),
            what,
        });
    }
    Ok(Some(columns))
}

/// Returns the columns the configuration asks for, with the kinds already known.
///
/// A key field that is no listed column becomes one, before the others; so does a column of the
/// item, behind them.
pub(super) fn wanted(table: &Table, stored: &[Column]) -> Vec<Column> {
    let is_key = |field: &FieldPath| table.key.contains(field);
    let known = |column: &Column| {
        // What is no longer declared goes on from the kind its values have.
        let free = || Seen::of_column(column.kind).kind();
        if column.is_declared {
            free()
        } else {
            column.kind
        }
    };
    let mut columns: Vec<Column> = match &table.columns {
        Columns::All => stored
            .iter()
            .map(|column| Column {
                kind: known(column),
                is_declared: false,
                is_key: is_key(&column.field),
                ..column.clone()
            })
            .collect(),
        Columns::Listed(listed) => listed
            .iter()
            .map(|column| {
                let before = stored.iter().find(|before| before.is_called(&column.name));
                Column {
                    name: before.map_or(&column.name, |before| &before.name).clone(),
                    field: column.field.clone(),
                    kind: column.kind.or_else(|| before.and_then(known)),
                    is_declared: column.kind.is_some(),
                    is_key: is_key(&column.field),
                }
            })
            .collect(),
    };
    for field in table.key.iter().rev() {
        if columns.iter().any(|column| column.field == *field) {
            continue;
        }
        let before = stored
            .iter()
            .find(|before| before.field == *field && before.is_key);
        let column = Column {
            name: before.map_or_else(|| field.segments().join("_"), |before| before.name.clone()),
            field: field.clone(),
            kind: before.and_then(known),
            is_declared: false,
            is_key: true,
        };
        columns.insert(0, column);
    }
    for with in &table.with {
        let field = FieldPath::of([&with.column]);
        if columns.iter().any(|column| column.field == field) {
            continue;
        }
        let before = stored.iter().find(|before| before.field == field);
        columns.push(Column {
            name: before.map_or(&with.column, |before| &before.name).clone(),
            field,
            kind: before.and_then(known),
            is_declared: false,
            is_key: false,
        });
    }
    columns
}

/// Refuses a configuration whose primary key is not the one the table was made with.
pub(super) fn check_key(
    table: &Table,
    system: &System,
    stored: &[Column],
    wanted: &[Column],
) -> Result<(), Error> {
    let key = |columns: &[Column], by_account: bool| {
        let names = columns.iter().filter(|column| column.is_key);
        let mut names: Vec<_> = names.map(|column| format!("`{}`", column.name)).collect();
        names.sort_unstable();
        names.extend(by_account.then(|| format!("`{SYNC_ACCOUNT}`")));
        names.join(", ")
    };
    let found = key(stored, system.by_account);
    let wanted = key(wanted, table.by_account);
    if found == wanted {
        return Ok(());
    }
    Err(Error::KeyChanged {
        table: table.name.clone(),
        found,
        wanted,
    })
}

/// Which columns of our own a table has, beside `sync_at`.
pub(super) struct System {
    /// `sync_account`, in the key.
    by_account: bool,
    /// Those that mark a row as gone.
    pub(super) has_marks: bool,
}

/// Looks which columns of our own a table has; none if there is no table.
pub(super) fn system(tx: &Connection, table: &str) -> Result<System, Error> {
    Ok(tx
        .prepare_cached(
            "SELECT coalesce(max(name = ?2 AND pk > 0), 0), coalesce(max(name = ?3), 0) \
             FROM pragma_table_info(?1)",
        )?
        .query_one([table, SYNC_ACCOUNT, SYNC_DELETED_AT], |row| {
            Ok(System {
                by_account: row.get(0)?,
                has_marks: row.get(1)?,
            })
        })?)
}

/// Gives a table the columns that mark a row as gone.
pub(super) fn add_marks(tx: &Tx<'_>, table: &str) -> Result<(), Error> {
    for column in [SYNC_DELETED_AT, SYNC_DELETED_REASON] {
        tx.execute_batch(&format!(
            "ALTER TABLE {} ADD COLUMN {column} TEXT",
            quoted(table)
        ))?;
    }
    Ok(())
}

/// Writes a name so that SQL takes it for a name, whatever it is.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
