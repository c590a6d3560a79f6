//! Sources that tell what changed since they were last asked, by a link or a word.

use std::sync::atomic::{AtomicUsize, Ordering};

use insta::assert_snapshot;
use rusqlite::types::Value;

use crate::shelf::{Shelf, records};
use crate::support::{Asked, answer, json};

/// Microsoft Graph: links within one read, and one for the next.
const BY_LINK: &str = r#"
paging = "odata"
delta = { link = "['@odata.deltaLink']" }
tombstones = { field = "['@removed']" }
"#;

fn graph(rows: &str, link: &str) -> Vec<u8> {
    json(&format!(r#"{{"value":{rows},{link}}}"#))
}

/// Returns what the source was asked, as it was written.
fn asked(shelf: &Shelf) -> Vec<String> {
    shelf
        .source
        .asked()
        .into_iter()
        .map(|asked| asked.line)
        .collect()
}

#[test]
fn a_delta_link_is_kept_with_the_last_page_and_asked_the_next_time() {
    let shelf = Shelf::answering(BY_LINK, |asked: &Asked| match asked.line.as_str() {
        "GET /items" => graph(&records(1..=3), r#""@odata.nextLink":"/two""#),
        "GET /two" => graph(
            &records(4..=4),
            r#""@odata.deltaLink":"/items?since=a%20b""#,
        ),
        // In order: one goes and comes back, one comes and goes.
        "GET /items?since=a%20b" => graph(
            r#"[{"id":1,"@removed":{"reason":"deleted"}},{"id":2,"@removed":{}},
                {"id":2,"name":"again"},{"id":9,"name":"n9"},{"id":9,"@removed":{}}]"#,
            r#""@odata.deltaLink":"/items?since=c""#,
        ),
        _ => graph("[]", r#""@odata.deltaLink":"/items?since=c""#),
    });
    assert_eq!(shelf.counts(), "4 inserted, 0 updated, 0 unchanged");
    assert_eq!(
        shelf.counts(),
        "1 inserted, 0 updated, 0 unchanged, 3 deleted, 1 restored"
    );
    assert_eq!(shelf.rows(), (vec![2, 3, 4], vec![1, 9]));
    assert_eq!(shelf.counts(), "0 inserted, 0 updated, 0 unchanged");
    let expected = [
        "GET /items",
        "GET /two",
        "GET /items?since=a%20b",
        "GET /items?since=c",
    ];
    assert_eq!(asked(&shelf), expected);
}

#[test]
fn promise_a_delta_read_that_is_cut_short_keeps_its_link_and_loses_nothing() {
    let tries = AtomicUsize::new(0);
    let shelf = Shelf::answering(BY_LINK, move |asked: &Asked| match asked.line.as_str() {
        "GET /items" => graph(&records(1..=3), r#""@odata.deltaLink":"/since""#),
        "GET /since" => graph(&records(4..=5), r#""@odata.nextLink":"/more""#),
        _ if tries.fetch_add(1, Ordering::SeqCst) == 0 => answer(404, &[], ""),
        _ => graph(
            r#"[{"id":1,"@removed":{}}]"#,
            r#""@odata.deltaLink":"/later""#,
        ),
    });
    shelf.counts();
    shelf.run().expect_code(1);
    assert_eq!(shelf.rows(), ((1..=5).collect(), vec![]));
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 2 unchanged, 1 deleted"
    );
    let expected = [
        "GET /items",
        "GET /since",
        "GET /more",
        "GET /since",
        "GET /more",
    ];
    assert_eq!(asked(&shelf), expected);
    assert_eq!(shelf.rows(), ((2..=5).collect(), vec![1]));
}

#[test]
fn a_word_goes_along_with_every_page_of_the_next_read() {
    // Google: the word for the next read comes with the last page only.
    let lines = r#"
paging = { style = "cursor", path = "nextPageToken", query = "pageToken" }
records = "items"
query = { showDeleted = "true" }
delta = { token = "nextSyncToken", query = "syncToken" }
tombstones = { field = "status", equals = "cancelled" }
"#;
    let shelf = Shelf::answering(lines, |asked: &Asked| match asked.line.as_str() {
        "GET /items?showDeleted=true" => json(&format!(
            r#"{{"items":{},"nextPageToken":"p2"}}"#,
            records(1..=2)
        )),
        "GET /items?showDeleted=true&pageToken=p2" => json(&format!(
            r#"{{"items":{},"nextSyncToken":"s1"}}"#,
            records(3..=3)
        )),
        "GET /items?showDeleted=true&syncToken=s1" => {
            json(r#"{"items":[{"id":1,"status":"cancelled"}],"nextPageToken":"q2"}"#)
        }
        "GET /items?showDeleted=true&syncToken=s1&pageToken=q2" => json(&format!(
            r#"{{"items":{},"nextSyncToken":"s2"}}"#,
            records(4..=4)
        )),
        _ => json(r#"{"items":[],"nextSyncToken":"s2"}"#),
    });
    assert_eq!(shelf.counts(), "3 inserted, 0 updated, 0 unchanged");
    assert_eq!(
        shelf.counts(),
        "1 inserted, 0 updated, 0 unchanged, 1 deleted"
    );
    shelf.counts();
    assert_eq!(asked(&shelf)[4], "GET /items?showDeleted=true&syncToken=s2");
    assert_eq!(shelf.rows(), (vec![2, 3, 4], vec![1]));
}

#[test]
fn a_word_of_every_page_is_kept_with_every_page_and_sent_to_its_own_place() {
    // Dropbox: what was asked first is not asked again, and each page has a word to go on from.
    let lines = r#"
method = "POST"
body = { json = { path = "", recursive = true } }
paging = { style = "cursor", path = "cursor", body = "cursor", more = "has_more" }
records = "entries"
delta = { token = "cursor", body = "cursor", continue_url = "/items/continue", every_page = true }
tombstones = { field = "['.tag']", equals = "deleted" }
"#;
    let tries = AtomicUsize::new(0);
    let shelf = Shelf::answering(lines, move |asked: &Asked| {
        let body = String::from_utf8_lossy(&asked.body).into_owned();
        let page = |rows: &str, cursor: &str, more: bool| {
            json(&format!(
                r#"{{"entries":{rows},"cursor":"{cursor}","has_more":{more}}}"#
            ))
        };
        match (asked.line.as_str(), body.as_str()) {
            ("POST /items", _) => page(&records(1..=2), "a", false),
            ("POST /items/continue", r#"{"cursor":"a"}"#) => page(&records(3..=3), "b", true),
            ("POST /items/continue", r#"{"cursor":"b"}"#) => {
                match tries.fetch_add(1, Ordering::SeqCst) {
                    0 => answer(404, &[], ""),
                    _ => page(r#"[{"id":1,".tag":"deleted"}]"#, "c", false),
                }
            }
            other => panic!("{other:?}"),
        }
    });
    shelf.counts();
    shelf.run().expect_code(1);
    // It goes on from the page that was merged, not from where it began.
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 0 unchanged, 1 deleted"
    );
    assert_eq!(shelf.rows(), (vec![2, 3], vec![1]));
}

#[test]
fn promise_a_link_the_source_no_longer_knows_leads_to_a_whole_read_that_deletes_only_at_its_end() {
    for refusal in [
        answer(410, &[], ""),
        answer(412, &[], r#"{"message":"Sync token invalid or too old"}"#),
        answer(
            409,
            &[],
            r#"{"error_summary":"reset/..","error":{".tag":"reset"}}"#,
        ),
        answer(
            400,
            &[],
            r#"{"error":{"code":"syncStateNotFound","message":"gone"}}"#,
        ),
        answer(400, &[], r#"{"error":{"code":"resyncRequired"}}"#),
    ] {
        let reads = AtomicUsize::new(0);
        let second = AtomicUsize::new(0);
        let shelf = Shelf::answering(BY_LINK, move |asked: &Asked| match asked.line.as_str() {
            "GET /items" if reads.fetch_add(1, Ordering::SeqCst) == 0 => {
                graph(&records(1..=6), r#""@odata.deltaLink":"/since""#)
            }
            "GET /items" => graph(&records(2..=4), r#""@odata.nextLink":"/two""#),
            // The second page fails once: until it has come, rows five and six may be on it.
            "GET /two" => match second.fetch_add(1, Ordering::SeqCst) {
                0 => answer(404, &[], ""),
                _ => graph(&records(5..=5), r#""@odata.deltaLink":"/fresh""#),
            },
            "GET /since" => refusal.clone(),
            "GET /fresh" => graph("[]", r#""@odata.deltaLink":"/fresh""#),
            other => panic!("{other}"),
        });
        shelf.counts();
        shelf.run().expect_code(1);
        assert_eq!(shelf.rows(), ((1..=6).collect(), vec![]));
        assert_eq!(
            shelf.counts(),
            "0 inserted, 0 updated, 4 unchanged, 2 deleted"
        );
        assert_eq!(shelf.rows(), ((2..=5).collect(), vec![1, 6]));
        shelf.counts();
        let expected = [
            "GET /items",
            "GET /since",
            "GET /items",
            "GET /two",
            "GET /items",
            "GET /two",
            "GET /fresh",
        ];
        assert_eq!(asked(&shelf), expected);
    }
}

#[test]
fn promise_a_whole_read_that_is_parked_starts_over_since_only_a_whole_one_tells_what_is_gone() {
    let reads = AtomicUsize::new(0);
    let second = AtomicUsize::new(0);
    let shelf = Shelf::answering(BY_LINK, move |asked: &Asked| match asked.line.as_str() {
        "GET /items" if reads.fetch_add(1, Ordering::SeqCst) == 0 => {
            graph(&records(1..=4), r#""@odata.deltaLink":"/since""#)
        }
        "GET /items" => graph(&records(1..=2), r#""@odata.nextLink":"/two""#),
        "GET /two" => match second.fetch_add(1, Ordering::SeqCst) {
            0 => answer(429, &["retry-after: 600"], ""),
            _ => graph(&records(3..=3), r#""@odata.deltaLink":"/fresh""#),
        },
        _ => answer(410, &[], ""),
    });
    shelf.counts();
    shelf.run().expect_code(1);
    let minute = std::time::Duration::from_secs(60);
    shelf.house.clock().advance(minute * 11).unwrap();
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 3 unchanged, 1 deleted"
    );
    assert_eq!(shelf.rows(), (vec![1, 2, 3], vec![4]));
    let expected = [
        "GET /items",
        "GET /since",
        "GET /items",
        "GET /two",
        "GET /items",
        "GET /two",
    ];
    assert_eq!(asked(&shelf), expected);
}

#[test]
fn a_reset_is_told_in_the_run_and_another_refusal_is_none() {
    let reads = AtomicUsize::new(0);
    let shelf = Shelf::answering(BY_LINK, move |asked: &Asked| match asked.line.as_str() {
        "GET /items" => graph(&records(1..=3), r#""@odata.deltaLink":"/since""#),
        _ => match reads.fetch_add(1, Ordering::SeqCst) {
            0 => answer(410, &[], r#"{"error":{"message":"the state is too old"}}"#),
            _ => answer(400, &[], r#"{"error":{"message":"no such filter"}}"#),
        },
    });
    shelf.counts();
    let ran = shelf.run().expect_code(0);
    assert_snapshot!(ran.timeless_block(&shelf.house), @r"
    exit 0
    --- stdout
    item: 3 records: 0 inserted, 0 updated, 3 unchanged in TIME
    --- stderr
    note: flow `item`: the source no longer knows where it was to go on from (GET http://127.0.0.1:PORT/since answered 410: the state is too old): everything is read anew
    ");
    let ran = shelf.run().expect_code(1);
    assert!(
        ran.stderr.contains("answered 400: no such filter"),
        "{ran:#?}"
    );
}

#[test]
fn a_link_older_than_the_source_keeps_deletions_is_not_used() {
    let lines = BY_LINK.replacen("deltaLink']\" }", "deltaLink']\", retention = \"7d\" }", 1);
    let reads = AtomicUsize::new(0);
    let shelf = Shelf::answering(&lines, move |asked: &Asked| match asked.line.as_str() {
        "GET /items" if reads.fetch_add(1, Ordering::SeqCst) == 0 => {
            graph(&records(1..=3), r#""@odata.deltaLink":"/since""#)
        }
        "GET /items" => graph(&records(2..=3), r#""@odata.deltaLink":"/since""#),
        _ => graph("[]", r#""@odata.deltaLink":"/since""#),
    });
    shelf.counts();
    let day = std::time::Duration::from_secs(86_400);
    // Read every so often, the same link stays good.
    for _ in 0..2 {
        shelf.house.clock().advance(day * 6).unwrap();
        shelf.counts();
    }
    shelf.house.clock().advance(day * 8).unwrap();
    assert_eq!(
        shelf.counts(),
        "0 inserted, 0 updated, 2 unchanged, 1 deleted"
    );
    assert_eq!(shelf.rows(), (vec![2, 3], vec![1]));
    let expected = ["GET /items", "GET /since", "GET /since", "GET /items"];
    assert_eq!(asked(&shelf), expected);
}

#[test]
fn a_source_that_gives_no_link_is_read_anew_and_a_link_elsewhere_is_not_followed() {
    let shelf = Shelf::answering(BY_LINK, |_| {
        json(&format!(r#"{{"value":{}}}"#, records(1..=3)))
    });
    shelf.counts();
    let ran = shelf.run().expect_code(0);
    assert!(ran.stdout.contains("3 unchanged"), "{ran:#?}");
    let kept = shelf.house.rows("SELECT count(*) FROM _tidegate_bookmarks");
    assert_eq!(kept, [[Value::Integer(0)]]);

    let shelf = Shelf::answering(BY_LINK, |_| {
        graph(
            &records(1..=3),
            r#""@odata.deltaLink":"https://other.invalid/items""#,
        )
    });
    shelf.counts();
    let ran = shelf.run().expect_code(1);
    let says = "the delta link leads to https://other.invalid";
    assert!(ran.stderr.contains(says), "{ran:#?}");
}
