//! Records go in through [`upsert`] and a store on disk; SQL tells what came out.

mod accounts;
mod deletes;
mod history;
mod promises;
mod shapes;
mod values;

use rusqlite::types::ValueRef;
use serde_json::value::RawValue;
use tempfile::TempDir;

use super::{Batch, Error, Merged, upsert};
use crate::config::{Column, Columns, Deletes, Kind, Table};
use crate::record::{FieldPath, Gone, Page};
use crate::store::{self, Store};

const FIRST: &str = "2026-03-01T06:00:00Z";
const LATER: &str = "2026-03-01T06:15:00Z";

/// A data store of its own.
struct Room {
    _directory: TempDir,
    store: Store,
}

impl Room {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("tidegate.db"), &store::DATA).unwrap();
        Self {
            _directory: directory,
            store,
        }
    }

    /// Merges pages, each the text of a JSON array, at an instant.
    async fn merge_at(&self, table: &Table, at: &str, pages: &[&str]) -> Result<Merged, Error> {
        self.merge_all(table, None, None, at, pages).await
    }

    async fn merge(&self, table: &Table, pages: &[&str]) -> Result<Merged, Error> {
        self.merge_at(table, FIRST, pages).await
    }

    async fn merge_watching(
        &self,
        table: &Table,
        watch: Option<&str>,
        at: &str,
        pages: &[&str],
    ) -> Result<Merged, Error> {
        self.merge_all(table, None, watch, at, pages).await
    }

    /// Merges pages of one account.
    async fn merge_of(
        &self,
        table: &Table,
        account: &str,
        pages: &[&str],
    ) -> Result<Merged, Error> {
        self.merge_all(table, Some(account), None, FIRST, pages)
            .await
    }

    async fn merge_all(
        &self,
        table: &Table,
        account: Option<&str>,
        watch: Option<&str>,
        at: &str,
        pages: &[&str],
    ) -> Result<Merged, Error> {
        let account = account.map(str::to_owned);
        let table = table.clone();
        let watch: Option<FieldPath> = watch.map(|watch| watch.parse().unwrap());
        let at = at.parse().unwrap();
        let pages: Vec<Page> = pages
            .iter()
            .zip(1..)
            .map(|(text, number)| page(number, text))
            .collect();
        self.store
            .write(move |tx| {
                let batch = Batch {
                    pages: &pages,
                    account: account.as_deref(),
                    given: &[],
                    watch: watch.as_ref().map(|field| (field, None)),
                    tombstones: None,
                    at,
                };
                upsert(tx, &table, &batch, None)
            })
            .await
    }

    async fn execute(&self, sql: &str) {
        let sql = sql.to_owned();
        let done: Result<(), store::Error> = self
            .store
            .write(move |tx| Ok(tx.execute_batch(&sql)?))
            .await;
        done.unwrap();
    }

    /// Returns the rows of a query, each value as its SQLite type and its text.
    async fn typed(&self, sql: &str) -> Vec<Vec<String>> {
        let sql = sql.to_owned();
        let rows: Result<_, store::Error> = self
            .store
            .read(move |conn| {
                let mut statement = conn.prepare(&sql)?;
                let width = statement.column_count();
                let rows = statement.query_map([], |row| {
                    (0..width)
                        .map(|index| Ok(shown(row.get_ref(index)?)))
                        .collect()
                })?;
                Ok(rows.collect::<Result<Vec<Vec<String>>, _>>()?)
            })
            .await;
        rows.unwrap()
    }

    /// Returns the rows of a query, each as its values' texts with `|` between them.
    async fn rows(&self, sql: &str) -> Vec<String> {
        let plain = |value: String| {
            value
                .split_once(' ')
                .map(|(_, text)| text.to_owned())
                .unwrap_or(value)
        };
        let rows = self.typed(sql).await;
        rows.into_iter()
            .map(|row| row.into_iter().map(plain).collect::<Vec<_>>().join("|"))
            .collect()
    }

    /// Returns what every learnt or declared column of a table is remembered as.
    async fn kinds(&self, table: &str) -> Vec<String> {
        self.rows(&format!(
            "SELECT name, kind FROM _tidegate_columns WHERE \"table\" = '{table}' ORDER BY rowid"
        ))
        .await
    }
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(number) => format!("integer {number}"),
        ValueRef::Real(number) => format!("real {number:?}"),
        ValueRef::Text(text) => format!("text {}", String::from_utf8_lossy(text)),
        ValueRef::Blob(_) => "blob".to_owned(),
    }
}

fn page(number: u64, text: &str) -> Page {
    let start = text.as_ptr().addr();
    let records: Vec<&RawValue> = serde_json::from_str(text).unwrap();
    let records = records
        .into_iter()
        .map(|record| {
            let from = record.get().as_ptr().addr() - start;
            from..from + record.get().len()
        })
        .collect();
    Page {
        number,
        body: text.to_owned().into(),
        records,
        gone: Gone::default(),
        delta: None,
        is_last: true,
    }
}

/// A table with every field of the records.
fn table(name: &str, key: &[&str]) -> Table {
    let key = key.iter().map(|field| field.parse().unwrap()).collect();
    Table {
        name: name.to_owned(),
        key,
        columns: Columns::All,
        with: Vec::new(),
        by_account: false,
        deletes: Deletes::default(),
        may_lose_rows: false,
    }
}

/// A table with listed columns: name, field, and kind if it is declared.
fn listed(name: &str, key: &[&str], columns: &[(&str, &str, Option<Kind>)]) -> Table {
    let columns = columns
        .iter()
        .map(|(name, field, kind)| Column {
            name: (*name).to_owned(),
            field: field.parse().unwrap(),
            kind: *kind,
        })
        .collect();
    Table {
        columns: Columns::Listed(columns),
        ..table(name, key)
    }
}

/// Inserted, updated, unchanged.
fn counts(merged: &Merged) -> [u64; 3] {
    let tally = merged.tally;
    assert_eq!(
        tally.records,
        tally.inserted + tally.updated + tally.unchanged + tally.deleted + tally.restored
    );
    [tally.inserted, tally.updated, tally.unchanged]
}
