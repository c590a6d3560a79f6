//! Signing out.

use super::Keeper;
use crate::config::Account;
use crate::oauth::Error;
use crate::oauth::standing::{self, Reason};

impl Keeper {
    /// Forgets everything about an account, here; the server is not told.
    ///
    /// # Errors
    /// If there is no such account, or the vault cannot be written.
    pub async fn logout(&self, account: &Account) -> Result<(), Error> {
        let entry = self.inner.accounts.dismiss(account)?;
        let _turn = entry.turn.lock().await;
        let now = self.inner.clock.now();
        self.inner.vault.erase(account, now).await?;
        {
            let mut live = entry.live();
            live.credential = None;
            live.doubt = None;
            live.standing = standing::without_credential(entry.oauth(), Reason::LoggedOut, now);
        }
        self.inner.accounts.forget(account);
        tracing::info!(connection = %account, "signed out");
        Ok(())
    }
}
