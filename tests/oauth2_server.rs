//! tidegate against `@node-oauth/oauth2-server`, a plain OAuth 2.0 server of another make: no
//! discovery, no revocation, and a refused old refresh token whose successor lives on.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod support;

use std::time::Duration;

use serde_json::{Value as Json, json};
use support::{AuthorizationServer, Ran, TempHouse};

/// Longer than an access token lives.
const LIFE: Duration = Duration::from_secs(601);

/// A house whose connection `notes` leads to the server, with one flow.
struct World {
    house: TempHouse,
    server: AuthorizationServer,
}

impl World {
    /// Sets everything up for a client of the server, with these lines about how it gets access;
    /// `None` if the server is not to be had.
    fn of(client: &str, access: impl FnOnce(&AuthorizationServer) -> String) -> Option<Self> {
        let house = TempHouse::new("");
        let server = AuthorizationServer::oauth2_server(&house)?;
        house.write_private("client-secret", server.secret_of(client));
        let config = format!(
            r#"
[connection.notes]
base_url = "{api}"
token_url = "{token_url}"
client_id = "{client}"
client_secret = {{ file = "client-secret" }}
{access}

[flow.note]
connection = "notes"
url = "/notes"
paging = "none"
key = ["id"]
"#,
            api = server.api,
            token_url = server.token_url,
            access = access(&server),
        );
        house.write_private("tidegate.toml", &config);
        Some(Self { house, server })
    }

    /// Sets everything up for a person who has signed in.
    fn of_a_person() -> Option<Self> {
        let world = Self::of("person", |server| {
            format!(
                "grant = \"authorization_code\"\nauthorize_url = \"{}\"\n\
                 redirect_uri = \"https://tidegate.example/oauth-callback\"",
                server.authorize_url
            )
        })?;
        world.sign_in();
        Some(world)
    }

    /// Sets everything up for a client that has access of its own.
    fn of_a_machine() -> Option<Self> {
        Self::of("machine", |_| "grant = \"client_credentials\"".to_owned())
    }

    /// Sets everything up for a client that knows a person's password.
    fn of_a_legacy_client() -> Option<Self> {
        let world = Self::of("legacy", |server| {
            format!(
                "grant = \"password\"\nusername = {}\npassword = {{ file = \"password\" }}",
                server.told("people")[0]["username"]
            )
        })?;
        let password = world.server.told("people")[0]["password"].as_str().unwrap();
        world.house.write_private("password", password);
        Some(world)
    }

    fn sign_in(&self) -> Ran {
        let mut login = self.house.start(&["login", "notes", "--no-browser"]);
        let url = login.wait_for_line(|line| line.starts_with("http"));
        login.type_line(&self.server.sign_in(&url));
        login.finish().expect_code(0)
    }

    fn run(&self) -> Ran {
        self.house.run_as_time_passes(&["--run-now"])
    }

    /// Runs the flow, and fails unless its table holds what the API has.
    #[track_caller]
    fn sync(&self) {
        self.run().expect_code(0);
        let rows = self.house.rows("SELECT id, text FROM note ORDER BY id");
        let notes = [Some("first"), Some("zweite — ünïcödé"), None];
        let expected: Vec<Vec<rusqlite::types::Value>> = (1_i64..)
            .zip(notes)
            .map(|(id, text)| vec![id.into(), text.map(str::to_owned).into()])
            .collect();
        assert_eq!(rows, expected);
    }

    fn outlive_the_access_token(&self) {
        self.house.clock().advance(LIFE).unwrap();
    }

    /// Returns the token requests of a grant.
    fn requests(&self, grant: &str) -> Vec<Json> {
        let mut ledger = self.server.ledger();
        ledger.retain(|request| request["grant_type"] == grant);
        ledger
    }

    fn connection(&self) -> Json {
        let shown = self.house.run(&["connections", "--json"]).json();
        shown[0].clone()
    }
}

#[test]
fn a_code_with_pkce_brings_tokens_and_each_refresh_token_is_used_once() {
    const EXPIRIES: usize = 5;
    let Some(world) = World::of_a_person() else {
        return;
    };
    world.sync();
    for _ in 0..EXPIRIES {
        world.outlive_the_access_token();
        world.sync();
    }
    let ledger = world.server.ledger();
    assert_eq!(ledger.len(), 1 + EXPIRIES, "{ledger:#?}");
    for (before, request) in ledger.iter().zip(&ledger[1..]) {
        assert_eq!(request["presented"], before["issued"]);
        assert_eq!(
            (&request["status"], &request["parallel"]),
            (&json!(200), &json!(0))
        );
    }
}

#[test]
fn a_lost_answer_asks_for_a_login_once_the_old_token_is_refused_although_its_successor_lives() {
    let Some(world) = World::of_a_person() else {
        return;
    };
    world.sync();
    world.outlive_the_access_token();
    world.server.fail_next(&json!({ "kind": "drop" }));

    let ran = world.run().expect_code(3);
    assert!(ran.stderr.contains("tidegate login notes"), "{ran:#?}");
    let refreshes = world.requests("refresh_token");
    let errors: Vec<_> = refreshes.iter().map(|request| &request["error"]).collect();
    assert_eq!(
        errors,
        [&Json::Null, &json!("invalid_grant")],
        "{refreshes:#?}"
    );
    assert_eq!(refreshes[0]["presented"], refreshes[1]["presented"]);
    let connection = world.connection();
    assert_eq!(connection["state"], "needs_login", "{connection}");
    assert_eq!(connection["reason"], "rotation_answer_lost", "{connection}");
    let alive = world.server.admin("GET", "refresh-tokens");
    assert_eq!(alive, json!({ "alive": 1 }), "the successor nobody has");

    world.sign_in();
    world.sync();
    world.outlive_the_access_token();
    world.sync();
    assert_eq!(world.connection()["state"], "ok");
}

#[test]
fn an_access_token_refused_before_its_end_costs_one_refresh() {
    let Some(world) = World::of_a_person() else {
        return;
    };
    world.sync();
    // So that the token is not so young that another could not help.
    world.house.clock().advance(LIFE / 2).unwrap();
    world.server.admin("POST", "forget-access");
    world.sync();
    assert_eq!(world.requests("refresh_token").len(), 1);
    world.sync();
    assert_eq!(world.requests("refresh_token").len(), 1);
}

#[test]
fn client_credentials_need_no_login_and_outlive_their_tokens() {
    let Some(world) = World::of_a_machine() else {
        return;
    };
    for _ in 0..3 {
        world.sync();
        world.outlive_the_access_token();
    }
    assert_eq!(world.requests("client_credentials").len(), 3);
    assert_eq!(world.server.ledger().len(), 3);
}

#[test]
fn a_password_in_any_script_is_sent_once_and_the_refresh_token_from_then_on() {
    let Some(world) = World::of_a_legacy_client() else {
        return;
    };
    for _ in 0..3 {
        world.sync();
        world.outlive_the_access_token();
    }
    assert_eq!(world.requests("password").len(), 1);
    let refreshes = world.requests("refresh_token");
    assert_eq!(refreshes.len(), 2, "{refreshes:#?}");
    assert!(refreshes.iter().all(|request| request["status"] == 200));
}

#[test]
fn a_wrong_password_is_sent_once_lest_the_account_be_locked() {
    let Some(world) = World::of_a_legacy_client() else {
        return;
    };
    world.house.write_private("password", "not-the-password");
    for _ in 0..3 {
        let ran = world.run();
        assert!(matches!(ran.code, Some(1 | 3)), "{ran:#?}");
        assert!(!ran.stderr.contains("not-the-password"), "{ran:#?}");
        world.outlive_the_access_token();
    }
    let requests = world.requests("password");
    assert_eq!(requests.len(), 1, "{requests:#?}");

    // Until the configuration has another one.
    let password = world.server.told("people")[0]["password"].as_str().unwrap();
    world.house.write_private("password", password);
    world.sync();
}

#[test]
fn a_wrong_client_secret_is_a_matter_of_configuration_and_mended_there() {
    let Some(world) = World::of_a_machine() else {
        return;
    };
    world.house.write_private("client-secret", "not-the-secret");
    let ran = world.run().expect_code(1);
    assert!(ran.stderr.contains("invalid_client"), "{ran:#?}");
    assert!(!ran.stderr.contains("not-the-secret"), "{ran:#?}");
    assert_eq!(world.connection()["state"], "client_rejected");

    let secret = world.server.secret_of("machine");
    world.house.write_private("client-secret", secret);
    world.sync();
    assert_eq!(world.connection()["state"], "ok");
}

#[test]
fn a_logout_forgets_everything_where_the_server_cannot_revoke() {
    let Some(world) = World::of_a_person() else {
        return;
    };
    world.sync();
    world.house.run(&["logout", "notes"]).expect_code(0);
    assert_eq!(world.house.generation("notes"), None);
    let ran = world.run().expect_code(3);
    assert!(ran.stderr.contains("tidegate login notes"), "{ran:#?}");
    world.sign_in();
    world.sync();
}
