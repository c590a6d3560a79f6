//! A run that is cut short goes on where it stopped, and says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{asked, bookmarks, house, lines};
use crate::support::{Asked, Scripted, TempHouse, answer, eventually, json};

const ELEVEN_MINUTES: Duration = Duration::from_secs(11 * 60);

/// A flow without an order to rely on, whose pages are links.
const LINKED: &str = r#"
[flow.row]
connection = "shop"
url        = "/rows"
query      = { since = "{{ bookmark }}" }
paging     = { style = "next_url", path = "next" }
records    = "rows"
key        = ["id"]
cursor     = { field = "version" }
"#;

/// Answers for three pages, the third of which parks the first run that asks for it.
fn park_once(asked: &Asked, parked: &AtomicUsize) -> Vec<u8> {
    match asked.line.as_str() {
        "GET /rows" => {
            json(r#"{"rows":[{"id":1,"version":50},{"id":2,"version":20}],"next":"/2?a=%27b'"}"#)
        }
        "GET /2?a=%27b%27" => json(r#"{"rows":[{"id":3,"version":10}],"next":"/3"}"#),
        "GET /3" if parked.fetch_add(1, Ordering::SeqCst) == 0 => {
            answer(429, &["retry-after: 600"], "")
        }
        "GET /3" => json(r#"{"rows":[{"id":4,"version":90},{"id":5,"version":5}]}"#),
        _ => json(r#"{"rows":[]}"#),
    }
}

fn source() -> Scripted {
    let parked = AtomicUsize::new(0);
    Scripted::start(move |asked: &Asked| park_once(asked, &parked))
}

/// Runs until the source says to come back later.
fn park(house: &TempHouse) {
    let ran = house
        .run_as_time_passes(&["--run-now", "--json"])
        .expect_code(1);
    assert_eq!(ran.ended()["row"]["outcome"], "parked", "{ran:#?}");
    house.clock().advance(ELEVEN_MINUTES).unwrap();
}

fn positions(house: &TempHouse) -> Vec<String> {
    lines(house, "SELECT state FROM _tidegate_positions")
}

#[test]
fn a_parked_run_goes_on_with_the_page_it_had_come_to_and_says_so() {
    let server = source();
    let house = house(&server, LINKED);
    park(&house);
    assert_eq!(
        lines(&house, "SELECT id FROM row ORDER BY 1"),
        ["1", "2", "3"]
    );
    assert!(bookmarks(&house).is_empty());

    let ran = house.run(&["--run-now"]).expect_code(0);
    assert!(
        ran.stderr.contains("note: flow `row`: resumed at page 3"),
        "{ran:#?}"
    );
    let runs = house.run(&["runs"]).expect_code(0);
    assert!(runs.stdout.contains("; resumed at page 3"), "{runs:#?}");
    let told = asked(&server);
    // The rest of what was begun, and then what has changed since.
    assert_eq!(told[..4], ["/rows", "/2?a=%27b%27", "/3", "/3"]);
    assert_eq!(told[4..], ["/rows?since=50"]);
    assert_eq!(
        lines(&house, "SELECT id FROM row ORDER BY 1"),
        ["1", "2", "3", "4", "5"]
    );
    assert!(positions(&house).is_empty());
}

#[test]
fn promise_a_resumed_read_moves_its_bookmark_no_further_than_its_own_first_page() {
    let server = source();
    let house = house(&server, LINKED);
    park(&house);
    house.run(&["--run-now"]).expect_code(0);
    // Record 4 got its 90 after the first page was read, and another of the pages that were read
    // may have got 60 by then.
    assert_eq!(bookmarks(&house), ["50"]);
}

#[test]
fn a_run_that_was_killed_goes_on_too_and_without_a_cursor_as_well() {
    let (sender, stuck) = std::sync::mpsc::channel::<()>();
    let stuck = std::sync::Mutex::new(stuck);
    let asked_third = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked_third);
    let server = Scripted::start(move |asked: &Asked| match asked.line.as_str() {
        "POST /rows" if asked.body.is_empty() || asked.body == b"{}" => {
            json(r#"{"rows":[{"id":1}],"cursor":"two"}"#)
        }
        "POST /rows" if asked.body == br#"{"cursor":"two"}"# => {
            json(r#"{"rows":[{"id":2}],"cursor":3}"#)
        }
        _ => {
            if counter.fetch_add(1, Ordering::SeqCst) == 0 {
                // Nobody answers until the client is dead.
                let _ = stuck.lock().unwrap().recv();
            }
            json(r#"{"rows":[{"id":3}]}"#)
        }
    });
    let house = house(
        &server,
        r#"
[flow.row]
connection = "shop"
method     = "POST"
url        = "/rows"
body       = { json = {} }
paging     = { style = "cursor", path = "cursor", body = "cursor" }
records    = "rows"
key        = ["id"]
"#,
    );
    let running = house.start(&["--run-now"]);
    assert!(eventually(|| asked_third.load(Ordering::SeqCst) == 1));
    assert!(eventually(|| {
        let database = house.path("tidegate-state/tidegate.db");
        let data = rusqlite::Connection::open(database).unwrap();
        let count = data.query_row("SELECT count(*) FROM row", [], |row| row.get::<_, i64>(0));
        count.is_ok_and(|count| count == 2)
    }));
    running.kill();
    drop(sender);

    let ran = house.run(&["--run-now"]).expect_code(0);
    assert!(ran.stderr.contains("resumed at page 3"), "{ran:#?}");
    assert_eq!(
        server.asked().len(),
        4,
        "the two pages before are not asked for again"
    );
    assert_eq!(server.asked()[3].body, br#"{"cursor":3}"#);
    assert_eq!(
        lines(&house, "SELECT id FROM row ORDER BY 1"),
        ["1", "2", "3"]
    );
}

#[test]
fn a_place_that_the_source_no_longer_knows_is_told_and_the_read_starts_over() {
    let thirds = AtomicUsize::new(0);
    let server = Scripted::start(move |asked: &Asked| match asked.line.as_str() {
        "GET /3" => match thirds.fetch_add(1, Ordering::SeqCst) {
            0 => answer(429, &["retry-after: 600"], ""),
            1 => answer(410, &[], "gone"),
            _ => json(r#"{"rows":[{"id":4,"version":90},{"id":5,"version":5}]}"#),
        },
        _ => park_once(asked, &thirds),
    });
    let house = house(&server, LINKED);
    park(&house);
    let ran = house.run(&["--run-now"]).expect_code(0);
    let words = "the source no longer knows page 3 (answered 410): starting over";
    assert!(ran.stderr.contains(words), "{ran:#?}");
    assert_eq!(asked(&server)[3..], ["/3", "/rows", "/2?a=%27b%27", "/3"]);
    assert_eq!(lines(&house, "SELECT count(*) FROM row"), ["5"]);
}

/// Has a run parked at its third page, does something, and returns what the next run asks first.
fn asked_after(change: impl FnOnce(&TempHouse)) -> String {
    let server = source();
    let house = house(&server, LINKED);
    park(&house);
    change(&house);
    // What it comes to is not the question: where it starts over, the source has nothing for it.
    house.run(&["--run-now"]);
    asked(&server)[3].clone()
}

/// Changes the configuration of a house.
fn edit(house: &TempHouse, from: &str, to: &str) {
    let config = std::fs::read_to_string(house.config()).unwrap();
    assert!(config.contains(from), "{config}");
    house.write_private("tidegate.toml", &config.replace(from, to));
}

#[test]
fn a_read_goes_on_only_if_it_is_the_same_and_not_too_old() {
    assert_eq!(asked_after(|_| {}), "/3");
    assert_eq!(
        asked_after(|house| edit(house, "[flow.row]", "# A remark.\n[flow.row]")),
        "/3"
    );
    assert_eq!(
        asked_after(|house| edit(house, "since =", "a = 1, since =")),
        "/rows?a=1"
    );
    assert_eq!(
        asked_after(|house| edit(house, "[\"id\"]", "[\"id\"]\ncolumns = [\"id\"]")),
        "/rows"
    );
    let never = |house: &TempHouse| edit(house, "[flow.row]", "[flow.row]\nresume_within = \"0s\"");
    assert_eq!(asked_after(never), "/rows");
    let a_day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(
        asked_after(|house| drop(house.clock().advance(a_day))),
        "/rows"
    );
    // Somebody dropped the table, to have it read anew.
    let dropped = |house: &TempHouse| {
        let database = house.path("tidegate-state/tidegate.db");
        let person = rusqlite::Connection::open(database).unwrap();
        person.execute_batch("DROP TABLE row").unwrap();
    };
    assert_eq!(asked_after(dropped), "/rows");
}

#[test]
fn what_only_a_person_can_set_right_is_not_gone_on_with() {
    let server = Scripted::start(|asked: &Asked| match asked.line.as_str() {
        "GET /rows" => json(r#"{"rows":[{"id":1,"version":1}],"next":"/2"}"#),
        _ => json(r#"{"rows":[{"version":2}],"next":"/3"}"#),
    });
    let house = house(&server, LINKED);
    house.run(&["--run-now"]).expect_code(1); // a record without its key
    assert!(positions(&house).is_empty());
    house.run(&["--run-now"]).expect_code(1);
    let begun = asked(&server)
        .iter()
        .filter(|line| *line == "/rows")
        .count();
    assert_eq!(begun, 2);
}

#[test]
fn an_ordered_read_goes_on_from_its_bookmark_instead() {
    let server = source();
    let house = house(
        &server,
        &LINKED.replace("\"version\"", "\"id\", ordered = true"),
    );
    park(&house);
    assert!(positions(&house).is_empty());
    assert_eq!(bookmarks(&house), ["3"]);
}

#[test]
fn promise_no_credential_is_kept_with_a_place() {
    let parked = AtomicUsize::new(0);
    let server = Scripted::start(move |asked: &Asked| {
        let line = asked.line.as_str();
        assert!(line.contains("key=CANARY"), "{line}");
        match line.contains("page=2") {
            false => json(r#"{"rows":[{"id":1,"version":1}],"next":"/rows?page=2&key=CANARY"}"#),
            true if parked.fetch_add(1, Ordering::SeqCst) == 0 => {
                answer(429, &["retry-after: 600"], "")
            }
            true => json(r#"{"rows":[{"id":2,"version":2}]}"#),
        }
    });
    let house = house(
        &server,
        &format!("token = \"CANARY\"\ntoken_query = \"key\"\n{LINKED}"),
    );
    park(&house);
    assert_eq!(positions(&house).len(), 1);
    for file in ["tidegate.db", "tidegate.db-wal"] {
        let bytes = std::fs::read(house.path("tidegate-state").join(file)).unwrap();
        assert!(
            !bytes.windows(6).any(|window| window == b"CANARY"),
            "{file}"
        );
    }
    let ran = house.run(&["--run-now"]).expect_code(0);
    assert!(ran.stderr.contains("resumed at page 2"), "{ran:#?}");
    assert_eq!(lines(&house, "SELECT count(*) FROM row"), ["2"]);
}

#[test]
fn a_window_goes_on_inside_itself_and_then_with_the_next() {
    let parked = AtomicUsize::new(0);
    let server = Scripted::start(move |asked: &Asked| match asked.line.as_str() {
        "GET /more" if parked.fetch_add(1, Ordering::SeqCst) == 0 => {
            answer(429, &["retry-after: 600"], "")
        }
        "GET /more" => json(r#"{"rows":[]}"#),
        line if line.contains("from=2026-01-03") => {
            json(r#"{"rows":[{"id":1,"at":"2026-01-03T12:00:00Z"}],"next":"/more"}"#)
        }
        _ => json(r#"{"rows":[]}"#),
    });
    let house = house(
        &server,
        r#"
[flow.row]
connection = "shop"
url        = "/rows"
query      = { from = "{{ bookmark | date('%Y-%m-%d') }}" , to = "{{ until | date('%Y-%m-%d') }}" }
paging     = { style = "next_url", path = "next" }
records    = "rows"
key        = ["id"]
cursor     = { field = "at", start = 2026-01-03T00:00:00Z, window = "1 day", lookback = "0s" }
"#,
    );
    park(&house);
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(
        asked(&server)[1..],
        [
            "/more",
            "/more",
            "/rows?from=2026-01-04&to=2026-01-05",
            "/rows?from=2026-01-05&to=2026-01-05",
        ]
    );
    assert!(bookmarks(&house)[0].starts_with("2026-01-05T08:11:"));
}
