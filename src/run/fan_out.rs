//! From accounts and `for_each` to the items of a run.

use std::collections::HashSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, ToSql};
use serde_json::Value;

use super::Error;
use super::item::Item;
use crate::config::{Account, Config, Each, Flow, Level};
use crate::remedy::Remedy;
use crate::store::{self, Store};

/// The most items of one run: what is read for each of more than these is better asked for in
/// another way, and a query that joins by mistake ends here.
pub(super) const MOST_ITEMS: usize = 100_000;

/// Why the items of a run are not known.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The query reads a table that is not there.
    #[error("`for_each` reads a table that does not exist yet: {message}")]
    NoTable {
        /// What SQLite says.
        message: String,
        /// The flow that makes the table, if one does.
        flow: Option<String>,
    },
    /// The query is wrong.
    #[error("`for_each` cannot be asked: {message}")]
    Sql {
        /// What is wrong with it.
        message: String,
    },
    /// A row has a value that no request can carry.
    #[error("row {row} of `for_each` has {what} for `{column}`")]
    Value {
        /// Which row, from 1.
        row: usize,
        /// The column.
        column: String,
        /// What stands there.
        what: &'static str,
    },
    /// A column needs a value that no level gives.
    #[error("`with` uses `each.{name}`, which `for_each` does not give")]
    Unnamed {
        /// What is needed.
        name: String,
    },
    /// There are more than a run reads.
    #[error("`for_each` gives more than {MOST_ITEMS} items, the most that one run reads")]
    TooMany,
}

impl Problem {
    fn named_twice(name: &str) -> Self {
        let message = format!("two of its values are called `{name}`; give one another name: AS …");
        Self::Sql { message }
    }

    /// Says who must act.
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            // It is there as soon as the flow that makes it has run.
            Self::NoTable { flow: Some(_), .. } => Remedy::Wait,
            Self::NoTable { flow: None, .. }
            | Self::Sql { .. }
            | Self::Value { .. }
            | Self::Unnamed { .. }
            | Self::TooMany => Remedy::EditConfig,
        }
    }

    /// Says what a person can do.
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::NoTable {
                flow: Some(flow), ..
            } => Some(format!(
                "the first run of flow `{flow}` makes the table: tidegate --run-now {flow}"
            )),
            Self::NoTable { flow: None, .. } => {
                Some("look at the tables there are: tidegate tables".to_owned())
            }
            Self::Value { column, .. } => Some(format!(
                "leave such rows out in the query: WHERE \"{column}\" IS NOT NULL"
            )),
            Self::TooMany => Some("give the query a WHERE or a LIMIT".to_owned()),
            Self::Sql { .. } | Self::Unnamed { .. } => None,
        }
    }
}

/// Returns what a run of `flow` reads for each of `accounts`: once if the flow has no `for_each`.
/// Items with the same values are one.
pub(super) async fn items(
    flow: &Flow,
    accounts: Vec<Account>,
    config: &Config,
    data: &Store,
) -> Result<Vec<Item>, Error> {
    let each = match flow.for_each.as_slice() {
        [] => vec![Each::new()],
        levels => combinations(levels.to_vec(), data)
            .await
            .map_err(|error| maker(error, config))?,
    };
    if each.len().saturating_mul(accounts.len()) > MOST_ITEMS {
        return Err(Problem::TooMany.into());
    }
    let of = |account: Account| {
        let item = move |each: &Each| Item {
            account: account.clone(),
            each: each.clone(),
        };
        each.iter().map(item)
    };
    Ok(accounts.into_iter().flat_map(of).collect())
}

/// Names the flow that makes a missing table.
fn maker(error: Error, config: &Config) -> Error {
    let Error::Items(Problem::NoTable { message, .. }) = error else {
        return error;
    };
    let wanted = message.rsplit(' ').next().unwrap_or_default();
    let makes = |flow: &&Flow| flow.table.name.eq_ignore_ascii_case(wanted);
    let flow = config
        .flows
        .values()
        .find(makes)
        .map(|flow| flow.name.to_string());
    Problem::NoTable { message, flow }.into()
}

/// Returns every combination of the levels, as they are now.
async fn combinations(levels: Vec<Level>, data: &Store) -> Result<Vec<Each>, Error> {
    data.read(move |connection| {
        // One transaction, so that all levels see the same data.
        let reading = connection
            .unchecked_transaction()
            .map_err(store::Error::from)?;
        let mut all = vec![Each::new()];
        for level in &levels {
            let mut deeper = Vec::new();
            let mut met = HashSet::new();
            for outer in &all {
                for inner in inner(&reading, level, outer)? {
                    let mut each = outer.clone();
                    if let Some(name) = inner.keys().find(|name| outer.contains_key(*name)) {
                        return Err(Problem::named_twice(name).into());
                    }
                    each.extend(inner);
                    if met.insert(Value::Object(each.clone()).to_string()) {
                        deeper.push(each);
                    }
                    if deeper.len() > MOST_ITEMS {
                        return Err(Problem::TooMany.into());
                    }
                }
            }
            all = deeper;
        }
        Ok(all)
    })
    .await
}

/// Returns the items of one level inside an item of the level before.
fn inner(connection: &Connection, level: &Level, outer: &Each) -> Result<Vec<Each>, Error> {
    match level {
        Level::Listed(items) => Ok(items.clone()),
        Level::Rows(sql) => rows(connection, sql, outer),
    }
}

fn rows(connection: &Connection, sql: &str, outer: &Each) -> Result<Vec<Each>, Error> {
    let mut statement = connection.prepare(sql).map_err(refused)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let twice = |name: &&String| names.iter().filter(|other| other == name).count() > 1;
    if let Some(name) = names.iter().find(twice) {
        return Err(Problem::named_twice(name).into());
    }
    if !statement.readonly() {
        let message = "it writes, and may only read".to_owned();
        return Err(Problem::Sql { message }.into());
    }
    for index in 1..=statement.parameter_count() {
        let name = statement
            .parameter_name(index)
            .map(str::to_owned)
            .unwrap_or_default();
        let Some(value) = name.strip_prefix(':').and_then(|name| outer.get(name)) else {
            let message = format!("no earlier level gives its parameter `{name}`");
            return Err(Problem::Sql { message }.into());
        };
        statement
            .raw_bind_parameter(index, bound(value))
            .map_err(refused)?;
    }
    let mut rows = statement.raw_query();
    let mut items = Vec::new();
    while let Some(row) = rows.next().map_err(refused)? {
        if items.len() > MOST_ITEMS {
            return Err(Problem::TooMany.into());
        }
        let mut each = Each::new();
        for (index, name) in names.iter().enumerate() {
            let value = row.get_ref(index).map_err(refused)?;
            let value = json(value).map_err(|what| Problem::Value {
                row: items.len() + 1,
                column: name.clone(),
                what,
            })?;
            each.insert(name.clone(), value);
        }
        items.push(each);
    }
    Ok(items)
}

fn bound(value: &Value) -> Box<dyn ToSql> {
    match value {
        Value::Bool(truth) => Box::new(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Box::new(whole),
            None => Box::new(number.as_f64()),
        },
        Value::String(text) => Box::new(text.clone()),
        other => Box::new(other.to_string()),
    }
}

/// Returns a value as templates have it, or what is wrong with it.
fn json(value: ValueRef<'_>) -> Result<Value, &'static str> {
    match value {
        ValueRef::Integer(number) => Ok(number.into()),
        ValueRef::Real(number) => Ok(number.into()),
        ValueRef::Text(text) => Ok(String::from_utf8_lossy(text).into()),
        ValueRef::Null => Err("no value"),
        ValueRef::Blob(_) => Err("bytes"),
    }
}

/// Tells a question that is wrong from a database that cannot be read.
fn refused(error: rusqlite::Error) -> Error {
    let message = store::plain_words(&error);
    match error.sqlite_error_code() {
        _ if message.contains("no such table") => Problem::NoTable {
            message,
            flow: None,
        }
        .into(),
        Some(ErrorCode::Unknown) | None => Problem::Sql { message }.into(),
        Some(_) => Error::Store(error.into()),
    }
}
