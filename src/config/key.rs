//! Where secrets come from; never the secrets themselves.

use std::path::PathBuf;

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
    Literal(crate::secret::Secret),
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
