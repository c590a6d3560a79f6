//! What a bookmark is taken from, how it is sent, and where a read ends.

use super::{asked, bookmarks, house, lines};
use crate::support::{Asked, Scripted, answer, json};

/// When the test clock stands at its beginning.
const BEGINNING: &str = "2026-01-05T08:00:00Z";

/// A flow of `/rows` with this cursor, which sends both ends of what it asks for.
fn flow(cursor: &str) -> String {
    format!(
        r#"
[flow.row]
connection = "shop"
url        = "/rows"
query      = {{ from = "{{{{ bookmark }}}}", to = "{{{{ until }}}}" }}
paging     = {{ style = "next_url", path = "next" }}
records    = "rows"
key        = ["id"]
cursor     = {cursor}
"#
    )
}

#[test]
fn a_time_in_the_sources_own_format_is_read_compared_and_sent() {
    let server = Scripted::start(|_: &Asked| {
        // As text, the second would be the greatest.
        json(r#"{"rows":[{"id":1,"at":"02-12-2025 10:15"},{"id":2,"at":"31-01-2025 09:00"}]}"#)
    });
    let house = house(
        &server,
        &flow(r#"{ field = "at", format = "%d-%m-%Y %H:%M", lookback = "20m" }"#),
    );
    house.run(&["--run-now"]).expect_code(0);
    house.run(&["--run-now"]).expect_code(0);
    // No zone is known, so the end is as late as it may be anywhere.
    let to = "to=05-01-2026%2022:00";
    let expected = [
        format!("/rows?{to}"),
        format!("/rows?from=02-12-2025%2009:55&{to}"),
    ];
    assert_eq!(asked(&server), expected);
    assert_eq!(bookmarks(&house), ["2025-12-02T10:15:00"]);
}

#[test]
fn seconds_since_1970_are_moments_that_have_a_lookback_and_no_future() {
    let server = Scripted::start(|_: &Asked| {
        json(r#"{"rows":[{"id":1,"at":1767225600.75},{"id":2,"at":"4102444800"}]}"#)
    });
    let house = house(
        &server,
        &flow(
            r#"{ field = "at", format = "epoch", lookback = "1h", start = 2025-01-01T00:00:00Z }"#,
        ),
    );
    house.run(&["--run-now"]).expect_code(0);
    house.run(&["--run-now"]).expect_code(0);
    // One record is dated in the year 2100; the bookmark stands where the run began.
    assert_eq!(
        asked(&server),
        [
            "/rows?from=1735689600&to=1767600000",
            "/rows?from=1767596400&to=1767600000"
        ]
    );
    assert_eq!(bookmarks(&house), [BEGINNING]);
}

#[test]
fn row_versions_count_as_numbers_also_when_the_source_writes_them_as_text() {
    let server = Scripted::start(|_: &Asked| {
        json(r#"{"rows":[{"id":1,"v":"9"},{"id":2,"v":"10"},{"id":3,"v":"100"}]}"#)
    });
    let house = house(&server, &flow(r#"{ field = "v", ordered = true }"#));
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(bookmarks(&house), ["100"]);
    let notes = lines(&house, "SELECT notes FROM _tidegate_runs");
    assert_eq!(notes, ["-"], "9, 10, 100 are in order");
}

#[test]
fn the_end_of_a_read_is_fixed_when_the_run_begins() {
    let clock = std::sync::Arc::new(std::sync::OnceLock::<tidegate::clock::FileClock>::new());
    let moved = std::sync::Arc::clone(&clock);
    let server = Scripted::start(move |asked: &Asked| match asked.line.as_str() {
        line if line.contains("part=b") => {
            json(r#"{"rows":[{"id":2,"at":"2026-01-05T07:00:00Z"}]}"#)
        }
        _ => {
            let clock = moved.get().unwrap();
            clock.advance(std::time::Duration::from_secs(60)).unwrap();
            json(r#"{"rows":[{"id":1,"at":"2026-01-05T07:00:00Z"}]}"#)
        }
    });
    let flow = flow(r#"{ field = "at" }"#).replace("from =", "part = \"{{ each.value }}\", from =");
    let flow = format!("{flow}for_each = {{ list = [\"a\", \"b\"] }}\n");
    let house = house(&server, &flow);
    assert!(clock.set(house.clock()).is_ok());
    house.run(&["--run-now"]).expect_code(0);
    let to = "to=2026-01-05T08:00:00Z";
    assert_eq!(
        asked(&server),
        [format!("/rows?part=a&{to}"), format!("/rows?part=b&{to}")]
    );
}

#[test]
fn a_cursor_field_that_no_record_has_is_told_and_kept_with_the_run() {
    let server = Scripted::start(|_: &Asked| json(r#"{"rows":[{"id":1},{"id":2,"at":null}]}"#));
    let house = house(&server, &flow(r#"{ field = "at" }"#));
    let ran = house.run(&["--run-now"]).expect_code(0);
    let words = "no record has the cursor's field `at`: the bookmark cannot move";
    assert!(
        ran.stderr.contains(&format!("note: flow `row`: {words}")),
        "{ran:#?}"
    );
    let runs = house.run(&["runs", "--json"]).expect_code(0);
    assert!(runs.stdout.contains(words), "{runs:#?}");
    assert!(bookmarks(&house).is_empty());

    let events = house.run(&["--run-now", "--json"]).expect_code(0);
    let noted = events
        .stdout
        .lines()
        .find(|line| line.contains("\"event\":\"noted\""));
    assert!(
        noted.is_some_and(|line| line.contains(words)),
        "{events:#?}"
    );
}

/// A feed of three pages, the newest records first.
fn feed(asked: &Asked) -> Vec<u8> {
    match asked.line.split('?').next().unwrap() {
        "GET /rows" => json(
            r#"{"rows":[{"id":6,"at":"2026-01-05T06:00:00Z"},{"id":5,"at":"2026-01-05T05:00:00Z"}],"next":"/2"}"#,
        ),
        "GET /2" => json(
            r#"{"rows":[{"id":4,"at":"2026-01-05T04:00:00Z"},{"id":3,"at":"2026-01-05T03:00:00Z"}],"next":"/3"}"#,
        ),
        "GET /3" => json(r#"{"rows":[{"id":2,"at":"2026-01-05T02:00:00Z"}]}"#),
        _ => answer(404, &[], ""),
    }
}

const NEWEST_FIRST: &str = r#"
[flow.row]
connection = "shop"
url        = "/rows"
paging     = { style = "next_url", path = "next" }
records    = "rows"
key        = ["id"]
cursor     = { field = "at", newest_first = true, lookback = "90m" }
"#;

#[test]
fn a_newest_first_feed_is_read_up_to_the_first_page_that_holds_nothing_new() {
    let server = Scripted::start(feed);
    let house = house(&server, NEWEST_FIRST);
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(asked(&server), ["/rows", "/2", "/3"]);
    assert_eq!(bookmarks(&house), ["2026-01-05T06:00:00Z"]);

    // The bookmark less the lookback is half past four: the second page is older as a whole.
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(asked(&server)[3..], ["/rows", "/2"]);
    assert_eq!(lines(&house, "SELECT count(*) FROM row"), ["5"]);
    assert_eq!(
        lines(
            &house,
            "SELECT count(*) FROM _tidegate_runs WHERE notes IS NOT NULL"
        ),
        ["0"]
    );
}

#[test]
fn promise_a_newest_first_read_that_breaks_off_leaves_its_bookmark() {
    let server = Scripted::start(|asked: &Asked| match asked.line.as_str() {
        "GET /3" => answer(404, &[], ""),
        _ => feed(asked),
    });
    let house = house(&server, NEWEST_FIRST);
    house.run(&["--run-now"]).expect_code(1);
    assert_eq!(lines(&house, "SELECT count(*) FROM row"), ["4"]);
    assert!(bookmarks(&house).is_empty(), "2 was never read");
}

#[test]
fn a_feed_that_is_not_newest_first_is_read_to_its_end_and_told() {
    let server = Scripted::start(|asked: &Asked| match asked.line.as_str() {
        "GET /rows" => json(
            r#"{"rows":[{"id":1,"at":"2026-01-01T00:00:00Z"},{"id":2,"at":"2026-01-02T00:00:00Z"}],"next":"/2"}"#,
        ),
        _ => json(r#"{"rows":[{"id":3,"at":"2026-01-04T00:00:00Z"}]}"#),
    });
    let house = house(&server, NEWEST_FIRST);
    house.run(&["--run-now"]).expect_code(0);
    let ran = house.run(&["--run-now"]).expect_code(0);
    assert_eq!(asked(&server)[2..], ["/rows", "/2"]);
    assert!(
        ran.stderr
            .contains("order that `cursor.newest_first` promises"),
        "{ran:#?}"
    );
}
