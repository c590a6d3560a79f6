//! Rebuilds a table whose columns must hold more than their type allows.
//!
//! A stored value becomes what it would be had the source sent it today: it is turned back into
//! JSON and read as the new kind. What a person made on the table comes back: columns, indexes and
//! triggers; views that read it never notice.

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::error::{self, Error};
use super::grow::{create_statement, definition, primary_key};
use super::kind;
use super::number;
use super::shape::{Column, quoted};
use super::value::{self, Value};
use crate::config::{Kind, Table};
use crate::store::Tx;

/// The name the new table has until the old one is gone.
const WORKPLACE: &str = "_tidegate_rebuild";

/// A column that stands in the table now, ours or a person's.
pub(super) struct Present {
    pub(super) name: String,
    definition: String,
    is_generated: bool,
}

/// Returns the columns that stand in the table now; none if there is no table.
pub(super) fn present(tx: &Tx<'_>, table: &str) -> Result<Vec<Present>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT name, type, \"notnull\", dflt_value, hidden FROM pragma_table_xinfo(?1) ORDER BY cid",
    )?;
    let columns = statement.query_map([table], |row| {
        let name: String = row.get(0)?;
        let (kind, default): (String, Option<String>) = (row.get(1)?, row.get(3)?);
        let not_null = if row.get(2)? { " NOT NULL" } else { "" };
        let default = default
            .map(|default| format!(" DEFAULT ({default})"))
            .unwrap_or_default();
        let definition = format!("{} {kind}{not_null}{default}", quoted(&name));
        Ok(Present {
            name,
            definition,
            is_generated: row.get::<_, i64>(4)? != 0,
        })
    })?;
    Ok(columns.collect::<Result<_, _>>()?)
}

/// Returns true if stored values must change, or be looked at, for `after` to hold them.
pub(super) fn is_needed(before: &Column, after: &Column) -> bool {
    let newly_declared = after.is_declared && before.kind.is_some() && before.kind != after.kind;
    newly_declared || kind::storage(before.kind) != kind::storage(after.kind)
}

/// Makes the table anew with `columns`, and brings every row over.
pub(super) fn rebuild(
    tx: &Tx<'_>,
    table: &Table,
    stored: &[Column],
    columns: &[Column],
) -> Result<(), Error> {
    let (by_account, table) = (table.by_account, table.name.as_str());
    let present = present(tx, table)?;
    if let Some(generated) = present.iter().find(|column| column.is_generated) {
        let what = format!("the generated column `{}`", generated.name);
        return Err(Error::InTheWay {
            table: table.to_owned(),
            what,
        });
    }
    let after = |name: &str| columns.iter().find(|column| column.is_called(name));
    let before = |name: &str| stored.iter().find(|column| column.is_called(name));
    let mut lines: Vec<String> = present
        .iter()
        .map(|column| match after(&column.name) {
            Some(ours) => definition(ours),
            None => column.definition.clone(),
        })
        .collect();
    let fresh = columns
        .iter()
        .filter(|column| before(&column.name).is_none());
    lines.extend(fresh.map(definition));
    lines.push(primary_key(columns, by_account));
    tx.execute_batch(&create_statement(WORKPLACE, &lines))?;

    let changes: Vec<Option<Change<'_>>> = present
        .iter()
        .map(|column| Change::between(before(&column.name)?, after(&column.name)?))
        .collect();
    copy(tx, table, &present, &changes)?;
    swap(tx, table)
}

/// How the values of one column change.
struct Change<'a> {
    before: Option<Kind>,
    after: &'a Column,
}

impl<'a> Change<'a> {
    fn between(before: &Column, after: &'a Column) -> Option<Self> {
        is_needed(before, after).then_some(Self {
            before: before.kind,
            after,
        })
    }

    /// Returns a stored value as the new kind has it, or `None` if that kind cannot hold it.
    fn apply<'s>(&self, raw: &'s str, scratch: &'s mut String) -> Option<Value<'s>> {
        match self.after.kind {
            Some(kind) if self.after.is_declared => value::declared(kind, raw, scratch),
            kind => value::learnt(kind, raw, scratch),
        }
    }
}

fn copy(
    tx: &Tx<'_>,
    table: &str,
    present: &[Present],
    changes: &[Option<Change<'_>>],
) -> Result<(), Error> {
    let names: Vec<String> = present.iter().map(|column| quoted(&column.name)).collect();
    let names = names.join(", ");
    let places = vec!["?"; present.len() + 1].join(", ");
    // A row keeps its number: a run that is under way may have taken note of it.
    let mut read = tx.prepare(&format!(
        "SELECT {names}, _rowid_ FROM {} ORDER BY _rowid_",
        quoted(table)
    ))?;
    let mut write = tx.prepare(&format!(
        "INSERT INTO {WORKPLACE} ({names}, _rowid_) VALUES ({places})"
    ))?;
    let mut rows = read.query([])?;
    let mut scratch = String::new();
    while let Some(row) = rows.next()? {
        for (index, change) in changes.iter().enumerate() {
            let value = row.get_ref(index)?;
            let Some(change) = change else {
                write.raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(value))?;
                continue;
            };
            let raw = raw(change.before, value);
            let Some(value) = change.apply(&raw, &mut scratch) else {
                return Err(Error::Misfit {
                    table: table.to_owned(),
                    column: change.after.name.clone(),
                    kind: kind::word(change.after.kind),
                    row: "a stored row".to_owned(),
                    sample: format!("`{}`", error::sample(&raw)),
                });
            };
            write.raw_bind_parameter(index + 1, value)?;
        }
        let number: i64 = row.get(present.len())?;
        write.raw_bind_parameter(present.len() + 1, number)?;
        write.raw_execute()?;
    }
    Ok(())
}

/// Returns the JSON that a stored value of this kind came from, or might have.
fn raw(kind: Option<Kind>, value: ValueRef<'_>) -> String {
    match (kind, value) {
        (_, ValueRef::Null | ValueRef::Blob(_)) => "null".to_owned(),
        (Some(Kind::Boolean), ValueRef::Integer(number)) => (number != 0).to_string(),
        (_, ValueRef::Integer(number)) => number.to_string(),
        (_, ValueRef::Real(number)) => number::text_of_real(number),
        (kind, ValueRef::Text(text)) => {
            let text = String::from_utf8_lossy(text);
            match kind {
                Some(Kind::Decimal | Kind::Json) => text.into_owned(),
                _ => serde_json::Value::from(text).to_string(),
            }
        }
    }
}

/// Puts the new table in the old one's place, with the old one's indexes and triggers.
fn swap(tx: &Tx<'_>, table: &str) -> Result<(), Error> {
    let mut statement = tx.prepare(
        "SELECT type, name, sql FROM sqlite_schema \
         WHERE tbl_name = ?1 COLLATE NOCASE AND type IN ('index', 'trigger') AND sql IS NOT NULL",
    )?;
    let made: Vec<(String, String, String)> = statement
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    // Views that read the table would stop the renaming: for a moment there is no such table.
    let legacy = DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE;
    tx.set_db_config(legacy, true)?;
    let renamed = tx.execute_batch(&format!(
        "DROP TABLE {0}; ALTER TABLE {WORKPLACE} RENAME TO {0}",
        quoted(table)
    ));
    tx.set_db_config(legacy, false)?;
    renamed?;
    for (what, name, sql) in made {
        tx.execute_batch(&sql).map_err(|_| Error::InTheWay {
            table: table.to_owned(),
            what: format!("the {what} `{name}`"),
        })?;
    }
    Ok(())
}
