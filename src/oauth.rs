//! Keeps every connection signed in.
//!
//! The words of the room: an [`AccessToken`] is what a request carries; the *credential* behind it
//! stands sealed in the [`vault`]; `grant` knows how tokens are asked for and answered; the
//! [`Keeper`] asks at the right moment, once, and never loses what it was given; [`login`] lets a
//! person grant access in the first place.

pub mod assertion;
mod discovery;
mod error;
mod grant;
mod health;
pub mod id_token;
mod keeper;
pub mod login;
mod outlook;
mod points;
mod quota;
mod rescue;
mod revocation;
mod secrets;
mod session;
mod settle;
mod skew;
mod standing;
#[cfg(test)]
mod testing;
pub mod vault;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

pub use error::Error;
pub use keeper::{Keeper, Revocation};
pub use login::device::DeviceStart;
pub use login::{LoginDone, LoginStart};
pub use revocation::{Remaining, SignedOut, TokenKind};
pub use standing::{Reason, State};

use crate::config::{Facts, Name};
use crate::secret::Secret;

/// The most bytes of tokens that are brought in: as many as a token endpoint may answer.
pub const LONGEST_IMPORT: usize = grant::ANSWER_LIMIT as usize;

/// What a request to a source carries.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token, or a password.
    pub token: Secret,
    /// Whose password it is; `None` for a token.
    pub username: Option<Secret>,
    /// Which credential of the connection it belongs to; 0 for a token that does not change.
    pub generation: u64,
    /// When it ends; `None` if it lasts until it is refused.
    pub expires_at: Option<Timestamp>,
    /// What the authorization server said beside it.
    pub facts: Arc<Facts>,
}

/// Everything that is known of a connection's credential, to be shown.
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    /// The connection.
    pub connection: Name,
    /// The account, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Name>,
    /// How it stands.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
    /// What the server or the system said about it, made fit to show.
    pub detail: Option<String>,
    /// Since when it stands so.
    pub since: Timestamp,
    /// When something is tried again.
    pub next_at: Option<Timestamp>,
    /// The credential's number; 0 if there is none.
    pub generation: u64,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends, if that is known.
    pub refresh_expires_at: Option<Timestamp>,
    /// When somebody must sign in again whatever is done, if that is known.
    pub login_ends_at: Option<Timestamp>,
    /// When the next refresh is due by itself.
    pub next_refresh_at: Option<Timestamp>,
    /// The scope that was granted, if the server said.
    pub scope: Option<String>,
    /// Who signed in, if that is known.
    pub person: Option<id_token::Person>,
    /// What the authorization server said beside the tokens, as far as the connection keeps it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// What a person should know though nothing is wrong yet, with the command that mends it.
    pub notices: Vec<String>,
    /// True if one of the notices is about something that somebody must do soon.
    pub is_alarming: bool,
}
