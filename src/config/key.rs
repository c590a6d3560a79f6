//! Where secrets come from, and the rules under which they are read from there.
//!
//! A secret is read at the moment it is needed and never kept in the configuration, so that a
//! rotated one is found without a restart. A file counts only if nobody but its owner can read it
//! and nobody but us or root could have put it there.

mod private;
mod vault;

use std::fmt;
use std::io;
use std::path::PathBuf;

use zeroize::Zeroizing;

use self::private::read_private;
pub use self::vault::{KeyError, KeySource, read_key, read_key_in};
use super::{Environment, Name};
use crate::remedy::Remedy;
use crate::secret::Secret;

/// The longest secret we read: a private key with its certificate chain fits many times over.
pub const LONGEST_SECRET: usize = 64 * 1024;
/// The most bytes read of one: with the end of its line, and one more that tells that it is longer.
pub const MOST_READ: usize = LONGEST_SECRET + 3;
/// Permission bits that let somebody else read, change or run a secret file.
const OTHERS: u32 = 0o077;
/// The same for a systemd credential, which its service's group may read (0440).
const OTHERS_OF_CREDENTIAL: u32 = 0o037;

/// Where a secret of a connection is read from, at the moment it is needed.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// `{ env = "NAME" }`: an environment variable.
    Env(String),
    /// `{ file = "path" }`: the content of a file, one trailing newline removed.
    File(PathBuf),
    /// `{ credential = "name" }`: a file in systemd's `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// `{ vault = "name" }`: sealed in the vault by `tidegate secret set name`.
    Vault(Name),
    /// Text in the configuration itself, accepted only where nobody else can read that file.
    Literal(Secret),
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
    #[error("could not read `{}`", path.display())]
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
    /// The vault has no secret of this name.
    #[error("the vault has no secret `{name}`; type `tidegate secret set {name}`")]
    NotSealed {
        /// The secret.
        name: Name,
    },
    /// The vault has the secret, and cannot open it.
    #[error("the sealed secret `{name}` cannot be opened; type `tidegate secret set {name}`")]
    Damaged {
        /// The secret.
        name: Name,
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

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable `{name}`"),
            Self::File(path) => write!(f, "file `{}`", path.display()),
            Self::Credential(name) => write!(f, "credential `{name}`"),
            Self::Vault(name) => write!(f, "sealed secret `{name}`"),
            Self::Literal(_) => f.write_str("the configuration file"),
        }
    }
}

impl SecretSource {
    /// Reads the secret, one trailing newline removed.
    ///
    /// A sealed one is not to be had here: only who has opened the vault can read it.
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
            Self::Vault(name) => Err(SecretError::NotSealed { name: name.clone() }),
        }
    }

    fn checked(&self, bytes: Zeroizing<Vec<u8>>) -> Result<Secret, SecretError> {
        secret_of(&bytes).map_err(|what| SecretError::Unusable {
            source_name: self.to_string(),
            what,
        })
    }
}

/// Reads the bytes of a secret as text, one trailing newline removed.
///
/// # Errors
/// What is wrong with them, as the end of a sentence.
pub fn secret_of(bytes: &[u8]) -> Result<Secret, &'static str> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    match bytes.len() {
        0 => Err("is empty"),
        1..=LONGEST_SECRET => {
            let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8 text")?;
            Ok(Secret::from(text))
        }
        _ => Err("is longer than 64 KiB"),
    }
}

#[cfg(test)]
mod tests;
