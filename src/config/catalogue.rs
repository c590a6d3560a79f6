//! The providers we know: what would otherwise be looked up and typed for every connection.
//!
//! An entry is data with the keys of a connection; it is put behind the connection a person wrote,
//! so that every value of theirs counts before the entry's. Nothing in the program asks which
//! provider a connection is for.

mod fill;
mod registration;
mod written;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

pub use registration::Registration;

use super::reader::nearest;

/// The catalogue as data.
static TEXT: &str = include_str!("catalogue.toml");

/// A provider the catalogue knows.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// What `provider = "…"` says.
    #[serde(skip_deserializing)]
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Where the values come from.
    pub source: String,
    /// The scope without which there is no refresh token.
    pub refresh_scope: Option<String>,
    /// Which redirect URIs it registers; any, unless this is said.
    pub redirect: Option<Redirect>,
    /// What scopes allow, by name; those that no source explains are left out.
    #[serde(default)]
    pub scopes: BTreeMap<String, Scope>,
    /// Why signing in leads nowhere yet.
    pub unusable: Option<String>,
    /// How access can be had, each way with what a first connection says besides the entry.
    pub grants: BTreeMap<Access, Map<String, Value>>,
    /// What a connection may or must say besides, and what it means.
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    /// How a client that signs is registered, where a body can be sent for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
    /// The values, by the keys of a connection; text may hold `{variable}`.
    pub connection: Map<String, Value>,
    /// Reasons, by key.
    #[serde(default)]
    pub why: BTreeMap<String, String>,
    /// Keys no source settles, and what is known.
    #[serde(default)]
    pub unsure: BTreeMap<String, String>,
    /// Keys whose values are generally known, but were not looked up.
    #[serde(default)]
    pub unchecked: Vec<String>,
    /// What a person should know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What the provider needs or offers and a connection cannot say yet.
    #[serde(default)]
    pub not_yet: Vec<String>,
    /// The values of `connection` as the configuration is read.
    #[serde(skip)]
    values: DeTable<'static>,
}

/// How access to a provider can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// A person signs in.
    AuthorizationCode,
    /// A person signs in on another device.
    DeviceCode,
    /// The client itself has access.
    ClientCredentials,
    /// An assertion that we sign names who has access.
    JwtBearer,
    /// A user name and a password are exchanged for tokens.
    Password,
    /// A refresh token was obtained elsewhere.
    RefreshToken,
    /// The provider hands out a token that does not change.
    Token,
    /// A user name and a password are sent with every request.
    Basic,
    /// The provider has a login of its own.
    Session,
}

/// What a scope allows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// In plain words, as the end of "this allows tidegate to …".
    pub about: String,
    /// True if something could be changed with it, which a reader never needs.
    #[serde(default)]
    pub writes: bool,
}

/// Which redirect URIs a provider registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Redirect {
    /// Those with https.
    Https,
    /// Those with https that lead away from this machine.
    HttpsElsewhere,
}

/// How much of a provider can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Works {
    /// Nothing is known to be missing.
    Yes,
    /// Something it needs or offers cannot be said yet.
    InPart,
    /// There is no way in yet.
    NotYet,
}

/// A part of an entry that differs from one connection to the next.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// What it means.
    pub about: String,
    /// Its value unless the connection says otherwise; without one it must be said.
    pub default: Option<String>,
    /// What it may look like, where there is no default.
    pub example: Option<String>,
    /// The values it may have; any host name part if none are listed.
    #[serde(default)]
    pub values: Vec<String>,
}

/// Returns the providers the catalogue knows, by name.
#[must_use]
pub fn providers() -> &'static [Provider] {
    static PROVIDERS: OnceLock<Vec<Provider>> = OnceLock::new();
    PROVIDERS.get_or_init(|| {
        let read = toml::from_str::<BTreeMap<String, Provider>>(TEXT);
        let values = DeTable::parse(TEXT).expect("a test reads the embedded catalogue");
        let values = values.into_inner();
        let named = |(name, provider): (String, Provider)| {
            let entry = values.get(name.as_str())?.get_ref().as_table()?;
            let DeValue::Table(values) = entry.get("connection")?.get_ref().clone() else {
                return None;
            };
            Some(Provider {
                name,
                values,
                ..provider
            })
        };
        read.expect("a test reads the embedded catalogue")
            .into_iter()
            .filter_map(named)
            .collect()
    })
}

/// Returns the provider of a name.
///
/// # Errors
/// The one whose name is nearest, if any is near.
pub fn provider(name: &str) -> Result<&'static Provider, Option<&'static Provider>> {
    let all = providers();
    let named = |name: &str| all.iter().find(|provider| provider.name == name);
    let names = all.iter().map(|provider| provider.name.as_str());
    named(name).ok_or_else(|| nearest(name, names).and_then(named))
}

impl Provider {
    /// Returns how much of it can be used.
    #[must_use]
    pub fn works(&self) -> Works {
        match (&self.unusable, self.not_yet.as_slice()) {
            (Some(_), _) if self.grants.keys().all(|access| access.signs_in()) => Works::NotYet,
            (None, []) => Works::Yes,
            (_, _) => Works::InPart,
        }
    }
}

impl Access {
    /// Returns its name in the configuration: a `grant`, or the key of another way in.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::DeviceCode => "device_code",
            Self::ClientCredentials => "client_credentials",
            Self::JwtBearer => "jwt_bearer",
            Self::Password => "password",
            Self::RefreshToken => "refresh_token",
            Self::Token => "token",
            Self::Basic => "basic",
            Self::Session => "session",
        }
    }

    /// Returns true if a person signs in.
    #[must_use]
    pub fn signs_in(self) -> bool {
        matches!(self, Self::AuthorizationCode | Self::DeviceCode)
    }

    /// Returns true if an authorization server gives the token.
    #[must_use]
    pub fn is_oauth(self) -> bool {
        !matches!(self, Self::Token | Self::Basic | Self::Session)
    }
}

impl Variable {
    /// Returns what a value may be, for a message.
    #[must_use]
    pub fn expected(&self) -> String {
        match self.values.as_slice() {
            [] => self.about.clone(),
            values => format!("{}: {}", self.about, values.join(", ")),
        }
    }

    /// Checks a value: it becomes part of a URL, so it must not be able to change which host that is.
    pub(super) fn check(&self, text: &str) -> Result<String, String> {
        let harmless = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
        let known = self.values.is_empty() || self.values.iter().any(|value| value == text);
        match harmless && known {
            true => Ok(text.to_owned()),
            false => Err(format!("cannot be {}", super::reader::quoted(text))),
        }
    }
}
