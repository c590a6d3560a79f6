//! Why the token endpoint says no, and in which words.

use std::fmt;

use jiff::Timestamp;

/// Why a token request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The request is not one the endpoint understands.
    Malformed,
    /// The client's id or secret is wrong.
    WrongClient,
    /// The code is unknown, used, too old, or was given for another redirect URI.
    BadCode,
    /// The access token has too long to live yet. Nothing is consumed.
    TooEarly,
    /// The refresh token was used before. The chain ends.
    Reused,
    /// The chain the refresh token belongs to has ended, or never was.
    DeadChain,
    /// The refresh token was not used for too long, and ended at this instant.
    Expired(Timestamp),
}

impl Refusal {
    /// Returns the HTTP status and the OAuth error code that tell it.
    #[must_use]
    pub fn code(self) -> (u16, &'static str) {
        match self {
            Self::Malformed | Self::Expired(_) => (400, "invalid_request"),
            Self::WrongClient => (401, "invalid_client"),
            Self::BadCode | Self::DeadChain => (400, "invalid_grant"),
            Self::TooEarly => (400, "access_denied"),
            Self::Reused => (401, "unauthorized_client"),
        }
    }
}

/// The `error_description`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("The request is missing a required parameter."),
            Self::WrongClient => f.write_str("Client authentication failed."),
            Self::BadCode => f.write_str("The authorization code is not valid."),
            Self::TooEarly => f.write_str("Rate limit exceeded: access_token not expired"),
            Self::Reused => f.write_str("Old refresh token used."),
            Self::DeadChain => {
                f.write_str("Token is not allowed, because of invalid or empty chainId")
            }
            Self::Expired(at) => {
                write!(
                    f,
                    "The refresh token expired at {}",
                    at.strftime("%-m/%-d/%Y %-I:%M:%S %p")
                )
            }
        }
    }
}
