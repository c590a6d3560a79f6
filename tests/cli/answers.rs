//! Answers about a table that is there.

use insta::assert_snapshot;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::io::Read;
use std::process::Stdio;
use tidegate::sandbox::Settings;

use crate::support::Exact;

fn exact() -> Exact {
    let settings = Settings {
        projects: 3,
        ..Settings::default()
    };
    let exact = Exact::new(settings);
    exact.sign_in();
    exact.house.run(&["--run-now"]).expect_code(0);
    exact
}

/// What the program answers to words.
fn told(exact: &Exact, words: &[&str]) -> String {
    exact.house.run(words).still_block(&exact.house)
}

#[test]
fn a_query_answers_as_a_table_as_csv_and_as_json() {
    let exact = exact();
    let sql = "SELECT code, length(code) AS letters, NULL AS gap, x'c0de' AS bytes, \
               'say \"a, b\"' AS words FROM project ORDER BY code LIMIT 2";
    assert_snapshot!(told(&exact, &["query", sql]), @r#"
    exit 0
    --- stdout
     code    letters   gap  bytes  words
     P00001        6  NULL  c0de   say "a, b"
     P00002        6  NULL  c0de   say "a, b"
    "#);
    assert_snapshot!(told(&exact, &["query", "--csv", sql]), @r#"
    exit 0
    --- stdout
    code,letters,gap,bytes,words
    P00001,6,,c0de,"say ""a, b"""
    P00002,6,,c0de,"say ""a, b"""
    "#);
    assert_snapshot!(told(&exact, &["query", "--json", sql]), @r#"
    exit 0
    --- stdout
    [
     {"code":"P00001","letters":6,"gap":null,"bytes":"c0de","words":"say \"a, b\""},
     {"code":"P00002","letters":6,"gap":null,"bytes":"c0de","words":"say \"a, b\""}
    ]
    "#);
    let none = "SELECT code FROM project WHERE 0";
    assert_snapshot!(told(&exact, &["query", none]), @r"
    exit 0
    --- stdout
     code
    ");
    assert_snapshot!(told(&exact, &["query", "--json", none]), @r"
    exit 0
    --- stdout
    []
    ");
}

#[test]
fn a_wrong_query_is_pointed_at_and_changes_nothing() {
    let exact = exact();
    assert_snapshot!(told(&exact, &["query", "SELECT code,\n  nope\nFROM project"]), @r"
    exit 2
    --- stderr
    error: no such column: nope
        nope
        ^
    ");
    assert_snapshot!(told(&exact, &["query", "SELECT code FROM"]), @r"
    exit 2
    --- stderr
    error: incomplete input
    ");
    assert_snapshot!(told(&exact, &["query", ""]), @r"
    exit 2
    --- stderr
    error: there is no statement
    ");
    assert_snapshot!(told(&exact, &["query", "SELECT 1; SELECT 2"]), @r"
    exit 2
    --- stderr
    error: there are several statements; ask one
    ");
    assert_snapshot!(told(&exact, &["query", "DELETE FROM project"]), @r"
    exit 2
    --- stderr
    error: attempt to write a readonly database
    hint: `query` only reads; use any SQLite tool to change your own tables
    ");
    assert_eq!(exact.table(), exact.truth());
}

#[test]
fn control_characters_from_outside_are_not_obeyed() {
    let exact = exact();
    let ran = exact
        .house
        .run(&["query", "SELECT char(27) || '[2J' AS clear"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 0
    --- stdout
     clear
     �[2J
    ");
}

#[test]
fn status_runs_tables_and_connections_fit_their_columns() {
    let exact = exact();
    for (words, shown) in [
        ("status", told(&exact, &["status"])),
        ("runs", told(&exact, &["runs"])),
        ("tables", told(&exact, &["tables"])),
        ("connections", told(&exact, &["connections"])),
    ] {
        let widest = shown.lines().map(|line| line.chars().count()).max();
        assert!(widest < Some(160), "{words}:\n{shown}");
    }
    assert_snapshot!(told(&exact, &["status"]), @r"
    exit 0
    --- stdout
    all went well so far: 1 flow
    the service is not running, so nothing runs by itself

     FLOW     STATE  LAST SUCCESS  LAST RUN                                       NEXT
     project  ok     just now      3 records: 3 inserted, 0 updated, 0 unchanged  -

     CONNECTION  STATE  ACCESS TOKEN ENDS  LOGIN ENDS  WHY
     exact       ok     in 10 min          -
    ");
    assert_snapshot!(told(&exact, &["runs"]), @r"
    exit 0
    --- stdout
     RUN  FLOW     WHY     STARTED                    OUTCOME    PAGES  WHAT
       1  project  manual  2026-01-05 08:00:00+00:00  succeeded      1  3 records: 3 inserted, 0 updated, 0 unchanged
    ");
    assert_snapshot!(told(&exact, &["tables"]), @r"
    exit 0
    --- stdout
     TABLE    ROWS  COLUMNS
     project     3  id text, code text, description text, modified timestamp, sync_at text, sync_deleted_at text, sync_deleted_reason text

    in HOUSE/tidegate-state/tidegate.db
    ");
}

#[test]
fn status_in_json_has_a_shape_that_programs_can_rely_on() {
    let exact = exact();
    let status = exact.house.run(&["status", "--json"]).expect_code(0).json();
    let keys = |value: &serde_json::Value| {
        let names = value.as_object().unwrap().keys().cloned();
        names.collect::<Vec<_>>().join(" ")
    };
    assert_snapshot!(keys(&status), @r"
    as_of connections flows line scheduled well
    ");
    assert_snapshot!(keys(&status["flows"][0]), @r"
    flow last_run last_success_at next_slot_at state table
    ");
    assert_snapshot!(keys(&status["flows"][0]["last_run"]), @r"
    bookmark bytes deleted ended_at error flow hint inserted notes outcome pages records remedy requests restored resumes_at run slot_at started_at trigger unchanged updated
    ");
    assert_snapshot!(keys(&status["connections"][0]), @r"
    connection detail expires_at generation hint login_ends_at next_at next_refresh_at notices person reason refresh_expires_at scope since state well
    ");
    assert_eq!(status["well"], true);
    assert_eq!(status["as_of"], "2026-01-05T08:00:00Z");
    assert_eq!(status["flows"][0]["state"], "ok");
    assert_eq!(
        status["connections"][0]["expires_at"],
        "2026-01-05T08:10:00Z"
    );
}

#[test]
fn a_failure_in_json_is_json_too() {
    let exact = exact();
    let ran = exact
        .house
        .run(&["runs", "projct", "--json"])
        .expect_code(2);
    assert_eq!(ran.json()["remedy"], "edit_config");
    assert_eq!(ran.stderr, "");
    exact
        .house
        .write_private("tidegate.toml", "[flow.a]\nconection = \"b\"\n");
    let report = exact.house.run(&["check", "--json"]).expect_code(2).json();
    let problems = report["problems"].as_array().unwrap();
    let typo = |problem: &serde_json::Value| problem["line"] == 2 && problem["column"] == 1;
    assert!(problems.iter().any(typo), "{report:#}");
}

#[test]
fn there_is_colour_on_a_terminal_only_and_not_under_no_color() {
    let exact = exact();
    exact
        .house
        .write_private("tidegate.toml", "[flow.a]\nconection = \"b\"\n");
    let escape = |text: &str| text.contains('\u{1b}');
    let piped = exact.house.run(&["check"]).expect_code(2);
    assert!(!escape(&piped.stderr), "{piped:#?}");
    assert!(escape(&on_a_terminal(&exact, &["check"], &[])));
    let minding = [("NO_COLOR", "1")];
    assert!(!escape(&on_a_terminal(&exact, &["check"], &minding)));
}

/// Runs the program on a terminal of its own; what that shows.
fn on_a_terminal(exact: &Exact, words: &[&str], environment: &[(&str, &str)]) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let open = || {
        let path = name.to_str().unwrap();
        let file = std::fs::File::options().read(true).write(true).open(path);
        Stdio::from(file.unwrap())
    };
    let mut child = exact
        .house
        .command(words)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(open())
        .stderr(open())
        .spawn()
        .unwrap();
    let mut shown = Vec::new();
    // Reading ends with an error once the last of the other side is gone.
    let _ = std::fs::File::from(terminal).read_to_end(&mut shown);
    child.wait().unwrap();
    String::from_utf8_lossy(&shown).into_owned()
}
