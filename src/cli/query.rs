//! `tidegate query`: asks the database, read-only.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode};
use serde_json::Value;

use super::{Exit, Failed, Output, print};
use crate::config::Config;
use crate::remedy::Remedy;
use crate::store;

/// The most rows a table on a terminal shows; CSV and JSON have no such end.
const MOST_ROWS: usize = 1_000;
/// What a table on a terminal shows where there is no value, which is not the same as an empty text.
const NULL: &str = "NULL";

pub(super) fn query(config: &Config, sql: &str, csv: bool, output: Output) -> Result<Exit, Failed> {
    let connection = store::open_any(&config.database)?;
    let answer = if csv {
        as_csv(&connection, sql)
    } else if output.json {
        as_json(&connection, sql)
    } else {
        as_table(&connection, sql)
    };
    match answer {
        Ok(()) => Ok(Exit::Done),
        Err(Trouble::Sql(error)) => Err(wrong(&error, sql)),
        // Whoever reads our output has seen enough.
        Err(Trouble::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Ok(Exit::Done)
        }
        Err(Trouble::Output(error)) => Err(Failed::of(&error, Remedy::EditConfig, None)),
    }
}

enum Trouble {
    Sql(rusqlite::Error),
    Output(std::io::Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<csv::Error> for Trouble {
    fn from(error: csv::Error) -> Self {
        Self::Output(error.into())
    }
}

fn as_csv(connection: &Connection, sql: &str) -> Result<(), Trouble> {
    let mut statement = connection.prepare(sql)?;
    let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
    writer.write_record(statement.column_names())?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for index in 0..columns {
            writer.write_field(text(row.get_ref(index)?))?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    Ok(writer.flush()?)
}

/// One object per row with its columns in their order, in an array; row by row, so that a long answer
/// needs no memory.
fn as_json(connection: &Connection, sql: &str) -> Result<(), Trouble> {
    use std::io::Write;
    let mut statement = connection.prepare(sql)?;
    let names: Vec<Value> = statement.column_names().map(Value::from).collect();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut rows = statement.query([])?;
    let mut before = "[\n ";
    while let Some(row) = rows.next()? {
        write!(out, "{before}{{")?;
        for (index, name) in names.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma}{name}:{}", json(row.get_ref(index)?))?;
        }
        write!(out, "}}")?;
        before = ",\n ";
    }
    writeln!(out, "{}", if before == "[\n " { "[]" } else { "\n]" })?;
    Ok(out.flush()?)
}

fn as_table(connection: &Connection, sql: &str) -> Result<(), Trouble> {
    let mut statement = connection.prepare(sql)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    let mut cells: Vec<Vec<String>> = Vec::new();
    let mut numbers = vec![true; names.len()];
    let mut more = 0_usize;
    while let Some(row) = rows.next()? {
        if cells.len() == MOST_ROWS {
            more += 1;
            continue;
        }
        let mut line = Vec::with_capacity(names.len());
        for (index, number) in numbers.iter_mut().enumerate() {
            let value = row.get_ref(index)?;
            *number &= matches!(
                value,
                ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_)
            );
            line.push(match value {
                ValueRef::Null => NULL.to_owned(),
                value => text(value),
            });
        }
        cells.push(line);
    }
    let heading: Vec<&str> = names.iter().map(String::as_str).collect();
    let right: Vec<usize> = (0..names.len()).filter(|index| numbers[*index]).collect();
    print::table(&heading, cells, &right);
    if more > 0 {
        print::talk(&format!("{more} more rows; --csv and --json show all"));
    }
    Ok(())
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        // With its point, so that a real is not taken for an integer.
        ValueRef::Real(number) => format!("{number:?}"),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => hex(bytes),
    }
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(_) | ValueRef::Blob(_) => text(value).into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Says what is wrong with the statement, and points at the place where SQLite knows it.
fn wrong(error: &rusqlite::Error, sql: &str) -> Failed {
    let told = |words: &str, hint| Failed::new(words, Remedy::EditConfig, hint);
    match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            told(&format!("{msg}\n{}", pointed_at(sql, *offset)), None)
        }
        rusqlite::Error::MultipleStatement => told("there are several statements; ask one", None),
        rusqlite::Error::SqliteFailure(code, _) if code.code == ErrorCode::ApiMisuse => {
            told("there is no statement", None)
        }
        rusqlite::Error::SqliteFailure(code, words) => {
            let hint = (code.code == ErrorCode::ReadOnly)
                .then_some("`query` only reads; use any SQLite tool to change your own tables");
            let plain = || store::plain_words(error);
            told(&words.clone().unwrap_or_else(plain), hint)
        }
        other => Failed::of(other, Remedy::EditConfig, None),
    }
}

/// Returns the line of `sql` in which `offset` lies, with a caret below the place.
fn pointed_at(sql: &str, offset: i32) -> String {
    let offset = usize::try_from(offset).unwrap_or(0).min(sql.len());
    let before = sql.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = sql[line_start..].lines().next().unwrap_or_default();
    let caret = " ".repeat(before[line_start..].chars().count());
    format!("  {line}\n  {caret}^")
}
