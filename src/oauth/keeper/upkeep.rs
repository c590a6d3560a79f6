//! What a person does to the vault while it is in use.

use super::Keeper;
use crate::config::Name;
use crate::oauth::Error;
use crate::secret::Secret;

impl Keeper {
    /// Seals `secret` under `name`, over one that may be there; what refers to it uses it at once.
    ///
    /// # Errors
    /// If the vault cannot be written.
    pub async fn set_secret(&self, name: &Name, secret: Secret) -> Result<(), Error> {
        let now = self.inner.clock.now();
        self.inner.vault.set_secret(name, secret, now).await?;
        tracing::info!(secret = %name, "sealed a secret");
        Ok(())
    }

    /// Removes the sealed secret `name` and the key that sealed it; returns false if there is none.
    ///
    /// # Errors
    /// If the vault cannot be written.
    pub async fn remove_secret(&self, name: &Name) -> Result<bool, Error> {
        let was_there = self.inner.vault.remove_secret(name).await?;
        tracing::info!(secret = %name, was_there, "removed a sealed secret");
        Ok(was_there)
    }
}
