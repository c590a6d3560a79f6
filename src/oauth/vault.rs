//! Credentials at rest: sealed, numbered, and never overwritten by a loser.
//!
//! The vault owns every table of `vault.db`. Each credential has a generation; a new one is
//! written only over the one it was made from. What seals it is one random key per login, wrapped
//! by the operator's key and dropped when the credential is.

mod attempts;
mod credentials;
mod data_keys;
mod glance;
mod high_water;
mod keys;
mod metadata;
mod orphans;
mod rotation;
mod sealed;
mod states;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

pub(super) use attempts::{Attempt, Intent, Kind, Outcome};
pub(super) use credentials::Credential;
pub use glance::glance;
pub use high_water::adopt_machine;
pub use keys::recognised;
pub(super) use orphans::Orphan;
pub use rotation::{KeyUse, Mark, Rewrapped, Survey, Verified, marks, survey};
pub use sealed::{SealedSecret, sealed_secrets};

use self::high_water::HighWater;
use self::keys::Keys;
use self::sealed::Sealed;
use super::grant::Tokens;
use super::rescue::Rescue;
use super::standing::{Reason, Standing};
use crate::config::{Account, Name};
use crate::remedy::Remedy;
use crate::seal::{self, KeyId, Keyring};
use crate::secret::Secret;
use crate::store::{self, Store};

/// Why the vault could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The vault was sealed with another key.
    #[error(
        "the key does not open the vault `{}`: it was sealed with another one ({known}; tried: {tried})",
        path.display()
    )]
    WrongKey {
        /// The vault.
        path: PathBuf,
        /// The keys that were tried.
        tried: String,
        /// The keys that the vault was sealed with.
        known: String,
    },
    /// A part of the vault was sealed with a key that is not there.
    #[error(
        "the vault `{}` still needs key {key}, which is neither `key` nor among `old_keys`",
        path.display()
    )]
    MissingKey {
        /// The vault.
        path: PathBuf,
        /// The key.
        key: KeyId,
    },
    /// There was no key when the vault was opened, because nothing needed one.
    #[error("the vault `{}` has not been opened: its key was not to be had at the start", path.display())]
    NoKey {
        /// The vault.
        path: PathBuf,
    },
    /// A key cannot be dropped.
    #[error("key {key} cannot be dropped: {why}")]
    KeyInUse {
        /// The key.
        key: KeyId,
        /// Why not.
        why: String,
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
    /// The vault was last used on another machine.
    #[error(
        "the vault `{}` was last used on another machine: two copies in use end each other's logins",
        path.display()
    )]
    ForeignMachine {
        /// The vault.
        path: PathBuf,
    },
    /// It could not be written whose the vault is.
    #[error("could not write `{}`", path.display())]
    HighWater {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
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
    /// The disk is nearly full.
    #[error(
        "only {} KiB are free on the disk of `{}`, and {} KiB should be",
        free >> 10, path.display(), needed >> 10
    )]
    Cramped {
        /// The vault.
        path: PathBuf,
        /// How many bytes are free.
        free: u64,
        /// How many should be.
        needed: u64,
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
            Self::WrongKey { .. }
            | Self::MissingKey { .. }
            | Self::NoKey { .. }
            | Self::ForeignMachine { .. }
            | Self::HighWater { .. }
            | Self::KeyInUse { .. }
            | Self::Damaged { .. }
            | Self::UnreadableSecret { .. } => Remedy::EditConfig,
            Self::Unreadable { .. } => Remedy::Login,
            Self::Conflict { .. } | Self::Rescue { .. } | Self::Cramped { .. } | Self::Seal(_) => {
                Remedy::Wait
            }
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
            Self::MissingKey { .. } => Some(
                "add it to `old_keys`; it may go after `tidegate vault rewrap` and `vault drop`",
            ),
            Self::NoKey { .. } => {
                Some("make the first key with `tidegate vault init`, or bring it back, and restart")
            }
            Self::KeyInUse { .. } => Some("`tidegate vault status` shows what needs which key"),
            Self::Damaged { .. } => {
                Some("bring back a copy of it, or move it away and sign in again everywhere")
            }
            Self::ForeignMachine { .. } => Some(
                "once no other machine uses it any more, type `tidegate vault adopt`; else sign in \
                 there and here apart, each with a vault of its own",
            ),
            Self::Cramped { .. } => Some("make room on the disk"),
            Self::Rescue { .. } | Self::HighWater { .. } => {
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
    high_water: Arc<HighWater>,
    /// The latest attempt that the vault knew of when it was opened.
    latest_found: i64,
    keys: Arc<Keys>,
    sealed: Arc<Sealed>,
}

impl Vault {
    /// Opens the vault, and makes it the current key's if nothing was ever sealed in it. Without any
    /// key nothing in it can be read or written.
    ///
    /// An empty vault takes the first valid key it is opened with: a service whose key comes from
    /// systemd has nobody who could call `vault init` for it. One that holds anything never does.
    pub(super) async fn open(
        state_dir: &Path,
        store: Store,
        keys: Option<Keyring>,
        at: Timestamp,
    ) -> Result<Self, Error> {
        let rescue = Rescue::open(state_dir).map_err(|source| Error::Rescue {
            path: state_dir.to_owned(),
            source,
        })?;
        let path = store.path().to_owned();
        let high_water = Arc::new(HighWater::of(state_dir));
        let mark = Arc::clone(&high_water);
        let (keys, sealed, latest_found) = store
            .write(move |tx| {
                let keys = Keys::checked(tx, path, keys, at)?;
                let sealed = Sealed::open(tx, &keys)?;
                let latest = mark.check(tx, &keys, at)?;
                Ok::<_, Error>((keys, sealed, latest))
            })
            .await?;
        let vault = Self {
            store,
            rescue,
            high_water,
            latest_found,
            keys: Arc::new(keys),
            sealed: Arc::new(sealed),
        };
        let latest = vault.store.read(attempts::latest).await?;
        vault.mark(latest).await;
        Ok(vault)
    }

    /// Writes beside the vault that it has got to `attempt`.
    async fn mark(&self, attempt: i64) {
        let (keys, high_water) = (Arc::clone(&self.keys), Arc::clone(&self.high_water));
        let raised = tokio::task::spawn_blocking(move || high_water.raise(&keys, attempt)).await;
        if let Err(error) = raised.unwrap_or_else(|ended| Err(std::io::Error::other(ended))) {
            // The exchange must not fail for it: only an older copy is found out less sharply.
            tracing::warn!(%error, "could not write beside the vault how far it has got");
        }
    }

    /// Takes every refresh token of a copy that was brought back for unspent.
    pub(super) async fn adopt(&self, at: Timestamp) -> Result<u64, Error> {
        self.store
            .write(move |tx| states::end(tx, Reason::Restored, at))
            .await
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
        self.keys.fingerprint(parts)
    }

    /// Stores what `attempt` brought as the next generation, closes it, and returns the credential.
    ///
    /// A login is the next generation of whatever is there. It ends what was open before, except
    /// the attempt `under_way`, whose answer may still come: too late to be used.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the generation it was made from is no longer the present one.
    pub(super) async fn commit(
        &self,
        attempt: &Attempt,
        tokens: &Tokens,
        under_way: Option<i64>,
        at: Timestamp,
    ) -> Result<Credential, Error> {
        let (keys, attempt, tokens) = (Arc::clone(&self.keys), attempt.clone(), tokens.clone());
        self.store
            .write(move |tx| {
                let credential = keys.put(tx, &attempt, tokens)?;
                let account = &attempt.account;
                attempts::close_committed(tx, &attempt, credential.generation, under_way, at)?;
                let before = states::read(tx, account)?;
                let standing = match before {
                    // Tokens that a kill left on disk do not call back whoever signs out.
                    Some(before) if before.is_leaving() && !attempt.kind.is_login() => before,
                    Some(before) => before.renewed(at),
                    None => Standing::ok(at),
                };
                states::write(tx, account, &standing)?;
                data_keys::drop_unused(tx, account)?;
                Ok(credential)
            })
            .await
    }

    /// Writes down how `account` stands.
    pub(super) async fn set_standing(
        &self,
        account: &Account,
        standing: Standing,
    ) -> Result<(), Error> {
        let account = account.clone();
        self.store
            .write(move |tx| states::write(tx, &account, &standing))
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
                orphans::erase(tx, account)?;
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

fn unreadable(account: &Account, column: &'static str) -> Error {
    Error::Unreadable {
        account: account.clone(),
        column,
    }
}
