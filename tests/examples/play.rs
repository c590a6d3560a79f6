//! Plays a script against the example of its name.

use std::sync::{Arc, Mutex};

use rusqlite::types::Value;

use crate::script::{Exchange, Run, Script, Step, plain};
use crate::support::{Asked, Scripted, TempHouse, answer};

/// What of a connection stays when it is played: its credential is a token of ours, and the token
/// endpoints are played for the catalogue.
const KEPT: [&str; 20] = [
    "provider",
    "country",
    "shop",
    "domain",
    "subdomain",
    "region",
    "shard",
    "account",
    "host",
    "token_header",
    "token_scheme",
    "token_query",
    "headers",
    "time_zone",
    "limits",
    "limit_headers",
    "error_budget",
    "response_rules",
    "paging",
    "concurrency",
];

/// The exchanges of the run under way, and what was asked otherwise.
#[derive(Default)]
struct Stage {
    expected: Vec<Exchange>,
    surprises: Vec<String>,
}

/// Runs an example as its script says.
#[track_caller]
pub(crate) fn example(name: &str) {
    let read = |path: std::path::PathBuf| {
        std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    };
    let script = Script::read(&read(crate::scripts().join(format!("{name}.txt"))));
    let stage = Arc::new(Mutex::new(Stage::default()));
    let server = {
        let stage = Arc::clone(&stage);
        Scripted::start(move |asked| stage.lock().unwrap().play(asked))
    };
    let text = read(crate::examples().join(format!("{name}.toml")));
    stands_as_it_is(&text);
    let house = TempHouse::new(&played(&text, &script, &server.url));
    house.write_private("token", "a-token");
    house.run(&["check"]).expect_code(0);
    for step in &script.steps {
        match step {
            Step::Run(run) => perform(&house, run, &stage),
            Step::Rows { sql, rows } => assert_eq!(&found(&house, sql), rows, "{name}: {sql}"),
        }
    }
}

/// Tries `check` on the example itself, where every secret it names is there.
#[track_caller]
fn stands_as_it_is(example: &str) {
    let mut house = TempHouse::new(example);
    for name in quoted(example, "{ env = ") {
        house.set_env(name, "a-secret");
    }
    for name in quoted(example, "{ file = ") {
        house.write_private(name, "a-secret");
    }
    house.run(&["check"]).expect_code(0);
}

/// Returns what stands in quotes behind each `marker`.
fn quoted<'a>(text: &'a str, marker: &str) -> Vec<&'a str> {
    let behind = text.split(marker).skip(1);
    behind.map(|rest| rest.split('"').nth(1).unwrap()).collect()
}

fn perform(house: &TempHouse, run: &Run, stage: &Mutex<Stage>) {
    if let Some(at) = &run.at {
        house.clock().set(at.parse().unwrap()).unwrap();
    }
    let mut exchanges = run.exchanges.clone();
    exchanges.reverse();
    stage.lock().unwrap().expected = exchanges;
    let ran = house.run_as_time_passes(&["--run-now", &run.flow]);
    let left = std::mem::take(&mut *stage.lock().unwrap());
    assert!(
        left.surprises.is_empty() && left.expected.is_empty(),
        "{}\nnot asked: {:#?}\n{}\n{}",
        left.surprises.join("\n"),
        left.expected.iter().rev().collect::<Vec<_>>(),
        ran.stdout,
        ran.stderr
    );
    ran.expect_code(run.code);
}

impl Stage {
    /// Answers the next request of the script, if this is it.
    fn play(&mut self, asked: &Asked) -> Vec<u8> {
        let Some(exchange) = self.expected.last() else {
            self.surprises
                .push(format!("asked behind the end: {}", asked.line));
            return answer(500, &[], "");
        };
        if let Err(surprise) = exchange.is_asked(asked) {
            self.surprises.push(surprise);
            return answer(400, &[], "");
        }
        let exchange = self.expected.pop().unwrap();
        let url = format!("http://{}", asked.header("host").unwrap());
        let filled = |text: &String| text.replace("{url}", &url);
        let headers: Vec<String> = exchange.answer_headers.iter().map(filled).collect();
        let mut headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        if !headers.iter().any(|line| line.starts_with("content-type")) {
            headers.push("content-type: application/json");
        }
        answer(exchange.status, &headers, &filled(&exchange.answer))
    }
}

impl Exchange {
    fn is_asked(&self, asked: &Asked) -> Result<(), String> {
        let line = plain(&asked.line);
        if line != self.line {
            return Err(format!("asked    {line}\nexpected {}", self.line));
        }
        for header in &self.headers {
            let (name, value) = header.split_once(": ").unwrap();
            let found = asked.header(name);
            if found.as_deref() != Some(value) {
                return Err(format!("{line}: {name} is {found:?}, not {value:?}"));
            }
        }
        let body = serde_json::from_slice::<serde_json::Value>(&asked.body).ok();
        if self.body.is_some() && self.body != body {
            let sent = String::from_utf8_lossy(&asked.body);
            return Err(format!("{line}: posted {sent}"));
        }
        Ok(())
    }
}

/// Returns the example with its connections at the scripted server, and its schedules left out.
fn played(example: &str, script: &Script, server: &str) -> String {
    let mut text = example.to_owned();
    for host in &script.hosts {
        text = text.replace(host, server);
    }
    let mut config: toml::Table = text.parse().unwrap();
    let connections = config["connection"].as_table_mut().unwrap();
    for (_, connection) in connections.iter_mut() {
        let connection = connection.as_table_mut().unwrap();
        connection.retain(|key, _| KEPT.contains(&key));
        let token = toml::Table::from_iter([("file".to_owned(), "token".into())]);
        connection.insert("token".to_owned(), token.into());
        let base = format!("{server}{}", script.base);
        connection.insert("base_url".to_owned(), base.into());
    }
    toml::to_string(&config).unwrap()
}

fn found(house: &TempHouse, sql: &str) -> Vec<String> {
    let shown = |value: &Value| match value {
        Value::Null => "null".to_owned(),
        Value::Integer(integer) => integer.to_string(),
        Value::Real(real) => real.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(_) => "a blob".to_owned(),
    };
    let rows = house.rows(sql);
    rows.iter()
        .map(|row| row.iter().map(shown).collect::<Vec<_>>().join("|"))
        .collect()
}
