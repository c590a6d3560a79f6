//! Tokens that are not to be used: they came too late, as somebody had signed in meanwhile, or
//! belong to another person than the one who may sign in. The server is asked to revoke them, until
//! it has.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::entry::Entry;
use super::revoke::{CutShort, Desk, PAUSES, Patience};
use super::{Inner, Keeper, start};
use crate::clock;
use crate::config::OAuth;
use crate::oauth::grant::Tokens;
use crate::oauth::id_token::{IdTokenError, Person};
use crate::oauth::revocation::TokenKind;
use crate::oauth::vault::{self, Attempt, Orphan, Outcome, Vault};
use crate::oauth::window::ladder;
use crate::remedy::told;

/// How long tokens are kept that nobody revokes: as long as an answer that nobody can read.
const KEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Puts the `answer` of `attempt`, which holds `tokens`, where it is revoked from, and closes the
/// attempt. Returns the orphan there is then.
///
/// # Errors
/// If the vault cannot be written; the attempt stays open then.
pub(super) async fn put_by(
    vault: &Vault,
    attempt: &Attempt,
    answer: &[u8],
    tokens: &Tokens,
    now: Timestamp,
) -> Result<Option<Orphan>, vault::Error> {
    let (connection, id) = (&attempt.account, attempt.id);
    // An access token ends by itself, and with it some servers revoke the whole consent, the newer
    // login included.
    let is_lasting = tokens.refresh_token.is_some();
    if is_lasting
        && let Some(orphan) = vault
            .orphan(attempt, answer, Outcome::Superseded, None, now)
            .await?
    {
        tracing::warn!(%connection, attempt = id, "new tokens came after somebody had signed in anew; they are being revoked");
        return Ok(Some(orphan));
    }
    if is_lasting {
        tracing::error!(%connection, attempt = id, "new tokens do not fit the vault, and are set aside");
        vault.set_aside(attempt, now).await?;
    }
    let outcome = Outcome::Superseded;
    vault.close(attempt, outcome, None, None, now).await?;
    Ok(None)
}

impl Keeper {
    /// Goes on revoking what an earlier end left to be revoked.
    ///
    /// # Errors
    /// If the vault cannot be read.
    pub(super) async fn revoke_orphans(&self) -> Result<(), vault::Error> {
        for orphan in self.inner.vault.orphans(None).await? {
            self.inner.begin_revoking(orphan);
        }
        Ok(())
    }
}

impl Inner {
    /// Seals what a login brought for another person than may sign in, so that it can be revoked, and
    /// closes the attempt. Returns `None` and does nothing if that person may be signed in on another
    /// account: with one login some servers revoke every other of the same person.
    pub(super) async fn refuse(
        &self,
        entry: &Entry,
        attempt: &Attempt,
        answer: &[u8],
        tokens: &Tokens,
        why: &IdTokenError,
    ) -> Option<Orphan> {
        let is_strangers = *why == IdTokenError::OtherPerson && attempt.kind.is_login();
        if !is_strangers || tokens.refresh_token.is_none() {
            return None;
        }
        let stranger = Person::named_in(tokens.id_token.as_ref()?)?;
        let may_be_in_use = self
            .others(entry, OAuth::is_same_client)
            .iter()
            .any(|other| other.may_be_held_by(&stranger));
        if may_be_in_use {
            return None;
        }
        let (outcome, detail) = (Outcome::Refused, Some(why.to_string()));
        let now = self.clock.now();
        let orphan = self.vault.orphan(attempt, answer, outcome, detail, now);
        self.cope(attempt, orphan.await).flatten()
    }

    /// Has the server revoke what is in `orphan`, in the background.
    pub(super) fn begin_revoking(self: &Arc<Self>, orphan: Orphan) {
        let inner = Arc::clone(self);
        self.flights.spawn(async move {
            if let Err(error) = inner.give_away(&orphan).await {
                let error = told(&error);
                // The next start goes on with it.
                tracing::error!(connection = %orphan.account, error, "could not give up tokens that are not used");
            }
        });
    }

    /// Asks the server again and again until it has revoked the tokens, or they have been kept for
    /// long enough, and erases them. Stops with the program.
    async fn give_away(&self, orphan: &Orphan) -> Result<(), vault::Error> {
        let connection = &orphan.account;
        let keep_until = clock::after(orphan.found_at, KEEP);
        // Bounded by the time they are kept.
        for tries in 1.. {
            let Ok(refused) = self.try_to_revoke(orphan).await else {
                return Ok(());
            };
            let Some(why) = refused else { break };
            let now = self.clock.now();
            if now >= keep_until {
                tracing::warn!(%connection, why, "tokens that are not used could not be revoked, and are erased here; they stay valid at the provider until they end or this access is removed there");
                break;
            }
            self.vault.keep_orphan(orphan, why, now).await?;
            let next_at = clock::after(now, ladder(connection, tries)).min(keep_until);
            tokio::select! {
                () = self.clock.sleep_until(next_at) => {}
                () = self.stopping.cancelled() => return Ok(()),
            }
        }
        self.vault.erase_orphan(orphan).await
    }

    /// Asks for a few seconds; returns why the server has not revoked the tokens, if it has not.
    async fn try_to_revoke(&self, orphan: &Orphan) -> Result<Option<String>, CutShort> {
        let entry = match self.accounts.get(&orphan.account) {
            Ok(entry) => entry,
            Err(error) => return Ok(Some(told(&error))),
        };
        let Some(oauth) = entry.oauth() else {
            return Ok(Some(
                "its connection has no authorization server".to_owned(),
            ));
        };
        let desk = match self.desk(&entry, oauth).await {
            Ok(desk) => desk,
            Err(why) => return Ok(Some(why)),
        };
        let mut patience = Patience::new(self.clock.now(), &PAUSES);
        self.revoke_orphan(orphan, oauth, &desk, &mut patience)
            .await
    }

    /// Asks as long as `patience` lasts; returns why the server has not revoked the tokens, if it
    /// has not.
    pub(super) async fn revoke_orphan(
        &self,
        orphan: &Orphan,
        oauth: &OAuth,
        desk: &Desk,
        patience: &mut Patience,
    ) -> Result<Option<String>, CutShort> {
        let answer = match self.vault.orphaned_answer(orphan).await {
            Ok(Some(answer)) => answer,
            // Whoever has signed out has taken it along.
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(told(&error))),
        };
        let Some(tokens) = start::kept_tokens(oauth, &answer, self.clock.now()) else {
            return Ok(Some("no tokens can be read in it any more".to_owned()));
        };
        if let Some(token) = &tokens.refresh_token {
            let token = (TokenKind::RefreshToken, token);
            let refused = self.revoke(oauth, desk, token, patience).await?;
            if refused.is_some() {
                return Ok(refused);
            }
        }
        // It ends soon by itself, where the server does not revoke it.
        let token = (TokenKind::AccessToken, &tokens.access_token);
        if let Some(why) = self.revoke(oauth, desk, token, patience).await? {
            tracing::debug!(connection = %orphan.account, why, "an access token that is not used ends by itself");
        }
        tracing::info!(connection = %orphan.account, "the server has revoked tokens that are not used");
        Ok(None)
    }
}
