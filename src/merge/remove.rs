//! Rows that are gone at the source: marked, or removed, by key.

use jiff::Timestamp;
use rusqlite::CachedStatement;
use rusqlite::types::ValueRef;

use super::error::{Error, Place};
use super::shape::{
    Column, SYNC_ACCOUNT, SYNC_AT, SYNC_DELETED_AT, SYNC_DELETED_REASON, Shape, quoted,
};
use super::text;
use super::value;
use super::write::Target;
use crate::config::DeleteMode;
use crate::record::{CursorValue, FieldPath};
use crate::store::{self, Tx};

/// Why a row is marked deleted, as `sync_deleted_reason` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The source said so.
    Tombstone,
    /// Whole reads did not bring it any more.
    Absent,
}

impl Reason {
    fn word(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::Absent => "absent",
        }
    }
}

/// Returns the statement that removes the rows of a condition in the way `mode` says, or `None` if
/// none is removed. The parameter `at` is when; only a mark needs it.
pub(super) fn removing(
    mode: DeleteMode,
    table: &str,
    condition: &str,
    reason: Reason,
    at: usize,
) -> Option<String> {
    let (table, reason) = (quoted(table), reason.word());
    match mode {
        DeleteMode::Ignore => None,
        DeleteMode::Hard => Some(format!("DELETE FROM {table} WHERE {condition}")),
        DeleteMode::Soft => Some(format!(
            "UPDATE {table} SET {SYNC_DELETED_AT} = ?{at}, {SYNC_DELETED_REASON} = '{reason}', \
               {SYNC_AT} = ?{at} \
             WHERE {condition} AND {SYNC_DELETED_AT} IS NULL"
        )),
    }
}

/// What a source says of a row that is gone; raw JSON.
pub(super) struct Tombstone<'a> {
    /// The values of the key's columns, in the shape's order.
    pub(super) key: Vec<&'a str>,
    /// The value that must be greater than the row's own.
    pub(super) version: Option<&'a str>,
}

impl Tombstone<'_> {
    /// Returns the first field of the key that it has no value for.
    fn missing<'k>(&self, key: &'k [Column]) -> Option<&'k FieldPath> {
        let mut pairs = key.iter().zip(&self.key);
        let missing = pairs.find(|(_, raw)| matches!(**raw, "" | "null"));
        missing.map(|(column, _)| &column.field)
    }
}

/// Whose rows are removed, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'a> {
    /// The account, where the table tells whose rows are.
    pub(super) account: Option<&'a str>,
    /// The time.
    pub(super) at: Timestamp,
}

/// Removes rows of one table by what the source says.
pub(super) struct Remover<'t> {
    key: Vec<Column>,
    removing: Option<CachedStatement<'t>>,
    /// Asks for the row's own value of the field that must be greater in the tombstone.
    version: Option<CachedStatement<'t>>,
    scratch: String,
}

impl<'t> Remover<'t> {
    /// Prepares to remove rows, those of one account where the table tells whose they are.
    pub(super) fn new(
        tx: &'t Tx<'_>,
        target: Target<'_>,
        whose: Whose<'_>,
        newer_by: Option<&FieldPath>,
    ) -> Result<Self, Error> {
        let Target { table, shape } = target;
        let key: Vec<Column> = shape.key().cloned().collect();
        let mut names: Vec<String> = key.iter().map(|column| quoted(&column.name)).collect();
        names.extend(shape.by_account.then(|| SYNC_ACCOUNT.to_owned()));
        let equal = names.iter().zip(1..);
        let equal: Vec<String> = equal
            .map(|(name, place)| format!("{name} = ?{place}"))
            .collect();
        let (is_row, last) = (equal.join(" AND "), names.len() + 1);

        let sql = removing(
            table.deletes.mode,
            &shape.table,
            &is_row,
            Reason::Tombstone,
            last,
        );
        let mut removing = sql.map(|sql| tx.prepare_cached(&sql)).transpose()?;
        let mut version = newer_by
            .map(|field| version_of(tx, shape, field, &is_row))
            .transpose()?;
        if let (Some(removing), DeleteMode::Soft) = (&mut removing, table.deletes.mode) {
            removing.raw_bind_parameter(last, store::instant(whose.at))?;
        }
        if shape.by_account {
            for statement in [&mut removing, &mut version].into_iter().flatten() {
                statement.raw_bind_parameter(names.len(), whose.account.unwrap_or_default())?;
            }
        }
        Ok(Self {
            key,
            removing,
            version,
            scratch: String::new(),
        })
    }

    /// Returns the fields of the table's key, in the order in which a tombstone gives their values.
    pub(super) fn key(&self) -> impl Iterator<Item = &FieldPath> {
        self.key.iter().map(|column| &column.field)
    }

    /// Removes the row that a tombstone names, unless the row is newer; returns whether one was
    /// removed. One that is not there, or is marked already, is left alone.
    ///
    /// `text` is where the source says so, for the error of one that names no row.
    pub(super) fn remove(
        &mut self,
        tombstone: &Tombstone<'_>,
        text: &str,
        place: &Place<'_>,
    ) -> Result<bool, Error> {
        let Some(removing) = &mut self.removing else {
            return Ok(false);
        };
        if let Some(missing) = tombstone.missing(&self.key) {
            return Err(place.grave_without_key(missing, text));
        }
        if !bind(removing, &self.key, tombstone, &mut self.scratch)? {
            return Ok(false);
        }
        if let Some(version) = &mut self.version {
            bind(version, &self.key, tombstone, &mut self.scratch)?;
            if !is_newer(tombstone.version, version, &mut self.scratch)? {
                return Ok(false);
            }
        }
        Ok(removing.raw_execute()? > 0)
    }
}

/// Prepares to ask for a row's value of `field`.
fn version_of<'t>(
    tx: &'t Tx<'_>,
    shape: &Shape,
    field: &FieldPath,
    is_row: &str,
) -> Result<CachedStatement<'t>, Error> {
    let column = shape.columns.iter().find(|column| column.field == *field);
    let column = column.ok_or_else(|| Error::NoVersion {
        table: shape.table.clone(),
        field: field.to_string(),
    })?;
    let sql = format!(
        "SELECT {} FROM {} WHERE {is_row}",
        quoted(&column.name),
        quoted(&shape.table)
    );
    Ok(tx.prepare_cached(&sql)?)
}

/// Binds the key of a tombstone; returns false if no row of the table can have it.
fn bind(
    statement: &mut CachedStatement<'_>,
    key: &[Column],
    tombstone: &Tombstone<'_>,
    scratch: &mut String,
) -> Result<bool, Error> {
    for (index, (column, raw)) in key.iter().zip(&tombstone.key).enumerate() {
        // As a declared column would take it: some sources write a key as text here, elsewhere as a
        // number.
        let value = match column.kind {
            Some(kind) => value::declared(kind, raw, scratch),
            None => None,
        };
        let Some(value) = value else {
            return Ok(false);
        };
        statement.raw_bind_parameter(index + 1, value)?;
    }
    Ok(true)
}

/// Returns true unless the row that is asked for has a version that is later than the tombstone's.
/// Where the tombstone has none, nothing says that it is newer; where the row has none, nothing says
/// that it is not.
fn is_newer(
    tombstone: Option<&str>,
    row: &mut CachedStatement<'_>,
    scratch: &mut String,
) -> Result<bool, Error> {
    let Some(said) = tombstone.and_then(|raw| text::cursor_value(raw, None, scratch)) else {
        return Ok(false);
    };
    let mut rows = row.raw_query();
    let Some(found) = rows.next()? else {
        return Ok(false);
    };
    let own = match found.get_ref(0)? {
        ValueRef::Null | ValueRef::Blob(_) => return Ok(true),
        ValueRef::Integer(number) => CursorValue::Integer(number),
        ValueRef::Real(number) => CursorValue::read(&number.to_string()),
        ValueRef::Text(text) => CursorValue::read(&String::from_utf8_lossy(text)),
    };
    Ok(said >= own)
}

/// How the records of a flow say that a row is gone.
pub(super) struct Mark<'l> {
    /// The slot of the field that says so.
    pub(super) slot: usize,
    /// What it says then.
    pub(super) equals: Option<&'l serde_json::Value>,
}

impl Mark<'_> {
    /// Returns true if what the field says means that the row is gone.
    pub(super) fn is_set(&self, raw: &str) -> bool {
        match self.equals {
            None => !matches!(raw, "" | "null" | "false"),
            Some(_) if raw.is_empty() => false,
            Some(wanted) => {
                serde_json::from_str(raw).is_ok_and(|found: serde_json::Value| found == *wanted)
            }
        }
    }
}
