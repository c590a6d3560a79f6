//! What the keeper knows of one account.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use crate::config::{Account, Auth, OAuth, SecretError, SecretSource};
use crate::oauth::id_token::Person;
use crate::oauth::outlook::login_ends;
use crate::oauth::quota::Quota;
use crate::oauth::secrets::{Secrets, Unusable};
use crate::oauth::standing::{Reason, Standing, State};
use crate::oauth::vault::{Attempt, Credential, Kind, Vault};
use crate::oauth::window::View;
use crate::oauth::{AccessToken, Error, Health, health};
use crate::seal;
use crate::secret::Secret;

/// How a connection is authorized, which all its accounts share.
pub(super) struct Client {
    pub(super) auth: Auth,
    /// A digest of the configuration the server sees.
    pub(super) digest: [u8; seal::KEY],
    /// What its secrets may be sealed in.
    pub(super) vault: Vault,
    /// The token requests that count against a limit of the server.
    pub(super) quota: Mutex<Quota>,
}

impl Client {
    pub(super) fn quota(&self) -> MutexGuard<'_, Quota> {
        // No change to it can break off half-way, so it is whole even after a panic.
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn oauth(&self) -> Option<&OAuth> {
        match &self.auth {
            Auth::OAuth(oauth) => Some(oauth),
            Auth::None | Auth::Token(_) | Auth::Basic(_) => None,
        }
    }
}

/// One account of a connection.
pub(super) struct Entry {
    pub(super) account: Account,
    pub(super) client: Arc<Client>,
    /// Whose turn it is to spend the credential or to change what is sealed; held over an exchange.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Closed by a login until its tokens are in, and passed by a refresh before each request: a
    /// refresh waits for a login, but nobody who signs in waits for a refresh that hangs. Whoever
    /// needs both has the turn first.
    pub(super) gate: tokio::sync::Mutex<()>,
    /// Of which login the log was told that it ends, by when the person signed in, and how near.
    pub(super) end_told: Mutex<Option<(Timestamp, usize)>>,
    /// Wakes whoever waits for a refresh when somebody has signed in instead.
    pub(super) signed_in: Notify,
    /// What is known; held only to look or to write, never over a wait.
    pub(super) live: Mutex<Live>,
}

/// What is known of an account. It changes after the vault does.
pub(super) struct Live {
    pub(super) credential: Option<Credential>,
    pub(super) standing: Standing,
    /// The attempt whose refresh token may be spent.
    pub(super) doubt: Option<Attempt>,
    /// Closed when the flight under way has landed, however it ends.
    pub(super) flight: Option<watch::Receiver<()>>,
}

impl Live {
    /// Nothing is known but how it stands.
    pub(super) fn new(standing: Standing) -> Self {
        Self {
            credential: None,
            standing,
            doubt: None,
            flight: None,
        }
    }

    /// Takes over what the vault knows; a flight under way goes on.
    pub(super) fn take(&mut self, found: Self) {
        let flight = self.flight.take();
        *self = Self { flight, ..found };
    }

    pub(super) fn under_way(&self) -> Option<watch::Receiver<()>> {
        self.flight
            .clone()
            .filter(|flight| flight.has_changed().is_ok())
    }

    pub(super) fn generation(&self) -> Option<u64> {
        self.credential
            .as_ref()
            .map(|credential| credential.generation)
    }

    pub(super) fn access_token(&self) -> Option<AccessToken> {
        self.credential.as_ref().map(|credential| AccessToken {
            token: credential.access_token.clone(),
            username: None,
            generation: credential.generation,
            expires_at: credential.expires_at,
            facts: Arc::clone(&credential.facts),
        })
    }
}

impl Entry {
    /// Makes the entry of an account of which nothing is known but how it stands.
    pub(super) fn new(account: &Account, client: Arc<Client>, standing: Standing) -> Self {
        Self {
            account: account.clone(),
            client,
            turn: tokio::sync::Mutex::default(),
            gate: tokio::sync::Mutex::default(),
            end_told: Mutex::default(),
            signed_in: Notify::new(),
            live: Mutex::new(Live::new(standing)),
        }
    }

    pub(super) fn live(&self) -> MutexGuard<'_, Live> {
        // No write to it can break off half-way, so it is whole even after a panic.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody asks for tokens of this account, and keeps it so.
    pub(super) async fn alone(&self) -> [tokio::sync::MutexGuard<'_, ()>; 2] {
        [self.turn.lock().await, self.gate.lock().await]
    }

    /// Returns the attempt whose answer is still to come.
    pub(super) fn attempt_under_way(&self) -> Option<i64> {
        let live = self.live();
        live.under_way()?;
        live.doubt.as_ref().map(|attempt| attempt.id)
    }

    /// Returns true if another credential is there than the one that `attempt` spends.
    pub(super) fn is_overtaken(&self, attempt: &Attempt) -> bool {
        let generation = self.live().generation();
        attempt.kind == Kind::Refresh && generation.is_some_and(|it| it != attempt.generation)
    }

    /// Returns who is signed in, if that is known.
    pub(super) fn person(&self) -> Option<Person> {
        self.live().credential.as_ref()?.person.clone()
    }

    pub(super) fn oauth(&self) -> Option<&OAuth> {
        self.client.oauth()
    }

    /// Returns true unless it is known that `person` is not signed in.
    pub(super) fn may_be_held_by(&self, person: &Person) -> bool {
        let live = self.live();
        let held = live.credential.as_ref();
        held.is_some_and(|held| held.person.as_ref().is_none_or(|own| own.is_same(person)))
    }

    /// Returns true if nobody is signed in, and nobody expects it: never was, or signed out.
    pub(super) fn is_absent(&self) -> bool {
        let live = self.live();
        live.credential.is_none() && live.standing.is_absent()
    }

    /// Returns true while somebody signs out.
    pub(super) fn is_leaving(&self) -> bool {
        self.live().standing.is_leaving()
    }

    /// Lets nobody use what was there.
    pub(super) fn empty(&self, standing: Standing) {
        let mut live = self.live();
        live.credential = None;
        live.doubt = None;
        live.standing = standing;
    }

    /// Lets everybody use a credential that the vault has and that an exchange of this `kind`
    /// brought, unless a newer one came meanwhile.
    pub(super) fn renew(&self, credential: Credential, kind: Kind, at: Timestamp) {
        let mut live = self.live();
        if live.generation() >= Some(credential.generation) {
            return;
        }
        if kind.is_login() {
            // What is under way spends a credential of before; nobody need wait for it.
            live.flight = None;
            self.signed_in.notify_waiters();
        }
        live.credential = Some(credential);
        live.standing = live.standing.renewed(at);
        live.doubt = None;
    }

    /// Tells whoever looks that new tokens wait to be stored.
    pub(super) fn hold_up(&self, detail: String) {
        let mut live = self.live();
        live.standing.reason = Some(Reason::VaultUnwritable);
        live.standing.detail = Some(detail);
    }

    pub(super) fn view<'a>(&'a self, oauth: &'a OAuth, live: &'a Live, now: Timestamp) -> View<'a> {
        View {
            account: &self.account,
            oauth,
            credential: live.credential.as_ref(),
            standing: &live.standing,
            in_doubt: live.doubt.is_some(),
            quota_at: self.client.quota().free_at(now),
            now,
        }
    }

    /// Reads the secrets a request needs.
    pub(super) fn secrets(&self, oauth: &OAuth) -> Result<Secrets, Error> {
        let secrets = Secrets::read(oauth, |source| self.client.vault.secret(source));
        secrets.map_err(|unusable| match unusable {
            Unusable::Secret { what, source } => self.secret_error(what, source),
            Unusable::Key(source) => Error::Key {
                account: self.account.clone(),
                source,
            },
            Unusable::Identity(source) => Error::Identity {
                account: self.account.clone(),
                source,
            },
        })
    }

    /// Reads a secret that is sent as it is.
    pub(super) fn secret(&self, what: &'static str, from: &SecretSource) -> Result<Secret, Error> {
        let secret = self.client.vault.secret(from);
        secret.map_err(|source| self.secret_error(what, source))
    }

    pub(super) fn secret_error(&self, what: &'static str, source: SecretError) -> Error {
        Error::Secret {
            account: self.account.clone(),
            what,
            source,
        }
    }

    /// Tells the log that the login ends whatever is done, once for each rung of nearness.
    pub(super) fn tell_end(&self, oauth: &OAuth, now: Timestamp) {
        let live = self.live();
        let notice = login_ends(&self.view(oauth, &live, now));
        let signed_in_at = live.credential.as_ref().map(|it| it.signed_in_at);
        drop(live);
        let Some((signed_in_at, (rung, notice))) = signed_in_at.zip(notice) else {
            return;
        };
        let reached = Some((signed_in_at, rung));
        let mut told = self.end_told.lock().unwrap_or_else(PoisonError::into_inner);
        // A later login, or a nearer end.
        if *told < reached {
            *told = reached;
            let notice = notice.told(&self.account.words());
            tracing::warn!(connection = %self.account, "{notice}");
        }
    }

    pub(super) fn error(&self, next_at: Option<Timestamp>) -> Error {
        let live = self.live();
        let Standing {
            state,
            reason,
            detail,
            ..
        } = &live.standing;
        Error::of_state(&self.account, *state, *reason, detail.clone(), next_at)
    }

    pub(super) fn health(&self, oauth: &OAuth, now: Timestamp) -> Health {
        let live = self.live();
        let view = self.view(oauth, &live, now);
        let mut health = health::of(&view, live.under_way().is_some());
        drop(live);
        if health.state == State::Ok
            && let Err(error) = self.secrets(oauth)
        {
            health.state = State::NeedsAttention;
            health.reason = Some(Reason::SecretMissing);
            health.detail = Some(crate::remedy::told(&error));
        }
        health
    }
}
