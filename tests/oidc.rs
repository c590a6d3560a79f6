//! tidegate against an authorization server, an API and records that are not ours.
//!
//! oidc-provider rotates refresh tokens and revokes the whole grant when an old one is seen again,
//! access token included: the hardest server there is for a client that loses an answer. Server
//! and program live by one clock that only the test moves, so tokens expire when it says so.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::time::Duration;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value as Json, json};
use support::{AuthorizationServer, TempHouse, call};

/// Longer than an access token lives.
const LIFE: Duration = Duration::from_secs(601);

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

/// Records nested six levels deep, in one page.
const COUNTRIES: &str = r#"
[flow.countries]
connection = "atlas"
url = "/odata/countries"
paging = "odata"
key = ["cca3"]
"#;

/// A house whose connection `atlas` leads to the server, with these flows.
struct World {
    house: TempHouse,
    server: AuthorizationServer,
}

impl World {
    /// Sets everything up for one client of the server; `None` if the server is not to be had.
    fn of(client: &str, flows: &str) -> Option<Self> {
        let house = TempHouse::new("");
        let server = AuthorizationServer::oidc_provider(&house)?;
        let (api, authorize_url, token_url) =
            (&server.api, &server.authorize_url, &server.token_url);
        let proof = match client {
            "person-public" => "client_auth = \"none\"".to_owned(),
            "person-post" => format!(
                "client_auth = \"body\"\nclient_secret = {:?}",
                server.secret_of(client)
            ),
            _ => format!(
                "client_auth = \"basic\"\nclient_secret = {:?}",
                server.secret_of(client)
            ),
        };
        let grant = match client {
            "machine" => "grant = \"client_credentials\"".to_owned(),
            _ => format!(
                "grant = \"authorization_code\"\nauthorize_url = \"{authorize_url}\"\npkce = true\n\
                 scopes = [\"openid\", \"offline_access\"]\n\
                 authorize_params = {{ prompt = \"consent\" }}\nredirect_uri = \"{}\"",
                redirect_uri(client)
            ),
        };
        house.write_private(
            "tidegate.toml",
            &format!(
                "[connection.atlas]\nbase_url = \"{api}\"\ntoken_url = \"{token_url}\"\n\
                 client_id = \"{client}\"\n{proof}\n{grant}\n{flows}"
            ),
        );
        Some(Self { house, server })
    }

    /// Signs in as a person does, at the server's own pages.
    fn log_in(&self) {
        let mut login = self.house.start(&["login", "atlas", "--no-browser"]);
        let url = login.wait_for_line(|line| line.starts_with("http"));
        let back = self.server.sign_in(&url);
        if back.starts_with("http://127.0.0.1") {
            assert_eq!(call("GET", &back, None).status, 200);
        } else {
            login.type_line(&back);
        }
        login.finish().expect_code(0);
    }

    fn sync(&self) {
        self.house.run(&["--run-now"]).expect_code(0);
    }

    /// Lets so much time pass that every access token has expired.
    fn outlive_the_access_token(&self) {
        self.house.clock().advance(LIFE).unwrap();
    }

    /// Fails unless the table holds what the source holds, value by value, and no row more.
    #[track_caller]
    fn assert_equal(&self, table: &str, set: &str, key: &str) {
        let rows = self.table(table, key);
        let records = self.server.records(set);
        let keys: BTreeSet<String> = records.iter().map(|record| text(&record[key])).collect();
        assert_eq!(
            rows.keys().cloned().collect::<BTreeSet<_>>(),
            keys,
            "the keys of {table}"
        );
        for record in &records {
            let row = &rows[&text(&record[key])];
            for (field, value) in record.as_object().unwrap() {
                let found = &row[field];
                assert!(
                    is_same(found, value),
                    "{table}: {field} of {record}\nis {found:?}"
                );
            }
        }
    }

    /// Returns the rows of a table by key, each as column and value, ours left out.
    fn table(&self, table: &str, key: &str) -> BTreeMap<String, BTreeMap<String, Sql>> {
        let data = self.house.data();
        let mut statement = data.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).unwrap();
        let mut found = BTreeMap::new();
        while let Some(row) = rows.next().unwrap() {
            let values: BTreeMap<String, Sql> = names
                .iter()
                .filter(|name| !name.starts_with("sync_"))
                .map(|name| (name.clone(), row.get(name.as_str()).unwrap()))
                .collect();
            let key = match &values[key] {
                Sql::Integer(number) => number.to_string(),
                Sql::Text(text) => text.clone(),
                other => panic!("{other:?} is no key"),
            };
            assert!(
                found.insert(key.clone(), values).is_none(),
                "{key} is there twice"
            );
        }
        found
    }

    /// Returns the refreshes among the token requests.
    fn refreshes(&self) -> Vec<Json> {
        let mut ledger = self.server.ledger();
        ledger.retain(|request| request["grant_type"] == "refresh_token");
        ledger
    }

    /// Fails unless each time that a refresh token was presented again stands in the vault as a try
    /// made in doubt; returns how often that was.
    #[track_caller]
    fn assert_repeats_are_doubts(&self) -> i64 {
        let presented: Vec<String> = self
            .refreshes()
            .iter()
            .map(|request| text(&request["presented"]))
            .collect();
        let different: BTreeSet<&String> = presented.iter().collect();
        let repeats = i64::try_from(presented.len() - different.len()).unwrap();
        let vault = Connection::open_with_flags(
            self.house.path("tidegate-state/vault.db"),
            OpenFlags::SQLITE_OPEN_READ_ONLY,
        );
        let sql = "SELECT coalesce(sum(tries - 1), 0) FROM refreshes
                   WHERE kind = 'refresh' AND doubt_at IS NOT NULL";
        let doubted: i64 = vault.unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(repeats, doubted, "{presented:#?}");
        repeats
    }

    /// Returns what `status --json` says of the connection.
    fn health(&self) -> Json {
        let status = self.house.run(&["status", "--json"]).json();
        let connections = status["connections"].as_array().unwrap();
        connections
            .iter()
            .find(|one| one["connection"] == "atlas")
            .unwrap()
            .clone()
    }
}

/// For one client a person pastes what the browser shows; the others listen on loopback.
fn redirect_uri(client: &str) -> String {
    if client == "person-post" {
        return "https://tidegate.example/oauth-callback".to_owned();
    }
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    format!("http://{free}/callback")
}

fn text(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether a column holds what the source said. Objects and arrays are kept as JSON.
fn is_same(found: &Sql, said: &Json) -> bool {
    match (found, said) {
        (Sql::Null, Json::Null) => true,
        (Sql::Integer(found), Json::Bool(said)) => *found == i64::from(*said),
        (Sql::Integer(found), Json::Number(said)) => said.as_i64() == Some(*found),
        (Sql::Real(found), Json::Number(said)) => said.as_f64() == Some(*found),
        (Sql::Text(found), Json::String(said)) => found == said,
        (Sql::Text(found), Json::Object(_) | Json::Array(_)) => {
            serde_json::from_str::<Json>(found).is_ok_and(|found| found == *said)
        }
        _ => false,
    }
}

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

#[test]
fn each_rotated_refresh_token_is_presented_once_and_in_turn() {
    const EXPIRIES: usize = 6;
    let Some(world) = World::of("person-public", COUNTRIES) else {
        return;
    };
    world.log_in();
    world.sync();
    for turn in 1..=EXPIRIES {
        world.outlive_the_access_token();
        world.server.change(
            "countries",
            &[json!({ "cca3": "NLD", "area": 41_850 + turn })],
        );
        world.sync();
        world.assert_equal("countries", "countries", "cca3");
    }
    let ledger = world.server.ledger();
    assert_eq!(ledger.len(), 1 + EXPIRIES, "{ledger:#?}");
    for (before, request) in ledger.iter().zip(&ledger[1..]) {
        assert_eq!(
            request["presented"], before["issued"],
            "the token just issued is presented"
        );
        assert_eq!(request["status"], 200);
        assert_eq!(request["parallel"], 0);
    }
    assert_eq!(world.assert_repeats_are_doubts(), 0);
}

#[test]
fn an_answer_lost_after_the_commit_asks_for_a_login_and_loses_nothing() {
    lose_an_answer(&json!({ "kind": "drop" }));
}

#[test]
fn an_answer_cut_short_asks_for_a_login_and_loses_nothing() {
    lose_an_answer(&json!({ "kind": "cut" }));
}

/// Lets `fault` take an answer after the server has committed to it.
fn lose_an_answer(fault: &Json) {
    let Some(world) = World::of("person-basic", COUNTRIES) else {
        return;
    };
    world.log_in();
    world.sync();
    let before = world.table("countries", "cca3");
    world.server.change(
        "countries",
        &[json!({ "cca3": "NLD", "capital": ["’s-Gravenhage"] })],
    );
    world.outlive_the_access_token();
    world.server.fail_next(fault);

    let run = world
        .house
        .run_as_time_passes(&["--run-now"])
        .expect_code(3);
    assert!(
        run.stderr.contains("tidegate login atlas"),
        "{}",
        run.stderr
    );
    let refreshes = world.refreshes();
    assert_eq!(
        refreshes.len(),
        2,
        "the old token is tried once more, then never: {refreshes:#?}"
    );
    assert_eq!(refreshes[0]["outcome"], "undelivered");
    assert_eq!(refreshes[1]["presented"], refreshes[0]["presented"]);
    assert_eq!(refreshes[1]["error"], "invalid_grant");
    assert_eq!(world.assert_repeats_are_doubts(), 1);
    let health = world.health();
    assert_eq!(health["state"], "needs_login", "{health}");
    assert_eq!(health["reason"], "rotation_answer_lost", "{health}");
    assert_eq!(world.table("countries", "cca3"), before);

    world
        .house
        .run_as_time_passes(&["--run-now"])
        .expect_code(3);
    assert_eq!(
        world.refreshes().len(),
        2,
        "a refused token is not presented again"
    );

    world.log_in();
    world.sync();
    world.assert_equal("countries", "countries", "cca3");
    assert_eq!(world.health()["state"], "ok");
    world.outlive_the_access_token();
    world.sync();
    assert_eq!(world.refreshes().len(), 3, "and the new chain rotates");
}

#[test]
fn trouble_on_the_line_before_the_server_saw_the_request_costs_no_login() {
    let Some(world) = World::of("person-basic", COUNTRIES) else {
        return;
    };
    world.log_in();
    world.sync();
    for fault in [
        json!({ "kind": "lose" }),
        json!({ "kind": "status", "status": 503 }),
        json!({ "kind": "html" }),
    ] {
        world.outlive_the_access_token();
        world.server.fail_next(&fault);
        // Whether this run waits for the retry or leaves it to the next one is not the point.
        let run = world.house.run_as_time_passes(&["--run-now"]);
        assert!(matches!(run.code, Some(0 | 1)), "{fault}: {run:#?}");
        world
            .house
            .clock()
            .advance(Duration::from_secs(120))
            .unwrap();
        world
            .house
            .run_as_time_passes(&["--run-now"])
            .expect_code(0);
        assert_eq!(world.health()["state"], "ok", "{fault}");
    }
    world.assert_repeats_are_doubts();
    world.assert_equal("countries", "countries", "cca3");
}

#[test]
fn a_slow_answer_is_waited_for() {
    let Some(world) = World::of("person-basic", COUNTRIES) else {
        return;
    };
    world.log_in();
    world.outlive_the_access_token();
    world
        .server
        .fail_next(&json!({ "kind": "delay", "ms": 1500 }));
    world.sync();
    assert_eq!(world.refreshes().len(), 1);
    world.assert_equal("countries", "countries", "cca3");
}

#[test]
fn client_credentials_need_no_login_and_outlive_their_tokens() {
    let Some(world) = World::of("machine", COUNTRIES) else {
        return;
    };
    for _ in 0..3 {
        world.sync();
        world.outlive_the_access_token();
    }
    world.assert_equal("countries", "countries", "cca3");
    let ledger = world.server.ledger();
    assert_eq!(ledger.len(), 3, "{ledger:#?}");
    assert!(
        ledger
            .iter()
            .all(|request| request["grant_type"] == "client_credentials")
    );
}
