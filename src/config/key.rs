//! Where secrets come from, and the rules under which they are read from there.
//!
//! A secret is read at the moment it is needed and never kept in the configuration, so that a
//! rotated one is found without a restart. A file counts only if nobody but its owner can read it
//! and nobody but us or root could have put it there.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rustix::fs::OFlags;
use zeroize::{Zeroize, Zeroizing};

use super::Environment;
use crate::remedy::Remedy;
use crate::secret::{ExposeSecret, Secret};

/// The longest secret we read: a private key with its certificate chain fits many times over.
const LONGEST_SECRET: usize = 64 * 1024;
/// Permission bits that let somebody else read, change or run a secret file.
const OTHERS: u32 = 0o077;
/// The same for a systemd credential, which its service's group may read (0440).
const OTHERS_OF_CREDENTIAL: u32 = 0o037;
/// The bytes of the vault's key.
const KEY_BYTES: usize = 32;

/// Where a secret of a connection is read from, at the moment it is needed.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// `{ env = "NAME" }`: an environment variable.
    Env(String),
    /// `{ file = "path" }`: the content of a file, one trailing newline removed.
    File(PathBuf),
    /// `{ credential = "name" }`: a file in systemd's `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// Text in the configuration itself, accepted only where nobody else can read that file.
    Literal(Secret),
}

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

/// Why a secret could not be read. No variant holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not there.
    #[error("environment variable `{name}` is not set")]
    NotSet {
        /// The variable.
        name: String,
    },
    /// The process was not started with systemd credentials.
    #[error(
        "credential `{name}` is not available: `$CREDENTIALS_DIRECTORY` is not set; \
         add `LoadCredentialEncrypted={name}` to the unit"
    )]
    NoCredentials {
        /// The credential.
        name: String,
    },
    /// The file is missing or cannot be read.
    #[error("could not read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The path names a link, a directory, a pipe or a device.
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Somebody else owns the file.
    #[error("`{}` belongs to user {owner}; type `chown {us} {}`", path.display(), path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// Somebody else may read or change the file.
    #[error("`{}` is open to others (mode {mode:04o}); type `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// There is nothing there, too much, or not text.
    #[error("{source_name} {what}")]
    Unusable {
        /// Where it was read from, as the configuration names it.
        source_name: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl SecretError {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        Remedy::EditConfig
    }
}

/// Why the vault's key could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It could not be read.
    #[error("could not read the vault's key from {tried}: {source}")]
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
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        Remedy::EditConfig
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable `{name}`"),
            Self::File(path) => write!(f, "file `{}`", path.display()),
            Self::Credential(name) => write!(f, "credential `{name}`"),
            Self::Literal(_) => f.write_str("the configuration file"),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_secret().fmt(f)
    }
}

impl SecretSource {
    /// Reads the secret, one trailing newline removed.
    ///
    /// # Errors
    /// If it is not there, is empty, or lies where others can read it.
    pub fn read(&self) -> Result<Secret, SecretError> {
        self.read_in(&Environment::Process)
    }

    /// Reads the secret as [`read`](Self::read) does, with the variables of `environment`.
    ///
    /// # Errors
    /// If it is not there, is empty, or lies where others can read it.
    pub fn read_in(&self, environment: &Environment) -> Result<Secret, SecretError> {
        match self {
            Self::Literal(secret) => Ok(secret.clone()),
            Self::Env(name) => {
                let value = environment.get(name);
                let value = value.ok_or_else(|| SecretError::NotSet { name: name.clone() })?;
                self.checked(Zeroizing::new(value.into_bytes()))
            }
            Self::File(path) => self.checked(read_private(path, OTHERS, true)?),
            Self::Credential(name) => {
                let path = environment.credential(name);
                let path = path.ok_or_else(|| SecretError::NoCredentials { name: name.clone() })?;
                self.checked(read_private(&path, OTHERS_OF_CREDENTIAL, false)?)
            }
        }
    }

    fn checked(&self, bytes: Zeroizing<Vec<u8>>) -> Result<Secret, SecretError> {
        let unusable = |what| SecretError::Unusable {
            source_name: self.to_string(),
            what,
        };
        if bytes.len() > LONGEST_SECRET {
            return Err(unusable("is longer than 64 KiB"));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| unusable("is not UTF-8 text"))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(unusable("is empty"));
        }
        Ok(Secret::from(text))
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

/// Reads a file that only its owner, and the group of a credential, may read.
///
/// Everything is asked of the open file, so that what was checked is what is read.
fn read_private(
    path: &Path,
    forbidden: u32,
    must_be_ours: bool,
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let unreadable = |source| SecretError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = open_unfollowed(path)?;
    let facts = file.metadata().map_err(unreadable)?;
    if !facts.is_file() {
        return Err(SecretError::NotAFile {
            path: path.to_owned(),
        });
    }
    let (us, owner) = (rustix::process::geteuid().as_raw(), facts.uid());
    if must_be_ours && owner != us && owner != 0 {
        return Err(SecretError::NotOurs {
            path: path.to_owned(),
            owner,
            us,
        });
    }
    if facts.mode() & forbidden != 0 {
        let mode = facts.mode() & 0o7777;
        return Err(SecretError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    // One byte more than allowed tells a file that is too long from one that just fits. The room is
    // made once, because a vector that grows leaves its old bytes behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_SECRET + 1));
    file.take(LONGEST_SECRET as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

fn open_unfollowed(path: &Path) -> Result<File, SecretError> {
    // A pipe would otherwise hold us until somebody writes to it.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).expect("open flags fit the C int they are");
    OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|source| match source.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => SecretError::NotAFile {
                path: path.to_owned(),
            },
            _ => SecretError::Unreadable {
                path: path.to_owned(),
                source,
            },
        })
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
