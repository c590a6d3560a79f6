//! Signing out: first nobody gets a token any more, then the server is told, then all is erased.
//!
//! That somebody signs out is written down before anything else, so that a start after a kill
//! finishes it. What the server could not be told stays valid there; whoever signs out is told so.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::entry::Entry;
use super::revoke::{CutShort, Desk, PAUSES, Patience};
use super::{Inner, Keeper};
use crate::config::{Account, OAuth};
use crate::oauth::Error;
use crate::oauth::revocation::{self, Remaining, SignedOut, TokenKind};
use crate::oauth::standing::{self, Reason, Standing};
use crate::oauth::vault::{self, Credential};
use crate::remedy;
use crate::secret::Secret;

/// Whether the server is told that somebody signs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// It is asked to revoke the tokens.
    AtServer,
    /// Nothing is sent.
    Offline,
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
            let _alone = entry.alone().await;
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
                let _alone = entry.alone().await;
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
    /// Signs out of an account of which nobody else asks for tokens.
    async fn sign_out(
        &self,
        entry: &Entry,
        revocation: Revocation,
        pauses: &'static [Duration],
    ) -> Result<SignedOut, Error> {
        let account = &entry.account;
        let now = self.clock.now();
        let leaving = Standing::needs_login(Reason::LoggingOut, None, now);
        self.vault.set_standing(account, leaving.clone()).await?;
        entry.empty(leaving);
        let mut done = SignedOut::default();
        if let Some(oauth) = entry.oauth() {
            let cut_short = |CutShort| Error::SigningOut {
                account: account.clone(),
            };
            let mut patience = Patience::new(now, pauses);
            let desk = match revocation {
                Revocation::AtServer => self.desk(entry, oauth).await,
                Revocation::Offline => Err("nothing was sent, because of `--offline`".to_owned()),
            };
            let given_back = self.give_back(account, oauth, &desk, &mut patience).await?;
            done = given_back.map_err(cut_short)?;
            let orphans = self.give_back_orphans(account, oauth, &desk, &mut patience);
            orphans.await?.map_err(cut_short)?;
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
    /// If the vault cannot be read; [`CutShort`] if the program stops before the server has answered.
    async fn give_back(
        &self,
        account: &Account,
        oauth: &OAuth,
        desk: &Result<Desk, String>,
        patience: &mut Patience,
    ) -> Result<Result<SignedOut, CutShort>, Error> {
        let mut done = SignedOut::default();
        let held = match self.held(account).await {
            Ok(Some(held)) => held,
            Ok(None) => return Ok(Ok(done)),
            Err(error @ vault::Error::Unreadable { .. }) => {
                let unknown = |token| Remaining {
                    token,
                    until: None,
                    why: error.to_string(),
                };
                let tokens = [TokenKind::RefreshToken, TokenKind::AccessToken];
                done.remaining = tokens.map(unknown).into();
                return Ok(Ok(done));
            }
            Err(error) => return Err(error.into()),
        };
        for (kind, token) in held.tokens() {
            let why = match desk {
                Ok(desk) => match self.revoke(oauth, desk, (kind, token), patience).await {
                    Ok(why) => why,
                    Err(cut_short) => return Ok(Err(cut_short)),
                },
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
        Ok(Ok(done))
    }

    /// Does the same with tokens that came too late and were not revoked yet.
    async fn give_back_orphans(
        &self,
        account: &Account,
        oauth: &OAuth,
        desk: &Result<Desk, String>,
        patience: &mut Patience,
    ) -> Result<Result<(), CutShort>, Error> {
        for orphan in self.vault.orphans(Some(account)).await? {
            let why = match desk {
                Ok(desk) => self.revoke_orphan(&orphan, oauth, desk, patience).await,
                Err(why) => Ok(Some(why.clone())),
            };
            match why {
                Ok(None) => {}
                Ok(Some(why)) => tracing::warn!(
                    connection = %account, why,
                    "tokens that came too late stay valid at the provider until they end, or this access is removed there"
                ),
                Err(cut_short) => return Ok(Err(cut_short)),
            }
        }
        Ok(Ok(()))
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
}
