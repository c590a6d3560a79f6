//! The real program lets itself in as each source wants it, and keeps to itself what it sends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "test-clock")]
mod sessions;

use support::{Ran, Scripted, TempHouse, answer, json};

/// A house with one flow over a source that says how it is let in.
fn house(server: &Scripted, way_in: &str) -> TempHouse {
    TempHouse::new(&format!(
        r#"
        [connection.source]
        base_url = "{}"
        {way_in}

        [flow.row]
        connection = "source"
        url        = "/rows?a=1"
        paging     = "none"
        records    = "rows"
        key        = ["id"]
        "#,
        server.url
    ))
}

#[test]
fn each_kind_of_credential_stands_where_the_connection_says() {
    const KEY: &str = "k3y/canary+ 1";
    // way in, header and its value, target
    let cases = [
        (
            "token = { env = \"KEY\" }",
            Some(("authorization", "Bearer k3y/canary+ 1")),
            "GET /rows?a=1",
        ),
        (
            "token = { env = \"KEY\" }\ntoken_scheme = \"Zoho-oauthtoken\"",
            Some(("authorization", "Zoho-oauthtoken k3y/canary+ 1")),
            "GET /rows?a=1",
        ),
        (
            "token = { env = \"KEY\" }\ntoken_scheme = \"\"",
            Some(("authorization", KEY)),
            "GET /rows?a=1",
        ),
        (
            "token = { env = \"KEY\" }\ntoken_header = \"X-Api-Key\"",
            Some(("x-api-key", KEY)),
            "GET /rows?a=1",
        ),
        (
            "token = { env = \"KEY\" }\ntoken_header = \"X-Api-Key\"\ntoken_scheme = \"Token\"",
            Some(("x-api-key", "Token k3y/canary+ 1")),
            "GET /rows?a=1",
        ),
        (
            "token = { env = \"KEY\" }\ntoken_query = \"api_key\"",
            None,
            "GET /rows?a=1&api_key=k3y%2Fcanary%2B%201",
        ),
        (
            "basic = { username = \"Aladdin\", password = { env = \"KEY\" } }",
            // Aladdin:k3y/canary+ 1
            Some(("authorization", "Basic QWxhZGRpbjprM3kvY2FuYXJ5KyAx")),
            "GET /rows?a=1",
        ),
        (
            "basic = { username = { env = \"KEY\" } }",
            // k3y/canary+ 1:
            Some(("authorization", "Basic azN5L2NhbmFyeSsgMTo=")),
            "GET /rows?a=1",
        ),
    ];
    for (way_in, expected, target) in cases {
        let server = Scripted::start(|_| json(r#"{"rows":[{"id":1}]}"#));
        let mut house = house(&server, way_in);
        house.set_env("KEY", KEY);
        house.run(&["check"]).expect_code(0);
        house.run(&["--run-now"]).expect_code(0);
        let [asked] = server.asked().try_into().unwrap();
        assert_eq!(asked.line, target, "{way_in}");
        match expected {
            Some((name, value)) => {
                assert_eq!(asked.header(name).as_deref(), Some(value), "{way_in}");
            }
            None => assert_eq!(asked.header("authorization"), None, "{way_in}"),
        }
    }
}

#[test]
fn an_access_token_stands_where_the_connection_says_too() {
    let server = Scripted::start(|asked| match asked.line.as_str() {
        "POST /token" => {
            json(r#"{"access_token":"at-canary-1","token_type":"Bearer","expires_in":3600}"#)
        }
        _ => json(r#"{"rows":[{"id":1}]}"#),
    });
    let house = house(
        &server,
        r#"
        grant = "client_credentials"
        token_url = "/token"
        client_id = "me"
        client_secret = "s3cret"
        token_header = "X-Shopify-Access-Token"
        "#,
    );
    house.run(&["--run-now"]).expect_code(0);
    let [_, asked] = server.asked().try_into().unwrap();
    let sent = asked.header("x-shopify-access-token");
    assert_eq!(sent.as_deref(), Some("at-canary-1"));
    assert_eq!(asked.header("authorization"), None);
}

#[test]
fn a_refused_credential_is_told_with_what_to_check_and_never_shown() {
    for way_in in [
        "token = { env = \"KEY\" }",
        "token = { env = \"KEY\" }\ntoken_query = \"api_key\"",
        "basic = { username = { env = \"KEY\" } }",
    ] {
        let server = Scripted::start(|asked| answer(401, &[], &format!("not you: {asked:?}")));
        let mut house = house(&server, way_in);
        house.set_env("KEY", "k3y-canary");
        let Ran { stdout, stderr, .. } = house.run(&["--run-now"]).expect_code(1);
        let said = stdout + &stderr;
        assert!(said.contains("check `token` or `basic`"), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}
