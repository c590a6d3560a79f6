//! The refresh protocol against a server that rotates, loses answers and refuses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Keeper;
use crate::clock::SimClock;
use crate::config::{
    Account, Auth, Connection, ErrorRule, Grant, Meaning, Name, OAuth, Placement, RefreshPolicy,
    RefreshWindow, RetryInDoubt,
};
use crate::http;
use crate::oauth::testing::{LeapClock, Reply, Server, oauth};
use crate::oauth::vault::{Attempt, Intent, Kind, Vault};
use crate::oauth::{Error, Health, Reason, State};
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
            auth: Auth::OAuth(Box::new(self.oauth.clone())),
            placement: Placement::default(),
            headers: Vec::new(),
            allow_hosts: Vec::new(),
            time_zone: None,
            budgets: Vec::new(),
            timeout: Duration::from_secs(60),
        };
        let connections = BTreeMap::from([(name(), connection)]);
        let clock = Arc::new(LeapClock(self.clock.clone()));
        let key = RootKey::new(&[1; 32]);
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
        let key = RootKey::new(&[1; 32]);
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
        };
        let attempt = vault.begin(intent).await.unwrap();
        (vault, attempt)
    }
}

async fn sign_in(keeper: &Keeper) -> Result<super::LoginDone, Error> {
    let start = keeper.begin_login(&account())?;
    let (_, state) = start
        .authorize_url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap();
    let redirected = format!("https://test.local/callback?code=c%21&state={state}");
    keeper.finish_login(&start.id, &redirected).await
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

#[tokio::test]
async fn promise_new_tokens_are_on_disk_before_anybody_uses_them() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    house.advance(560);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    assert_eq!(house.stored().await, (2, "CANARY-r2".to_owned()));
    assert_eq!(
        house.last_attempt().await,
        (1, false, Some("committed".into()))
    );
    assert_eq!(house.rescue_files(), 0);
    drop(keeper);
    assert_eq!(token(&house.open().await).await.unwrap(), "CANARY-a2");
}

#[tokio::test]
async fn promise_an_answer_without_a_refresh_token_keeps_the_old_one() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house.server.script([say(
        200,
        r#"{"access_token":"b","token_type":"Bearer","expires_in":600,"refresh_token":null}"#,
    )]);
    house.advance(560);
    assert_eq!(token(&keeper).await.unwrap(), "b");
    assert_eq!(house.stored().await, (2, "CANARY-r1".to_owned()));
    house.advance(560);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
}

#[tokio::test]
async fn promise_fifty_callers_make_one_request() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house.advance(700);
    house.server.script([Reply::Hold(Box::new(Reply::Rotate))]);
    let callers: Vec<_> = (0..50)
        .map(|number| {
            let keeper = keeper.clone();
            tokio::spawn(async move {
                match number % 2 {
                    0 => token(&keeper).await,
                    _ => {
                        let token = keeper.rejected(&account(), 1).await?;
                        Ok(token.token.expose_secret().to_owned())
                    }
                }
            })
        })
        .collect();
    house.server.asked(2).await;
    assert_eq!(health(&keeper).state, State::Refreshing);
    // A caller that gives up ends nothing.
    callers[0].abort();
    house.server.release();
    for caller in callers.into_iter().skip(1) {
        assert_eq!(caller.await.unwrap().unwrap(), "CANARY-a2");
    }
    assert_eq!(house.server.requests().len(), 2);
    assert_eq!(house.server.most_under_way(), 1);
}

#[tokio::test]
async fn promise_too_early_changes_nothing() {
    let house = House::exact().await;
    let keeper = house.signed_in().await;
    house.server.script([say(
        400,
        r#"{"error":"access_denied","error_description":"Rate limit exceeded: access_token not expired"}"#,
    )]);
    house.advance(585);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    assert_eq!(health(&keeper).state, State::Ok);
    assert_eq!(house.server.requests().len(), 2);
    assert_eq!(house.last_attempt().await.2.as_deref(), Some("too_early"));
    assert_eq!(house.rescue_files(), 0);
    house.advance(15);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_as_tries_of_one_attempt_until_the_server_refuses() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house
        .server
        .script([Reply::RotateAndHangUp, Reply::HangUp, say(503, "busy")]);
    house.advance(700);
    let refused = token(&keeper).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "connection `exact` needs a login: the answer that brought its next refresh token was lost, \
         and the old one was refused (HTTP 400, `invalid_grant`: the token CANARY-r2 is not for you)"
    );
    assert_eq!(refused.remedy(), Remedy::Login);
    assert_eq!(refused.hint().unwrap(), "type `tidegate login exact`");
    assert_eq!(health(&keeper).reason, Some(Reason::RotationAnswerLost));
    assert_eq!(house.server.requests().len(), 5);
    assert_eq!(
        house.last_attempt().await,
        (4, true, Some("refused".into()))
    );

    // Nothing is sent until somebody signs in, not even by another process.
    house.advance(100_000);
    token(&keeper).await.unwrap_err();
    drop(keeper);
    let keeper = house.open().await;
    token(&keeper).await.unwrap_err();
    assert_eq!(keeper.tend(|_| None), None);
    assert_eq!(house.server.requests().len(), 5);
    sign_in(&keeper).await.unwrap();
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a3");
    assert_eq!(health(&keeper).state, State::Ok);
}

#[tokio::test]
async fn a_request_that_was_lost_on_its_way_costs_nobody_a_login() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house
        .server
        .script([Reply::HangUp, say(200, ""), say(500, "<html>")]);
    house.advance(700);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    assert_eq!(
        house.last_attempt().await,
        (4, true, Some("committed".into()))
    );
    assert_eq!(health(&keeper).state, State::Ok);
    // The unusable success is kept for a person to look into; the reserve is given back.
    assert_eq!(house.rescue_files(), 1);
}

#[tokio::test]
async fn where_reuse_kills_the_chain_the_access_token_is_used_to_its_end_first() {
    let house = House::exact().await;
    let keeper = house.signed_in().await;
    house.server.script([Reply::RotateAndHangUp]);
    house.advance(590);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    assert_eq!(health(&keeper).state, State::InDoubt);
    assert_eq!(house.server.requests().len(), 2);
    house.advance(10);
    token(&keeper).await.unwrap_err();
    assert_eq!(house.server.requests().len(), 3);
    assert_eq!(health(&keeper).reason, Some(Reason::RotationAnswerLost));
    assert_eq!(
        house.last_attempt().await,
        (2, true, Some("refused".into()))
    );
}

#[tokio::test]
async fn once_the_access_token_has_ended_one_prompt_try_tells() {
    let house = House::exact().await;
    let keeper = house.signed_in().await;
    house.advance(700);
    house.server.script([Reply::HangUp]);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    house.advance(700);
    house.server.script([Reply::RotateAndHangUp]);
    let lost = token(&keeper).await.unwrap_err();
    assert!(
        matches!(
            lost,
            Error::NeedsLogin {
                reason: Reason::RotationAnswerLost,
                ..
            }
        ),
        "{lost}"
    );
    assert_eq!(
        house.last_attempt().await,
        (2, true, Some("refused".into()))
    );
}

#[tokio::test]
async fn a_refusal_without_a_doubt_is_confirmed_once_where_that_is_harmless() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house.server.script([dead(), dead()]);
    house.advance(700);
    let waiting = token(&keeper).await.unwrap_err();
    assert!(matches!(
        waiting,
        Error::Waiting {
            reason: Some(Reason::RefusedOnce),
            ..
        }
    ));
    assert_eq!(waiting.remedy(), Remedy::Wait);
    house.advance(60);
    let refused = token(&keeper).await.unwrap_err();
    assert!(matches!(
        refused,
        Error::NeedsLogin {
            reason: Reason::Refused,
            ..
        }
    ));
    assert_eq!(house.server.requests().len(), 3);

    let house = House::exact().await;
    let keeper = house.signed_in().await;
    house.server.script([dead()]);
    house.advance(700);
    let refused = token(&keeper).await.unwrap_err();
    assert!(matches!(
        refused,
        Error::NeedsLogin {
            reason: Reason::Refused,
            ..
        }
    ));
}

#[tokio::test]
async fn an_unreachable_server_is_no_doubt_and_the_access_token_serves_to_its_end() {
    let mut house = House::new().await;
    let keeper = house.signed_in().await;
    keeper.drain().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    house.oauth.token_url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let keeper = house.open().await;
    house.advance(560);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    assert_eq!(
        house.last_attempt().await,
        (1, false, Some("not_sent".into()))
    );
    house.advance(40);
    let waiting = token(&keeper).await.unwrap_err();
    assert!(matches!(
        waiting,
        Error::Waiting {
            reason: Some(Reason::Unreachable),
            ..
        }
    ));
    assert!(
        waiting.to_string().contains("could not be reached"),
        "{waiting}"
    );
}

#[tokio::test]
async fn tokens_that_do_not_fit_on_a_full_disk_are_kept_and_stored_when_there_is_room() {
    let house = House::new().await;
    let store = house.store();
    let keeper = house.open_with(store.clone()).await.unwrap();
    sign_in(&keeper).await.unwrap();
    let limit = |pages: i64| {
        store.write(move |tx| {
            let full: i64 = tx.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let most = if pages == 0 { full } else { pages };
            tx.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(()))?;
            Ok::<_, store::Error>(())
        })
    };
    limit(0).await.unwrap();
    house.server.script([say(
        200,
        &format!(
            r#"{{"access_token":"{0}","refresh_token":"{0}","token_type":"bearer","expires_in":99999999}}"#,
            "n".repeat(12_000)
        ),
    )]);
    house.advance(560);
    let caller = tokio::spawn({
        let keeper = keeper.clone();
        async move { token(&keeper).await }
    });
    // The old one lives on; the new one is nobody's until it is stored.
    let slow = caller.await.unwrap().unwrap_err();
    assert!(matches!(slow, Error::Slow { .. }), "{slow}");
    assert!(slow.to_string().contains("disk is full"), "{slow}");
    assert_eq!(health(&keeper).reason, Some(Reason::VaultUnwritable));
    assert_eq!(house.stored().await, (1, "CANARY-r1".to_owned()));

    // Another process would find it, and so does this one once there is room.
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("rescue")).unwrap();
    for file in ["vault.db", "vault.db-wal", "rescue/2.rescue"] {
        std::fs::copy(house.directory.path().join(file), copy.path().join(file)).unwrap();
    }
    limit(1_000_000).await.unwrap();
    assert_eq!(token(&keeper).await.unwrap(), "n".repeat(12_000));
    assert_eq!(house.stored().await, (2, "n".repeat(12_000)));
    assert_eq!(house.rescue_files(), 0);

    let house = House {
        directory: copy,
        ..house
    };
    let keeper = house.open().await;
    assert_eq!(house.stored().await, (2, "n".repeat(12_000)));
    assert_eq!(health(&keeper).state, State::Ok);
    assert_eq!(house.rescue_files(), 0);
    assert_eq!(house.server.requests().len(), 2);
}

#[tokio::test]
async fn a_start_that_finds_an_answer_stores_it_and_one_that_finds_none_is_in_doubt() {
    let house = House::new().await;
    drop(house.signed_in().await);
    let (vault, attempt) = house.cut_short(Kind::Refresh).await;
    let body = br#"{"access_token":"b","refresh_token":"s","token_type":"bearer","expires_in":60}"#;
    vault.keep_answer(&attempt, body).await.unwrap();
    drop(vault);
    let keeper = house.open().await;
    assert_eq!(house.stored().await, (2, "s".to_owned()));
    assert_eq!(token(&keeper).await.unwrap(), "b");
    assert_eq!(house.rescue_files(), 0);
    assert_eq!(house.server.requests().len(), 1);
}

#[tokio::test]
async fn a_kill_between_sending_and_the_answer_is_a_doubt_that_is_recorded_before_the_next_try() {
    let house = House::new().await;
    drop(house.signed_in().await);
    house.cut_short(Kind::Refresh).await;
    let keeper = house.open().await;
    assert_eq!(health(&keeper).state, State::InDoubt);
    assert_eq!(house.last_attempt().await, (1, true, None));
    house.server.script([Reply::Hold(Box::new(Reply::Rotate))]);
    // A doubt is ended as soon as it may be, without anybody asking.
    house.advance(30);
    keeper.tend(|_| None).unwrap();
    house.server.asked(2).await;
    assert_eq!(house.last_attempt().await, (2, true, None));
    house.server.release();
    keeper.drain().await;
    assert_eq!(house.stored().await, (2, "CANARY-r2".to_owned()));
    assert_eq!(
        house.last_attempt().await,
        (2, true, Some("committed".into()))
    );
}

#[tokio::test]
async fn a_kill_after_the_server_rotated_needs_a_login_and_says_why() {
    let house = House::exact().await;
    let keeper = house.signed_in().await;
    house.server.script([Reply::RotateAndHangUp]);
    house.advance(590);
    token(&keeper).await.unwrap();
    drop(keeper);
    let keeper = house.open().await;
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    house.advance(20);
    let refused = token(&keeper).await.unwrap_err();
    assert!(matches!(
        refused,
        Error::NeedsLogin {
            reason: Reason::RotationAnswerLost,
            ..
        }
    ));
}

#[tokio::test]
async fn a_refused_access_token_brings_one_refresh_and_a_brand_new_one_none() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    let refused = keeper.rejected(&account(), 1).await.unwrap_err();
    assert!(matches!(refused, Error::AccessRefused { .. }));
    house.advance(120);
    let newer = keeper.rejected(&account(), 1).await.unwrap();
    assert_eq!(newer.generation, 2);
    assert_eq!(keeper.rejected(&account(), 1).await.unwrap().generation, 2);
    assert_eq!(house.server.requests().len(), 2);

    let house = House::exact().await;
    let keeper = house.signed_in().await;
    house.advance(120);
    let early = keeper.rejected(&account(), 1).await.unwrap_err();
    let next_at = early.next_at().unwrap();
    assert_eq!(next_at.to_string(), "2025-03-02T06:09:30Z");
    assert_eq!(house.server.requests().len(), 1);
}

#[tokio::test]
async fn a_failed_login_leaves_the_credential_that_was_there() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house.server.script([
        dead(),
        Reply::RotateAndHangUp,
        say(401, r#"{"error":"invalid_client"}"#),
    ]);
    let refused = sign_in(&keeper).await.unwrap_err();
    assert!(
        refused.to_string().contains("refused the code"),
        "{refused}"
    );
    assert!(
        sign_in(&keeper)
            .await
            .unwrap_err()
            .to_string()
            .contains("were lost on their way")
    );
    assert_eq!(
        sign_in(&keeper).await.unwrap_err().remedy(),
        Remedy::EditConfig
    );
    assert_eq!(house.rescue_files(), 0);
    assert_eq!(house.stored().await, (1, "CANARY-r1".to_owned()));

    let start = keeper.begin_login(&account()).unwrap();
    let stranger = keeper
        .finish_login(&start.id, "https://t/?code=c&state=s")
        .await;
    assert!(stranger.unwrap_err().to_string().contains("another login"));
    keeper.finish_login(&start.id, "c%21").await.unwrap();
    let again = keeper.finish_login(&start.id, "c%21").await.unwrap_err();
    assert!(again.to_string().contains("was finished"), "{again}");
    let start = keeper.begin_login(&account()).unwrap();
    house.advance(600);
    keeper.finish_login(&start.id, "c%21").await.unwrap_err();
}

#[tokio::test]
async fn a_login_ends_a_doubt_and_is_not_overtaken_by_a_refresh() {
    let house = House::new().await;
    drop(house.signed_in().await);
    house.cut_short(Kind::Refresh).await;
    let keeper = house.open().await;
    house.server.lifetime(3600);
    house.server.script([Reply::Hold(Box::new(Reply::Rotate))]);
    let login = tokio::spawn({
        let keeper = keeper.clone();
        async move { sign_in(&keeper).await }
    });
    house.server.asked(2).await;
    house.advance(700);
    let caller = tokio::spawn({
        let keeper = keeper.clone();
        async move { token(&keeper).await }
    });
    tokio::task::yield_now().await;
    house.server.release();
    login.await.unwrap().unwrap();
    assert_eq!(caller.await.unwrap().unwrap(), "CANARY-a2");
    assert_eq!(house.server.most_under_way(), 1);
    assert_eq!(health(&keeper).state, State::Ok);
    assert_eq!(house.stored().await.0, 2);
}

#[tokio::test]
async fn signing_out_forgets_and_nobody_signed_in_is_said_so() {
    let house = House::new().await;
    let keeper = house.open().await;
    let never = token(&keeper).await.unwrap_err();
    assert_eq!(
        never.to_string(),
        "connection `exact` needs a login: nobody has signed in yet"
    );
    sign_in(&keeper).await.unwrap();
    keeper.logout(&account()).await.unwrap();
    for keeper in [keeper, house.open().await] {
        let out = token(&keeper).await.unwrap_err();
        assert!(
            matches!(
                out,
                Error::NeedsLogin {
                    reason: Reason::LoggedOut,
                    ..
                }
            ),
            "{out}"
        );
    }
}

#[tokio::test]
async fn a_client_of_its_own_is_asked_again_without_doubts() {
    let mut house = House::new().await;
    house.oauth.grant = Grant::ClientCredentials;
    house.server.script([Reply::HangUp]);
    let keeper = house.open().await;
    let lost = token(&keeper).await.unwrap_err();
    assert!(
        matches!(
            lost,
            Error::Waiting {
                reason: Some(Reason::ServerTrouble),
                ..
            }
        ),
        "{lost}"
    );
    assert_eq!(health(&keeper).state, State::BackingOff);
    house.advance(80);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    drop(keeper);
    let keeper = house.open().await;
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    house.advance(700);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    assert_eq!(house.rescue_files(), 0);
}

#[tokio::test]
async fn a_rejected_client_waits_for_another_configuration() {
    let mut house = House::new().await;
    let keeper = house.signed_in().await;
    house
        .server
        .script([say(401, r#"{"error":"invalid_client"}"#)]);
    house.advance(700);
    let rejected = token(&keeper).await.unwrap_err();
    assert_eq!(rejected.remedy(), Remedy::EditConfig);
    drop(keeper);
    assert_eq!(
        token(&house.open().await).await.unwrap_err().remedy(),
        Remedy::EditConfig
    );
    assert_eq!(house.server.requests().len(), 2);
    house.oauth.client_id = "another".into();
    assert_eq!(token(&house.open().await).await.unwrap(), "CANARY-a2");
}

#[tokio::test]
async fn what_is_due_is_refreshed_without_anybody_asking() {
    let house = House::exact().await;
    let keeper = house.signed_in().await;
    let now = || crate::clock::Clock::now(&house.clock);
    let soon = crate::clock::after(now(), Duration::from_secs(610));
    let at = |seconds| crate::clock::after(now(), Duration::from_secs(seconds));
    assert_eq!(keeper.tend(|_| Some(soon)), Some(at(585)));
    // Nobody needs it: it is only kept alive.
    assert_eq!(keeper.tend(|_| None), Some(at(24 * 60 * 60 * 7)));
    house.advance(585);
    // The login has landed too.
    keeper.any_landed().await;
    keeper.tend(|_| Some(soon));
    keeper.any_landed().await;
    assert_eq!(health(&keeper).generation, 2);
}

#[tokio::test]
async fn stopping_waits_for_the_exchange_under_way_and_begins_none() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    house.advance(700);
    house.server.script([Reply::Hold(Box::new(Reply::Rotate))]);
    keeper.tend(|_| None);
    house.server.asked(2).await;
    let draining = tokio::spawn({
        let keeper = keeper.clone();
        async move { keeper.drain().await }
    });
    tokio::task::yield_now().await;
    assert!(!draining.is_finished());
    house.server.release();
    draining.await.unwrap();
    assert_eq!(house.stored().await, (2, "CANARY-r2".to_owned()));
    house.advance(700);
    assert!(matches!(
        token(&keeper).await.unwrap_err(),
        Error::Stopping { .. }
    ));
    assert_eq!(house.server.requests().len(), 2);
}

#[tokio::test]
async fn a_credential_that_cannot_be_opened_is_said_so_and_a_login_replaces_it() {
    let house = House::new().await;
    drop(house.signed_in().await);
    house
        .store()
        .write(|tx| {
            tx.execute("UPDATE credentials SET access_token = refresh_token", [])?;
            Ok::<_, store::Error>(())
        })
        .await
        .unwrap();
    let keeper = house.open().await;
    let unreadable = token(&keeper).await.unwrap_err();
    assert!(
        matches!(unreadable, Error::NeedsAttention { .. }),
        "{unreadable}"
    );
    assert!(
        unreadable.to_string().contains("cannot be opened"),
        "{unreadable}"
    );
    sign_in(&keeper).await.unwrap();
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
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

#[tokio::test]
async fn promise_no_secret_reaches_a_log_an_error_or_a_file() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _log = tracing::subscriber::set_default(subscriber);

    let house = House::new().await;
    // As long as real tokens are, so that they are known for tokens wherever they are quoted.
    house.server.padding(40);
    let keeper = house.signed_in().await;
    house.server.script([Reply::RotateAndHangUp]);
    house.advance(700);
    let mut shown = vec![format!("{:?}", token(&keeper).await.unwrap_err())];
    shown.push(token(&keeper).await.unwrap_err().to_string());
    shown.push(format!("{:?}", keeper.health()));
    sign_in(&keeper).await.unwrap();
    shown.push(format!(
        "{:?}",
        keeper.authorization(&account()).await.unwrap()
    ));
    house.cut_short(Kind::Refresh).await;
    shown.push(String::from_utf8(log.0.lock().unwrap().clone()).unwrap());
    assert!(shown.last().unwrap().contains("got a new access token"));

    let mut files = vec![house.directory.path().to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            shown.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
    for text in shown {
        let at = text.find("CANARY");
        assert!(at.is_none(), "{}", &text[at.unwrap()..]);
    }
}

#[tokio::test]
async fn whoever_lags_behind_the_vault_catches_up_instead_of_spending_an_old_token() {
    let house = House::new().await;
    let keeper = house.signed_in().await;
    // As after a panic between the commit and what follows it.
    let (vault, attempt) = house.cut_short(Kind::Refresh).await;
    let body =
        br#"{"access_token":"b","refresh_token":"s","token_type":"bearer","expires_in":9999}"#;
    vault.keep_answer(&attempt, body).await.unwrap();
    drop((vault, house.open().await));
    house.advance(700);
    assert_eq!(token(&keeper).await.unwrap(), "b");
    assert_eq!(house.server.requests().len(), 1);
}

#[tokio::test]
async fn a_missing_client_secret_is_told_and_needs_no_restart_once_it_is_there() {
    let mut house = House::new().await;
    drop(house.signed_in().await);
    let file = house.directory.path().join("secret");
    house.oauth.client_secret = Some(crate::config::SecretSource::File(file.clone()));
    let keeper = house.open().await;
    house.advance(560);
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a1");
    house.advance(100);
    keeper.tend(|_| None);
    keeper.any_landed().await;
    for _ in 0..2 {
        let missing = token(&keeper).await.unwrap_err();
        assert!(matches!(missing, Error::Secret { .. }), "{missing}");
        assert_eq!(missing.remedy(), Remedy::EditConfig);
    }
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let created = options
        .write(true)
        .create(true)
        .mode(0o600)
        .open(&file)
        .unwrap();
    std::io::Write::write_all(&mut &created, b"CANARY-secret\n").unwrap();
    assert_eq!(token(&keeper).await.unwrap(), "CANARY-a2");
    assert!(house.server.requests()[1].contains("client_secret=CANARY-secret"));
}
