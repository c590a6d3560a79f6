//! `plan`: what the schedule will cost.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::{Asked, Scripted, TempHouse, answer, json as page};

const FLOWS: &str = r#"
[flow.order]
connection = "shop"
every      = "15m"
url        = "/orders"
paging     = { style = "next_url", path = "next" }
records    = "$.items[*]"
key        = ["id"]

[flow.task]
connection = "shop"
schedule   = "0 6 * * 1-5"
url        = "/tasks"
paging     = "none"
key        = ["id"]
"#;

fn house(server: &Scripted, connection: &str) -> TempHouse {
    TempHouse::new(&format!(
        "[connection.shop]\nbase_url = \"{}\"\n{connection}\n{FLOWS}",
        server.url
    ))
}

/// A shop with three pages of orders; each answer has `headers`.
fn shop(headers: &'static [&'static str]) -> Scripted {
    Scripted::start(move |asked: &Asked| {
        let next = match asked.line.as_str() {
            "GET /orders" => r#""/orders?page=2""#,
            "GET /orders?page=2" => r#""/orders?page=3""#,
            _ => "null",
        };
        let id = asked.line.len();
        let body = format!(
            r#"{{"items":[{{"id":"{}{id}"}}],"next":{next}}}"#,
            asked.line
        );
        answer(200, headers, &body)
    })
}

#[test]
fn a_plan_holds_what_runs_needed_against_the_stated_limits() {
    let server = shop(&[]);
    let limits = "limits = [{ calls = 300, per = \"1d\" }, { calls = 10, per = \"1s\" }]";
    let house = house(&server, limits);
    let before = house.run(&["plan"]).expect_code(0).stdout;
    assert_snapshot!(before, @r"
    connection `shop`
     FLOW   RUNS A DAY  CALLS A RUN  CALLS A DAY  KNOWN FROM
     order          96            1           96  nothing; one is assumed
     task            1            1            1  nothing; one is assumed
    fits: 97 of 299 (300 calls in 1d, less the reserve)
    fits: 1 of 10 (10 calls in 1s, less the reserve)
    ");
    house.run(&["--run-now", "order"]).expect_code(0);
    let after = house
        .run(&["--json", "plan", "order"])
        .expect_code(0)
        .json();
    let flow = &after[0]["flows"][0];
    assert_eq!(
        (
            &flow["calls_per_run"],
            &flow["known_from_runs"],
            &flow["calls_per_day"]
        ),
        (&json!(3), &json!(1), &json!(288))
    );
    assert_eq!(after[0]["limits"][0]["fits"], true);
    assert_eq!(server.asked().len(), 3, "a plan asks nothing");
}

#[test]
fn a_plan_holds_the_calls_until_a_window_ends_against_what_the_source_said_is_left() {
    let server = shop(&[
        "x-ratelimit-limit: 100",
        "x-ratelimit-remaining: 40",
        "x-ratelimit-reset: 43200",
    ]);
    let house = house(&server, "");
    house.run(&["--run-now", "order"]).expect_code(0);
    let plan = house.run(&["--json", "plan"]).expect_code(0).json();
    let limit = &plan[0]["limits"][0];
    assert_eq!(limit["fits"], false, "{plan}");
    assert!(limit["allowed"].as_u64().unwrap() <= 40, "{plan}");
    let told = house.run(&["plan"]).expect_code(0).stdout;
    assert!(told.contains("does not fit: "), "{told}");
}

#[test]
fn a_plan_without_limits_says_so_and_an_unknown_flow_is_refused() {
    let server = Scripted::start(|_| page("[]"));
    let house = house(&server, "");
    let told = house.run(&["plan", "task"]).expect_code(0).stdout;
    assert!(told.contains("no limit is known: 1 calls a day"), "{told}");
    house.run(&["plan", "tsak"]).expect_code(2);
}
