//! What the server says beside the tokens: where the account lives, and what it is called there.

use std::collections::BTreeMap;

use serde_json::json as value;

use crate::authority::{Authority, BREAK, tokens, tokens_with};
use crate::support::{Ran, json};

/// A flow that can be run only with what a login brings.
const CONFIG: &str = r#"
[connection.atlas]
base_url = "{{ fact.instance_url }}/services"
authorize_url = "{url}/authorize"
token_url = "{url}/token"
redirect_uri = "https://tidegate.example/callback"
client_id = "tidegate"
client_secret = { file = "secret" }
client_auth = "body"
facts = ["instance_url", "realmId", "team.id"]
headers = { X-Team = "{{ fact.team.id }}" }

[flow.thing]
connection = "atlas"
url = "/company/{{ fact.realmId }}/things"
query = { realm = "{{ fact.realmId }}" }
key = ["id"]
paging = "none"
"#;
const REALM: &str = "46208163";

fn atlas() -> Authority {
    let atlas = Authority::new("");
    configure(&atlas, CONFIG);
    atlas
}

fn configure(atlas: &Authority, config: &str) {
    let config = config.replace("{url}", &atlas.server.url);
    atlas.house.write_private("tidegate.toml", &config);
}

/// Spells an answer that puts the account at `instance`, and has records there.
fn tokens_at(atlas: &Authority, number: u32, instance: &str) -> Vec<u8> {
    atlas.always(&things(instance), json(r#"[{"id":1}]"#));
    let url = &atlas.server.url;
    let more = format!(r#","instance_url":"{url}{instance}","team":{{"id":7}}"#);
    json(&tokens_with(number, &more))
}

fn things(instance: &str) -> String {
    format!("{instance}/services/company/{REALM}/things")
}

/// Signs in with more than the code in the redirect.
fn sign_in(atlas: &Authority, redirect: &str) {
    atlas.sign_in(redirect).expect_code(0);
}

fn run(atlas: &Authority) -> Ran {
    atlas.house.run(&["--run-now"])
}

#[test]
fn a_flow_asks_where_and_for_what_the_login_says() {
    let atlas = atlas();
    atlas.next("/token", tokens_at(&atlas, 1, "/eu1"));
    // What the token endpoint says counts before what the browser brings.
    let redirect = format!("&realmId={REALM}&instance_url=https%3A%2F%2Fevil.example");
    sign_in(&atlas, &redirect);
    run(&atlas).expect_code(0);
    let realm = BTreeMap::from([("realm".to_owned(), REALM.to_owned())]);
    assert_eq!(atlas.asked(&things("/eu1")), [realm]);
    let asked = atlas.server.asked();
    assert_eq!(asked.last().unwrap().header("x-team").as_deref(), Some("7"));

    // A refresh that does not say it leaves it as it was.
    atlas.next("/token", json(&tokens(2)));
    atlas.house.clock().advance(BREAK).unwrap();
    run(&atlas).expect_code(0);
    assert_eq!(atlas.asked(&things("/eu1")).len(), 2);
    assert_eq!(atlas.asked("/token").len(), 2);

    // One that says otherwise moves it, and the address only.
    atlas.next("/token", tokens_at(&atlas, 3, "/eu2"));
    atlas.house.clock().advance(BREAK).unwrap();
    run(&atlas).expect_code(0);
    assert_eq!(atlas.asked(&things("/eu1")).len(), 2);
    assert_eq!(atlas.asked(&things("/eu2")).len(), 1);

    let instance = format!("{}/eu2", atlas.server.url);
    let shown = atlas.house.run(&["connections", "--json"]).json();
    let facts = value!({ "instance_url": instance, "realmId": REALM, "team.id": "7" });
    assert_eq!(shown[0]["facts"], facts);
    for words in ["connections", "status", "runs"] {
        let ran = atlas.house.run(&[words]);
        let said = ran.stdout.clone() + &ran.stderr;
        assert!(!said.contains(REALM) && !said.contains("/eu2"), "{ran:#?}");
    }
}

#[test]
fn a_redirect_does_not_choose_who_gets_the_access_token() {
    let atlas = atlas();
    let url = url::form_urlencoded::byte_serialize(atlas.server.url.as_bytes()).collect::<String>();
    sign_in(&atlas, &format!("&realmId={REALM}&instance_url={url}"));
    let ran = run(&atlas);
    assert_ne!(ran.code, Some(0));
    for words in ["`base_url` of connection `atlas`", "came with the redirect"] {
        assert!(ran.stderr.contains(words), "{words}: {ran:#?}");
    }
    assert_eq!(atlas.asked(&things("")).len(), 0);
}

#[test]
fn what_the_login_did_not_say_is_named() {
    let atlas = atlas();
    atlas.always("/token", tokens_at(&atlas, 1, "/eu1"));
    // Said twice, it is not for us to choose.
    for redirect in ["", "&realmId=1&realmId=2"] {
        sign_in(&atlas, redirect);
        let ran = run(&atlas).expect_code(3);
        for words in [
            "the authorization server of `atlas` has not said `realmId`",
            "tidegate login atlas",
        ] {
            assert!(ran.stderr.contains(words), "{words}: {ran:#?}");
        }
    }
    atlas.always("/token", json(&tokens(1)));
    sign_in(&atlas, &format!("&realmId={REALM}"));
    let ran = run(&atlas).expect_code(3);
    assert!(
        ran.stderr.contains("has not said `instance_url`"),
        "{ran:#?}"
    );
}

#[test]
fn check_knows_the_facts_of_a_connection() {
    let atlas = atlas();
    atlas.house.run(&["check"]).expect_code(0);
    let cases = [
        (
            "{{ fact.realmId }}/things",
            "{{ fact.realmID }}/things",
            "did you mean `fact.realmId`?",
        ),
        (
            "realm = \"{{ fact.realmId }}\"",
            "realm = \"{{ fact.shop }}\"",
            "facts = [\"shop\"]",
        ),
        (
            "\"team.id\"]",
            "\"team.id\", \"refresh_token\"]",
            "which is not kept in the clear",
        ),
        (
            "\"team.id\"]",
            "\"team.id\", \"team\"]",
            "`team` and `team.id` are about the same member",
        ),
        (
            "{url}/token",
            "/token",
            "no `base_url` that is known before a login",
        ),
        (
            "{{ fact.instance_url }}/services",
            "http://api.example/{{ fact.instance_url }}",
            "`base_url` would send secrets unencrypted",
        ),
        (
            "{{ fact.instance_url }}/services",
            "{{ now }}/services",
            "uses `now`, which nothing sets",
        ),
    ];
    for (right, wrong, said) in cases {
        assert!(CONFIG.contains(right), "{right}");
        configure(&atlas, &CONFIG.replace(right, wrong));
        let ran = atlas.house.run(&["check"]);
        assert_ne!(ran.code, Some(0), "{wrong}: {ran:#?}");
        let told = ran.stdout.clone() + &ran.stderr;
        assert!(told.contains(said), "{said}: {ran:#?}");
    }
}
