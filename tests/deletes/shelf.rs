//! A house with one flow, `item`, over a source whose answers a test writes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::types::Value;

use crate::support::{Asked, Ran, Scripted, TempHouse, json};

/// The house and the source.
pub(crate) struct Shelf {
    pub(crate) house: TempHouse,
    pub(crate) source: Scripted,
}

impl Shelf {
    /// Moves in beside a source that answers so; `lines` are the flow's, beside its connection, its
    /// key `id` and its URL `/items`.
    pub(crate) fn answering(
        lines: &str,
        answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let source = Scripted::start(answer);
        let house = TempHouse::new(&config(&source, lines));
        Self { house, source }
    }

    /// Moves in beside a source that answers everything with one body, which the test may change.
    pub(crate) fn holding(lines: &str, body: &str) -> (Self, Content) {
        let content = Content(Arc::new(Mutex::new(body.to_owned())));
        let held = content.clone();
        let shelf = Self::answering(lines, move |_| json(&held.0.lock().unwrap()));
        (shelf, content)
    }

    /// Writes other lines for the flow.
    pub(crate) fn configure(&self, lines: &str) {
        self.house
            .write_private("tidegate.toml", &config(&self.source, lines));
    }

    /// Runs the flow a minute after whatever was before; waits of the program pass by themselves.
    pub(crate) fn run(&self) -> Ran {
        self.house.clock().advance(Duration::from_secs(60)).unwrap();
        self.house.run_as_time_passes(&["--run-now"])
    }

    /// Runs the flow, which succeeds; returns its counts as they are shown.
    #[track_caller]
    pub(crate) fn counts(&self) -> String {
        let ran = self.run().expect_code(0);
        let line = ran.stdout.trim_end();
        let counts = line.split_once("records: ").or(line.split_once("record: "));
        let (_, counts) = counts.unwrap_or_else(|| panic!("no counts: {ran:#?}"));
        let (counts, _) = counts.split_once(" in ").unwrap_or((counts, ""));
        counts.to_owned()
    }

    /// Returns the keys of the rows that are there, and of those that are marked as gone.
    pub(crate) fn rows(&self) -> (Vec<i64>, Vec<i64>) {
        let keys = |condition: &str| {
            let sql = format!("SELECT id FROM item WHERE sync_deleted_at {condition} ORDER BY id");
            let rows = self.house.rows(&sql);
            let key = |row: &Vec<Value>| match row[0] {
                Value::Integer(key) => key,
                ref other => panic!("{other:?}"),
            };
            rows.iter().map(key).collect()
        };
        (keys("IS NULL"), keys("IS NOT NULL"))
    }
}

/// What a source answers with.
#[derive(Clone)]
pub(crate) struct Content(Arc<Mutex<String>>);

impl Content {
    pub(crate) fn set(&self, body: &str) {
        body.clone_into(&mut self.0.lock().unwrap());
    }
}

fn config(source: &Scripted, lines: &str) -> String {
    format!(
        r#"
[connection.source]
base_url = "{}"

[flow.item]
connection = "source"
key = ["id"]
url = "/items"
{lines}
"#,
        source.url
    )
}

/// Returns records with these keys, as a source sends them.
pub(crate) fn records(keys: impl IntoIterator<Item = i64>) -> String {
    let records = keys
        .into_iter()
        .map(|key| format!(r#"{{"id":{key},"name":"n{key}"}}"#));
    format!("[{}]", records.collect::<Vec<_>>().join(","))
}
