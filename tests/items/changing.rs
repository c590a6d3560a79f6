//! Sources that change while they are read, and runs that are killed at any page: a bookmark never
//! passes a record that is not merged, and once the source rests, one more run makes table and source
//! equal.
//!
//! Each case is decided by its seed, which `TIDEGATE_SEED` takes back; `TIDEGATE_CASES` says how many
//! cases each mode has.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidegate::clock::FileClock;
use url::Url;

use super::{bookmarks, house, lines};
use crate::support::{Asked, Dice, Scripted, TempHouse, json, number};

/// How many cases each mode has by default: a tenth of a minute.
const CASES: u64 = 3;
/// How many records there are at first: several pages.
const RECORDS: u64 = 24;
/// How many stand on a page.
const PAGE: usize = 5;
/// How often a case runs before the source rests.
const RUNS: u64 = 4;
/// How far behind its commit a change may be stamped, in seconds; the lookback is longer.
const LATENESS: u64 = 5;
/// When the test clock begins.
const BEGINNING: &str = "2026-01-05T08:00:00Z";

/// In which order a source sends what it is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    Id,
    Cursor,
    NewestFirst,
}

/// How one kind of flow reads one kind of source.
struct Mode {
    order: Order,
    /// True if the cursor is a version, false if it is a time.
    versions: bool,
    /// True if pages are asked for by their number, false if links lead to them.
    numbered: bool,
    /// The flow's `query` and `cursor`.
    keys: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    at: Timestamp,
    version: u64,
    name: u64,
}

/// A source and what happens to it.
struct World {
    rows: BTreeMap<u64, Row>,
    versions: u64,
    dice: Dice,
    rests: bool,
    /// After how many requests the reader is killed.
    kill_in: Option<u64>,
    is_stuck: bool,
}

struct Source {
    mode: Mode,
    world: Mutex<World>,
    released: Condvar,
    clock: OnceLock<FileClock>,
}

impl World {
    fn change(&mut self, now: Timestamp) {
        let late = i64::try_from(self.dice.below(LATENESS)).unwrap();
        let at = Timestamp::from_second(now.as_second() - late).unwrap();
        let is_new = self.dice.percent(30);
        let last = self.rows.len() as u64;
        let id = match is_new {
            true => last + 1,
            false => self.dice.below(last) + 1,
        };
        self.versions += 1;
        // A time may be another record's too; it never goes back.
        let at = self.rows.get(&id).map_or(at, |row| row.at.max(at));
        let row = Row {
            at,
            version: self.versions,
            name: self.dice.below(1_000),
        };
        self.rows.insert(id, row);
    }
}

impl Source {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn now(&self) -> Timestamp {
        use tidegate::clock::Clock;
        self.clock.get().unwrap().now()
    }

    /// Answers one request, around which things change.
    fn answer(&self, asked: &Asked) -> Vec<u8> {
        let mut world = self.world();
        if let Some(left) = world.kill_in {
            world.kill_in = left.checked_sub(1);
            if left == 0 {
                // Nobody is answered before the reader is dead.
                world.is_stuck = true;
                drop(
                    self.released
                        .wait_while(world, |world| world.is_stuck)
                        .unwrap(),
                );
                return json("{}");
            }
        }
        if !world.rests {
            if world.dice.percent(30) {
                let step = world.dice.up_to(Duration::from_secs(20));
                self.clock.get().unwrap().advance(step).unwrap();
            }
            while world.dice.percent(40) {
                let now = self.now();
                world.change(now);
            }
        }
        let target = asked.line.split_once(' ').map_or("/", |(_, target)| target);
        let url = Url::parse("http://x").unwrap().join(target).unwrap();
        json(&self.page(&world, &url.query_pairs().into_owned().collect()))
    }

    /// Returns the page that a query asks for.
    fn page(&self, world: &World, query: &BTreeMap<String, String>) -> String {
        let time = |name: &str| {
            query
                .get(name)
                .map(|text| text.parse::<Timestamp>().unwrap())
        };
        let (from, to) = match self.mode.versions {
            true => (None, None),
            false => (time("from"), time("to")),
        };
        let least = self.mode.versions.then(|| query.get("from")).flatten();
        let least = least.map_or(0, |text| text.parse::<u64>().unwrap());
        let mut found: Vec<(&u64, &Row)> = world
            .rows
            .iter()
            .filter(|(_, row)| row.version >= least)
            .filter(|(_, row)| from.is_none_or(|from| row.at >= from))
            .filter(|(_, row)| to.is_none_or(|to| row.at < to))
            .collect();
        let place = |(id, row): &(&u64, &Row)| match self.mode.order {
            Order::Id => (0, **id),
            Order::Cursor if self.mode.versions => (0, row.version),
            Order::Cursor => (row.at.as_second(), **id),
            Order::NewestFirst => (-row.at.as_second(), **id),
        };
        found.sort_by_key(place);
        let (skipped, next) = match self.mode.numbered {
            true => {
                let page: usize = query.get("page").map_or(1, |page| page.parse().unwrap());
                ((page - 1) * PAGE, None)
            }
            false => {
                let after = query.get("after").map(|after| {
                    let (a, b) = after.split_once('~').unwrap();
                    (a.parse::<i64>().unwrap(), b.parse::<u64>().unwrap())
                });
                let skipped =
                    found.partition_point(|row| after.is_some_and(|after| place(row) <= after));
                let last = found
                    .get(skipped + PAGE - 1)
                    .filter(|_| found.len() > skipped + PAGE);
                (skipped, last.map(place))
            }
        };
        let rows = found.iter().skip(skipped).take(PAGE).map(|(id, row)| {
            let Row { at, version, name } = row;
            format!(r#"{{"id":{id},"at":"{at}","version":"{version}","name":{name}}}"#)
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        let next = next.map_or("null".to_owned(), |(a, b)| {
            let rest = query.iter().filter(|(name, _)| *name != "after");
            let rest: String = rest
                .map(|(name, value)| format!("&{name}={value}"))
                .collect();
            format!("\"/rows?after={a}~{b}{rest}\"")
        });
        format!(r#"{{"rows":[{rows}],"next":{next}}}"#)
    }

    /// Returns what a table should hold, a line each.
    fn truth(&self) -> Vec<String> {
        let world = self.world();
        let line =
            |(id, row): (&u64, &Row)| format!("{id} {} {} {}", row.at, row.version, row.name);
        world.rows.iter().map(line).collect()
    }
}

const ROWS: &str = "SELECT id, at, version, name FROM row ORDER BY id";

fn table(house: &TempHouse) -> Vec<String> {
    let there = "SELECT 1 FROM sqlite_schema WHERE name = 'row'";
    match lines(house, there).is_empty() {
        true => Vec::new(),
        false => lines(house, ROWS),
    }
}

/// Fails if a record that no later run will ask for is not in the table as it is.
fn check_bookmark(house: &TempHouse, source: &Source, seed: u64) {
    let Some(bookmark) = bookmarks(house).pop() else {
        return;
    };
    let table = table(house);
    let lookback = SignedDuration::from_secs(10);
    for (id, row) in &source.world().rows {
        let is_passed = match source.mode.versions {
            true => row.version < bookmark.parse::<u64>().unwrap(),
            false => row.at < bookmark.parse::<Timestamp>().unwrap() - lookback,
        };
        let line = format!("{id} {} {} {}", row.at, row.version, row.name);
        assert!(
            !is_passed || table.contains(&line),
            "TIDEGATE_SEED={seed}: the bookmark is at {bookmark}, and `{line}` is not in {table:#?}"
        );
    }
}

/// Runs once; the reader is killed if its time has come.
fn run(house: &TempHouse, source: &Source) {
    let mut running = house.start(&["--run-now"]);
    while !running.has_ended_within(Duration::from_millis(5)) {
        if source.world().is_stuck {
            running.kill();
            source.world().is_stuck = false;
            source.released.notify_all();
            return;
        }
    }
    running.finish().expect_code(0);
}

fn case(mode: Mode, seed: u64) {
    let beginning: Timestamp = BEGINNING.parse().unwrap();
    let mut world = World {
        rows: BTreeMap::new(),
        versions: 0,
        dice: Dice::new(seed),
        rests: false,
        kill_in: None,
        is_stuck: false,
    };
    for id in 1..=RECORDS {
        let age = i64::try_from(world.dice.below(300)).unwrap();
        let row = Row {
            at: Timestamp::from_second(beginning.as_second() - age).unwrap(),
            version: id,
            name: id,
        };
        world.versions = id;
        world.rows.insert(id, row);
    }
    let paging = match mode.numbered {
        true => r#"{ style = "page", param = "page" }"#,
        false => r#"{ style = "next_url", path = "next" }"#,
    };
    let flow = format!(
        "[flow.row]\nconnection = \"shop\"\nurl = \"/rows\"\nrecords = \"rows\"\nkey = [\"id\"]\n\
         columns = {{ id = \"id\", at = {{ type = \"text\" }}, version = {{ type = \"text\" }}, name = \"name\" }}\n\
         paging = {paging}\n{}\n",
        mode.keys
    );
    let source = Arc::new(Source {
        mode,
        world: Mutex::new(world),
        released: Condvar::new(),
        clock: OnceLock::new(),
    });
    let serving = Arc::clone(&source);
    let server = Scripted::start(move |asked: &Asked| serving.answer(asked));
    let house = house(&server, &flow);
    assert!(source.clock.set(house.clock()).is_ok());
    for _ in 0..RUNS {
        {
            let mut world = source.world();
            let requests = world.dice.below(12);
            world.kill_in = world.dice.percent(50).then_some(requests);
        }
        run(&house, &source);
        check_bookmark(&house, &source, seed);
        house.clock().advance(Duration::from_secs(30)).unwrap();
    }
    {
        let mut world = source.world();
        world.rests = true;
        world.kill_in = None;
    }
    // What a killed run left undone is done with the first, and what is new is read by the second.
    run(&house, &source);
    house.clock().advance(Duration::from_secs(30)).unwrap();
    run(&house, &source);
    assert_eq!(table(&house), source.truth(), "TIDEGATE_SEED={seed}");
    check_bookmark(&house, &source, seed);
}

fn cases(mode: impl Fn() -> Mode) {
    if let Some(seed) = number("TIDEGATE_SEED") {
        return case(mode(), seed);
    }
    for _ in 0..number("TIDEGATE_CASES").unwrap_or(CASES) {
        let seed = Dice::any_seed();
        eprintln!("TIDEGATE_SEED={seed}");
        case(mode(), seed);
    }
}

#[test]
fn promise_an_ordered_read_by_time_misses_nothing() {
    cases(|| Mode {
        order: Order::Cursor,
        versions: false,
        numbered: false,
        keys: "query = { from = \"{{ bookmark }}\" }\n\
               cursor = { field = \"at\", ordered = true, lookback = \"10s\" }",
    });
}

#[test]
fn promise_an_unordered_read_by_time_misses_nothing() {
    cases(|| Mode {
        order: Order::Id,
        versions: false,
        numbered: false,
        keys: "query = { from = \"{{ bookmark }}\" }\ncursor = { field = \"at\", lookback = \"10s\" }",
    });
}

#[test]
fn promise_an_unordered_read_by_page_numbers_misses_nothing() {
    cases(|| Mode {
        order: Order::Id,
        versions: false,
        numbered: true,
        keys: "query = { from = \"{{ bookmark }}\" }\ncursor = { field = \"at\", lookback = \"10s\" }",
    });
}

#[test]
fn promise_an_ordered_read_by_version_misses_nothing() {
    cases(|| Mode {
        order: Order::Cursor,
        versions: true,
        numbered: false,
        keys: "query = { from = \"{{ bookmark }}\" }\ncursor = { field = \"version\", ordered = true }",
    });
}

#[test]
fn promise_an_unordered_read_by_version_misses_nothing() {
    cases(|| Mode {
        order: Order::Id,
        versions: true,
        numbered: false,
        keys: "query = { from = \"{{ bookmark }}\" }\ncursor = { field = \"version\" }",
    });
}

#[test]
fn promise_a_newest_first_feed_misses_nothing() {
    cases(|| Mode {
        order: Order::NewestFirst,
        versions: false,
        numbered: true,
        keys: "cursor = { field = \"at\", newest_first = true, lookback = \"10s\" }",
    });
}

#[test]
fn promise_windows_miss_nothing() {
    cases(|| Mode {
        order: Order::Id,
        versions: false,
        numbered: false,
        keys: "query = { from = \"{{ bookmark }}\", to = \"{{ until }}\" }\n\
               cursor = { field = \"at\", window = \"1 minute\", start = 2026-01-05T07:50:00Z, lookback = \"10s\" }",
    });
}

#[test]
fn promise_a_full_read_misses_nothing() {
    cases(|| Mode {
        order: Order::Id,
        versions: false,
        numbered: false,
        keys: "",
    });
}
