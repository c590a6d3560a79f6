//! Consent, codes, tokens and their ends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header;
use tidegate::sandbox::{Delivery, Grant, Outcome, Refusal, Sandbox, Settings, fingerprint};

use crate::guest::{Guest, header, json, tokens};

/// Asserts that a token request was refused with these words.
async fn refused(answer: reqwest::Response, status: u16, error: &str, words: &str) {
    assert_eq!(answer.status(), status);
    let body = json(answer).await;
    assert_eq!(body["error"], error);
    assert!(
        body["error_description"].as_str().unwrap().contains(words),
        "{body}"
    );
}

#[tokio::test]
async fn a_person_allows_and_is_sent_back_with_a_code_and_the_state() {
    let guest = Guest::arrive(Settings::default()).await;
    let page = guest
        .http
        .get(guest.authorize_url("a&\"b"))
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 200);
    assert!(
        page.text()
            .await
            .unwrap()
            .contains("value=\"a&amp;&quot;b\"")
    );
    let back = Sandbox::consent(&guest.authorize_url("a&\"b"))
        .await
        .unwrap();
    assert!(
        back.as_str()
            .starts_with(guest.sandbox.redirect_uri().as_str())
    );
    let pairs: Vec<(String, String)> = back.query_pairs().into_owned().collect();
    assert_eq!(pairs[1], ("state".into(), "a&\"b".into()));
    assert!(pairs[0].1.contains('!') && back.as_str().contains("%21"));
}

#[tokio::test]
async fn a_person_may_say_no() {
    let guest = Guest::arrive(Settings::default()).await;
    let back = Sandbox::deny(&guest.authorize_url("s")).await.unwrap();
    assert_eq!(back.query(), Some("error=access_denied&state=s"));
}

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_registered() {
    let guest = Guest::arrive(Settings::default()).await;
    let mut url = guest.authorize_url("s");
    url.set_query(Some(&url.query().unwrap().replace("callback", "elsewhere")));
    assert!(Sandbox::consent(&url).await.is_err());
    let loopback = url
        .query()
        .unwrap()
        .replace("https%3A%2F%2Ftidegate.example", "http://127.0.0.1:1");
    url.set_query(Some(&loopback));
    assert!(Sandbox::consent(&url).await.is_err());
    let settings = Settings {
        allow_loopback: true,
        ..Settings::default()
    };
    let guest = Guest::arrive(settings).await;
    let mut url = guest.authorize_url("s");
    let loopback = url
        .query()
        .unwrap()
        .replace("https%3A%2F%2Ftidegate.example", "http://127.0.0.1:1");
    url.set_query(Some(&loopback));
    assert!(Sandbox::consent(&url).await.is_ok());
}

#[tokio::test]
async fn a_code_becomes_tokens_whose_life_is_a_string() {
    let guest = Guest::arrive(Settings::default()).await;
    let back = Sandbox::consent(&guest.authorize_url("s")).await.unwrap();
    let (_, code) = back.query_pairs().next().unwrap();
    let answer = guest.exchange(&code).await;
    assert_eq!(header(&answer, "date"), "Mon, 05 Jan 2026 08:00:00 GMT");
    let body = json(answer).await;
    assert_eq!(body["expires_in"], "600");
    assert_eq!(body["token_type"], "bearer");
    refused(guest.exchange(&code).await, 400, "invalid_grant", "code").await;
}

#[tokio::test]
async fn the_client_may_also_come_in_the_header_but_not_twice_and_not_wrong() {
    let guest = Guest::arrive(Settings::default()).await;
    let first = guest.sign_in().await;
    guest.pass(600);
    let secret = guest.sandbox.client_secret().replace('!', "%21");
    let basic = STANDARD.encode(format!("{}:{secret}", guest.sandbox.client_id()));
    let form = format!("grant_type=refresh_token&refresh_token={}", first.refresh);
    let request = guest
        .http
        .post(guest.url("/api/oauth2/token"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::AUTHORIZATION, format!("Basic {basic}"));
    let twice = request
        .try_clone()
        .unwrap()
        .body(format!("{form}&client_secret=x"));
    refused(twice.send().await.unwrap(), 400, "invalid_request", "").await;
    assert_eq!(request.body(form).send().await.unwrap().status(), 200);
    let wrong = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "x"),
        ("client_id", "y"),
    ];
    refused(
        guest.token_request(&wrong).await.unwrap(),
        401,
        "invalid_client",
        "",
    )
    .await;
}

#[tokio::test]
async fn a_refresh_too_early_is_refused_and_consumes_nothing() {
    let guest = Guest::arrive(Settings::default()).await;
    let first = guest.sign_in().await;
    guest.pass(569);
    let answer = guest.refresh(&first.refresh).await;
    assert!(header(&answer, "reason").starts_with("TooEarlyToRefreshTokens"));
    let words = "Rate limit exceeded: access_token not expired";
    refused(answer, 400, "access_denied", words).await;
    guest.pass(1);
    assert_eq!(guest.refresh(&first.refresh).await.status(), 200);
}

#[tokio::test]
async fn using_a_refresh_token_twice_ends_the_login() {
    let guest = Guest::arrive(Settings::default()).await;
    let first = guest.sign_in().await;
    guest.pass(600);
    let second = tokens(&json(guest.refresh(&first.refresh).await).await);
    guest.pass(600);
    refused(
        guest.refresh(&first.refresh).await,
        401,
        "unauthorized_client",
        "Old refresh token used.",
    )
    .await;
    refused(
        guest.refresh(&second.refresh).await,
        400,
        "invalid_grant",
        "chainId",
    )
    .await;
    let reuses = guest.sandbox.ledger().reuses();
    assert_eq!(reuses.len(), 1);
    assert_eq!(reuses[0].presented, fingerprint(&first.refresh));
}

#[tokio::test]
async fn a_new_consent_ends_the_older_login() {
    let guest = Guest::arrive(Settings::default()).await;
    let older = guest.sign_in().await;
    let newer = guest.sign_in().await;
    guest.pass(600);
    refused(
        guest.refresh(&older.refresh).await,
        400,
        "invalid_grant",
        "chainId",
    )
    .await;
    assert_eq!(guest.refresh(&newer.refresh).await.status(), 200);
}

#[tokio::test]
async fn a_login_ends_after_thirty_idle_days() {
    let guest = Guest::arrive(Settings::default()).await;
    let first = guest.sign_in().await;
    guest.pass(30 * 86_400 + 1);
    let words = "The refresh token expired at 2/4/2026 8:00:00 AM";
    refused(
        guest.refresh(&first.refresh).await,
        400,
        "invalid_request",
        words,
    )
    .await;
}

#[tokio::test]
async fn an_access_token_works_for_ten_minutes() {
    let guest = Guest::arrive(Settings::default()).await;
    let first = guest.sign_in().await;
    guest.pass(599);
    assert_eq!(
        guest
            .get("/api/v1/current/Me", &first.access)
            .await
            .status(),
        200
    );
    guest.pass(1);
    for (token, words) in [
        (&*first.access, "access%20token%20expired"),
        ("x", "message%20expired"),
    ] {
        let answer = guest.get("/api/v1/current/Me", token).await;
        assert_eq!(answer.status(), 401);
        assert!(header(&answer, "www-authenticate").contains(words));
    }
    let second = tokens(&json(guest.refresh(&first.refresh).await).await);
    assert_eq!(
        guest
            .get("/api/v1/current/Me", &second.access)
            .await
            .status(),
        200
    );
    guest.sandbox.withdraw_consent();
    assert_eq!(
        guest
            .get("/api/v1/current/Me", &second.access)
            .await
            .status(),
        401
    );
}

#[tokio::test]
async fn the_ledger_tells_what_was_presented_and_what_came_of_it() {
    let guest = Guest::arrive(Settings::default()).await;
    let first = guest.sign_in().await;
    guest.refresh(&first.refresh).await;
    guest.pass(600);
    guest.refresh(&first.refresh).await.bytes().await.unwrap();
    let ledger = guest.sandbox.ledger();
    let requests = ledger.token_requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0].grant, Grant::AuthorizationCode);
    assert_eq!(requests[1].outcome, Outcome::Refused(Refusal::TooEarly));
    assert_eq!(requests[2].at, guest.now());
    let consumed = ledger.consumed_refresh_tokens();
    assert_eq!(consumed.len(), 1);
    let place = consumed[0].place.unwrap();
    assert_eq!((place.chain, place.generation), (1, 1));
    let Outcome::Granted(next) = consumed[0].outcome else {
        panic!("{consumed:?}")
    };
    assert_eq!((next.chain, next.generation), (1, 2));
    assert!(matches!(
        consumed[0].delivery,
        Delivery::Written | Delivery::Read
    ));
    assert_eq!(ledger.peak_parallel_token_requests(), 1);
    assert!(guest.sandbox.secrets().contains(&first.refresh));
}
