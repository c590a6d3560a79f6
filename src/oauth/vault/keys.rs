//! The keys that open the vault, and how it recognises them.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::Error;
use crate::seal::{self, KeyId, Keyring, RootKey};
use crate::store::{self, Tx};

/// The fact that names the vault.
const VAULT_ID: &str = "vault_id";

/// What opens the vault.
pub(super) struct Keys {
    pub(super) path: PathBuf,
    pub(super) vault_id: String,
    /// `None` if nothing needed a key, and none was there.
    ring: Option<Keyring>,
}

impl Keys {
    /// Recognises the keys of `ring`, and takes a new current one in if an old one is known.
    ///
    /// The id of a key selects it, and its check value proves that it is the one: nothing is ever
    /// opened by trial.
    pub(super) fn checked(
        tx: &Tx<'_>,
        path: PathBuf,
        ring: Option<Keyring>,
        at: Timestamp,
    ) -> Result<Self, Error> {
        let vault_id = vault_id(tx)?;
        let Some(ring) = ring else {
            let vault_id = vault_id.unwrap_or_default();
            return Ok(Self {
                path,
                vault_id,
                ring: None,
            });
        };
        let known = known(tx)?;
        let vault_id = match (vault_id, known.is_empty()) {
            (Some(vault_id), false) => vault_id,
            (None, true) if !is_used(tx)? => {
                let vault_id = initialised(tx)?;
                register(tx, &ring.current, &vault_id, at)?;
                return Ok(Self {
                    path,
                    vault_id,
                    ring: Some(ring),
                });
            }
            _ => {
                let what = "it holds sealed values, but not what its key is known by".to_owned();
                return Err(Error::Damaged { path, what });
            }
        };
        recognise(&ring, &known, &vault_id, &path)?;
        if known.iter().all(|(id, _)| *id != ring.current.id()) {
            register(tx, &ring.current, &vault_id, at)?;
            tracing::info!(key = %ring.current.id(), "the vault has a new key; type `tidegate vault rewrap`");
        }
        if let Some(key) = needed(tx)?.into_iter().find(|id| ring.get(*id).is_none()) {
            return Err(Error::MissingKey { path, key });
        }
        Ok(Self {
            path,
            vault_id,
            ring: Some(ring),
        })
    }

    /// Returns the key that wraps what is new.
    ///
    /// # Errors
    /// If the vault was opened without any.
    pub(super) fn current(&self) -> Result<&RootKey, Error> {
        let ring = self.ring.as_ref().map(|ring| &ring.current);
        ring.ok_or_else(|| Error::NoKey {
            path: self.path.clone(),
        })
    }

    /// Recognises the keys of `ring` by what the vault at `path` knows. Nothing is written.
    ///
    /// # Errors
    /// [`Error::WrongKey`] if it was sealed with another key.
    pub(super) fn known(conn: &Connection, path: &Path, ring: Keyring) -> Result<Self, Error> {
        let vault_id = vault_id(conn)?.unwrap_or_default();
        recognise(&ring, &known(conn)?, &vault_id, path)?;
        Ok(Self {
            path: path.to_owned(),
            vault_id,
            ring: Some(ring),
        })
    }

    /// Returns every key that is there.
    pub(super) fn all(&self) -> impl Iterator<Item = &RootKey> {
        self.ring.iter().flat_map(Keyring::all)
    }

    /// Returns the key known as `id`, if it is there.
    pub(super) fn get(&self, id: KeyId) -> Option<&RootKey> {
        self.ring.as_ref()?.get(id)
    }

    /// Returns a digest of `parts` that only the holder of the key can make; nothing in particular
    /// without a key, where nothing is to be recognised.
    pub(super) fn fingerprint(&self, parts: &[&[u8]]) -> [u8; seal::KEY] {
        let current = self.current().ok();
        current.map_or([0; seal::KEY], |key| key.fingerprint(parts))
    }
}

/// Finds out whether `ring` opens the vault at `path`. Nothing is opened.
///
/// # Errors
/// [`Error::WrongKey`] if it was sealed with another key.
pub fn recognised(path: &Path, ring: &Keyring) -> Result<(), Error> {
    let conn = store::open_reader(path, &store::VAULT)?;
    match vault_id(&conn)? {
        Some(vault_id) => recognise(ring, &known(&conn)?, &vault_id, path),
        None => Ok(()),
    }
}

fn vault_id(conn: &Connection) -> Result<Option<String>, Error> {
    let mut statement = conn.prepare("SELECT value FROM facts WHERE name = ?1")?;
    let vault_id = statement.query_row([VAULT_ID], |row| row.get(0));
    Ok(vault_id.optional()?)
}

/// Proves each key of `ring` that the vault knows by its id; one at least must be known.
fn recognise(
    ring: &Keyring,
    known: &[(KeyId, Vec<u8>)],
    vault_id: &str,
    path: &Path,
) -> Result<(), Error> {
    let mut is_ours = false;
    for key in ring.all() {
        let Some((_, check_value)) = known.iter().find(|(id, _)| *id == key.id()) else {
            continue;
        };
        if check_value.len() <= seal::OVERHEAD || !key.is_checked_by(check_value, vault_id) {
            return Err(Error::Damaged {
                path: path.to_owned(),
                what: format!("the check value of its key {} is wrong", key.id()),
            });
        }
        is_ours = true;
    }
    if is_ours {
        return Ok(());
    }
    let tried: Vec<String> = ring.all().map(RootKey::words).collect();
    let known: Vec<String> = known.iter().map(|(id, _)| format!("key {id}")).collect();
    Err(Error::WrongKey {
        path: path.to_owned(),
        tried: tried.join(" and "),
        known: known.join(" or "),
    })
}

/// Returns the keys that the vault knows, each with its check value.
fn known(conn: &Connection) -> Result<Vec<(KeyId, Vec<u8>)>, Error> {
    let mut statement =
        conn.prepare("SELECT key_id, check_value FROM root_keys ORDER BY created_at, key_id")?;
    let rows = statement.query_map([], |row| Ok((KeyId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns the keys by which something is wrapped.
pub(super) fn needed(conn: &Connection) -> Result<Vec<KeyId>, Error> {
    let mut statement = conn.prepare("SELECT DISTINCT root_key FROM data_keys")?;
    let rows = statement.query_map([], |row| Ok(KeyId(row.get(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// True if anything was ever sealed.
fn is_used(tx: &Tx<'_>) -> Result<bool, Error> {
    let is_used = "SELECT EXISTS (SELECT 1 FROM data_keys) OR EXISTS (SELECT 1 FROM credentials)";
    Ok(tx.query_row(is_used, [], |row| row.get(0))?)
}

/// Gives the vault its identity.
fn initialised(tx: &Tx<'_>) -> Result<String, Error> {
    let bytes = seal::random::<16>().map_err(Error::Seal)?;
    let vault_id = format!("{:032x}", u128::from_be_bytes(*bytes));
    tx.execute(
        "INSERT INTO facts (name, value) VALUES (?1, ?2)",
        [VAULT_ID, &vault_id],
    )?;
    Ok(vault_id)
}

/// Writes down by what a key is recognised.
fn register(tx: &Tx<'_>, key: &RootKey, vault_id: &str, at: Timestamp) -> Result<(), Error> {
    let check_value = key.check_value(vault_id).map_err(Error::Seal)?;
    tx.execute(
        "INSERT INTO root_keys (key_id, check_value, created_at) VALUES (?1, ?2, ?3)",
        params![key.id().0, check_value, at.to_string()],
    )?;
    Ok(())
}
