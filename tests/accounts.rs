//! Several people sign in on one connection, and a flow reads the mail of each.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod support;

use rusqlite::types::Value;
use support::{Asked, Ran, Scripted, TempHouse, answer, json};
use url::{Url, form_urlencoded};

/// A connection that people sign in to, at a server whose codes and tokens are the person's name.
struct Post {
    house: TempHouse,
    _server: Scripted,
}

impl Post {
    fn new(accounts: &str) -> Self {
        let server = Scripted::start(serve);
        let url = &server.url;
        let house = TempHouse::new(&format!(
            r#"
[connection.post]
base_url = "{url}"
authorize_url = "/authorize"
token_url = "/token"
client_id = "tidegate"
redirect_uri = "https://post.example/callback"

[flow.mail]
connection = "post"
accounts = {accounts}
url = "/mail"
query = {{ "for" = "{{{{ account }}}}", since = "{{{{ bookmark }}}}" }}
paging = "none"
key = ["id"]
cursor = {{ field = "at", lookback = "0s" }}
"#
        ));
        Self {
            house,
            _server: server,
        }
    }

    fn sign_in(&self, account: &str, person: &str) -> Ran {
        let words = ["login", "post", "--no-browser", "--account", account];
        let mut login = self.house.start(&words);
        let url = login.wait_for_line(|line| line.starts_with("http"));
        let url = Url::parse(&url).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap();
        let back = format!(
            "https://post.example/callback?code={person}&state={}",
            state.1
        );
        login.type_line(&back);
        login.finish()
    }

    fn mail(&self) -> Vec<String> {
        let rows = self
            .house
            .rows("SELECT sync_account, id, subject FROM mail ORDER BY 1, 2");
        rows.iter()
            .map(|row| match row.as_slice() {
                [
                    Value::Text(account),
                    Value::Integer(id),
                    Value::Text(subject),
                ] => {
                    format!("{account} {id} {subject}")
                }
                row => panic!("{row:?}"),
            })
            .collect()
    }
}

/// Issues `access-PERSON` for the code `PERSON`, and answers each with their own mail. Carol's token
/// is refused.
fn serve(asked: &Asked) -> Vec<u8> {
    if asked.line.starts_with("POST /token") {
        let form: Vec<_> = form_urlencoded::parse(&asked.body).into_owned().collect();
        let person = form
            .iter()
            .find(|(name, _)| name == "code" || name == "refresh_token");
        let person = person.unwrap().1.trim_start_matches("refresh-").to_owned();
        return json(&format!(
            r#"{{"access_token":"access-{person}","refresh_token":"refresh-{person}",
                "token_type":"Bearer","expires_in":3600}}"#
        ));
    }
    let person = asked
        .headers
        .lines()
        .find_map(|line| line.split_once("Bearer access-"))
        .map(|(_, person)| person.trim().to_owned());
    match person.as_deref() {
        Some("carol") => answer(403, &["content-type: application/json"], "{}"),
        // What was asked comes back, to show whose bookmark was sent.
        Some(person) => {
            let since = asked.line.split("since=").nth(1).unwrap_or("none");
            let at = if person == "anna" { 10 } else { 20 };
            json(&format!(
                r#"[{{"id":1,"at":{at},"subject":"{person} since {since}"}},
                    {{"id":2,"at":1,"subject":"second"}}]"#
            ))
        }
        None => answer(401, &[], ""),
    }
}

#[test]
fn each_account_has_its_own_login_rows_and_bookmark() {
    let post = Post::new("\"all\"");
    post.sign_in("berlin", "anna").expect_code(0);
    post.sign_in("paris", "bruno").expect_code(0);
    post.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(
        post.mail(),
        [
            "berlin 1 anna since none",
            "berlin 2 second",
            "paris 1 bruno since none",
            "paris 2 second"
        ]
    );
    post.house.run(&["--run-now"]).expect_code(0);
    let mail = post.mail();
    assert_eq!(mail[0], "berlin 1 anna since 10");
    assert_eq!(mail[2], "paris 1 bruno since 20");

    // Whoever signs out is read no more; what was read stays.
    post.house
        .run(&["logout", "post", "--account", "berlin"])
        .expect_code(0);
    let ran = post.house.run(&["--run-now", "--json"]).expect_code(0);
    assert!(ran.stdout.contains("\"records\":2"), "{ran:#?}");
    assert_eq!(post.mail().len(), 4);
}

#[test]
fn an_account_that_fails_is_named_and_does_not_stop_the_others() {
    let post = Post::new(r#"["berlin", "lyon", "oslo"]"#);
    post.sign_in("berlin", "anna").expect_code(0);
    post.sign_in("lyon", "carol").expect_code(0);
    let ran = post.house.run(&["--run-now"]);
    assert_ne!(ran.code, Some(0));
    assert_eq!(post.mail().len(), 2);
    for words in [
        "2 of 3 accounts",
        "`lyon`: ",
        "`oslo`: ",
        "nobody has signed in yet",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {ran:#?}");
    }
    assert!(!ran.stderr.contains("`berlin`"), "{ran:#?}");
}

#[test]
fn a_flow_may_name_the_accounts_it_reads() {
    let post = Post::new(r#"["paris"]"#);
    post.sign_in("berlin", "anna").expect_code(0);
    post.sign_in("paris", "bruno").expect_code(0);
    post.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(post.mail(), ["paris 1 bruno since none", "paris 2 second"]);
}
