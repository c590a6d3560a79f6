//! The random keys that seal everything, each for one holder, wrapped by the operator's key.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Error, Keys, unreadable};
use crate::config::{Account, Name};
use crate::seal::{DataKey, KeyId, Place};
use crate::store::Tx;

/// How many refreshes one key seals: each makes at most four records, and random nonces are safe for
/// far more than the 2^20 that makes (NIST SP 800-38D, 8.3: 2^32).
const MOST_GENERATIONS: i64 = 1 << 18;

/// Whose values a data key seals.
#[derive(Debug, Clone, Copy)]
pub(super) enum Holder<'a> {
    /// The tokens of an account.
    Account(&'a Account),
    /// One sealed secret.
    Secret(&'a Name),
}

impl Holder<'_> {
    /// Returns the holder as rows have it. No connection's name is empty.
    pub(super) fn row(&self) -> [&str; 2] {
        match self {
            Self::Account(account) => account.row(),
            Self::Secret(name) => ["", name.as_str()],
        }
    }

    fn unreadable(&self) -> Error {
        match *self {
            Self::Account(account) => unreadable(account, "data key"),
            Self::Secret(name) => Error::UnreadableSecret { name: name.clone() },
        }
    }
}

impl Keys {
    /// Where a wrapped key belongs: its number stands where a credential's generation would.
    fn key_place<'a>(&'a self, holder: &'a Holder<'_>, data_key: u32) -> Place<'a> {
        Place {
            vault: &self.vault_id,
            table: "data_keys",
            row: holder.row(),
            column: "wrapped",
            generation: data_key.into(),
        }
    }

    /// Returns the key `id` of `holder`.
    ///
    /// # Errors
    /// If it is gone, or cannot be opened.
    pub(super) fn data_key(
        &self,
        conn: &Connection,
        holder: Holder<'_>,
        id: u32,
    ) -> Result<DataKey, Error> {
        let [connection, account] = holder.row();
        self.current()?;
        let row: Option<(u32, Vec<u8>)> = conn
            .prepare_cached(
                "SELECT root_key, wrapped FROM data_keys
                 WHERE data_key = ?1 AND connection = ?2 AND account = ?3",
            )?
            .query_row(params![id, connection, account], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        row.and_then(|(root_key, wrapped)| {
            let root = self.get(KeyId(root_key))?;
            root.unwrap(&wrapped, &self.key_place(&holder, id), id).ok()
        })
        .ok_or_else(|| holder.unreadable())
    }

    /// Wraps the key `id` of `holder`, whatever wraps it now, by the current root key.
    ///
    /// # Errors
    /// If it cannot be opened, or the vault cannot be written.
    pub(super) fn rewrap(&self, tx: &Tx<'_>, holder: Holder<'_>, id: u32) -> Result<(), Error> {
        let key = self.data_key(tx, holder, id)?;
        let root = self.current()?;
        let wrapped = root.wrap(&key, &self.key_place(&holder, id));
        tx.prepare_cached("UPDATE data_keys SET root_key = ?1, wrapped = ?2 WHERE data_key = ?3")?
            .execute(params![root.id().0, wrapped.map_err(Error::Seal)?, id])?;
        Ok(())
    }

    /// Makes a new key for `holder`, whose credential is at `generation`.
    ///
    /// # Errors
    /// If there is no randomness, or the vault cannot be written.
    pub(super) fn new_data_key(
        &self,
        tx: &Tx<'_>,
        holder: Holder<'_>,
        generation: u64,
        at: Timestamp,
    ) -> Result<DataKey, Error> {
        let [connection, account] = holder.row();
        let root = self.current()?;
        // The number is part of the seal, so it is had first.
        tx.prepare_cached(
            "INSERT INTO data_keys (connection, account, root_key, wrapped, generation, created_at)
             VALUES (?1, ?2, ?3, x'', ?4, ?5)",
        )?
        .execute(params![
            connection,
            account,
            root.id().0,
            generation.cast_signed(),
            at.to_string()
        ])?;
        let id = u32::try_from(tx.last_insert_rowid()).map_err(|_| Error::Damaged {
            path: self.path.clone(),
            what: "too many keys".into(),
        })?;
        let key = DataKey::random(id).map_err(Error::Seal)?;
        let place = self.key_place(&holder, id);
        let wrapped = root.wrap(&key, &place).map_err(Error::Seal)?;
        tx.prepare_cached("UPDATE data_keys SET wrapped = ?1 WHERE data_key = ?2")?
            .execute(params![wrapped, id])?;
        Ok(key)
    }
}

/// True if the key `id` has sealed so much by `generation` that another should follow.
pub(super) fn is_worn(conn: &Connection, id: u32, generation: u64) -> Result<bool, Error> {
    let made_at: Option<i64> = conn
        .prepare_cached("SELECT generation FROM data_keys WHERE data_key = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let age = made_at.map(|made_at| generation.cast_signed().saturating_sub(made_at));
    Ok(age.is_some_and(|age| age >= MOST_GENERATIONS))
}

/// Drops the keys of `account` that seal neither its credential, nor an answer still awaited, nor
/// an orphan.
pub(super) fn drop_unused(tx: &Tx<'_>, account: &Account) -> Result<(), Error> {
    tx.prepare_cached(
        "DELETE FROM data_keys WHERE connection = ?1 AND account = ?2
           AND data_key NOT IN (
               SELECT data_key FROM credentials WHERE connection = ?1 AND account = ?2)
           AND data_key NOT IN (
               SELECT data_key FROM refreshes
               WHERE connection = ?1 AND account = ?2 AND ended_at IS NULL)
           AND data_key NOT IN (
               SELECT data_key FROM orphans WHERE connection = ?1 AND account = ?2)",
    )?
    .execute(account.row())?;
    Ok(())
}
