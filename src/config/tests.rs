//! The configuration from outside: a file in, a configuration or a report out.

mod problems;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::record::CursorValue;
use crate::secret::ExposeSecret;

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
    assert!(matches!(
        connection.auth,
        Auth::Bearer(SecretSource::Env(_))
    ));
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
        oauth.token_url.as_str(),
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
    assert_eq!(exact.budgets.len(), 2);
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
        sandbox.token_url.as_str(),
        "http://127.0.0.1:4000/api/oauth2/token"
    );
    let flow = &config.flows["f"].resource;
    assert!(matches!(flow.paging, Paging::OData));
    let cursor = flow.cursor.as_ref().unwrap();
    assert!(cursor.ordered && cursor.lookback == Duration::from_secs(300));
}

#[test]
fn every_catalogue_entry_makes_a_connection() {
    let names: Vec<String> = providers()
        .into_iter()
        .map(|provider| provider.name)
        .collect();
    assert_eq!(
        names,
        [
            "exact-online",
            "github",
            "google",
            "microsoft",
            "mulesoft-anypoint",
            "typeform"
        ]
    );
    // An entry that could not be read would be left out in silence.
    let text = include_str!("catalogue.toml");
    assert_eq!(text.matches("\ntitle = ").count(), names.len());
    for name in names {
        let text = format!(
            "[connection.c]\nprovider = \"{name}\"\nclient_id = \"me\"\nclient_secret = {{ env = \"S\" }}\n\
             redirect_uri = \"https://test.local/cb\"\n"
        );
        let config = House::of(&text)
            .load()
            .unwrap_or_else(|report| panic!("{report}"));
        assert!(config.connections["c"].base_url.is_some());
    }
}

#[test]
fn the_example_has_no_problem_as_it_is_and_with_everything_on() {
    let example = include_str!("../../config.example.toml");
    let config = House::of(example)
        .load()
        .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!((config.connections.len(), config.flows.len()), (1, 1));
    let on = all_on(example);
    let house = House::of(&on);
    let config = house.load().unwrap_or_else(|report| panic!("{report}"));
    assert!(config.flows.len() > 5);
    // The values shown for settings of the whole program are the defaults.
    let plain = House::of(example).load().unwrap();
    assert_eq!(config.max_concurrent, plain.max_concurrent);
    assert_eq!(config.keep_runs, plain.keep_runs);
    assert_eq!(config.database, config.state_dir.join("tidegate.db"));
    assert_eq!(
        config.state_dir,
        house.directory.path().join("tidegate-state")
    );
}

/// Takes the `#` off every line that switches a setting off.
fn all_on(example: &str) -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_alphabetic() || c == '[') => rest.to_owned(),
        _ => line.to_owned(),
    };
    example.lines().map(|line| on(line) + "\n").collect()
}

#[test]
fn the_example_mentions_every_key() {
    let example = all_on(include_str!("../../config.example.toml"));
    for (section, key) in keys::all() {
        let assigned = example.match_indices(key).any(|(at, _)| {
            let (before, after) = (&example[..at], &example[at + key.len()..]);
            let part_of_a_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            !part_of_a_word && after.trim_start().starts_with('=')
        });
        let headed = example.contains(&format!("[{key}.")) || example.contains(&format!("[{key}]"));
        assert!(
            assigned || headed,
            "the example does not show `{key}` of {section}"
        );
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let text = r#"max_concurrent = 0
[connection.exact]
provider = "exact-onlin"
[connection.shop]
base_url = "http://shop.example"
token_url = "/token"
client_id = "me"
client_secret = "hunter2"
[flow.project]
conection = "shop"
connection = "shap"
schedule = "61 * * * *"
url = "/v1/{{ var.divsion }}/x"
vars = { division = 1 }
paging = "odata"
cursor = { field = "Modified" }
table = "sqlite_x"
"#;
    insta::assert_snapshot!(House::of(text).report(), @r#"
    error: `max_concurrent` is out of range
     --> t.toml:1:18
      |
    1 | max_concurrent = 0
      |                  ^ expected a whole number from 1 to 64

    error: connection `exact`: `exact-onlin` is no provider we know
     --> t.toml:3:12
      |
    3 | provider = "exact-onlin"
      |            ^^^^^^^^^^^^^ expected a catalogue entry
      |
      = help: did you mean "exact-online"?

    error: connection `shop` has no `authorize_url`
     --> t.toml:4:13
      |
    4 | [connection.shop]
      |             ^^^^ expected `authorize_url`: the authorization endpoint, absolute or relative to `base_url`

    error: connection `shop` has no `redirect_uri`
     --> t.toml:4:13
      |
    4 | [connection.shop]
      |             ^^^^ expected `redirect_uri`: the address registered with the provider, to the letter

    error: connection `shop`: `base_url` would send secrets unencrypted
     --> t.toml:5:12
      |
    5 | base_url = "http://shop.example"
      |            ^^^^^^^^^^^^^^^^^^^^^ expected https, or http to 127.0.0.1, [::1] or localhost

    error: connection `shop`: `token_url` would send secrets unencrypted
     --> t.toml:6:13
      |
    6 | token_url = "/token"
      |             ^^^^^^^^ expected https, or http to 127.0.0.1, [::1] or localhost

    error: connection `shop`: `client_secret` is written out in a file that others can read
     --> t.toml:8:17
      |
    8 | client_secret = "*******"
      |                 ^^^^^^^^^ expected { env = … }, { file = … } or { credential = … }
      |
      = help: or make this file yours alone with `chmod 600`; others may have read the secret, so change it

    error: flow `project` has no `key`
     --> t.toml:9:7
      |
    9 | [flow.project]
      |       ^^^^^^^ expected `key`: the fields that make two records one row, such as ["ID"]

    error: unknown key `conection` in flow `project`
      --> t.toml:10:1
       |
    10 | conection = "shop"
       | ^^^^^^^^^ not a key of [flow.NAME]
       |
       = help: did you mean `connection`?

    error: flow `project`: there is no connection `shap`
      --> t.toml:11:14
       |
    11 | connection = "shap"
       |              ^^^^^^ expected the name of a connection
       |
       = help: did you mean "shop"?

    error: flow `project`: `schedule` has a wrong minute: number out of bounds
      --> t.toml:12:13
       |
    12 | schedule = "61 * * * *"
       |             ^^ expected five fields (minute hour day month weekday), or six with seconds first

    error: flow `project`: `url` uses `var.divsion`, which nothing sets
      --> t.toml:13:15
       |
    13 | url = "/v1/{{ var.divsion }}/x"
       |               ^^^^^^^^^^^ unknown variable
       |
       = help: did you mean `var.division`?

    error: flow `project`: `cursor` has no effect: its bookmark is never sent
      --> t.toml:16:1
       |
    16 | cursor = { field = "Modified" }
       | ^^^^^^ expected `filter`, or {{ bookmark }} in the request
       |
       = help: for OData: filter = "Modified ge datetime'{{ bookmark }}'"

    error: flow `project`: `table` begins with `sqlite_`, which is reserved
      --> t.toml:17:9
       |
    17 | table = "sqlite_x"
       |         ^^^^^^^^^^ expected a name of letters, digits, `_` and `-`

    14 problems in t.toml
    "#);
}

#[test]
fn problems_have_a_form_for_programs() {
    let house = House::of("keep_runs = 90\n");
    let report = house.load().unwrap_err();
    let json = serde_json::to_value(&report).unwrap();
    let problem = &json["problems"][0];
    assert_eq!(problem["line"], 1);
    assert_eq!(problem["column"], 13);
    assert!(
        problem["message"]
            .as_str()
            .unwrap()
            .contains("`keep_runs` is an integer")
    );
    assert!(problem["label"].as_str().unwrap().contains("15m"));
    assert!(report.render(true).contains("\u{1b}["));
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
    let config = House::of(&with("", lines)).load().unwrap();
    let all = config.warnings.join("\n");
    for part in [
        "t.toml:3: connection `c`: `token`: environment variable `TOKEN` is not set",
        "time_zone",
        "vault.key",
    ] {
        assert!(all.contains(part), "{part} is not in {all}");
    }
}

#[test]
fn a_literal_secret_is_accepted_in_a_private_file_and_never_shown() {
    let text = CONNECTION.replace("{ env = \"TOKEN\" }", "\"s3cr3t-canary\"");
    let house = House::of(&text);
    let report = house.load().unwrap_err();
    assert!(!report.render(false).contains("canary"), "{report}");
    assert!(!serde_json::to_string(&report).unwrap().contains("canary"));
    house.write("t.toml", &text, 0o600);
    let config = house.load().unwrap();
    let Auth::Bearer(source) = &config.connections["c"].auth else {
        panic!("bearer")
    };
    assert_eq!(source.read().unwrap().expose_secret(), "s3cr3t-canary");
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn no_broken_line_shows_a_secret() {
    for line in [
        "client_secret = \"canary\" x",
        "client_secret = \"canary",
        "client_secret = canary",
        "token = 'canary' = 3",
        "headers = { Authorization = \"Bearer canary\" }",
        "headers = { X-Api-Key = \"canary {{ oops }}\" }",
        "clientsecrt = \"canary\"",
    ] {
        let house = House::of(&format!("[connection.c]\n{line}\n"));
        let report = house.report();
        assert!(!report.contains("canary"), "{report}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_report_too() {
    let house = House::of("");
    let missing = load_in(
        &house.directory.path().join("no.toml"),
        &Environment::of([]),
    );
    let report = missing.unwrap_err().to_string();
    assert!(
        report.contains("could not read") && report.contains("No such file"),
        "{report}"
    );
    let directory = load_in(house.directory.path(), &Environment::of([])).unwrap_err();
    assert!(
        directory.to_string().contains("not a regular file"),
        "{directory}"
    );
    house.write("t.toml", &"#".repeat((1 << 20) + 1), 0o644);
    assert!(house.report().contains("longer than 1 MiB"));
    fs::write(
        house.directory.path().join("t.toml"),
        b"# ok\na = \"\xff\"\n",
    )
    .unwrap();
    let report = house.load().unwrap_err();
    assert_eq!(
        (report.problems()[0].line, report.problems()[0].column),
        (Some(2), Some(6))
    );
}
