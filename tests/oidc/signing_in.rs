//! The ways to sign in, and what the server says about it.

use std::fs;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::support::{AuthorizationServer, Canaries, TempHouse, files};
use crate::world::{COUNTRIES, OFFLINE, World, redirect_uri};

/// A person's client that proves itself by its secret, with these lines more.
fn person(server: &AuthorizationServer, client: &str, more: &str) -> String {
    format!(
        "authorize_url = \"{}\"\ntoken_url = \"{}\"\nclient_id = \"{client}\"\n\
         client_secret = {:?}\nredirect_uri = \"{}\"\n{more}",
        server.authorize_url,
        server.token_url,
        server.secret_of(client),
        redirect_uri(client)
    )
}

/// A person's client that proves itself by what its private key signs.
fn signer(server: &AuthorizationServer, house: &TempHouse, client: &str) -> String {
    house.write_private("client.pem", server.told("keys")[client].as_str().unwrap());
    format!(
        "authorize_url = \"{}\"\ntoken_url = \"{}\"\nclient_id = \"{client}\"\n\
         client_auth = \"private_key_jwt\"\nprivate_key = {{ file = \"client.pem\" }}\n\
         assertion_audience = \"{}\"\nredirect_uri = \"{}\"\n{OFFLINE}",
        server.authorize_url,
        server.token_url,
        server.issuer,
        redirect_uri(client)
    )
}

impl World {
    /// Signs in, and lives through the end of an access token.
    fn live_on(&self) {
        self.log_in();
        self.sync();
        self.outlive_the_access_token();
        self.sync();
        self.assert_equal("countries", "countries", "cca3");
    }

    /// Returns what the provider has seen or done that has this mark.
    fn seen(&self, mark: &str) -> Vec<Json> {
        let seen = self.server.admin("GET", "seen");
        let seen = seen.as_array().unwrap().iter();
        seen.filter(|one| one.get(mark).is_some())
            .cloned()
            .collect()
    }

    fn shown(&self) -> Json {
        let shown = self.house.run(&["connections", "--json"]).expect_code(0);
        shown.json()[0].clone()
    }
}

#[test]
fn the_name_of_the_server_is_enough_to_sign_in_and_stay_so() {
    let world = World::with(COUNTRIES, |server, _| {
        format!(
            "issuer = \"{}\"\nclient_id = \"person-basic\"\nclient_secret = {:?}\n{OFFLINE}\
             redirect_uri = \"{}\"",
            server.issuer,
            server.secret_of("person-basic"),
            redirect_uri("person-basic")
        )
    });
    let Some(world) = world else { return };
    world.live_on();
    assert_eq!(world.health()["generation"], 2);
}

#[test]
fn a_client_signs_for_itself_by_each_algorithm() {
    for client in ["person-rs256", "person-es256", "person-eddsa"] {
        let Some(world) = World::with(COUNTRIES, |server, house| signer(server, house, client))
        else {
            return;
        };
        world.live_on();
        let ledger = world.server.ledger();
        let statuses: Vec<_> = ledger.iter().map(|request| &request["status"]).collect();
        assert_eq!(statuses, [200, 200], "{client}: {ledger:#?}");
    }
}

#[test]
fn a_server_that_wants_it_gets_what_a_login_asks_for_behind_the_browsers_back() {
    let world = World::with(COUNTRIES, |server, _| {
        let endpoint = server.told("pushed_authorization_request_url");
        let more = format!("pushed_authorization_request_url = {endpoint}\n{OFFLINE}");
        person(server, "person-par", &more)
    });
    let Some(world) = world else { return };
    world.live_on();
    assert_eq!(world.seen("pushed").len(), 1);
    let authorized = &world.seen("authorized")[0]["authorized"];
    assert_eq!(*authorized, json!(["client_id", "request_uri"]));
}

#[test]
fn every_token_is_for_the_resource_that_was_asked_for() {
    let world = World::with(COUNTRIES, |server, _| {
        let more = format!("resource = [{}]\n{OFFLINE}", server.told("resource"));
        person(server, "person-basic", &more)
    });
    let Some(world) = world else { return };
    world.live_on();
    let expected = world.server.told("resource");
    let audiences = world.seen("audience");
    assert_eq!(audiences.len(), 2, "{audiences:?}");
    for one in audiences {
        assert_eq!(one["audience"], *expected);
    }
}

#[test]
fn a_logout_revokes_the_grant_at_the_server() {
    let world = World::with(COUNTRIES, |server, _| {
        let more = format!(
            "revocation_url = {}\n{OFFLINE}",
            server.told("revocation_url")
        );
        person(server, "person-basic", &more)
    });
    let Some(world) = world else { return };
    world.live_on();
    assert_eq!(world.seen("revoked"), [] as [Json; 0]);
    world.house.run(&["logout", "atlas"]).expect_code(0);
    assert_eq!(world.seen("revoked"), [json!({ "revoked": "revocation" })]);
    assert_eq!(world.house.generation("atlas"), None);
    world.house.run(&["--run-now"]).expect_code(3);
}

#[test]
fn who_has_signed_in_is_shown() {
    let world = World::with(COUNTRIES, |server, _| {
        let scopes = "scopes = [\"openid\", \"offline_access\", \"profile\", \"email\"]\n\
                      authorize_params = { prompt = \"consent\" }\n";
        let more = format!(
            "issuer = \"{}\"\nuserinfo_url = {}\n{scopes}",
            server.issuer,
            server.told("userinfo_url")
        );
        person(server, "person-basic", &more)
    });
    let Some(world) = world else { return };
    world.live_on();
    let shown = world.shown();
    let person = &shown["person"];
    assert_eq!(person["subject"], "zoë", "{shown}");
    assert_eq!(person["name"], "zoë of Delft", "{shown}");
    assert_eq!(person["email"], "zoë@example.org", "{shown}");
}

#[test]
fn a_device_without_a_browser_signs_in_by_a_code_that_a_person_types_elsewhere() {
    let world = World::with(COUNTRIES, |server, _| {
        format!(
            "grant = \"device_code\"\ndevice_authorization_url = {}\ntoken_url = \"{}\"\n\
             client_id = \"person-device\"\nclient_auth = \"none\"\nscopes = [\"openid\", \"offline_access\"]\n",
            server.told("device_authorization_url"),
            server.token_url
        )
    });
    let Some(world) = world else { return };
    let mut login = world.house.start(&["login", "atlas", "--no-browser"]);
    let url = login.wait_for_line(|line| line.starts_with("http"));
    let code = login.wait_for_line(|line| !line.is_empty());
    world.server.approve(&url, &code);
    while !login.has_ended_within(Duration::from_millis(50)) {
        world.house.clock().advance(Duration::from_secs(1)).unwrap();
    }
    login.finish().expect_code(0);
    world.sync();
    world.outlive_the_access_token();
    world.sync();
    world.assert_equal("countries", "countries", "cca3");
}

#[test]
fn no_token_code_or_proof_of_a_sign_in_is_shown_or_left_in_clear() {
    let world = World::with(COUNTRIES, |server, house| {
        signer(server, house, "person-rs256")
    });
    let Some(mut world) = world else { return };
    world.house.set_env("TIDEGATE_LOG", "trace");
    let mut said = vec![world.log_in()];
    for _ in 0..3 {
        said.push(world.house.run(&["--run-now"]).expect_code(0));
        world.outlive_the_access_token();
    }
    said.push(world.house.run(&["connections", "--json"]).expect_code(0));
    said.push(world.house.run(&["status"]));

    let secrets = world.server.admin("GET", "secrets");
    let secrets = secrets.as_array().unwrap();
    // A code and its verifier; with each of three answers an access, a refresh and an id token; an
    // assertion for each.
    assert!(secrets.len() > 10, "{}", secrets.len());
    let mut canaries = Canaries::default();
    for secret in secrets {
        canaries.add("token, code or proof", secret.as_str().unwrap().as_bytes());
    }
    let key = fs::read_to_string(world.house.path("client.pem")).unwrap();
    for line in key.lines().filter(|line| !line.starts_with('-')) {
        canaries.add("line of the private key", line.as_bytes());
    }
    for ran in said {
        canaries.assert_clean("the answer", ran.stdout.as_bytes());
        canaries.assert_clean("the log", ran.stderr.as_bytes());
    }
    for (path, content) in files(&world.house.path(""), &["client.pem"]) {
        canaries.assert_clean(&path, &content);
    }
}
