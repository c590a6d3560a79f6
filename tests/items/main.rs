//! Reading less, and reading for each: what a run asks its source, and what it keeps of the answers.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

mod changing;
mod cursors;
mod fan_out;
mod restarts;
mod resuming;
#[path = "../support/mod.rs"]
mod support;
mod windows;

use rusqlite::types::Value;
use support::{Scripted, TempHouse};

/// A house whose flows are `flows`, all behind one connection to `server`.
fn house(server: &Scripted, flows: &str) -> TempHouse {
    TempHouse::new(&format!(
        "[connection.shop]\nbase_url = \"{}\"\n{flows}",
        server.url
    ))
}

/// Returns rows as lines of text, their values divided by a space.
fn lines(house: &TempHouse, sql: &str) -> Vec<String> {
    let word = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(_) => "blob".to_owned(),
    };
    let line = |row: &Vec<Value>| row.iter().map(word).collect::<Vec<_>>().join(" ");
    house.rows(sql).iter().map(line).collect()
}

/// Returns what a server was asked, method left out.
fn asked(server: &Scripted) -> Vec<String> {
    // A connection that was dropped before anything was asked has no line.
    let target = |line: &str| Some(line.split_once(' ')?.1.to_owned());
    let asked = server.asked();
    asked
        .iter()
        .filter_map(|asked| target(&asked.line))
        .collect()
}

/// Returns where the bookmarks of a house with one flow stand, in the order of their parts.
fn bookmarks(house: &TempHouse) -> Vec<String> {
    lines(house, "SELECT value FROM _tidegate_bookmarks ORDER BY part")
}
