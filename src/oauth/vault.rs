//! Credentials at rest: sealed, numbered, and never overwritten by a loser.
//!
//! The vault owns every table of `vault.db`. Each credential has a generation; a new one is
//! written only over the one it was made from. What seals it is one random key per login, wrapped
//! by the operator's key and dropped when the credential is.

mod attempts;
mod glance;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

pub(super) use attempts::{Attempt, Intent, Kind, Outcome};
pub use glance::glance;

use super::grant::Tokens;
use super::rescue::Rescue;
use super::standing::{Reason, Standing};
use crate::clock;
use crate::config::Name;
use crate::remedy::Remedy;
use crate::seal::{self, DataKey, Place, RootKey};
use crate::secret::{ExposeSecret, Secret};
use crate::store::{self, Store, Tx};

/// The one key there is until keys can be rotated.
const FIRST_KEY: u32 = 1;
/// The fact that names the vault.
const VAULT_ID: &str = "vault_id";
/// The account of a connection that has only one.
const ACCOUNT: &str = "";

/// Why the vault could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The vault was sealed with another key.
    #[error("the key does not open the vault `{}`: it was sealed with another one", path.display())]
    WrongKey {
        /// The vault.
        path: PathBuf,
    },
    /// The vault holds what it cannot hold.
    #[error("the vault `{}` is damaged: {what}", path.display())]
    Damaged {
        /// The vault.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A sealed value of one connection cannot be opened, under a key that is right.
    #[error("the sealed {column} of connection `{connection}` cannot be opened")]
    Unreadable {
        /// The connection.
        connection: String,
        /// The value.
        column: &'static str,
    },
    /// Somebody else stored a newer credential meanwhile.
    #[error("connection `{connection}` has a newer credential")]
    Conflict {
        /// The connection.
        connection: String,
    },
    /// The disk for an answer could not be reserved or used.
    #[error("could not use `{}`", path.display())]
    Rescue {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nothing could be sealed.
    #[error(transparent)]
    Seal(seal::Error),
    /// The database failed.
    #[error("could not use the vault")]
    Store(#[from] store::Error),
}

impl Error {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::WrongKey { .. } | Self::Damaged { .. } => Remedy::EditConfig,
            Self::Unreadable { .. } => Remedy::Login,
            Self::Conflict { .. } | Self::Rescue { .. } | Self::Seal(_) => Remedy::Wait,
            Self::Store(error) => error.remedy(),
        }
    }

    /// Says what to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::WrongKey { .. } => Some(
                "bring back the key it was sealed with; without it, move the vault away and sign \
                 in again everywhere",
            ),
            Self::Damaged { .. } => {
                Some("bring back a copy of it, or move it away and sign in again everywhere")
            }
            Self::Rescue { .. } => {
                Some("the user that runs tidegate needs room and the right to write there")
            }
            Self::Store(error) => error.hint(),
            Self::Unreadable { .. } | Self::Conflict { .. } | Self::Seal(_) => None,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A credential in use.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    pub generation: u64,
    pub access_token: Secret,
    pub has_refresh_token: bool,
    /// When the request was sent that brought it.
    pub issued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub refresh_expires_at: Option<Timestamp>,
    /// True once a refresh has brought a new refresh token.
    pub rotates: bool,
    pub scope: Option<String>,
}

/// The sealed credentials of one state directory. Clones share it.
#[derive(Clone)]
pub(super) struct Vault {
    store: Store,
    rescue: Rescue,
    keys: Arc<Keys>,
}

/// What opens the vault.
struct Keys {
    path: PathBuf,
    root: RootKey,
    key_id: u32,
    vault_id: String,
}

/// Makes the vault in `state_dir`, or finds that it is there already and that `key` opens it.
///
/// # Errors
/// If a vault with another key is there, or it cannot be made.
pub async fn create(state_dir: &Path, key: RootKey, at: Timestamp) -> Result<(), Error> {
    let store = Store::open(&state_dir.join("vault.db"), &store::VAULT)?;
    Vault::open(state_dir, store, key, at).await.map(|_| ())
}

impl Vault {
    /// Opens the vault, and makes it `key`'s if nothing was ever sealed in it.
    ///
    /// An empty vault takes the first valid key it is opened with: a service whose key comes from
    /// systemd has nobody who could call `vault init` for it. One that holds anything never does.
    pub(super) async fn open(
        state_dir: &Path,
        store: Store,
        key: RootKey,
        at: Timestamp,
    ) -> Result<Self, Error> {
        let rescue = Rescue::open(state_dir).map_err(|source| Error::Rescue {
            path: state_dir.to_owned(),
            source,
        })?;
        let path = store.path().to_owned();
        let keys = store
            .write(move |tx| Keys::checked(tx, path, key, at))
            .await?;
        Ok(Self {
            store,
            rescue,
            keys: Arc::new(keys),
        })
    }

    /// Returns what is known of `connection`.
    pub(super) async fn load(&self, connection: &Name) -> Result<Option<Credential>, Error> {
        let (keys, connection) = (Arc::clone(&self.keys), connection.clone());
        self.store
            .read(move |conn| keys.credential(conn, connection.as_str()))
            .await
    }

    /// Returns the refresh token of one generation, to be spent.
    pub(super) async fn refresh_token(
        &self,
        connection: &Name,
        generation: u64,
    ) -> Result<Option<Secret>, Error> {
        let (keys, connection) = (Arc::clone(&self.keys), connection.clone());
        self.store
            .read(move |conn| keys.refresh_token(conn, connection.as_str(), generation))
            .await
    }

    /// Returns a digest of `parts` that only the holder of the key can make.
    pub(super) fn fingerprint(&self, parts: &[&[u8]]) -> [u8; seal::KEY] {
        self.keys.root.fingerprint(parts)
    }

    /// Stores what `attempt` brought as the next generation, closes it, and returns the credential.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the generation it was made from is no longer the present one.
    pub(super) async fn commit(
        &self,
        attempt: &Attempt,
        tokens: &Tokens,
        at: Timestamp,
    ) -> Result<Credential, Error> {
        let (keys, attempt, tokens) = (Arc::clone(&self.keys), attempt.clone(), tokens.clone());
        self.store
            .write(move |tx| {
                let credential = keys.put(tx, &attempt, tokens)?;
                let connection = attempt.connection.as_str();
                attempts::close_committed(tx, &attempt, at)?;
                attempts::stand(tx, connection, &Standing::ok(at))?;
                drop_unused_keys(tx, connection)?;
                Ok(credential)
            })
            .await
    }

    /// Erases everything of `connection`, and the key that sealed it.
    pub(super) async fn erase(&self, connection: &Name, at: Timestamp) -> Result<(), Error> {
        let name = connection.clone();
        let attempts = self
            .store
            .write(move |tx| {
                let connection = name.as_str();
                tx.prepare_cached("DELETE FROM credentials WHERE connection = ?1")?
                    .execute([connection])?;
                let attempts = attempts::supersede(tx, connection, at)?;
                drop_unused_keys(tx, connection)?;
                let standing = Standing::needs_login(Reason::LoggedOut, None, at);
                attempts::stand(tx, connection, &standing)?;
                Ok::<_, Error>(attempts)
            })
            .await?;
        for attempt in attempts {
            self.discard(attempt).await?;
        }
        // The log still holds the pages that were erased.
        Ok(self.store.truncate_log().await?)
    }
}

impl Keys {
    fn checked(tx: &Tx<'_>, path: PathBuf, root: RootKey, at: Timestamp) -> Result<Self, Error> {
        let damaged = |what: &str| Error::Damaged {
            path: path.clone(),
            what: what.to_owned(),
        };
        let vault_id: Option<String> = tx
            .query_row(
                "SELECT value FROM facts WHERE name = ?1",
                [VAULT_ID],
                |row| row.get(0),
            )
            .optional()?;
        let known: Option<(u32, Vec<u8>)> = tx
            .query_row(
                "SELECT key_id, check_value FROM root_keys ORDER BY key_id DESC LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let sealed: i64 = tx.query_row(
            "SELECT (SELECT count(*) FROM data_keys) + (SELECT count(*) FROM credentials)",
            [],
            |row| row.get(0),
        )?;
        match (vault_id, known) {
            (Some(vault_id), Some((key_id, check_value))) => {
                if check_value.len() <= seal::OVERHEAD {
                    return Err(damaged("the check value of its key is cut short"));
                }
                if !root.is_checked_by(&check_value, &vault_id, key_id) {
                    return Err(Error::WrongKey { path });
                }
                Ok(Self {
                    path,
                    root,
                    key_id,
                    vault_id,
                })
            }
            (None, None) if sealed == 0 => Self::initialised(tx, path, root, at),
            _ => Err(damaged(
                "it holds sealed values, but not what its key is known by",
            )),
        }
    }

    fn initialised(
        tx: &Tx<'_>,
        path: PathBuf,
        root: RootKey,
        at: Timestamp,
    ) -> Result<Self, Error> {
        let bytes = seal::random::<16>().map_err(Error::Seal)?;
        let vault_id = format!("{:032x}", u128::from_be_bytes(*bytes));
        let check_value = root
            .check_value(&vault_id, FIRST_KEY)
            .map_err(Error::Seal)?;
        tx.execute(
            "INSERT INTO facts (name, value) VALUES (?1, ?2)",
            [VAULT_ID, &vault_id],
        )?;
        tx.execute(
            "INSERT INTO root_keys (key_id, check_value, created_at) VALUES (?1, ?2, ?3)",
            params![FIRST_KEY, check_value, at.to_string()],
        )?;
        Ok(Self {
            path,
            root,
            key_id: FIRST_KEY,
            vault_id,
        })
    }

    fn place<'a>(&'a self, connection: &'a str, column: &'a str, generation: u64) -> Place<'a> {
        let row = [connection, ACCOUNT];
        Place {
            vault: &self.vault_id,
            table: "credentials",
            row,
            column,
            generation,
        }
    }

    /// Where a wrapped key belongs: its number stands where a credential's generation would.
    fn key_place<'a>(&'a self, connection: &'a str, data_key: u32) -> Place<'a> {
        Place {
            table: "data_keys",
            ..self.place(connection, "wrapped", data_key.into())
        }
    }

    fn data_key(&self, conn: &Connection, connection: &str, id: u32) -> Result<DataKey, Error> {
        let wrapped: Option<Vec<u8>> = conn
            .prepare_cached(
                "SELECT wrapped FROM data_keys WHERE data_key = ?1 AND connection = ?2",
            )?
            .query_row(params![id, connection], |row| row.get(0))
            .optional()?;
        wrapped
            .and_then(|wrapped| {
                let place = self.key_place(connection, id);
                self.root.unwrap(&wrapped, self.key_id, &place, id).ok()
            })
            .ok_or_else(|| unreadable(connection, "data key"))
    }

    fn new_data_key(&self, tx: &Tx<'_>, connection: &str, at: Timestamp) -> Result<DataKey, Error> {
        // The number is part of the seal, so it is had first.
        tx.prepare_cached(
            "INSERT INTO data_keys (connection, root_key, wrapped, created_at) VALUES (?1, ?2, x'', ?3)",
        )?
        .execute(params![connection, self.key_id, at.to_string()])?;
        let id = u32::try_from(tx.last_insert_rowid()).map_err(|_| Error::Damaged {
            path: self.path.clone(),
            what: "too many keys".into(),
        })?;
        let key = DataKey::random(id).map_err(Error::Seal)?;
        let place = self.key_place(connection, id);
        let wrapped = self
            .root
            .wrap(&key, self.key_id, &place)
            .map_err(Error::Seal)?;
        tx.prepare_cached("UPDATE data_keys SET wrapped = ?1 WHERE data_key = ?2")?
            .execute(params![wrapped, id])?;
        Ok(key)
    }

    fn credential(&self, conn: &Connection, connection: &str) -> Result<Option<Credential>, Error> {
        let Some((data_key, sealed, row)) = clear(conn, connection)? else {
            return Ok(None);
        };
        let generation = row.generation.cast_unsigned();
        let key = self.data_key(conn, connection, data_key)?;
        Ok(Some(Credential {
            generation,
            access_token: self.unseal(&key, connection, "access_token", generation, &sealed)?,
            has_refresh_token: row.has_refresh_token,
            issued_at: row.issued_at()?,
            expires_at: row.expires_at()?,
            refresh_expires_at: row.refresh_expires_at()?,
            rotates: row.rotates,
            scope: row.scope,
        }))
    }

    fn refresh_token(
        &self,
        conn: &Connection,
        connection: &str,
        generation: u64,
    ) -> Result<Option<Secret>, Error> {
        let row: Option<(u32, Option<Vec<u8>>)> = conn
            .prepare_cached(
                "SELECT data_key, refresh_token FROM credentials
                 WHERE connection = ?1 AND account = ?2 AND generation = ?3",
            )?
            .query_row(
                params![connection, ACCOUNT, generation.cast_signed()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let Some((data_key, Some(sealed))) = row else {
            return Ok(None);
        };
        let key = self.data_key(conn, connection, data_key)?;
        self.unseal(&key, connection, "refresh_token", generation, &sealed)
            .map(Some)
    }

    fn unseal(
        &self,
        key: &DataKey,
        connection: &str,
        column: &'static str,
        generation: u64,
        sealed: &[u8],
    ) -> Result<Secret, Error> {
        let plain = key
            .unseal(&self.place(connection, column, generation), sealed)
            .map_err(|_| unreadable(connection, column))?;
        let text = std::str::from_utf8(&plain).map_err(|_| unreadable(connection, column))?;
        Ok(Secret::from(text))
    }

    /// Writes the credential that `attempt` brought over the one it was made from.
    fn put(&self, tx: &Tx<'_>, attempt: &Attempt, tokens: Tokens) -> Result<Credential, Error> {
        let connection = attempt.connection.as_str();
        let before = clear(tx, connection)?.map(|(_, _, row)| row);
        let is_refresh = attempt.kind == Kind::Refresh;
        let is_present = match &before {
            Some(row) => row.generation.cast_unsigned() == attempt.generation,
            None => !is_refresh,
        };
        if !is_present {
            return Err(Error::Conflict {
                connection: connection.to_owned(),
            });
        }
        // What a login left unsaid is unknown; what a refresh leaves unsaid stays as it was.
        let before = before.filter(|_| is_refresh);
        let kept = match (&tokens.refresh_token, is_refresh) {
            (None, true) => self.refresh_token(tx, connection, attempt.generation)?,
            _ => None,
        };
        let has_new = tokens.refresh_token.is_some();
        let refresh_token = tokens.refresh_token.or(kept);
        let ends = |life| clock::after(attempt.tried_at, life);
        let refresh_ends = match (tokens.refresh_lifetime, has_new, &before) {
            (Some(life), _, _) => Some(ends(life)),
            (None, false, Some(row)) => row.refresh_expires_at()?,
            (None, _, _) => None,
        };
        let credential = Credential {
            generation: attempt.generation + 1,
            access_token: tokens.access_token,
            has_refresh_token: refresh_token.is_some(),
            issued_at: attempt.tried_at,
            expires_at: tokens.lifetime.map(ends),
            refresh_expires_at: refresh_ends,
            rotates: before.as_ref().is_some_and(|row| row.rotates || has_new),
            scope: tokens.scope.or(before.and_then(|row| row.scope)),
        };
        self.write(tx, attempt, &credential, refresh_token.as_ref())?;
        Ok(credential)
    }

    fn write(
        &self,
        tx: &Tx<'_>,
        attempt: &Attempt,
        credential: &Credential,
        refresh_token: Option<&Secret>,
    ) -> Result<(), Error> {
        let connection = attempt.connection.as_str();
        let seal = |column, token: &Secret| {
            let place = self.place(connection, column, credential.generation);
            attempt
                .key
                .seal(&place, token.expose_secret().as_bytes())
                .map_err(Error::Seal)
        };
        let refresh_token = refresh_token
            .map(|token| seal("refresh_token", token))
            .transpose()?;
        tx.prepare_cached(
            "INSERT OR REPLACE INTO credentials (connection, account, generation, data_key,
                 access_token, refresh_token, issued_at, expires_at, refresh_expires_at, rotates, scope)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            connection,
            ACCOUNT,
            credential.generation.cast_signed(),
            attempt.key.id(),
            seal("access_token", &credential.access_token)?,
            refresh_token,
            credential.issued_at.to_string(),
            credential.expires_at.map(|at| at.to_string()),
            credential.refresh_expires_at.map(|at| at.to_string()),
            credential.rotates,
            credential.scope,
        ])?;
        Ok(())
    }
}

/// The clear part of a row of `credentials`.
struct Row {
    connection: String,
    generation: i64,
    has_refresh_token: bool,
    issued_at: String,
    expires_at: Option<String>,
    refresh_expires_at: Option<String>,
    rotates: bool,
    scope: Option<String>,
}

impl Row {
    fn issued_at(&self) -> Result<Timestamp, Error> {
        self.instant(Some(&self.issued_at))?
            .ok_or_else(|| unreadable(&self.connection, "date"))
    }

    fn expires_at(&self) -> Result<Option<Timestamp>, Error> {
        self.instant(self.expires_at.as_deref())
    }

    fn refresh_expires_at(&self) -> Result<Option<Timestamp>, Error> {
        self.instant(self.refresh_expires_at.as_deref())
    }

    fn instant(&self, text: Option<&str>) -> Result<Option<Timestamp>, Error> {
        let instant = text.map(str::parse).transpose();
        instant.map_err(|_| unreadable(&self.connection, "date"))
    }
}

/// Returns the data key, the sealed access token and the clear part of a credential.
fn clear(conn: &Connection, connection: &str) -> Result<Option<(u32, Vec<u8>, Row)>, Error> {
    let mut statement = conn.prepare_cached(
        "SELECT generation, data_key, access_token, refresh_token IS NOT NULL, issued_at,
                expires_at, refresh_expires_at, rotates, scope
         FROM credentials WHERE connection = ?1 AND account = ?2",
    )?;
    let row = statement.query_row([connection, ACCOUNT], |row| {
        let clear = Row {
            connection: connection.to_owned(),
            generation: row.get(0)?,
            has_refresh_token: row.get(3)?,
            issued_at: row.get(4)?,
            expires_at: row.get(5)?,
            refresh_expires_at: row.get(6)?,
            rotates: row.get(7)?,
            scope: row.get(8)?,
        };
        Ok((row.get(1)?, row.get(2)?, clear))
    });
    Ok(row.optional()?)
}

/// Drops the keys of `connection` that seal neither its credential nor an answer still awaited.
fn drop_unused_keys(tx: &Tx<'_>, connection: &str) -> Result<(), Error> {
    tx.prepare_cached(
        "DELETE FROM data_keys WHERE connection = ?1
           AND data_key NOT IN (SELECT data_key FROM credentials WHERE connection = ?1)
           AND data_key NOT IN (
               SELECT data_key FROM refreshes WHERE connection = ?1 AND ended_at IS NULL)",
    )?
    .execute([connection])?;
    Ok(())
}

fn unreadable(connection: &str, column: &'static str) -> Error {
    Error::Unreadable {
        connection: connection.to_owned(),
        column,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::store::Error as StoreError;

    fn now() -> Timestamp {
        "2025-03-02T06:00:00Z".parse().unwrap()
    }

    fn name() -> Name {
        Name::parse("exact").unwrap()
    }

    fn tokens(access: &str, refresh: Option<&str>) -> Tokens {
        Tokens {
            access_token: Secret::from(access),
            refresh_token: refresh.map(Secret::from),
            lifetime: Some(Duration::from_secs(600)),
            refresh_lifetime: None,
            scope: None,
            assumed: None,
        }
    }

    async fn open(directory: &Path, key: u8) -> Result<Vault, Error> {
        let store = Store::open(&directory.join("vault.db"), &store::VAULT)?;
        Vault::open(directory, store, RootKey::new(&[key; 32]), now()).await
    }

    async fn begin(vault: &Vault, kind: Kind, generation: Option<u64>) -> Attempt {
        let intent = Intent {
            connection: name(),
            kind,
            generation,
            fingerprint: None,
            at: now(),
        };
        vault.begin(intent).await.unwrap()
    }

    async fn signed_in(directory: &Path) -> Vault {
        let vault = open(directory, 1).await.unwrap();
        let attempt = begin(&vault, Kind::Code, None).await;
        vault
            .commit(&attempt, &tokens("a1", Some("r1")), now())
            .await
            .unwrap();
        vault
    }

    async fn refresh_token(vault: &Vault, generation: u64) -> Option<String> {
        let token = vault.refresh_token(&name(), generation).await.unwrap();
        token.map(|token| token.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn a_wrong_key_is_told_apart_from_damage_and_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        drop(signed_in(directory.path()).await);
        let wrong = open(directory.path(), 2).await.err().unwrap();
        assert!(matches!(wrong, Error::WrongKey { .. }), "{wrong:?}");
        assert!(wrong.to_string().contains("sealed with another"), "{wrong}");
        assert!(matches!(
            create(directory.path(), RootKey::new(&[2; 32]), now())
                .await
                .unwrap_err(),
            Error::WrongKey { .. }
        ));
        create(directory.path(), RootKey::new(&[1; 32]), now())
            .await
            .unwrap();

        let vault = open(directory.path(), 1).await.unwrap();
        assert_eq!(refresh_token(&vault, 1).await.as_deref(), Some("r1"));
        let damage = |sql: &'static str| {
            vault
                .store
                .write(move |tx| Ok::<_, StoreError>(tx.execute(sql, [])?))
        };
        damage("UPDATE credentials SET refresh_token = access_token")
            .await
            .unwrap();
        let unreadable = vault.refresh_token(&name(), 1).await.unwrap_err();
        assert!(
            matches!(unreadable, Error::Unreadable { .. }),
            "{unreadable:?}"
        );
        damage("DELETE FROM facts").await.unwrap();
        let damaged = open(directory.path(), 1).await.err().unwrap();
        assert!(matches!(damaged, Error::Damaged { .. }), "{damaged:?}");
    }

    #[tokio::test]
    async fn a_refresh_keeps_what_the_answer_leaves_unsaid() {
        let directory = tempfile::tempdir().unwrap();
        let vault = signed_in(directory.path()).await;
        let attempt = begin(&vault, Kind::Refresh, Some(1)).await;
        let kept = vault
            .commit(&attempt, &tokens("a2", None), now())
            .await
            .unwrap();
        assert!(kept.has_refresh_token && !kept.rotates);
        assert_eq!(refresh_token(&vault, 2).await.as_deref(), Some("r1"));
        assert_eq!(refresh_token(&vault, 1).await, None);

        let attempt = begin(&vault, Kind::Refresh, Some(2)).await;
        vault
            .commit(&attempt, &tokens("a3", Some("r3")), now())
            .await
            .unwrap();
        let loaded = vault.load(&name()).await.unwrap().unwrap();
        assert_eq!((loaded.generation, loaded.rotates), (3, true));
        assert_eq!(loaded.access_token.expose_secret(), "a3");
        assert_eq!(
            loaded.expires_at,
            Some(clock::after(now(), Duration::from_secs(600)))
        );
    }

    #[tokio::test]
    async fn a_loser_overwrites_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let vault = signed_in(directory.path()).await;
        let slow = begin(&vault, Kind::Refresh, Some(1)).await;
        let login = begin(&vault, Kind::Code, None).await;
        vault
            .commit(&login, &tokens("a2", Some("r2")), now())
            .await
            .unwrap();
        let lost = vault
            .commit(&slow, &tokens("a9", Some("r9")), now())
            .await
            .unwrap_err();
        assert!(matches!(lost, Error::Conflict { .. }), "{lost:?}");
        assert_eq!(refresh_token(&vault, 2).await.as_deref(), Some("r2"));
        let intent = Intent {
            connection: name(),
            kind: Kind::Refresh,
            generation: Some(1),
            fingerprint: None,
            at: now(),
        };
        assert!(matches!(
            vault.begin(intent).await.err().unwrap(),
            Error::Conflict { .. }
        ));
    }

    #[tokio::test]
    async fn an_open_attempt_and_its_answer_survive_a_restart_and_a_torn_answer_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let vault = signed_in(directory.path()).await;
        let attempt = begin(&vault, Kind::Refresh, Some(1)).await;
        assert!(vault.kept_answer(&attempt).await.unwrap().is_none());
        vault.keep_answer(&attempt, b"the answer").await.unwrap();
        drop(vault);

        let vault = open(directory.path(), 1).await.unwrap();
        vault.sweep(now()).await.unwrap();
        let [left] = vault
            .left_open(&name())
            .await
            .unwrap()
            .try_into()
            .ok()
            .unwrap();
        assert_eq!(
            (left.id, left.generation, left.doubt_at),
            (attempt.id, 1, None)
        );
        assert_eq!(
            vault.kept_answer(&left).await.unwrap().unwrap().as_slice(),
            b"the answer"
        );
        let again = vault.again(&left, now()).await.unwrap();
        assert_eq!((again.tries, again.doubt_at), (2, Some(now())));

        let file = directory.path().join(format!("rescue/{}.rescue", left.id));
        vault.keep_answer(&left, b"the answer").await.unwrap();
        let mut torn = std::fs::read(&file).unwrap();
        torn[30] ^= 1;
        std::fs::write(&file, torn).unwrap();
        assert!(vault.kept_answer(&left).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn signing_out_erases_the_key_of_everything_sealed() {
        let directory = tempfile::tempdir().unwrap();
        let vault = signed_in(directory.path()).await;
        let attempt = begin(&vault, Kind::Refresh, Some(1)).await;
        vault.erase(&name(), now()).await.unwrap();
        assert!(vault.load(&name()).await.unwrap().is_none());
        let keys: i64 = vault
            .store
            .read(|conn| {
                Ok::<_, StoreError>(conn.query_row(
                    "SELECT count(*) FROM data_keys",
                    [],
                    |row| row.get(0),
                )?)
            })
            .await
            .unwrap();
        assert_eq!(keys, 0);
        assert!(
            !directory
                .path()
                .join(format!("rescue/{}.rescue", attempt.id))
                .exists()
        );
        let standing = vault.standing(&name()).await.unwrap().unwrap();
        assert_eq!(standing.reason, Some(Reason::LoggedOut));
        // The next login goes on counting, so that no old token is taken for a new one.
        assert_eq!(begin(&vault, Kind::Code, None).await.generation, 1);
    }
}
