//! Servers that must prove who they are, and clients that do so by a certificate, over TLS that
//! another language speaks.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod support;

use std::path::{Path, PathBuf};

use support::{Running, TempHouse, node};

/// A flow whose client is known by its certificate.
const CONFIGURATION: &str = r#"[connection.bank]
base_url = "https://127.0.0.1:PORT"
grant = "client_credentials"
token_url = "/token"
client_id = "me"
client_auth = "tls_client_auth"
private_key = { file = "key.pem" }
certificate = { file = "certificate.pem" }

[flow.rows]
connection = "bank"
url = "/rows"
paging = "none"
key = ["id"]
"#;

fn key(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/keys")
        .join(name)
}

/// Starts the server, and moves in with a configuration for it.
fn settled() -> Option<(Running, TempHouse)> {
    settled_with(CONFIGURATION)
}

fn settled_with(configuration: &str) -> Option<(Running, TempHouse)> {
    let mut command = node("oidc", "tls.mjs", "clients known by their certificates")?;
    command.args([key("p256.pem"), key("p256-loopback.pem")]);
    let mut server = Running::start(command);
    let port = server.wait_for_line(|_| true);
    let house = TempHouse::new(&configuration.replace("PORT", port.trim()));
    for (name, from) in [
        ("key.pem", "p256.pem"),
        ("certificate.pem", "p256-loopback.pem"),
    ] {
        let text = std::fs::read_to_string(key(from)).unwrap();
        house.write_private(name, &text);
    }
    Some((server, house))
}

#[test]
fn a_client_is_known_by_its_certificate() {
    let Some((_server, mut house)) = settled() else {
        return;
    };
    let trusted = key("p256-loopback.pem");
    house.set_env("SSL_CERT_FILE", trusted.to_str().unwrap());
    house.run(&["--run-now"]).expect_code(0);
    let asked = house.run(&["query", "SELECT let_in_by FROM rows"]);
    let let_in = asked.expect_code(0).stdout;
    assert!(let_in.contains("Bearer tidegate-test"), "{let_in}");
}

/// RFC 8705 section 3: the token is bound to the certificate, whichever way the client proves itself.
#[test]
fn an_api_that_binds_tokens_to_the_certificate_is_shown_it_with_every_call() {
    let bound = CONFIGURATION.replace("\"/rows\"", "\"/bound\"");
    let by_secret = bound.replace(
        "client_auth = \"tls_client_auth\"",
        "client_secret = { env = \"SECRET\" }\ncertificate_to_api = true",
    );
    let by_certificate = bound.replace(
        "client_auth = \"tls_client_auth\"",
        "client_auth = \"tls_client_auth\"\ncertificate_to_api = true",
    );
    for (configuration, code) in [(&bound, 1), (&by_certificate, 0), (&by_secret, 0)] {
        let Some((_server, mut house)) = settled_with(configuration) else {
            return;
        };
        house.set_env("SECRET", "s1");
        house.set_env("SSL_CERT_FILE", key("p256-loopback.pem").to_str().unwrap());
        let ran = house.run(&["--run-now"]);
        assert_eq!(ran.code, Some(code), "{configuration}\n{}", ran.stderr);
    }
}

/// E10: told at once, because it seldom mends itself, and nothing was sent.
#[test]
fn a_server_that_nobody_vouches_for_is_sent_nothing_and_told_at_once() {
    let Some((_server, house)) = settled() else {
        return;
    };
    let told = house.run(&["--run-now"]).stderr;
    assert!(
        told.contains("its authorization server cannot be trusted"),
        "{told}"
    );
    assert!(told.contains("invalid peer certificate"), "{told}");
    assert!(
        told.contains("which certificates this machine trusts"),
        "{told}"
    );
    let connections = house.run(&["connections", "--json"]).json();
    assert_eq!(connections[0]["state"], "needs_attention");
    assert_eq!(connections[0]["reason"], "certificate");
}
