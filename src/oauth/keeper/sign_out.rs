//! Signing out: first nobody gets a token any more, then the server is told, then all is erased.
//!
//! That somebody signs out is written down before anything else, so that a start after a kill
//! finishes it. What the server could not be told stays valid there; whoever signs out is told so.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use super::entry::Entry;
use super::{Inner, Keeper};
use crate::clock;
use crate::config::{Account, OAuth};
use crate::http;
use crate::oauth::Error;
use crate::oauth::discovery::Server;
use crate::oauth::grant::{self, Client};
use crate::oauth::revocation::{self, Reading, Remaining, SignedOut, TokenKind};
use crate::oauth::secrets::Secrets;
use crate::oauth::standing::{self, Reason, Standing};
use crate::oauth::vault::{self, Credential};
use crate::remedy;
use crate::secret::{Redactor, Secret};

/// How long somebody who signs out waits for the server, all in all.
const MOST: Duration = Duration::from_secs(30);
/// How long one request may take.
const ONE_REQUEST: Duration = Duration::from_secs(10);
/// How soon the server is asked again; both tokens share these.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];

/// Whether the server is told that somebody signs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// It is asked to revoke the tokens.
    AtServer,
    /// Nothing is sent.
    Offline,
}

/// How often, and until when, a server is asked.
struct Patience {
    ends_at: Timestamp,
    pauses: std::slice::Iter<'static, Duration>,
}

impl Patience {
    fn new(now: Timestamp, pauses: &'static [Duration]) -> Self {
        Self {
            ends_at: clock::after(now, MOST),
            pauses: pauses.iter(),
        }
    }

    /// Returns when to ask again, not before `wait` is over; `None` if that is too late.
    fn next(&mut self, now: Timestamp, wait: Option<Duration>) -> Option<Timestamp> {
        let pause = self.pauses.next()?;
        let at = clock::after(now, wait.unwrap_or_default().max(*pause));
        (at < self.ends_at).then_some(at)
    }
}

/// What an account has that a server could revoke.
struct Held {
    credential: Credential,
    refresh_token: Option<Secret>,
}

impl Held {
    /// The refresh token first: a server that knows it revokes what came of it (RFC 7009 section
    /// 2.1), and it is what lasts.
    fn tokens(&self) -> impl Iterator<Item = (TokenKind, &Secret)> {
        let refresh_token = self.refresh_token.as_ref();
        refresh_token
            .map(|token| (TokenKind::RefreshToken, token))
            .into_iter()
            .chain([(TokenKind::AccessToken, &self.credential.access_token)])
    }

    /// Returns a token that stays as it is, unless it has ended by itself.
    fn remaining(
        &self,
        token: TokenKind,
        oauth: &OAuth,
        why: String,
        now: Timestamp,
    ) -> Option<Remaining> {
        let until = revocation::ends_at(token, oauth, &self.credential);
        let lasts = until.is_none_or(|until| until > now);
        lasts.then_some(Remaining { token, until, why })
    }
}

/// Where tokens are revoked, and what the client proves itself with there.
struct Desk {
    server: Server,
    url: Url,
    secrets: Secrets,
}

impl Keeper {
    /// Revokes an account's tokens at the server, as far as it can be reached within half a minute,
    /// and forgets everything about the account here. Once begun this ends by itself, also if the
    /// caller goes away or the process is killed.
    ///
    /// # Errors
    /// If there is no such account, the vault cannot be written, or the program stops meanwhile.
    pub async fn logout(
        &self,
        account: &Account,
        revocation: Revocation,
    ) -> Result<SignedOut, Error> {
        let entry = self.inner.accounts.dismiss(account)?;
        let cut_short = || Error::SigningOut {
            account: account.clone(),
        };
        if self.inner.stopping.is_cancelled() {
            return Err(Error::Stopping {
                account: account.clone(),
            });
        }
        let inner = Arc::clone(&self.inner);
        let work = self.inner.flights.spawn(async move {
            let _turn = entry.turn.lock().await;
            inner.sign_out(&entry, revocation, &PAUSES).await
        });
        work.await.unwrap_or_else(|_| Err(cut_short()))
    }

    /// Finishes what a kill cut short: asks each server once more, and erases.
    pub(super) fn finish_logouts(&self) {
        let entries = self.inner.accounts.all();
        for entry in entries.into_iter().filter(|entry| entry.is_leaving()) {
            let inner = Arc::clone(&self.inner);
            self.inner.flights.spawn(async move {
                let _turn = entry.turn.lock().await;
                // Somebody may have signed in again instead.
                if !entry.is_leaving() {
                    return;
                }
                let done = inner.sign_out(&entry, Revocation::AtServer, &[]).await;
                if let Err(error) = done {
                    let error = remedy::told(&error);
                    tracing::error!(connection = %entry.account, error, "could not finish signing out");
                }
            });
        }
    }
}

impl Inner {
    /// Signs out whoever has the turn.
    async fn sign_out(
        &self,
        entry: &Entry,
        revocation: Revocation,
        pauses: &'static [Duration],
    ) -> Result<SignedOut, Error> {
        let account = &entry.account;
        let now = self.clock.now();
        let leaving = Standing::needs_login(Reason::LoggingOut, None, now);
        self.vault.leave(account, leaving.clone()).await?;
        entry.empty(leaving);
        let mut done = SignedOut::default();
        if let Some(oauth) = entry.oauth() {
            let patience = Patience::new(now, pauses);
            done = self.give_back(entry, oauth, revocation, patience).await?;
        }
        for remaining in &done.remaining {
            tracing::warn!(connection = %account, "{remaining}");
        }
        let now = self.clock.now();
        self.vault.erase(account, now).await?;
        let reason = Reason::LoggedOut;
        entry.empty(standing::without_credential(entry.oauth(), reason, now));
        self.accounts.forget(account);
        self.tell_changed(account);
        tracing::info!(connection = %account, revoked = done.revoked.len(), "signed out");
        Ok(done)
    }

    /// Has the server revoke what the account holds.
    ///
    /// # Errors
    /// If the vault cannot be read, or the program stops before the server has answered.
    async fn give_back(
        &self,
        entry: &Entry,
        oauth: &OAuth,
        revocation: Revocation,
        mut patience: Patience,
    ) -> Result<SignedOut, Error> {
        let mut done = SignedOut::default();
        let held = match self.held(&entry.account).await {
            Ok(Some(held)) => held,
            Ok(None) => return Ok(done),
            Err(error @ vault::Error::Unreadable { .. }) => {
                let unknown = |token| Remaining {
                    token,
                    until: None,
                    why: error.to_string(),
                };
                let tokens = [TokenKind::RefreshToken, TokenKind::AccessToken];
                done.remaining = tokens.map(unknown).into();
                return Ok(done);
            }
            Err(error) => return Err(error.into()),
        };
        let desk = self.desk(entry, oauth, revocation).await;
        for (kind, token) in held.tokens() {
            let why = match &desk {
                Ok(desk) => {
                    let revoked = self.revoke(entry, oauth, desk, (kind, token), &mut patience);
                    revoked.await?
                }
                Err(why) => Some(why.clone()),
            };
            match why {
                None => done.revoked.push(kind),
                Some(why) => {
                    let now = self.clock.now();
                    done.remaining.extend(held.remaining(kind, oauth, why, now));
                }
            }
        }
        Ok(done)
    }

    async fn held(&self, account: &Account) -> Result<Option<Held>, vault::Error> {
        let Some(credential) = self.vault.load(account).await? else {
            return Ok(None);
        };
        let generation = credential.generation;
        Ok(Some(Held {
            refresh_token: self.vault.refresh_token(account, generation).await?,
            credential,
        }))
    }

    /// Finds out where tokens are revoked; says why that is not to be done.
    async fn desk(
        &self,
        entry: &Entry,
        oauth: &OAuth,
        revocation: Revocation,
    ) -> Result<Desk, String> {
        if revocation == Revocation::Offline {
            return Err("nothing was sent, because of `--offline`".to_owned());
        }
        let server = match oauth.endpoints.revocation {
            Some(_) => self.server(entry, oauth).await,
            None => self.whole_server(entry, oauth).await,
        };
        let server = server.map_err(|error| remedy::told(&error))?;
        let Some(url) = server.revocation.clone() else {
            return Err("no `revocation_url` is known for this connection".to_owned());
        };
        let secrets = entry.secrets(oauth);
        Ok(Desk {
            server,
            url,
            secrets: secrets.map_err(|error| remedy::told(&error))?,
        })
    }

    /// Asks until the server has revoked one token, or says why it has not.
    ///
    /// # Errors
    /// If the program stops before the server has answered.
    async fn revoke(
        &self,
        entry: &Entry,
        oauth: &OAuth,
        desk: &Desk,
        token: (TokenKind, &Secret),
        patience: &mut Patience,
    ) -> Result<Option<String>, Error> {
        let client = Client {
            oauth,
            server: &desk.server,
            secrets: &desk.secrets,
        };
        // Bounded by the patience.
        loop {
            let ends_at = patience.ends_at;
            let (why, wait) = match self.ask_to_revoke(client, &desk.url, token, ends_at).await {
                Reading::Revoked => return Ok(None),
                Reading::Refused(why) => return Ok(Some(why)),
                Reading::Later { why, wait } => (why, wait),
            };
            let Some(at) = patience.next(self.clock.now(), wait) else {
                return Ok(Some(why));
            };
            tokio::select! {
                () = self.clock.sleep_until(at) => {}
                () = self.stopping.cancelled() => {
                    return Err(Error::SigningOut { account: entry.account.clone() });
                }
            }
        }
    }

    async fn ask_to_revoke(
        &self,
        client: Client<'_>,
        url: &Url,
        token: (TokenKind, &Secret),
        ends_at: Timestamp,
    ) -> Reading {
        let now = self.clock.now();
        let left = clock::until(now, ends_at);
        if left.is_zero() {
            let why = "the server had no time left to answer in".to_owned();
            return Reading::Later { why, wait: None };
        }
        let request = match revocation::request(client, url, token, now) {
            Ok(request) => request,
            Err(error) => return Reading::Refused(error.to_string()),
        };
        let limits = http::Limits {
            timeout: ONE_REQUEST.min(left),
            body: grant::ANSWER_LIMIT,
        };
        let identity = client.secrets.identity.as_ref();
        match self.http.exchange(request, identity, limits).await {
            Ok(answer) => {
                let sent = client.secrets.sent().chain([token.1]).cloned();
                revocation::read(&answer, &Redactor::new(sent), self.clock.now())
            }
            Err(error) => Reading::Later {
                why: error.to_string(),
                wait: None,
            },
        }
    }
}
