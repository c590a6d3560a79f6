//! Why it is not known who signed in.

use super::JwksError;
use crate::remedy::Remedy;

/// Why it is not known who signed in. Nothing of the token is shown but what was compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// It is not a signed token in compact form.
    #[error("the id_token is not a signed token")]
    NotAToken,
    /// Its algorithm is none, unknown to us, or not among those agreed.
    #[error("the id_token is signed by `{algorithm}`, which is not accepted")]
    Algorithm {
        /// What its header says.
        algorithm: String,
    },
    /// Its header demands what we do not understand (RFC 7515 section 4.1.11).
    #[error("the id_token demands extensions that tidegate does not know")]
    Critical,
    /// The server's keys cannot be used.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// No key of the server fits. Fetching the keys anew may help.
    #[error("the id_token is signed by a key that the server does not publish")]
    UnknownKey,
    /// More than one key fits, and the token does not say which.
    #[error("the id_token does not say which of the server's keys signed it")]
    AmbiguousKey,
    /// The signature is not the key's.
    #[error("the signature of the id_token is wrong")]
    Signature,
    /// A claim is missing or has the wrong type.
    #[error("the id_token has no usable `{claim}`")]
    Claim {
        /// The claim.
        claim: &'static str,
    },
    /// It comes from another server.
    #[error("the id_token was issued by `{found}`, not by `{expected}`")]
    Issuer {
        /// Who was expected.
        expected: String,
        /// Who it says.
        found: String,
    },
    /// It was made for another client.
    #[error("the id_token was issued to another client")]
    Audience,
    /// It has ended.
    #[error("the id_token has expired")]
    Expired,
    /// It begins in the future.
    #[error("the id_token was issued in the future")]
    NotYet,
    /// It belongs to another login.
    #[error("the id_token belongs to another login: its nonce differs")]
    Nonce,
    /// It came with another access token.
    #[error("the id_token belongs to another access token")]
    AccessToken,
    /// It is about another person than before.
    #[error("the id_token is about another person than before")]
    OtherPerson,
    /// The answer of the userinfo endpoint is not a JSON object.
    #[error("the answer of the userinfo endpoint is not a JSON object")]
    NotUserinfo,
    /// The userinfo endpoint tells about another person than the `id_token`.
    #[error("the userinfo endpoint tells about another person than the id_token")]
    OtherUserinfo,
}

impl IdTokenError {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Keys(_) | Self::UnknownKey | Self::AmbiguousKey => Remedy::Wait,
            Self::Algorithm { .. }
            | Self::Issuer { .. }
            | Self::Audience
            | Self::Expired
            | Self::NotYet => Remedy::EditConfig,
            Self::NotAToken
            | Self::Critical
            | Self::Signature
            | Self::Claim { .. }
            | Self::Nonce
            | Self::AccessToken
            | Self::OtherPerson
            | Self::NotUserinfo
            | Self::OtherUserinfo => Remedy::Login,
        }
    }

    /// Says what to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Issuer { .. } => Some("check the connection's `issuer`"),
            Self::Audience => Some("check the connection's `client_id`"),
            Self::Expired | Self::NotYet => Some("check the clock of this machine"),
            Self::OtherPerson | Self::OtherUserinfo => {
                Some("sign in as the person who did before, so that data of two does not mix")
            }
            _ => None,
        }
    }
}
