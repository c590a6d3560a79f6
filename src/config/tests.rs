//! The configuration from outside: a file in, a configuration or a report out.

mod catalogue;
mod example;
mod problems;
mod report;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::record::CursorValue;

/// A directory with a configuration in it.
struct House {
    directory: tempfile::TempDir,
}

impl House {
    fn of(text: &str) -> Self {
        let house = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        house.write("t.toml", text, 0o644);
        house
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn load_with(&self, environment: &Environment) -> Result<Config, Report> {
        load_in(&self.directory.path().join("t.toml"), environment)
    }

    fn load(&self) -> Result<Config, Report> {
        self.load_with(&Environment::of([]))
    }

    /// Returns the report with the directory taken out.
    fn report(&self) -> String {
        let report = self.load().expect_err("the file is wrong").render(false);
        report.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

/// A connection and a flow that are right, to be made wrong line by line.
const CONNECTION: &str = r#"[connection.c]
base_url = "https://api.example.com"
token = { env = "TOKEN" }
"#;
const FLOW: &str = r#"[flow.f]
connection = "c"
url = "/things"
paging = "none"
key = ["id"]
"#;

fn with(connection: &str, flow: &str) -> String {
    let line = |text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!("{text}\n")
        }
    };
    format!("{CONNECTION}{}{FLOW}{}", line(connection), line(flow))
}

#[test]
fn the_shortest_flow_has_defaults_for_everything_else() {
    let house = House::of(&with("", ""));
    let config = house.load_with(&Environment::of([("TOKEN", "t")])).unwrap();
    let flow = &config.flows["f"];
    assert_eq!(flow.table.name, "f");
    assert!(flow.schedule.is_none() && flow.resource.cursor.is_none());
    assert_eq!(flow.timeout, Duration::from_secs(3600));
    assert_eq!(
        flow.resource.caps,
        Caps {
            pages: 10_000,
            page_bytes: 64_000_000
        }
    );
    assert!(matches!(flow.table.columns, Columns::All));
    let connection = config.connection(flow);
    assert!(matches!(connection.auth, Auth::Token(SecretSource::Env(_))));
    assert_eq!(connection.timeout, Duration::from_secs(60));
    let here = house.directory.path();
    assert_eq!(config.state_dir, here.join("tidegate-state"));
    assert_eq!(config.database, here.join("tidegate-state/tidegate.db"));
    assert_eq!(
        (config.max_concurrent, config.keep_runs.as_secs()),
        (4, 90 * 86_400)
    );
    assert!(matches!(config.key, KeySource::File(path) if path == here.join("vault.key")));
}

#[test]
fn systemd_says_where_state_and_key_are() {
    let house = House::of(&with("", ""));
    house.write("tidegate-key", "x", 0o400);
    let credentials = house.directory.path().to_str().unwrap();
    let environment = Environment::of([
        ("STATE_DIRECTORY", "/var/lib/tidegate:/var/lib/other"),
        ("CREDENTIALS_DIRECTORY", credentials),
    ]);
    let config = house.load_with(&environment).unwrap();
    assert_eq!(config.state_dir, PathBuf::from("/var/lib/tidegate"));
    assert!(matches!(config.key, KeySource::Credential(name) if name == "tidegate-key"));
}

#[test]
fn a_catalogue_entry_fills_what_is_not_written_and_moves_with_its_base() {
    let text = r#"
[connection.exact]
provider = "exact-online"
country = "be"
client_id = "me"
client_secret = { env = "S" }
redirect_uri = "https://test.local/cb"
headers = { X-More = "1" }
refresh = { target = "590s" }
[connection.sandbox]
provider = "exact-online"
base_url = "http://127.0.0.1:4000"
client_id = "me"
client_secret = { env = "S" }
redirect_uri = "https://test.local/cb"
[flow.f]
connection = "exact"
url = "/api/v1/1/project/Projects"
query = { "$orderby" = "Modified,ID" }
cursor = { field = "Modified", filter = "Modified ge datetime'{{ bookmark }}'" }
key = ["ID"]
"#;
    let config = House::of(text).load().unwrap();
    let exact = &config.connections["exact"];
    let Auth::OAuth(oauth) = &exact.auth else {
        panic!("OAuth")
    };
    assert_eq!(
        oauth.authority().as_str(),
        "https://start.exactonline.be/api/oauth2/token"
    );
    assert_eq!(
        (oauth.client_auth, oauth.policy),
        (ClientAuth::Body, RefreshPolicy::WhenNeeded)
    );
    // One value of a table is written, its neighbours stay the entry's.
    assert_eq!(oauth.window.target, Some(Duration::from_secs(590)));
    assert_eq!(oauth.window.not_before, Some(Duration::from_secs(570)));
    assert_eq!(exact.headers.len(), 2);
    assert!(
        oauth
            .errors
            .iter()
            .any(|rule| rule.means == Meaning::TooEarly)
    );
    let Auth::OAuth(sandbox) = &config.connections["sandbox"].auth else {
        panic!("OAuth")
    };
    assert_eq!(
        sandbox.authority().as_str(),
        "http://127.0.0.1:4000/api/oauth2/token"
    );
    let flow = &config.flows["f"].resource;
    assert!(matches!(flow.paging.style, Style::OData));
    let cursor = flow.cursor.as_ref().unwrap();
    assert!(cursor.ordered && cursor.lookback == Duration::from_secs(300));
}

#[test]
fn cursor_starts_keep_their_kind() {
    let cases = [
        ("2024-01-01T00:00:00Z", "instant"),
        ("2024-01-01T00:00:00", "civil"),
        ("\"2024-01-01\"", "civil"),
        ("493115", "integer"),
        ("\"v2\"", "text"),
    ];
    for (start, kind) in cases {
        let line = format!(
            "query = {{ since = \"{{{{ bookmark }}}}\" }}\ncursor = {{ field = \"m\", start = {start} }}"
        );
        let config = House::of(&with("", &line))
            .load()
            .unwrap_or_else(|report| panic!("{report}"));
        let start = config.flows["f"]
            .resource
            .cursor
            .clone()
            .unwrap()
            .start
            .unwrap();
        let found = match start {
            CursorValue::Instant(_) => "instant",
            CursorValue::Civil(_) => "civil",
            CursorValue::Integer(_) => "integer",
            CursorValue::Text(_) => "text",
        };
        assert_eq!(found, kind);
    }
}

#[test]
fn queries_and_columns_keep_the_order_of_the_file() {
    let line = "query = { z = \"1\", a = 2, m = true }\ncolumns = { z = \"id\", a = \"b\" }";
    let config = House::of(&with("", line)).load().unwrap();
    let flow = &config.flows["f"];
    let names: Vec<&str> = flow
        .resource
        .query
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["z", "a", "m"]);
    assert_eq!(flow.resource.query[1].1.source(), "2");
    let Columns::Listed(columns) = &flow.table.columns else {
        panic!("listed")
    };
    assert_eq!(
        columns
            .iter()
            .map(|column| column.name.as_str())
            .collect::<Vec<_>>(),
        ["z", "a"]
    );
}

#[test]
fn what_is_right_but_doubtful_is_a_warning() {
    let lines = "cursor = { field = \"M\", filter = \"M ge datetime'{{ bookmark }}'\" }";
    let text = with("", lines);
    let warnings = |text: &str| House::of(text).load().unwrap().warnings.join("\n");
    let all = warnings(&text);
    for part in [
        "t.toml:3: connection `c`: `token`: environment variable `TOKEN` is not set",
        "time_zone",
    ] {
        assert!(all.contains(part), "{part} is not in {all}");
    }
    // The key is looked for where something is sealed, and only there.
    assert!(!all.contains("vault.key"), "{all}");
    let sealed = warnings(&text.replace("{ env = \"TOKEN\" }", "{ vault = \"token\" }"));
    assert!(sealed.contains("vault.key"), "{sealed}");
}
