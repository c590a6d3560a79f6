//! A table is its source, and stays untouched while the source does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use tidegate::sandbox::Settings;

use crate::support::Exact;

/// How many projects there are: several pages of sixty, the last one not full.
const PROJECTS: usize = 500;
/// A moment between two runs.
const MINUTE: Duration = Duration::from_secs(60);
/// The lengths of a write-ahead log's header and of the header of each of its frames, as SQLite's
/// file format has them.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// A flow that reads everything every time, and one that reads what changed.
fn house() -> Exact {
    let cursor =
        "cursor = { field = \"Modified\", filter = \"Modified ge datetime'{{ bookmark }}'\" }";
    let settings = Settings {
        projects: PROJECTS,
        ..Settings::default()
    };
    let flows = [
        Exact::project_flow("everything", "every = \"1h\""),
        Exact::project_flow("project", &format!("every = \"1h\"\n{cursor}")),
    ];
    let house = Exact::with_flows(settings, &flows.concat());
    house.sign_in();
    house
}

/// Runs both flows; returns how the runs ended, that of `everything` first.
fn run(exact: &Exact) -> [Value; 2] {
    let ran = exact.house.run(&["--run-now", "--json"]).expect_code(0);
    let mut ended = ran.ended();
    ["everything", "project"].map(|flow| ended.remove(flow).expect("both flows were asked for"))
}

fn count(end: &Value, of: &str) -> u64 {
    end["tally"][of]
        .as_u64()
        .unwrap_or_else(|| panic!("no `{of}` in {end}"))
}

#[test]
fn promise_a_table_equals_its_source_value_by_value() {
    let exact = house();
    for end in run(&exact) {
        assert_eq!(count(&end, "inserted"), PROJECTS as u64, "{end}");
    }
    // All eighty fields, and not only those somebody thought of.
    assert!(exact.house.rows("SELECT * FROM project LIMIT 1")[0].len() > 50);
    assert_eq!(exact.expect_equal("everything"), PROJECTS);
    assert_eq!(exact.expect_equal("project"), PROJECTS);

    exact.house.clock().advance(MINUTE).unwrap();
    exact.sandbox.change_projects(70);
    exact.sandbox.insert_projects(30);
    let [everything, project] = run(&exact);
    for end in [&everything, &project] {
        let moved = (count(end, "inserted"), count(end, "updated"));
        assert_eq!(moved, (30, 70), "{end}");
    }
    // What did not change was not even read.
    assert!(count(&project, "records") < 200, "{project}");
    assert_eq!(exact.expect_equal("everything"), PROJECTS + 30);
    assert_eq!(exact.expect_equal("project"), PROJECTS + 30);
}

#[test]
fn promise_a_repeated_run_over_unchanged_source_data_leaves_the_pages_of_its_table_unwritten() {
    let exact = house();
    let database = exact.house.path("tidegate-state/tidegate.db");
    run(&exact);
    let owned = pages_of(&database, &["everything", "project"]);
    assert!(owned.len() > 100, "{owned:?}");

    let written = written_by(&database, || {
        for end in run(&exact) {
            assert_eq!(count(&end, "inserted"), 0, "{end}");
            assert_eq!(count(&end, "updated"), 0, "{end}");
        }
    });
    assert!(!written.is_empty(), "the journal at least was written");
    assert_eq!(written.intersection(&owned).count(), 0, "{written:?}");

    // The same eyes see a single changed value.
    exact.house.clock().advance(MINUTE).unwrap();
    exact.sandbox.change_projects(1);
    let written = written_by(&database, || drop(run(&exact)));
    assert!(written.intersection(&owned).count() >= 2, "{written:?}");
}

/// Returns the numbers of the pages that tables and their indexes are made of.
fn pages_of(database: &Path, tables: &[&str]) -> BTreeSet<u32> {
    let data = Connection::open(database).unwrap();
    let mut statement = data
        .prepare(
            "SELECT pageno FROM dbstat WHERE name IN \
             (SELECT name FROM sqlite_schema WHERE tbl_name = ?1)",
        )
        .unwrap();
    let mut pages = BTreeSet::new();
    for table in tables {
        let found = statement.query_map([table], |row| row.get::<_, u32>(0));
        pages.extend(found.unwrap().map(Result::unwrap));
    }
    pages
}

/// Returns the pages that were written while `work` was done, also those written with what they
/// held already: every write goes through the write-ahead log, which is emptied before.
fn written_by(database: &Path, work: impl FnOnce()) -> BTreeSet<u32> {
    let emptied = Connection::open(database).unwrap();
    let busy: i64 = emptied
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(busy, 0);
    // Held open, so that nobody who leaves is the last and tidies the log away.
    work();
    let log = fs::read(database.with_extension("db-wal")).unwrap();
    let (header, frames) = log.split_at(LOG_HEADER);
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let page = usize::try_from(number(&header[8..12])).unwrap();
    let frames = frames.chunks_exact(FRAME_HEADER + page);
    drop(emptied);
    // What an earlier turn of the log left behind carries another salt.
    frames
        .filter(|frame| frame[8..16] == header[16..24])
        .map(|frame| number(&frame[..4]))
        .collect()
}
