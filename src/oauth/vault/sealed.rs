//! Secrets of the configuration that are sealed here: `{ vault = "name" }`.
//!
//! All are opened once, when the vault is, and kept in memory: a token request then needs no look
//! into the database. Each has a data key of its own, so that removing one shreds it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::Serialize;

use super::data_keys::Holder;
use super::{Error, Keys, Vault};
use crate::config::{Name, SecretError, SecretSource};
use crate::seal::Place;
use crate::secret::{ExposeSecret, Secret};
use crate::store::{self, Tx};

/// A sealed secret, without what it holds.
#[derive(Debug, Clone, Serialize)]
pub struct SealedSecret {
    /// What the configuration calls it.
    pub name: Name,
    /// When it was last set.
    pub set_at: Timestamp,
}

/// Every sealed secret, opened; `None` for one that could not be.
type Opened = BTreeMap<Name, Option<Secret>>;

/// The secrets of an open vault.
pub(super) struct Sealed {
    opened: RwLock<Opened>,
    /// Held while one changes, so that memory and disk change in the same order.
    turn: tokio::sync::Mutex<()>,
}

impl Sealed {
    /// Opens all secrets there are.
    pub(super) fn open(conn: &Connection, keys: &Keys) -> Result<Self, Error> {
        let mut opened = Opened::new();
        if keys.current().is_err() {
            // Nothing refers to a secret, or the key would have been demanded.
            return Ok(Self::of(opened));
        }
        for (name, data_key, sealed) in rows(conn)? {
            let secret = match keys.secret(conn, &name, data_key, &sealed) {
                Ok(secret) => Some(secret),
                Err(error @ Error::UnreadableSecret { .. }) => {
                    tracing::error!(%error, "set it again with `tidegate secret set {name}`");
                    None
                }
                Err(error) => return Err(error),
            };
            opened.insert(name, secret);
        }
        Ok(Self::of(opened))
    }

    fn of(opened: Opened) -> Self {
        Self {
            opened: RwLock::new(opened),
            turn: tokio::sync::Mutex::default(),
        }
    }

    fn get(&self, name: &Name) -> Result<Secret, SecretError> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        match opened.get(name) {
            Some(Some(secret)) => Ok(secret.clone()),
            Some(None) => Err(SecretError::Damaged { name: name.clone() }),
            None => Err(SecretError::NotSealed { name: name.clone() }),
        }
    }

    fn replace(&self, name: &Name, secret: Option<Secret>) {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        match secret {
            Some(secret) => opened.insert(name.clone(), Some(secret)),
            None => opened.remove(name),
        };
    }
}

impl Vault {
    /// Returns the secret that `source` names: the one way in which a secret is had.
    ///
    /// # Errors
    /// If it is not there, or cannot be read.
    pub(in crate::oauth) fn secret(&self, source: &SecretSource) -> Result<Secret, SecretError> {
        match source {
            SecretSource::Vault(name) => self.sealed.get(name),
            source => source.read(),
        }
    }

    /// Seals `secret` under `name`, over one that may be there.
    pub(in crate::oauth) async fn set_secret(
        &self,
        name: &Name,
        secret: Secret,
        at: Timestamp,
    ) -> Result<(), Error> {
        let _turn = self.sealed.turn.lock().await;
        let (keys, sealed_name, sealed) = (self.keys.clone(), name.clone(), secret.clone());
        self.store
            .write(move |tx| keys.set_secret(tx, &sealed_name, &sealed, at))
            .await?;
        self.sealed.replace(name, Some(secret));
        Ok(self.store.truncate_log().await?)
    }

    /// Removes the secret `name` and the key that sealed it; returns false if there is none.
    pub(in crate::oauth) async fn remove_secret(&self, name: &Name) -> Result<bool, Error> {
        let _turn = self.sealed.turn.lock().await;
        let removed = name.clone();
        let was_there = self
            .store
            .write(move |tx| remove(tx, &removed).map_err(Error::from))
            .await?;
        self.sealed.replace(name, None);
        self.store.truncate_log().await?;
        Ok(was_there)
    }
}

impl Keys {
    fn secret_place<'a>(&'a self, name: &'a Name) -> Place<'a> {
        Place {
            vault: &self.vault_id,
            table: "secrets",
            row: ["", name.as_str()],
            column: "value",
            generation: 0, // each value has a key of its own, which is part of its seal
        }
    }

    pub(super) fn set_secret(
        &self,
        tx: &Tx<'_>,
        name: &Name,
        secret: &Secret,
        at: Timestamp,
    ) -> Result<(), Error> {
        remove(tx, name)?;
        let key = self.new_data_key(tx, Holder::Secret(name), 0, at)?;
        let plain = secret.expose_secret().as_bytes();
        let sealed = key
            .seal(&self.secret_place(name), plain)
            .map_err(Error::Seal)?;
        tx.prepare_cached(
            "INSERT INTO secrets (name, data_key, value, set_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![name.as_str(), key.id(), sealed, at.to_string()])?;
        Ok(())
    }

    pub(super) fn secret(
        &self,
        conn: &Connection,
        name: &Name,
        data_key: u32,
        sealed: &[u8],
    ) -> Result<Secret, Error> {
        let unreadable = || Error::UnreadableSecret { name: name.clone() };
        let key = self.data_key(conn, Holder::Secret(name), data_key)?;
        let plain = key.unseal(&self.secret_place(name), sealed);
        let plain = plain.map_err(|_| unreadable())?;
        let text = std::str::from_utf8(&plain).map_err(|_| unreadable())?;
        Ok(Secret::from(text))
    }
}

/// Removes a secret and its key; returns false if there is none.
fn remove(tx: &Tx<'_>, name: &Name) -> Result<bool, rusqlite::Error> {
    let removed = tx
        .prepare_cached("DELETE FROM secrets WHERE name = ?1")?
        .execute([name.as_str()])?;
    tx.prepare_cached("DELETE FROM data_keys WHERE connection = ?1 AND account = ?2")?
        .execute(Holder::Secret(name).row())?;
    Ok(removed > 0)
}

/// Returns every sealed secret with the number of its key.
pub(super) fn rows(conn: &Connection) -> Result<Vec<(Name, u32, Vec<u8>)>, Error> {
    let mut statement = conn.prepare("SELECT name, data_key, value FROM secrets ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        // What is not named as we name is not ours.
        if let Ok(name) = Name::parse(&name) {
            found.push((name, row.get(1)?, row.get(2)?));
        }
    }
    Ok(found)
}

/// Returns the secrets that the vault at `path` has sealed, by name. It needs no key.
///
/// # Errors
/// If the vault is there and cannot be read.
pub fn sealed_secrets(path: &Path) -> Result<Vec<SealedSecret>, Error> {
    let conn = match store::open_reader(path, &store::VAULT) {
        Err(store::Error::Missing { .. }) => return Ok(Vec::new()),
        conn => conn?,
    };
    let mut statement = conn.prepare("SELECT name, set_at FROM secrets ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, set_at): (String, String) = (row.get(0)?, row.get(1)?);
        if let (Ok(name), Ok(set_at)) = (Name::parse(&name), set_at.parse()) {
            found.push(SealedSecret { name, set_at });
        }
    }
    Ok(found)
}
