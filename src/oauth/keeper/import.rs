//! Tokens that were obtained elsewhere and are brought in.

use std::sync::Arc;

use super::entry::Entry;
use super::sign_in::done;
use super::{Inner, Keeper};
use crate::config::Account;
use crate::oauth::Error;
use crate::oauth::grant::{self, Tokens};
use crate::oauth::login::{self, LoginDone};
use crate::oauth::vault::{Intent, Kind, Outcome};
use crate::secret::{ExposeSecret, Secret};

impl Keeper {
    /// Signs in with tokens that were obtained elsewhere: the answer of a token endpoint as JSON
    /// (RFC 6749 section 5.1), or a refresh token alone in such an object.
    ///
    /// Nothing is asked of the server. It may be an account that was not there before.
    ///
    /// # Errors
    /// If the connection does not live on tokens, there are none in `brought`, or they cannot be
    /// stored; the credential that was there stays.
    pub async fn import(&self, account: &Account, brought: &Secret) -> Result<LoginDone, Error> {
        let now = self.inner.clock.now();
        let entry = self.inner.accounts.admit_import(account, now)?;
        let imported = self.take_in(&entry, brought).await;
        if imported.is_err() {
            self.inner.accounts.forget(account);
        }
        imported
    }

    async fn take_in(&self, entry: &Arc<Entry>, brought: &Secret) -> Result<LoginDone, Error> {
        let account = entry.account.clone();
        let oauth = entry.oauth().ok_or(login::Error::Broken)?;
        let now = self.inner.clock.now();
        let tokens = grant::imported(oauth, brought.expose_secret(), now);
        let tokens = tokens.map_err(|why| login::Error::Unimportable {
            account: account.clone(),
            why,
        })?;
        if self.inner.stopping.is_cancelled() {
            return Err(Error::Stopping { account });
        }
        let (inner, entry) = (Arc::clone(&self.inner), Arc::clone(entry));
        // Once it is begun it ends by itself, also if the caller goes away.
        let stored = self.inner.flights.spawn(async move {
            let done = inner.put_in(&entry, &tokens).await;
            inner.tell_changed(&entry.account);
            done
        });
        stored
            .await
            .unwrap_or(Err(Error::Login(login::Error::Broken)))
    }
}

impl Inner {
    /// Stores tokens in place of what was there, an exchange under way having ended.
    async fn put_in(&self, entry: &Entry, tokens: &Tokens) -> Result<LoginDone, Error> {
        let _alone = entry.alone().await;
        let now = self.clock.now();
        let intent = Intent {
            account: entry.account.clone(),
            kind: Kind::Import,
            generation: None,
            fingerprint: None,
            at: now,
            counts_until: None,
        };
        let attempt = self.vault.begin(intent).await?;
        match self.vault.commit(&attempt, tokens, None, now).await {
            Ok(credential) => {
                entry.renew(credential.clone(), attempt.kind, now);
                self.admit_again(entry, now);
                tracing::info!(
                    connection = %entry.account,
                    attempt = attempt.id,
                    generation = credential.generation,
                    "brought in tokens that were obtained elsewhere"
                );
                Ok(done(entry.account.clone(), &credential))
            }
            Err(error) => {
                let closed = self
                    .vault
                    .close(&attempt, Outcome::NotSent, None, None, now)
                    .await;
                self.cope(&attempt, closed);
                Err(error.into())
            }
        }
    }
}
