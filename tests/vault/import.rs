//! Tokens that were obtained elsewhere and are brought in.

use std::process::Stdio;

use crate::files::holding;
use crate::support::{Ran, Scripted, TempHouse, answer, json};

const BROUGHT: &str = "CANARY-brought-in-5d07";

/// A connection that lives on a refresh token, one on which somebody signs in, and one that needs
/// neither.
struct Archive {
    house: TempHouse,
    server: Scripted,
}

impl Archive {
    fn new() -> Self {
        let server = Scripted::start(|asked| {
            let body = String::from_utf8_lossy(&asked.body).into_owned();
            match asked.line.as_str() {
                "POST /token" if body.contains(&format!("refresh_token={BROUGHT}")) => json(
                    r#"{"access_token":"fresh","token_type":"bearer","expires_in":600,"refresh_token":"next"}"#,
                ),
                "POST /token" => answer(400, &[], r#"{"error":"invalid_grant"}"#),
                _ => json(r#"[{"id":1}]"#),
            }
        });
        let url = &server.url;
        let config = format!(
            r#"
[connection.archive]
base_url = "{url}"
grant = "refresh_token"
token_url = "{url}/token"
client_id = "tidegate"
client_auth = "none"

[connection.person]
base_url = "{url}"
authorize_url = "{url}/authorize"
token_url = "{url}/token"
client_id = "tidegate"
client_auth = "none"
redirect_uri = "https://test.local/back"

[connection.machine]
base_url = "{url}"
grant = "client_credentials"
token_url = "{url}/token"
client_id = "tidegate"
client_secret = "worth-nothing"

[flow.item]
connection = "archive"
url = "/items"
key = ["id"]
paging = "none"

[flow.thing]
connection = "person"
url = "/things"
key = ["id"]
paging = "none"
"#
        );
        Self {
            house: TempHouse::new(&config),
            server,
        }
    }

    /// Pipes tokens in.
    fn import(&self, connection: &str, brought: &str) -> Ran {
        let mut command = self.house.start(&["login", connection, "--import"]);
        command.type_line(brought);
        command.finish()
    }

    /// Returns the proofs that the API was shown, in order.
    fn shown(&self) -> Vec<String> {
        let asked = self.server.asked();
        let proofs = asked.iter().filter(|asked| asked.line.starts_with("GET"));
        proofs
            .filter_map(|asked| asked.header("authorization"))
            .collect()
    }

    fn token_requests(&self) -> usize {
        let asked = self.server.asked();
        asked.iter().filter(|it| it.line == "POST /token").count()
    }
}

#[test]
fn a_refresh_token_alone_is_brought_in_and_its_first_use_gets_an_access_token() {
    let archive = Archive::new();
    let house = &archive.house;
    let refused = house.run(&["login", "archive"]).expect_code(2);
    let hint = "type `tidegate login archive --import < FILE`";
    assert!(refused.stderr.contains(hint), "{}", refused.stderr);
    house.run(&["--run-now", "item"]).expect_code(3);
    assert!(archive.server.asked().is_empty());

    let alone = format!(r#"{{"refresh_token":"{BROUGHT}"}}"#);
    let done = archive.import("archive", &alone).expect_code(0);
    assert!(
        done.stdout
            .starts_with("brought in the tokens of `archive`\n")
    );
    assert!(archive.server.asked().is_empty(), "nothing is asked for it");
    house.run(&["--run-now", "item"]).expect_code(0);
    house.run(&["--run-now", "item"]).expect_code(0);
    assert_eq!(archive.shown(), ["Bearer fresh", "Bearer fresh"]);
    assert_eq!(archive.token_requests(), 1);
    assert_eq!(holding(&house.path(""), BROUGHT), Vec::<String>::new());
}

#[test]
fn a_running_service_takes_the_answer_of_a_login_elsewhere_and_uses_its_access_token() {
    let archive = Archive::new();
    let mut daemon = archive.house.start_daemon();
    let whole = format!(
        r#"{{"access_token":"brought","token_type":"Bearer","expires_in":3600,"refresh_token":"{BROUGHT}"}}"#
    );
    let done = archive.import("person", &whole).expect_code(0);
    assert!(
        done.stdout.contains("access token until"),
        "{}",
        done.stdout
    );
    archive.house.run(&["--run-now", "thing"]).expect_code(0);
    assert_eq!(archive.shown(), ["Bearer brought"]);
    assert_eq!(archive.token_requests(), 0);
    assert!(!daemon.has_ended_within(std::time::Duration::ZERO));
    assert!(!daemon.kill().stderr.contains(BROUGHT));
}

#[test]
fn what_cannot_be_brought_in_is_refused_without_a_word_of_it() {
    let archive = Archive::new();
    let alone = format!(r#"{{"refresh_token":"{BROUGHT}"}}"#);
    let long = format!("{alone}{}", " ".repeat(256 << 10));
    for (connection, brought, why) in [
        ("archive", BROUGHT, "it is not a JSON object"),
        (
            "archive",
            &format!("refresh_token={BROUGHT}"),
            "it is not a JSON object",
        ),
        (
            "archive",
            &format!(r#"{{"token":"{BROUGHT}"}}"#),
            "there is no token in it",
        ),
        (
            "archive",
            &format!(r#"{{"refresh_token":"{BROUGHT}é"}}"#),
            "no token may hold",
        ),
        ("archive", &long, "is longer than 256 KiB"),
        ("machine", &alone, "its configuration alone gives access"),
        ("nobody", &alone, "no connection `nobody`"),
    ] {
        let refused = archive.import(connection, brought).expect_code(2);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
        assert!(!refused.stderr.contains(BROUGHT), "{}", refused.stderr);
    }
    let mut command = archive.house.command(&["login", "archive", "--import"]);
    let empty = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&empty.stderr);
    assert!(said.contains("the standard input is empty"), "{said}");
    assert_eq!(archive.house.generation("archive"), None);
}
