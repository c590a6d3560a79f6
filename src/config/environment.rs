//! The environment variables a configuration refers to.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where systemd puts the credentials of a service.
pub(super) const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// Where systemd says a service keeps its state.
pub(super) const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// Environment variables: the process's own, or given ones, so that a test need not change the
/// environment every other test shares.
#[derive(Debug, Clone, Default)]
pub enum Environment {
    /// What this process was started with.
    #[default]
    Process,
    /// These and no others.
    Given(BTreeMap<String, String>),
}

impl Environment {
    /// Makes an environment of these variables alone.
    #[must_use]
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        Self::Given(
            variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        )
    }

    /// Returns a variable's value if it is set, not empty, and text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let value = match self {
            Self::Process => std::env::var(name).ok(),
            Self::Given(variables) => variables.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }

    /// Returns the path of a systemd credential, if there is a directory of them.
    pub(super) fn credential(&self, name: &str) -> Option<PathBuf> {
        self.get(CREDENTIALS_DIRECTORY)
            .map(|directory| PathBuf::from(directory).join(name))
    }
}
