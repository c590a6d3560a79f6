//! A person grants access: the URL to go to, and the code that comes back (RFC 6749 section 4.1).
//!
//! A login lives in the memory of whoever owns the state directory, for ten minutes. Its `state`
//! ties the answer to it, and PKCE ties the code to us.

mod answer;
pub mod device;
mod error;
mod listen;
pub(super) mod push;
mod refusal;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

pub(super) use answer::Answer;
pub use error::Error;
pub use listen::{Loopback, can_listen, listen};

use super::discovery::{ForLogin, Found, Server};
use super::grant::{Ask, Check};
use super::id_token::Person;
use crate::clock;
use crate::config::{Account, FactName, Grant, Name, OAuth};
use crate::seal;
use crate::secret::{ExposeSecret, Secret};
use push::Pushed;

/// The scope by which OpenID Connect is spoken.
pub(super) const OPENID: &str = "openid";
/// How long a person has to sign in.
const LIFE: Duration = Duration::from_secs(10 * 60);

/// Where to send the person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoginStart {
    /// What the login is finished with.
    pub id: String,
    /// Where the person signs in. Nothing in it is secret.
    pub authorize_url: Url,
    /// Where the person is sent back to.
    pub redirect_uri: Url,
    /// The digest of the `state` that the right answer has, so that whoever waits for it can tell.
    pub state_digest: String,
    /// What the person should know before.
    pub notices: Vec<String>,
    /// When the login ends unfinished.
    pub ends_at: Timestamp,
}

/// Who may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The person who did before, if it is known who that was.
    SamePerson,
    /// Anybody.
    AnyPerson,
}

impl Whom {
    fn check(self, nonce: Option<&Secret>) -> Check<'_> {
        Check {
            nonce: nonce.map(ExposeSecret::expose_secret),
            may_be_another: self == Self::AnyPerson,
        }
    }
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
    /// Who signed in, if that is known.
    pub person: Option<Person>,
    /// What the person should know afterwards.
    pub notices: Vec<String>,
}

/// A login that waits for its answer.
pub(super) struct Pending {
    pub account: Account,
    id: String,
    state: Secret,
    verifier: Option<Secret>,
    /// What the `id_token` must repeat, where OpenID Connect is spoken.
    nonce: Option<Secret>,
    whom: Whom,
    redirect_uri: Url,
    server: Server,
    found: Option<Found>,
    ends_at: Timestamp,
    /// What is kept of the redirect beside the code.
    facts: Vec<FactName>,
}

/// A login before the person knows of it.
pub(super) struct Opening {
    authorization: Url,
    parameters: Vec<(String, String)>,
    notices: Vec<String>,
    pending: Pending,
}

/// Opens a login of `account` at `there`.
pub(super) fn open(
    oauth: &OAuth,
    there: ForLogin,
    (account, whom): (&Account, Whom),
    now: Timestamp,
) -> Result<Opening, Error> {
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
    let authorization = there.server.authorization.clone();
    let authorization = authorization.ok_or_else(|| Error::NoEndpoint {
        account: account.clone(),
        key: "authorize_url",
    })?;
    let is_openid = oauth.scopes.iter().any(|scope| scope == OPENID);
    let pending = Pending {
        account: account.clone(),
        id: identifier()?,
        state: word()?,
        verifier: pkce.then(word).transpose()?,
        nonce: is_openid.then(word).transpose()?,
        whom,
        redirect_uri: redirect_uri.clone(),
        server: there.server,
        found: there.found,
        ends_at: clock::after(now, LIFE),
        facts: oauth.facts.clone(),
    };
    let mut parameters = pending.parameters(oauth);
    for resource in &oauth.resources {
        parameters.push(("resource".to_owned(), resource.clone()));
    }
    for (name, value) in params {
        if parameters.iter().all(|(present, _)| present != name) {
            parameters.push((name.clone(), value.clone()));
        }
    }
    Ok(Opening {
        authorization,
        parameters,
        notices: there.notice.into_iter().collect(),
        pending,
    })
}

impl Opening {
    /// Returns the server that is asked.
    pub(super) fn server(&self) -> &Server {
        &self.pending.server
    }

    /// Returns everything that the server is asked for.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let parameters = self.parameters.iter();
        parameters.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Has the browser carry only a reference to the parameters, which the server has already
    /// (RFC 9126 section 4).
    pub(super) fn refer(&mut self, pushed: Pushed) {
        self.parameters.retain(|(name, _)| name == "client_id");
        self.parameters
            .push(("request_uri".to_owned(), pushed.request_uri));
        self.notices.push(format!(
            "the address works once, and only within the next {} s",
            pushed.lifetime.as_secs()
        ));
    }

    /// Returns where to send the person, and the login that waits for the answer.
    pub(super) fn opened(self) -> (LoginStart, Pending) {
        let (mut authorize_url, pending) = (self.authorization, self.pending);
        authorize_url
            .query_pairs_mut()
            .extend_pairs(self.parameters);
        let start = LoginStart {
            id: pending.id.clone(),
            authorize_url,
            redirect_uri: pending.redirect_uri.clone(),
            state_digest: digest(pending.state.expose_secret()),
            notices: self.notices,
            ends_at: pending.ends_at,
        };
        (start, pending)
    }
}

impl Pending {
    /// Returns the parameters of the protocol (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
    fn parameters(&self, oauth: &OAuth) -> Vec<(String, String)> {
        let challenge = self.verifier.as_ref().map(ExposeSecret::expose_secret);
        let challenge = challenge.map(digest);
        let scope = oauth.scopes.join(&oauth.scope_separator);
        let parameters = [
            ("response_type", Some("code".to_owned())),
            ("client_id", Some(oauth.client_id.clone())),
            ("redirect_uri", Some(self.redirect_uri.to_string())),
            ("state", Some(self.state.expose_secret().to_owned())),
            ("scope", Some(scope).filter(|scope| !scope.is_empty())),
            (
                "code_challenge_method",
                challenge.as_ref().map(|_| "S256".to_owned()),
            ),
            ("code_challenge", challenge),
            (
                "nonce",
                self.nonce
                    .as_ref()
                    .map(|nonce| nonce.expose_secret().to_owned()),
            ),
        ];
        let stated = parameters.into_iter();
        stated
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }

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

    /// Returns who may sign in.
    pub(super) fn check(&self) -> Check<'_> {
        self.whom.check(self.nonce.as_ref())
    }

    /// Returns what the token endpoint is asked after `answer`.
    pub(super) fn ask<'a>(&'a self, answer: &'a Answer) -> Ask<'a> {
        Ask::Code {
            code: &answer.code,
            told: &answer.told,
            redirect_uri: &self.redirect_uri,
            verifier: self.verifier.as_ref(),
        }
    }
}

/// A random name for a login.
fn identifier() -> Result<String, Error> {
    Ok(word()?.expose_secret().to_owned())
}

/// The digest of a word, which is all that an address or another process gets to see of it.
fn digest(word: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(word))
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
        let opening = open(
            &oauth,
            there,
            (&Account::of(&name), Whom::SamePerson),
            Timestamp::UNIX_EPOCH,
        );
        opening.unwrap().opened()
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
        ];
        for (pasted, code) in cases {
            assert_eq!(
                pending.answer(&pasted).unwrap().code.expose_secret(),
                code,
                "{pasted}"
            );
        }
    }

    #[test]
    fn a_word_is_taken_for_a_code_only_if_it_looks_like_one() {
        let (_, pending) = begun();
        for (pasted, code) in [
            ("a%21b-long%21", "a!b-long!"),
            ("4/0A+b-c_d", "4/0A+b-c_d"),
            (" bGV0dGVy==", "bGV0dGVy=="),
        ] {
            let found = pending.code_alone(pasted).unwrap().code;
            assert_eq!(found.expose_secret(), code, "{pasted}");
        }
        for pasted in ["", "yes", "two words here", "https://a.example/x"] {
            let refused = pending.code_alone(pasted);
            assert!(matches!(refused, Err(Error::NoCode)), "{pasted}");
        }
        assert!(matches!(pending.answer("bGV0dGVy=="), Err(Error::NoCode)));
    }

    #[test]
    fn an_answer_to_another_login_is_refused_and_an_error_ends_this_one() {
        let (start, pending) = begun();
        let state = pair(&start.authorize_url, "state").unwrap();
        for pasted in ["https://t/cb?code=a&state=other", "https://t/cb?code=a"] {
            assert!(
                matches!(pending.answer(pasted), Err(Error::OtherState)),
                "{pasted}"
            );
        }
        for pasted in [
            "",
            "two words",
            "https://t/cb",
            &format!("https://t/?code=a&code=b&state={state}"),
        ] {
            let refused = pending.answer(pasted);
            assert!(
                matches!(refused, Err(Error::NoCode | Error::OtherState)),
                "{pasted}"
            );
        }
        let denied = format!(
            "https://t/cb?code=a&error=access_denied&error_description=No%0Away&state={state}"
        );
        let denied = pending.answer(&denied).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "the authorization server granted nothing: access_denied: No way"
        );
    }
}
