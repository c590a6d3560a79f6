//! The configuration: TOML as written, checked into types that cannot be wrong.
//!
//! [`load`] reads one file and answers with a [`Config`], or with one [`Report`] that holds every
//! problem of the file, each with its place. Past this module nobody parses or defaults.

mod account;
mod catalogue;
mod check;
mod connection;
mod environment;
mod facts;
mod flow;
mod key;
mod keys;
mod lines;
mod mask;
mod places;
mod program;
mod reader;
mod report;
mod response;
mod schedule;
mod templates;
mod units;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use account::Account;
pub use catalogue::{
    Access, Provider, Redirect, Registration, Scope, Variable, Works, provider, providers,
};
pub use connection::{
    Auth, BaseError, BaseTemplate, Basic, BodyFormat, Budget, Call, ClientAuth, ClientKey,
    Connection, Endpoints, ErrorRule, Grant, Issuer, Left, LimitHeaders, Manners, Meaning, OAuth,
    Placement, RefreshPolicy, RefreshWindow, Reserve, RetryInDoubt, Session, SessionEnd,
    SigningAlgorithm, TokenAt,
};
pub use environment::Environment;
pub use facts::{FactName, Facts};
pub use flow::{
    Accounts, Body, Caps, Column, Columns, Csv, Cursor, DeleteMode, Deletes, Delta, Each, End,
    Flow, Format, Given, GraphQl, Header, Kind, Level, Method, MostSwept, Paging, PastEnd, Payload,
    Records, Resource, SendCursor, SendDelta, Source, Style, Sweep, Table, Told, Tombstones, Total,
    With,
};
pub use key::{
    KeyError, KeySource, LONGEST_SECRET, MOST_READ, SecretError, SecretSource, read_key,
    read_key_in, secret_of,
};
pub use report::{Problem, Report};
pub use response::{HeaderTest, ResponseRule, RuleAction};
pub use schedule::Schedule;
pub use units::show as shown;

/// The configuration as meant.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// Where the vault, the lock and the control socket are, and the data unless it is elsewhere.
    pub state_dir: PathBuf,
    /// The data: `tidegate.db`.
    pub database: PathBuf,
    /// Where the vault's key comes from.
    pub key: KeySource,
    /// Where older keys come from, by which parts of the vault may still be wrapped.
    pub old_keys: Vec<KeySource>,
    /// How many flows may run at the same time.
    pub max_concurrent: usize,
    /// How long finished runs are kept in the journal.
    pub keep_runs: Duration,
    /// The connections by name.
    pub connections: BTreeMap<Name, Connection>,
    /// The flows by name.
    pub flows: BTreeMap<Name, Flow>,
    /// The sealed secrets it refers to, as `{ vault = "name" }`.
    pub sealed: BTreeSet<Name>,
    /// What is right but deserves a person's eye, such as an environment variable that is not set.
    pub warnings: Vec<String>,
}

impl Config {
    /// Returns the connection a flow reads through.
    ///
    /// # Panics
    /// Never for a flow of this configuration: its connection was looked up when it was loaded.
    #[must_use]
    pub fn connection(&self, flow: &Flow) -> &Connection {
        self.connections
            .get(&flow.connection)
            .expect("a flow's connection was looked up when the configuration was checked")
    }

    /// True if something is, or is going to be, sealed in the vault.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        let signs_in = |connection: &Connection| match connection.auth {
            Auth::OAuth(_) => true,
            Auth::None | Auth::Token(_) | Auth::Basic(_) => false,
        };
        !self.sealed.is_empty() || self.connections.values().any(signs_in)
    }

    /// Returns the path of the vault.
    #[must_use]
    pub fn vault(&self) -> PathBuf {
        self.state_dir.join("vault.db")
    }

    /// Returns the path of the socket on which the owner of the state directory answers.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.state_dir.join("tidegate.sock")
    }
}

/// The name of a connection or a flow: letters, digits, `_` and `-`, not starting with a digit or `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Name(std::sync::Arc<str>);

impl Name {
    /// The longest name, in bytes.
    pub const LONGEST: usize = 63;

    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence without a full stop.
    pub fn parse(text: &str) -> Result<Self, String> {
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let goes_on_well = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if text.len() > Self::LONGEST {
            return Err(format!("a name has at most {} letters", Self::LONGEST));
        }
        if !starts_well || !goes_on_well {
            return Err("a name has letters, digits, `_` and `-`, and starts with a letter".into());
        }
        Ok(Self(text.into()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Says that there is no connection or flow of a name, what was probably meant, and what there is.
#[must_use]
pub fn no_such<'n>(kind: &str, name: &str, known: impl Iterator<Item = &'n Name>) -> String {
    let known: Vec<&str> = known.map(Name::as_str).collect();
    let meant = reader::nearest(name, known.iter().copied())
        .map(|near| format!(" (did you mean `{near}`?)"))
        .unwrap_or_default();
    if known.is_empty() {
        return format!("there is no {kind} `{name}`, nor any other");
    }
    let known = reader::listed(known.into_iter());
    format!("there is no {kind} `{name}`{meant}; there are: {known}")
}

/// The configuration's name where none is given: here, or where a service has its own.
const PLACES: [&str; 2] = ["tidegate.toml", "/etc/tidegate/tidegate.toml"];

/// Returns where the configuration is: `given`, or the first of the usual places that has one.
///
/// Where there is none at all this is the first place, and [`load`] tells that nothing is there.
#[must_use]
pub fn find(given: Option<&Path>) -> PathBuf {
    let usual = || PLACES.iter().map(Path::new).find(|path| path.exists());
    given
        .or_else(usual)
        .unwrap_or(Path::new(PLACES[0]))
        .to_owned()
}

/// Reads and checks the configuration at `path`, without any network.
///
/// # Errors
/// Every problem of the file, in one report.
pub fn load(path: &Path) -> Result<Config, Report> {
    check::load(path, &Environment::Process)
}

/// Reads and checks the configuration as [`load`] does, with the variables of `environment`.
///
/// # Errors
/// Every problem of the file, in one report.
pub fn load_in(path: &Path, environment: &Environment) -> Result<Config, Report> {
    check::load(path, environment)
}
