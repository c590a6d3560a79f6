//! What the API has arrives, value by value.

use rusqlite::types::Value as Sql;
use serde_json::{Value as Json, json};

use crate::world::{COUNTRIES, World};

/// Every way in which the API pages, as flows that only read what changed.
const PAGED: &str = r#"
[flow.odata]
connection = "atlas"
url = "/odata/cities"
paging = "odata"
cursor = { field = "revision", filter = "revision ge {{ bookmark }}", ordered = true }
key = ["cityId"]

[flow.link]
connection = "atlas"
url = "/link/cities"
query = { per_page = "700", since = "{{ bookmark }}" }
paging = "link_header"
cursor = { field = "revision", ordered = true }
key = ["cityId"]

[flow.page]
connection = "atlas"
url = "/page/cities"
query = { since = "{{ bookmark }}" }
records = "$.data"
paging = { style = "page", param = "page", first = 1, size = { param = "size", value = 600 }, total_pages = "$.meta.pages" }
cursor = { field = "revision", ordered = true }
key = ["cityId"]

[flow.offset]
connection = "atlas"
url = "/offset/cities"
query = { since = "{{ bookmark }}" }
records = "$.items"
paging = { style = "offset", param = "offset", first = 0, limit_param = "limit", limit = 800, total_records = "$.total" }
cursor = { field = "revision", ordered = true }
key = ["cityId"]

[flow.cursor]
connection = "atlas"
url = "/cursor/cities"
query = { since = "{{ bookmark }}" }
records = "$.results"
paging = { style = "cursor", path = "$.paging.next", query = "after", more = "$.paging.more" }
cursor = { field = "revision", ordered = true }
key = ["cityId"]

[flow.posted]
connection = "atlas"
method = "POST"
url = "/cursor/cities"
query = { since = "{{ bookmark }}" }
body = { json = {} }
records = "$.results"
paging = { style = "cursor", path = "$.paging.next", body = "$.after" }
cursor = { field = "revision", ordered = true }
key = ["cityId"]

[flow.next]
connection = "atlas"
url = "/next/cities"
query = { since = "{{ bookmark }}" }
records = "$.data"
paging = { style = "next_url", path = "$.links.next" }
cursor = { field = "revision", ordered = true }
key = ["cityId"]
"#;

const PAGED_FLOWS: [&str; 7] = [
    "odata", "link", "page", "offset", "cursor", "posted", "next",
];

#[test]
fn every_paging_style_brings_every_record_as_the_source_has_it() {
    let Some(world) = World::of("person-basic", PAGED) else {
        return;
    };
    world.log_in();
    world.sync();
    for flow in PAGED_FLOWS {
        world.assert_equal(flow, "cities", "cityId");
    }
    // So that the comparison above compares something.
    let count = |filter: &str| {
        world
            .house
            .rows(&format!("SELECT count(*) FROM odata {filter}"))
    };
    assert_eq!(count(""), [[Sql::Integer(4442)]]);
    assert_eq!(
        count("WHERE name = 'San Nicolás de los Arroyos'"),
        [[Sql::Integer(1)]]
    );
    assert_eq!(count("WHERE muni IS NULL"), [[Sql::Integer(3515)]]);
    assert_eq!(
        count("WHERE json_extract(loc, '$.coordinates[0]') < 0"),
        [[Sql::Integer(1312)]]
    );
}

#[test]
fn changes_and_additions_at_the_source_arrive_and_nothing_else_is_written() {
    let Some(world) = World::of("person-basic", PAGED) else {
        return;
    };
    world.log_in();
    world.sync();
    let arrived = world.server.arrive("cities", 30);
    let changed: Vec<Json> = world.server.records("cities")[..4]
        .iter()
        .map(|city| {
            let name = format!("{} — Ōsaka Þ 𝕏 '\"\\", city["name"].as_str().unwrap());
            json!({ "cityId": city["cityId"], "name": name, "muni": null, "population": 9 })
        })
        .collect();
    world.server.change("cities", &changed);
    world.sync();
    for flow in PAGED_FLOWS {
        world.assert_equal(flow, "cities", "cityId");
        let run = world.house.rows(&format!(
            "SELECT inserted, updated, unchanged FROM _tidegate_runs WHERE flow = '{flow}' \
             ORDER BY run DESC LIMIT 1"
        ));
        // One unchanged: a read starts at the bookmark, not after it.
        assert_eq!(run, [[30, 4, 1].map(Sql::Integer)], "{flow}");
    }
    assert_eq!(arrived.len(), 30);
}

#[test]
fn deeply_nested_records_keep_every_value() {
    let Some(world) = World::of("person-post", COUNTRIES) else {
        return;
    };
    world.log_in();
    world.sync();
    world.assert_equal("countries", "countries", "cca3");
    let kosovo = "SELECT independent, ccn3, json_extract(name, '$.native.srp.common') \
                  FROM countries WHERE cca3 = 'UNK'";
    let told = [
        Sql::Null,
        Sql::Text(String::new()),
        Sql::Text("Косово".to_owned()),
    ];
    assert_eq!(world.house.rows(kosovo), [told]);
}
