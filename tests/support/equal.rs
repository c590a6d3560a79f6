//! Whether a table says what its source says, told without the program's own rules.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::Value as Json;

/// The column the program adds.
const SYNC_AT: &str = "sync_at";
/// The key of source and table.
const KEY: &str = "ID";
/// How many differences are shown.
const SHOWN: usize = 10;

/// Compares a table with the source's records by key, column by column, and fails the test where
/// they differ; returns how many rows there are.
#[track_caller]
pub(super) fn expect_equal(data: &Connection, table: &str, source: &[Json]) -> usize {
    let rows = rows(data, table);
    let mut wrong = Vec::new();
    for record in source {
        let key = record[KEY].as_str().unwrap();
        let Some(row) = rows.get(key) else {
            wrong.push(format!("{key} is missing"));
            continue;
        };
        for (column, value) in row.iter().filter(|(column, _)| *column != SYNC_AT) {
            let said = &record[column];
            if !says(value, said) {
                wrong.push(format!(
                    "{key}.{column} is {value:?}, and the source says {said}"
                ));
            }
        }
    }
    let known: BTreeSet<_> = source.iter().filter_map(|it| it[KEY].as_str()).collect();
    let strangers = rows.keys().filter(|key| !known.contains(key.as_str()));
    wrong.extend(strangers.map(|key| format!("{key} is not at the source")));
    let count = wrong.len();
    wrong.truncate(SHOWN);
    assert!(
        count == 0,
        "`{table}` differs from its source in {count} places:\n{}",
        wrong.join("\n")
    );
    rows.len()
}

/// Returns every row by its key; no key may be there twice.
#[track_caller]
fn rows(data: &Connection, table: &str) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut statement = data.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut found = BTreeMap::new();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let values = columns.iter().enumerate();
        let row: BTreeMap<String, Value> = values
            .map(|(index, name)| (name.clone(), row.get(index).unwrap()))
            .collect();
        let Value::Text(key) = &row[KEY] else {
            panic!("a row of `{table}` has no key: {row:?}");
        };
        let twice = found.insert(key.clone(), row.clone());
        assert!(twice.is_none(), "`{table}` has {key} twice");
    }
    found
}

/// Tells whether a value of the table means what the source said.
fn says(value: &Value, said: &Json) -> bool {
    match (value, said) {
        (Value::Null, Json::Null) => true,
        (Value::Integer(number), Json::Bool(truth)) => *number == i64::from(*truth),
        (Value::Integer(number), Json::Number(said)) => match said.as_i64() {
            Some(said) => said == *number,
            // A column in which only whole amounts were seen. Amounts here are far below 2^53.
            None => said.as_f64() == Some(*number as f64),
        },
        // To the bit: what the source prints is the shortest text of its double.
        (Value::Real(number), Json::Number(said)) => {
            said.as_f64().map(f64::to_bits) == Some(number.to_bits())
        }
        (Value::Text(text), Json::String(said)) => text == said || is_same_moment(text, said),
        _ => false,
    }
}

/// Tells whether two texts are one moment, which the table writes with all its digits.
fn is_same_moment(text: &str, said: &str) -> bool {
    let moment = |text: &str| text.parse::<DateTime>().ok();
    moment(text).is_some_and(|text| moment(said) == Some(text))
}
