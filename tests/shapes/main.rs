//! Bodies that are not a plain list of JSON: what becomes of them in the table, and what is said when
//! they are not what they should be.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

mod bodies;
mod records;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod wrong;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use rusqlite::types::Value;
use support::{Ran, Scripted, TempHouse};

/// A house with one flow `thing`, which has `keys`; every body is `body`.
struct House {
    house: TempHouse,
    _server: Scripted,
}

impl House {
    fn new(keys: &str, media: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let server = Scripted::start(move |_| spelt(media, &body));
        Self::at(server, keys)
    }

    fn at(server: Scripted, keys: &str) -> Self {
        let paging = if keys.contains("paging") {
            ""
        } else {
            "paging = \"none\""
        };
        let key = if keys.contains("key = ") {
            ""
        } else {
            "key = [\"id\"]"
        };
        let house = TempHouse::new(&format!(
            "[connection.shop]\nbase_url = \"{}\"\n\n[flow.thing]\nconnection = \"shop\"\n\
             url = \"/things\"\n{paging}\n{key}\n{keys}\n",
            server.url
        ));
        Self {
            house,
            _server: server,
        }
    }

    fn run(&self) -> Ran {
        self.house.run_as_time_passes(&["--run-now"])
    }

    /// Runs the flow and returns its table: a line for the names, one for each row.
    #[track_caller]
    fn table(&self) -> Vec<String> {
        self.run().expect_code(0);
        let columns = "SELECT group_concat(name, ' ') FROM pragma_table_info('thing') \
                       WHERE name NOT LIKE 'sync_%'";
        let names = lines(&self.house, columns);
        let list = names[0].split(' ').map(|name| format!("\"{name}\""));
        let list = list.collect::<Vec<_>>().join(", ");
        let rows = lines(
            &self.house,
            &format!("SELECT {list} FROM thing ORDER BY rowid"),
        );
        names.into_iter().chain(rows).collect()
    }

    /// Runs the flow, which must fail, and returns what is said of it.
    #[track_caller]
    fn error(&self) -> String {
        let ran = self.run().expect_code(1);
        let said = ran.stderr.replace(&self._server.url, "http://shop");
        said.lines()
            .filter(|line| !line.starts_with("warning"))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Returns rows as lines of text, their values divided by a space; text stands in quotes.
fn lines(house: &TempHouse, sql: &str) -> Vec<String> {
    let word = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => text.clone(),
        Value::Blob(_) => "blob".to_owned(),
    };
    let line = |row: &Vec<Value>| row.iter().map(word).collect::<Vec<_>>().join(" ");
    house.rows(sql).iter().map(line).collect()
}

/// Spells an answer byte by byte.
fn spelt(media: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// The table that `keys` make of a JSON body.
#[track_caller]
fn table(keys: &str, body: &str) -> Vec<String> {
    House::new(keys, "application/json", body).table()
}

/// What is said when `keys` cannot make anything of a JSON body.
#[track_caller]
fn error(keys: &str, body: &str) -> String {
    House::new(keys, "application/json", body).error()
}
