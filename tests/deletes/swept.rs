//! What whole reads do not bring any more is gone, and what anything less does not bring is not.

use insta::assert_snapshot;
use rusqlite::types::Value;

use crate::shelf::{Shelf, records};
use crate::support::{Asked, answer, json};

const ONE_PAGE: &str = "paging = \"none\"";

#[test]
fn a_row_is_gone_once_two_whole_reads_in_a_row_did_not_bring_it() {
    let (shelf, content) = Shelf::holding(ONE_PAGE, &records(1..=20));
    shelf.counts();
    content.set(&records((1..=20).filter(|key| ![3, 7].contains(key))));
    assert_eq!(shelf.counts(), "0 inserted, 0 updated, 18 unchanged");
    assert_eq!(shelf.rows().1, [0_i64; 0]);
    // Row 7 was only missed.
    content.set(&records((1..=20).filter(|key| ![3, 9].contains(key))));
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 18 unchanged, 1 deleted"
    );
    assert_eq!(shelf.rows().1, [3]);
    let marks = "SELECT sync_deleted_reason, sync_deleted_at = sync_at FROM item WHERE id = 3";
    let reason = [Value::Text("absent".to_owned()), Value::Integer(1)];
    assert_eq!(shelf.house.rows(marks), [reason]);
    // It stays marked while it stays away, nothing is told twice, and it may come back.
    content.set(&records((1..=20).filter(|key| *key != 3)));
    assert_eq!(shelf.counts(), "0 inserted, 0 updated, 19 unchanged");
    content.set(&records(1..=20));
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 19 unchanged, 1 restored"
    );
    assert_eq!(shelf.rows(), ((1..=20).collect(), vec![]));
}

#[test]
fn once_is_enough_for_a_flow_that_says_so_and_hard_removes() {
    let lines = format!("{ONE_PAGE}\ndeletes = {{ mode = \"hard\", sweep = \"once\" }}");
    let (shelf, content) = Shelf::holding(&lines, &records(1..=20));
    shelf.counts();
    content.set(&records(2..=20));
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 19 unchanged, 1 deleted"
    );
    let left = shelf.house.rows("SELECT count(*), min(id) FROM item");
    assert_eq!(left, [[Value::Integer(19), Value::Integer(2)]]);
}

#[test]
fn a_marked_row_is_removed_for_good_when_its_time_is_over() {
    let lines = format!("{ONE_PAGE}\ndeletes = {{ sweep = \"once\", purge_after = \"30d\" }}");
    let (shelf, content) = Shelf::holding(&lines, &records(1..=20));
    shelf.counts();
    content.set(&records(2..=20));
    shelf.counts();
    let day = std::time::Duration::from_secs(86_400);
    shelf.house.clock().advance(day * 29).unwrap();
    shelf.counts();
    assert_eq!(shelf.rows(), ((2..=20).collect(), vec![1]));
    shelf.house.clock().advance(day * 2).unwrap();
    shelf.counts();
    assert_eq!(shelf.rows(), ((2..=20).collect(), vec![]));
}

#[test]
fn a_flow_that_never_sweeps_or_ignores_deletions_keeps_everything() {
    for deletes in ["\"ignore\"", "{ sweep = \"never\" }"] {
        let lines = format!("{ONE_PAGE}\ndeletes = {deletes}");
        let (shelf, content) = Shelf::holding(&lines, &records(1..=20));
        shelf.counts();
        content.set(&records(2..=20));
        for _ in 0..3 {
            assert_eq!(shelf.counts(), "0 inserted, 0 updated, 19 unchanged");
        }
        let left = shelf.house.rows("SELECT count(*) FROM item");
        assert_eq!(left, [[Value::Integer(20)]]);
    }
}

#[test]
fn promise_a_source_that_suddenly_lost_too_much_deletes_nothing_until_a_person_allows_it() {
    let lines = format!("{ONE_PAGE}\ndeletes = {{ sweep = \"once\" }}");
    let (shelf, content) = Shelf::holding(&lines, &records(1..=200));
    shelf.counts();
    // Ten of a hundred may go.
    content.set(&records(21..=200));
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 180 unchanged, 20 deleted"
    );
    content.set(&records(61..=201));
    let ran = shelf.run().expect_code(1);
    assert_snapshot!(ran.timeless_block(&shelf.house), @r#"
    exit 1
    --- stdout
    item: failed after TIME, 141 records: 1 inserted, 0 updated, 140 unchanged
    --- stderr
    error: flow `item`: the source no longer has 40 of the 181 rows of `item` (21, 22, 23, 24, 25, …), and a run may delete 18: none was deleted
    hint: look whether the account may still read them; if they are gone, allow it for as long as that takes: deletes = { max = "23%" }
    "#);
    assert_eq!(shelf.rows().1.len(), 20);
    // What came was merged all the same; what a person allows then goes.
    shelf.configure(&format!(
        "{ONE_PAGE}\ndeletes = {{ sweep = \"once\", max = \"23%\" }}"
    ));
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 141 unchanged, 40 deleted"
    );
}

#[test]
fn ten_rows_may_always_go_and_a_number_may_be_said() {
    let lines = format!("{ONE_PAGE}\ndeletes = {{ sweep = \"once\" }}");
    let (shelf, content) = Shelf::holding(&lines, &records(1..=12));
    shelf.counts();
    content.set(&records(11..=12));
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 2 unchanged, 10 deleted"
    );

    let lines = format!("{ONE_PAGE}\ndeletes = {{ sweep = \"once\", max = 1 }}");
    let (shelf, content) = Shelf::holding(&lines, &records(1..=12));
    shelf.counts();
    content.set(&records(3..=12));
    let ran = shelf.run().expect_code(1);
    assert!(ran.stderr.contains("2 of the 12 rows"), "{ran:#?}");
    assert_eq!(shelf.rows().1, [0_i64; 0]);
}

#[test]
fn promise_a_suddenly_empty_source_deletes_nothing() {
    let (shelf, content) = Shelf::holding(ONE_PAGE, &records(1..=3));
    shelf.counts();
    content.set("[]");
    let ran = shelf.run().expect_code(1);
    assert_snapshot!(ran.timeless_block(&shelf.house), @r#"
    exit 1
    --- stdout
    item: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `item`: the source sent no records at all, and `item` has 3 rows: none was deleted
    hint: look whether the account may still read them; if they are gone, allow it for as long as that takes: deletes = { max = "100%" }
    "#);
    shelf.run().expect_code(1);
    assert_eq!(shelf.rows(), (vec![1, 2, 3], vec![]));
    // A person who knows that it is empty says so; it still takes two reads.
    shelf.configure(&format!("{ONE_PAGE}\ndeletes = {{ max = \"100%\" }}"));
    assert_eq!(shelf.counts(), "0 inserted, 0 updated, 0 unchanged");
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 0 unchanged, 3 deleted"
    );
}

#[test]
fn promise_a_read_that_failed_or_was_cut_deletes_nothing() {
    // The second page cannot be had, is cut, or leads astray: what it would have brought is not gone.
    type Second = fn() -> Vec<u8>;
    let ill: [Second; 3] = [
        || answer(404, &[], ""),
        || json("{\"rows\":[{\"id\":"),
        || json(r#"{"rows":[],"next":"http://other.invalid/"}"#),
    ];
    for second in ill {
        let reads = std::sync::atomic::AtomicUsize::new(0);
        let lines = r#"
paging = { style = "next_url", path = "next" }
records = "rows"
deletes = { sweep = "once", max = "100%" }
"#;
        let shelf = Shelf::answering(lines, move |asked: &Asked| {
            let first = format!(r#"{{"rows":{},"next":"/two"}}"#, records(1..=3));
            if asked.line == "GET /items" {
                return json(&first);
            }
            match reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => json(&format!(r#"{{"rows":{}}}"#, records(4..=6))),
                _ => second(),
            }
        });
        assert_eq!(shelf.counts(), "6 inserted, 0 updated, 0 unchanged");
        shelf.run().expect_code(1);
        assert_eq!(shelf.rows(), ((1..=6).collect(), vec![]));
    }
}

#[test]
fn a_read_that_brought_another_number_than_the_source_counts_deletes_nothing() {
    let lines = r#"
paging = { style = "offset", param = "at", limit_param = "limit", limit = 10, total_records = "total" }
records = "rows"
deletes = { sweep = "once" }
"#;
    let body = |rows: &str, total: u32| format!(r#"{{"rows":{rows},"total":{total}}}"#);
    let (shelf, content) = Shelf::holding(lines, &body(&records(1..=6), 6));
    shelf.counts();
    // Six were counted and five came: one slipped from a page we had not read to one we had.
    content.set(&body(&records(1..=5), 4));
    assert_eq!(shelf.counts(), "0 inserted, 0 updated, 5 unchanged");
    assert_eq!(shelf.rows().1, [0_i64; 0]);
    content.set(&body(&records(1..=5), 5));
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 5 unchanged, 1 deleted"
    );
}

#[test]
fn a_read_from_the_bookmark_or_of_the_last_days_deletes_nothing() {
    for lines in [
        "query = { since = \"{{ bookmark }}\" }\ncursor = { field = \"id\" }",
        "query = { since = \"{{ now }}\" }",
    ] {
        let lines = format!("{ONE_PAGE}\n{lines}");
        let (shelf, content) = Shelf::holding(&lines, &records(1..=6));
        shelf.counts();
        content.set(&records([6]));
        for _ in 0..3 {
            assert_eq!(shelf.counts(), "0 inserted, 0 updated, 1 unchanged");
        }
        let left = shelf.house.rows("SELECT count(*) FROM item");
        assert_eq!(left, [[Value::Integer(6)]]);
    }
}

#[test]
fn a_read_after_the_bookmark_is_gone_is_whole_and_so_is_the_one_after_it_if_rows_are_missing() {
    let lines = format!(
        "{ONE_PAGE}\nquery = {{ since = \"{{{{ bookmark }}}}\" }}\ncursor = {{ field = \"id\" }}"
    );
    let (shelf, content) = Shelf::holding(&lines, &records(1..=6));
    shelf.counts();
    let database = shelf.house.path("tidegate-state/tidegate.db");
    let person = rusqlite::Connection::open(database).unwrap();
    person
        .execute_batch("DELETE FROM _tidegate_bookmarks")
        .unwrap();
    content.set(&records(2..=6));
    assert_eq!(shelf.counts(), "0 inserted, 0 updated, 5 unchanged");
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 5 unchanged, 1 deleted"
    );
    shelf.counts();
    let asked: Vec<String> = shelf
        .source
        .asked()
        .iter()
        .map(|asked| asked.line.clone())
        .collect();
    assert_eq!(
        asked,
        [
            "GET /items",
            "GET /items",
            "GET /items",
            "GET /items?since=6"
        ]
    );
    assert_eq!(shelf.rows(), ((2..=6).collect(), vec![1]));
}
