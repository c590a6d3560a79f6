//! Answers that mean something else than their status says.

#![cfg(feature = "test-clock")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use support::{Asked, Ran, Scripted, TempHouse, answer, json};
use tidegate::clock::Clock;

/// A token that no source of these tests may have shown.
const TOKEN: &str = "CANARY-shop-token";

/// A server that says one thing after the other, and the last of them again and again.
fn saying(answers: impl IntoIterator<Item = Vec<u8>>) -> Scripted {
    let script = Mutex::new(answers.into_iter().collect::<VecDeque<_>>());
    Scripted::start(move |_: &Asked| {
        let mut script = script.lock().unwrap();
        match script.len() {
            1 => script[0].clone(),
            _ => script.pop_front().unwrap(),
        }
    })
}

/// A house with a flow `order` that reads page by page; `connection` and `flow` are more lines.
fn house(server: &Scripted, connection: &str, flow: &str) -> TempHouse {
    let url = &server.url;
    let house = TempHouse::new(&format!(
        r#"
        [connection.shop]
        base_url = "{url}"
        token = {{ file = "token" }}
        {connection}

        [flow.order]
        connection = "shop"
        url = "/orders"
        key = ["id"]
        records = "items"
        paging = {{ style = "cursor", path = "next", query = "cursor" }}
        {flow}
        "#
    ));
    house.write_private("token", TOKEN);
    house
}

fn rules(rules: &str) -> String {
    format!("response_rules = [{rules}]")
}

/// Spells a page with one record, and with another behind it.
fn page(id: u32, more: bool) -> Vec<u8> {
    let next = if more { r#","next":"more""# } else { "" };
    json(&format!(r#"{{"items":[{{"id":{id},"at":{id}0}}]{next}}}"#))
}

fn run(house: &TempHouse) -> Ran {
    house.run_as_time_passes(&["--run-now", "order"])
}

fn rows(house: &TempHouse, table: &str) -> usize {
    house.rows(&format!("SELECT 1 FROM \"{table}\"")).len()
}

fn bookmarks(house: &TempHouse) -> usize {
    rows(house, "_tidegate_bookmarks")
}

#[track_caller]
fn assert_says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is not in {ran:#?}");
    }
    assert!(!ran.stderr.contains(TOKEN), "{ran:#?}");
}

#[test]
fn an_error_with_status_200_fails_with_the_words_of_the_rule_and_of_the_source() {
    let said = format!(r#"{{"ok":false,"error":"{TOKEN} may not read channels"}}"#);
    let server = saying([json(&said)]);
    let rule = r#"{ status = "2xx", when = ".ok == false", action = "fail", message = "no page" }"#;
    let house = house(&server, &rules(rule), "");
    let ran = run(&house).expect_code(1);
    assert_says(
        &ran,
        &["/orders answered 200: no page: ", "may not read channels"],
    );
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn every_condition_must_hold_and_the_flows_rules_come_first() {
    let refusal = || {
        answer(
            400,
            &["X-Why: Archived by X"],
            r#"{"code":7,"error":"No Longer here"}"#,
        )
    };
    let full = r#"status = [404, "4xx"], header = { name = "x-why", contains = "ARCHIVED" },
        contains = "no longer HERE", when = ".code == 7", action = "stop""#;
    let full = full.replace('\n', " ");
    let with = |flow: &str| {
        let server = saying([page(1, true), refusal()]);
        let behind = rules(r#"{ status = 400, action = "fail", message = "of the connection" }"#);
        let house = house(&server, &behind, &rules(flow));
        (run(&house), house)
    };
    let (ran, fits) = with(&format!("{{ {full} }}"));
    assert_eq!((ran.code, rows(&fits, "order")), (Some(0), 1), "{ran:#?}");
    for (right, wrong) in [
        (r#"[404, "4xx"]"#, "404"),
        ("x-why", "x-other"),
        ("ARCHIVED", "deleted"),
        ("no longer HERE", "never was"),
        (".code == 7", ".code == 8"),
        (".code == 7", ".[0]"), // fails on an object
    ] {
        assert!(full.contains(right), "{right}");
        let (ran, _) = with(&format!("{{ {} }}", full.replace(right, wrong)));
        assert_says(&ran.expect_code(1), &["of the connection: No Longer here"]);
    }
}

#[test]
fn what_may_pass_is_asked_for_again_a_few_times() {
    let not_yet = || answer(404, &[], "Still PREPARING");
    let rule = rules(r#"{ status = 404, contains = "preparing", action = "retry" }"#);
    let server = saying([not_yet(), not_yet(), page(1, false)]);
    let patient = house(&server, "", &rule);
    run(&patient).expect_code(0);
    assert_eq!(server.asked().len(), 3);

    let server = saying([not_yet()]);
    let ran = run(&house(&server, "", &rule)).expect_code(1);
    assert_says(&ran, &["/orders answered 404, five times in "]);
    assert_eq!(server.asked().len(), 5);
}

#[test]
fn the_source_is_left_alone_for_as_long_as_it_or_the_rule_says() {
    let busy = |headers: &[&str]| answer(200, headers, r#"{"ok":false,"error":"busy"}"#);
    let rule = |after: &str| {
        rules(&format!(
            r#"{{ contains = "busy", action = "wait"{after} }}"#
        ))
    };
    for (headers, after, seconds) in [
        (&["Retry-After: 40"] as &[_], r#", after = "2s""#, 40),
        (&[], r#", after = "2m""#, 120),
        (&[], "", 60),
    ] {
        let server = saying([busy(headers), page(1, false)]);
        let house = house(&server, &rule(after), "");
        let before = house.clock().now();
        run(&house).expect_code(0);
        let waited = house.clock().now().duration_since(before).as_secs();
        assert!(
            (seconds..seconds + 20).contains(&waited),
            "{waited} s for {seconds}"
        );
        assert_eq!((server.asked().len(), rows(&house, "order")), (2, 1));
    }
    // It never ends, and so the run does.
    let server = saying([busy(&[])]);
    let ran = run(&house(&server, &rule(r#", after = "1s""#), "")).expect_code(1);
    assert_says(&ran, &["/orders answered 200, five times in ", ": busy"]);
    assert_eq!(server.asked().len(), 5);
}

#[test]
fn a_long_wait_parks_the_run_and_holds_every_flow_of_the_connection() {
    let server = saying([json(r#"{"ok":false}"#)]);
    let other =
        "[flow.item]\nconnection = \"shop\"\nurl = \"/items\"\nkey = [\"id\"]\npaging = \"none\"";
    let rule = rules(r#"{ when = ".ok == false", action = "wait", after = "1h" }"#);
    let house = house(&server, &rule, other);
    let began: Timestamp = house.clock().now();
    let ran = house.run(&["--run-now", "order"]).expect_code(1);
    assert_says(&ran, &["the source asked us to wait; it goes on at"]);
    let runs = house.run(&["runs", "order", "--json"]).json();
    assert_eq!(runs[0]["outcome"], "parked");
    let resumes_at: Timestamp = runs[0]["resumes_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(resumes_at.duration_since(began).as_secs() / 60, 60);
    house.run(&["--run-now", "item"]).expect_code(1);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_refusal_in_other_words_gets_a_newer_access_token_once() {
    let accepted = Arc::new(Mutex::new("t1"));
    let (accepts, tokens) = (Arc::clone(&accepted), Mutex::new(0));
    let server = Scripted::start(move |asked: &Asked| {
        if asked.line.starts_with("POST /token") {
            let mut tokens = tokens.lock().unwrap();
            *tokens += 1;
            return json(&format!(
                r#"{{"access_token":"t{tokens}","token_type":"bearer","expires_in":3600}}"#
            ));
        }
        let sent = asked.header("authorization").unwrap();
        match sent.ends_with(*accepts.lock().unwrap()) {
            true => page(1, false),
            false => answer(400, &[], r#"{"error":"TokenExpired"}"#),
        }
    });
    let house = house(
        &server,
        r#"response_rules = [{ status = 400, contains = "tokenexpired", action = "refresh" }]"#,
        "",
    );
    let config = std::fs::read_to_string(house.path("tidegate.toml")).unwrap();
    let client = format!(
        "grant = \"client_credentials\"\ntoken_url = \"{}/token\"\nclient_id = \"c\"\nclient_secret",
        server.url
    );
    house.write_private("tidegate.toml", &config.replacen("token", &client, 1));
    let pages = || {
        let asked = server.asked();
        let pages = asked.iter().filter(|asked| asked.line.starts_with("GET"));
        pages.count()
    };
    run(&house).expect_code(0);
    for (accepts, code, asked) in [("t2", 0, 3), ("none", 1, 5)] {
        house.clock().advance(Duration::from_secs(600)).unwrap();
        *accepted.lock().unwrap() = accepts;
        run(&house).expect_code(code);
        assert_eq!(pages(), asked, "{accepts}");
    }
}

#[test]
fn what_is_left_out_is_no_failure_and_is_told_and_is_not_complete() {
    let server = Scripted::start(|asked: &Asked| match asked.line.contains("/2/") {
        true => answer(404, &[], r#"{"error":"no such project"}"#),
        false => json(r#"{"items":[{"id":1,"at":10}]}"#),
    });
    let flow = r#"for_each = { list = [1, 2, 3] }
        with = { project = "{{ each.value }}" }
        cursor = { field = "at" }
        query = { since = "{{ bookmark }}" }
        response_rules = [{ status = 404, action = "skip", message = "it was archived" }]"#;
    let house = house(&server, "", flow);
    let config = std::fs::read_to_string(house.path("tidegate.toml")).unwrap();
    let config = config
        .replace("\"/orders\"", "\"/projects/{{ each.value }}/orders\"")
        .replace("key = [\"id\"]", "key = [\"project\", \"id\"]");
    house.write_private("tidegate.toml", &config);
    let ran = run(&house).expect_code(0);
    let words = "`value=2`: left out this time: GET ";
    let why = "/projects/2/orders answered 404: it was archived: no such project";
    assert_says(&ran, &[words, why]);
    let runs = house.run(&["runs", "order"]).expect_code(0).stdout;
    assert!(runs.contains(words) && runs.contains(why), "{runs}");
    assert_eq!((rows(&house, "order"), bookmarks(&house)), (2, 2));
}

#[test]
fn the_rest_of_a_list_that_is_left_out_holds_the_bookmark() {
    let server = saying([page(1, true), answer(403, &[], "")]);
    let flow = "cursor = { field = \"at\" }\nquery = { since = \"{{ bookmark }}\" }\n";
    let skip = rules(r#"{ status = 403, action = "skip" }"#);
    let left_out = house(&server, "", &format!("{flow}{skip}"));
    run(&left_out).expect_code(0);
    assert_eq!((rows(&left_out, "order"), bookmarks(&left_out)), (1, 0));

    let server = saying([page(1, true), answer(403, &[], "")]);
    let stop = rules(r#"{ status = 403, action = "stop" }"#);
    let ended = house(&server, "", &format!("{flow}{stop}"));
    let ran = run(&ended).expect_code(0);
    assert!(!ran.stderr.contains("left out"), "{ran:#?}");
    assert_eq!((rows(&ended, "order"), bookmarks(&ended)), (1, 1));
}

#[test]
fn a_list_that_moved_is_begun_anew_twice_at_most() {
    let moved = || answer(409, &[], r#"{"message":"the list has changed"}"#);
    let rule = rules(r#"{ status = 409, action = "restart" }"#);
    let server = saying([page(1, true), moved(), page(1, true), page(2, false)]);
    let calm = house(&server, "", &rule);
    let ran = run(&calm).expect_code(0);
    assert_says(
        &ran,
        &[
            "the list was begun anew: GET ",
            "answered 409: the list has changed",
        ],
    );
    assert_eq!(rows(&calm, "order"), 2);
    let asked: Vec<_> = server.asked().into_iter().map(|asked| asked.line).collect();
    let (first, second) = ("GET /orders", "GET /orders?cursor=more");
    assert_eq!(asked, [first, second, first, second]);

    let server = Scripted::start(move |asked: &Asked| match asked.line.contains("cursor") {
        true => moved(),
        false => page(1, true),
    });
    let ran = run(&house(&server, "", &rule)).expect_code(1);
    assert_says(&ran, &["answered 409: the list has changed"]);
    assert_eq!(server.asked().len(), 6);
}

#[test]
fn a_program_that_never_ends_is_told_with_its_key() {
    let server = saying([page(1, false)]);
    let rule = rules(r#"{ when = "def f: [f]; f", action = "fail" }"#);
    let ran = run(&house(&server, "", &rule)).expect_code(1);
    assert_says(
        &ran,
        &[
            "could not tell by `response_rules` what the answer to GET ",
            "check `when` in `response_rules`",
        ],
    );
}
