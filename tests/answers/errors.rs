//! Every answer without tokens, and what becomes of the connection.

use std::time::Duration;

use tidegate::remedy::Remedy;

use crate::house::{CLIENT, House, LOGIN, NAME, account, error, said, shown, tokens};
use crate::support::{answer, json};

/// One way for a refresh to bring no tokens.
struct Case {
    what: &'static str,
    answer: Vec<u8>,
    /// The state and the reason.
    then: &'static str,
    /// Whether it mends itself once the server gives tokens again.
    mends: bool,
}

fn case(what: &'static str, answer: Vec<u8>, then: &'static str, mends: bool) -> Case {
    Case {
        what,
        answer,
        then,
        mends,
    }
}

/// The refresh token was refused.
fn dead(code: &'static str, status: u16) -> Case {
    let answer = error(status, code);
    case(code, answer, "needs_login: refused", false)
}

/// The server said no such thing, or the tokens may be lost.
fn doubt(what: &'static str, answer: Vec<u8>) -> Case {
    case(what, answer, "in_doubt: answer_lost", true)
}

fn refused(code: &'static str, status: u16, then: &'static str) -> Case {
    case(code, error(status, code), then, true)
}

fn cases() -> Vec<Case> {
    let huge = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(300 * 1024));
    let mut cut = tokens(9);
    cut.truncate(cut.len() - 20);
    let html = |status| answer(status, &["content-type: text/html"], "<html>no</html>");
    vec![
        // E1, E5: the grant is gone.
        dead("invalid_grant", 400),
        dead("invalid_grant", 401),
        dead("invalid_grant", 500),
        dead("interaction_required", 400),
        dead("login_required", 400),
        dead("consent_required", 400),
        dead("bad_refresh_token", 200),
        // E2: the client is refused.
        refused("invalid_client", 401, "client_rejected: client_refused"),
        refused(
            "unauthorized_client",
            400,
            "client_rejected: client_refused",
        ),
        // E3, E16: what is asked is refused.
        refused("invalid_request", 400, "client_rejected: configuration"),
        refused("invalid_scope", 400, "client_rejected: configuration"),
        refused(
            "unsupported_grant_type",
            400,
            "client_rejected: configuration",
        ),
        refused("invalid_target", 400, "client_rejected: configuration"),
        refused("use_dpop_nonce", 400, "client_rejected: configuration"),
        // E4, E7: it passes.
        refused(
            "temporarily_unavailable",
            400,
            "backing_off: server_trouble",
        ),
        refused("server_error", 400, "backing_off: server_trouble"),
        refused("slow_down", 400, "backing_off: server_trouble"),
        case("429", said(429, ""), "backing_off: server_trouble", true),
        // E6: it may pass.
        refused("access_denied", 400, "backing_off: denied"),
        // E8: nobody knows.
        doubt("500", said(500, "")),
        doubt("502", html(502)),
        doubt("503 with an error", error(503, "temporarily_unavailable")),
        doubt("504", html(504)),
        // E9, R38 to R41: an answer that is lost or cannot be used.
        doubt("no answer", Vec::new()),
        doubt("half an answer", cut),
        doubt("a huge one", json(&huge)),
        doubt(
            "a packed one",
            answer(200, &["content-encoding: gzip"], "x"),
        ),
        doubt("a page", html(200)),
        doubt("nothing", json("")),
        doubt("no tokens", json(r#"{"ok":true}"#)),
        doubt("half of JSON", json(r#"{"access_token":"a9","refresh_tok"#)),
        doubt(
            "a token twice",
            json(r#"{"access_token":"a","access_token":"b"}"#),
        ),
        doubt(
            "a header in a token",
            json(r#"{"access_token":"a\r\nx: y"}"#),
        ),
        doubt(
            "another kind",
            json(r#"{"access_token":"a","token_type":"mac"}"#),
        ),
        // E11, E12: nobody answers there.
        case(
            "a redirect",
            answer(302, &["location: https://evil.example/"], ""),
            "client_rejected: configuration",
            true,
        ),
        case("404", html(404), "client_rejected: configuration", true),
        case("405", said(405, ""), "client_rejected: configuration", true),
        case("410", said(410, ""), "client_rejected: configuration", true),
        case("415", said(415, ""), "client_rejected: configuration", true),
        // E13: no word we know.
        case(
            "an empty 400",
            said(400, ""),
            "backing_off: unclassified",
            true,
        ),
        case(
            "an empty 403",
            said(403, ""),
            "backing_off: unclassified",
            true,
        ),
        case(
            "its own words",
            said(401, r#"{"code":7,"msg":"no"}"#),
            "backing_off: unclassified",
            true,
        ),
        // E14: a gateway's page.
        case("a 403 page", html(403), "backing_off: server_trouble", true),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_leaves_the_connection_in_a_state_that_names_what_ends_it() {
    for case in cases() {
        let what = case.what;
        let house = House::signed_in(LOGIN).await;
        // The access token was refused, so one more try loses nothing where nobody knows.
        let tries = if case.then.starts_with("in_doubt") {
            2
        } else {
            1
        };
        for _ in 0..tries {
            house.script([case.answer.clone()]);
        }
        let failed = house.refresh().await.unwrap_err();
        assert_eq!(house.standing(NAME), case.then, "{what}");
        assert_eq!(house.server.asked().len(), 2 + tries, "{what}");
        let needs_login = case.then.starts_with("needs_login");
        assert_eq!(failed.remedy() == Remedy::Login, needs_login, "{what}");
        let told = format!("{failed} {:?} {:?}", failed.hint(), house.health(NAME));
        assert!(!told.contains("CANARY") && !told.contains("r2"), "{told}");

        // A good answer an hour later ends it, with the refresh token that was kept; or does not.
        house.script([tokens(3)]);
        house.clock.advance(Duration::from_secs(5_000));
        let token = house.token().await;
        assert_eq!(token.is_ok(), case.mends, "{what}: {token:?}");
        if case.mends {
            assert_eq!(shown(&token.unwrap()), "a3", "{what}");
            assert_eq!(house.standing(NAME), "ok: -", "{what}");
            assert_eq!(house.asked()[2 + tries]["refresh_token"], "r2", "{what}");
        }
    }
}

/// E10: nothing was sent, so nothing is in doubt.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_tried_again_without_a_doubt() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/token", gone.local_addr().unwrap());
    drop(gone);
    let text = CLIENT.replace("SERVER/token", &address);
    let house = House::with(&text, &[]).await;
    let failed = house.token().await.unwrap_err();
    assert_eq!(failed.remedy(), Remedy::Wait, "{failed}");
    assert_eq!(house.standing(NAME), "backing_off: unreachable");
}

/// E1: one of a server's machines may be behind the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_confirmed_once_a_minute_later() {
    let text = LOGIN.replace("refresh = { retry_in_doubt = \"after_expiry\" }\n", "");
    let house = House::signed_in(&text).await;
    house.script([error(400, "invalid_grant"), error(400, "invalid_grant")]);
    house.refresh().await.unwrap_err();
    assert_eq!(house.standing(NAME), "backing_off: refused_once");
    house.clock.advance(Duration::from_secs(59));
    house.keeper.tend(|_| None);
    assert_eq!(house.server.asked().len(), 3);
    house.clock.advance(Duration::from_secs(541));
    house.token().await.unwrap_err();
    assert_eq!(house.standing(NAME), "needs_login: refused");
    house.hours(5).await;
    assert_eq!(house.server.asked().len(), 4);
}

/// E15: some servers say of a grant that they do not know that the token is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_is_refused_at_its_first_use_is_told_apart() {
    let house = House::with(LOGIN, &[]).await;
    house.script([tokens(1), error(400, "invalid_grant")]);
    house.sign_in(NAME).await.unwrap();
    let failed = house.refresh().await.unwrap_err();
    assert_eq!(house.standing(NAME), "needs_login: never_worked");
    let hint = failed.hint().unwrap();
    assert!(
        hint.contains("whether the server lets this client refresh"),
        "{hint}"
    );
}

/// E2: what the server thinks of the client counts for every connection of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_client_is_tried_by_one_of_its_connections_for_all() {
    let other = LOGIN.replace("[connection.c]", "[connection.d]");
    let stranger = LOGIN
        .replace("[connection.c]", "[connection.e]")
        .replace("\"me\"", "\"somebody\"");
    let house = House::with(&format!("{LOGIN}{other}{stranger}"), &[]).await;
    house.script([tokens(1), tokens(2), tokens(3)]);
    for name in ["c", "d", "e"] {
        house.sign_in(name).await.unwrap();
    }
    house.script([error(401, "invalid_client")]);
    house.refresh().await.unwrap_err();
    assert_eq!(house.standing("c"), "client_rejected: client_refused");
    assert_eq!(house.standing("d"), "client_rejected: client_refused");
    assert_eq!(house.standing("e"), "ok: -");

    house.clock.advance(Duration::from_secs(5_000));
    house.script([tokens(4)]);
    house.token().await.unwrap();
    assert_eq!(house.standing("c"), "ok: -");
    assert_eq!(house.standing("d"), "ok: -");
}

/// E6 and E13: what nobody explains is a person's after a few tries.
#[tokio::test(flavor = "multi_thread")]
async fn what_stays_unexplained_needs_attention() {
    for (answer, tries, then) in [
        (error(400, "access_denied"), 3, "needs_attention: denied"),
        (said(400, ""), 5, "needs_attention: unclassified"),
    ] {
        let house = House::signed_in(LOGIN).await;
        for done in 1..=tries {
            house.script([answer.clone()]);
            house.clock.advance(Duration::from_secs(5_000));
            house.token().await.unwrap_err();
            assert_eq!(house.server.asked().len(), 2 + done);
        }
        assert_eq!(house.standing(NAME), then);
    }
}

/// E7: how long, the server says, within reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_left_alone_for_as_long_as_it_asks() {
    for (stated, least, most) in [
        ("1800", 1_800, 1_800),
        ("Mon, 05 Jan 2026 08:34:00 GMT", 1_800, 1_800),
        ("0", 48, 72),
        ("99999999", 3_600, 3_600),
    ] {
        let house = House::signed_in(LOGIN).await;
        house.script([answer(429, &[&format!("retry-after: {stated}")], "")]);
        house.refresh().await.unwrap_err();
        let next_at = house.health(NAME).next_at.unwrap();
        let wait = next_at.duration_since(tidegate::clock::Clock::now(&house.clock));
        assert!(
            (least..=most).contains(&wait.as_secs()),
            "{stated}: {wait:?}"
        );
    }
}

/// E7: one connection is answered for all at that server.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_peace_has_it_from_every_connection() {
    let other = LOGIN
        .replace("[connection.c]", "[connection.d]")
        .replace("\"me\"", "\"somebody\"");
    let house = House::with(&format!("{LOGIN}{other}"), &[]).await;
    house.script([tokens(1), tokens(2)]);
    house.sign_in("c").await.unwrap();
    house.sign_in("d").await.unwrap();
    house.script([answer(429, &["retry-after: 1800"], ""), tokens(3)]);
    house.refresh().await.unwrap_err();
    house.clock.advance(Duration::from_secs(900));
    let waiting = house.keeper.authorization(&account("d")).await.unwrap_err();
    assert_eq!(waiting.remedy(), Remedy::Wait, "{waiting}");
    assert_eq!(house.server.asked().len(), 3);
    house.clock.advance(Duration::from_secs(900));
    house.keeper.authorization(&account("d")).await.unwrap();
}

/// A provider may mean something of its own by an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_says_what_its_servers_errors_mean() {
    let rules = r#"errors = [
    { error = "access_denied", contains = "not expired", means = "too_early" },
    { contains = "gateway", means = "transient" },
    { error = "unauthorized_client", contains = "old refresh", means = "dead_grant" },
    { error = "invalid_grant", contains = "ip address", means = "configuration" },
]
"#;
    let text = format!("{LOGIN}{rules}");
    let words = |code: &str, words: &str| {
        said(
            400,
            &format!(r#"{{"error":"{code}","error_description":"{words}"}}"#),
        )
    };
    for (answer, then) in [
        (words("access_denied", "access_token not expired"), "ok: -"),
        (words("access_denied", "no"), "backing_off: denied"),
        (said(500, "bad GATEWAY"), "backing_off: server_trouble"),
        (
            words("unauthorized_client", "Old refresh token"),
            "needs_login: refused",
        ),
        (
            words("invalid_grant", "IP address"),
            "client_rejected: configuration",
        ),
    ] {
        let house = House::signed_in(&text).await;
        house.script([answer]);
        house.refresh().await.unwrap_err();
        assert_eq!(house.standing(NAME), then);
    }
}
