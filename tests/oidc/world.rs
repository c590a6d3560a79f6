//! A house beside `oidc-provider` and an API with real records.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::time::Duration;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value as Json;

use crate::support::{AuthorizationServer, Ran, TempHouse, call};

/// Longer than an access token lives.
pub(crate) const LIFE: Duration = Duration::from_secs(601);

/// Records nested six levels deep, in one page.
pub(crate) const COUNTRIES: &str = r#"
[flow.countries]
connection = "atlas"
url = "/odata/countries"
paging = "odata"
key = ["cca3"]
"#;

/// What a login must ask for so that it brings a refresh token.
pub(crate) const OFFLINE: &str = "scopes = [\"openid\", \"offline_access\"]\n\
    authorize_params = { prompt = \"consent\" }\n";

/// A house whose connection `atlas` leads to the server, with these flows.
pub(crate) struct World {
    pub(crate) house: TempHouse,
    pub(crate) server: AuthorizationServer,
}

impl World {
    /// Sets everything up for one client of the server; `None` if the server is not to be had.
    pub(crate) fn of(client: &str, flows: &str) -> Option<Self> {
        Self::with(flows, |server, _| {
            let secret = || server.secret_of(client);
            let proof = match client {
                "person-public" => "client_auth = \"none\"".to_owned(),
                "person-post" => format!("client_auth = \"body\"\nclient_secret = {:?}", secret()),
                _ => format!("client_auth = \"basic\"\nclient_secret = {:?}", secret()),
            };
            let grant = match client {
                "machine" => "grant = \"client_credentials\"".to_owned(),
                _ => format!(
                    "grant = \"authorization_code\"\nauthorize_url = \"{}\"\npkce = true\n{}\
                     redirect_uri = \"{}\"",
                    server.authorize_url,
                    OFFLINE,
                    redirect_uri(client)
                ),
            };
            format!(
                "token_url = \"{}\"\nclient_id = \"{client}\"\n{proof}\n{grant}",
                server.token_url
            )
        })
    }

    /// Sets everything up for a connection with these lines; `None` if the server is not to be had.
    pub(crate) fn with(
        flows: &str,
        lines: impl FnOnce(&AuthorizationServer, &TempHouse) -> String,
    ) -> Option<Self> {
        let house = TempHouse::new("");
        let server = AuthorizationServer::oidc_provider(&house)?;
        let (api, lines) = (&server.api, lines(&server, &house));
        let config = format!("[connection.atlas]\nbase_url = \"{api}\"\n{lines}\n{flows}");
        house.write_private("tidegate.toml", &config);
        Some(Self { house, server })
    }

    /// Signs in as a person does, at the server's own pages.
    pub(crate) fn log_in(&self) -> Ran {
        let mut login = self.house.start(&["login", "atlas", "--no-browser"]);
        let url = login.wait_for_line(|line| line.starts_with("http"));
        let back = self.server.sign_in(&url);
        if back.starts_with("http://127.0.0.1") {
            assert_eq!(call("GET", &back, None).status, 200);
        } else {
            login.type_line(&back);
        }
        login.finish().expect_code(0)
    }

    pub(crate) fn sync(&self) {
        self.house.run(&["--run-now"]).expect_code(0);
    }

    /// Lets so much time pass that every access token has expired.
    pub(crate) fn outlive_the_access_token(&self) {
        self.house.clock().advance(LIFE).unwrap();
    }

    /// Fails unless the table holds what the source holds, value by value, and no row more.
    #[track_caller]
    pub(crate) fn assert_equal(&self, table: &str, set: &str, key: &str) {
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
    pub(crate) fn table(&self, table: &str, key: &str) -> BTreeMap<String, BTreeMap<String, Sql>> {
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
    pub(crate) fn refreshes(&self) -> Vec<Json> {
        let mut ledger = self.server.ledger();
        ledger.retain(|request| request["grant_type"] == "refresh_token");
        ledger
    }

    /// Fails unless each time that a refresh token was presented again stands in the vault as a try
    /// made in doubt; returns how often that was.
    #[track_caller]
    pub(crate) fn assert_repeats_are_doubts(&self) -> i64 {
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
    pub(crate) fn health(&self) -> Json {
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
pub(crate) fn redirect_uri(client: &str) -> String {
    if client == "person-post" {
        return "https://tidegate.example/oauth-callback".to_owned();
    }
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    format!("http://{free}/callback")
}

pub(crate) fn text(value: &Json) -> String {
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
