//! Answers that are not used: a newer login stood in their credential's place already, or another
//! person had signed in. They stay sealed until the server has revoked what is in them.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use super::data_keys::{self, Holder};
use super::{Attempt, Error, Keys, Outcome, Vault, attempts, unreadable};
use crate::config::Account;
use crate::seal::{DataKey, Place};
use crate::store::Tx;

/// An answer that is not used.
#[derive(Debug, Clone)]
pub(in crate::oauth) struct Orphan {
    pub id: i64,
    pub account: Account,
    pub found_at: Timestamp,
    /// Of the credential that it was to follow.
    generation: u64,
}

impl Vault {
    /// Seals the answer of `attempt`, which is not used, closes the attempt with `outcome` and gives
    /// its reserve back. Does nothing and returns `None` if it belongs to the login that is in use,
    /// which would end with what is in it.
    ///
    /// # Errors
    /// If it cannot be written; the attempt stays open then.
    pub(in crate::oauth) async fn orphan(
        &self,
        attempt: &Attempt,
        answer: &[u8],
        outcome: Outcome,
        detail: Option<String>,
        at: Timestamp,
    ) -> Result<Option<Orphan>, Error> {
        let (keys, orphaned) = (self.keys.clone(), attempt.clone());
        let answer = Zeroizing::new(answer.to_vec());
        let orphan = self
            .store
            .write(move |tx| {
                let orphan = keys.put_orphan(tx, &orphaned, &answer, at)?;
                if orphan.is_some() {
                    attempts::end(tx, orphaned.id, outcome, detail.as_deref(), at)?;
                    data_keys::drop_unused(tx, &orphaned.account)?;
                }
                Ok::<_, Error>(orphan)
            })
            .await?;
        if orphan.is_some() {
            self.discard(attempt.id).await?;
        }
        Ok(orphan)
    }

    /// Returns the orphans of `account`, or all of them, oldest first.
    pub(in crate::oauth) async fn orphans(
        &self,
        account: Option<&Account>,
    ) -> Result<Vec<Orphan>, Error> {
        let account = account.cloned();
        self.store
            .read(move |conn| rows(conn, account.as_ref()))
            .await
    }

    /// Opens an orphan; `None` if it is gone.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if it cannot be opened.
    pub(in crate::oauth) async fn orphaned_answer(
        &self,
        orphan: &Orphan,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let (keys, orphan) = (self.keys.clone(), orphan.clone());
        self.store
            .read(move |conn| keys.orphaned_answer(conn, &orphan))
            .await
    }

    /// Writes down why an orphan could not be revoked.
    pub(in crate::oauth) async fn keep_orphan(
        &self,
        orphan: &Orphan,
        why: String,
        at: Timestamp,
    ) -> Result<(), Error> {
        let id = orphan.id;
        self.store
            .write(move |tx| {
                tx.prepare_cached(
                    "UPDATE orphans SET tried_at = ?2, detail = ?3 WHERE orphan = ?1",
                )?
                .execute(params![id, at.to_string(), why])?;
                Ok(())
            })
            .await
    }

    /// Erases an orphan, and the key that sealed it if that seals nothing else.
    pub(in crate::oauth) async fn erase_orphan(&self, orphan: &Orphan) -> Result<(), Error> {
        let (id, account) = (orphan.id, orphan.account.clone());
        self.store
            .write(move |tx| {
                tx.prepare_cached("DELETE FROM orphans WHERE orphan = ?1")?
                    .execute([id])?;
                data_keys::drop_unused(tx, &account)
            })
            .await?;
        // The log still holds the page that was erased.
        Ok(self.store.truncate_log().await?)
    }
}

impl Keys {
    fn put_orphan(
        &self,
        tx: &Tx<'_>,
        attempt: &Attempt,
        answer: &[u8],
        at: Timestamp,
    ) -> Result<Option<Orphan>, Error> {
        let account = &attempt.account;
        let present: Option<u32> = tx
            .prepare_cached(
                "SELECT data_key FROM credentials WHERE connection = ?1 AND account = ?2",
            )?
            .query_row(account.row(), |row| row.get(0))
            .optional()?;
        // Each login has a data key of its own.
        if present == Some(attempt.key.id()) {
            return Ok(None);
        }
        let holder = Holder::Account(account);
        let key = match self.data_key(tx, holder, attempt.key.id()) {
            // It went with what it had sealed before.
            Err(Error::Unreadable { .. }) => {
                self.new_data_key(tx, holder, attempt.generation, at)?
            }
            key => key?,
        };
        let place = self.orphan_place(account, attempt.generation);
        let answer = key.seal(&place, answer).map_err(Error::Seal)?;
        let [connection, name] = account.row();
        tx.prepare_cached(
            "INSERT INTO orphans (connection, account, generation, data_key, answer, found_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            connection,
            name,
            attempt.generation.cast_signed(),
            key.id(),
            answer,
            at.to_string(),
        ])?;
        let id = tx.last_insert_rowid();
        Ok(Some(Orphan {
            id,
            account: account.clone(),
            found_at: at,
            generation: attempt.generation,
        }))
    }

    pub(super) fn orphaned_answer(
        &self,
        conn: &Connection,
        orphan: &Orphan,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let account = &orphan.account;
        let row: Option<(u32, Vec<u8>)> = conn
            .prepare_cached("SELECT data_key, answer FROM orphans WHERE orphan = ?1")?
            .query_row([orphan.id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((data_key, sealed)) = row else {
            return Ok(None);
        };
        let key = self.data_key(conn, Holder::Account(account), data_key)?;
        let place = self.orphan_place(account, orphan.generation);
        let answer = key.unseal(&place, &sealed);
        answer
            .map(Some)
            .map_err(|_| unreadable(account, "orphaned answer"))
    }

    /// Seals every orphan of `account` anew by `key`.
    pub(super) fn reseal_orphans(
        &self,
        tx: &Tx<'_>,
        account: &Account,
        key: &DataKey,
    ) -> Result<(), Error> {
        for orphan in rows(tx, Some(account))? {
            let Some(answer) = self.orphaned_answer(tx, &orphan)? else {
                continue;
            };
            let place = self.orphan_place(account, orphan.generation);
            let answer = key.seal(&place, &answer).map_err(Error::Seal)?;
            tx.prepare_cached("UPDATE orphans SET data_key = ?2, answer = ?3 WHERE orphan = ?1")?
                .execute(params![orphan.id, key.id(), answer])?;
        }
        Ok(())
    }

    fn orphan_place<'a>(&'a self, account: &'a Account, generation: u64) -> Place<'a> {
        Place {
            table: "orphans",
            ..self.place(account, "answer", generation)
        }
    }
}

/// Returns the orphans of `account`, or all of them, oldest first.
pub(super) fn rows(conn: &Connection, account: Option<&Account>) -> Result<Vec<Orphan>, Error> {
    let mut statement = conn.prepare_cached(
        "SELECT orphan, connection, account, generation, found_at FROM orphans ORDER BY orphan",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (connection, name): (String, String) = (row.get(1)?, row.get(2)?);
        // What is not named as we name is not ours.
        let Some(owner) = Account::from_row(&connection, &name) else {
            continue;
        };
        if account.is_none_or(|account| *account == owner) {
            let found_at: String = row.get(4)?;
            found.push(Orphan {
                id: row.get(0)?,
                found_at: found_at.parse().map_err(|_| unreadable(&owner, "date"))?,
                account: owner,
                generation: row.get::<_, i64>(3)?.cast_unsigned(),
            });
        }
    }
    Ok(found)
}

/// Erases the orphans of `account`.
pub(super) fn erase(tx: &Tx<'_>, account: &Account) -> Result<(), Error> {
    tx.prepare_cached("DELETE FROM orphans WHERE connection = ?1 AND account = ?2")?
        .execute(account.row())?;
    Ok(())
}
