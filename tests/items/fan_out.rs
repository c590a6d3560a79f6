//! A request repeated for each row of our own data, each item of a list, each combination of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{asked, house, lines};
use crate::support::{Asked, Scripted, TempHouse, answer, json};

/// A flow of projects, and one of their tasks: both have the same ids in every project.
const PROJECTS_AND_TASKS: &str = r#"
[flow.project]
connection = "shop"
url        = "/projects"
paging     = "none"
key        = ["id"]

[flow.task]
connection = "shop"
for_each   = { sql = "SELECT id, code FROM project WHERE active ORDER BY code" }
url        = "/projects/{{ each.id }}/tasks"
query      = { since = "{{ bookmark }}" }
headers    = { X-Code = "{{ each.code }}" }
with       = { project = "{{ each.id }}", label = "{{ each.code }}!", kind = "task" }
key        = ["project", "id"]
paging     = "none"
cursor     = { field = "version" }
"#;

const PROJECTS: &str = r#"[{"id":1,"code":"b","active":true},{"id":2,"code":"a","active":true},
    {"id":3,"code":"c","active":false}]"#;

fn shop() -> Scripted {
    Scripted::start(
        |asked: &Asked| match asked.line.split(' ').nth(1).unwrap() {
            "/projects" => json(PROJECTS),
            "/projects/1/tasks" => json(r#"[{"id":1,"version":10},{"id":2,"version":11}]"#),
            "/projects/2/tasks" => json(r#"[{"id":1,"version":20}]"#),
            "/projects/1/tasks?since=11" => json(r#"[{"id":2,"version":12}]"#),
            "/projects/2/tasks?since=20" => json("[]"),
            _ => answer(404, &[], ""),
        },
    )
}

/// Has both flows run, the projects first.
fn run(house: &TempHouse) {
    house.run(&["--run-now", "project"]).expect_code(0);
    house.run(&["--run-now", "task"]).expect_code(0);
}

#[test]
fn a_request_is_repeated_for_each_row_of_our_own_data_with_a_bookmark_each() {
    let server = shop();
    let house = house(&server, PROJECTS_AND_TASKS);
    run(&house);
    let expected = ["/projects", "/projects/2/tasks", "/projects/1/tasks"];
    assert_eq!(asked(&server), expected);
    assert_eq!(server.asked()[1].header("x-code").as_deref(), Some("a"));
    assert_eq!(
        lines(
            &house,
            "SELECT project, id, version, label, kind FROM task ORDER BY 1, 2"
        ),
        ["1 1 10 b! task", "1 2 11 b! task", "2 1 20 a! task"]
    );
    // What stands alone keeps its type, and so joins with the table it came from.
    assert_eq!(
        lines(
            &house,
            "SELECT typeof(project), typeof(label) FROM task LIMIT 1"
        ),
        ["integer text"]
    );

    run(&house);
    let expected = ["/projects/2/tasks?since=20", "/projects/1/tasks?since=11"];
    assert_eq!(asked(&server)[4..], expected);
    assert_eq!(
        lines(
            &house,
            "SELECT project, id, version FROM task ORDER BY 1, 2"
        ),
        ["1 1 10", "1 2 12", "2 1 20"]
    );
    assert_eq!(
        lines(
            &house,
            "SELECT part, value FROM _tidegate_bookmarks ORDER BY part"
        ),
        [r#"{"code":"a","id":2} 20"#, r#"{"code":"b","id":1} 12"#]
    );
}

#[test]
fn an_item_that_is_gone_leaves_its_bookmark_and_one_that_comes_is_read_from_the_beginning() {
    let server = shop();
    let house = house(&server, PROJECTS_AND_TASKS);
    run(&house);
    let database = house.path("tidegate-state/tidegate.db");
    let person = rusqlite::Connection::open(database).unwrap();
    person
        .execute("UPDATE project SET active = (id = 2)", [])
        .unwrap();
    house.run(&["--run-now", "task"]).expect_code(0);
    assert_eq!(asked(&server).last().unwrap(), "/projects/2/tasks?since=20");
    assert_eq!(lines(&house, "SELECT count(*) FROM task"), ["3"]);

    // It comes back where it stood.
    person
        .execute("UPDATE project SET active = (id = 1)", [])
        .unwrap();
    house.run(&["--run-now", "task"]).expect_code(0);
    assert_eq!(asked(&server).last().unwrap(), "/projects/1/tasks?since=11");
}

#[test]
fn without_items_a_run_succeeds_and_says_so() {
    let server = shop();
    let house = house(&server, PROJECTS_AND_TASKS);
    house.run(&["--run-now", "project"]).expect_code(0);
    let database = house.path("tidegate-state/tidegate.db");
    let person = rusqlite::Connection::open(database).unwrap();
    person.execute("UPDATE project SET active = 0", []).unwrap();
    let ran = house.run(&["--run-now", "task"]).expect_code(0);
    let words = "`for_each` gives no items";
    assert!(ran.stderr.contains(words), "{ran:#?}");
    let runs = house.run(&["runs", "task"]).expect_code(0);
    assert!(runs.stdout.contains(words), "{runs:#?}");
    assert_eq!(asked(&server), ["/projects"]);
}

#[test]
fn an_item_that_fails_is_named_and_does_not_stop_the_others() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let server = Scripted::start(move |asked: &Asked| match asked.line.as_str() {
        "GET /things/b" if is_broken.load(Ordering::SeqCst) => answer(404, &[], "no such thing"),
        "GET /things/b" => json(r#"[{"id":2}]"#),
        "GET /things/a" => json(r#"[{"id":1}]"#),
        _ => json(r#"[{"id":3}]"#),
    });
    let house = house(
        &server,
        r#"
[flow.thing]
connection = "shop"
for_each   = { list = ["a", "b", "c"] }
url        = "/things/{{ each.value }}"
key        = ["id"]
paging     = "none"
"#,
    );
    let ran = house.run(&["--run-now"]).expect_code(1);
    for words in [
        "1 of 3 items could not be read: `value=b`: ",
        "answered 404",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {ran:#?}");
    }
    assert_eq!(lines(&house, "SELECT id FROM thing ORDER BY 1"), ["1", "3"]);
    broken.store(false, Ordering::SeqCst);
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(
        lines(&house, "SELECT id FROM thing ORDER BY 1"),
        ["1", "2", "3"]
    );
}

#[test]
fn levels_are_combined_and_a_query_may_ask_with_what_stands_before_it() {
    let server = Scripted::start(|asked: &Asked| match asked.line.as_str() {
        "GET /projects" => json(PROJECTS),
        _ => json("[]"),
    });
    let house = house(
        &server,
        r#"
[flow.project]
connection = "shop"
url        = "/projects"
paging     = "none"
key        = ["id"]

[flow.part]
connection = "shop"
for_each   = [
  { list = [{ region = "eu", least = 2 }, { region = "us", least = 3 }] },
  { sql = "SELECT id FROM project WHERE id >= :least AND :region <> '' ORDER BY id" },
  { list = [true, false] },
]
url        = "/parts"
method     = "POST"
body       = { json = { region = "{{ each.region }}", id = "{{ each.id }}", open = "{{ each.value }}" } }
key        = ["id"]
paging     = "none"
"#,
    );
    house.run(&["--run-now", "project"]).expect_code(0);
    house.run(&["--run-now", "part"]).expect_code(0);
    let bodies: Vec<String> = server.asked()[1..]
        .iter()
        .map(|asked| String::from_utf8(asked.body.clone()).unwrap())
        .collect();
    let body = |region: &str, id: i64, open: bool| {
        format!(r#"{{"id":{id},"open":{open},"region":"{region}"}}"#)
    };
    let expected = [
        body("eu", 2, true),
        body("eu", 2, false),
        body("eu", 3, true),
        body("eu", 3, false),
        body("us", 3, true),
        body("us", 3, false),
    ];
    assert_eq!(bodies, expected);
}

/// Runs a flow with this `for_each`; returns what is told.
fn refused(for_each: &str) -> String {
    let server = shop();
    let flow = format!(
        r#"
[flow.project]
connection = "shop"
url        = "/projects"
paging     = "none"
key        = ["id"]

[flow.task]
connection = "shop"
for_each   = {for_each}
url        = "/projects/{{{{ each.id }}}}/tasks"
key        = ["id"]
paging     = "none"
"#
    );
    let house = house(&server, &flow);
    let ran = house.run(&["--run-now", "task"]);
    assert_ne!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(asked(&server), Vec::<String>::new());
    ran.stderr
}

#[test]
fn what_cannot_be_asked_of_our_own_data_is_said() {
    let cases = [
        (
            r#"{ sql = "SELECT id FROM project" }"#,
            "`for_each` reads a table that does not exist yet",
            "tidegate --run-now project",
        ),
        (
            r#"{ sql = "SELECT id FROM nowhere" }"#,
            "no such table: nowhere",
            "tidegate tables",
        ),
        (
            r#"{ sql = "SELECT id FRO project" }"#,
            "`for_each` cannot be asked",
            "syntax error",
        ),
        (
            r#"{ sql = "SELECT 1 AS id, 2 AS id" }"#,
            "two of its values are called `id`",
            "AS …",
        ),
        (
            r#"{ sql = "SELECT :id AS id" }"#,
            "no earlier level gives",
            "parameter `:id`",
        ),
        (
            r#"{ sql = "SELECT NULL AS id" }"#,
            "row 1 of `for_each` has no value for `id`",
            "IS NOT NULL",
        ),
        (
            r#"{ sql = "SELECT x'00' AS id" }"#,
            "has bytes for `id`",
            "",
        ),
        (
            r#"{ sql = "SELECT 1 AS ID" }"#,
            "`for_each` gives `ID` and no `id`",
            "",
        ),
        (
            r#"{ sql = "WITH a AS (SELECT 1) DELETE FROM _tidegate_runs RETURNING 1 AS id" }"#,
            "it writes, and may only read",
            "",
        ),
        (
            r#"{ sql = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n" }"#,
            "more than 100000 items",
            "LIMIT",
        ),
    ];
    for (for_each, what, hint) in cases {
        let told = refused(for_each);
        assert!(
            told.contains(what) && told.contains(hint),
            "{for_each}: {told}"
        );
    }
}
