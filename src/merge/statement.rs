//! The upsert, and how its inserts are told from its updates.

use rusqlite::CachedStatement;

use super::shape::{SYNC_ACCOUNT, SYNC_AT, Shape, quoted};
use crate::store::{self, Tx};

/// How many comparisons stand beside each other before parentheses close around them: SQLite limits
/// how deep an expression is (1,000), and a row of `OR` is as deep as it is long.
const ABREAST: usize = 64;

/// Returns the statement that writes one row where it differs.
///
/// Its parameters are the columns in the shape's order, then `sync_at` and, where rows belong to
/// accounts, `sync_account`.
pub(super) fn upsert(shape: &Shape) -> String {
    let names: Vec<String> = shape
        .columns
        .iter()
        .map(|column| quoted(&column.name))
        .collect();
    let mut ours = vec![SYNC_AT];
    ours.extend(shape.by_account.then_some(SYNC_ACCOUNT));
    let all = names.iter().map(String::as_str).chain(ours.iter().copied());
    let all = all.collect::<Vec<_>>().join(", ");
    let places = vec!["?"; names.len() + ours.len()].join(", ");
    let named = || shape.columns.iter().zip(&names);
    let mut key: Vec<&str> = named()
        .filter(|(column, _)| column.is_key)
        .map(|(_, name)| name.as_str())
        .collect();
    key.extend(shape.by_account.then_some(SYNC_ACCOUNT));
    let others: Vec<&String> = named()
        .filter(|(column, _)| !column.is_key)
        .map(|(_, name)| name)
        .collect();
    let mut sql = format!(
        "INSERT INTO {} AS present ({all}) VALUES ({places}) ON CONFLICT ({}) DO ",
        quoted(&shape.table),
        key.join(", "),
    );
    if others.is_empty() {
        sql.push_str("NOTHING");
        return sql;
    }
    sql.push_str("UPDATE SET ");
    for name in &others {
        sql.push_str(&format!("{name} = excluded.{name}, "));
    }
    sql.push_str(&format!("{SYNC_AT} = excluded.{SYNC_AT} WHERE "));
    let differs: Vec<String> = others
        .iter()
        .map(|name| format!("present.{name} IS NOT excluded.{name}"))
        .collect();
    let groups: Vec<String> = differs
        .chunks(ABREAST)
        .map(|group| format!("({})", group.join(" OR ")))
        .collect();
    sql.push_str(&groups.join(" OR "));
    sql
}

/// Tells whether a row that was written is new.
///
/// Only an insert sets SQLite's last insert rowid. One that leaves it as it was is an insert only if
/// it made the very row of that number, which an earlier insert elsewhere had left behind.
pub(super) struct Inserts<'t> {
    tx: &'t Tx<'t>,
    exists: CachedStatement<'t>,
    last: i64,
    is_there: bool,
}

impl<'t> Inserts<'t> {
    /// Begins to watch the writes of a transaction to `table`.
    pub(super) fn watch(tx: &'t Tx<'_>, table: &str) -> Result<Self, store::Error> {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM {} WHERE _rowid_ = ?1)",
            quoted(table)
        );
        let mut exists = tx.prepare_cached(&sql)?;
        let last = tx.last_insert_rowid();
        let is_there = exists.query_one([last], |row| row.get(0))?;
        Ok(Self {
            tx,
            exists,
            last,
            is_there,
        })
    }

    /// Returns true if the latest write to the table was an insert.
    pub(super) fn was_insert(&mut self) -> Result<bool, store::Error> {
        let now = self.tx.last_insert_rowid();
        if now == self.last && self.is_there {
            return Ok(false);
        }
        if now == self.last {
            self.is_there = self.exists.query_one([now], |row| row.get(0))?;
            return Ok(self.is_there);
        }
        self.last = now;
        self.is_there = true;
        Ok(true)
    }
}
