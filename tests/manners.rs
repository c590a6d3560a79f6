//! What a source allows is known to whoever runs flows next.

#![cfg(feature = "test-clock")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use support::{Asked, Ran, Scripted, TempHouse, answer, json};

/// Three flows of one source: two for the tenant `north`, one for `south`.
fn house(server: &Scripted, manners: &str) -> TempHouse {
    let flow = |name: &str, tenant: &str| {
        format!(
            r#"
            [flow.{name}]
            connection = "source"
            url        = "/{tenant}/{name}"
            vars       = {{ tenant = "{tenant}" }}
            tenant     = "{{{{ var.tenant }}}}"
            key        = ["id"]
            "#
        )
    };
    TempHouse::new(&format!(
        r#"
        [connection.source]
        base_url = "{}"
        paging   = "none"
        {manners}
        {}{}{}
        "#,
        server.url,
        flow("orders", "north"),
        flow("items", "north"),
        flow("people", "south"),
    ))
}

fn run(house: &TempHouse, flow: &str) -> Ran {
    house.run(&["--run-now", flow])
}

#[test]
fn a_spent_day_is_known_to_the_next_owner_and_to_the_flows_of_the_same_tenant() {
    let server = Scripted::start(|_: &Asked| json(r#"[{"id":1}]"#));
    let day = r#"limits = [{ calls = 3, per = "1d" }]"#; // one of them is left to others
    let house = house(&server, day);
    run(&house, "orders").expect_code(0);
    run(&house, "items").expect_code(0);
    let parked = run(&house, "orders").expect_code(1);
    assert!(
        parked
            .stderr
            .contains("the stated limit of 3 calls in 1d is used up; it goes on at"),
        "{}",
        parked.stderr
    );
    run(&house, "people").expect_code(0);
    assert_eq!(server.asked().len(), 3);
    house
        .clock()
        .advance(Duration::from_secs(25 * 60 * 60))
        .unwrap();
    run(&house, "orders").expect_code(0);
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn an_endpoint_that_refuses_us_is_not_asked_until_the_source_blocks_us() {
    let server = Scripted::start(|asked: &Asked| match asked.line.as_str() {
        "GET /north/orders" => answer(404, &[], ""),
        _ => json(r#"[{"id":1}]"#),
    });
    let house = house(&server, r#"error_budget = { errors = 3, per = "1h" }"#);
    for _ in 0..2 {
        let refused = run(&house, "orders").expect_code(1);
        assert!(
            refused.stderr.contains("answered 404"),
            "{}",
            refused.stderr
        );
    }
    let parked = run(&house, "orders").expect_code(1);
    let why = "the source blocks clients after 3 refused requests in 1h, and has refused nearly \
               as many; it goes on at";
    assert!(parked.stderr.contains(why), "{}", parked.stderr);
    assert_eq!(server.asked().len(), 2);
    // What it refused says nothing of its other endpoints.
    run(&house, "items").expect_code(0);
    house.clock().advance(Duration::from_secs(62 * 60)).unwrap();
    run(&house, "orders").expect_code(1);
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn a_source_that_asked_us_to_stay_away_is_left_alone_by_the_next_owner() {
    let server = Scripted::start(|_: &Asked| answer(429, &["retry-after: 3600"], ""));
    let house = house(&server, "");
    run(&house, "orders").expect_code(1);
    let parked = run(&house, "items").expect_code(1);
    assert!(
        parked
            .stderr
            .contains("the source asked us to wait; it goes on at"),
        "{}",
        parked.stderr
    );
    assert_eq!(server.asked().len(), 1);
}
