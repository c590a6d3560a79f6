//! Every shape in which tokens come, and what is made of it.

use std::time::Duration;

use crate::house::{CLIENT, House, LOGIN, NAME, shown, tokens};
use crate::support::{answer, json};

const HOUR: Option<i64> = Some(3_600);
const TEN_YEARS: Option<i64> = Some(315_360_000);

/// R26, R40 to R42: what a sign-in makes of a token answer: the seconds the access token lives.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_used_however_they_come() {
    let bearer = r#""token_type":"bearer""#;
    let with =
        |more: &str| format!(r#"{{"access_token":"a1","refresh_token":"r1",{bearer}{more}}}"#);
    let alone = |more: &str| format!(r#"{{"access_token":"a1"{more}}}"#);
    // what, answer, life
    let cases: Vec<(&str, String, Option<i64>)> = vec![
        ("a number", with(r#","expires_in":600"#), Some(600)),
        ("text", with(r#","expires_in":"600""#), Some(600)),
        ("a fraction", with(r#","expires_in":599.9"#), Some(599)),
        ("unsaid", with(""), HOUR),
        ("null", with(r#","expires_in":null"#), HOUR),
        ("garbage", with(r#","expires_in":"3600abc""#), HOUR),
        (
            "unsaid, and no refresh token",
            alone(&format!(",{bearer}")),
            None,
        ),
        ("zero", with(r#","expires_in":0"#), Some(0)),
        ("negative", with(r#","expires_in":-5"#), Some(0)),
        ("absurd", with(r#","expires_in":1e99"#), TEN_YEARS),
        (
            "more digits than a number has",
            with(r#","expires_in":99999999999999999999"#),
            TEN_YEARS,
        ),
        // The clock stands at 2026-01-05T08:00:00Z.
        ("an instant", with(r#","expires_on":"1767603600""#), HOUR),
        ("milliseconds", with(r#","expires_at":1767603600000"#), HOUR),
        (
            "a date",
            with(r#","expires_at":"2026-01-05T10:00:00+01:00""#),
            HOUR,
        ),
        (
            "a past date",
            with(r#","expires_at":"2025-01-05T09:00:00Z""#),
            Some(0),
        ),
        ("no type", alone(r#","expires_in":600"#), Some(600)),
        (
            "a loud type",
            alone(r#","token_type":"BEARER","expires_in":600"#),
            Some(600),
        ),
        (
            "a mark first",
            format!("\u{feff}{}", with(r#","expires_in":600"#)),
            Some(600),
        ),
        (
            "more than we know",
            with(r#","expires_in":600,"x":[{"y":1e999}]"#),
            Some(600),
        ),
        (
            "a null refresh token",
            alone(r#","refresh_token":null,"expires_in":600"#),
            Some(600),
        ),
        (
            "a form",
            "access_token=a1&token_type=bearer&expires_in=600".into(),
            Some(600),
        ),
        (
            "another's form",
            "access_token=a1&expires=5183999".into(),
            Some(5_183_999),
        ),
    ];
    for (what, body, life) in cases {
        let house = House::with(LOGIN, &[]).await;
        house.script([json(&body)]);
        house
            .sign_in(NAME)
            .await
            .unwrap_or_else(|failed| panic!("{what}: {failed}"));
        assert_eq!(house.life(), life, "{what}");
        assert_eq!(shown(&house.token().await.unwrap()), "a1", "{what}");
        assert_eq!(house.server.asked().len(), 1, "{what}");
    }
}

/// R28: a server that sends no new refresh token means the old one.
#[tokio::test(flavor = "multi_thread")]
async fn the_old_refresh_token_is_kept_where_no_new_one_comes() {
    for absent in ["", r#","refresh_token":null"#, r#","refresh_token":"""#] {
        let house = House::signed_in(LOGIN).await;
        let body =
            format!(r#"{{"access_token":"a3","token_type":"bearer","expires_in":600{absent}}}"#);
        house.script([json(&body), tokens(4)]);
        house.refresh().await.unwrap();
        house.refresh().await.unwrap();
        assert_eq!(house.asked()[3]["refresh_token"], "r2", "{absent}");
    }
}

/// R40: other bytes beside a rotated token do not cost it.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_do_not_cost_a_token() {
    let house = House::signed_in(LOGIN).await;
    let mut bytes =
        json(r#"{"access_token":"a3","refresh_token":"r3","expires_in":60,"name":"Caf?"}"#);
    let at = bytes.iter().rposition(|byte| *byte == b'?').unwrap();
    bytes[at] = 0xe9;
    house.script([bytes]);
    assert_eq!(shown(&house.refresh().await.unwrap()), "a3");
}

/// R42 and R43: tokens that end as they are born are used, and not asked for at each request.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_born_dead_makes_no_storm() {
    let house = House::with(CLIENT, &[]).await;
    let dead = json(r#"{"access_token":"a","token_type":"bearer","expires_in":0}"#);
    house.script([dead.clone(), dead]);
    for _ in 0..20 {
        house.token().await.unwrap();
        house.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(house.server.asked().len(), 1);
    house.clock.advance(Duration::from_secs(20));
    house.token().await.unwrap();
    assert_eq!(house.server.asked().len(), 2);
}

/// R45: where zero does not mean dead.
#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_refresh_token_is_taken_from_where_it_is_said() {
    for (said, seconds) in [
        (r#""refresh_expires_in":1800"#, Some(1_800)),
        (r#""refresh_token_expires_in":"1800""#, Some(1_800)),
        (r#""x_refresh_token_expires_in":8726400"#, Some(8_726_400)),
        (r#""refresh_expires_in":0"#, None),
        (
            r#""refresh_expires_in":0,"refresh_token_expires_in":60"#,
            Some(60),
        ),
    ] {
        let house = House::with(LOGIN, &[]).await;
        house.script([json(&format!(
            r#"{{"access_token":"a","refresh_token":"r","token_type":"bearer",{said}}}"#
        ))]);
        house.sign_in(NAME).await.unwrap();
        let health = house.health(NAME);
        let life = health
            .refresh_expires_at
            .map(|ends| ends.duration_since(health.since).as_secs());
        assert_eq!(life, seconds, "{said}");
    }
}

/// R26: what a server calls its tokens is the connection's to say, and where it puts them.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_another_name_and_in_another_place_are_a_setting() {
    let more = "token_types = [\"bot\"]\ntoken_path = \"data.tokens\"\n";
    let house = House::with(&format!("{LOGIN}{more}"), &[]).await;
    let inner = r#"{"access_token":"a1","refresh_token":"r1","token_type":"Bot","expires_in":600}"#;
    house.script([
        json(&format!(r#"{{"ok":true,"data":{{"tokens":{inner}}}}}"#)),
        json(&inner.replace('1', "2")),
    ]);
    house.sign_in(NAME).await.unwrap();
    assert_eq!(shown(&house.token().await.unwrap()), "a1");
    assert_eq!(shown(&house.refresh().await.unwrap()), "a2");
}

/// R27: less than was asked for is told, not refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_was_not_granted_is_named() {
    let text = format!("{CLIENT}scopes = [\"read\", \"write\"]\n");
    for (scope, notice) in [
        ("", None),
        (r#","scope":"write read""#, None),
        (
            r#","scope":["https://api.example/read"]"#,
            Some("`write` was asked for and not granted"),
        ),
    ] {
        let house = House::with(&text, &[]).await;
        house.script([json(&format!(
            r#"{{"access_token":"a","token_type":"bearer","expires_in":600{scope}}}"#
        ))]);
        house.token().await.unwrap();
        let notices = house.health(NAME).notices;
        assert_eq!(notices.first().map(String::as_str), notice, "{scope}");
    }
}

/// R20, R37 and R39: how a token request is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_request_asks_for_plain_json_and_follows_nobody() {
    let house = House::with(CLIENT, &[]).await;
    let elsewhere = format!("location: {}/elsewhere", house.server.url);
    house.script([answer(307, &[&elsewhere], ""), tokens(1)]);
    let failed = house.token().await.unwrap_err();
    assert!(failed.to_string().contains("is not followed"), "{failed}");
    let [asked] = house.server.asked().try_into().unwrap();
    assert_eq!(asked.line, "POST /token");
    for header in ["accept: application/json", "accept-encoding: identity"] {
        assert!(asked.headers.to_lowercase().contains(header), "{header}");
    }
}
