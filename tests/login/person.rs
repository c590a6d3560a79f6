//! Who signed in, where OpenID Connect is spoken.

use jiff::Timestamp;
use serde_json::{Value, json as value};
use tidegate::config::SigningAlgorithm;
use tidegate::oauth::assertion::{Assertion, SigningKey, generate};
use tidegate::secret::{ExposeSecret, Secret};
use url::Url;

use crate::authority::{Authority, BREAK, back, tokens_with};
use crate::support::{Ran, json};

const OPENID: &str = "issuer = \"{url}\"\nauthorize_url = \"{url}/authorize\"\n\
                      token_url = \"{url}/token\"\njwks_url = \"{url}/keys\"\n\
                      userinfo_url = \"{url}/userinfo\"\n\
                      redirect_uri = \"https://tidegate.example/callback\"\n\
                      scopes = [\"openid\", \"read\", \"write\"]\n";

/// A server that signs what it says of people.
struct Atlas {
    authority: Authority,
    key: SigningKey,
}

impl Atlas {
    fn new() -> Self {
        let atlas = Self {
            authority: Authority::new(OPENID),
            key: new_key(),
        };
        atlas.publish();
        atlas
    }

    /// Lets everybody have the public key.
    fn publish(&self) {
        let keys = value!({ "keys": [self.key.public_jwk()] });
        self.authority.always("/keys", json(&keys.to_string()));
    }

    /// Spells an `id_token` about `subject` with more claims.
    fn id_token(&self, subject: &str, more: Value) -> String {
        let mut claims = value!({
            "iss": self.authority.server.url, "sub": subject, "aud": "tidegate",
        });
        let all = claims.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        let assertion = Assertion {
            key: &self.key,
            key_id: None,
            certificate: None,
            claims: all,
            issued_at: "2026-01-05T08:00:00Z".parse::<Timestamp>().unwrap(),
            lifetime: BREAK * 100,
        };
        assertion.sign().unwrap().expose_secret().to_owned()
    }

    /// Lets the next tokens be about somebody.
    fn next(&self, number: u32, id_token: &str) {
        let more = format!(r#","id_token":"{id_token}","scope":"openid read""#);
        self.authority
            .next("/token", json(&tokens_with(number, &more)));
    }

    /// Signs in as `subject`; `claims` gets the nonce.
    fn sign_in(&self, words: &[&str], claims: impl FnOnce(&str) -> String) -> Ran {
        let words = [&["login", "atlas", "--no-browser"], words].concat();
        let mut login = self.authority.house.start(&words);
        let url = login.wait_for_line(|line| line.starts_with("http"));
        let url: Url = url.parse().unwrap();
        let nonce = url
            .query_pairs()
            .find(|(name, _)| name == "nonce")
            .unwrap()
            .1;
        self.next(1, &claims(&nonce));
        login.type_line(&back(&url, "code=c1"));
        login.finish()
    }

    fn as_jane(&self, nonce: &str) -> String {
        self.id_token(
            "jane",
            value!({ "nonce": nonce, "name": "Jane", "email": "jane@x.example" }),
        )
    }

    fn as_john(&self, nonce: &str) -> String {
        self.id_token(
            "john",
            value!({ "nonce": nonce, "name": "John", "email": "j@x.example" }),
        )
    }
}

fn new_key() -> SigningKey {
    let pem: Secret = generate(SigningAlgorithm::Es256).unwrap();
    SigningKey::from_pem(&pem, None).unwrap()
}

#[test]
fn connections_shows_who_signed_in_and_what_was_not_granted() {
    let atlas = Atlas::new();
    let ran = atlas
        .sign_in(&[], |nonce| atlas.as_jane(nonce))
        .expect_code(0);
    assert!(
        ran.stdout
            .contains("signed in on `atlas` as Jane <jane@x.example>"),
        "{}",
        ran.stdout
    );
    let house = &atlas.authority.house;
    let shown = house.run(&["connections"]).expect_code(0).stdout;
    assert!(shown.contains("Jane <jane@x.example>"), "{shown}");
    assert!(
        shown.contains("`write` was asked for and not granted"),
        "{shown}"
    );
    let person = &house.run(&["connections", "--json"]).json()[0]["person"];
    assert_eq!(person["subject"], "jane");
    assert!(
        atlas.authority.asked("/userinfo").is_empty(),
        "nothing was missing"
    );
}

#[test]
fn the_server_s_keys_are_kept_for_a_day_unless_it_has_others() {
    let mut atlas = Atlas::new();
    let asked_for = |atlas: &Atlas| {
        let signed_in = atlas.sign_in(&[], |nonce| atlas.as_jane(nonce));
        signed_in.expect_code(0);
        atlas.authority.asked("/keys").len()
    };
    assert_eq!([asked_for(&atlas), asked_for(&atlas)], [1, 1]);
    atlas.key = new_key();
    atlas.publish();
    assert_eq!([asked_for(&atlas), asked_for(&atlas)], [2, 2]);
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    atlas.authority.house.clock().advance(day).unwrap();
    assert_eq!(asked_for(&atlas), 3);
}

#[test]
fn the_userinfo_endpoint_is_asked_for_what_is_missing_and_not_believed_about_others() {
    let atlas = Atlas::new();
    let bare = |nonce: &str| atlas.id_token("jane", value!({ "nonce": nonce }));
    atlas
        .authority
        .next("/userinfo", json(r#"{"sub":"john","name":"John"}"#));
    let ran = atlas.sign_in(&[], bare).expect_code(3);
    assert!(
        ran.stderr.contains("about another person"),
        "{}",
        ran.stderr
    );
    assert_eq!(atlas.authority.house.generation("atlas"), None);

    atlas
        .authority
        .always("/userinfo", json(r#"{"sub":"jane","name":"Jane"}"#));
    let ran = atlas.sign_in(&[], bare).expect_code(0);
    assert!(
        ran.stdout.contains("signed in on `atlas` as Jane\n"),
        "{}",
        ran.stdout
    );
}

#[test]
fn another_person_than_before_is_let_in_only_if_that_is_meant() {
    let atlas = Atlas::new();
    atlas
        .sign_in(&[], |nonce| atlas.as_jane(nonce))
        .expect_code(0);
    let john = |nonce: &str| atlas.as_john(nonce);
    let ran = atlas.sign_in(&[], john).expect_code(3);
    assert!(
        ran.stderr.ends_with(
            "error: another person signed in on connection `atlas` than before, which was Jane \
             <jane@x.example>\n\
             hint: nothing has changed; sign in as that person, or give a person of their own to \
             each account with `--account`; if the change is meant, type `tidegate login atlas \
             --another-person`\n"
        ),
        "{}",
        ran.stderr
    );
    let house = &atlas.authority.house;
    assert_eq!(house.generation("atlas"), Some(1));
    house.run(&["--run-now"]).expect_code(0);
    atlas.sign_in(&["--another-person"], john).expect_code(0);
    let shown = house.run(&["connections"]).stdout;
    assert!(shown.contains("John <j@x.example>"), "{shown}");
}

#[test]
fn what_another_person_s_login_brought_is_kept_sealed_until_it_is_revoked() {
    let atlas = Atlas::new();
    let house = &atlas.authority.house;
    let verified = |orphans: &str| {
        let verified = house.run(&["vault", "verify"]).expect_code(0).stdout;
        assert!(verified.contains(orphans), "{verified}");
    };
    atlas
        .sign_in(&[], |nonce| atlas.as_jane(nonce))
        .expect_code(0);
    // Nothing says where tokens are revoked.
    atlas
        .sign_in(&[], |nonce| atlas.as_john(nonce))
        .expect_code(3);
    verified(" 1 orphan,");

    let made = ["vault", "init", "--key-file", "new.key"];
    house.run(&made).expect_code(0);
    let with = |vault: &str| {
        let settings = format!("{OPENID}\n[vault]\nkey = {{ file = \"new.key\" }}\n{vault}");
        atlas.authority.configure(&settings);
    };
    with("old_keys = [{ file = \"vault.key\" }]");
    house.run(&["vault", "rewrap"]).expect_code(0);
    with("");
    verified(" 1 orphan,");

    atlas.authority.always("/revoke", json(""));
    let revoking = "revocation_url = \"{url}/revoke\"\n[vault]\nkey = { file = \"new.key\" }\n";
    atlas.authority.configure(&format!("{OPENID}{revoking}"));
    house.run(&["--run-now"]).expect_code(0);
    let revoked = atlas.authority.asked("/revoke");
    let hints: Vec<_> = revoked
        .iter()
        .map(|asked| &asked["token_type_hint"])
        .collect();
    assert_eq!(hints, ["refresh_token", "access_token"]);
    verified(" 0 orphans,");
    assert_eq!(house.generation("atlas"), Some(1));
}

#[test]
fn a_login_is_not_revoked_that_may_belong_to_somebody_who_is_signed_in() {
    let atlas = Atlas::new();
    let revoking = format!("{OPENID}revocation_url = \"{{url}}/revoke\"\n");
    atlas.authority.configure(&revoking);
    atlas.authority.always("/revoke", json(""));
    let john = |nonce: &str| atlas.as_john(nonce);
    atlas.sign_in(&["--account", "john"], john).expect_code(0);
    atlas
        .sign_in(&[], |nonce| atlas.as_jane(nonce))
        .expect_code(0);
    atlas.sign_in(&[], john).expect_code(3);
    assert_eq!(atlas.authority.asked("/revoke"), []);

    let mary = |nonce: &str| {
        atlas.id_token(
            "mary",
            value!({ "nonce": nonce, "name": "M", "email": "m@x.example" }),
        )
    };
    atlas.sign_in(&[], mary).expect_code(3);
    assert_eq!(atlas.authority.asked("/revoke").len(), 2);
}

#[test]
fn what_nobody_vouches_for_signs_nobody_in() {
    let atlas = Atlas::new();
    let other_key = Atlas {
        key: new_key(),
        ..Atlas::new()
    };
    type Claims<'a> = &'a dyn Fn(&str) -> String;
    let wrong: [(&str, Claims<'_>); 4] = [
        ("its nonce differs", &|_| atlas.as_jane("another")),
        ("issued to another client", &|nonce| {
            atlas.id_token("jane", value!({ "nonce": nonce, "aud": "other" }))
        }),
        ("was issued by", &|nonce| {
            atlas.id_token(
                "jane",
                value!({ "nonce": nonce, "iss": "https://evil.example" }),
            )
        }),
        ("", &|nonce| {
            let iss = &atlas.authority.server.url;
            other_key.id_token("jane", value!({ "nonce": nonce, "iss": iss }))
        }),
    ];
    for (why, claims) in wrong {
        let ran = atlas.sign_in(&[], claims).expect_code(3);
        assert!(
            ran.stderr
                .contains("cannot tell who signed in on connection `atlas`")
        );
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        assert_eq!(atlas.authority.house.generation("atlas"), None, "{why}");
    }
}

#[test]
fn a_refresh_that_is_about_another_person_is_not_taken() {
    let atlas = Atlas::new();
    atlas
        .sign_in(&[], |nonce| atlas.as_jane(nonce))
        .expect_code(0);
    let house = &atlas.authority.house;
    house.clock().advance(BREAK).unwrap();
    atlas.next(2, &atlas.id_token("jane", value!({})));
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(house.generation("atlas"), Some(2));
    let shown = house.run(&["connections"]).stdout;
    assert!(shown.contains("Jane <jane@x.example>"), "{shown}");

    house.clock().advance(BREAK).unwrap();
    for _ in 0..2 {
        atlas.next(3, &atlas.id_token("john", value!({})));
    }
    let ran = house.run_as_time_passes(&["--run-now"]);
    assert!(
        ran.stderr.contains("about another person than before"),
        "{}",
        ran.stderr
    );
    assert_eq!(house.generation("atlas"), Some(2));
}

#[test]
fn a_server_that_does_not_say_who_signed_in_is_told_of() {
    let authority = Authority::new(OPENID);
    let ran = authority.sign_in("").expect_code(0);
    let told = "warning: `openid` was asked for, but the server gave no id_token";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let done = ran.stdout.contains("signed in on `atlas`\n");
    assert!(done, "the tokens are kept: {}", ran.stdout);

    let check = |settings: &str| {
        authority.configure(settings);
        let ran = authority.house.run(&["check"]).expect_code(0);
        ran.stderr.contains("without `issuer` nobody can tell")
    };
    assert!(!check(OPENID));
    let nameless = OPENID.replace("issuer = \"{url}\"\n", "");
    assert!(check(&nameless));
    assert!(!check(&nameless.replace("\"openid\", ", "")));
}
