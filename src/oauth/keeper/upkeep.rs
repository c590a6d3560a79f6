//! What a person does to the vault while it is in use.

use super::Keeper;
use crate::config::Name;
use crate::oauth::Error;
use crate::oauth::standing::Reason;
use crate::oauth::vault::{self, Rewrapped, Verified};
use crate::seal::KeyId;
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

    /// Lets every account refresh again that rests because the vault is an older copy of itself;
    /// returns how many there were.
    ///
    /// # Errors
    /// If the vault cannot be written.
    pub async fn adopt(&self) -> Result<u64, Error> {
        let inner = &self.inner;
        let adopted = inner.vault.adopt(inner.clock.now()).await?;
        for entry in inner.accounts.all() {
            let _alone = entry.alone().await;
            let rests = entry.live().standing.reason == Some(Reason::Restored);
            if let Some(oauth) = entry.oauth().filter(|_| rests) {
                inner.look_into_vault(&entry, oauth).await;
                inner.tell_changed(&entry.account);
            }
        }
        tracing::info!(accounts = adopted, "adopted a copy of the vault");
        Ok(adopted)
    }

    /// Brings every data key under the current root key.
    ///
    /// # Errors
    /// If the vault cannot be read or written; what was done until then stays done.
    pub async fn rewrap(&self) -> Result<Rewrapped, Error> {
        let rewrapped = self.inner.vault.rewrap().await?;
        tracing::info!(
            data_keys = rewrapped.data_keys,
            "brought data keys under the current key"
        );
        Ok(rewrapped)
    }

    /// Opens every record of the vault with the keys that are there.
    ///
    /// # Errors
    /// If the vault cannot be read.
    pub async fn verify(&self) -> Result<Verified, Error> {
        Ok(self.inner.vault.verify().await?)
    }

    /// Forgets a root key that nothing needs any more.
    ///
    /// # Errors
    /// If something does, or the vault does not know it.
    pub async fn drop_key(&self, key: KeyId) -> Result<(), Error> {
        self.inner.vault.drop_key(key).await?;
        tracing::info!(%key, "dropped a key");
        Ok(())
    }

    /// Seals everything anew by new data keys, and leaves nothing of the old on disk. An exchange
    /// under way is waited for.
    ///
    /// # Errors
    /// If the vault cannot be read or written. What cannot be opened is told and stays as it is.
    pub async fn reseal(&self) -> Result<Rewrapped, Error> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let mut done = Rewrapped::default();
        for account in inner.vault.accounts().await? {
            let entry = inner.accounts.get(&account).ok();
            let _alone = match &entry {
                Some(entry) => Some(entry.alone().await),
                None => None,
            };
            match inner.vault.reseal(&account, now).await {
                Ok(()) => done.data_keys += 1,
                Err(error @ vault::Error::Unreadable { .. }) => {
                    done.unreadable.push(error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
            // An attempt in doubt has another key now.
            if let Some((entry, oauth)) = entry.as_ref().and_then(|e| Some((e, e.oauth()?))) {
                inner.look_into_vault(entry, oauth).await;
            }
        }
        done.data_keys += inner.vault.reseal_secrets(now).await?;
        inner.vault.wipe_free_pages().await?;
        tracing::info!(data_keys = done.data_keys, "sealed everything anew");
        Ok(done)
    }
}
