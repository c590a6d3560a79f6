//! Makes a flow's table, and changes it when records come that do not fit.

use std::collections::HashSet;

use rusqlite::params;

use super::error::{Error, MOST_COLUMNS};
use super::kind::{self, Seen};
use super::rebuild;
use super::shape::{
    self, Column, SYNC_ACCOUNT, SYNC_AT, SYNC_DELETED_AT, SYNC_DELETED_REASON, Shape, quoted,
};
use super::survey::survey;
use super::{Batch, Widened};
use crate::config::{Kind, Table};
use crate::record::FieldPath;
use crate::store::Tx;

/// Names that no field gets for its column: ours, and the one SQLite lets us call any row by.
const RESERVED: [&str; 5] = [
    SYNC_AT,
    SYNC_ACCOUNT,
    SYNC_DELETED_AT,
    SYNC_DELETED_REASON,
    "_rowid_",
];

/// Makes the table, or changes it, so that it holds every value of `batch`.
///
/// Columns that held something else before are added to `told`.
pub(super) fn grow(
    tx: &Tx<'_>,
    table: &Table,
    batch: &Batch<'_>,
    told: &mut Vec<Widened>,
) -> Result<Shape, Error> {
    let stored = shape::stored(tx, &table.name)?;
    let mut columns = shape::wanted(table, stored.as_deref().unwrap_or_default());
    let survey = survey(table, &columns, batch)?;
    let present = rebuild::present(tx, &table.name)?;
    let mut taken: HashSet<String> = present.iter().map(|column| lower(&column.name)).collect();
    taken.extend(RESERVED.map(str::to_owned));
    for column in &columns {
        let is_stored = stored
            .iter()
            .flatten()
            .any(|stored| stored.name == column.name);
        if !is_stored && !taken.insert(lower(&column.name)) {
            let (table, column) = (table.name.clone(), column.name.clone());
            return Err(Error::ColumnTaken { table, column });
        }
    }
    columns.extend(survey.fresh.iter().map(|field| Column {
        name: free_name(field, &mut taken),
        field: FieldPath::of([field]),
        kind: None,
        is_declared: false,
        is_key: false,
    }));
    for (column, seen) in columns.iter_mut().zip(survey.seen) {
        if !column.is_declared {
            let kind = widened(tx, &table.name, column, seen)?;
            if column.kind.is_some() && kind != column.kind {
                told.push(Widened {
                    column: column.name.clone(),
                    from: kind::word(column.kind),
                    to: kind::word(kind),
                });
            }
            column.kind = kind;
        }
    }
    match &stored {
        None => create(tx, table, &columns)?,
        Some(stored) => {
            let system = shape::system(tx, &table.name)?;
            shape::check_key(table, &system, stored, &columns)?;
            change(tx, table, stored, &columns, present.len())?;
            if table.marks_deleted() && !system.has_marks {
                shape::add_marks(tx, &table.name)?;
            }
        }
    }
    remember(tx, &table.name, &columns)?;
    Ok(Shape {
        table: table.name.clone(),
        columns,
        by_account: table.by_account,
        has_marks: shape::system(tx, &table.name)?.has_marks,
    })
}

fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Returns the field's name, or if that is taken (SQLite does not tell `id` from `ID`) the name with
/// the first number behind it that makes it free.
fn free_name(field: &str, taken: &mut HashSet<String>) -> String {
    // SQL text cannot hold a NUL, and a column without a name is hard to ask for.
    let plain = if field.is_empty() {
        "_".to_owned()
    } else {
        field.replace('\0', "_")
    };
    let mut name = plain.clone();
    let mut number = 2;
    while !taken.insert(lower(&name)) {
        name = format!("{plain}_{number}");
        number += 1;
    }
    name
}

/// Returns the kind that holds what the column holds already and what was seen now.
fn widened(tx: &Tx<'_>, table: &str, column: &Column, seen: Seen) -> Result<Option<Kind>, Error> {
    let mut all = Seen::of_column(column.kind);
    all |= seen;
    if column.kind == Some(Kind::Integer) && all.mixes_integer_and_real() {
        let large = format!(
            "SELECT EXISTS (SELECT 1 FROM {} WHERE {} NOT BETWEEN ?1 AND ?2)",
            quoted(table),
            quoted(&column.name)
        );
        let (least, most) = super::number::EXACT_AS_REAL.into_inner();
        if tx.query_one(&large, [least, most], |row| row.get(0))? {
            all = all.with_large_integers();
        }
    }
    if column.is_key && all.blurs_as_key() {
        let (table, column) = (table.to_owned(), column.name.clone());
        return Err(Error::KeyBlurred { table, column });
    }
    Ok(if column.is_key {
        all.key_kind()
    } else {
        all.kind()
    })
}

fn create(tx: &Tx<'_>, table: &Table, columns: &[Column]) -> Result<(), Error> {
    let mut lines: Vec<String> = columns.iter().map(definition).collect();
    if table.by_account {
        lines.push(format!("{SYNC_ACCOUNT} TEXT NOT NULL"));
    }
    lines.push(format!("{SYNC_AT} TEXT NOT NULL"));
    if table.marks_deleted() {
        lines.push(format!("{SYNC_DELETED_AT} TEXT"));
        lines.push(format!("{SYNC_DELETED_REASON} TEXT"));
    }
    let (by_account, table) = (table.by_account, table.name.as_str());
    check_count(table, lines.len())?;
    lines.push(primary_key(columns, by_account));
    tx.execute_batch(&create_statement(table, &lines))?;
    // A table someone dropped may have left its columns behind.
    tx.execute(
        "DELETE FROM _tidegate_columns WHERE \"table\" = ?1",
        [table],
    )?;
    Ok(())
}

/// Returns the statement that makes a table of these lines.
pub(super) fn create_statement(table: &str, lines: &[String]) -> String {
    format!(
        "CREATE TABLE {} (\n  {}\n) STRICT",
        quoted(table),
        lines.join(",\n  ")
    )
}

/// Returns a column as `CREATE TABLE` has it.
pub(super) fn definition(column: &Column) -> String {
    let not_null = if column.is_key { " NOT NULL" } else { "" };
    format!(
        "{} {}{not_null}",
        quoted(&column.name),
        kind::storage(column.kind)
    )
}

/// Returns the constraint that makes the key columns the primary key.
pub(super) fn primary_key(columns: &[Column], by_account: bool) -> String {
    let mut names: Vec<String> = columns
        .iter()
        .filter(|column| column.is_key)
        .map(|column| quoted(&column.name))
        .collect();
    names.extend(by_account.then(|| SYNC_ACCOUNT.to_owned()));
    format!("PRIMARY KEY ({})", names.join(", "))
}

fn change(
    tx: &Tx<'_>,
    table: &Table,
    stored: &[Column],
    columns: &[Column],
    present: usize,
) -> Result<(), Error> {
    let before = |column: &Column| stored.iter().find(|before| before.name == column.name);
    let fresh: Vec<&Column> = columns
        .iter()
        .filter(|column| before(column).is_none())
        .collect();
    check_count(&table.name, present + fresh.len())?;
    let needs_rebuild = columns
        .iter()
        .any(|column| before(column).is_some_and(|before| rebuild::is_needed(before, column)));
    if needs_rebuild {
        return rebuild::rebuild(tx, table, stored, columns);
    }
    for column in fresh {
        let add = format!(
            "ALTER TABLE {} ADD COLUMN {}",
            quoted(&table.name),
            definition(column)
        );
        tx.execute_batch(&add)?;
    }
    Ok(())
}

fn check_count(table: &str, columns: usize) -> Result<(), Error> {
    if columns > MOST_COLUMNS {
        return Err(Error::TooManyColumns {
            table: table.to_owned(),
            columns,
        });
    }
    Ok(())
}

fn remember(tx: &Tx<'_>, table: &str, columns: &[Column]) -> Result<(), Error> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO _tidegate_columns (\"table\", name, field, kind, declared) \
         VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET \
           field = excluded.field, kind = excluded.kind, declared = excluded.declared",
    )?;
    for column in columns {
        let field = column.field.to_string();
        let word = kind::word(column.kind);
        statement.execute(params![table, column.name, field, word, column.is_declared])?;
    }
    Ok(())
}
