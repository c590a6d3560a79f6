//! A bookmark moves with what it covers, goes back when its source breaks its word, and ends with
//! its table.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::types::Value;
use support::{Asked, Scripted, TempHouse, answer, json};

/// A house with one flow, which reads `/rows` of `server` in the order of `version`.
fn house(server: &Scripted) -> TempHouse {
    TempHouse::new(&format!(
        r#"
        [connection.source]
        base_url = "{}"

        [flow.row]
        connection = "source"
        url        = "/rows"
        query      = {{ since = "{{{{ bookmark }}}}" }}
        paging     = {{ style = "next_url", path = "next" }}
        records    = "rows"
        cursor     = {{ field = "version", ordered = true }}
        key        = ["id"]
        "#,
        server.url
    ))
}

fn bookmark(house: &TempHouse) -> Option<String> {
    let rows = house.rows("SELECT value FROM _tidegate_bookmarks");
    match rows.first().map(|row| &row[0]) {
        Some(Value::Text(value)) => Some(value.clone()),
        _ => None,
    }
}

fn count(house: &TempHouse) -> Value {
    house.rows("SELECT count(*) FROM row")[0][0].clone()
}

#[test]
fn promise_a_bookmark_moves_with_each_page_of_an_ordered_read_and_no_further() {
    let server = Scripted::start(|asked: &Asked| match asked.line.as_str() {
        "GET /rows" => {
            json(r#"{"rows":[{"id":1,"version":10},{"id":2,"version":20}],"next":"/2"}"#)
        }
        "GET /2" => json(r#"{"rows":[{"id":3,"version":30}],"next":"/3"}"#),
        // The third page cannot be had; the second run starts at what the first one merged.
        "GET /3" => answer(404, &[], ""),
        _ => json(r#"{"rows":[{"id":3,"version":30},{"id":4,"version":40}]}"#),
    });
    let house = house(&server);
    house.run(&["--run-now"]).expect_code(1);
    assert_eq!(
        (bookmark(&house), count(&house)),
        (Some("30".to_owned()), Value::Integer(3))
    );

    house.run(&["--run-now"]).expect_code(0);
    let requests = house.rows("SELECT requests FROM _tidegate_runs ORDER BY run");
    assert_eq!(requests, [[Value::Integer(3)], [Value::Integer(1)]]);
    assert_eq!(server.asked().last().unwrap().line, "GET /rows?since=30");
    assert_eq!(
        (bookmark(&house), count(&house)),
        (Some("40".to_owned()), Value::Integer(4))
    );
}

#[test]
fn promise_a_bookmark_goes_back_when_the_source_breaks_its_order() {
    let read = Arc::new(AtomicUsize::new(0));
    let reads = Arc::clone(&read);
    let server = Scripted::start(move |asked: &Asked| match asked.line.as_str() {
        "GET /rows" => json(r#"{"rows":[{"id":1,"version":10}]}"#),
        "GET /rows?since=10" if reads.fetch_add(1, Ordering::SeqCst) == 0 => {
            json(r#"{"rows":[{"id":2,"version":50}],"next":"/late"}"#)
        }
        "GET /rows?since=10" => json(r#"{"rows":[{"id":4,"version":30}]}"#),
        // Less than what came before: who started after 50 would never see it again.
        "GET /late" => json(r#"{"rows":[{"id":3,"version":20}],"next":"/gone"}"#),
        _ => answer(404, &[], ""),
    });
    let house = house(&server);
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(bookmark(&house).as_deref(), Some("10"));
    house.run(&["--run-now"]).expect_code(1);
    assert_eq!(
        (bookmark(&house).as_deref(), count(&house)),
        (Some("10"), Value::Integer(3))
    );
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(
        (bookmark(&house).as_deref(), count(&house)),
        (Some("30"), Value::Integer(4))
    );
}

#[test]
fn a_table_that_was_dropped_is_read_anew_from_the_beginning() {
    let server = Scripted::start(|asked: &Asked| match asked.line.as_str() {
        "GET /rows" => json(r#"{"rows":[{"id":1,"version":10},{"id":2,"version":20}]}"#),
        _ => json(r#"{"rows":[{"id":2,"version":20}]}"#),
    });
    let house = house(&server);
    house.run(&["--run-now"]).expect_code(0);
    let database = house.path("tidegate-state/tidegate.db");
    let person = rusqlite::Connection::open(database).unwrap();
    person.execute_batch("DROP TABLE row").unwrap();

    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(server.asked().last().unwrap().line, "GET /rows");
    assert_eq!(count(&house), Value::Integer(2));
}

#[test]
fn an_error_in_place_of_a_page_neither_ends_the_reading_nor_moves_the_bookmark_past_it() {
    let server = Scripted::start(|asked: &Asked| match asked.line.as_str() {
        "GET /rows" => json(r#"{"rows":[{"id":1,"version":10}],"next":"/2"}"#),
        _ => json(r#"{"error":"the backend took too long"}"#),
    });
    let house = house(&server);
    let ran = house.run(&["--run-now"]).expect_code(1);
    assert!(ran.stderr.contains("has nothing at `rows`"), "{ran:#?}");
    assert_eq!(bookmark(&house).as_deref(), Some("10"));
}
