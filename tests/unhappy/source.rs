//! The source is away, broken, or not what it was said to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use insta::assert_snapshot;
use rusqlite::types::Value;
use tidegate::sandbox::Settings;

use crate::shop::{Shop, TOKEN};
use crate::support::{Asked, Exact, Ran, Scripted, answer, json};

const ORDERS: &str = r#"[{"id": 1, "total": 10}, {"id": 2, "total": 20}]"#;

/// Loads two orders, breaks the source as `ill` says, and runs again: what that tells.
///
/// Shows for every way of breaking that the rows stay, that the journal and `status` tell the same,
/// and that the next run goes well once the source does.
fn broken(paging: &str, ill: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> String {
    let is_ill = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_ill);
    let well = match paging {
        "odata" => format!(r#"{{"value": {ORDERS}}}"#),
        _ => ORDERS.to_owned(),
    };
    let shop = Shop::new(paging, move |asked| {
        if switch.load(Ordering::SeqCst) {
            ill(asked)
        } else {
            json(&well)
        }
    });
    shop.run().expect_code(0);

    is_ill.store(true, Ordering::SeqCst);
    let ran = shop.run().expect_code(1);
    assert_eq!(shop.rows(), 2);
    assert_told_again(&shop, &ran);

    is_ill.store(false, Ordering::SeqCst);
    let mended = shop.run().expect_code(0);
    assert!(
        mended.stdout.contains("0 inserted, 0 updated, 2 unchanged"),
        "{mended:#?}"
    );
    shop.house.run(&["status"]).expect_code(0);
    ran.timeless_block(&shop.house)
}

/// What `--run-now` said stands in the journal, and `status` and `runs` show it.
fn assert_told_again(shop: &Shop, ran: &Ran) {
    let runs = shop.house.run(&["runs", "--json"]).expect_code(0).json();
    let error = runs[0]["error"].as_str().unwrap();
    assert_eq!(runs[0]["outcome"], "failed", "{runs:#}");
    assert!(ran.stderr.contains(error), "{ran:#?}\n{runs:#}");
    let status = shop.house.run(&["status"]).expect_code(1);
    assert!(
        status.stdout.starts_with("not well: `order` failing"),
        "{status:#?}"
    );
    assert!(status.stdout.contains(error), "{status:#?}");
}

#[test]
fn an_unreachable_host_is_named() {
    let shop = Shop::new("none", |_| json(ORDERS));
    shop.run().expect_code(0);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    shop.house
        .write_private("tidegate.toml", &Shop::config(&url, "none"));
    let ran = shop.run();
    assert_snapshot!(ran.timeless_block(&shop.house), @r"
    exit 1
    --- stdout
    order: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `order`: GET http://127.0.0.1:PORT/orders: could not connect to http://127.0.0.1:PORT: Connection refused (os error 111), five times in TIME
    hint: nothing to do; the next run starts again
    ");
    assert_eq!(shop.rows(), 2);
    assert_told_again(&shop, &ran);
}

#[test]
fn a_web_page_is_not_taken_for_records() {
    let told = broken("none", |_| {
        let page = "<!DOCTYPE html>\n<title>Maintenance</title><h1>Back soon</h1>";
        answer(200, &["content-type: text/html"], page)
    });
    assert_snapshot!(told, @r"
    exit 1
    --- stdout
    order: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `order`: GET http://127.0.0.1:PORT/orders answered 200 with HTML, not JSON: content type `text/html`, beginning `<!DOCTYPE html> <title>Maintenance</title><h1>Back soon</h1>`
    hint: it may be a maintenance page; if it stays, check that `url` is the API's and not a page for people
    ");
}

/// A table that changes its shape does so in sight.
#[test]
fn a_column_that_was_widened_is_told_by_the_run_that_did_it() {
    let is_text = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_text);
    let shop = Shop::new("none", move |_| match switch.load(Ordering::SeqCst) {
        true => json(r#"[{"id": 1, "total": "ten"}]"#),
        false => json(r#"[{"id": 1, "total": 10}]"#),
    });
    shop.run().expect_code(0);
    is_text.store(true, Ordering::SeqCst);
    shop.run().expect_code(0);
    let note = "column `total` was widened from integer to text";
    let runs = shop.house.run(&["runs", "--json"]).json();
    assert_eq!(runs[0]["notes"], serde_json::json!([note]));
    assert_eq!(runs[1]["notes"], serde_json::json!([]));
    let shown = shop.house.run(&["runs"]).expect_code(0).stdout;
    assert_eq!(shown.matches(note).count(), 1, "{shown}");
}

#[test]
fn a_run_whose_time_is_up_tells_what_it_waited_for() {
    let shop = Shop::new("none", |_| answer(503, &["retry-after: 300"], ""));
    let config = Shop::config(&shop.api.url, "none") + "timeout = \"20s\"\n";
    shop.house.write_private("tidegate.toml", &config);
    let ran = shop.run();
    assert_snapshot!(ran.timeless_block(&shop.house), @r"
    exit 1
    --- stdout
    order: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `order`: stopped after 20s, the most a run of this flow may take; last: the source answered 503
    hint: nothing to do; the next run starts again
    ");
    let runs = shop.house.run(&["runs", "--json"]).expect_code(0).json();
    let error = runs[0]["error"].as_str().unwrap();
    assert!(
        error.ends_with("; last: the source answered 503"),
        "{error}"
    );
}

#[test]
fn a_server_that_stays_out_of_order_is_asked_five_times() {
    let told = broken("none", |_| answer(500, &[], "out of order"));
    assert_snapshot!(told, @r"
    exit 1
    --- stdout
    order: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `order`: GET http://127.0.0.1:PORT/orders answered 500, five times in TIME
    hint: nothing to do; the next run starts again
    ");
}

#[test]
fn what_is_forbidden_is_told_with_the_sources_own_words() {
    let told = broken("none", |_| {
        let body =
            r#"{"error": {"code": "Forbidden", "message": {"value": "No right to orders"}}}"#;
        answer(403, &["content-type: application/json"], body)
    });
    assert_snapshot!(told, @r"
    exit 1
    --- stdout
    order: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `order`: GET http://127.0.0.1:PORT/orders answered 403: No right to orders
    hint: the account that signed in may not read this; ask whoever grants rights at the source
    ");
}

#[test]
fn what_is_not_there_is_not_asked_for_twice() {
    let told = broken("none", |_| answer(404, &[], ""));
    assert_snapshot!(told, @r"
    exit 1
    --- stdout
    order: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `order`: GET http://127.0.0.1:PORT/orders answered 404
    hint: check `url`, upper and lower case too
    ");
}

#[test]
fn a_token_that_never_changes_and_is_refused_is_told_so() {
    let told = broken("none", |_| answer(401, &[], ""));
    assert_snapshot!(told, @r"
    exit 1
    --- stdout
    order: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `order`: the source refuses the credential of connection `shop`
    hint: check `token` or `basic` of connection `shop`
    ");
}

#[test]
fn a_body_that_breaks_off_is_not_merged() {
    let told = broken("none", |_| {
        let mut whole = json(r#"[{"id": 3}, {"id": 4}, {"id": 5}]"#);
        whole.truncate(whole.len() - 9);
        whole
    });
    assert_snapshot!(told, @r"
    exit 1
    --- stdout
    order: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `order`: GET http://127.0.0.1:PORT/orders: the answer of http://127.0.0.1:PORT was lost: end of file before message length reached, five times in TIME
    hint: nothing to do; the next run starts again
    ");
}

#[test]
fn json_that_ends_too_early_is_not_merged() {
    let told = broken("none", |_| json(r#"[{"id": 3}, {"id": 4"#));
    assert_snapshot!(told, @r"
    exit 1
    --- stdout
    order: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `order`: the answer to GET http://127.0.0.1:PORT/orders ended in the middle of its JSON, five times in TIME
    hint: nothing to do; the next run starts again
    ");
}

#[test]
fn a_next_link_that_leads_back_is_no_endless_loop() {
    let told = broken("odata", |_| {
        json(r#"{"value": [{"id": 1, "total": 10}], "@odata.nextLink": "/orders?page=2"}"#)
    });
    assert_snapshot!(told, @r"
    exit 1
    --- stdout
    order: failed after TIME, 2 records: 0 inserted, 0 updated, 2 unchanged
    --- stderr
    error: flow `order`: page 2, the answer to GET http://127.0.0.1:PORT/orders, leads back to a page of this run, and so would never end
    hint: check `paging` against what the source documents
    ");
}

#[test]
fn a_record_without_its_key_is_named() {
    let told = broken("none", |_| {
        json(r#"[{"id": 1, "total": 10}, {"total": 30}]"#)
    });
    assert_snapshot!(told, @r"
    exit 1
    --- stdout
    order: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `order`: table `order`: record 2 of page 1 has no `id`, which is in the primary key; its fields are `total`
    hint: name fields in `key` that every record has, and select them in the request
    ");
}

#[test]
fn a_next_link_to_another_host_does_not_get_the_token() {
    let stranger = Scripted::start(|_| json("[]"));
    let link = format!("{}/orders?page=2", stranger.url);
    let told = broken("odata", move |asked| {
        assert!(asked.headers.contains(TOKEN));
        json(&format!(
            r#"{{"value": [{{"id": 1, "total": 10}}], "@odata.nextLink": "{link}"}}"#
        ))
    });
    assert_snapshot!(told, @r"
    exit 1
    --- stdout
    order: failed after TIME, 1 record: 0 inserted, 0 updated, 1 unchanged
    --- stderr
    error: flow `order`: page 1, the answer to GET http://127.0.0.1:PORT/orders, names a next page at http://127.0.0.1:PORT, which is not the connection's own host
    hint: if that host belongs to the source, add it to `allow_hosts`
    ");
    assert!(stranger.asked().is_empty(), "{:?}", stranger.asked());
}

#[test]
fn a_spent_day_parks_the_run_until_the_source_takes_calls_again() {
    let settings = Settings {
        calls_per_day: 3,
        ..Settings::default()
    };
    let exact = Exact::new(settings);
    exact.sign_in();
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 1
    --- stdout
    project: parked after TIME, 180 records: 180 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `project`: the source's quota of 3 calls is used up; it goes on at 2026-01-06T00:00:00Z
    hint: nothing to do; the run goes on at 2026-01-06T00:00:00Z
    ");
    let runs = exact.house.run(&["runs", "--json"]).json();
    assert_eq!(runs[0]["outcome"], "parked");
    assert_eq!(runs[0]["resumes_at"], "2026-01-06T00:00:00Z");
    // What was read before stays, and the parked run is no alarm.
    assert_eq!(exact.table().len(), 180);
    let status = exact.house.run(&["status"]);
    assert_snapshot!(status.block(&exact.house), @r"
    exit 0
    --- stdout
    all went well so far: 1 flow
    the service is not running, so nothing runs by itself

     FLOW     STATE   LAST SUCCESS  LAST RUN                                                   NEXT
     project  parked  never         parked, 180 records: 180 inserted, 0 updated, 0 unchanged  -

     CONNECTION  STATE  ACCESS TOKEN ENDS  LOGIN ENDS  WHY
     exact       ok     in TIME          -

    project: the source's quota of 3 calls is used up; it goes on at 2026-01-06T00:00:00Z
      nothing to do; the run goes on at 2026-01-06T00:00:00Z
    ");
}

#[test]
fn one_flow_that_fails_does_not_stop_the_other() {
    let shop = Shop::new("none", |asked| match asked.line.as_str() {
        "GET /orders" => json(ORDERS),
        _ => answer(404, &[], ""),
    });
    let two = format!(
        "{}\n[flow.invoice]\nconnection = \"shop\"\nurl = \"/invoices\"\nkey = [\"id\"]\n",
        Shop::config(&shop.api.url, "none")
    );
    shop.house.write_private("tidegate.toml", &two);
    let ran = shop.run().expect_code(1);
    // Whichever ends first is told first.
    let mut lines: Vec<&str> = ran.stdout.lines().collect();
    lines.sort_unstable();
    assert!(lines[0].starts_with("invoice: failed"), "{lines:?}");
    assert!(
        lines[1].starts_with("order: 2 records: 2 inserted"),
        "{lines:?}"
    );
    assert_eq!(shop.rows(), 2);
    let outcomes = shop
        .house
        .rows("SELECT flow, outcome FROM _tidegate_runs ORDER BY flow");
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(
        outcomes,
        [
            [text("invoice"), text("failed")],
            [text("order"), text("succeeded")]
        ]
    );
    let status = shop.house.run(&["status"]).expect_code(1);
    assert!(
        status.stdout.starts_with("not well: `invoice` failing"),
        "{status:#?}"
    );
}
