//! What becomes of a credential that the source repeats.

use super::*;
use crate::http::HeaderName;

/// Too short to be taken for a token by its looks.
const SHORT: &str = "s3same-0pen/&é";

/// Every way to send it, with all the spellings a source has seen or can make of them.
fn sent() -> Vec<(Authorization, Vec<&'static str>)> {
    let secret = Secret::from(SHORT);
    let own = || HeaderName::from_static("x-api-key");
    vec![
        (Authorization::bearer(&secret), vec![SHORT]),
        (Authorization::header(own(), None, &secret), vec![SHORT]),
        (
            Authorization::header(own(), Some("Token"), &secret),
            vec![SHORT, "S3SAME-0PEN/&é"],
        ),
        (
            Authorization::basic("u5er-kEy", &secret),
            vec![
                SHORT,
                "u5er-kEy",
                "dTVlci1rRXk6czNzYW1lLTBwZW4vJsOp",
                "dTVlci1rRXk6czNz",
            ],
        ),
        (
            Authorization::query("key", &secret),
            vec![
                SHORT,
                "s3same-0pen%2F%26%C3%A9",
                "s3same-0pen%2f%26%c3%a9",
                "s3same-***",
            ],
        ),
    ]
}

/// Answers that repeat `[secret]` in every place we show something of.
fn echoes() -> Vec<(u16, &'static str, String)> {
    let far = "x".repeat(7);
    let html = |words: &str| format!("<html><title>{words}</title>");
    let json = |words: &str| format!(r#"{{"error":{{"message":"{words}"}}}}"#);
    let cut = format!("{} [secret] is not known", "long ".repeat(37));
    let mut echoes = vec![
        (400, "reason: key [secret] unknown", String::new()),
        (
            200,
            "content-type: text/html; x=[secret]",
            html("key [secret] unknown"),
        ),
        (200, "content-type: text/[secret]", html("x")),
        (
            200,
            "content-type: text/plain; charset=[secret]",
            "[]".to_owned(),
        ),
        (302, "location: https://[secret].example/", String::new()),
        (
            200,
            "content-type: text/html",
            html(&format!("{far} {far} {far} {far} {far} {far} [secret]")),
        ),
    ];
    for status in [400, 401, 403, 404] {
        echoes.push((status, "x: y", json("key [secret] unknown")));
        echoes.push((status, "x: y", json("[secret]")));
        echoes.push((status, "x: y", json(&cut)));
    }
    echoes
}

#[tokio::test]
async fn promise_a_credential_that_the_source_repeats_is_not_told() {
    for (authorization, spellings) in sent() {
        for spelling in spellings {
            for (status, headers, body) in echoes() {
                let is_header = headers.contains("[secret]");
                if is_header && (!spelling.is_ascii() || spelling.contains(['/', '%', '*', '='])) {
                    continue;
                }
                let headers = headers.replace("[secret]", spelling).leak();
                let body = body.replace("[secret]", spelling);
                let server = Server::start([say(status, headers, &body)]).await;
                let mut reader = Reader::new(&server, &resource(Style::None, ""));
                reader.authorization = Some(authorization.clone());
                let error = reader.next().await.unwrap_err();
                let told = format!("{error} {error:?}");
                for from in 0..spelling.len() - 4 {
                    let Some(part) = spelling.get(from..from + 5) else {
                        continue;
                    };
                    let part = part.to_lowercase();
                    assert!(
                        !told.to_lowercase().contains(&part),
                        "{status} {headers}\n{body}\n{told}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn promise_a_credential_of_the_query_goes_once_and_to_its_own_host() {
    let stranger = Server::start([ok(r#"{"items":[]}"#)]).await;
    let foreign = format!(r#"{{"items":[{{"id":3}}],"next":"{}/x"}}"#, stranger.base);
    let server = Server::start([
        ok(r#"{"items":[{"id":1}],"next":"/items?key=s3same-0pen%2F%26%C3%A9&page=2"}"#),
        ok(r#"{"items":[{"id":2}],"next":"/items/s3same-0pen?page=3&key="}"#),
        ok(foreign),
    ])
    .await;
    let mut resource = next_url();
    resource.url = template("/items");
    let mut reader = Reader::new(&server, &resource);
    reader.authorization = Some(Authorization::query("key", &Secret::from(SHORT)));
    for _ in 0..3 {
        reader.next().await.unwrap().unwrap();
    }
    let error = reader.next().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("which is not the connection's own host"),
        "{error}"
    );
    assert!(stranger.lines().is_empty());
    assert!(
        !format!("{error} {error:?}").contains("s3same"),
        "{error:?}"
    );
    let key = "key=s3same-0pen%2F%26%C3%A9";
    assert_eq!(
        server.lines(),
        [
            format!("GET /items?{key}"),
            format!("GET /items?page=2&{key}"),
            format!("GET /items/s3same-0pen?page=3&{key}"),
        ]
    );
}

#[tokio::test]
async fn a_link_that_only_adds_the_credential_leads_in_a_circle() {
    let page = r#"{"items":[{"id":1}],"next":"/items?key=s3same"}"#;
    let server = Server::start([ok(page)]).await;
    let mut resource = next_url();
    resource.url = template("/items");
    let mut reader = Reader::new(&server, &resource);
    reader.authorization = Some(Authorization::query("key", &Secret::from("s3same")));
    reader.next().await.unwrap().unwrap();
    let error = reader.next().await.unwrap_err();
    let circle = PagingProblem::Circle;
    assert!(matches!(error, Error::Astray { problem, .. } if problem == circle));
}
