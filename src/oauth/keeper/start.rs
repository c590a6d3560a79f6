//! What a start finds: credentials, doubts, and answers that a crash left on disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accounts::Accounts;
use super::entry::{Client, Entry, Live};
use super::{Inner, Keeper, PER_SERVER, orphans};
use crate::clock::SharedClock;
use crate::config::{Account, Auth, Connection, Name, OAuth};
use crate::http;
use crate::oauth::Error;
use crate::oauth::grant::{self, Reading, Tokens};
use crate::oauth::quota::Quota;
use crate::oauth::secrets::Secrets;
use crate::oauth::standing::{Reason, Standing, State, without_credential};
use crate::oauth::vault::{self, Attempt, Credential, Kind, Outcome, Vault};
use crate::seal::{self, Keyring};
use crate::store::Store;

pub(super) async fn open(
    state_dir: &Path,
    store: Store,
    keys: Option<Keyring>,
    connections: &BTreeMap<Name, Connection>,
    http: http::Client,
    clock: SharedClock,
) -> Result<Keeper, Error> {
    let now = clock.now();
    let vault = Vault::open(state_dir, store, keys, now).await?;
    let mut clients = BTreeMap::new();
    let mut servers = BTreeMap::new();
    let mut known = BTreeMap::new();
    for (name, connection) in connections {
        let client = Arc::new(client(&vault, connection, now).await?);
        if let Some(oauth) = client.oauth() {
            let origin = oauth.authority().origin().ascii_serialization();
            servers
                .entry(origin)
                .or_insert_with(|| Arc::new(Semaphore::new(PER_SERVER)));
        }
        let account = Account::of(name);
        let entry = entry(&vault, &account, &client, now).await?;
        known.insert(account, Arc::new(entry));
        clients.insert(name.clone(), client);
    }
    for account in vault.accounts().await? {
        let client = clients.get(&account.connection);
        let Some(client) = client.filter(|_| account.name.is_some()) else {
            continue;
        };
        let entry = entry(&vault, &account, client, now).await?;
        if !entry.is_absent() {
            known.insert(account, Arc::new(entry));
        }
    }
    vault.sweep(now).await?;
    let inner = Inner {
        vault,
        http,
        clock,
        accounts: Accounts::new(clients, known),
        servers,
        logins: Mutex::default(),
        devices: Mutex::default(),
        metadata: Mutex::default(),
        flights: TaskTracker::new(),
        stopping: CancellationToken::new(),
        landed: Notify::new(),
        agenda: Mutex::default(),
        skews: Mutex::default(),
        may_hold_back: AtomicBool::new(true),
    };
    Ok(Keeper {
        inner: Arc::new(inner),
    })
}

/// Writes down that the credential of `account` cannot be opened, so that it is told also where
/// nobody has the key; returns how the account stands.
pub(super) async fn unreadable(
    vault: &Vault,
    account: &Account,
    error: &vault::Error,
    at: Timestamp,
) -> Result<Standing, vault::Error> {
    tracing::error!(connection = %account, %error, "a sealed credential cannot be opened");
    let known = vault.standing(account).await?;
    if let Some(leaving) = known.filter(Standing::is_leaving) {
        return Ok(leaving);
    }
    let standing = Standing {
        state: State::NeedsAttention,
        reason: Some(Reason::Unreadable),
        detail: Some(error.to_string()),
        ..Standing::ok(at)
    };
    vault.set_standing(account, standing.clone()).await?;
    Ok(standing)
}

async fn client(vault: &Vault, connection: &Connection, now: Timestamp) -> Result<Client, Error> {
    let auth = connection.auth.clone();
    let (digest, quota) = match &auth {
        Auth::OAuth(oauth) => {
            let limits = &oauth.refresh_limits;
            let sent = match limits.is_empty() {
                true => Vec::new(),
                false => vault.counted(&connection.name, now).await?,
            };
            // What cannot be read counts as absent; it is told when it is needed.
            let secrets = Secrets::read(oauth, |source| vault.secret(source)).unwrap_or_default();
            (digest(vault, oauth, &secrets), Quota::new(limits, sent))
        }
        Auth::None | Auth::Token(_) | Auth::Basic(_) => {
            ([0; seal::KEY], Quota::new(&[], Vec::new()))
        }
    };
    Ok(Client {
        auth,
        digest,
        vault: vault.clone(),
        quota: Mutex::new(quota),
    })
}

async fn entry(
    vault: &Vault,
    account: &Account,
    client: &Arc<Client>,
    now: Timestamp,
) -> Result<Entry, Error> {
    let mut entry = Entry::new(account, Arc::clone(client), Standing::ok(now));
    let Some(oauth) = client.oauth() else {
        return Ok(entry);
    };
    match recovered(vault, account, oauth, client.digest, now).await {
        Ok(live) => entry.live = Mutex::new(live),
        Err(error @ vault::Error::Unreadable { .. }) => {
            entry.live().standing = unreadable(vault, account, &error, now).await?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(entry)
}

/// Loads a connection, commits what a crash left on disk, and marks what it left in doubt.
pub(super) async fn recovered(
    vault: &Vault,
    account: &Account,
    oauth: &OAuth,
    digest: [u8; seal::KEY],
    now: Timestamp,
) -> Result<Live, vault::Error> {
    let mut credential = vault.load(account).await?;
    let mut doubts = Vec::new();
    let mut has_recovered = false;
    for attempt in vault.left_open(account).await? {
        match replay(vault, oauth, &attempt, credential.as_ref(), now).await? {
            Replayed::Committed(recovered) => {
                credential = Some(*recovered);
                has_recovered = true;
            }
            Replayed::Doubt => doubts.push(attempt),
            Replayed::Closed => {}
        }
    }
    let known = vault.standing(account).await?;
    if let Some(leaving) = known.as_ref().filter(|known| known.is_leaving()) {
        return Ok(Live::new(leaving.clone()));
    }
    let known = match known {
        // Whatever was in the way of opening it is gone.
        Some(known) if known.reason == Some(Reason::Unreadable) => {
            let standing = Standing::ok(now);
            vault.set_standing(account, standing.clone()).await?;
            Some(standing)
        }
        known => known,
    };
    // Where nobody signs in, signing out forgets what was there and forbids nothing.
    let known =
        known.filter(|known| !oauth.grant.is_unattended() || known.state != State::NeedsLogin);
    let mut standing = match (&credential, known) {
        // The configuration that was rejected is not the present one.
        (_, Some(known)) if known.rejected.is_some_and(|rejected| rejected != digest) => {
            Standing::ok(now)
        }
        (None, Some(known)) if known.state != State::Ok => known,
        (None, _) => without_credential(Some(oauth), Reason::NeverSignedIn, now),
        (Some(_), known) => known.unwrap_or(Standing::ok(now)),
    };
    // A login or a replayed answer has ended every doubt about what was there before.
    let doubt = doubts.pop().filter(|_| !has_recovered);
    let doubt = match doubt {
        None => None,
        Some(attempt) => Some(mark(vault, attempt, &mut standing, now).await?),
    };
    Ok(Live {
        credential,
        standing,
        doubt,
        flight: None,
    })
}

/// What became of an attempt that was left open.
enum Replayed {
    Committed(Box<Credential>),
    Doubt,
    Closed,
}

async fn replay(
    vault: &Vault,
    oauth: &OAuth,
    attempt: &Attempt,
    present: Option<&Credential>,
    now: Timestamp,
) -> Result<Replayed, vault::Error> {
    let (connection, id) = (&attempt.account, attempt.id);
    if let Some(body) = vault.kept_answer(attempt).await? {
        if let Some(tokens) = kept_tokens(oauth, &body, now) {
            match vault.commit(attempt, &tokens, None, now).await {
                Ok(credential) => {
                    let generation = credential.generation;
                    tracing::warn!(%connection, attempt = id, generation, "stored tokens that an earlier end had left on disk");
                    return Ok(Replayed::Committed(Box::new(credential)));
                }
                Err(vault::Error::Conflict { .. }) => {
                    orphans::put_by(vault, attempt, &body, &tokens, now).await?;
                    return Ok(Replayed::Closed);
                }
                Err(error) => return Err(error),
            }
        }
        vault.set_aside(attempt, now).await?;
    }
    let is_doubt = attempt.kind == Kind::Refresh
        && present.is_some_and(|present| present.generation == attempt.generation);
    if is_doubt {
        return Ok(Replayed::Doubt);
    }
    if attempt.kind.is_login() {
        tracing::warn!(%connection, attempt = id, "a login was cut short; it must be begun again");
    }
    vault.close(attempt, Outcome::Lost, None, None, now).await?;
    Ok(Replayed::Closed)
}

/// Reads the tokens in an answer that was kept.
pub(super) fn kept_tokens(oauth: &OAuth, body: &[u8], now: Timestamp) -> Option<Tokens> {
    let answer = http::Answer {
        // Only the answers of successes are kept.
        status: 200,
        headers: http::HeaderMap::new(),
        body: body.to_vec().into(),
        url: oauth.authority().clone(),
    };
    match grant::read(oauth, &answer, &[], now) {
        Reading::Tokens(tokens) => Some(tokens),
        Reading::Refused(_) => None,
    }
}

/// Writes down that an attempt is in doubt, unless that is known already.
async fn mark(
    vault: &Vault,
    mut attempt: Attempt,
    standing: &mut Standing,
    now: Timestamp,
) -> Result<Attempt, vault::Error> {
    let is_known = attempt.doubt_at.is_some() && standing.state != State::Ok;
    if is_known {
        return Ok(attempt);
    }
    attempt.doubt_at = Some(attempt.tried_at);
    // One that rests goes on to.
    if standing.reason != Some(Reason::Restored) {
        *standing = Standing {
            state: State::InDoubt,
            reason: Some(Reason::AnswerLost),
            detail: Some("the program ended before the answer came".to_owned()),
            since: attempt.tried_at,
            ..Standing::ok(now)
        };
    }
    let (connection, id) = (&attempt.account, attempt.id);
    tracing::warn!(%connection, attempt = id, generation = attempt.generation, "a refresh was cut short; its refresh token may be spent");
    vault.doubt(&attempt, standing.clone()).await?;
    Ok(attempt)
}

/// Digests the configuration, its secrets included, so that a change is noticed.
pub(super) fn digest(vault: &Vault, oauth: &OAuth, secrets: &Secrets) -> [u8; seal::KEY] {
    // It shows where secrets come from, never what they are.
    let settings = format!("{oauth:?}");
    let parts: Vec<&[u8]> = [settings.as_bytes()]
        .into_iter()
        .chain(secrets.bytes())
        .collect();
    vault.fingerprint(&parts)
}
