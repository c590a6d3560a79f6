//! Logins of a source's own making, through the real program.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::house;
use super::support::{Asked, Scripted, TempHouse, answer, json};

const PASSWORD: &str = "pa55-canary";
/// A login by JSON, with a token inside, a life in minutes and a header of its own.
const LOGIN: &str = r#"
    token_header = "X-Session"
    session = { url = "/login", json = { user = "reports", password = "{{ secret.password }}" }, secrets = { password = { env = "PASSWORD" } }, token = "data.token", expires_in = "data.minutes", unit = "minutes" }
"#;
/// The same, with a request that gives it longer life.
const EXTENDED: &str = r#"
    token_header = "X-Session"
    session = { url = "/login", form = { password = "{{ secret.password }}" }, secrets = { password = { env = "PASSWORD" } }, token = "token", lifetime = "20m", refresh = { url = "/extend", headers = { X-Session = "{{ token }}" } } }
"#;

/// A source whose n-th login gives the token `tN`; `rows` answers everything else.
fn source(rows: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
    let logins = AtomicU32::new(0);
    Scripted::start(move |asked| {
        if asked.line != "POST /login" {
            return rows(asked);
        }
        let number = logins.fetch_add(1, Ordering::SeqCst) + 1;
        json(&format!(
            r#"{{"token":"t{number}","data":{{"token":"t{number}","minutes":"20"}}}}"#
        ))
    })
}

fn rows(_: &Asked) -> Vec<u8> {
    json(r#"{"rows":[{"id":1}]}"#)
}

fn settled(server: &Scripted, way_in: &str) -> TempHouse {
    let mut house = house(server, way_in);
    house.set_env("PASSWORD", PASSWORD);
    house
}

/// What was asked, each with the session it was asked in.
fn story(server: &Scripted) -> Vec<String> {
    let told = |asked: &Asked| {
        let session = asked
            .header("x-session")
            .map(|token| format!(" as {token}"));
        asked.line.clone() + &session.unwrap_or_default()
    };
    server.asked().iter().map(told).collect()
}

#[test]
fn a_login_is_made_once_kept_and_made_again_when_it_has_ended() {
    let server = source(rows);
    let house = settled(&server, LOGIN);
    house.run(&["check"]).expect_code(0);
    house.run(&["--run-now"]).expect_code(0);
    let login = server.asked().remove(0);
    assert_eq!(
        login.header("content-type").as_deref(),
        Some("application/json")
    );
    let sent: serde_json::Value = serde_json::from_slice(&login.body).unwrap();
    assert_eq!(
        sent,
        serde_json::json!({ "user": "reports", "password": PASSWORD })
    );

    // Another process finds it in the vault.
    house.run(&["--run-now"]).expect_code(0);
    house.clock().advance(Duration::from_secs(21 * 60)).unwrap();
    let ran = house.run(&["--run-now"]).expect_code(0);
    assert_eq!(
        story(&server),
        [
            "POST /login",
            "GET /rows?a=1 as t1",
            "GET /rows?a=1 as t1",
            "POST /login",
            "GET /rows?a=1 as t2",
        ]
    );
    assert!(!(ran.stdout + &ran.stderr).contains("canary"));
}

#[test]
fn flows_that_begin_together_share_one_login() {
    let server = source(rows);
    let house = settled(&server, LOGIN);
    let mut text = std::fs::read_to_string(house.config()).unwrap();
    for number in 1..=5 {
        text += &format!(
            "\n[flow.row{number}]\nconnection = \"source\"\nurl = \"/rows?a=1\"\npaging = \"none\"\n\
             records = \"rows\"\nkey = [\"id\"]\n"
        );
    }
    house.write_private("tidegate.toml", &text);
    house.run(&["--run-now"]).expect_code(0);
    let story = story(&server);
    assert_eq!(story.len(), 7, "{story:?}");
    assert_eq!(story[0], "POST /login");
    let in_session = |line: &&String| line.ends_with(" as t1");
    assert_eq!(story.iter().filter(in_session).count(), 6, "{story:?}");
}

#[test]
fn a_session_that_the_source_has_ended_is_begun_again_once() {
    let server = source(|asked| match asked.header("x-session").as_deref() {
        Some("t2") => rows(asked),
        _ => answer(401, &[], ""),
    });
    let house = settled(&server, LOGIN);
    house.run(&["--run-now"]).expect_code(1);
    house.clock().advance(Duration::from_secs(5 * 60)).unwrap();
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(
        story(&server),
        [
            "POST /login",
            // A session this new is not begun again: something else must be wrong.
            "GET /rows?a=1 as t1",
            "GET /rows?a=1 as t1",
            "POST /login",
            "GET /rows?a=1 as t2",
        ]
    );
}

#[test]
fn a_refused_password_is_sent_once_and_never_shown_until_another_is_there() {
    let server = Scripted::start(|asked| match asked.line.as_str() {
        "POST /login" if String::from_utf8_lossy(&asked.body).contains("right") => {
            json(r#"{"data":{"token":"t1","minutes":20}}"#)
        }
        "POST /login" => {
            let body = String::from_utf8_lossy(&asked.body).into_owned();
            answer(
                401,
                &[],
                &serde_json::json!({ "message": body }).to_string(),
            )
        }
        _ => json(r#"{"rows":[{"id":1}]}"#),
    });
    let mut house = settled(&server, LOGIN);
    for _ in 0..3 {
        let ran = house.run(&["--run-now"]).expect_code(1);
        assert!(ran.stderr.contains("its password was refused"), "{ran:?}");
        assert!(ran.stderr.contains("correct the password"), "{ran:?}");
        assert!(!(ran.stdout + &ran.stderr).contains("canary"));
        house
            .clock()
            .advance(Duration::from_secs(3 * 60 * 60))
            .unwrap();
    }
    assert_eq!(story(&server), ["POST /login"]);
    let connections = house.run(&["connections", "--json"]).json();
    assert_eq!(connections[0]["state"], "needs_attention");
    assert_eq!(connections[0]["reason"], "password_refused");

    house.set_env("PASSWORD", "the right one");
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(story(&server).len(), 3);
}

#[test]
fn a_session_is_given_longer_life_until_that_is_refused() {
    let extensions = AtomicU32::new(0);
    let server = source(move |asked| match asked.line.as_str() {
        "POST /extend" if extensions.fetch_add(1, Ordering::SeqCst) == 0 => answer(204, &[], ""),
        "POST /extend" => answer(401, &[], ""),
        _ => rows(asked),
    });
    let house = settled(&server, EXTENDED);
    for _ in 0..3 {
        house.run(&["--run-now"]).expect_code(0);
        // Nearly over, but not quite.
        house
            .clock()
            .advance(Duration::from_secs(19 * 60 + 30))
            .unwrap();
    }
    assert_eq!(
        story(&server),
        [
            "POST /login",
            "GET /rows?a=1 as t1",
            "POST /extend as t1",
            "GET /rows?a=1 as t1",
            "POST /extend as t1",
            "POST /login",
            "GET /rows?a=1 as t2",
        ]
    );
}

#[test]
fn a_session_may_begin_with_basic_and_live_in_a_cookie() {
    let server = Scripted::start(|asked| match asked.line.as_str() {
        "GET /session" => {
            let cookies = [
                "set-cookie: ROUTE=n1; path=/",
                "set-cookie: SID=c1; HttpOnly",
            ];
            answer(200, &cookies, "")
        }
        _ => rows(asked),
    });
    let way_in = r#"
        session = { url = "/session", method = "GET", headers = { Authorization = "Basic {{ ('me:' ~ secret.password) | base64 }}" }, secrets = { password = { env = "PASSWORD" } }, token_cookie = "SID" }
    "#;
    let house = settled(&server, way_in);
    house.run(&["--run-now"]).expect_code(0);
    let [login, asked] = server.asked().try_into().unwrap();
    // me:pa55-canary
    let expected = Some("Basic bWU6cGE1NS1jYW5hcnk=");
    assert_eq!(login.header("authorization").as_deref(), expected);
    assert_eq!(asked.header("cookie").as_deref(), Some("SID=c1"));
    assert_eq!(asked.header("authorization"), None);
}
