//! The key that seals the vault.

use std::fmt;
use std::io;
use std::path::PathBuf;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::{Zeroize, Zeroizing};

use super::{SecretError, SecretSource};
use crate::config::Environment;
use crate::remedy::Remedy;
use crate::secret::ExposeSecret;

/// The bytes of the vault's key.
const KEY_BYTES: usize = 32;

/// Where the vault's key comes from: one 32-byte key, as 64 hex or 43–44 base64 characters.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file in systemd's `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// A key file that only its owner may read.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// Why the vault's key could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It could not be read.
    #[error("the vault's key cannot be used")]
    Unreadable {
        /// The source tried.
        tried: KeySource,
        /// Why.
        source: SecretError,
    },
    /// The text is no key.
    #[error(
        "{tried} holds no key: {found} characters, expected exactly 64 hexadecimal \
         or 43 to 44 base64 ones"
    )]
    Malformed {
        /// The source tried.
        tried: KeySource,
        /// How long the text is.
        found: usize,
    },
    /// The key is one byte over and over, so somebody made it up.
    #[error(
        "the key in {tried} is one byte repeated; make a random one with `tidegate vault init`"
    )]
    Guessable {
        /// The source tried.
        tried: KeySource,
    },
}

impl KeyError {
    /// Says what to do, where there is one thing to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable {
                source: SecretError::Unreadable { source, .. },
                ..
            } if source.kind() == io::ErrorKind::NotFound => Some(
                "make the first key with `tidegate vault init`; a vault that is there needs its own",
            ),
            Self::Unreadable { .. } | Self::Malformed { .. } => None,
            Self::Guessable { .. } => Some("make a random one with `tidegate vault init`"),
        }
    }

    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        Remedy::EditConfig
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_secret().fmt(f)
    }
}

impl KeySource {
    fn as_secret(&self) -> SecretSource {
        match self {
            Self::Credential(name) => SecretSource::Credential(name.clone()),
            Self::File(path) => SecretSource::File(path.clone()),
            Self::Env(name) => SecretSource::Env(name.clone()),
        }
    }
}

/// Reads the vault's key.
///
/// # Errors
/// If the source cannot be read, or what it holds is not a key.
pub fn read_key(source: &KeySource) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyError> {
    read_key_in(source, &Environment::Process)
}

/// Reads the vault's key as [`read_key`] does, with the variables of `environment`.
///
/// # Errors
/// If the source cannot be read, or what it holds is not a key.
pub fn read_key_in(
    source: &KeySource,
    environment: &Environment,
) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyError> {
    let text = source
        .as_secret()
        .read_in(environment)
        .map_err(|error| KeyError::Unreadable {
            tried: source.clone(),
            source: error,
        })?;
    let text = text.expose_secret();
    let Some(key) = decode(text) else {
        return Err(KeyError::Malformed {
            tried: source.clone(),
            found: text.chars().count(),
        });
    };
    if key.iter().all(|byte| *byte == key[0]) {
        return Err(KeyError::Guessable {
            tried: source.clone(),
        });
    }
    Ok(key)
}

/// Turns key text into a key: hexadecimal, or base64 in either alphabet, padded or not.
fn decode(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * KEY_BYTES));
    match text.len() {
        64 => {
            for pair in text.as_bytes().chunks(2) {
                let digit = |at: usize| char::from(pair[at]).to_digit(16);
                bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
            }
        }
        43 | 44 => {
            let url_safe = text.contains(['-', '_']);
            let alphabet = if url_safe {
                &alphabet::URL_SAFE
            } else {
                &alphabet::STANDARD
            };
            GeneralPurpose::new(alphabet, LENIENT)
                .decode_vec(text, &mut bytes)
                .ok()?;
        }
        _ => return None,
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if bytes.len() != KEY_BYTES {
        return None;
    }
    key.copy_from_slice(&bytes);
    bytes.zeroize();
    Some(key)
}
