//! Encrypts what is kept, with keys that come from the operator's one root key.
//!
//! Everything is AES-256-GCM. The root key itself never encrypts: HKDF-SHA256 derives one key per
//! purpose from it, so that a weakness in one use says nothing about another. Values are encrypted
//! under random [`DataKey`]s, which rest wrapped; dropping a wrapped key erases what it sealed.
//!
//! A sealed record is `version (1) | key id (4) | nonce (12) | ciphertext | tag (16)`. Its
//! [`Place`] is authenticated with it: a record moved to another vault, row, column or generation
//! does not open. Every failure to open is the same [`Error::Unreadable`], and says nothing more.

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

/// The operator's key, as the keys derived from it. It has no `Debug` and is wiped when dropped.
pub struct RootKey {
    wrap: KeyBytes,
    fingerprint: KeyBytes,
    check: KeyBytes,
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
        // `tidegate/v1/state-file` is set aside for files that prove how old a vault is.
        Self {
            wrap: derive("tidegate/v1/wrap"),
            fingerprint: derive("tidegate/v1/fingerprint"),
            check: derive("tidegate/v1/check"),
        }
    }

    /// Returns a record by which this key is recognised, kept in the vault beside `key_id`.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn check_value(&self, vault: &str, key_id: u32) -> Result<Vec<u8>, Error> {
        seal(&self.check, key_id, &check_place(vault), CHECKED)
    }

    /// Returns true if `record` is a check value that this key made.
    #[must_use]
    pub fn is_checked_by(&self, record: &[u8], vault: &str, key_id: u32) -> bool {
        let opened = unseal(&self.check, key_id, &check_place(vault), record);
        opened.is_ok_and(|words| words.as_slice() == CHECKED)
    }

    /// Returns `key` encrypted, to be kept at `place`.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn wrap(&self, key: &DataKey, key_id: u32, place: &Place<'_>) -> Result<Vec<u8>, Error> {
        seal(&self.wrap, key_id, place, key.bytes.as_slice())
    }

    /// Opens a wrapped data key.
    ///
    /// # Errors
    /// If it was not wrapped by this key for this place.
    pub fn unwrap(
        &self,
        wrapped: &[u8],
        key_id: u32,
        place: &Place<'_>,
        data_key: u32,
    ) -> Result<DataKey, Error> {
        let opened = unseal(&self.wrap, key_id, place, wrapped)?;
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
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        vault: "v",
        table: "credentials",
        row: ["exact", ""],
        column: "refresh_token",
        generation: 7,
    };

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
            .collect()
    }

    #[test]
    fn the_cipher_is_aes_256_gcm() {
        // Test case 16 of the GCM specification by McGrew and Viega.
        let key: [u8; KEY] =
            hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
                .try_into()
                .unwrap();
        let nonce: [u8; 12] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
        let mut text = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let tag = cipher(&Zeroizing::new(key))
            .encrypt_inout_detached(
                &Nonce::from(nonce),
                &hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
                InOutBuf::from(text.as_mut_slice()),
            )
            .unwrap();
        assert_eq!(
            text,
            hex(
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
                 8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
            )
        );
        assert_eq!(tag.to_vec(), hex("76fc6ece0f4e1768cddf8853bb2d551b"));
    }

    #[test]
    fn the_layout_and_the_derived_keys_do_not_change() {
        // Computed with OpenSSL: a change here makes every vault unreadable.
        let root = RootKey::new(&[7; KEY]);
        let record = seal_with(&[9; 12], &root.wrap, 3, &PLACE, b"token").unwrap();
        assert_eq!(
            record,
            hex("01 00000003 090909090909090909090909
                 7ad473e6e2 d383017a2e2ed8771dbc5fed0f781791")
        );
        assert_eq!(
            root.fingerprint(&[b"a", b"b"]).to_vec(),
            hex("17a942910c153e88cdc4fd99d464b83f0414f99ed7ad47d67aa248739867b506")
        );
    }

    #[test]
    fn a_record_opens_only_where_it_was_sealed() {
        let key = DataKey::random(5).unwrap();
        let record = key.seal(&PLACE, b"secret").unwrap();
        assert_eq!(key.unseal(&PLACE, &record).unwrap().as_slice(), b"secret");
        let elsewhere = [
            Place {
                vault: "w",
                ..PLACE
            },
            Place {
                table: "rescue",
                ..PLACE
            },
            Place {
                row: ["other", ""],
                ..PLACE
            },
            Place {
                row: ["exac", "t"],
                ..PLACE
            },
            Place {
                column: "access_token",
                ..PLACE
            },
            Place {
                generation: 8,
                ..PLACE
            },
        ];
        for place in elsewhere {
            assert_eq!(
                key.unseal(&place, &record).unwrap_err(),
                Error::Unreadable,
                "{place:?}"
            );
        }
        let other = DataKey {
            id: 5,
            ..DataKey::random(0).unwrap()
        };
        assert_eq!(
            other.unseal(&PLACE, &record).unwrap_err(),
            Error::Unreadable
        );
        let renamed = DataKey { id: 6, ..key };
        assert_eq!(
            renamed.unseal(&PLACE, &record).unwrap_err(),
            Error::Unreadable
        );
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let key = DataKey::random(1).unwrap();
        let record = key.seal(&PLACE, b"secret").unwrap();
        for bit in 0..record.len() * 8 {
            let mut damaged = record.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                key.unseal(&PLACE, &damaged).unwrap_err(),
                Error::Unreadable,
                "bit {bit}"
            );
        }
        for length in 0..record.len() {
            assert!(
                key.unseal(&PLACE, &record[..length]).is_err(),
                "cut to {length}"
            );
        }
        let longer = [record.as_slice(), b"\0"].concat();
        assert!(key.unseal(&PLACE, &longer).is_err());
    }

    #[test]
    fn sealing_twice_gives_two_records() {
        let key = DataKey::random(1).unwrap();
        assert_ne!(
            key.seal(&PLACE, b"same").unwrap(),
            key.seal(&PLACE, b"same").unwrap()
        );
    }

    #[test]
    fn a_key_knows_its_own_check_value_and_wraps_for_one_place() {
        let ours = RootKey::new(&[1; KEY]);
        let other = RootKey::new(&[2; KEY]);
        let check = ours.check_value("v", 1).unwrap();
        assert!(ours.is_checked_by(&check, "v", 1));
        assert!(!other.is_checked_by(&check, "v", 1));
        assert!(!ours.is_checked_by(&check, "w", 1) && !ours.is_checked_by(&check, "v", 2));

        let key = DataKey::random(4).unwrap();
        let record = key.seal(&PLACE, b"secret").unwrap();
        let wrapped = ours.wrap(&key, 1, &PLACE).unwrap();
        let again = ours.unwrap(&wrapped, 1, &PLACE, 4).unwrap();
        assert_eq!(again.unseal(&PLACE, &record).unwrap().as_slice(), b"secret");
        assert!(other.unwrap(&wrapped, 1, &PLACE, 4).is_err());
        assert!(
            ours.unwrap(
                &wrapped,
                1,
                &Place {
                    row: ["b", ""],
                    ..PLACE
                },
                4
            )
            .is_err()
        );
    }
}
