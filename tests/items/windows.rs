//! A long time, read month by month.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{asked, bookmarks, house, lines};
use crate::support::{Asked, Scripted, answer, json};

const MONTHLY: &str = r#"
[flow.row]
connection = "shop"
url        = "/rows"
query      = { from = "{{ bookmark | date('%Y-%m-%d') }}", to = "{{ until | date('%Y-%m-%d') }}" }
paging     = { style = "next_url", path = "next" }
records    = "rows"
key        = ["id"]
cursor     = { field = "at", window = "1 month", start = 2025-10-15T00:00:00Z, lookback = "2d" }
"#;

#[test]
fn a_run_that_fails_in_a_window_goes_on_with_that_window() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let server = Scripted::start(move |asked: &Asked| {
        let line = asked.line.as_str();
        match line.split("from=").nth(1).and_then(|rest| rest.get(..7)) {
            Some("2025-10") => {
                json(r#"{"rows":[{"id":1,"at":"2025-10-20T00:00:00Z"}],"next":"/october"}"#)
            }
            // Nothing happened in the second month; its bookmark moves all the same.
            Some("2025-11") => json(r#"{"rows":[]}"#),
            Some("2025-12") => {
                json(r#"{"rows":[{"id":3,"at":"2025-12-20T00:00:00Z"}],"next":"/december"}"#)
            }
            _ if line == "GET /october" => {
                json(r#"{"rows":[{"id":2,"at":"2025-10-21T00:00:00Z"}]}"#)
            }
            _ if is_broken.load(Ordering::SeqCst) => answer(404, &[], ""),
            _ => json(r#"{"rows":[{"id":4,"at":"2025-12-21T00:00:00Z"}]}"#),
        }
    });
    let house = house(&server, MONTHLY);
    house.run(&["--run-now"]).expect_code(1);
    assert_eq!(
        asked(&server),
        [
            "/rows?from=2025-10-15&to=2025-11-15",
            "/october",
            "/rows?from=2025-11-15&to=2025-12-15",
            "/rows?from=2025-12-15&to=2026-01-05",
            "/december",
        ]
    );
    // What was merged of the last window is not what its bookmark is about.
    assert_eq!(bookmarks(&house), ["2025-12-15T00:00:00Z"]);
    assert_eq!(
        lines(&house, "SELECT id FROM row ORDER BY 1"),
        ["1", "2", "3"]
    );

    broken.store(false, Ordering::SeqCst);
    house.run(&["--run-now"]).expect_code(0);
    // The lookback reaches behind the bookmark.
    assert_eq!(asked(&server)[5], "/rows?from=2025-12-13&to=2026-01-05");
    assert_eq!(bookmarks(&house), ["2026-01-05T08:00:00Z"]);
    assert_eq!(
        lines(&house, "SELECT id FROM row ORDER BY 1"),
        ["1", "2", "3", "4"]
    );
}

#[test]
fn days_are_those_of_the_connections_zone() {
    let server = Scripted::start(|_: &Asked| json(r#"{"rows":[]}"#));
    let flow = MONTHLY
        .replace("1 month", "1 day")
        .replace("2025-10-15T00:00:00Z", "2026-01-03T00:00:00")
        .replace(" | date('%Y-%m-%d')", "");
    let house = house(
        &server,
        &format!("time_zone = \"Europe/Amsterdam\"\n{flow}"),
    );
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(
        asked(&server),
        [
            "/rows?from=2026-01-03T00:00:00&to=2026-01-04T00:00:00",
            "/rows?from=2026-01-04T00:00:00&to=2026-01-05T00:00:00",
            // It is nine o'clock in Amsterdam.
            "/rows?from=2026-01-05T00:00:00&to=2026-01-05T09:00:00",
        ]
    );
    assert_eq!(bookmarks(&house), ["2026-01-05T09:00:00"]);
}

#[test]
fn each_item_has_windows_of_its_own() {
    let server = Scripted::start(|asked: &Asked| match asked.line.contains("part=b") {
        true => answer(404, &[], ""),
        false => json(r#"{"rows":[]}"#),
    });
    let flow = MONTHLY.replace("from =", "part = \"{{ each.value }}\", from =");
    let house = house(
        &server,
        &format!("{flow}for_each = {{ list = [\"a\", \"b\", \"c\"] }}\n"),
    );
    house.run(&["--run-now"]).expect_code(1);
    let parts: Vec<String> = asked(&server)
        .iter()
        .map(|line| line.split(['=', '&']).nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(parts.concat(), "aaabccc");
}
