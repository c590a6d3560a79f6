//! What follows when a source refuses an access token.

use super::{Keeper, PATIENCE, ROUNDS};
use crate::clock;
use crate::config::Account;
use crate::oauth::{AccessToken, Error};

impl Keeper {
    /// Returns a newer access token than that of `generation` if there is one, waiting for a refresh
    /// that is under way: some servers end the old one as they give the new one, and some sources
    /// then answer 403. No refresh is begun.
    ///
    /// # Errors
    /// If the newer one has ended already and there is no other.
    pub async fn newer(
        &self,
        account: &Account,
        generation: u64,
    ) -> Result<Option<AccessToken>, Error> {
        let entry = &self.inner.accounts.get(account)?;
        let Some(oauth) = entry.oauth() else {
            return Ok(None);
        };
        let deadline = clock::after(self.inner.clock.now(), PATIENCE);
        self.landed(entry, deadline).await;
        let present = entry.live().generation();
        match present == Some(generation) {
            true => Ok(None),
            false => self.access_token(entry, oauth).await.map(Some),
        }
    }

    /// Returns another access token after the source has refused the one of `generation`: a newer
    /// one if there is one, else the fruit of one refresh.
    ///
    /// # Errors
    /// If there is none; [`Error::AccessRefused`] if the one refused had only just been issued, so
    /// that another would not help.
    pub async fn rejected(&self, account: &Account, generation: u64) -> Result<AccessToken, Error> {
        let entry = &self.inner.accounts.get(account)?;
        let Some(oauth) = entry.oauth() else {
            return Err(Error::TokenRefused {
                account: account.clone(),
            });
        };
        let deadline = clock::after(self.inner.clock.now(), PATIENCE);
        for _ in 0..ROUNDS {
            if !self.landed(entry, deadline).await {
                break;
            }
            let (present, is_brand_new, allowed_at) = {
                let live = entry.live();
                let view = entry.view(oauth, &live, self.inner.clock.now());
                (
                    live.generation(),
                    view.is_brand_new(),
                    view.allowed_at(true),
                )
            };
            if present != Some(generation) {
                return self.access_token(entry, oauth).await;
            }
            if is_brand_new {
                return Err(Error::AccessRefused {
                    account: account.clone(),
                });
            }
            if !self.wait(allowed_at).await {
                return Err(entry.error(allowed_at));
            }
            entry.secrets(oauth)?;
            self.depart(entry, present, true)?;
        }
        Err(self.slow(entry))
    }
}
