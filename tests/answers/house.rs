//! A keeper whose authorization server answers by a script.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate::clock::{Clock, SimClock};
use tidegate::config::{self, Account, Name};
use tidegate::http;
use tidegate::oauth::{AccessToken, Error, Health, Keeper};
use tidegate::seal::RootKey;
use tidegate::secret::ExposeSecret;
use tidegate::store::{self, Store};
use url::form_urlencoded;

use crate::support::{Scripted, TempHouse, answer, json};

/// The only connection, unless a test writes more.
pub(crate) const NAME: &str = "c";
/// A connection on which a person signs in. A refresh token is tried once only, so that nothing
/// happens in a test but what it asks for.
pub(crate) const LOGIN: &str = r#"[connection.c]
authorize_url = "https://login.example.com/authorize"
token_url = "SERVER/token"
client_id = "me"
client_secret = "CANARY-secret"
redirect_uri = "https://test.local/back"
refresh = { retry_in_doubt = "after_expiry" }
"#;

/// A connection without a person.
pub(crate) const CLIENT: &str = r#"[connection.c]
grant = "client_credentials"
token_url = "SERVER/token"
client_id = "me"
client_secret = "CANARY-secret"
"#;

/// A keeper, its clock, and the answers its server has left.
pub(crate) struct House {
    pub(crate) house: TempHouse,
    pub(crate) keeper: Keeper,
    pub(crate) clock: SimClock,
    pub(crate) server: Scripted,
    script: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

impl House {
    /// Moves in with a configuration in which `SERVER` is the server; `files` hold secrets.
    pub(crate) async fn with(configuration: &str, files: &[(&str, &str)]) -> Self {
        let script: Arc<Mutex<VecDeque<Vec<u8>>>> = Arc::default();
        let answers = Arc::clone(&script);
        // A server that was asked more than the test expects has trouble, which is seen.
        let trouble = || answer(500, &[], "");
        let server = Scripted::start(move |_| {
            let next = answers.lock().unwrap().pop_front();
            next.unwrap_or_else(trouble)
        });
        let house = TempHouse::new(&configuration.replace("SERVER", &server.url));
        for (name, text) in files {
            house.write_private(name, text);
        }
        let clock = SimClock::new("2026-01-05T08:00:00Z".parse().unwrap());
        std::fs::create_dir(house.path("state")).unwrap();
        let keeper = keeper(&house, &clock).await;
        Self {
            house,
            keeper,
            clock,
            server,
            script,
        }
    }

    /// Starts the program anew, with what stands on disk.
    pub(crate) async fn restart(&mut self) {
        self.keeper.drain().await;
        self.keeper = keeper(&self.house, &self.clock).await;
    }

    /// Says what the server answers next, all bytes of it.
    pub(crate) fn script<const N: usize>(&self, answers: [Vec<u8>; N]) {
        self.script.lock().unwrap().extend(answers);
    }

    /// Signs in, and refreshes once.
    pub(crate) async fn signed_in(configuration: &str) -> Self {
        let house = Self::with(configuration, &[]).await;
        house.script([tokens(1), tokens(2)]);
        house.sign_in(NAME).await.unwrap();
        house.refresh().await.unwrap();
        house
    }

    pub(crate) async fn sign_in(&self, name: &str) -> Result<(), Error> {
        let start = self.keeper.begin_login(&account(name)).await.unwrap();
        let query = form(start.authorize_url.query().unwrap_or_default().as_bytes());
        let back = format!("{}?code=c&state={}", start.redirect_uri, query["state"]);
        self.keeper.finish_login(&start.id, &back).await.map(drop)
    }

    pub(crate) async fn token(&self) -> Result<AccessToken, Error> {
        let token = self.keeper.authorization(&account(NAME)).await;
        token.map(|token| token.unwrap())
    }

    /// Waits until a refused access token is no longer a brand-new one, and has it refused.
    pub(crate) async fn refresh(&self) -> Result<AccessToken, Error> {
        self.clock.advance(Duration::from_secs(120));
        let generation = self.health(NAME).generation;
        self.keeper.rejected(&account(NAME), generation).await
    }

    pub(crate) fn health(&self, name: &str) -> Health {
        let mut all = self.keeper.health().into_iter();
        all.find(|health| health.connection.as_str() == name)
            .unwrap()
    }

    /// Returns the state and the reason, as `needs_login: refused`.
    pub(crate) fn standing(&self, name: &str) -> String {
        let health = self.health(name);
        let reason = health.reason.map_or("-", |reason| reason.as_str());
        format!("{}: {reason}", health.state.as_str())
    }

    /// Returns what the server was asked, one request each, as the parameters of its form.
    pub(crate) fn asked(&self) -> Vec<BTreeMap<String, String>> {
        let asked = self.server.asked();
        asked.iter().map(|asked| form(&asked.body)).collect()
    }

    /// Lets hours pass, in each of which somebody wants a token; none is brought.
    pub(crate) async fn hours(&self, hours: u32) {
        for _ in 0..hours {
            self.clock.advance(Duration::from_secs(3600));
            assert!(self.token().await.is_err());
        }
    }

    /// Returns how many seconds the present access token still lives.
    pub(crate) fn life(&self) -> Option<i64> {
        let ends = self.health(NAME).expires_at?;
        Some(ends.duration_since(self.clock.now()).as_secs())
    }
}

async fn keeper(house: &TempHouse, clock: &SimClock) -> Keeper {
    let config = config::load(&house.config()).unwrap_or_else(|report| panic!("{report}"));
    let state = house.path("state");
    let keeper = Keeper::open(
        &state,
        Store::open(&state.join("vault.db"), &store::VAULT).unwrap(),
        Some(RootKey::new(&[1; 32]).into()),
        &config.connections,
        http::Client::new(),
        Arc::new(clock.clone()),
    );
    keeper.await.unwrap()
}

pub(crate) fn account(name: &str) -> Account {
    Account::of(&Name::parse(name).unwrap())
}

pub(crate) fn form(body: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// The usual answer, with the `number`-th pair of tokens.
pub(crate) fn tokens(number: u32) -> Vec<u8> {
    json(&format!(
        r#"{{"access_token":"a{number}","refresh_token":"r{number}","token_type":"bearer","expires_in":600}}"#
    ))
}

/// An answer of JSON with a status.
pub(crate) fn said(status: u16, body: &str) -> Vec<u8> {
    answer(status, &["content-type: application/json"], body)
}

/// An OAuth error.
pub(crate) fn error(status: u16, code: &str) -> Vec<u8> {
    said(status, &format!(r#"{{"error":"{code}"}}"#))
}

pub(crate) fn shown(token: &AccessToken) -> &str {
    token.token.expose_secret()
}
