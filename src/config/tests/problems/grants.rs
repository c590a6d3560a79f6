//! What each grant and each way to prove who the client is must and must not say.

use super::super::House;
use super::check;

/// A connection without a person that is right but for what is changed.
const CLIENT: &str = r#"[connection.c]
token_url = "https://login.example.com/token"
client_id = "me"
client_secret = { env = "S" }
grant = "client_credentials"
"#;
const SECRET: &str = "client_secret = { env = \"S\" }\n";
const GRANT: &str = "grant = \"client_credentials\"\n";
const KEY: &str = "private_key = { env = \"K\" }\n";

fn with(grant: &str, more: &str) -> String {
    CLIENT.replace(GRANT, &format!("grant = \"{grant}\"\n{more}"))
}

/// The same without a secret, in the way `auth` of proving who it is.
fn proved(auth: &str, more: &str) -> String {
    CLIENT.replace(SECRET, &format!("client_auth = \"{auth}\"\n")) + more
}

#[test]
fn every_grant_that_is_whole_is_accepted() {
    let certificate = "certificate = { env = \"C\" }\n";
    let claims = format!("{KEY}claims = {{ sub = \"me\", roles = [\"a\"] }}\n");
    let password = "username = \"u\"\npassword = { env = \"P\" }\n";
    for text in [
        CLIENT.to_owned(),
        with("password", password),
        with("password", password).replace(SECRET, ""),
        with("jwt_bearer", &claims),
        with("jwt_bearer", &claims).replace(SECRET, ""),
        with("refresh_token", ""),
        with("refresh_token", "").replace(SECRET, ""),
        proved("private_key_jwt", KEY),
        proved(
            "private_key_jwt",
            &format!("{KEY}{certificate}key_id = \"k\"\n"),
        ),
        proved("tls_client_auth", &format!("{KEY}{certificate}")),
        format!("{CLIENT}resource = [\"https://a.example/x?y\", \"urn:b\"]\n"),
    ] {
        let loaded = House::of(&text).load();
        assert!(loaded.is_ok(), "{text}\n{}", loaded.unwrap_err());
    }
}

#[test]
fn what_a_grant_lacks_or_has_too_much() {
    let claims = "claims = { sub = \"me\" }\n";
    check(&[
        (
            with("password", "password = { env = \"P\" }\n"),
            "1:13",
            "has no `username`",
        ),
        (
            with("password", "username = \"u\"\n"),
            "1:13",
            "has no `password` .. { env",
        ),
        (
            with("client_credentials", "username = \"u\"\n"),
            "6:1",
            "`username` is for `grant = \"password\"`",
        ),
        (
            with("refresh_token", "redirect_uri = \"https://a.example/\"\n"),
            "6:1",
            "is for signing in, which `refresh_token` does not do",
        ),
        (with("jwt_bearer", KEY), "1:13", "has no `claims` .. iss = "),
        (with("jwt_bearer", claims), "1:13", "has no `private_key`"),
        (
            with("jwt_bearer", &format!("{KEY}claims = \"me\"\n")),
            "7:10",
            "`claims` is text .. a table",
        ),
        (
            with("jwt_bearer", &format!("{KEY}claims = {{ exp = 1 }}\n")),
            "7:12",
            "`exp` is new in each assertion .. `assertion_lifetime`",
        ),
        (
            with(
                "jwt_bearer",
                &format!("{KEY}{claims}signing_algorithm = \"HS256\"\n"),
            ),
            "8:21",
            "cannot be `HS256` .. \"RS256\", \"ES256\", \"EdDSA\"",
        ),
        (
            with(
                "jwt_bearer",
                &format!("{KEY}{claims}assertion_lifetime = \"2h\"\n"),
            ),
            "8:22",
            "out of range .. 30s to 1h",
        ),
        (
            format!("{CLIENT}resource = \"https://a.example\"\n"),
            "6:12",
            "`resource` is text .. an array",
        ),
        (
            format!("{CLIENT}resource = [\"/api\"]\n"),
            "6:13",
            "is no URI",
        ),
        (
            format!("{CLIENT}resource = [\"https://a.example/#b\"]\n"),
            "6:13",
            "has a `#` part",
        ),
        (
            format!("{CLIENT}token_types = \"bot\"\n"),
            "6:15",
            "`token_types` is text .. an array",
        ),
        (
            format!("{CLIENT}token_path = \"a..b\"\n"),
            "6:14",
            "`token_path` is no path",
        ),
        (
            format!("{CLIENT}token_params = {{ resource = \"x\" }}\n"),
            "6:18",
            "`resource` is set by the protocol itself",
        ),
    ]);
}

#[test]
fn how_a_client_proves_who_it_is() {
    check(&[
        (
            proved("private_key_jwt", ""),
            "1:13",
            "has no `private_key` .. PEM text from { env",
        ),
        (
            proved("tls_client_auth", KEY),
            "1:13",
            "has no `certificate`",
        ),
        (
            proved("private_key_jwt", &format!("{KEY}{SECRET}")),
            "7:1",
            "never sent with `client_auth = \"private_key_jwt\"`",
        ),
        (
            proved(
                "tls_client_auth",
                &format!("{KEY}certificate = {{ env = \"C\" }}\nkey_id = \"k\"\n"),
            ),
            "8:1",
            "`key_id` is about assertions, and none is signed here",
        ),
        (
            proved(
                "tls_client_auth",
                &format!("{KEY}certificate = {{ env = \"C\" }}\n"),
            )
            .replace("https://login.example.com", "http://127.0.0.1:1"),
            "4:15",
            "which plain http cannot .. a `token_url` with https",
        ),
        (
            format!("{CLIENT}{KEY}certificate_to_api = true\n"),
            "1:13",
            "has no `certificate`",
        ),
        (
            format!(
                "{CLIENT}{KEY}certificate = {{ env = \"C\" }}\ncertificate_to_api = true\n\
                 base_url = \"http://127.0.0.1:1\"\n"
            ),
            "8:22",
            "which plain http cannot .. a `base_url` with https",
        ),
        (
            format!("{CLIENT}{KEY}"),
            "6:1",
            "`private_key` is used by nothing here .. \"private_key_jwt\"",
        ),
        (
            format!("{CLIENT}assertion_audience = \"x\"\n"),
            "6:1",
            "`assertion_audience` is about assertions",
        ),
    ]);
}
