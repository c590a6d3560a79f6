//! Exact Online as a company reads it: several divisions, by row version, within a day's calls.

#![cfg(feature = "test-clock")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use rusqlite::types::Value;
use support::{Exact, eventually};
use tidegate::sandbox::{At, Canned, Fault, Settings};

const DIVISIONS: [i32; 3] = [123_456, 223_344, 998_877];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The divisions, and the projects of each by row version.
const FLOWS: &str = r#"
[flow.division]
connection = "exact"
url        = "/api/v1/123456/system/Divisions"
query      = { "$select" = "Code,Description,Status" }
key        = ["Code"]
columns    = { code = "Code", name = "Description", status = "Status" }

[flow.project]
connection = "exact"
every      = "15m"
for_each   = { sql = "SELECT code AS division FROM division ORDER BY code" }
tenant     = "{{ each.division }}"
with       = { division = "{{ each.division }}" }
url        = "/api/v1/{{ each.division }}/sync/Project/Projects"
query      = { "$select" = "Timestamp,ID,Code,Description,Modified,BudgetedAmount" }
cursor     = { field = "Timestamp", filter = "Timestamp gt {{ bookmark | odata_int64 }}", start = 1, ordered = true }
key        = ["ID"]
"#;

fn company(settings: Settings) -> Exact {
    let settings = Settings {
        divisions: DIVISIONS.to_vec(),
        ..settings
    };
    let exact = Exact::with_flows(settings, FLOWS);
    exact.sign_in();
    exact.house.run(&["--run-now", "division"]).expect_code(0);
    exact
}

/// Fails the test unless the table has exactly the projects of every division.
#[track_caller]
fn expect_equal(exact: &Exact) {
    let mut expected = Vec::new();
    for division in DIVISIONS {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        expected.extend(exact.sandbox.projects_of(division).iter().map(|project| {
            let [id, code, words] = ["ID", "Code", "Description"].map(|name| text(&project[name]));
            [division.to_string(), id, code, words]
        }));
    }
    expected.sort();
    let sql = r#"SELECT division, ID, Code, Description FROM project"#;
    let text = |value: Value| match value {
        Value::Text(text) => text,
        Value::Integer(integer) => integer.to_string(),
        other => panic!("{other:?} is neither text nor an integer"),
    };
    let rows = exact.house.rows(sql).into_iter();
    let rows = rows.map(|row| <[Value; 4]>::try_from(row).unwrap().map(text));
    let mut rows: Vec<[String; 4]> = rows.collect();
    rows.sort();
    assert_eq!(rows, expected);
}

/// Returns how many pages the projects of all divisions take.
fn pages(exact: &Exact, page: usize) -> usize {
    let count = |division| exact.sandbox.projects_of(division).len().div_ceil(page);
    DIVISIONS.map(count).iter().sum()
}

fn targets(exact: &Exact, part: &str) -> usize {
    let requests = exact.sandbox.ledger().api_requests();
    let is_meant = |target: &str| target.contains(part);
    requests.iter().filter(|it| is_meant(&it.target)).count()
}

#[test]
fn every_division_is_read_by_row_version_with_a_bookmark_of_its_own() {
    let exact = company(Settings {
        projects: 250,
        bulk_page: 100,
        ..Settings::default()
    });
    exact.house.run(&["--run-now", "project"]).expect_code(0);
    expect_equal(&exact);
    let first = pages(&exact, 100);
    assert_eq!(targets(&exact, "sync/Project/Projects"), first);

    exact.sandbox.insert_projects(3);
    exact.sandbox.change_projects(5);
    let ran = exact
        .house
        .run(&["--run-now", "project", "--json"])
        .expect_code(0);
    expect_equal(&exact);
    let ended = &ran.ended()["project"];
    assert_eq!(ended["tally"]["inserted"], 3);
    assert!(ended["tally"]["updated"].as_u64().unwrap() <= 5);
    // One request each: nothing that has not changed is asked for.
    assert_eq!(
        targets(&exact, "sync/Project/Projects"),
        first + DIVISIONS.len()
    );
    let parts = exact
        .house
        .rows("SELECT part FROM _tidegate_bookmarks WHERE flow = 'project'");
    assert_eq!(parts.len(), DIVISIONS.len());
}

#[test]
fn a_first_load_larger_than_a_day_parks_and_goes_on_by_itself_where_it_was() {
    let exact = company(Settings {
        projects: 900,
        bulk_page: 100,
        calls_per_day: 4,
        ..Settings::default()
    });
    let mut daemon = exact.house.start_daemon();
    exact.house.run(&["--run-now", "project"]);
    let parked = || {
        let runs = exact.house.run(&["runs", "--json", "project"]).json();
        (runs[0]["outcome"] == "parked").then(|| runs[0]["resumes_at"].as_str().unwrap().to_owned())
    };
    assert_eq!(parked().unwrap(), "2026-01-06T00:00:00Z");
    let all = DIVISIONS.map(|division| exact.sandbox.projects_of(division).len());
    let all = i64::try_from(all.iter().sum::<usize>()).unwrap();
    let complete = || {
        let counts = exact.house.rows("SELECT count(*) FROM project");
        counts[0][0] == Value::Integer(all)
    };
    let mut days = 0;
    while !complete() {
        days += 1;
        assert!(days <= 3, "it does not go on");
        let calls = targets(&exact, "sync/Project");
        exact.house.clock().advance(DAY).unwrap();
        assert!(eventually(|| targets(&exact, "sync/Project") > calls));
        assert!(eventually_ended(&exact));
    }
    assert!(days >= 2, "{days}");
    expect_equal(&exact);
    // Every page once; a division that has nothing more to give is asked once a run.
    let requests = exact.sandbox.ledger().api_requests();
    let calls = requests
        .iter()
        .filter(|it| it.target.contains("sync/Project") && it.status == 200);
    let calls: Vec<&str> = calls.map(|it| it.target.as_str()).collect();
    assert!(
        calls.len() <= pages(&exact, 100) + 3 * DIVISIONS.len(),
        "{calls:#?}"
    );
    daemon.terminate();
    assert!(daemon.has_ended_within(Duration::from_secs(60)));
}

/// Waits until the latest run has ended.
fn eventually_ended(exact: &Exact) -> bool {
    eventually(|| {
        let runs = exact.house.run(&["runs", "--json", "project"]).json();
        runs[0]["ended_at"].is_string()
    })
}

#[test]
fn a_resource_that_wants_its_columns_named_says_so_in_the_error() {
    let exact = company(Settings::default());
    let config = std::fs::read_to_string(exact.house.config()).unwrap();
    let bare = config.replace(
        r#"query      = { "$select" = "Timestamp,ID,Code,Description,Modified,BudgetedAmount" }"#,
        "",
    );
    assert_ne!(bare, config);
    exact.house.write_private("tidegate.toml", &bare);
    let ran = exact.house.run(&["--run-now", "project"]).expect_code(1);
    assert!(
        ran.stderr.contains("answered 400") && ran.stderr.contains("$select"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_empty_list_for_lost_rights_empties_no_table() {
    let flow = Exact::project_flow("project", "every = \"15m\"\n");
    let exact = Exact::with_flows(Settings::default(), &flow);
    exact.sign_in();
    exact.house.run(&["--run-now"]).expect_code(0);
    let before = exact.expect_equal("project");
    for _ in 0..3 {
        exact
            .sandbox
            .inject(At::Api, Fault::Lose(Canned::NoRecords), 1);
        exact.house.run(&["--run-now"]);
        assert_eq!(exact.expect_equal("project"), before);
    }
}
