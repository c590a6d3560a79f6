//! Told to stop, or talking to nobody.

use std::process::Stdio;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::types::Value;
use rustix::process::{Pid, Signal, kill_process};
use tidegate::sandbox::Settings;

use crate::shop::Shop;
use crate::support::{Asked, Exact, Ran, Running, answer, eventually, json};

/// How many orders a page has.
const PAGE: usize = 2;

/// A source without an end, each of whose pages waits until the test hands out a permit for it.
struct Endless {
    shop: Shop,
    permits: mpsc::Sender<()>,
}

impl Endless {
    fn new() -> Self {
        let (permits, permitted) = mpsc::channel();
        let permitted = Mutex::new(permitted);
        let shop = Shop::new("odata", move |asked| page(asked, &permitted));
        Self { shop, permits }
    }

    fn permit(&self, pages: usize) {
        for _ in 0..pages {
            self.permits.send(()).unwrap();
        }
    }

    /// Waits until that many pages have been asked for.
    fn wait_until_asked(&self, pages: usize) {
        assert!(eventually(|| self.shop.api.asked().len() >= pages));
    }

    /// Every page that was answered was merged, and the journal says what happened.
    fn assert_interrupted(&self, answered: usize) {
        assert_eq!(self.shop.rows(), answered * PAGE);
        let runs = "SELECT outcome, pages, records FROM _tidegate_runs";
        let count = |count: usize| Value::Integer(i64::try_from(count).unwrap());
        let line = [
            Value::Text("interrupted".to_owned()),
            count(answered),
            count(answered * PAGE),
        ];
        assert_eq!(self.shop.house.rows(runs), [line]);
    }
}

fn page(asked: &Asked, permitted: &Mutex<mpsc::Receiver<()>>) -> Vec<u8> {
    if permitted.lock().unwrap().recv().is_err() {
        return answer(599, &[], "the test is over");
    }
    let number: usize = asked
        .line
        .rsplit_once("page=")
        .map_or(0, |(_, number)| number.parse().unwrap());
    let (first, next) = (number * PAGE, number + 1);
    json(&format!(
        r#"{{"value": [{{"id": {first}}}, {{"id": {}}}], "@odata.nextLink": "/orders?page={next}"}}"#,
        first + 1
    ))
}

fn send(running: &Running, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn the_first_signal_finishes_the_page_and_an_unfinished_run_exits_1() {
    let endless = Endless::new();
    let run = endless.shop.house.start(&["--run-now"]);
    endless.permit(2);
    endless.wait_until_asked(3);
    send(&run, Signal::TERM);
    // The page under way is finished, and so is any that was asked for before the signal came.
    endless.permit(10_000);
    let ran = run.finish().expect_code(1);
    assert!(
        ran.stdout.starts_with("order: interrupted after"),
        "{ran:#?}"
    );
    assert!(
        ran.stderr.contains("stopped before it was done"),
        "{ran:#?}"
    );
    endless.assert_interrupted(endless.shop.api.asked().len());
}

#[test]
fn a_service_that_is_stopped_exits_0_and_whoever_asked_it_exits_1() {
    let endless = Endless::new();
    let service = endless.shop.house.start(&[]);
    endless.shop.house.wait_until_served();
    let asker = endless.shop.house.start(&["--run-now", "order"]);
    endless.permit(1);
    endless.wait_until_asked(2);
    send(&service, Signal::TERM);
    endless.permit(10_000);
    let asked = asker.finish().expect_code(1);
    assert!(
        asked.stdout.starts_with("order: interrupted after"),
        "{asked:#?}"
    );
    service.finish().expect_code(0);
    endless.assert_interrupted(endless.shop.api.asked().len());
}

#[test]
fn a_second_signal_drops_the_page_and_leaves() {
    let endless = Endless::new();
    let run = endless.shop.house.start(&["--run-now"]);
    endless.permit(2);
    endless.wait_until_asked(3);
    // Two kinds, because two of a kind may be told as one.
    send(&run, Signal::TERM);
    send(&run, Signal::INT);
    let ran = run.finish().expect_code(1);
    assert!(
        ran.stdout.starts_with("order: interrupted after"),
        "{ran:#?}"
    );
    endless.assert_interrupted(2);
}

#[test]
fn a_service_leaves_at_once_on_the_second_signal() {
    let endless = Endless::new();
    let service = endless.shop.house.start(&[]);
    endless.shop.house.wait_until_served();
    let asker = endless.shop.house.start(&["--run-now", "order"]);
    endless.permit(1);
    endless.wait_until_asked(2);
    send(&service, Signal::TERM);
    send(&service, Signal::INT);
    service.finish().expect_code(0);
    asker.finish().expect_code(1);
    endless.assert_interrupted(1);
}

#[test]
fn a_refresh_under_way_is_finished_whatever_signals_come() {
    let exact = Arc::new(Exact::new(Settings::default()));
    exact.sign_in();
    exact.house.run(&["--run-now"]).expect_code(0);
    exact
        .house
        .clock()
        .advance(Duration::from_secs(900))
        .unwrap();
    let gate = exact.hold_token_endpoint();
    let mut run = exact.house.start(&["--run-now"]);
    gate.wait_for_answer();
    send(&run, Signal::TERM);
    send(&run, Signal::INT);
    // It would be gone within milliseconds if it did not wait.
    assert!(!run.has_ended_within(Duration::from_millis(300)));
    gate.release();
    run.finish().expect_code(1);
    assert_eq!(exact.generation(), Some(2));
    exact.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(exact.sandbox.ledger().token_requests().len(), 2);
}

#[test]
fn a_closed_pipe_is_success() {
    let shop = Shop::new("none", |_| json(r#"[{"id": 1}, {"id": 2}]"#));
    let commands: [&[&str]; 12] = [
        &["--run-now"],
        &["--run-now", "--json"],
        &["check"],
        &["status"],
        &["status", "--json"],
        &["runs"],
        &["tables", "--json"],
        &["connections"],
        &["query", "SELECT * FROM \"order\""],
        &["query", "--csv", "SELECT * FROM \"order\""],
        &["query", "--json", "SELECT * FROM \"order\""],
        &["completions", "bash"],
    ];
    for words in commands {
        let ran = to_nobody(&shop, words);
        assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.stderr);
        assert_eq!(ran.stderr, "", "{words:?}");
    }
}

#[test]
fn a_failing_run_that_talks_to_nobody_still_fails() {
    let shop = Shop::new("none", |_| answer(404, &[], ""));
    let mut command = shop.house.command(&["--run-now"]);
    let stdout = unread();
    let stderr = unread();
    let status = command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    let outcomes = shop.house.rows("SELECT outcome FROM _tidegate_runs");
    assert_eq!(outcomes, [[Value::Text("failed".to_owned())]]);
}

/// Runs the program with an output that nobody reads.
fn to_nobody(shop: &Shop, words: &[&str]) -> Ran {
    let stdout = unread();
    let output = shop
        .house
        .command(words)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::new(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A pipe whose reader has gone.
fn unread() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}
