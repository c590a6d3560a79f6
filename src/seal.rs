//! Encrypts what is kept, with keys that come from the operator's one root key.
//!
//! Everything is AES-256-GCM. The root key itself never encrypts: HKDF-SHA256 derives one key per
//! purpose from it, so that a weakness in one use says nothing about another. Values are encrypted
//! under random [`DataKey`]s, which rest wrapped; dropping a wrapped key erases what it sealed.
//!
//! A sealed record is `version (1) | key id (4) | nonce (12) | ciphertext | tag (16)`. Its
//! [`Place`] is authenticated with it: a record moved to another vault, row, column or generation
//! does not open. Every failure to open is the same [`Error::Unreadable`], and says nothing more.

use std::fmt;
use std::str::FromStr;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The length of every key, in bytes.
pub const KEY: usize = 32;

/// The record layout this program writes and reads.
const VERSION: u8 = 1;
const KEY_ID: std::ops::Range<usize> = 1..5;
const NONCE: std::ops::Range<usize> = 5..17;
const HEADER: usize = NONCE.end;
const TAG: usize = 16;
/// How much longer a record is than what it holds.
pub const OVERHEAD: usize = HEADER + TAG;

/// What the check value of a root key holds.
const CHECKED: &[u8] = b"tidegate knows this key";

type KeyBytes = Zeroizing<[u8; KEY]>;

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The record is damaged, was moved, or was sealed by another key; nobody can say which.
    #[error("sealed data could not be opened")]
    Unreadable,
    /// The operating system gave no random numbers.
    #[error("the operating system gave no random numbers")]
    NoRandomness,
}

/// Where a record belongs, and so the only place where it opens.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The identity of the vault.
    pub vault: &'a str,
    /// The table, or the kind of file.
    pub table: &'a str,
    /// The row: connection, and account within it.
    pub row: [&'a str; 2],
    /// The column.
    pub column: &'a str,
    /// The generation of the credential.
    pub generation: u64,
}

impl Place<'_> {
    /// Returns what is authenticated with a record: each field after its length, so that no two
    /// places read the same.
    fn bytes(&self, key_id: u32) -> Vec<u8> {
        let [connection, account] = self.row;
        let generation = self.generation.to_be_bytes();
        let key_id = key_id.to_be_bytes();
        let fields: [&[u8]; 8] = [
            self.vault.as_bytes(),
            self.table.as_bytes(),
            connection.as_bytes(),
            account.as_bytes(),
            self.column.as_bytes(),
            &generation,
            &[VERSION],
            &key_id,
        ];
        let mut bytes = Vec::new();
        for field in fields {
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field);
        }
        bytes
    }
}

/// By which a root key is known: a digest of the key that tells nothing about it. Every machine and
/// every vault gives a key the same one, so that a person can tell keys apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_eight_digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(text, 16)
            .ok()
            .filter(|_| is_eight_digits);
        number
            .map(Self)
            .ok_or("a key is known by 8 hexadecimal digits, which `tidegate vault status` shows")
    }
}

/// The keys that may open a vault: the one that seals from now on, and older ones.
pub struct Keyring {
    /// Wraps what is new.
    pub current: RootKey,
    /// Open what they have wrapped before.
    pub old: Vec<RootKey>,
}

impl Keyring {
    /// Returns the key known as `id`.
    #[must_use]
    pub fn get(&self, id: KeyId) -> Option<&RootKey> {
        self.all().find(|key| key.id == id)
    }

    /// Returns every key, the current one first.
    pub fn all(&self) -> impl Iterator<Item = &RootKey> {
        std::iter::once(&self.current).chain(&self.old)
    }
}

impl From<RootKey> for Keyring {
    fn from(current: RootKey) -> Self {
        Self {
            current,
            old: Vec::new(),
        }
    }
}

/// The operator's key, as the keys derived from it. It has no `Debug` and is wiped when dropped.
pub struct RootKey {
    id: KeyId,
    source: String,
    wrap: KeyBytes,
    fingerprint: KeyBytes,
    check: KeyBytes,
    state: KeyBytes,
}

impl RootKey {
    /// Derives the working keys from the operator's 32 bytes.
    #[must_use]
    pub fn new(bytes: &[u8; KEY]) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, bytes);
        let derive = |label: &str| {
            let mut key = KeyBytes::default();
            hkdf.expand(label.as_bytes(), key.as_mut_slice())
                .expect("HKDF-SHA256 gives up to 8160 bytes");
            key
        };
        let mut id = [0; 4];
        id.copy_from_slice(&derive("tidegate/v1/key-id")[..4]);
        Self {
            id: KeyId(u32::from_be_bytes(id)),
            source: String::new(),
            wrap: derive("tidegate/v1/wrap"),
            fingerprint: derive("tidegate/v1/fingerprint"),
            check: derive("tidegate/v1/check"),
            state: derive("tidegate/v1/state-file"),
        }
    }

    /// Remembers where the key was read from, for whoever is told about it.
    #[must_use]
    pub fn read_from(self, source: impl fmt::Display) -> Self {
        let source = format!("{source}, ");
        Self { source, ..self }
    }

    /// Returns the key in words: where it came from, if that was said, and its id.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{}key {}", self.source, self.id)
    }

    /// Returns by what the key is known.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Returns a record that proves in `vault` that this is the key of its id, not another one that
    /// happens to have the same.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn check_value(&self, vault: &str) -> Result<Vec<u8>, Error> {
        seal(&self.check, self.id.0, &check_place(vault), CHECKED)
    }

    /// Returns true if `record` is a check value that this key made.
    #[must_use]
    pub fn is_checked_by(&self, record: &[u8], vault: &str) -> bool {
        let opened = unseal(&self.check, self.id.0, &check_place(vault), record);
        opened.is_ok_and(|words| words.as_slice() == CHECKED)
    }

    /// Returns `key` encrypted, to be kept at `place`.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn wrap(&self, key: &DataKey, place: &Place<'_>) -> Result<Vec<u8>, Error> {
        seal(&self.wrap, self.id.0, place, key.bytes.as_slice())
    }

    /// Opens a wrapped data key.
    ///
    /// # Errors
    /// If it was not wrapped by this key for this place.
    pub fn unwrap(
        &self,
        wrapped: &[u8],
        place: &Place<'_>,
        data_key: u32,
    ) -> Result<DataKey, Error> {
        let opened = unseal(&self.wrap, self.id.0, place, wrapped)?;
        let mut bytes = KeyBytes::default();
        if opened.len() != KEY {
            return Err(Error::Unreadable);
        }
        bytes.copy_from_slice(&opened);
        Ok(DataKey {
            id: data_key,
            bytes,
        })
    }

    /// Encrypts what a file beside the vault says about it.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn seal_state(&self, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, Error> {
        seal(&self.state, self.id.0, place, plain)
    }

    /// Opens what [`seal_state`](Self::seal_state) sealed.
    ///
    /// # Errors
    /// If it was not sealed by this key for this place.
    pub fn unseal_state(
        &self,
        place: &Place<'_>,
        record: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        unseal(&self.state, self.id.0, place, record)
    }

    /// Returns a digest by which a secret is recognised and that only this key can make.
    #[must_use]
    pub fn fingerprint(&self, parts: &[&[u8]]) -> [u8; KEY] {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(self.fingerprint.as_slice())
            .expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

fn check_place(vault: &str) -> Place<'_> {
    Place {
        vault,
        table: "root_keys",
        row: ["", ""],
        column: "check_value",
        generation: 0,
    }
}

/// A random key for the values of one connection. It has no `Debug` and is wiped when dropped.
#[derive(Clone)]
pub struct DataKey {
    id: u32,
    bytes: KeyBytes,
}

impl DataKey {
    /// Makes a new key, to be known by `id` within its vault.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn random(id: u32) -> Result<Self, Error> {
        Ok(Self {
            id,
            bytes: random()?,
        })
    }

    /// Returns the number by which the vault knows this key.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Encrypts `plain` for `place`.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, Error> {
        seal(&self.bytes, self.id, place, plain)
    }

    /// Opens a record that this key sealed for `place`.
    ///
    /// # Errors
    /// If it did not.
    pub fn unseal(&self, place: &Place<'_>, record: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        unseal(&self.bytes, self.id, place, record)
    }
}

/// Returns `N` random bytes of the operating system.
///
/// # Errors
/// If there are none.
pub fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| Error::NoRandomness)?;
    Ok(bytes)
}

fn seal(key: &KeyBytes, key_id: u32, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, Error> {
    // Random nonces are safe for 2^32 seals under one key; a connection makes a few per refresh.
    seal_with(&*random()?, key, key_id, place, plain)
}

fn seal_with(
    nonce: &[u8; NONCE.end - NONCE.start],
    key: &KeyBytes,
    key_id: u32,
    place: &Place<'_>,
    plain: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut record = Vec::with_capacity(plain.len() + OVERHEAD);
    record.push(VERSION);
    record.extend_from_slice(&key_id.to_be_bytes());
    record.extend_from_slice(nonce);
    record.extend_from_slice(plain);
    let tag = cipher(key).encrypt_inout_detached(
        &Nonce::from(*nonce),
        &place.bytes(key_id),
        InOutBuf::from(&mut record[HEADER..]),
    );
    let tag = tag.expect("what we seal is far below the 64 GiB that GCM can take");
    record.extend_from_slice(&tag);
    Ok(record)
}

fn unseal(
    key: &KeyBytes,
    key_id: u32,
    place: &Place<'_>,
    record: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let is_ours =
        record.len() >= OVERHEAD && record[0] == VERSION && record[KEY_ID] == key_id.to_be_bytes();
    if !is_ours {
        return Err(Error::Unreadable);
    }
    let (sealed, tag) = record.split_at(record.len() - TAG);
    let nonce: [u8; 12] = sealed[NONCE].try_into().map_err(|_| Error::Unreadable)?;
    let tag: [u8; TAG] = tag.try_into().map_err(|_| Error::Unreadable)?;
    let mut plain = Zeroizing::new(sealed[HEADER..].to_vec());
    cipher(key)
        .decrypt_inout_detached(
            &Nonce::from(nonce),
            &place.bytes(key_id),
            InOutBuf::from(plain.as_mut_slice()),
            &Tag::from(tag),
        )
        .map_err(|_| Error::Unreadable)?;
    Ok(plain)
}

fn cipher(key: &KeyBytes) -> Aes256Gcm {
    Aes256Gcm::new((&**key).into())
}

#[cfg(test)]
mod tests;
