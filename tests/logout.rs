//! Signing out: what the server is asked, what a person is told, and what a kill leaves to be done.

#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod support;

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use support::{Asked, Ran, Scripted, TempHouse, answer, eventually, json, paste_login};
use tidegate::clock::{Clock, until};

/// What must never be shown or logged.
const SECRETS: [&str; 3] = ["access-canary", "refresh-canary", "client-canary"];
/// `tidegate:client-canary` as HTTP Basic has it.
const BASIC: &str = "Basic dGlkZWdhdGU6Y2xpZW50LWNhbmFyeQ==";
const REFRESH: &str = "token=refresh-canary&token_type_hint=refresh_token";
const ACCESS: &str = "token=access-canary&token_type_hint=access_token";

/// A connection on which somebody has signed in.
struct World {
    house: TempHouse,
    server: Scripted,
}

impl World {
    /// Signs in at a server that answers requests for revocation as `revoke` says; `more` is more
    /// of the connection.
    fn new(more: &str, revoke: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let server =
            Scripted::start(
                move |asked| match asked.line.split(['?', ' ']).nth(1).unwrap() {
                    "/token" => json(
                        r#"{"access_token":"access-canary","refresh_token":"refresh-canary",
                        "token_type":"Bearer","expires_in":3600}"#,
                    ),
                    "/revoke" => revoke(asked),
                    _ => json("[]"),
                },
            );
        let house = TempHouse::new(&format!(
            r#"
[connection.post]
base_url = "{url}"
authorize_url = "/authorize"
token_url = "/token"
client_id = "tidegate"
client_secret = {{ file = "client-secret" }}
client_auth = "basic"
redirect_uri = "https://post.example/callback"
refresh = {{ idle = "30d" }}
{more}

[flow.mail]
connection = "post"
url = "/mail"
paging = "none"
key = ["id"]
"#,
            url = server.url,
        ));
        house.write_private("client-secret", "client-canary");
        paste_login(&house, "post").expect_code(0);
        Self { house, server }
    }

    /// Returns the bodies of the requests for revocation, in order; each said who asks.
    fn revocations(&self) -> Vec<String> {
        let asked = self.server.asked();
        let revocations = asked.iter().filter(|asked| asked.line == "POST /revoke");
        revocations
            .map(|asked| {
                assert_eq!(asked.header("authorization").as_deref(), Some(BASIC));
                String::from_utf8(asked.body.clone()).unwrap()
            })
            .collect()
    }

    fn logout(&self, more: &[&str]) -> Ran {
        let words = [&["logout", "post"], more].concat();
        let ran = self.house.run_as_time_passes(&words).expect_code(0);
        assert_silent(&ran);
        assert_eq!(self.house.generation("post"), None);
        ran
    }

    fn source_was_asked(&self) -> bool {
        let asked = self.server.asked();
        asked
            .iter()
            .any(|asked| asked.line.starts_with("GET /mail"))
    }

    fn reason(&self) -> String {
        let rows = self.house.run(&["connections", "--json"]).json();
        rows[0]["reason"].as_str().unwrap_or_default().to_owned()
    }
}

#[track_caller]
fn assert_silent(ran: &Ran) {
    for secret in SECRETS {
        assert!(!ran.stdout.contains(secret), "{ran:#?}");
        assert!(!ran.stderr.contains(secret), "{ran:#?}");
    }
}

fn gone(_: &Asked) -> Vec<u8> {
    answer(200, &[], "")
}

#[test]
fn the_server_revokes_the_refresh_token_and_then_the_access_token() {
    let world = World::new("revocation_url = \"/revoke\"", gone);
    let ran = world.logout(&[]);
    assert_eq!(world.revocations(), [REFRESH, ACCESS]);
    assert_eq!(
        ran.stdout,
        "the tokens of `post` are revoked at the server, and erased here\n"
    );
    assert!(!ran.stderr.contains("warning"), "{ran:#?}");
    assert_eq!(world.reason(), "logged_out");
    let ran = world.house.run(&["--run-now"]).expect_code(3);
    assert!(ran.stderr.contains("somebody signed out"), "{ran:#?}");
    assert!(!world.source_was_asked());
}

#[test]
fn the_place_to_revoke_at_is_found_in_what_the_server_says_of_itself() {
    // The issuer is the server itself, which is known only once it runs.
    let revoked = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&revoked);
    let elsewhere = Scripted::start(move |asked| {
        let origin = format!("http://{}", asked.header("host").unwrap());
        if asked.line == "POST /there" {
            *counted.lock().unwrap() += 1;
            return gone(asked);
        }
        json(&format!(
            r#"{{"issuer":"{origin}","token_endpoint":"{origin}/token",
                "revocation_endpoint":"{origin}/there"}}"#
        ))
    });
    let issuer = format!("issuer = \"{}\"", elsewhere.url);
    let world = World::new(&issuer, gone);
    world.logout(&[]);
    assert_eq!(*revoked.lock().unwrap(), 2);
    assert_eq!(world.revocations(), [""; 0]);
}

#[test]
fn where_nothing_is_revoked_a_person_is_told_what_stays_valid_and_until_when() {
    let world = World::new("", gone);
    let ran = world.logout(&[]);
    assert_eq!(ran.stdout, "the tokens of `post` are erased here\n");
    for words in [
        "the refresh token stays valid at the provider until 2026-02-04T08:00:0",
        "the access token stays valid at the provider until 2026-01-05T09:00:0",
        "no `revocation_url` is known",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {ran:#?}");
    }
}

#[test]
fn offline_sends_nothing_and_says_so() {
    let world = World::new("revocation_url = \"/revoke\"", gone);
    let told = world.logout(&["--offline", "--json"]).json();
    assert_eq!(world.revocations(), [""; 0]);
    assert_eq!(told["connection"], "post");
    assert_eq!(told["revoked"], serde_json::json!([]));
    let remaining = told["remaining"].as_array().unwrap();
    let tokens: Vec<_> = remaining.iter().map(|it| it["token"].as_str()).collect();
    assert_eq!(tokens, [Some("refresh_token"), Some("access_token")]);
    let why = remaining[0]["why"].as_str().unwrap();
    assert!(why.contains("--offline"), "{why}");
}

#[test]
fn a_server_that_cannot_be_reached_does_not_keep_anybody_signed_in() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/revoke", closed.local_addr().unwrap());
    drop(closed);
    let world = World::new(&format!("revocation_url = \"{url}\""), gone);
    let before = world.house.clock().now();
    let ran = world.logout(&[]);
    for words in ["the refresh token stays valid", "could not connect to"] {
        assert!(ran.stderr.contains(words), "{words}: {ran:#?}");
    }
    let waited = until(before, world.house.clock().now());
    assert!(waited.as_secs() >= 4, "it was tried only once: {waited:?}");
}

#[test]
fn a_busy_server_is_asked_again_when_it_says() {
    let tries = Mutex::new(0);
    let world = World::new("revocation_url = \"/revoke\"", move |asked| {
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        match *tries {
            1 => answer(503, &["retry-after: 5"], "busy"),
            _ => gone(asked),
        }
    });
    let before = world.house.clock().now();
    let ran = world.logout(&[]);
    assert_eq!(world.revocations(), [REFRESH, REFRESH, ACCESS]);
    let waited = until(before, world.house.clock().now());
    assert!(waited.as_secs() >= 5, "{waited:?}");
    assert!(ran.stdout.contains("revoked at the server"), "{ran:#?}");
}

#[test]
fn an_access_token_that_the_server_cannot_revoke_is_told() {
    let world = World::new("revocation_url = \"/revoke\"", |asked| {
        if asked.body.starts_with(b"token=refresh") {
            return gone(asked);
        }
        let unsupported = r#"{"error":"unsupported_token_type"}"#;
        answer(400, &["content-type: application/json"], unsupported)
    });
    let ran = world.logout(&[]);
    assert_eq!(world.revocations(), [REFRESH, ACCESS]);
    assert!(
        ran.stdout
            .starts_with("the refresh token of `post` is revoked at the server"),
        "{ran:#?}"
    );
    assert!(ran.stderr.contains("the access token stays"), "{ran:#?}");
}

#[test]
fn what_a_kill_cuts_short_is_finished_by_the_next_start() {
    let held: Arc<Mutex<Vec<Sender<()>>>> = Arc::default();
    let holding = Arc::clone(&held);
    let world = World::new("revocation_url = \"/revoke\"", move |asked| {
        let mut holding = holding.lock().unwrap();
        if holding.is_empty() {
            let (sender, never) = channel();
            holding.push(sender);
            drop(holding);
            // Until the test is over: the first answer never comes.
            let _ = never.recv();
        }
        gone(asked)
    });
    let daemon = world.house.start_daemon();
    let logout = world.house.start(&["logout", "post"]);
    assert!(eventually(|| !world.revocations().is_empty()));

    // Nobody gets a token of it any more, though it is still there.
    assert_eq!(world.reason(), "logging_out");
    assert_eq!(world.house.generation("post"), Some(1));
    let ran = world.house.run(&["--run-now"]).expect_code(3);
    assert!(ran.stderr.contains("somebody is signing out"), "{ran:#?}");

    let killed = daemon.kill();
    assert_silent(&killed);
    logout.finish();
    assert_eq!(world.house.generation("post"), Some(1));
    assert_eq!(world.reason(), "logging_out");

    let daemon = world.house.start_daemon();
    assert!(eventually(|| world.house.generation("post").is_none()));
    daemon.terminate();
    assert_silent(&daemon.finish());
    assert_eq!(world.revocations(), [REFRESH, REFRESH, ACCESS]);
    assert_eq!(world.reason(), "logged_out");
    assert!(!world.source_was_asked());
    held.lock().unwrap().clear();
}
