//! Keeps every connection's access token usable, and never loses a refresh token it was given.
//!
//! A server that rotates refresh tokens forgets the old one as it sends the new one. What must
//! hold, wherever this process is killed:
//!
//! 1. **One exchange at a time.** Each connection has at most one *flight*: a task of its own that
//!    waits for the connection's turn, looks again whether there is anything to do, and asks. Callers
//!    wait for it with their own patience; none can end it, and stopping waits for it. A person who
//!    signs in does not wait for it either: what it brings after the login is too late, and is
//!    revoked at the server.
//! 2. **Written before sent.** The first byte leaves only after the attempt stands in the vault and
//!    the disk for its answer is reserved. So a start that finds an open attempt knows that its
//!    refresh token may be spent, and one that finds none knows that it is not.
//! 3. **Stored before used.** The sealed answer is on disk before it is looked at closely, and the
//!    new credential is committed before anybody gets its access token: the server may drop the
//!    old pair when it first sees the new one. A commit that fails is tried until it succeeds.
//! 4. **A doubt ends by a definite answer only.** After a lost answer the attempt stays open. Each
//!    further try of the same refresh token is counted in it before it is sent. Tokens or a refusal
//!    end it; being unreachable, too early, or misconfigured does not.
//! 5. **Nothing is deleted because of an error.** A refresh token goes when a newer one is
//!    committed, when a person signs in, or signs out.
//!
//! What a kill leaves behind, step by step: before the attempt is committed, at most an empty file
//! that no attempt owns, removed at the next start; after that, an open attempt, which is a doubt;
//! after the answer was kept, an open attempt with its answer, which the next start commits; after
//! the commit, a file that no open attempt owns.

mod accounts;
mod conclude;
mod device;
mod entry;
mod exchange;
mod flight;
mod identify;
mod import;
mod material;
mod metadata;
mod orphans;
mod push;
mod rejected;
mod revoke;
mod sign_in;
mod sign_out;
mod skew;
mod start;
mod tend;
#[cfg(test)]
mod tests;
mod upkeep;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use sign_out::Revocation;

use accounts::Accounts;
use entry::Entry;
use metadata::Known;
use skew::Skews;
use tend::Agenda;

use super::login::Pending;
use super::login::device::Waiting;
use super::standing::{self, Reason};
use super::vault::Vault;
use super::window::Verdict;
use super::{AccessToken, Error, Health};
use crate::clock::{self, SharedClock};
use crate::config::{Account, Auth, Connection, Name, OAuth};
use crate::http;
use crate::seal::Keyring;
use crate::store::Store;

/// How long a caller waits for a flight: longer than one exchange may take, with the tries that
/// follow a lost answer at once.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest a caller waits for the moment at which a token may be asked for.
const SHORT_WAIT: Duration = Duration::from_secs(10);
/// How often a caller looks again before it gives up.
const ROUNDS: u32 = 5;
/// When to look again after a flight, if nobody says that it has landed.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How many exchanges one authorization server gets from us at the same time.
const PER_SERVER: usize = 4;

/// Hands out access tokens. Clones are the same keeper.
#[derive(Clone)]
pub struct Keeper {
    inner: Arc<Inner>,
}

struct Inner {
    vault: Vault,
    http: http::Client,
    clock: SharedClock,
    accounts: Accounts,
    servers: BTreeMap<String, Arc<Semaphore>>,
    /// The login each connection waits for.
    logins: Mutex<BTreeMap<Account, Pending>>,
    /// The login on another device that each account waits for.
    devices: Mutex<BTreeMap<Account, Waiting>>,
    /// What the authorization servers say of themselves, by connection.
    metadata: Mutex<BTreeMap<Name, Known>>,
    flights: TaskTracker,
    stopping: CancellationToken,
    landed: Notify,
    agenda: Mutex<Agenda>,
    skews: Mutex<Skews>,
    /// False only if no account is known to be held back because its client was refused: each
    /// success would otherwise look at every account.
    may_hold_back: AtomicBool,
}

impl Keeper {
    /// Opens the vault with `keys`, commits answers that a crash left on disk, finds out which refresh
    /// tokens may be spent, and begins to finish what was cut short of signing out and of revoking.
    ///
    /// Call [`drain`](Self::drain) before the process ends.
    ///
    /// # Errors
    /// If the vault cannot be opened, is damaged, or was sealed with another key.
    pub async fn open(
        state_dir: &Path,
        store: Store,
        keys: Option<Keyring>,
        connections: &BTreeMap<Name, Connection>,
        http: http::Client,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        let keeper = start::open(state_dir, store, keys, connections, http, clock).await?;
        keeper.finish_logouts();
        keeper.revoke_orphans().await?;
        Ok(keeper)
    }

    /// Returns the certificate with which connections to the API of `account` are opened, if it wants
    /// one (RFC 8705 section 3).
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn identity(&self, account: &Account) -> Result<Option<http::Identity>, Error> {
        let entry = self.inner.accounts.get(account)?;
        match entry.oauth() {
            Some(oauth) if oauth.shows_certificate_to_api() => Ok(entry.secrets(oauth)?.identity),
            _ => Ok(None),
        }
    }

    /// Returns an access token that may be sent now, or `None` if the connection needs none.
    ///
    /// Asks for a new one first if the present one nears its end, and waits for a refresh that is
    /// under way.
    ///
    /// # Errors
    /// If there is none; [`Error::remedy`] says who must act.
    pub async fn authorization(&self, account: &Account) -> Result<Option<AccessToken>, Error> {
        let entry = &self.inner.accounts.get(account)?;
        match &entry.client.auth {
            Auth::None => Ok(None),
            Auth::Token(source) => Ok(Some(AccessToken {
                token: entry.secret("token", source)?,
                username: None,
                generation: 0,
                expires_at: None,
                facts: Arc::default(),
            })),
            Auth::Basic(basic) => {
                let password = basic.password.as_ref();
                let password = password.map(|source| entry.secret("password", source));
                Ok(Some(AccessToken {
                    token: password.transpose()?.unwrap_or_default(),
                    username: Some(entry.secret("user name", &basic.username)?),
                    generation: 0,
                    expires_at: None,
                    facts: Arc::default(),
                }))
            }
            Auth::OAuth(oauth) => self.access_token(entry, oauth).await.map(Some),
        }
    }

    /// Returns the accounts of a connection that somebody is signed in to, or was until the server
    /// refused; if there is none, the account without a name.
    #[must_use]
    pub fn accounts(&self, connection: &Name) -> Vec<Account> {
        let all = self.inner.accounts.of(connection);
        let present = all
            .iter()
            .filter(|entry| !entry.is_absent() && !entry.is_leaving());
        let accounts: Vec<Account> = present.map(|entry| entry.account.clone()).collect();
        match accounts.is_empty() {
            true => vec![Account::of(connection)],
            false => accounts,
        }
    }

    /// Returns how every account of the connections that have an authorization server stands.
    #[must_use]
    pub fn health(&self) -> Vec<Health> {
        let now = self.inner.clock.now();
        let all = self.inner.accounts.all();
        let connections = all.chunk_by(|a, b| a.account.connection == b.account.connection);
        connections
            .flat_map(|entries| {
                let healths = entries
                    .iter()
                    .filter_map(|entry| self.inner.health(entry, now));
                standing::shown(healths.collect())
            })
            .collect()
    }

    /// Begins nothing new, and waits for the exchanges under way.
    pub async fn drain(&self) {
        self.inner.stopping.cancel();
        self.inner.flights.close();
        self.inner.flights.wait().await;
    }

    async fn access_token(&self, entry: &Arc<Entry>, oauth: &OAuth) -> Result<AccessToken, Error> {
        let deadline = clock::after(self.inner.clock.now(), PATIENCE);
        for _ in 0..ROUNDS {
            if !self.landed(entry, deadline).await {
                break;
            }
            let (verdict, present, generation) = {
                let live = entry.live();
                let verdict = entry.view(oauth, &live, self.inner.clock.now()).verdict();
                (verdict, live.access_token(), live.generation())
            };
            match (verdict, present) {
                (Verdict::Use, Some(token)) => return Ok(token),
                (Verdict::Wait(at), _) => {
                    let is_over = self.inner.is_held_no_longer(entry, oauth)?;
                    if !is_over && !self.wait(Some(at)).await {
                        return Err(entry.error(Some(at)));
                    }
                }
                (Verdict::Refresh | Verdict::Use, present) => {
                    let secrets = entry.secrets(oauth);
                    let departed = secrets.and_then(|_| self.depart(entry, generation, false));
                    if let Err(error) = departed {
                        let now = self.inner.clock.now();
                        let is_usable = entry.view(oauth, &entry.live(), now).is_usable();
                        return present.filter(|_| is_usable).ok_or(error);
                    }
                }
                (Verdict::Stop, _) => {
                    if !self.inner.is_held_no_longer(entry, oauth)? {
                        return Err(entry.error(None));
                    }
                }
            }
        }
        let live = entry.live();
        let is_usable = entry.view(oauth, &live, self.inner.clock.now()).is_usable();
        let present = live.access_token().filter(|_| is_usable);
        drop(live);
        present.ok_or_else(|| self.slow(entry))
    }

    /// Waits until no flight of `entry` is under way whose fruit would be used; returns false at
    /// `deadline`.
    async fn landed(&self, entry: &Entry, deadline: Timestamp) -> bool {
        // Before looking, so that no login falls in between.
        let signed_in = entry.signed_in.notified();
        let Some(mut flight) = entry.live().under_way() else {
            return true;
        };
        tokio::select! {
            // It sends nothing: it is closed when the flight has landed.
            _ = flight.changed() => true,
            () = signed_in => true,
            () = self.inner.clock.sleep_until(deadline) => false,
        }
    }

    /// Waits until `at` if that is soon; returns false if it is not.
    async fn wait(&self, at: Option<Timestamp>) -> bool {
        let soon = clock::after(self.inner.clock.now(), SHORT_WAIT);
        let Some(at) = at.filter(|at| *at <= soon) else {
            return false;
        };
        self.inner.clock.sleep_until(at).await;
        true
    }

    /// Starts a flight that spends `generation`, unless one is under way.
    fn depart(
        &self,
        entry: &Arc<Entry>,
        generation: Option<u64>,
        refused: bool,
    ) -> Result<(), Error> {
        if self.inner.stopping.is_cancelled() {
            return Err(Error::Stopping {
                account: entry.account.clone(),
            });
        }
        let mut live = entry.live();
        if live.under_way().is_some() {
            return Ok(());
        }
        let (landing, flight) = watch::channel(());
        live.flight = Some(flight);
        let (inner, entry) = (Arc::clone(&self.inner), Arc::clone(entry));
        let account = entry.account.clone();
        let told = Arc::clone(&self.inner);
        let flight = self.inner.flights.track_future(async move {
            inner.fly(&entry, generation, refused).await;
            // Dropped by a panic too; whoever waits looks again and finds what the vault has.
            drop(landing);
        });
        tokio::spawn(async move {
            flight.await;
            told.tell_changed(&account);
        });
        Ok(())
    }

    fn slow(&self, entry: &Entry) -> Error {
        let standing = &entry.live().standing;
        let detail = standing.detail.clone();
        let detail = detail.filter(|_| standing.reason == Some(Reason::VaultUnwritable));
        Error::Slow {
            account: entry.account.clone(),
            detail,
        }
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let accounts = self.inner.accounts.all();
        let accounts = accounts.iter().map(|entry| &entry.account);
        f.debug_set().entries(accounts).finish()
    }
}

impl Inner {
    /// Returns how an account stands, if its connection has an authorization server.
    fn health(&self, entry: &Entry, now: Timestamp) -> Option<Health> {
        let oauth = entry.oauth()?;
        let mut health = entry.health(oauth, now);
        let of_server = self.notice(&entry.account.connection);
        let notices = of_server.into_iter().chain(self.clock_notice(oauth));
        health.notices.extend(notices);
        Some(health)
    }

    /// The places at an authorization server, shared by the connections that use it.
    fn places(&self, oauth: &OAuth) -> Arc<Semaphore> {
        let origin = oauth.authority().origin();
        let known = self.servers.get(&origin.ascii_serialization());
        Arc::clone(known.expect("the servers of all connections were collected at the start"))
    }
}
