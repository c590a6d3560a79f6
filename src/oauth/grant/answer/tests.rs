//! Answers as they come.

use super::*;
use crate::config::{ErrorRule, Grant, Meaning};
use crate::http::{HeaderMap, HeaderValue};
use crate::oauth::testing::oauth;
use crate::secret::ExposeSecret;

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status,
        headers: HeaderMap::new(),
        body: body.into().into(),
        url: "http://127.0.0.1:1/token".parse().unwrap(),
    }
}

fn reading(status: u16, body: impl Into<Vec<u8>>) -> Reading {
    let sent = Secret::from("hunter2");
    let oauth = oauth("http://127.0.0.1:1/token");
    read(
        &oauth,
        &answer(status, body),
        &[&sent],
        Timestamp::UNIX_EPOCH,
    )
}

fn granted(body: impl Into<Vec<u8>>) -> Tokens {
    match reading(200, body) {
        Reading::Tokens(tokens) => tokens,
        Reading::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn refused(status: u16, body: impl Into<Vec<u8>>) -> Refusal {
    match reading(status, body) {
        Reading::Refused(refusal) => refusal,
        Reading::Tokens(tokens) => panic!("{tokens:?}"),
    }
}

#[test]
fn a_life_is_read_however_it_is_written() {
    const HOUR: u64 = 3600;
    let ten_years = LONGEST_LIFE.as_secs();
    // as written, seconds, assumed
    let cases = [
        ("600", 600, false),
        ("\"600\"", 600, false),
        ("\" 599.5 \"", 599, false),
        ("599.5", 599, false),
        ("0", 0, false),
        ("-1", 0, false),
        ("null", HOUR, true),
        ("\"3600abc\"", HOUR, true),
        ("[]", HOUR, true),
        ("1e400", ten_years, false),
        ("99999999999999999999999", ten_years, false),
    ];
    for (written, seconds, assumed) in cases {
        let tokens = granted(format!(
            r#"{{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":{written}}}"#
        ));
        assert_eq!(tokens.lifetime.unwrap().as_secs(), seconds, "{written}");
        assert_eq!(tokens.assumed.is_some(), assumed, "{written}");
    }
    let lasting = granted(r#"{"access_token":"a","token_type":"bearer"}"#);
    assert_eq!(lasting.lifetime, None);
}

#[test]
fn tokens_are_found_in_whatever_surrounds_them() {
    let tokens = granted(
        r#"{"token_type":"bEaReR","access_token":"a","refresh_token":"r!","expires_in":"600",
            "scope":["x","y"],"refresh_token_expires_in":0,"x_refresh_token_expires_in":60,
            "other":{"deep":[1e999]}}"#,
    );
    assert_eq!(tokens.access_token.expose_secret(), "a");
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "r!");
    assert_eq!(tokens.scope.as_deref(), Some("x y"));
    assert_eq!(tokens.refresh_lifetime, Some(Duration::from_secs(60)));

    let marked = "\u{feff}{\"access_token\":\"a\",\"expires_in\":1}";
    assert!(granted(marked).assumed.is_some());
    let latin1 = b"{\"access_token\":\"a\",\"company\":\"Caf\xe9\",\"expires_in\":1}";
    assert_eq!(granted(latin1.to_vec()).access_token.expose_secret(), "a");

    for absent in [r#""refresh_token":null,"#, r#""refresh_token":"","#, ""] {
        let tokens = granted(format!(
            r#"{{{absent}"access_token":"a","token_type":"bearer"}}"#
        ));
        assert!(tokens.refresh_token.is_none(), "{absent}");
    }
}

#[test]
fn a_success_that_cannot_be_used_is_in_doubt() {
    let cases: [&[u8]; 11] = [
        b"",
        b"<html>sign in to the hotel network</html>",
        b"{\"access_token\":\"a\",\"refresh_",
        b"{\"access_token\":\"a\",\"refresh_token\":\"r\",\"refresh_token\":\"s\"}",
        b"{\"access_token\":\"a\\r\\nset-cookie: x\",\"token_type\":\"bearer\"}",
        b"{\"access_token\":\"a\",\"refresh_token\":\"r\\u0000\",\"token_type\":\"bearer\"}",
        b"{\"access_token\":\"a\",\"refresh_token\":\"\xff\",\"token_type\":\"bearer\"}",
        b"{\"access_token\":\"a\",\"token_type\":\"mac\"}",
        b"{\"access_token\":7,\"token_type\":\"bearer\"}",
        b"{\"token_type\":\"bearer\"}",
        b"[]",
    ];
    for body in cases {
        let shown = String::from_utf8_lossy(body);
        assert_eq!(refused(200, body).class, Class::InDoubt, "{shown}");
    }
}

/// R38: sixteen levels are looked into, and no more.
#[test]
fn an_answer_without_end_is_not_looked_into() {
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(
            r#"{{"access_token":"a","token_type":"bearer","expires_in":1,"brackets":"\"[[[[[[[[[[[[[[[[","more":{open}{close}}}"#
        )
    };
    granted(nested(15));
    for levels in [16, 200_000] {
        let refusal = refused(200, nested(levels));
        assert_eq!(refusal.class, Class::InDoubt);
        assert_eq!(refusal.description.as_deref(), Some(TOO_DEEP));
        // An error is told by its status alone.
        let away = refused(429, nested(levels)).class;
        assert!(matches!(away, Class::Transient { .. }), "{away:?}");
    }
    let oauth = oauth("http://127.0.0.1:1/token");
    let brought = imported(&oauth, &nested(16), Timestamp::UNIX_EPOCH);
    assert_eq!(brought.err(), Some(TOO_DEEP));
}

#[test]
fn errors_are_sorted_by_what_must_happen_next() {
    use Class::{Client, Configuration, DeadGrant, Denied, InDoubt, Unclassified};
    let transient = Class::Transient { retry_after: None };
    let cases = [
        (400, r#"{"error":"invalid_grant"}"#, DeadGrant),
        (500, r#"{"error":"invalid_grant"}"#, DeadGrant),
        (
            200,
            r#"{"error":"bad_refresh_token","error_description":"…"}"#,
            DeadGrant,
        ),
        (200, r#"{"ok":false,"error":"Not A Code"}"#, Unclassified),
        (401, r#"{"error":"invalid_client"}"#, Client),
        (400, r#"{"error":"use_dpop_nonce"}"#, Configuration),
        (400, r#"{"error":"invalid_scope"}"#, Configuration),
        (503, r#"{"error":"temporarily_unavailable"}"#, InDoubt),
        (400, r#"{"error":"temporarily_unavailable"}"#, transient),
        (400, r#"{"error":"access_denied"}"#, Denied),
        (429, "", transient),
        (500, r#"{"fault":{}}"#, InDoubt),
        (502, "<html>", InDoubt),
        (302, "", Configuration),
        (404, "<html>", Configuration),
        (403, "<!DOCTYPE html>", transient),
        (403, "", Unclassified),
        (400, "", Unclassified),
    ];
    for (status, body, class) in cases {
        assert_eq!(refused(status, body).class, class, "{status} {body}");
    }
}

#[test]
fn a_connection_may_know_its_server_better() {
    let mut oauth = oauth("http://127.0.0.1:1/token");
    let rule = |error: Option<&str>, contains: Option<&str>, means| ErrorRule {
        error: error.map(str::to_owned),
        contains: contains.map(str::to_owned),
        means,
    };
    oauth.errors = vec![
        rule(None, Some("access_token not expired"), Meaning::TooEarly),
        rule(
            Some("unauthorized_client"),
            Some("Old refresh token"),
            Meaning::DeadGrant,
        ),
        rule(None, Some("extractvariables"), Meaning::Transient),
    ];
    let class = |status, body: &str| match read(&oauth, &answer(status, body), &[], Timestamp::MIN)
    {
        Reading::Refused(refusal) => refusal.class,
        Reading::Tokens(_) => panic!("{body}"),
    };
    let early = r#"{"error":"access_denied","error_description":"Rate limit exceeded: access_token not expired"}"#;
    assert_eq!(class(400, early), Class::TooEarly);
    let old = r#"{"error":"unauthorized_client","error_description":"Old refresh token used."}"#;
    assert_eq!(class(401, old), Class::DeadGrant);
    assert_eq!(
        class(401, r#"{"error":"unauthorized_client"}"#),
        Class::Client
    );
    let fault = r#"{"fault":{"faultstring":"ExtractVariables failed"}}"#;
    assert_eq!(class(500, fault), Class::Transient { retry_after: None });
}

#[test]
fn what_is_shown_of_an_error_holds_no_token() {
    let refusal = refused(
        400,
        r#"{"error":"invalid_grant","error_description":"token gAAAAABk3vXyz0123456789abcdef is used, not hunter2"}"#,
    );
    assert_eq!(
        refusal.to_string(),
        "HTTP 400, `invalid_grant`: token [removed] is used, not [removed]"
    );
    let half = refused(
        400,
        r#"{"error":"invalid_grant","error_description":"it begins with HUNTE and goes on"}"#,
    );
    assert_eq!(
        half.to_string(),
        "HTTP 400, `invalid_grant`: it begins with [removed] and goes on"
    );
    let odd = refused(400, r#"{"error":"<b>Tok en</b>"}"#);
    assert_eq!(odd.to_string(), "HTTP 400");
}

#[test]
fn an_end_is_read_however_it_is_written() {
    let now = Timestamp::from_second(1_740_895_200).unwrap();
    let oauth = oauth("http://127.0.0.1:1/token");
    // as written, seconds
    let cases = [
        (r#""expires_on":"1740898800""#, Some(3600)),
        (r#""expires_on":1740898800000"#, Some(3600)),
        (r#""expires_at":"2025-03-02T07:00:00+01:00""#, Some(0)),
        (r#""expires_at":"2025-03-02T07:00:00Z""#, Some(3600)),
        (r#""expires_at":"2025-03-02 07:00:00""#, Some(3600)),
        (r#""expires":5183999"#, Some(5_183_999)),
        (r#""expires_in":60,"expires_at":1740898800"#, Some(60)),
        (r#""expires_in":"soon","expires_at":1740898800"#, Some(3600)),
        (r#""expires_at":1e300"#, Some(LONGEST_LIFE.as_secs())),
        (r#""expires_at":"tomorrow""#, None),
        (r#""expires_at":{}"#, None),
    ];
    for (written, seconds) in cases {
        let body = format!(r#"{{"access_token":"a","token_type":"bearer",{written}}}"#);
        let Reading::Tokens(tokens) = read(&oauth, &answer(200, body), &[], now) else {
            panic!("{written}")
        };
        let life = tokens.lifetime.map(|life| life.as_secs());
        assert_eq!(life, seconds, "{written}");
    }
}

#[test]
fn tokens_are_found_where_the_server_puts_them() {
    let mut oauth = oauth("http://127.0.0.1:1/token");
    oauth.token_path = Some("data.user".parse().unwrap());
    oauth.token_types = vec!["user".to_owned()];
    let read = |body: &str| match read(&oauth, &answer(200, body), &[], Timestamp::MIN) {
        Reading::Tokens(tokens) => tokens.access_token.expose_secret().to_owned(),
        Reading::Refused(refusal) => format!("{:?}", refusal.class),
    };
    let inner = r#"{"access_token":"in","token_type":"User","expires_in":9}"#;
    assert_eq!(read(&format!(r#"{{"data":{{"user":{inner}}}}}"#)), "in");
    let both = format!(r#"{{"access_token":"out","data":{{"user":{inner}}}}}"#);
    assert_eq!(read(&both), "in");
    // A refresh is answered plainly.
    assert_eq!(read(&inner.replace("in\"", "out\"")), "out");
    assert_eq!(read(r#"{"data":7,"error":"invalid_grant"}"#), "DeadGrant");
    assert_eq!(read(r#"{"data":{"user":{"token":"x"}}}"#), "InDoubt");
}

#[test]
fn a_form_is_read_as_an_answer() {
    let tokens = granted("access_token=a%21&token_type=bearer&expires_in=60&scope=x+y");
    assert_eq!(tokens.access_token.expose_secret(), "a!");
    assert_eq!(tokens.lifetime, Some(Duration::from_secs(60)));
    assert_eq!(tokens.scope.as_deref(), Some("x y"));
    let error = refused(
        200,
        "error=bad_verification_code&error_description=It+is+expired",
    );
    assert_eq!(error.class, Class::DeadGrant);
    assert_eq!(error.description.as_deref(), Some("It is expired"));
    for doubtful in [
        "access_token=a&access_token=b",
        "you=have&won=a+prize",
        "access_token=a b",
    ] {
        assert_eq!(refused(200, doubtful).class, Class::InDoubt, "{doubtful}");
    }
}

#[test]
fn a_clock_that_is_off_is_told_where_it_may_be_the_reason() {
    let mut signing = oauth("http://127.0.0.1:1/token");
    signing.grant = Grant::JwtBearer {
        claims: serde_json::Map::new(),
    };
    let plain = oauth("http://127.0.0.1:1/token");
    let now: Timestamp = "2025-03-02T06:10:00Z".parse().unwrap();
    let told = |oauth: &OAuth, date: &'static str| {
        let mut answer = answer(400, r#"{"error":"invalid_grant"}"#);
        let date = HeaderValue::from_static(date);
        answer.headers.insert("date", date);
        match read(oauth, &answer, &[], now) {
            Reading::Refused(refusal) => refusal.to_string(),
            Reading::Tokens(tokens) => panic!("{tokens:?}"),
        }
    };
    let plainly = "HTTP 400, `invalid_grant`";
    let off = "Sun, 02 Mar 2025 06:00:00 GMT";
    let ahead = format!("{plainly}; this clock is 600 s ahead of the server's");
    assert_eq!(told(&signing, off), ahead);
    assert_eq!(told(&signing, "Sun, 02 Mar 2025 06:10:30 GMT"), plainly);
    assert_eq!(told(&plain, off), plainly);
}

#[test]
fn a_redirect_is_not_followed_but_told() {
    let mut moved = answer(307, "");
    let location = HeaderValue::from_static("https://evil.example/token?x=1");
    moved.headers.insert("location", location);
    let Reading::Refused(refusal) = read(
        &oauth("http://127.0.0.1:1/token"),
        &moved,
        &[],
        Timestamp::MIN,
    ) else {
        panic!("a redirect brought tokens")
    };
    assert_eq!(
        refusal.to_string(),
        "HTTP 307: it redirects to https://evil.example, which is not followed"
    );
}
