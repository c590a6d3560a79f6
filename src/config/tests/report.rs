//! The report as a whole.

use std::fs;

use proptest::prelude::*;

use super::{CONNECTION, House, with};
use crate::config::{Auth, Environment, load_in};
use crate::secret::ExposeSecret;

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

    error: connection `exact` has no `client_id`
     --> t.toml:2:13
      |
    2 | [connection.exact]
      |             ^^^^^ expected `client_id`: the id the provider gave your app

    error: connection `exact` has no `redirect_uri`
     --> t.toml:2:13
      |
    2 | [connection.exact]
      |             ^^^^^ expected `redirect_uri`: the address registered with the provider, to the letter

    error: connection `exact` has no `client_secret`
     --> t.toml:2:13
      |
    2 | [connection.exact]
      |             ^^^^^ expected `client_secret`: { env = … }, { file = … }, { credential = … } or { vault = … }

    error: connection `exact`: `exact-onlin` is no provider we know
     --> t.toml:3:12
      |
    3 | provider = "exact-onlin"
      |            ^^^^^^^^^^^^^ expected a catalogue entry
      |
      = help: did you mean "exact-online"?

    error: connection `shop` has no `redirect_uri`
     --> t.toml:4:13
      |
    4 | [connection.shop]
      |             ^^^^ expected `redirect_uri`: the address registered with the provider, to the letter

    error: connection `shop` has no `authorize_url`
     --> t.toml:4:13
      |
    4 | [connection.shop]
      |             ^^^^ expected `authorize_url`: the authorization endpoint, absolute or relative to `base_url`; or `issuer`, which tells it

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
      |                 ^^^^^^^^^ expected { env = … }, { file = … }, { credential = … } or { vault = … }
      |
      = help: change the secret, which others may have read, or type `chmod 600 t.toml`

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

    17 problems in t.toml
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
fn a_literal_secret_is_accepted_in_a_private_file_and_never_shown() {
    let text = CONNECTION.replace("{ env = \"TOKEN\" }", "\"s3cr3t-canary\"");
    let house = House::of(&text);
    let report = house.load().unwrap_err();
    assert!(!report.render(false).contains("canary"), "{report}");
    assert!(!serde_json::to_string(&report).unwrap().contains("canary"));
    house.write("t.toml", &text, 0o600);
    let config = house.load().unwrap();
    let Auth::Token(source) = &config.connections["c"].auth else {
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

#[test]
fn a_fault_inside_a_letter_is_shown_under_the_whole_letter() {
    let flow = "vars = { x = 1 }\nquery = { y = \"{{é var.x }}\" }";
    let report = House::of(&with("", flow)).report();
    assert!(report.contains("is no valid template"), "{report}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cut and patched anywhere, the example is a configuration or a report that can be shown.
    #[test]
    fn no_file_is_too_broken_for_a_report(
        from in 0..10_000_usize,
        length in 0..40_usize,
        patch in "[a-z\"'={}\\[\\]\n.#é {}]{0,6}",
    ) {
        let example = super::example::all_on(super::example::EXAMPLE);
        let from = example.floor_char_boundary(from.min(example.len()));
        let to = example.floor_char_boundary((from + length).min(example.len()));
        let broken = format!("{}{patch}{}", &example[..from], &example[to..]);
        if let Err(report) = House::of(&broken).load() {
            prop_assert!(!report.problems().is_empty());
            prop_assert!(report.problems().iter().all(|problem| problem.line.is_some()));
            prop_assert!(report.render(true).len() > report.problems().len());
        }
    }
}
