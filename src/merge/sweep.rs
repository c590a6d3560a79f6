//! Rows that a whole read did not bring.
//!
//! A page-by-page read misses rows that never went away when others are written meanwhile, so one
//! absence is not proof: unless the flow says otherwise, a row is gone once two whole reads in a row
//! did not bring it. In between `_tidegate_absences` remembers it by its key.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde_json::Value;

use super::error::{self, Error};
use super::remove::{Reason, removing};
use super::seen::Seen;
use super::shape::{self, Column, SYNC_ACCOUNT, SYNC_DELETED_AT, quoted};
use crate::config::{DeleteMode, MostSwept, Sweep, Table};
use crate::record::FieldPath;
use crate::store::{self, Tx};

/// However small a table is, this many rows may go at once: a tenth of a dozen rows is one, and lists
/// of a few entries change like that.
const ALWAYS: u64 = 10;
/// How many of the rows that would go are named.
const NAMED: usize = 5;

/// What whole reads were about.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The account whose rows were read, where the table tells.
    pub account: Option<&'a str>,
    /// Which of its rows.
    pub cover: Cover<'a>,
    /// Whether one absence is enough.
    pub sweep: Sweep,
    /// The run that read.
    pub run: i64,
    /// When rows are marked.
    pub at: Timestamp,
}

impl<'a> Scope<'a> {
    /// Returns what the rows are kept under while they wait: the account.
    fn part(&self) -> &'a str {
        self.account.unwrap_or_default()
    }
}

/// Which rows of an account whole reads were about.
#[derive(Debug, Clone, Copy)]
pub enum Cover<'a> {
    /// All.
    All,
    /// Those of some items of a flow that is repeated for each, as [`group`] calls them.
    Groups(&'a BTreeSet<String>),
}

impl Cover<'_> {
    fn has(self, group: &str) -> bool {
        match self {
            Self::All => true,
            Self::Groups(groups) => groups.contains(group),
        }
    }
}

/// Returns what the rows of an item are told by: the values of the columns of the table's `with`,
/// given as JSON.
#[must_use]
pub fn group(given: &[(FieldPath, String)]) -> String {
    let texts = given
        .iter()
        .map(|(_, raw)| match serde_json::from_str(raw) {
            Ok(Value::Null) | Err(_) => Value::Null,
            Ok(Value::Bool(flag)) => Value::from(i32::from(flag).to_string()),
            Ok(Value::String(text)) => Value::String(text),
            Ok(other) => Value::String(other.to_string()),
        });
    Value::Array(texts.collect()).to_string()
}

/// What a sweep came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swept {
    /// It took what it had to.
    Done {
        /// How many rows are gone.
        deleted: u64,
        /// How many are gone if the next whole read does not bring them either.
        waiting: u64,
    },
    /// It took nothing, because it would have taken too much.
    Stopped(TooMany),
}

/// More rows than a sweep may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooMany {
    /// The table.
    pub table: String,
    /// Whose rows of it, where they are told apart.
    pub whose: Option<String>,
    /// How many would have gone.
    pub rows: u64,
    /// How many there are.
    pub of: u64,
    /// How many may go.
    pub most: u64,
    /// The first of them, by their keys.
    pub named: Vec<String>,
    /// True if the read brought nothing at all.
    pub is_empty: bool,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            rows,
            of,
            most,
            ..
        } = self;
        let whose = self.whose.as_ref();
        let whose = whose.map(|whose| format!(" ({whose})")).unwrap_or_default();
        if self.is_empty {
            return write!(
                f,
                "the source sent no records at all, and `{table}`{whose} has {of} rows: none was \
                 deleted"
            );
        }
        let more = match self.named.len() as u64 == *rows {
            true => "",
            false => ", …",
        };
        write!(
            f,
            "the source no longer has {rows} of the {of} rows of `{table}`{whose} ({}{more}), and a \
             run may delete {most}: none was deleted",
            self.named.join(", "),
        )
    }
}

impl TooMany {
    /// Says what to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let allowed = match (self.is_empty, self.rows * 100 / self.of.max(1)) {
            (true, _) | (false, 100..) => "100%".to_owned(),
            (false, percent) => format!("{}%", percent + 1),
        };
        format!(
            "look whether the account may still read them; if they are gone, allow it for as long as \
             that takes: deletes = {{ max = \"{allowed}\" }}"
        )
    }
}

/// Removes the rows that whole reads did not bring, in the way the table's flow wants it.
///
/// # Errors
/// If the database cannot be written, or the table is not ours.
pub fn sweep(tx: &Tx<'_>, table: &Table, scope: &Scope<'_>, seen: &Seen) -> Result<Swept, Error> {
    let Some(columns) = shape::stored(tx, &table.name)? else {
        return Ok(Swept::Done {
            deleted: 0,
            waiting: 0,
        });
    };
    let rows = Rows::new(tx, table, &columns, scope)?;
    let absent = rows.absent(seen)?;
    let before = absences(tx, table, scope)?;
    let (doomed, waiting): (Vec<Absent>, Vec<Absent>) = absent
        .into_iter()
        .partition(|row| scope.sweep == Sweep::Once || before.contains(&row.key));
    if let Some(too_many) = rows.too_many(&doomed, &waiting, seen)? {
        if !too_many.is_empty {
            // They were not brought this time either: whoever allows more finds them waiting.
            remember(tx, table, scope, doomed.iter().chain(&waiting))?;
        }
        return Ok(Swept::Stopped(too_many));
    }
    rows.remove(&doomed)?;
    if !(before.is_empty() && waiting.is_empty()) {
        remember(tx, table, scope, waiting.iter())?;
    }
    Ok(Swept::Done {
        deleted: doomed.len() as u64,
        waiting: waiting.len() as u64,
    })
}

/// Returns true if rows of an account wait for a second whole read that does not bring them.
///
/// # Errors
/// If the database cannot be read.
pub fn awaits_second_look(
    conn: &Connection,
    table: &str,
    account: Option<&str>,
) -> Result<bool, store::Error> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM _tidegate_absences WHERE \"table\" = ?1 AND account = ?2)",
        )?
        .query_one([table, account.unwrap_or_default()], |row| row.get(0))?)
}

/// A row that was not brought.
struct Absent {
    row: i64,
    /// Its key, as a JSON array.
    key: String,
    /// The item it belongs to, as [`group`] calls it.
    group: String,
}

/// The rows of a table that belong to an account and are not marked.
struct Rows<'t, 'l> {
    tx: &'t Tx<'t>,
    table: &'l Table,
    scope: &'l Scope<'l>,
    /// The key of a row, as a JSON array.
    key: String,
    /// What tells the item of a row, as [`group`] does.
    group: String,
    /// The condition that a row is one of them. Its parameter is the account.
    live: String,
}

impl<'t, 'l> Rows<'t, 'l> {
    fn new(
        tx: &'t Tx<'_>,
        table: &'l Table,
        columns: &[Column],
        scope: &'l Scope<'l>,
    ) -> Result<Self, Error> {
        if table.deletes.mode == DeleteMode::Soft && !shape::system(tx, &table.name)?.has_marks {
            shape::add_marks(tx, &table.name)?;
        }
        let mut live = match shape::system(tx, &table.name)?.has_marks {
            true => format!("{SYNC_DELETED_AT} IS NULL"),
            false => "1".to_owned(),
        };
        live.push_str(&match table.by_account {
            true => format!(" AND {SYNC_ACCOUNT} = ?1"),
            false => " AND ?1 IS NOT NULL".to_owned(),
        });
        let key = columns.iter().filter(|column| column.is_key);
        let key: Vec<String> = key.map(|column| quoted(&column.name)).collect();
        let with = table.with.iter().map(|with| {
            let field = FieldPath::of([&with.column]);
            let column = columns.iter().find(|column| column.field == field);
            column.map_or("NULL".to_owned(), |column| {
                format!("CAST({} AS TEXT)", quoted(&column.name))
            })
        });
        Ok(Self {
            tx,
            table,
            scope,
            key: format!("json_array({})", key.join(", ")),
            group: format!("json_array({})", with.collect::<Vec<_>>().join(", ")),
            live,
        })
    }

    /// Returns those that were not brought and should have been.
    ///
    /// All numbers are gone through first, which takes no more than an index, and only a row that was
    /// not seen is looked at.
    fn absent(&self, seen: &Seen) -> Result<Vec<Absent>, Error> {
        let Self {
            key, group, live, ..
        } = self;
        let table = quoted(&self.table.name);
        let mut all = self
            .tx
            .prepare_cached(&format!("SELECT _rowid_ FROM {table}"))?;
        let mut look = self.tx.prepare_cached(&format!(
            "SELECT {key}, {group} FROM {table} WHERE {live} AND _rowid_ = ?2"
        ))?;
        look.raw_bind_parameter(1, self.scope.part())?;
        let mut absent = Vec::new();
        let mut rows = all.query([])?;
        while let Some(found) = rows.next()? {
            let row: i64 = found.get(0)?;
            if seen.has(row) {
                continue;
            }
            look.raw_bind_parameter(2, row)?;
            let mut looked = look.raw_query();
            let Some(found) = looked.next()? else {
                continue;
            };
            let (key, group): (String, String) = (found.get(0)?, found.get(1)?);
            if self.scope.cover.has(&group) {
                absent.push(Absent { row, key, group });
            }
        }
        Ok(absent)
    }

    /// Returns what is wrong if too much would go, of all rows or of those of one item.
    ///
    /// A read that brought nothing at all is suspicious even the first time.
    fn too_many(
        &self,
        doomed: &[Absent],
        waiting: &[Absent],
        seen: &Seen,
    ) -> Result<Option<TooMany>, Error> {
        let absent = || doomed.iter().chain(waiting);
        let is_all_allowed = self.table.deletes.max == MostSwept::Percent(100);
        let is_all = matches!(self.scope.cover, Cover::All);
        if is_all && !is_all_allowed && seen.count == 0 && absent().next().is_some() {
            let of = self.count(None)?;
            let all: Vec<&Absent> = absent().collect();
            return Ok(Some(self.stopped(&all, None, of, 0, true)));
        }
        let mut groups: BTreeMap<&str, Vec<&Absent>> = BTreeMap::new();
        if !self.table.with.is_empty() {
            for row in doomed {
                groups.entry(&row.group).or_default().push(row);
            }
        }
        let groups = groups.into_iter().map(|(group, rows)| (Some(group), rows));
        let all = std::iter::once((None, doomed.iter().collect()));
        for (group, rows) in groups.chain(all) {
            // Counting takes a walk over the table, so it is done for those alone it may stop.
            let always = match self.table.deletes.max {
                MostSwept::Percent(_) => ALWAYS,
                MostSwept::Rows(rows) => rows,
            };
            if rows.len() as u64 <= always {
                continue;
            }
            let of = self.count(group)?;
            let most = match self.table.deletes.max {
                MostSwept::Percent(percent) => share(of, percent).max(ALWAYS),
                MostSwept::Rows(rows) => rows,
            };
            if rows.len() as u64 > most {
                return Ok(Some(self.stopped(&rows, group, of, most, false)));
            }
        }
        Ok(None)
    }

    /// Returns how many there are, or how many of one item.
    fn count(&self, group: Option<&str>) -> Result<u64, Error> {
        let sql = format!(
            "SELECT count(*) FROM {} WHERE {} AND (?2 IS NULL OR {} = ?2)",
            quoted(&self.table.name),
            self.live,
            self.group
        );
        let count: i64 = self
            .tx
            .query_one(&sql, params![self.scope.part(), group], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    fn stopped(
        &self,
        rows: &[&Absent],
        group: Option<&str>,
        of: u64,
        most: u64,
        is_empty: bool,
    ) -> TooMany {
        let account = self
            .scope
            .account
            .map(|account| format!("account `{account}`"));
        let group = group.map(|group| {
            let names: Vec<&str> = self.table.with.iter().map(|with| &*with.column).collect();
            format!("{} {}", names.join(", "), shown(group))
        });
        let whose: Vec<String> = account.into_iter().chain(group).collect();
        let named = rows.iter().take(NAMED);
        TooMany {
            table: self.table.name.clone(),
            whose: (!whose.is_empty()).then(|| whose.join(", ")),
            rows: rows.len() as u64,
            of,
            most,
            named: named.map(|row| shown(&row.key)).collect(),
            is_empty,
        }
    }

    fn remove(&self, doomed: &[Absent]) -> Result<(), Error> {
        let mode = self.table.deletes.mode;
        let sql = removing(mode, &self.table.name, "_rowid_ = ?1", Reason::Absent, 2);
        let Some(sql) = sql.filter(|_| !doomed.is_empty()) else {
            return Ok(());
        };
        let mut removing = self.tx.prepare_cached(&sql)?;
        if mode == DeleteMode::Soft {
            removing.raw_bind_parameter(2, store::instant(self.scope.at))?;
        }
        for row in doomed {
            removing.raw_bind_parameter(1, row.row)?;
            removing.raw_execute()?;
        }
        Ok(())
    }
}

/// Removes for good the rows that were marked before an instant, if the table has marks at all.
///
/// # Errors
/// If the database cannot be written.
pub fn purge(tx: &Tx<'_>, table: &str, before: Timestamp) -> Result<(), Error> {
    if shape::system(tx, table)?.has_marks {
        let sql = format!("DELETE FROM {} WHERE {SYNC_DELETED_AT} < ?1", quoted(table));
        tx.prepare_cached(&sql)?.execute([store::instant(before)])?;
    }
    Ok(())
}

/// Returns `percent` of a hundred of `rows`.
fn share(rows: u64, percent: u8) -> u64 {
    u64::try_from(u128::from(rows) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

/// Returns the values of a JSON array as a person reads them.
fn shown(array: &str) -> String {
    let values: Vec<Value> = serde_json::from_str(array).unwrap_or_default();
    let texts = values.iter().map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    error::sample(&texts.collect::<Vec<_>>().join(" "))
}

/// Returns the keys of the rows that the whole read before did not bring.
fn absences(tx: &Tx<'_>, table: &Table, scope: &Scope<'_>) -> Result<HashSet<String>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT key, item FROM _tidegate_absences WHERE \"table\" = ?1 AND account = ?2",
    )?;
    let mut rows = statement.query([&*table.name, scope.part()])?;
    let mut keys = HashSet::new();
    while let Some(row) = rows.next()? {
        let (key, item): (String, String) = (row.get(0)?, row.get(1)?);
        if scope.cover.has(&item) {
            keys.insert(key);
        }
    }
    Ok(keys)
}

/// Remembers the rows that wait for a second look, in place of those that did.
fn remember<'a>(
    tx: &Tx<'_>,
    table: &Table,
    scope: &Scope<'_>,
    waiting: impl Iterator<Item = &'a Absent>,
) -> Result<(), Error> {
    let mut forget = tx.prepare_cached(
        "DELETE FROM _tidegate_absences \
         WHERE \"table\" = ?1 AND account = ?2 AND (?3 IS NULL OR item = ?3)",
    )?;
    let every = BTreeSet::new();
    let (all, groups) = match scope.cover {
        Cover::All => (true, &every),
        Cover::Groups(groups) => (false, groups),
    };
    let items = groups.iter().map(Some).chain(all.then_some(None));
    for item in items {
        forget.execute(params![table.name, scope.part(), item])?;
    }
    let mut statement = tx.prepare_cached(
        "INSERT INTO _tidegate_absences (\"table\", account, key, item, run, noticed_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let at = store::instant(scope.at);
    for Absent { key, group, .. } in waiting {
        statement.execute(params![table.name, scope.part(), key, group, scope.run, at])?;
    }
    Ok(())
}
