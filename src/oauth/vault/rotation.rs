//! What a change of the operator's key needs, and what a leak of it does.
//!
//! A new current key wraps what is new from the start; [`Vault::rewrap`] brings the data keys that
//! are there under it, one transaction each, so that it can be cut short anywhere and the vault can
//! be read throughout. What is sealed by the data keys stays as it is: [`Vault::reseal`] changes
//! that too, for when a key has leaked.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::data_keys::{self, Holder};
use super::{Error, Keys, Vault, keys, orphans, sealed, unreadable};
use crate::config::{Account, Name};
use crate::oauth::points::{self, Point};
use crate::seal::KeyId;
use crate::secret::ExposeSecret;
use crate::store::{self, Tx};

/// What a rewrap did.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Rewrapped {
    /// How many data keys are now under the current key and were not before.
    pub data_keys: u64,
    /// What could not be opened, and so stays as it is.
    pub unreadable: Vec<String>,
}

/// What a vault holds, record by record.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Verified {
    /// Credentials that open.
    pub credentials: u64,
    /// Sealed secrets that open.
    pub secrets: u64,
    /// Orphaned answers that open.
    pub orphans: u64,
    /// Answers waiting to be stored that open.
    pub answers: u64,
    /// What does not open, in words.
    pub unreadable: Vec<String>,
}

/// What can be said of a vault without any key.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Survey {
    /// The keys it knows, oldest first.
    pub keys: Vec<KeyUse>,
    /// How many accounts are signed in.
    pub credentials: u64,
    /// How many secrets are sealed.
    pub secrets: u64,
    /// How many answers came too late and wait to be revoked.
    pub orphans: u64,
}

/// A key as the vault knows it.
#[derive(Debug, Clone, Serialize)]
pub struct KeyUse {
    /// Its id.
    pub key: String,
    /// How many data keys it wraps.
    pub data_keys: u64,
    /// Since when the vault knows it.
    pub since: String,
}

/// A data key that another root key than the current one wraps.
struct Outdated {
    id: u32,
    connection: String,
    account: String,
}

impl Outdated {
    /// Rewraps it, or says in words what could not be opened.
    fn rewrap(&self, tx: &Tx<'_>, keys: &Keys) -> Result<Option<String>, Error> {
        let rewrapped = match (self.connection.as_str(), Name::parse(&self.account)) {
            ("", Ok(secret)) => keys.rewrap(tx, Holder::Secret(&secret), self.id),
            _ => match Account::from_row(&self.connection, &self.account) {
                Some(account) => keys.rewrap(tx, Holder::Account(&account), self.id),
                None => return Ok(Some(format!("data key {} has no owner", self.id))),
            },
        };
        in_words(rewrapped)
    }
}

impl Vault {
    /// Brings every data key under the current root key.
    ///
    /// # Errors
    /// If the vault cannot be read or written; what was done until then stays done.
    pub(in crate::oauth) async fn rewrap(&self) -> Result<Rewrapped, Error> {
        let mut done = Rewrapped::default();
        let mut after = 0;
        loop {
            let keys = self.keys.clone();
            let step = self.store.write(move |tx| rewrap_next(tx, &keys, after));
            let Some((id, unreadable)) = step.await? else {
                return Ok(done);
            };
            after = id;
            match unreadable {
                Some(what) => done.unreadable.push(what),
                None => done.data_keys += 1,
            }
            points::reach_upkeep(Point::Rewrap).await;
        }
    }

    /// Opens every record with the keys that are there.
    ///
    /// # Errors
    /// If the vault cannot be read.
    pub(in crate::oauth) async fn verify(&self) -> Result<Verified, Error> {
        let keys = self.keys.clone();
        let mut verified = self.store.read(move |conn| keys.verify(conn)).await?;
        for account in self.accounts().await? {
            let open = match self.left_open(&account).await {
                Ok(open) => open,
                Err(error) => {
                    verified.unreadable.extend(in_words(Err(error))?);
                    continue;
                }
            };
            for attempt in open {
                if self.kept_answer(&attempt).await?.is_some() {
                    verified.answers += 1;
                }
            }
        }
        Ok(verified)
    }

    /// Forgets the key `id`, which nothing may need any more.
    ///
    /// # Errors
    /// [`Error::KeyInUse`] if something does.
    pub(in crate::oauth) async fn drop_key(&self, id: KeyId) -> Result<(), Error> {
        let keys = self.keys.clone();
        self.store
            .write(move |tx| {
                let refused = |why: String| Error::KeyInUse { key: id, why };
                if keys.current()?.id() == id {
                    return Err(refused("it is the current one".to_owned()));
                }
                if keys::needed(tx)?.contains(&id) {
                    let why = "data keys are still wrapped by it; type `tidegate vault rewrap`";
                    return Err(refused(why.to_owned()));
                }
                let dropped = tx.execute("DELETE FROM root_keys WHERE key_id = ?1", [id.0])?;
                match dropped {
                    0 => Err(refused("the vault does not know it".to_owned())),
                    _ => Ok(()),
                }
            })
            .await
    }

    /// Seals everything of `account` anew, by a new data key. The account's turn must be held.
    ///
    /// # Errors
    /// If something of it cannot be opened, or an answer waits to be stored.
    pub(in crate::oauth) async fn reseal(
        &self,
        account: &Account,
        at: Timestamp,
    ) -> Result<(), Error> {
        for attempt in self.left_open(account).await? {
            if self.kept_answer(&attempt).await?.is_some() {
                return Err(unreadable(account, "answer that waits to be stored"));
            }
        }
        let (keys, account) = (self.keys.clone(), account.clone());
        self.store
            .write(move |tx| keys.reseal(tx, &account, at))
            .await
    }

    /// Seals every secret anew, by new data keys.
    ///
    /// # Errors
    /// If the vault cannot be written. One that cannot be opened stays as it is.
    pub(in crate::oauth) async fn reseal_secrets(&self, at: Timestamp) -> Result<u64, Error> {
        let keys = self.keys.clone();
        self.store
            .write(move |tx| {
                let mut done = 0;
                for (name, data_key, value) in sealed::rows(tx)? {
                    if let Ok(secret) = keys.secret(tx, &name, data_key, &value) {
                        keys.set_secret(tx, &name, &secret, at)?;
                        done += 1;
                    }
                }
                Ok(done)
            })
            .await
    }

    /// Leaves nothing on disk of what was replaced.
    ///
    /// # Errors
    /// If the vault cannot be written.
    pub(in crate::oauth) async fn wipe_free_pages(&self) -> Result<(), Error> {
        Ok(self.store.compact().await?)
    }
}

impl Keys {
    fn verify(&self, conn: &Connection) -> Result<Verified, Error> {
        let mut verified = Verified::default();
        self.current()?;
        for (connection, account) in pairs(conn, "SELECT connection, account FROM credentials")? {
            let opened = match Account::from_row(&connection, &account) {
                Some(account) => self.opens(conn, &account),
                None => continue,
            };
            match in_words(opened)? {
                None => verified.credentials += 1,
                Some(what) => verified.unreadable.push(what),
            }
        }
        for (name, data_key, value) in sealed::rows(conn)? {
            match in_words(self.secret(conn, &name, data_key, &value).map(drop))? {
                None => verified.secrets += 1,
                Some(what) => verified.unreadable.push(what),
            }
        }
        for orphan in orphans::rows(conn, None)? {
            match in_words(self.orphaned_answer(conn, &orphan).map(drop))? {
                None => verified.orphans += 1,
                Some(what) => verified.unreadable.push(what),
            }
        }
        Ok(verified)
    }

    /// Opens both tokens of `account`.
    fn opens(&self, conn: &Connection, account: &Account) -> Result<(), Error> {
        if let Some(credential) = self.credential(conn, account)? {
            self.refresh_token(conn, account, credential.generation)?;
        }
        Ok(())
    }

    fn reseal(&self, tx: &Tx<'_>, account: &Account, at: Timestamp) -> Result<(), Error> {
        let credential = self.credential(tx, account)?;
        let generation = credential.as_ref().map_or(0, |present| present.generation);
        let key = self.new_data_key(tx, Holder::Account(account), generation, at)?;
        let [connection, name] = account.row();
        if let Some(credential) = credential {
            let refresh_token = self.refresh_token(tx, account, generation)?;
            let seal = |column, token: &crate::secret::Secret| {
                let place = self.place(account, column, generation);
                key.seal(&place, token.expose_secret().as_bytes())
                    .map_err(Error::Seal)
            };
            let sealed = refresh_token.map(|token| seal("refresh_token", &token));
            tx.prepare_cached(
                "UPDATE credentials SET data_key = ?3, access_token = ?4, refresh_token = ?5
                 WHERE connection = ?1 AND account = ?2",
            )?
            .execute(params![
                connection,
                name,
                key.id(),
                seal("access_token", &credential.access_token)?,
                sealed.transpose()?,
            ])?;
        }
        self.reseal_orphans(tx, account, &key)?;
        tx.prepare_cached(
            "UPDATE refreshes SET data_key = ?3
             WHERE connection = ?1 AND account = ?2 AND ended_at IS NULL",
        )?
        .execute(params![connection, name, key.id()])?;
        data_keys::drop_unused(tx, account)
    }
}

/// Rewraps the first data key after `after` that needs it; returns its number, and in words what
/// could not be opened.
fn rewrap_next(
    tx: &Tx<'_>,
    keys: &Keys,
    after: u32,
) -> Result<Option<(u32, Option<String>)>, Error> {
    let outdated = tx
        .prepare_cached(
            "SELECT data_key, connection, account FROM data_keys
             WHERE root_key <> ?1 AND data_key > ?2 ORDER BY data_key LIMIT 1",
        )?
        .query_row(params![keys.current()?.id().0, after], |row| {
            Ok(Outdated {
                id: row.get(0)?,
                connection: row.get(1)?,
                account: row.get(2)?,
            })
        })
        .optional()?;
    let Some(outdated) = outdated else {
        return Ok(None);
    };
    Ok(Some((outdated.id, outdated.rewrap(tx, keys)?)))
}

/// Tells a record that does not open in words; other errors are the vault's own.
fn in_words(opened: Result<(), Error>) -> Result<Option<String>, Error> {
    match opened {
        Ok(()) => Ok(None),
        Err(error @ (Error::Unreadable { .. } | Error::UnreadableSecret { .. })) => {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

fn pairs(conn: &Connection, sql: &str) -> Result<Vec<(String, String)>, Error> {
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How far a login had got.
#[derive(Debug, Clone, Serialize)]
pub struct Mark {
    /// The connection.
    pub connection: String,
    /// The account, if it has a name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// The number of its credential.
    pub generation: u64,
}

/// Returns how far each login in the vault at `path` had got. It needs no key.
///
/// # Errors
/// If the vault is there and cannot be read.
pub fn marks(path: &Path) -> Result<Vec<Mark>, Error> {
    let conn = match store::open_reader(path, &store::VAULT) {
        Err(store::Error::Missing { .. }) => return Ok(Vec::new()),
        conn => conn?,
    };
    let mut statement = conn.prepare(
        "SELECT connection, account, generation FROM credentials
         WHERE refresh_token IS NOT NULL ORDER BY connection, account",
    )?;
    let marks = statement.query_map([], |row| {
        Ok(Mark {
            connection: row.get(0)?,
            account: row.get(1)?,
            generation: row.get::<_, i64>(2)?.unsigned_abs(),
        })
    })?;
    Ok(marks.collect::<Result<_, _>>()?)
}

/// Says what the vault at `path` holds. It needs no key.
///
/// # Errors
/// If the vault is there and cannot be read.
pub fn survey(path: &Path) -> Result<Survey, Error> {
    let conn = match store::open_reader(path, &store::VAULT) {
        Err(store::Error::Missing { .. }) => return Ok(Survey::default()),
        conn => conn?,
    };
    let mut statement = conn.prepare(
        "SELECT key_id, (SELECT count(*) FROM data_keys WHERE root_key = key_id), created_at
         FROM root_keys ORDER BY created_at, key_id",
    )?;
    let keys = statement.query_map([], |row| {
        Ok(KeyUse {
            key: KeyId(row.get(0)?).to_string(),
            data_keys: row.get::<_, i64>(1)?.unsigned_abs(),
            since: row.get(2)?,
        })
    })?;
    let count =
        |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0).map(i64::unsigned_abs));
    Ok(Survey {
        keys: keys.collect::<Result<_, _>>()?,
        credentials: count("SELECT count(*) FROM credentials")?,
        secrets: count("SELECT count(*) FROM secrets")?,
        orphans: count("SELECT count(*) FROM orphans")?,
    })
}
