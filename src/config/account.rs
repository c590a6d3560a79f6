//! Who has signed in.

use std::fmt;

use super::Name;

/// One sign-in on a connection.
///
/// A connection usually has one, which needs no name. It may have any number of named ones besides:
/// each person of a company with their own mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Account {
    /// The connection.
    pub connection: Name,
    /// What the account is called; `None` for the one without a name.
    pub name: Option<Name>,
}

impl Account {
    /// Returns the account without a name.
    #[must_use]
    pub fn of(connection: &Name) -> Self {
        Self {
            connection: connection.clone(),
            name: None,
        }
    }

    /// Returns the account called `name`.
    #[must_use]
    pub fn named(connection: &Name, name: &Name) -> Self {
        Self {
            connection: connection.clone(),
            name: Some(name.clone()),
        }
    }

    /// Returns connection and account as databases keep them: an account without a name is `""`.
    #[must_use]
    pub fn row(&self) -> [&str; 2] {
        let name = self.name.as_ref().map_or("", Name::as_str);
        [self.connection.as_str(), name]
    }

    /// Reads connection and account as databases keep them; `None` if they are no names.
    #[must_use]
    pub fn from_row(connection: &str, name: &str) -> Option<Self> {
        let connection = Name::parse(connection).ok()?;
        let name = match name {
            "" => None,
            name => Some(Name::parse(name).ok()?),
        };
        Some(Self { connection, name })
    }

    /// Returns the words that name the account on the command line: `exact --account berlin`.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.name {
            None => self.connection.to_string(),
            Some(name) => format!("{} --account {name}", self.connection),
        }
    }
}

impl fmt::Display for Account {
    /// Writes `exact`, or `exact/berlin`: no name has a slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => self.connection.fmt(f),
            Some(name) => write!(f, "{}/{name}", self.connection),
        }
    }
}
