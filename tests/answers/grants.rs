//! Access without a browser: what is sent, and what becomes of a refusal.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tidegate::oauth::Revocation;
use tidegate::remedy::Remedy;
use tidegate::status::ConnectionStatus;

use crate::house::{CLIENT, House, LOGIN, NAME, error, said, shown, tokens};
use crate::support::{answer, json as answered};

const KEY: &str = include_str!("../keys/p256.pem");

/// A connection with a user's name and password.
const PASSWORD: &str = r#"[connection.c]
grant = "password"
token_url = "SERVER/token"
client_id = "me"
username = "jo"
password = { file = "password" }
scopes = ["a", "b"]
"#;

/// A connection that signs its way in.
const ASSERTION: &str = r#"[connection.c]
grant = "jwt_bearer"
token_url = "SERVER/token"
client_id = "me"
private_key = { file = "key.pem" }
key_id = "k1"
claims = { sub = "jo", aud = "there", roles = ["a"] }
"#;

/// A client that signs instead of having a secret.
const SIGNING_CLIENT: &str = r#"[connection.c]
grant = "client_credentials"
token_url = "SERVER/token"
client_id = "me"
client_auth = "private_key_jwt"
private_key = { file = "key.pem" }
"#;

async fn with_password() -> House {
    House::with(PASSWORD, &[("password", "CANARY p:w")]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_sent_where_no_refresh_token_is_good() {
    let house = with_password().await;
    house.script([tokens(1), tokens(2)]);
    assert_eq!(shown(&house.token().await.unwrap()), "a1");
    house.refresh().await.unwrap();
    let asked = house.asked();
    let parts = ["grant_type", "username", "password", "scope", "client_id"];
    let sent = parts.map(|part| asked[0][part].as_str());
    assert_eq!(sent, ["password", "jo", "CANARY p:w", "a b", "me"]);
    assert_eq!(asked[1]["refresh_token"], "r1");

    // A refresh token that is refused is not asked about twice, and nobody is asked to sign in.
    house.script([error(400, "invalid_grant"), tokens(3)]);
    assert_eq!(shown(&house.refresh().await.unwrap()), "a3");
    // One whose answer was lost may be spent, and is not sent again.
    house.script([said(500, ""), tokens(4)]);
    house.refresh().await.unwrap_err();
    house.clock.advance(std::time::Duration::from_secs(600));
    assert_eq!(shown(&house.token().await.unwrap()), "a4");
    let kinds: Vec<String> = house
        .asked()
        .into_iter()
        .map(|mut asked| asked.remove("grant_type").unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "password",
            "refresh_token",
            "refresh_token",
            "password",
            "refresh_token",
            "password"
        ]
    );
    assert_eq!(house.standing(NAME), "ok: -");
}

/// R25: servers lock accounts after a few wrong passwords.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_tried_once_and_another_at_once() {
    let mut house = with_password().await;
    house.script([error(400, "invalid_grant")]);
    let failed = house.token().await.unwrap_err();
    assert_eq!(failed.remedy(), Remedy::EditConfig, "{failed}");
    let told = format!("{failed} {}", failed.hint().unwrap());
    assert!(told.contains("its password was refused"), "{told}");
    assert!(told.contains("lest the account be locked"), "{told}");
    assert!(!told.contains("CANARY"), "{told}");
    assert_eq!(house.standing(NAME), "needs_attention: password_refused");
    let mend = ConnectionStatus::from(house.health(NAME)).hint.unwrap();
    assert!(mend.starts_with("correct the password"), "{mend}");
    house.hours(48).await;
    house.restart().await;
    house.hours(48).await;
    assert_eq!(house.server.asked().len(), 1);

    house.house.write_private("password", "right");
    house.script([tokens(1)]);
    assert_eq!(shown(&house.token().await.unwrap()), "a1");
    assert_eq!(house.asked()[1]["password"], "right");

    // The server had locked the account, and somebody has opened it again.
    house.script([
        error(400, "invalid_grant"),
        error(400, "invalid_grant"),
        tokens(2),
    ]);
    house.clock.advance(std::time::Duration::from_secs(700));
    house.token().await.unwrap_err();
    house
        .keeper
        .logout(&crate::house::account(NAME), Revocation::AtServer)
        .await
        .unwrap();
    house.restart().await;
    assert_eq!(shown(&house.token().await.unwrap()), "a2");
}

/// Returns the header and the claims of a token.
fn opened(token: &str) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    let part = |at: usize| {
        let bytes = URL_SAFE_NO_PAD.decode(parts[at]).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    assert_eq!(parts.len(), 3);
    (part(0), part(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_takes_the_place_of_a_person_and_is_new_each_time() {
    let house = House::with(ASSERTION, &[("key.pem", KEY)]).await;
    let alone = r#"{"access_token":"a1","token_type":"bearer","expires_in":600}"#;
    house.script([answered(alone), answered(&alone.replace('1', "2"))]);
    assert_eq!(shown(&house.token().await.unwrap()), "a1");
    assert_eq!(shown(&house.refresh().await.unwrap()), "a2");
    let asked = house.asked();
    assert_eq!(
        asked[0]["grant_type"],
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    );
    assert_eq!(asked[0]["client_id"], "me");
    let (header, mut claims) = opened(&asked[0]["assertion"]);
    assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}));
    let began = 1_767_600_000;
    let first = claims.as_object_mut().unwrap().remove("jti");
    assert_eq!(
        claims,
        json!({"iss": "me", "sub": "jo", "aud": "there", "roles": ["a"], "iat": began, "exp": began + 300})
    );
    let (_, later) = opened(&asked[1]["assertion"]);
    assert_eq!(later["iat"], began + 120);
    assert_ne!(first.as_ref(), later.get("jti"));
}

/// R24: a wrong clock looks like a wrong login.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_assertion_blames_the_clock_where_that_is_off() {
    let house = House::with(ASSERTION, &[("key.pem", KEY)]).await;
    let date = "date: Mon, 05 Jan 2026 07:50:00 GMT";
    house.script([answer(400, &[date], r#"{"error":"invalid_grant"}"#)]);
    let failed = house.token().await.unwrap_err();
    assert!(failed.to_string().contains("600 s ahead"), "{failed}");
    assert!(failed.hint().unwrap().contains("this machine's clock"));
    assert_eq!(failed.remedy(), Remedy::EditConfig);
    assert_eq!(house.standing(NAME), "client_rejected: assertion_refused");
}

/// R23: a server takes no assertion twice, not even after it has lost its answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_proves_itself_by_an_assertion_of_its_own_for_every_request() {
    let text = format!("{SIGNING_CLIENT}assertion_audience = \"https://issuer.example\"\n");
    let house = House::with(&text, &[("key.pem", KEY)]).await;
    house.script([said(503, ""), tokens(1)]);
    house.token().await.unwrap_err();
    house.clock.advance(std::time::Duration::from_secs(100));
    house.token().await.unwrap();
    let asked = house.asked();
    let opened: Vec<Value> = asked
        .iter()
        .map(|asked| {
            assert_eq!(asked["client_id"], "me");
            assert!(!asked.contains_key("client_secret"));
            assert_eq!(
                asked["client_assertion_type"],
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            );
            opened(&asked["client_assertion"]).1
        })
        .collect();
    for claims in &opened {
        let said = ["iss", "sub", "aud"].map(|claim| claims[claim].as_str().unwrap());
        assert_eq!(said, ["me", "me", "https://issuer.example"]);
    }
    assert_ne!(opened[0]["jti"], opened[1]["jti"]);

    let plain = House::with(SIGNING_CLIENT, &[("key.pem", KEY)]).await;
    plain.script([tokens(1)]);
    plain.token().await.unwrap();
    let (_, claims) = self::opened(&plain.asked()[0]["client_assertion"]);
    assert_eq!(claims["aud"], format!("{}/token", plain.server.url));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_sign_is_told_before_anything_is_sent() {
    let house = House::with(SIGNING_CLIENT, &[("key.pem", "no key")]).await;
    let failed = house.token().await.unwrap_err();
    assert_eq!(failed.remedy(), Remedy::EditConfig);
    assert!(failed.to_string().contains("not PEM text"), "{failed}");
    assert!(house.server.asked().is_empty());
    // It needs no restart once it is right.
    house.house.write_private("key.pem", KEY);
    house.script([tokens(1)]);
    house.token().await.unwrap();
}

/// R14: sent with every request, each on its own.
#[tokio::test(flavor = "multi_thread")]
async fn every_api_the_token_is_for_is_named_in_every_request() {
    let resources = r#"resource = ["https://one.example/", "urn:two"]"#;
    for (text, separate) in [(LOGIN, true), (CLIENT, true), (CLIENT, false)] {
        let json = if separate {
            ""
        } else {
            "token_body = \"json\"\n"
        };
        let house = House::with(&format!("{text}{json}{resources}\n"), &[]).await;
        house.script([tokens(1), tokens(2)]);
        if text == LOGIN {
            house.sign_in(NAME).await.unwrap();
        }
        house.token().await.unwrap();
        house.refresh().await.unwrap();
        for asked in house.server.asked() {
            let body = String::from_utf8(asked.body).unwrap();
            let expected = match separate {
                true => "resource=https%3A%2F%2Fone.example%2F&resource=urn%3Atwo",
                false => r#""resource":["https://one.example/","urn:two"]"#,
            };
            assert!(body.contains(expected), "{body}");
        }
    }
    let house = House::with(&format!("{LOGIN}{resources}\n"), &[]).await;
    let account = crate::house::account(NAME);
    let start = house.keeper.begin_login(&account).await.unwrap();
    let pairs = start.authorize_url.query_pairs();
    let named: Vec<_> = pairs.filter(|(name, _)| name == "resource").collect();
    assert_eq!(named.len(), 2, "{}", start.authorize_url);
}

/// A refresh token that somebody brings in is waited for; the server is not asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_login_waits_for_its_refresh_token() {
    let text = CLIENT.replace("client_credentials", "refresh_token");
    let house = House::with(&text, &[]).await;
    let failed = house.token().await.unwrap_err();
    assert_eq!(failed.remedy(), Remedy::Login);
    let hint = failed.hint().unwrap();
    assert!(hint.contains("tidegate login c --import"), "{hint}");
    let mend = ConnectionStatus::from(house.health(NAME)).hint;
    assert_eq!(mend, Some(hint));
    assert!(house.server.asked().is_empty());
}
