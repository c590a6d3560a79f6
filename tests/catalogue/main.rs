//! The catalogue of providers, held to its word: what each entry makes a sign-in and a refresh say,
//! and what becomes of answers in each provider's own shape.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

#[path = "../support/mod.rs"]
mod support;

mod providers;
mod shown;
#[cfg(feature = "test-clock")]
mod ways;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use support::{Asked, Scripted, TempHouse, answer, json};
use tidegate::clock::{Clock, SimClock};
use tidegate::config::{self, Access, Account, Auth, Connection, Name};
use tidegate::http;
use tidegate::oauth::{AccessToken, Keeper, State};
use tidegate::seal::RootKey;
use tidegate::secret::ExposeSecret;
use tidegate::store::{self, Store};
use url::{Url, form_urlencoded};

use self::providers::{PROVIDERS, Play, Then};

/// The two scopes every sign-in asks for, so that what stands between them shows.
const SCOPES: [&str; 2] = ["one", "two"];
/// Longer than the second access token lives where its answer says how long.
const SECOND_LIFE: Duration = Duration::from_secs(3_601);
/// Longer than any refresh token that ends by itself, and shorter than a provider's year.
const A_WHILE: Duration = Duration::from_secs(400 * 86_400);

/// A connection that uses one entry, with its token endpoint on loopback.
struct House {
    _house: TempHouse,
    server: Scripted,
    keeper: Keeper,
    connection: Connection,
    clock: SimClock,
    name: Name,
}

impl House {
    async fn of(play: &Play) -> Self {
        let (count, [first, second]) = (AtomicUsize::new(0), play.answers);
        let server = Scripted::start(move |asked| {
            if asked.line.starts_with("GET") {
                return metadata(asked);
            }
            let (status, body) = match count.fetch_add(1, Ordering::SeqCst) {
                0 => first,
                _ => second,
            };
            answer(status, &["content-type: application/json"], body)
        });
        let house = TempHouse::new(&configuration(play.name, &server.url));
        for (kind, from) in [("key", "p256.pem"), ("crt", "p256-certificate.pem")] {
            let pem = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/keys")
                .join(from);
            let pem = std::fs::read_to_string(pem).unwrap();
            house.write_private(&format!("{}.{kind}.pem", play.name), &pem);
        }
        let config = config::load(&house.config()).unwrap_or_else(|report| panic!("{report}"));
        let clock = SimClock::new("2026-01-05T08:00:00Z".parse().unwrap());
        let state = house.path("state");
        std::fs::create_dir(&state).unwrap();
        let keeper = Keeper::open(
            &state,
            Store::open(&state.join("vault.db"), &store::VAULT).unwrap(),
            Some(RootKey::new(&[1; 32]).into()),
            &config.connections,
            http::Client::new(),
            Arc::new(clock.clone()),
        );
        Self {
            keeper: keeper.await.unwrap(),
            connection: config.connections[play.name].clone(),
            _house: house,
            server,
            clock,
            name: Name::parse(play.name).unwrap(),
        }
    }

    /// Returns what the token endpoint was asked.
    fn asked(&self) -> Vec<Asked> {
        let mut asked = self.server.asked();
        asked.retain(|asked| asked.line.starts_with("POST"));
        asked
    }

    /// Signs in, sent back with `told` beside the code; returns where the person was sent.
    async fn sign_in(&self, told: &str) -> (Url, bool) {
        let start = self
            .keeper
            .begin_login(&Account::of(&self.name))
            .await
            .unwrap();
        let query = pairs(start.authorize_url.query().unwrap().as_bytes());
        let back = format!(
            "{}?code=c%21d&state={}{told}",
            start.redirect_uri, query["state"]
        );
        let done = self.keeper.finish_login(&start.id, &back).await;
        (start.authorize_url, done.is_ok())
    }

    async fn token(&self) -> Option<AccessToken> {
        self.keeper
            .authorization(&Account::of(&self.name))
            .await
            .ok()
            .flatten()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn state(&self) -> State {
        self.keeper.health().pop().unwrap().state
    }
}

/// Answers as a server of OpenID Connect that says nothing but its name.
fn metadata(asked: &Asked) -> Vec<u8> {
    let issuer = format!("http://{}", asked.header("host").unwrap_or_default());
    json(&format!(r#"{{"issuer":"{issuer}"}}"#))
}

/// The connection `tidegate providers show` prints, with the token endpoint and the scopes changed.
fn configuration(name: &str, server: &str) -> String {
    let snippet = config::provider(name)
        .unwrap()
        .snippet(Access::AuthorizationCode);
    let kept = |line: &&str| {
        let key = line.split(' ').next().unwrap_or_default();
        !["token_url", "scopes", "client_id", "client_secret"].contains(&key)
    };
    let snippet: Vec<&str> = snippet.lines().filter(kept).collect();
    let entry = &config::provider(name).unwrap().connection;
    let refresh = match entry.contains_key("refresh_url") {
        true => format!("refresh_url = \"{server}/refresh\"\n"),
        false => String::new(),
    };
    let issuer = match entry.contains_key("issuer") {
        true => format!("issuer = \"{server}\"\n"),
        false => String::new(),
    };
    format!(
        "{}\ntoken_url = \"{server}/token\"\nscopes = {SCOPES:?}\nclient_id = \"me\"\n\
         client_secret = \"s:e\"\n{refresh}{issuer}",
        snippet.join("\n")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_asks_as_its_provider_wants_and_understands_what_it_answers() {
    let names: Vec<&str> = PROVIDERS.iter().map(|play| play.name).collect();
    let known: Vec<&str> = config::providers()
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    assert_eq!(names, known);
    for play in &PROVIDERS {
        check(play).await;
    }
}

async fn check(play: &Play) {
    let name = play.name;
    let house = House::of(play).await;
    let (authorize_url, is_in) = house.sign_in(play.redirect).await;
    check_sign_in(play, &authorize_url);
    check_request(
        play,
        &house.asked()[0],
        &[("grant_type", "authorization_code"), ("code", "c!d")],
    );
    assert!(is_in, "{name}: {:?}", house.keeper.health());
    let token = house.token().await.unwrap();
    assert_eq!(token.token.expose_secret(), "a1", "{name}");
    let life = token
        .expires_at
        .map(|at| at.duration_since(house.now()).as_secs());
    assert_eq!(life, play.life, "{name}");
    let located = house.connection.located(&token.facts).unwrap();
    if let Some(base) = play.base {
        assert_eq!(located.base_url.as_ref().map(Url::as_str), Some(base));
    }
    let Auth::OAuth(oauth) = &house.connection.auth else {
        panic!("{name} has no login")
    };
    assert_eq!(oauth.shows_certificate_to_api(), play.certificate, "{name}");
    let is_made = house.connection.base_url_template.is_some();
    assert_eq!(is_made, play.base.is_some(), "{name}");
    let issuer = config::provider(name).unwrap().connection.get("issuer");
    assert_eq!(
        issuer.and_then(serde_json::Value::as_str),
        play.issuer,
        "{name}"
    );

    let Some(life) = play.life else {
        house.clock.advance(A_WHILE);
        assert!(house.token().await.is_some(), "{name}");
        assert_eq!(house.asked().len(), 1, "{name}");
        return;
    };
    let life = Duration::from_secs(life.unsigned_abs() + 1);
    house.clock.advance(life);
    let next = house.token().await;
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "r1")];
    check_request(play, &house.asked()[1], &refresh);
    if let Then::Ends = play.then {
        assert!(next.is_none(), "{name}");
        // A server with several machines is asked once more before a person is.
        if house.state() == State::BackingOff {
            house.clock.advance(life);
            assert!(house.token().await.is_none(), "{name}");
        }
        assert_eq!(house.state(), State::NeedsLogin, "{name}");
        return;
    }
    assert_eq!(next.unwrap().token.expose_secret(), "a2", "{name}");
    house.clock.advance(life.max(SECOND_LIFE));
    let token = house.token().await.unwrap();
    if let Then::KeepsInSilence = play.then {
        assert_eq!(token.expires_at, None, "{name}");
        let refused = house
            .keeper
            .rejected(&Account::of(&house.name), token.generation)
            .await;
        assert!(refused.is_ok(), "{name}: {refused:?}");
    }
    assert_eq!(house.asked().len(), 3, "{name}");
    let kept = match play.then {
        Then::Keeps | Then::KeepsInSilence => "r1",
        Then::Rotates | Then::Lasts | Then::Ends => "r2",
    };
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", kept)];
    check_request(play, &house.asked()[2], &refresh);
}

/// Checks where a person is sent: everything the standard has, and nothing else but what is expected.
fn check_sign_in(play: &Play, url: &Url) {
    let name = play.name;
    assert_eq!(url.scheme(), "https", "{name}");
    let mut query = pairs(url.query().unwrap().as_bytes());
    let scopes = SCOPES.join(play.separator);
    for (key, value) in [
        ("response_type", "code"),
        ("client_id", "me"),
        ("scope", &scopes),
    ] {
        assert_eq!(query.remove(key).as_deref(), Some(value), "{name}: {key}");
    }
    assert!(query.remove("redirect_uri").is_some() && query.remove("state").is_some());
    let challenge = [
        query.remove("code_challenge"),
        query.remove("code_challenge_method"),
    ];
    assert_eq!(
        challenge.iter().flatten().count() == 2,
        play.pkce,
        "{name}: {challenge:?}"
    );
    assert_eq!(query, owned(play.authorize), "{name}");
}

/// Checks a token request: who asks and how, and every parameter.
fn check_request(play: &Play, asked: &Asked, ask: &[(&str, &str)]) {
    let name = play.name;
    let is_refresh = ask[0].1 == "refresh_token";
    let path = if is_refresh { play.refresh } else { "/token" };
    assert_eq!(asked.line, format!("POST {path}"), "{name}");
    let header = |wanted: &str| asked.header(wanted);
    assert_eq!(
        header("accept").as_deref(),
        Some("application/json"),
        "{name}"
    );
    let mut fields: BTreeMap<String, String> = match play.json {
        true => serde_json::from_slice(&asked.body).unwrap(),
        false => pairs(&asked.body),
    };
    let kind = match play.json {
        true => "application/json",
        false => "application/x-www-form-urlencoded",
    };
    assert_eq!(header("content-type").as_deref(), Some(kind), "{name}");
    // me:s%3Ae
    let basic = play.basic.then_some("Basic bWU6cyUzQWU=");
    assert_eq!(header("authorization").as_deref(), basic, "{name}");
    if !play.basic {
        assert_eq!(fields.remove("client_id").as_deref(), Some("me"), "{name}");
        assert_eq!(
            fields.remove("client_secret").as_deref(),
            Some("s:e"),
            "{name}"
        );
    }
    if ask[0].1 == "authorization_code" {
        assert!(fields.remove("redirect_uri").is_some(), "{name}");
        assert_eq!(
            fields.remove("code_verifier").is_some(),
            play.pkce,
            "{name}"
        );
    }
    let mut expected = owned(ask);
    expected.extend(owned(play.token));
    assert_eq!(fields, expected, "{name}");
}

fn pairs(form: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(form).into_owned().collect()
}

fn owned(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
