//! Credentials at rest: sealed, numbered, and never overwritten by a loser.
//!
//! The vault owns every table of `vault.db`. Each credential has a generation; a new one is
//! written only over the one it was made from. What seals it is one random key per login, wrapped
//! by the operator's key and dropped when the credential is.

mod attempts;
mod credentials;
mod data_keys;
mod glance;
mod metadata;
mod sealed;
mod states;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

pub(super) use attempts::{Attempt, Intent, Kind, Outcome};
pub(super) use credentials::Credential;
pub use glance::glance;
pub use sealed::{SealedSecret, sealed_secrets};

use self::sealed::Sealed;
use super::grant::Tokens;
use super::rescue::Rescue;
use super::standing::{Reason, Standing};
use crate::config::{Account, Name};
use crate::remedy::Remedy;
use crate::seal::{self, RootKey};
use crate::secret::Secret;
use crate::store::{self, Store, Tx};

/// The one key there is until keys can be rotated.
const FIRST_KEY: u32 = 1;
/// The fact that names the vault.
const VAULT_ID: &str = "vault_id";

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
    #[error("the sealed {column} of connection `{account}` cannot be opened")]
    Unreadable {
        /// Whose.
        account: Account,
        /// The value.
        column: &'static str,
    },
    /// A sealed secret cannot be opened, under a key that is right.
    #[error("the sealed secret `{name}` cannot be opened")]
    UnreadableSecret {
        /// The secret.
        name: Name,
    },
    /// Somebody else stored a newer credential meanwhile.
    #[error("connection `{account}` has a newer credential")]
    Conflict {
        /// Whose.
        account: Account,
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
            Self::WrongKey { .. } | Self::Damaged { .. } | Self::UnreadableSecret { .. } => {
                Remedy::EditConfig
            }
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
            Self::UnreadableSecret { .. } => Some("set it again with `tidegate secret set`"),
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

/// The sealed credentials of one state directory. Clones share it.
#[derive(Clone)]
pub(super) struct Vault {
    store: Store,
    rescue: Rescue,
    keys: Arc<Keys>,
    sealed: Arc<Sealed>,
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
        let (keys, sealed) = store
            .write(move |tx| {
                let keys = Keys::checked(tx, path, key, at)?;
                let sealed = Sealed::open(tx, &keys)?;
                Ok::<_, Error>((keys, sealed))
            })
            .await?;
        Ok(Self {
            store,
            rescue,
            keys: Arc::new(keys),
            sealed: Arc::new(sealed),
        })
    }

    /// Returns what is known of `account`.
    pub(super) async fn load(&self, account: &Account) -> Result<Option<Credential>, Error> {
        let (keys, account) = (Arc::clone(&self.keys), account.clone());
        self.store
            .read(move |conn| keys.credential(conn, &account))
            .await
    }

    /// Returns the refresh token of one generation, to be spent.
    pub(super) async fn refresh_token(
        &self,
        account: &Account,
        generation: u64,
    ) -> Result<Option<Secret>, Error> {
        let (keys, account) = (Arc::clone(&self.keys), account.clone());
        self.store
            .read(move |conn| keys.refresh_token(conn, &account, generation))
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
                let account = &attempt.account;
                attempts::close_committed(tx, &attempt, at)?;
                let before = states::read(tx, account)?;
                let standing = before.map_or_else(|| Standing::ok(at), |before| before.renewed(at));
                states::write(tx, account, &standing)?;
                data_keys::drop_unused(tx, account)?;
                Ok(credential)
            })
            .await
    }

    /// Erases everything of `account`, and the key that sealed it.
    pub(super) async fn erase(&self, account: &Account, at: Timestamp) -> Result<(), Error> {
        let account = account.clone();
        let attempts = self
            .store
            .write(move |tx| {
                let account = &account;
                tx.prepare_cached(
                    "DELETE FROM credentials WHERE connection = ?1 AND account = ?2",
                )?
                .execute(account.row())?;
                let attempts = attempts::supersede(tx, account, at)?;
                data_keys::drop_unused(tx, account)?;
                let standing = Standing::needs_login(Reason::LoggedOut, None, at);
                states::write(tx, account, &standing)?;
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
}

fn unreadable(account: &Account, column: &'static str) -> Error {
    Error::Unreadable {
        account: account.clone(),
        column,
    }
}
