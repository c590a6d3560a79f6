//! The words for what an exchange spends and how it ended, as rows have them.

/// What an exchange spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::oauth) enum Kind {
    /// A refresh token.
    Refresh,
    /// An authorization code.
    Code,
    /// A device code.
    Device,
    /// Nothing: tokens that were obtained elsewhere are brought in.
    Import,
    /// Nothing: it may be repeated at will.
    ClientCredentials,
    /// Nothing: a password works again.
    Password,
    /// An assertion of our own; the next is signed when it is needed.
    JwtBearer,
    /// Nothing: a source's own login may be repeated.
    Session,
}

impl Kind {
    pub(in crate::oauth) fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Code => "code",
            Self::Device => "device",
            Self::Import => "import",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::JwtBearer => "jwt_bearer",
            Self::Session => "session",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [
            Self::Refresh,
            Self::Code,
            Self::Device,
            Self::Import,
            Self::ClientCredentials,
            Self::Password,
            Self::JwtBearer,
            Self::Session,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
    }

    /// Returns true if what is spent cannot be had again, so that the answer must not be lost.
    pub(in crate::oauth) fn is_single_use(self) -> bool {
        match self {
            Self::Refresh | Self::Code | Self::Device => true,
            Self::Import
            | Self::ClientCredentials
            | Self::Password
            | Self::JwtBearer
            | Self::Session => false,
        }
    }

    /// Returns true if it begins a new life of the account, whatever was there before.
    pub(in crate::oauth) fn is_login(self) -> bool {
        matches!(self, Self::Code | Self::Device | Self::Import)
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::oauth) enum Outcome {
    NotSent,
    TooEarly,
    Transient,
    Configuration,
    Unclassified,
    Refused,
    /// No answer, and no use in asking again.
    Lost,
    /// A newer login stands in the place of what it was to bring.
    Superseded,
}

impl Outcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::TooEarly => "too_early",
            Self::Transient => "transient",
            Self::Configuration => "configuration",
            Self::Unclassified => "unclassified",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Superseded => "superseded",
        }
    }
}
