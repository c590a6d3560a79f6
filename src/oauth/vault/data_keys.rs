//! The random keys that seal everything, each for one holder, wrapped by the operator's key.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Error, Keys, unreadable};
use crate::config::{Account, Name};
use crate::seal::{DataKey, Place};
use crate::store::Tx;

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
        let wrapped: Option<Vec<u8>> = conn
            .prepare_cached(
                "SELECT wrapped FROM data_keys
                 WHERE data_key = ?1 AND connection = ?2 AND account = ?3",
            )?
            .query_row(params![id, connection, account], |row| row.get(0))
            .optional()?;
        wrapped
            .and_then(|wrapped| {
                let place = self.key_place(&holder, id);
                self.root.unwrap(&wrapped, self.key_id, &place, id).ok()
            })
            .ok_or_else(|| holder.unreadable())
    }

    /// Makes a new key for `holder`.
    ///
    /// # Errors
    /// If there is no randomness, or the vault cannot be written.
    pub(super) fn new_data_key(
        &self,
        tx: &Tx<'_>,
        holder: Holder<'_>,
        at: Timestamp,
    ) -> Result<DataKey, Error> {
        let [connection, account] = holder.row();
        // The number is part of the seal, so it is had first.
        tx.prepare_cached(
            "INSERT INTO data_keys (connection, account, root_key, wrapped, created_at)
             VALUES (?1, ?2, ?3, x'', ?4)",
        )?
        .execute(params![connection, account, self.key_id, at.to_string()])?;
        let id = u32::try_from(tx.last_insert_rowid()).map_err(|_| Error::Damaged {
            path: self.path.clone(),
            what: "too many keys".into(),
        })?;
        let key = DataKey::random(id).map_err(Error::Seal)?;
        let place = self.key_place(&holder, id);
        let wrapped = self
            .root
            .wrap(&key, self.key_id, &place)
            .map_err(Error::Seal)?;
        tx.prepare_cached("UPDATE data_keys SET wrapped = ?1 WHERE data_key = ?2")?
            .execute(params![wrapped, id])?;
        Ok(key)
    }
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
