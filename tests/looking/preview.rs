//! `preview`: one page, shown and not written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use insta::assert_snapshot;
use serde_json::json;

use crate::support::{Asked, Scripted, TempHouse, answer, json as page};

/// The token that the shop wants.
const TOKEN: &str = "shop-token-1b9f0c";

/// A shop whose answers `answer` gives, and a house with a flow of its orders.
fn shop(answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> (Scripted, TempHouse) {
    let server = Scripted::start(answer);
    let house = TempHouse::new(&format!(
        r#"
[connection.shop]
base_url = "{}"
token    = {{ file = "shop-token" }}

[flow.order]
connection = "shop"
url        = "/orders"
query      = {{ state = "open", api_key = "canary-of-the-query" }}
headers    = {{ X-Version = "7" }}
paging     = {{ style = "cursor", path = "next", query = "after" }}
records    = "$.items[*]"
key        = ["id"]
"#,
        server.url
    ));
    house.write_private("shop-token", TOKEN);
    (server, house)
}

const FIRST: &str = r#"{"items":[{"id":1,"total":10,"note":"a"},{"id":2,"total":12.5,"note":null}],
    "next":"w2"}"#;

#[test]
fn a_preview_shows_request_records_and_table_and_writes_nothing() {
    let (server, house) = shop(|_| page(FIRST));
    let ran = house.run(&["preview", "order"]).expect_code(0);
    let shown = ran.stdout.replace(&server.url, "[shop]");
    assert_snapshot!(shown, @"
    GET [shop]/orders?state=open&api_key=[removed]
      accept: application/json
      x-version: 7
      (the credential is in header `authorization`)
    answered 200 with 2 records
    the next page would be asked for with
      GET [shop]/orders?state=open&api_key=[removed]&after=w2
        accept: application/json
        x-version: 7
        (the credential is in header `authorization`)

    2 rows for table `order`, which is new
     COLUMN  HOLDS    TYPE     FIELD  KEY  NEW
     id      integer  INTEGER  id     key  new
     total   real     REAL     total       new
     note    text     TEXT     note        new

     id  total  note
     1   10.0   a
     2   12.5   NULL

    Nothing was written.
    ");
    assert!(!shown.contains(TOKEN) && !shown.contains("canary"));

    assert_eq!(server.asked().len(), 1);
    let sent = server.asked()[0].header("authorization");
    assert_eq!(sent, Some(format!("Bearer {TOKEN}")));
    let tables = "SELECT 1 FROM sqlite_schema WHERE name = 'order'";
    assert!(house.rows(tables).is_empty());
    assert!(house.rows("SELECT 1 FROM _tidegate_runs").is_empty());
    assert!(house.rows("SELECT 1 FROM _tidegate_columns").is_empty());
}

#[test]
fn a_preview_tells_what_would_change_about_a_table_that_is_there() {
    let is_later = Arc::new(AtomicBool::new(false));
    let later = Arc::clone(&is_later);
    let (_server, house) = shop(move |_| match later.load(Ordering::SeqCst) {
        false => page(r#"{"items":[{"id":1,"total":10}]}"#),
        true => {
            page(r#"{"items":[{"id":1,"total":"ten","by":"x"},{"id":1,"total":"11","by":"y"}]}"#)
        }
    });
    house.run(&["--run-now"]).expect_code(0);
    is_later.store(true, Ordering::SeqCst);
    let shown = house
        .run(&["--json", "preview", "order"])
        .expect_code(0)
        .json();
    let table = &shown["table"];
    assert_eq!(table["is_new"], false);
    assert_eq!((&table["rows"], &table["repeated"]), (&json!(1), &json!(1)));
    let widened = "column `total` would be widened from integer to text";
    assert_eq!(table["widened"], json!([widened]));
    let columns = table["columns"].as_array().unwrap();
    let columns = columns.iter().map(|column| {
        json!([
            column["name"],
            column["kind"],
            column["is_key"],
            column["is_new"]
        ])
    });
    let expected = json!([
        ["id", "integer", true, false],
        ["total", "text", false, false],
        ["by", "text", false, true]
    ]);
    assert_eq!(serde_json::Value::from_iter(columns), expected);
    assert_eq!(table["first_rows"], json!([[1, "11", "y"]]));
    assert_eq!(shown["next"], "last");

    let tables = house.run(&["--json", "tables"]).json();
    let columns = tables[0]["columns"].as_array().unwrap();
    assert!(
        !columns.iter().any(|column| column["name"] == "by"),
        "{tables}"
    );
    assert_eq!(tables[0]["columns"][1]["kind"], "integer");
}

#[test]
fn what_would_end_the_run_is_told_with_the_request_that_led_there() {
    let cases = [
        (
            page(r#"{"items":[{"id":1},{"name":"x"}]}"#),
            200,
            "record 2 of page 1 has no `id`",
        ),
        (answer(404, &[], ""), 404, "answered 404"),
    ];
    for (bytes, status, words) in cases {
        let (_server, house) = shop(move |_| bytes.clone());
        let ran = house.run(&["--json", "preview", "order"]).expect_code(2);
        let shown = ran.json();
        assert_eq!(shown["status"], status, "{shown}");
        assert_eq!(shown["request"]["method"], "GET");
        let error = shown["problem"]["error"].as_str().unwrap();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_flow_that_would_read_nothing_has_no_preview() {
    let server = Scripted::start(|_| page("[]"));
    let house = TempHouse::new(&format!(
        "[connection.shop]\nbase_url = \"{}\"\n[flow.task]\nconnection = \"shop\"\nurl = \"/tasks\"\n\
         for_each = {{ sql = \"SELECT 1 AS id WHERE 0\" }}\npaging = \"none\"\nkey = [\"id\"]\n",
        server.url
    ));
    let told = house.run(&["preview", "task"]).block(&house);
    assert_snapshot!(told, @r"
    exit 2
    --- stderr
    error: there is nothing to preview: `for_each` gives no items now
    hint: look at `[flow.task]` and `[connection.shop]`
    ");
    let told = house.run(&["preview", "tsak"]).block(&house);
    assert_snapshot!(told, @r"
    exit 2
    --- stderr
    error: there is no flow `tsak` (did you mean `task`?); there are: `task`
    ");
    assert!(server.asked().is_empty());
}

#[test]
fn the_owner_of_the_state_directory_is_the_one_that_asks() {
    let (server, house) = shop(|_| page(FIRST));
    let daemon = house.start_daemon();
    let shown = house
        .run(&["--json", "preview", "order"])
        .expect_code(0)
        .json();
    assert_eq!(shown["records"], 2);
    let next = shown["next"]["asked_for"]["url"].as_str().unwrap();
    assert!(
        next.ends_with("/orders?state=open&api_key=[removed]&after=w2"),
        "{next}"
    );
    assert_eq!(server.asked().len(), 1);
    drop(daemon);
}
