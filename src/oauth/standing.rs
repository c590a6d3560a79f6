//! How a connection stands, in words that the vault keeps and a person is shown.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::Health;
use crate::config::{Account, Grant, OAuth};
use crate::seal;

/// Declares a closed set of words, each with the spelling it has in the vault and in JSON.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Returns the word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Reads the word.
            pub(super) fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

words! {
    /// How a connection stands.
    State {
        /// Signed in.
        Ok = "ok",
        /// A token request is under way.
        Refreshing = "refreshing",
        /// The last refresh did not work; it is tried again later.
        BackingOff = "backing_off",
        /// The answer to a refresh was lost, so the refresh token may be spent.
        InDoubt = "in_doubt",
        /// A person must sign in.
        NeedsLogin = "needs_login",
        /// The server refuses the client, or the way it asks.
        ClientRejected = "client_rejected",
        /// The server refuses without saying why, or the credential cannot be read.
        NeedsAttention = "needs_attention",
    }
}

words! {
    /// Why a connection stands as it does.
    Reason {
        /// Nobody has signed in yet.
        NeverSignedIn = "never_signed_in",
        /// No refresh token was brought in yet.
        NothingImported = "nothing_imported",
        /// Somebody signed out.
        LoggedOut = "logged_out",
        /// Somebody is signing out: the server is being told.
        LoggingOut = "logging_out",
        /// The server gave no refresh token, and the access token has ended.
        NoRefreshToken = "no_refresh_token",
        /// The server refused the refresh token.
        Refused = "refused",
        /// The server refused the refresh token once, and is asked once more.
        RefusedOnce = "refused_once",
        /// The server refused the refresh token after an answer was lost: the lost answer had
        /// brought the next one.
        RotationAnswerLost = "rotation_answer_lost",
        /// An answer was lost, or the program ended before it came.
        AnswerLost = "answer_lost",
        /// The vault is an older copy of itself, brought back: the refresh token may have been spent
        /// since the copy was made.
        Restored = "restored",
        /// The server could not be reached.
        Unreachable = "unreachable",
        /// The server said that it is too early.
        TooEarly = "too_early",
        /// The server has trouble, or wants fewer requests.
        ServerTrouble = "server_trouble",
        /// The server refused without a word we know.
        Unclassified = "unclassified",
        /// The server refuses the way the client asks, or what it asks for.
        Configuration = "configuration",
        /// The server refuses the client.
        ClientRefused = "client_refused",
        /// The server or the source refused the password, which is not sent again.
        PasswordRefused = "password_refused",
        /// The server refuses the assertion in place of a grant.
        AssertionRefused = "assertion_refused",
        /// The server refused the refresh token, and has never taken one.
        NeverWorked = "never_worked",
        /// The server denies access.
        Denied = "denied",
        /// Nobody this machine trusts vouches for the server.
        Certificate = "certificate",
        /// The client's secret could not be read.
        SecretMissing = "secret_missing",
        /// It could not be found out where the server answers.
        ServerUnknown = "server_unknown",
        /// The vault could not be written, so nothing was sent.
        VaultUnwritable = "vault_unwritable",
        /// The sealed credential cannot be opened.
        Unreadable = "unreadable",
    }
}

impl Reason {
    /// Returns true if it says that the refresh token is refused, or may be spent.
    pub(super) fn is_about_refresh_token(self) -> bool {
        matches!(self, Self::Refused | Self::AnswerLost | Self::Restored)
    }

    /// Says what ends the state of a connection that is refused for this reason.
    #[must_use]
    pub fn mend(self, account: &Account) -> String {
        let (connection, words) = (&account.connection, account.words());
        match self {
            Self::PasswordRefused => format!(
                "correct the password of connection `{connection}`; if it is right, type `tidegate \
                 logout {words}`, and it is tried once more"
            ),
            Self::AssertionRefused => format!(
                "check this machine's clock, and `claims` and `private_key` of connection \
                 `{connection}`, whose public half the server must know"
            ),
            Self::Configuration => format!(
                "check what connection `{connection}` asks for, and where: `grant`, `scopes`, \
                 `resource`, `token_url`"
            ),
            Self::Certificate => format!(
                "check the address in connection `{connection}`, and which certificates this \
                 machine trusts"
            ),
            Self::Denied => format!(
                "ask who runs the server why access is denied; then type `tidegate login {words}`"
            ),
            Self::NeverWorked => format!(
                "type `tidegate login {words}`; if its first refresh is refused again, check \
                 whether the server lets this client refresh"
            ),
            Self::Unclassified => format!(
                "type `tidegate login {words}`; if that is refused too, check the client secret"
            ),
            Self::Restored => format!(
                "if no other copy of the vault is in use, type `tidegate vault adopt`; if its \
                 refresh token is refused then, `tidegate login {words}`"
            ),
            Self::NothingImported => format!("type `tidegate login {words} --import`"),
            Self::SecretMissing => {
                format!("look at where `[connection.{connection}]` takes its secrets from")
            }
            Self::ClientRefused => {
                format!("check `client_id` and `client_secret` of connection `{connection}`")
            }
            _ => format!("type `tidegate login {words}`"),
        }
    }
}

/// How a connection stands, as the vault keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub state: State,
    pub reason: Option<Reason>,
    /// What the server or the system said, made fit to show.
    pub detail: Option<String>,
    pub since: Timestamp,
    /// Nothing is sent before.
    pub next_at: Option<Timestamp>,
    /// How many tries in a row did not work.
    pub failures: u32,
    /// A digest of the configuration that the server rejected: another one is tried at once.
    pub rejected: Option<[u8; seal::KEY]>,
    /// When this was written, by which a clock that was set back is noticed.
    pub written_at: Timestamp,
}

impl Standing {
    /// Everything works.
    pub(super) fn ok(at: Timestamp) -> Self {
        Self {
            state: State::Ok,
            reason: None,
            detail: None,
            since: at,
            next_at: None,
            failures: 0,
            rejected: None,
            written_at: at,
        }
    }

    /// Everything works again, or still does.
    pub(super) fn renewed(&self, at: Timestamp) -> Self {
        let since = if self.state == State::Ok {
            self.since
        } else {
            at
        };
        Self {
            since,
            ..Self::ok(at)
        }
    }

    /// Returns true if nobody ever signed in, or whoever did has signed out.
    pub(super) fn is_absent(&self) -> bool {
        is_absent(self.reason)
    }

    /// Returns true while somebody signs out.
    pub(super) fn is_leaving(&self) -> bool {
        self.reason == Some(Reason::LoggingOut)
    }

    /// A person must sign in.
    pub(super) fn needs_login(reason: Reason, detail: Option<String>, at: Timestamp) -> Self {
        Self {
            state: State::NeedsLogin,
            reason: Some(reason),
            detail,
            ..Self::ok(at)
        }
    }
}

fn is_absent(reason: Option<Reason>) -> bool {
    matches!(
        reason,
        Some(Reason::NeverSignedIn | Reason::NothingImported | Reason::LoggedOut)
    )
}

/// Returns the accounts of one connection that somebody wants to see, of `all` there are: those
/// somebody signed in to, or else the one without a name.
pub(super) fn shown(mut all: Vec<Health>) -> Vec<Health> {
    let is_present = |health: &Health| health.generation > 0 || !is_absent(health.reason);
    if all.iter().any(is_present) {
        all.retain(is_present);
    } else {
        all.retain(|health| health.account.is_none());
    }
    all
}

/// How a connection stands that has no credential, for `reason`.
pub(super) fn without_credential(oauth: Option<&OAuth>, reason: Reason, at: Timestamp) -> Standing {
    match oauth.map(|oauth| &oauth.grant) {
        Some(Grant::RefreshToken) => Standing::needs_login(Reason::NothingImported, None, at),
        Some(grant) if !grant.is_unattended() => Standing::needs_login(reason, None, at),
        Some(_) | None => Standing::ok(at),
    }
}
