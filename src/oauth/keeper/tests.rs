//! The refresh protocol against a server that rotates, loses answers and refuses.

mod clocks;
mod doubts;
mod limits;
mod orphans;
mod refresh;
mod refusals;
mod secrecy;
mod signing;
mod trouble;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Keeper, Revocation};
use crate::clock::SimClock;
use crate::config::{
    Account, Auth, Connection, ErrorRule, Grant, Manners, Meaning, Name, OAuth, Placement,
    RefreshPolicy, RefreshWindow, RetryInDoubt,
};
use crate::http;
use crate::oauth::testing::{LeapClock, Reply, Server, oauth};
use crate::oauth::vault::{Attempt, Intent, Kind, Vault};
use crate::oauth::{Error, Health, LoginDone, LoginStart, Reason, State};
use crate::remedy::Remedy;
use crate::seal::RootKey;
use crate::secret::ExposeSecret;
use crate::store::{self, Store};

/// A state directory, an authorization server, and a clock.
struct House {
    directory: tempfile::TempDir,
    server: Server,
    clock: SimClock,
    oauth: OAuth,
}

fn name() -> Name {
    Name::parse("exact").unwrap()
}

fn account() -> Account {
    Account::of(&name())
}

impl House {
    async fn new() -> Self {
        let server = Server::start().await;
        Self {
            directory: tempfile::tempdir().unwrap(),
            oauth: oauth(&server.url),
            server,
            clock: SimClock::new("2025-03-02T06:00:00Z".parse().unwrap()),
        }
    }

    /// A house whose provider behaves like Exact Online.
    async fn exact() -> Self {
        let mut house = Self::new().await;
        house.oauth.window = RefreshWindow {
            not_before: Some(Duration::from_secs(570)),
            target: Some(Duration::from_secs(585)),
        };
        house.oauth.policy = RefreshPolicy::WhenNeeded;
        house.oauth.retry_in_doubt = RetryInDoubt::AfterExpiry;
        house.oauth.errors = vec![ErrorRule {
            error: None,
            contains: Some("not expired".into()),
            means: Meaning::TooEarly,
        }];
        house
    }

    fn store(&self) -> Store {
        Store::open(&self.directory.path().join("vault.db"), &store::VAULT).unwrap()
    }

    async fn open(&self) -> Keeper {
        self.open_with(self.store()).await.unwrap()
    }

    async fn open_with(&self, store: Store) -> Result<Keeper, Error> {
        let connection = Connection {
            name: name(),
            provider: None,
            base_url: None,
            base_url_template: None,
            auth: Auth::OAuth(Box::new(self.oauth.clone())),
            placement: Placement::default(),
            headers: Vec::new(),
            allow_hosts: Vec::new(),
            time_zone: None,
            manners: Manners::default(),
            timeout: Duration::from_secs(60),
        };
        let connections = BTreeMap::from([(name(), connection)]);
        let clock = Arc::new(LeapClock(self.clock.clone()));
        let key = Some(RootKey::new(&[1; 32]).into());
        let http = http::Client::new();
        Keeper::open(self.directory.path(), store, key, &connections, http, clock).await
    }

    /// Opens the house and signs in: access token `a1`, refresh token `r1`.
    async fn signed_in(&self) -> Keeper {
        let keeper = self.open().await;
        sign_in(&keeper).await.unwrap();
        keeper
    }

    /// Looks into the vault behind the keeper's back.
    async fn vault(&self) -> Vault {
        let key = Some(RootKey::new(&[1; 32]).into());
        Vault::open(self.directory.path(), self.store(), key, Timestamp::MIN)
            .await
            .unwrap()
    }

    /// Returns generation and refresh token as the vault has them.
    async fn stored(&self) -> (u64, String) {
        let vault = self.vault().await;
        let generation = vault.load(&account()).await.unwrap().unwrap().generation;
        let token = vault
            .refresh_token(&account(), generation)
            .await
            .unwrap()
            .unwrap();
        (generation, token.expose_secret().to_owned())
    }

    /// Returns the last attempt: tries, whether it is in doubt, and its outcome.
    async fn last_attempt(&self) -> (u32, bool, Option<String>) {
        self.store()
            .read(|conn| {
                let row = conn.query_row(
                    "SELECT tries, doubt_at IS NOT NULL, outcome FROM refreshes ORDER BY attempt DESC LIMIT 1",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                );
                Ok::<_, store::Error>(row?)
            })
            .await
            .unwrap()
    }

    fn rescue_files(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("rescue"))
            .unwrap()
            .count()
    }

    /// Returns the instant `days` after the beginning, minus an hour.
    fn clock_at(days: i64) -> Timestamp {
        let start: Timestamp = "2025-03-02T05:00:00Z".parse().unwrap();
        start + jiff::SignedDuration::from_hours(days * 24)
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Writes down an attempt and leaves it open, as a kill does.
    async fn cut_short(&self, kind: Kind) -> (Vault, Attempt) {
        let vault = self.vault().await;
        let at = crate::clock::Clock::now(&self.clock);
        let intent = Intent {
            account: account(),
            kind,
            generation: None,
            fingerprint: None,
            at,
            counts_until: None,
        };
        let attempt = vault.begin(intent).await.unwrap();
        (vault, attempt)
    }
}

async fn sign_in(keeper: &Keeper) -> Result<LoginDone, Error> {
    let start = keeper.begin_login(&account()).await?;
    let redirected = redirected(&start);
    keeper.finish_login(&start.id, &redirected).await
}

/// Returns the URL that the server sends a person back to.
fn redirected(start: &LoginStart) -> String {
    let (_, state) = start
        .authorize_url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap();
    format!("https://test.local/callback?code=c%21&state={state}")
}

async fn token(keeper: &Keeper) -> Result<String, Error> {
    let token = keeper.authorization(&account()).await?.unwrap();
    Ok(token.token.expose_secret().to_owned())
}

fn health(keeper: &Keeper) -> Health {
    keeper.health().pop().unwrap()
}

fn say(status: u16, body: &str) -> Reply {
    Reply::Say(status, body.to_owned())
}

fn dead() -> Reply {
    say(400, r#"{"error":"invalid_grant"}"#)
}

/// What the whole house writes into its log.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Keeps what this test logs, until the guard goes.
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}
