//! Why there is no access token, or no login.

use jiff::Timestamp;

use super::{Reason, State, assertion, discovery, login, vault};
use crate::config::{Account, Name, SecretError, no_such};
use crate::http;
use crate::remedy::Remedy;

/// Why there is no access token, or no login.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration has no such connection.
    #[error("there is no connection `{connection}`")]
    Unknown {
        /// The name asked for.
        connection: Name,
    },
    /// Nobody is signed in under that name.
    #[error("connection `{connection}`: {}", no_such("account", name.as_str(), known.iter()))]
    NoSuchAccount {
        /// The connection.
        connection: Name,
        /// The account asked for.
        name: Name,
        /// The accounts there are.
        known: Vec<Name>,
    },
    /// The account is one more than are kept.
    #[error("there is no room for account `{account}`: {most} accounts with a name are the most")]
    TooManyAccounts {
        /// The account.
        account: Account,
        /// How many there may be.
        most: usize,
    },
    /// A person must sign in.
    #[error("connection `{account}` needs a login: {}{}", why_login(*reason), in_brackets(detail))]
    NeedsLogin {
        /// Whose.
        account: Account,
        /// Why.
        reason: Reason,
        /// What the server said.
        detail: Option<String>,
    },
    /// The access token has ended, and the next may not be asked for yet.
    #[error(
        "connection `{account}` has no access token until {next_at:.0}: {}{}",
        why_wait(*reason), in_brackets(detail)
    )]
    Waiting {
        /// Whose.
        account: Account,
        /// Why.
        reason: Option<Reason>,
        /// What the server or the system said.
        detail: Option<String>,
        /// When it is tried again.
        next_at: Timestamp,
    },
    /// The server refuses the client, or the way it asks.
    #[error(
        "the authorization server rejects {} of connection `{account}`{}",
        what_is_rejected(*reason), in_brackets(detail)
    )]
    Rejected {
        /// Whose.
        account: Account,
        /// Why.
        reason: Option<Reason>,
        /// What the server said.
        detail: Option<String>,
    },
    /// The server refuses without saying why, or the credential cannot be read.
    #[error("connection `{account}` needs attention: {}{}", why_attention(*reason), in_brackets(detail))]
    NeedsAttention {
        /// Whose.
        account: Account,
        /// Why.
        reason: Option<Reason>,
        /// What the server said.
        detail: Option<String>,
    },
    /// The source refuses an access token that has just been issued.
    #[error("the source refuses the brand-new access token of connection `{account}`")]
    AccessRefused {
        /// Whose.
        account: Account,
    },
    /// The source refuses the configured token or password.
    #[error("the source refuses the credential of connection `{account}`")]
    TokenRefused {
        /// Whose.
        account: Account,
    },
    /// A secret of the connection could not be read.
    #[error("could not read the {what} of connection `{account}`")]
    Secret {
        /// Whose.
        account: Account,
        /// What is read from there.
        what: &'static str,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// The private key of the connection cannot sign.
    #[error("connection `{account}` cannot sign its requests: {source}")]
    Key {
        /// Whose.
        account: Account,
        /// Why.
        source: assertion::KeyError,
    },
    /// The certificate of the connection, or its private key, opens no connection.
    #[error("connection `{account}` cannot use its `certificate` with its `private_key`")]
    Identity {
        /// Whose.
        account: Account,
        /// Why.
        #[source]
        source: http::Error,
    },
    /// A refresh takes longer than its caller could wait.
    #[error(
        "the refresh of connection `{account}` is still under way{}",
        in_brackets(detail)
    )]
    Slow {
        /// Whose.
        account: Account,
        /// What holds it up, if that is known.
        detail: Option<String>,
    },
    /// The program is ending, so nothing new is begun.
    #[error("connection `{account}` is not refreshed while tidegate is stopping")]
    Stopping {
        /// Whose.
        account: Account,
    },
    /// Signing out has begun, and did not end.
    #[error(
        "signing out of connection `{account}` was cut short; nobody gets its tokens any more, and \
         the next start of tidegate finishes it"
    )]
    SigningOut {
        /// Whose.
        account: Account,
    },
    /// Nobody says where the authorization server answers.
    #[error("could not find out where the authorization server of connection `{account}` answers")]
    Discovery {
        /// Whose.
        account: Account,
        /// Why.
        #[source]
        source: discovery::Error,
    },
    /// The login did not work.
    #[error(transparent)]
    Login(#[from] login::Error),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] vault::Error),
}

impl Error {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::NeedsAttention {
                reason: Some(Reason::PasswordRefused | Reason::Certificate),
                ..
            } => Remedy::EditConfig,
            Self::NeedsLogin { .. } | Self::NeedsAttention { .. } => Remedy::Login,
            Self::Waiting { .. }
            | Self::Slow { .. }
            | Self::Stopping { .. }
            | Self::SigningOut { .. } => Remedy::Wait,
            Self::Unknown { .. }
            | Self::NoSuchAccount { .. }
            | Self::TooManyAccounts { .. }
            | Self::Rejected { .. }
            | Self::AccessRefused { .. }
            | Self::TokenRefused { .. }
            | Self::Secret { .. }
            | Self::Key { .. }
            | Self::Identity { .. } => Remedy::EditConfig,
            Self::Discovery { source, .. } => source.remedy(),
            Self::Login(error) => error.remedy(),
            Self::Vault(error) => error.remedy(),
        }
    }

    /// Says what to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NeedsLogin {
                account, reason, ..
            } => Some(reason.mend(account)),
            Self::NeedsAttention {
                account, reason, ..
            } => Some(reason.unwrap_or(Reason::Unclassified).mend(account)),
            Self::Rejected {
                account, reason, ..
            } => Some(reason.unwrap_or(Reason::ClientRefused).mend(account)),
            Self::AccessRefused { .. } => {
                Some("check what the client and its user may read".to_owned())
            }
            Self::TokenRefused { account } => Some(format!(
                "check `token` or `basic` of connection `{}`",
                account.connection
            )),
            Self::Secret { account, .. } => Some(format!(
                "look at where `[connection.{}]` takes it from",
                account.connection
            )),
            Self::TooManyAccounts { .. } => Some(
                "sign out of accounts nobody needs with `tidegate logout NAME --account ACCOUNT`"
                    .to_owned(),
            ),
            Self::Key { source, .. } => Some(source.hint().to_owned()),
            Self::Identity { .. } => Some(
                "give both as PEM: a file with `-----BEGIN PRIVATE KEY-----`, and one with \
                 `-----BEGIN CERTIFICATE-----`"
                    .to_owned(),
            ),
            Self::Waiting {
                reason: Some(Reason::VaultUnwritable),
                ..
            }
            | Self::Slow {
                detail: Some(_), ..
            } => Some("make room on the disk, and let tidegate write there".to_owned()),
            Self::Discovery { source, .. } => source.hint().map(str::to_owned),
            Self::Login(error) => error.hint(),
            Self::Vault(error) => error.hint().map(str::to_owned),
            Self::Unknown { .. }
            | Self::NoSuchAccount { .. }
            | Self::Waiting { .. }
            | Self::Slow { .. }
            | Self::Stopping { .. }
            | Self::SigningOut { .. } => None,
        }
    }

    /// When it may work again, if that is known.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        match self {
            Self::Waiting { next_at, .. } => Some(*next_at),
            _ => None,
        }
    }

    /// Makes the error that a connection's state comes to when it has no access token to give.
    pub(super) fn of_state(
        account: &Account,
        state: State,
        reason: Option<Reason>,
        detail: Option<String>,
        next_at: Option<Timestamp>,
    ) -> Self {
        let account = account.clone();
        match (state, next_at) {
            (State::ClientRejected, _) => Self::Rejected {
                account,
                reason,
                detail,
            },
            (State::NeedsAttention, _) => Self::NeedsAttention {
                account,
                reason,
                detail,
            },
            (State::NeedsLogin, _) | (_, None) => {
                let reason = reason.unwrap_or(Reason::NoRefreshToken);
                Self::NeedsLogin {
                    account,
                    reason,
                    detail,
                }
            }
            (_, Some(next_at)) => Self::Waiting {
                account,
                reason,
                detail,
                next_at,
            },
        }
    }
}

fn in_brackets(detail: &Option<String>) -> String {
    detail
        .as_ref()
        .map(|detail| format!(" ({detail})"))
        .unwrap_or_default()
}

fn why_login(reason: Reason) -> &'static str {
    match reason {
        Reason::NeverSignedIn => "nobody has signed in yet",
        Reason::NothingImported => "no refresh token was brought in yet",
        Reason::LoggedOut => "somebody signed out",
        Reason::LoggingOut => "somebody is signing out",
        Reason::NoRefreshToken => {
            "its access token has ended, and the server gave no refresh token"
        }
        Reason::AnswerLost => {
            "the answer to its refresh was lost, and its server must not see the old refresh token \
             again"
        }
        Reason::RotationAnswerLost => {
            "the answer that brought its next refresh token was lost, and the old one was refused"
        }
        Reason::Restored => {
            "its vault is an older copy, whose refresh token may have been spent since"
        }
        Reason::NeverWorked => "its refresh token was refused at its first use",
        _ => "its refresh token was refused",
    }
}

fn why_wait(reason: Option<Reason>) -> &'static str {
    match reason {
        Some(Reason::Unreachable) => "the authorization server could not be reached",
        Some(Reason::RefusedOnce) => {
            "its refresh token was refused, and is tried once more before anybody must sign in"
        }
        Some(Reason::AnswerLost) => "the answer to its refresh was lost, and it is asked again",
        Some(Reason::ServerTrouble) => "the authorization server has trouble",
        Some(Reason::Unclassified) => "the authorization server refused without saying why",
        Some(Reason::Denied) => "the authorization server denies access",
        Some(Reason::VaultUnwritable) => "the vault could not be written, so nothing was sent",
        Some(Reason::SecretMissing) => "a secret could not be read",
        Some(Reason::ServerUnknown) => "nobody says where the authorization server answers",
        _ => "the authorization server allows no earlier refresh",
    }
}

fn why_attention(reason: Option<Reason>) -> &'static str {
    match reason {
        Some(Reason::Unreadable) => "its sealed credential cannot be opened",
        Some(Reason::PasswordRefused) => {
            "its password was refused, and is not sent again lest the account be locked"
        }
        Some(Reason::Certificate) => "its authorization server cannot be trusted",
        Some(Reason::Denied) => "the authorization server denies access",
        _ => "the authorization server refuses without saying why",
    }
}

fn what_is_rejected(reason: Option<Reason>) -> &'static str {
    match reason {
        Some(Reason::AssertionRefused) => "the assertion",
        Some(Reason::Configuration) => "the requests",
        _ => "the client",
    }
}
