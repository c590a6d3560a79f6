//! Why a login did not work.

use url::Url;

use crate::config::Account;
use crate::oauth::id_token::IdTokenError;
use crate::remedy::Remedy;
use crate::seal;

/// Why a login did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection has no login.
    #[error("nobody signs in to connection `{account}`")]
    NobodySignsIn {
        /// Whose.
        account: Account,
    },
    /// The connection lives on a refresh token that somebody brings in.
    #[error(
        "nobody signs in to connection `{account}`: a refresh token obtained elsewhere is brought in"
    )]
    OnlyImported {
        /// Whose.
        account: Account,
    },
    /// The connection needs no tokens from outside.
    #[error(
        "connection `{account}` takes no tokens from outside: its configuration alone gives access"
    )]
    NothingToImport {
        /// Whose.
        account: Account,
    },
    /// What was brought in holds no tokens that can be used.
    #[error("what was brought in for connection `{account}` cannot be used: {why}")]
    Unimportable {
        /// Whose.
        account: Account,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nobody says where a person signs in.
    #[error(
        "neither the configuration nor the authorization server say where somebody signs in to connection `{account}`"
    )]
    NoEndpoint {
        /// Whose.
        account: Account,
        /// What the configuration could say.
        key: &'static str,
    },
    /// There is no such login, or no longer.
    #[error("this login was finished, replaced by another, or begun more than ten minutes ago")]
    NotPending,
    /// What was pasted is no answer.
    #[error("that is not the address the browser was sent back to")]
    NoCode,
    /// What was pasted is a page of the server's own.
    #[error("that is a page of the authorization server, which has not sent you back yet")]
    StillThere {
        /// Where it would send a person back to.
        redirect_uri: Url,
    },
    /// The answer belongs to another login.
    #[error("that answer belongs to another login")]
    OtherState,
    /// The answer comes from another server (RFC 9207 section 2.4).
    #[error("that answer does not come from the authorization server that was asked: {why}")]
    OtherServer {
        /// Whose.
        account: Account,
        /// What gives it away.
        why: &'static str,
    },
    /// The person said no, or may not say yes.
    #[error("the authorization server granted nothing: {detail}")]
    Denied {
        /// Whose.
        account: Account,
        /// What it said.
        detail: String,
    },
    /// The person may not say yes alone.
    #[error("an administrator must approve the client of connection `{account}` first ({detail})")]
    NeedsApproval {
        /// Whose.
        account: Account,
        /// What the server said.
        detail: String,
    },
    /// The server does not take the request that the person brought.
    #[error("the authorization server refuses what connection `{account}` asks for ({detail})")]
    RequestRefused {
        /// Whose.
        account: Account,
        /// What it said.
        detail: String,
        /// What to look at.
        look_at: &'static str,
    },
    /// The server has trouble.
    #[error("the authorization server cannot sign anybody in just now ({detail})")]
    ServerTrouble {
        /// Whose.
        account: Account,
        /// What it said.
        detail: String,
    },
    /// Somebody else signed in than before.
    #[error("another person signed in on connection `{account}` than before, which was {before}")]
    OtherPerson {
        /// Whose.
        account: Account,
        /// Who it was before.
        before: String,
    },
    /// It is not known who signed in.
    #[error("cannot tell who signed in on connection `{account}`: {source}")]
    Identity {
        /// Whose.
        account: Account,
        /// Why.
        #[source]
        source: IdTokenError,
    },
    /// Nobody entered the code in time, or agreed.
    #[error("nobody entered the code for connection `{account}` in time")]
    Abandoned {
        /// Whose.
        account: Account,
    },
    /// The server does not take the code.
    #[error("the authorization server refused the code of connection `{account}` ({detail})")]
    CodeRefused {
        /// Whose.
        account: Account,
        /// What it said.
        detail: String,
    },
    /// The server does not take the client.
    #[error("the authorization server rejects the client of connection `{account}` ({detail})")]
    ClientRejected {
        /// Whose.
        account: Account,
        /// What it said.
        detail: String,
    },
    /// The server was not reached; the code is unspent.
    #[error("could not exchange the code of connection `{account}`: {detail}")]
    NotSent {
        /// Whose.
        account: Account,
        /// Why.
        detail: String,
    },
    /// The answer was lost; the code is spent, or may be.
    #[error("the tokens of connection `{account}` were lost on their way ({detail})")]
    Lost {
        /// Whose.
        account: Account,
        /// Why.
        detail: String,
    },
    /// The tokens came but are not in the vault yet.
    #[error("the tokens of connection `{account}` could not be stored; the next start finds them")]
    Stranded {
        /// Whose.
        account: Account,
    },
    /// No random numbers, so no login.
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// The program broke while it finished the login.
    #[error("the login broke off")]
    Broken,
    /// Nothing can listen at the redirect URI.
    #[error("cannot listen at `{redirect_uri}`: {why}")]
    CannotListen {
        /// The redirect URI.
        redirect_uri: String,
        /// Why.
        why: String,
    },
}

impl Error {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::NotPending
            | Self::NoCode
            | Self::StillThere { .. }
            | Self::OtherState
            | Self::OtherServer { .. }
            | Self::Denied { .. }
            | Self::NeedsApproval { .. }
            | Self::OtherPerson { .. }
            | Self::Identity { .. }
            | Self::Abandoned { .. }
            | Self::CodeRefused { .. }
            | Self::Lost { .. } => Remedy::Login,
            Self::NobodySignsIn { .. }
            | Self::OnlyImported { .. }
            | Self::NothingToImport { .. }
            | Self::Unimportable { .. }
            | Self::NoEndpoint { .. }
            | Self::RequestRefused { .. }
            | Self::ClientRejected { .. }
            | Self::CannotListen { .. } => Remedy::EditConfig,
            Self::ServerTrouble { .. }
            | Self::NotSent { .. }
            | Self::Stranded { .. }
            | Self::Seal(_) => Remedy::Wait,
            Self::Broken => Remedy::Report,
        }
    }

    /// Says what to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let again = |account: &Account| format!("type `tidegate login {}`", account.words());
        match self {
            Self::CodeRefused { account, .. } | Self::Lost { account, .. } => Some(format!(
                "{} again: a code works once, and not for long",
                again(account)
            )),
            Self::ClientRejected { account, .. } => Some(format!(
                "check `client_id`, `client_secret` and `redirect_uri` of connection `{}`",
                account.connection
            )),
            Self::RequestRefused {
                account, look_at, ..
            } => Some(format!(
                "check {look_at} of connection `{}`",
                account.connection
            )),
            Self::NoEndpoint { account, key } => Some(format!(
                "write `{key}` in `[connection.{}]`",
                account.connection
            )),
            Self::NoCode | Self::OtherState => {
                Some("paste the whole URL from the browser's address bar".to_owned())
            }
            Self::StillThere { redirect_uri } => Some(format!(
                "read what the page says; if it is an error, register {redirect_uri} with the \
                 provider to the letter, or ask an administrator to approve the client"
            )),
            Self::OtherServer { account, .. } => Some(format!(
                "nothing was sent and nothing has changed; {} again, and open only the address \
                 that it prints",
                again(account)
            )),
            Self::Denied { account, .. } => Some(format!(
                "nothing has changed; to agree after all, {} again",
                again(account)
            )),
            Self::NeedsApproval { account, .. } => Some(format!(
                "ask an administrator of your organization to approve it, then {} again",
                again(account)
            )),
            Self::ServerTrouble { account, .. } => {
                Some(format!("nothing has changed; {} later", again(account)))
            }
            Self::OtherPerson { account, .. } => Some(format!(
                "nothing has changed; sign in as that person, or give a person of their own to \
                 each account with `--account`; if the change is meant, type `tidegate login {} \
                 --another-person`",
                account.words()
            )),
            Self::Identity { account, source } => {
                let next = source.hint().map(str::to_owned);
                Some(next.unwrap_or_else(|| again(account)))
            }
            Self::Abandoned { account } => Some(format!("{} again", again(account))),
            Self::NotSent { .. } => {
                Some("paste the same URL again; the code was not used".to_owned())
            }
            Self::OnlyImported { account } => Some(format!(
                "type `tidegate login {} --import < FILE`",
                account.words()
            )),
            Self::Unimportable { .. } => Some(
                "it is a token endpoint's answer as JSON, or {\"refresh_token\": \"…\"} alone"
                    .to_owned(),
            ),
            Self::NobodySignsIn { .. }
            | Self::NothingToImport { .. }
            | Self::NotPending
            | Self::Stranded { .. }
            | Self::Seal(_)
            | Self::Broken
            | Self::CannotListen { .. } => None,
        }
    }
}
