//! Sources that give only so many records in one reading.

use super::{asked, bookmarks, house, lines};
use crate::support::{Asked, Scripted, answer, json};

/// The most records of one reading, and of a page.
const MOST: usize = 10;
const PAGE: usize = 4;

/// A search over records with these versions that gives the first ten, in order, and refuses to go
/// further, as many do.
fn search(versions: &'static [u32]) -> Scripted {
    Scripted::start(move |asked: &Asked| {
        let url = asked.line.split_once('?').unwrap().1;
        let number = |name: &str| {
            let pairs = url.split('&').filter_map(|pair| pair.split_once('='));
            let mut values = pairs.filter(|(key, _)| *key == name);
            values
                .next()
                .map(|(_, value)| value.parse::<usize>().unwrap())
        };
        let (from, at) = (number("from").unwrap_or(0), number("offset").unwrap());
        if at + PAGE > MOST + PAGE / 2 {
            return answer(400, &[], r#"{"message":"the result window is too large"}"#);
        }
        let rows = versions.iter().enumerate();
        let rows = rows.filter(|(_, version)| **version as usize >= from);
        let rows: Vec<_> = rows
            .skip(at)
            .take(PAGE)
            .map(|(id, version)| format!(r#"{{"id":{id},"version":{version}}}"#))
            .collect();
        json(&format!(r#"{{"rows":[{}]}}"#, rows.join(",")))
    })
}

const FLOW: &str = r#"
[flow.row]
connection = "shop"
url        = "/search"
query      = { from = "{{ bookmark }}", sort = "version" }
paging     = { style = "offset", param = "offset", limit_param = "limit", limit = 4, restart_after = 10 }
records    = "rows"
cursor     = { field = "version", ordered = true }
key        = ["id"]
"#;

#[test]
fn a_list_longer_than_a_source_gives_is_read_from_the_last_value_on() {
    static VERSIONS: [u32; 27] = [
        1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 8, 9, 10, 11, 12, 13, 13, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22,
    ];
    let server = search(&VERSIONS);
    let house = house(&server, FLOW);
    house.run(&["--run-now"]).expect_code(0);
    let expected: Vec<_> = VERSIONS
        .iter()
        .enumerate()
        .map(|(id, version)| format!("{id} {version}"))
        .collect();
    assert_eq!(
        lines(&house, "SELECT id, version FROM row ORDER BY id"),
        expected
    );
    assert_eq!(bookmarks(&house), ["22"]);
    let from: Vec<_> = asked(&server)
        .iter()
        .map(|asked| match asked.split_once("from=") {
            Some((_, from)) => from.split('&').next().unwrap().to_owned(),
            None => String::new(),
        })
        .collect();
    // Two pages of four, and a third would not fit into ten.
    assert_eq!(from, ["", "", "7", "7", "11", "11", "16", "16", "22", "22"]);
}

#[test]
fn more_records_of_one_value_than_a_source_gives_are_an_error_that_says_so() {
    static VERSIONS: [u32; 14] = [1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6];
    let server = search(&VERSIONS);
    let house = house(&server, FLOW);
    let run = house.run(&["--run-now"]).expect_code(1);
    let told = "the source gives 10 records in one reading, and what follows cannot be asked for by \
                `version`: all of them have the value `5`";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    assert!(run.stderr.contains("cursor.window"), "{}", run.stderr);
    // What was read is kept, and the bookmark has not passed what was not.
    assert_eq!(bookmarks(&house), ["5"]);
}
