//! Paths and secrets as the configuration writes them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::environment::STATE_DIRECTORY;
use super::keys;
use super::reader::{Item, Table};
use super::{Environment, KeySource, Name, SecretSource};
use crate::remedy::told;
use crate::secret::Secret;

/// Permission bits that let somebody besides the owner at a file.
const OTHERS: u32 = 0o077;
/// The systemd credential that holds the vault's key unless the configuration names another source.
const KEY_CREDENTIAL: &str = "tidegate-key";
/// The file that holds the vault's key where there is no such credential.
const KEY_FILE: &str = "vault.key";
/// The state directory where systemd names none.
const STATE: &str = "tidegate-state";

/// Where the configuration stands, and what it may therefore say.
#[derive(Debug)]
pub(super) struct Places<'a> {
    /// The file itself.
    file: &'a Path,
    /// What relative paths are resolved against.
    directory: PathBuf,
    /// The file's permissions, as far as others have any.
    open_to_others: bool,
    /// The variables of the process.
    environment: &'a Environment,
}

impl<'a> Places<'a> {
    /// Makes the places of a configuration file.
    pub(super) fn of(file: &'a Path, facts: &Metadata, environment: &'a Environment) -> Self {
        Self {
            file,
            directory: file.parent().map(Path::to_owned).unwrap_or_default(),
            open_to_others: facts.mode() & OTHERS != 0,
            environment,
        }
    }

    /// Returns the state directory if the configuration names none.
    pub(super) fn state_directory(&self) -> PathBuf {
        // systemd separates several by colons; the first is the one a unit means by "its own".
        let given = self.environment.get(STATE_DIRECTORY);
        let given = given.as_deref().and_then(|paths| paths.split(':').next());
        given.map_or_else(|| self.directory.join(STATE), PathBuf::from)
    }

    /// Returns the vault's key source if the configuration names none.
    pub(super) fn key(&self) -> KeySource {
        match self.environment.credential(KEY_CREDENTIAL) {
            Some(path) if path.exists() => KeySource::Credential(KEY_CREDENTIAL.to_owned()),
            _ => KeySource::File(self.directory.join(KEY_FILE)),
        }
    }

    /// Reads a path.
    pub(super) fn path(&self, item: &Item<'_>) -> Option<PathBuf> {
        item.parsed("a path, absolute or relative to this file", |text| {
            if text.starts_with('~') {
                return Err("begins with `~`, which only a shell understands".to_owned());
            }
            if text.contains(char::is_control) {
                return Err("holds a control character".to_owned());
            }
            Ok(self.directory.join(text))
        })
    }

    /// Reads where the vault's key comes from.
    pub(super) fn read_key(&self, item: &Item<'_>) -> Option<KeySource> {
        if item.value.is_str() {
            item.findings.hide(item.at.clone());
            return item.wrong_type("{ file = … }, { credential = … } or { env = … }, not the key");
        }
        match self.source(item)? {
            SecretSource::Env(name) => Some(KeySource::Env(name)),
            SecretSource::File(path) => Some(KeySource::File(path)),
            SecretSource::Credential(name) => Some(KeySource::Credential(name)),
            SecretSource::Vault(_) => {
                item.refuse(
                    format!("`{}` is sealed by itself", item.key),
                    "{ file = … }, { credential = … } or { env = … }",
                );
                None
            }
            SecretSource::Literal(_) => None,
        }
    }

    /// Reads where older keys of the vault come from.
    pub(super) fn read_keys(&self, item: &Item<'_>) -> Vec<KeySource> {
        let items = item.list("a list of { file = … }, { credential = … } or { env = … }");
        let items = items.unwrap_or_default();
        items
            .iter()
            .filter_map(|item| self.read_key(item))
            .collect()
    }

    /// Reads a secret of a connection, and warns if it could not be read now.
    pub(super) fn secret(&self, item: &Item<'_>) -> Option<SecretSource> {
        let source = if item.value.is_str() {
            self.literal(item)
        } else {
            self.source(item)
        }?;
        if let SecretSource::Vault(name) = &source {
            // Whether the vault has it is for whoever may look into the vault.
            item.findings.refer(name);
        } else if let Err(error) = source.read_in(self.environment) {
            let text = format!("{}: `{}`: {}", item.what, item.key, told(&error));
            item.findings.warn(Some(item.at.start), text);
        }
        Some(source)
    }

    /// Reads what may be a secret and need not be one: text counts whoever can read the file.
    pub(super) fn text_or_secret(&self, item: &Item<'_>) -> Option<SecretSource> {
        match item.value.is_str() {
            true => item.text().map(Secret::from).map(SecretSource::Literal),
            false => self.secret(item),
        }
    }

    fn literal(&self, item: &Item<'_>) -> Option<SecretSource> {
        item.findings.hide(item.at.clone());
        let text = item.text()?;
        if self.open_to_others {
            let message = format!(
                "`{}` is written out in a file that others can read",
                item.key
            );
            let problem = item.problem(message);
            let help = format!(
                "change the secret, which others may have read, or type `chmod 600 {}`",
                self.file.display()
            );
            item.findings.add(
                problem
                    .label(
                        "expected { env = … }, { file = … }, { credential = … } or { vault = … }",
                    )
                    .help(help),
            );
            return None;
        }
        Some(SecretSource::Literal(Secret::from(text)))
    }

    fn source(&self, item: &Item<'_>) -> Option<SecretSource> {
        let expected = "one of { env = … }, { file = … }, { credential = … } and { vault = … }";
        if !item.value.is_table() {
            // A secret with brackets around it is a secret still.
            item.findings.hide(item.at.clone());
            return item.wrong_type(expected);
        }
        let table = item.table(&keys::SECRET, format!("{}: `{}`", item.what, item.key))?;
        let written = table.items();
        if let [_, second, ..] = written.as_slice() {
            table.contradiction(
                second,
                "a secret has one source",
                "keep one and remove the rest",
            );
            return None;
        }
        if written.is_empty() {
            item.refuse(format!("`{}` names no source", item.key), expected);
        }
        self.named_source(&table)
    }

    fn named_source(&self, table: &Table<'_>) -> Option<SecretSource> {
        if let Some(item) = table.get("env") {
            let name = item.parsed("the name of an environment variable", |text| {
                match text
                    .contains(|letter: char| letter == '=' || letter == '$' || letter.is_control())
                {
                    true => Err("is no name of an environment variable".to_owned()),
                    false => Ok(text.to_owned()),
                }
            })?;
            return Some(SecretSource::Env(name));
        }
        if let Some(item) = table.get("file") {
            return self.path(&item).map(SecretSource::File);
        }
        if let Some(item) = table.get("vault") {
            let name = item.parsed("the name of a sealed secret", Name::parse)?;
            return Some(SecretSource::Vault(name));
        }
        let name = table
            .get("credential")?
            .parsed("the name of a systemd credential", |text| {
                match text.contains(|letter: char| letter == '/' || letter.is_control())
                    || text.starts_with('.')
                {
                    true => Err("is no name of a credential".to_owned()),
                    false => Ok(text.to_owned()),
                }
            })?;
        Some(SecretSource::Credential(name))
    }
}
