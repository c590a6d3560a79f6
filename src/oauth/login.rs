//! A person grants access: the URL to go to, and the code that comes back (RFC 6749 section 4.1).
//!
//! A login lives in the memory of whoever owns the state directory, for ten minutes. Its `state`
//! ties the answer to it, and PKCE ties the code to us.

mod listen;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::{Url, form_urlencoded};

pub use listen::{Loopback, can_listen, listen};

use super::discovery::{ForLogin, Found, Server};
use super::grant::Ask;
use crate::clock;
use crate::config::{Account, Grant, Name, OAuth};
use crate::remedy::Remedy;
use crate::seal;
use crate::secret::{ExposeSecret, Secret, scrub};

/// How long a person has to sign in.
const LIFE: Duration = Duration::from_secs(10 * 60);
/// How much of a server's words is shown.
const DESCRIPTION: usize = 200;

/// Why a login did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection has no login.
    #[error("nobody signs in to connection `{account}`")]
    NobodySignsIn {
        /// Whose.
        account: Account,
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
    #[error("that is neither the URL the browser was sent to nor the code in it")]
    NoCode,
    /// The answer belongs to another login.
    #[error("that answer belongs to another login")]
    OtherState,
    /// The server sent the person back without a code.
    #[error("the authorization server granted nothing: {detail}")]
    Denied {
        /// What it said.
        detail: String,
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
            | Self::OtherState
            | Self::Denied { .. }
            | Self::CodeRefused { .. }
            | Self::Lost { .. } => Remedy::Login,
            Self::NobodySignsIn { .. }
            | Self::NoEndpoint { .. }
            | Self::ClientRejected { .. }
            | Self::CannotListen { .. } => Remedy::EditConfig,
            Self::NotSent { .. } | Self::Stranded { .. } | Self::Seal(_) => Remedy::Wait,
            Self::Broken => Remedy::Report,
        }
    }

    /// Says what to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::CodeRefused { account, .. } | Self::Lost { account, .. } => Some(format!(
                "type `tidegate login {}` again: a code works once, and not for long",
                account.words()
            )),
            Self::ClientRejected { account, .. } => Some(format!(
                "check `client_id`, `client_secret` and `redirect_uri` of connection `{}`",
                account.connection
            )),
            Self::NoEndpoint { account, key } => Some(format!(
                "write `{key}` in `[connection.{}]`",
                account.connection
            )),
            Self::NoCode | Self::OtherState => {
                Some("paste the whole URL from the browser's address bar".to_owned())
            }
            Self::NotSent { .. } => {
                Some("paste the same URL again; the code was not used".to_owned())
            }
            Self::NobodySignsIn { .. }
            | Self::NotPending
            | Self::Denied { .. }
            | Self::Stranded { .. }
            | Self::Seal(_)
            | Self::Broken
            | Self::CannotListen { .. } => None,
        }
    }
}

/// Where to send the person.
#[derive(Debug, Clone, Serialize)]
pub struct LoginStart {
    /// What the login is finished with.
    pub id: String,
    /// Where the person signs in. Nothing in it is secret.
    pub authorize_url: Url,
    /// Where the person is sent back to.
    pub redirect_uri: Url,
    /// What the person should know before.
    pub notices: Vec<String>,
    /// When the login ends unfinished.
    pub ends_at: Timestamp,
}

/// What a login brought.
#[derive(Debug, Clone, Serialize)]
pub struct LoginDone {
    /// The connection.
    pub connection: Name,
    /// The account, if it has a name.
    pub account: Option<Name>,
    /// The credential's number.
    pub generation: u64,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends, if the server says.
    pub refresh_expires_at: Option<Timestamp>,
    /// False if the server gave no refresh token, so that somebody must sign in again soon.
    pub can_refresh: bool,
    /// The scope that was granted, if the server says.
    pub scope: Option<String>,
}

/// A login that waits for its answer.
pub(super) struct Pending {
    pub account: Account,
    id: String,
    state: Secret,
    verifier: Option<Secret>,
    redirect_uri: Url,
    server: Server,
    found: Option<Found>,
    ends_at: Timestamp,
}

/// Begins a login of `account` at `there`.
pub(super) fn begin(
    oauth: &OAuth,
    there: ForLogin,
    account: &Account,
    now: Timestamp,
) -> Result<(LoginStart, Pending), Error> {
    let Grant::AuthorizationCode {
        redirect_uri,
        pkce,
        params,
    } = &oauth.grant
    else {
        return Err(Error::NobodySignsIn {
            account: account.clone(),
        });
    };
    let state = word()?;
    let verifier = if *pkce { Some(word()?) } else { None };
    let mut query: Vec<(&str, String)> = vec![
        ("response_type", "code".to_owned()),
        ("client_id", oauth.client_id.clone()),
        ("redirect_uri", redirect_uri.to_string()),
        ("state", state.expose_secret().to_owned()),
    ];
    if !oauth.scopes.is_empty() {
        query.push(("scope", oauth.scopes.join(&oauth.scope_separator)));
    }
    if let Some(verifier) = &verifier {
        let digest = Sha256::digest(verifier.expose_secret());
        query.push(("code_challenge", URL_SAFE_NO_PAD.encode(digest)));
        query.push(("code_challenge_method", "S256".to_owned()));
    }
    for (name, value) in params {
        if query.iter().all(|(present, _)| present != name) {
            query.push((name, value.clone()));
        }
    }
    let ForLogin {
        server,
        found,
        notice,
    } = there;
    let no_endpoint = || Error::NoEndpoint {
        account: account.clone(),
        key: "authorize_url",
    };
    let mut authorize_url = server.authorization.clone().ok_or_else(no_endpoint)?;
    authorize_url.query_pairs_mut().extend_pairs(query);
    let id = word()?.expose_secret().to_owned();
    let ends_at = clock::after(now, LIFE);
    let start = LoginStart {
        id: id.clone(),
        authorize_url,
        redirect_uri: redirect_uri.clone(),
        notices: notice.into_iter().collect(),
        ends_at,
    };
    let account = account.clone();
    let redirect_uri = redirect_uri.clone();
    Ok((
        start,
        Pending {
            account,
            id,
            state,
            verifier,
            redirect_uri,
            server,
            found,
            ends_at,
        },
    ))
}

impl Pending {
    /// Returns the server that is asked for tokens.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Returns what the server said of itself as the login began, to be kept now.
    pub(super) fn into_found(self) -> Option<Found> {
        self.found
    }

    /// Returns true if this is the login `id`.
    pub(super) fn is(&self, id: &str) -> bool {
        same(&self.id, id)
    }

    /// Returns true once nobody may finish it any more.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        now >= self.ends_at
    }

    /// Returns what the token endpoint is asked for `code`.
    pub(super) fn ask<'a>(&'a self, code: &'a Secret) -> Ask<'a> {
        Ask::Code {
            code,
            redirect_uri: &self.redirect_uri,
            verifier: self.verifier.as_ref(),
        }
    }

    /// Finds the code in the URL the person was sent back to, or takes the text for the code.
    ///
    /// # Errors
    /// If there is none, or the URL answers another login.
    pub(super) fn code(&self, redirected: &str) -> Result<Secret, Error> {
        let text = redirected.trim();
        let Some(query) = query(text) else {
            return bare(text);
        };
        let mut code = None;
        let mut state = None;
        let mut error = None;
        let mut description = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let member = match &*name {
                "code" => &mut code,
                "state" => &mut state,
                "error" => &mut error,
                "error_description" => &mut description,
                _ => continue,
            };
            // Said twice, it is not for us to choose.
            if member.replace(Secret::from(value.into_owned())).is_some() {
                return Err(Error::NoCode);
            }
        }
        let state = state.ok_or(Error::OtherState)?;
        if !same(state.expose_secret(), self.state.expose_secret()) {
            return Err(Error::OtherState);
        }
        if let Some(error) = error {
            let words = [Some(error), description];
            let words = words.iter().flatten().map(ExposeSecret::expose_secret);
            let detail = scrub(&words.collect::<Vec<_>>().join(": "), DESCRIPTION);
            return Err(Error::Denied { detail });
        }
        code.filter(|code| !code.expose_secret().is_empty())
            .ok_or(Error::NoCode)
    }
}

/// Returns the query of a URL, or of what is left of one when only its end was copied.
fn query(text: &str) -> Option<&str> {
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    let is_answer = |query: &str| {
        query
            .split('&')
            .any(|pair| pair.starts_with("code=") || pair.starts_with("error="))
    };
    match text.split_once('?') {
        Some((_, query)) => Some(query),
        None => is_answer(text).then_some(text),
    }
}

/// Takes `text` for a code copied out of an address bar, where it is percent-encoded.
fn bare(text: &str) -> Result<Secret, Error> {
    let is_code = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_code || text.contains("://") {
        return Err(Error::NoCode);
    }
    // A `+` in a bare code is a plus sign; in a query it would be a space.
    let encoded = text.replace('+', "%2B");
    let (decoded, _) = form_urlencoded::parse(encoded.as_bytes())
        .next()
        .ok_or(Error::NoCode)?;
    let rest = encoded.contains(['=', '&']);
    Ok(Secret::from(if rest {
        text.to_owned()
    } else {
        decoded.into_owned()
    }))
}

/// A random word of 256 bits that is fit for a URL; also a PKCE verifier (RFC 7636 section 4.1).
fn word() -> Result<Secret, Error> {
    Ok(Secret::from(URL_SAFE_NO_PAD.encode(*seal::random::<32>()?)))
}

/// Compares without telling by the time it takes how much is the same.
fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::oauth;

    fn begun() -> (LoginStart, Pending) {
        let name = Name::parse("exact").unwrap();
        let oauth = oauth("http://127.0.0.1:1/");
        let there = ForLogin {
            server: Server::of(&oauth, None).unwrap(),
            found: None,
            notice: None,
        };
        begin(&oauth, there, &Account::of(&name), Timestamp::UNIX_EPOCH).unwrap()
    }

    fn pair(url: &Url, name: &str) -> Option<String> {
        let mut found = url.query_pairs().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.into_owned());
        assert!(found.next().is_none(), "{name} twice");
        value
    }

    #[test]
    fn the_url_keeps_its_own_query_and_holds_no_secret() {
        let (start, pending) = begun();
        let url = &start.authorize_url;
        assert_eq!(pair(url, "tenant").as_deref(), Some("7"));
        assert_eq!(pair(url, "prompt").as_deref(), Some("login"));
        assert_eq!(pair(url, "response_type").as_deref(), Some("code"));
        assert_eq!(
            pair(url, "redirect_uri").as_deref(),
            Some("https://test.local/callback")
        );
        assert_eq!(pair(url, "code_challenge_method").as_deref(), Some("S256"));
        assert_eq!(pair(url, "scope"), None);
        let verifier = pending.verifier.as_ref().unwrap().expose_secret();
        assert_eq!(verifier.len(), 43);
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        assert_eq!(pair(url, "code_challenge").unwrap(), digest);
        assert!(!url.as_str().contains(verifier) && !url.as_str().contains("CANARY"));
        assert!(!url.as_str().contains(&start.id));
        let (other, _) = begun();
        assert_ne!(pair(url, "state"), pair(&other.authorize_url, "state"));
    }

    #[test]
    fn a_code_is_found_in_whatever_is_pasted_and_decoded_once() {
        let (start, pending) = begun();
        let state = pair(&start.authorize_url, "state").unwrap();
        let cases = [
            (
                format!("https://test.local/callback?code=a%21b%2521&state={state}"),
                "a!b%21",
            ),
            (
                format!("  https://test.local/callback?state={state}&code=a+b&iss=x#_=_\n"),
                "a b",
            ),
            (format!("code=a%21b&state={state}"), "a!b"),
            ("a%21b".to_owned(), "a!b"),
            ("4/0A+b-c_d".to_owned(), "4/0A+b-c_d"),
            ("bGV0dGVy==".to_owned(), "bGV0dGVy=="),
        ];
        for (pasted, code) in cases {
            assert_eq!(
                pending.code(&pasted).unwrap().expose_secret(),
                code,
                "{pasted}"
            );
        }
    }

    #[test]
    fn an_answer_to_another_login_is_refused_and_an_error_ends_this_one() {
        let (start, pending) = begun();
        let state = pair(&start.authorize_url, "state").unwrap();
        for pasted in ["https://t/cb?code=a&state=other", "https://t/cb?code=a"] {
            assert!(
                matches!(pending.code(pasted), Err(Error::OtherState)),
                "{pasted}"
            );
        }
        for pasted in [
            "",
            "two words",
            "https://t/cb",
            &format!("https://t/?code=a&code=b&state={state}"),
        ] {
            let refused = pending.code(pasted);
            assert!(
                matches!(refused, Err(Error::NoCode | Error::OtherState)),
                "{pasted}"
            );
        }
        let denied = format!(
            "https://t/cb?code=a&error=access_denied&error_description=No%0Away&state={state}"
        );
        let denied = pending.code(&denied).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "the authorization server granted nothing: access_denied: No way"
        );
    }
}
