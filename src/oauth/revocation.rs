//! Giving tokens back to the server that issued them (RFC 7009); pure.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use super::assertion::SignError;
use super::grant::{Client, Fields, is_code, retry_after};
use super::vault::Credential;
use crate::clock::after;
use crate::config::OAuth;
use crate::http::{Answer, Request};
use crate::secret::{ExposeSecret, Redactor, Secret};

/// Which of its two tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// The one that gets new ones.
    RefreshToken,
    /// The one that sources take.
    AccessToken,
}

impl TokenKind {
    /// Returns the word by which a server knows it (RFC 7009 section 2.1).
    fn hint(self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::AccessToken => "access_token",
        }
    }
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RefreshToken => "refresh token",
            Self::AccessToken => "access token",
        })
    }
}

/// What became of the tokens of an account that has signed out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SignedOut {
    /// Those that the server has revoked.
    pub revoked: Vec<TokenKind>,
    /// Those that are erased here, and stay valid for whoever has a copy.
    pub remaining: Vec<Remaining>,
}

/// A token that the server still takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Remaining {
    /// Which.
    pub token: TokenKind,
    /// When it ends by itself, if that is known.
    pub until: Option<Timestamp>,
    /// Why it was not revoked.
    pub why: String,
}

impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, until, why } = self;
        write!(f, "the {token} stays valid at the provider until ")?;
        if let Some(until) = until {
            write!(f, "{until:.0}, or until ")?;
        }
        write!(f, "this access is removed there: {why}")
    }
}

/// What an answer comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// The token is of no use any more.
    Revoked,
    /// It is still there, and may be revoked later.
    Later {
        /// Why.
        why: String,
        /// When, if the server says.
        wait: Option<Duration>,
    },
    /// It is still there, and asking again would not help.
    Refused(String),
}

/// Writes the request that revokes `token` at `url`, to be sent once.
///
/// # Errors
/// If an assertion cannot be signed.
pub(super) fn request(
    client: Client<'_>,
    url: &Url,
    (kind, token): (TokenKind, &Secret),
    now: Timestamp,
) -> Result<Request, SignError> {
    let mut fields = Fields::default();
    fields.put("token", token.expose_secret());
    fields.put("token_type_hint", kind.hint());
    client.post(url, fields, now)
}

/// Reads the answer to it. Nothing that was sent is shown.
pub(super) fn read(answer: &Answer, sent: &Redactor, now: Timestamp) -> Reading {
    #[derive(Deserialize)]
    struct Body {
        error: String,
    }
    let body: Option<Body> = serde_json::from_slice(&answer.body).ok();
    let code = body.map(|body| body.error).filter(|code| is_code(code));
    let told = match &code {
        Some(code) => sent.redact(&format!("HTTP {}, `{code}`", answer.status)),
        None => format!("HTTP {}", answer.status),
    };
    let why = format!("the server answered {told}");
    match (answer.status, code.as_deref()) {
        (200..300, _) => Reading::Revoked,
        // It should have been a success (RFC 7009 section 2.2), and means the same.
        (400, Some("invalid_token")) => Reading::Revoked,
        (_, Some("unsupported_token_type")) => {
            Reading::Refused("the server does not revoke this kind of token".to_owned())
        }
        (408 | 425 | 429 | 500.., _) => Reading::Later {
            why,
            wait: answer
                .header("retry-after")
                .and_then(|text| retry_after(text, now)),
        },
        _ => Reading::Refused(why),
    }
}

/// Returns when a token ends that nobody revokes and nobody uses, if that is known.
pub(super) fn ends_at(
    kind: TokenKind,
    oauth: &OAuth,
    credential: &Credential,
) -> Option<Timestamp> {
    if kind == TokenKind::AccessToken {
        return credential.expires_at;
    }
    let idle = oauth.refresh_token_idle;
    let unused = idle.map(|idle| after(credential.issued_at, idle));
    let absolute = oauth.refresh_token_absolute;
    let by_age = absolute.map(|life| after(credential.signed_in_at, life));
    let stated = credential.refresh_expires_at.or(unused);
    stated.into_iter().chain(by_age).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeaderMap, HeaderValue};

    fn reading(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Reading {
        let headers = headers.iter().map(|(name, value)| {
            let name = name.parse().unwrap();
            (name, HeaderValue::from_static(value))
        });
        let answer = Answer {
            status,
            headers: headers.collect::<HeaderMap>(),
            body: body.to_owned().into(),
            url: "https://test.local/revoke".parse().unwrap(),
        };
        let sent = Redactor::new([Secret::from("the-secret-token")]);
        read(&answer, &sent, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn answers_say_whether_the_token_is_gone() {
        let refused = |why: &str| Reading::Refused(why.to_owned());
        let cases = [
            (200, "", Reading::Revoked),
            (400, r#"{"error":"invalid_token"}"#, Reading::Revoked),
            (
                400,
                r#"{"error":"unsupported_token_type"}"#,
                refused("the server does not revoke this kind of token"),
            ),
            (
                401,
                r#"{"error":"invalid_client"}"#,
                refused("the server answered HTTP 401, `invalid_client`"),
            ),
            (302, "", refused("the server answered HTTP 302")),
            (
                400,
                r#"{"error":"the-secret-token"}"#,
                refused("the server answered HTTP 400, `[removed]`"),
            ),
        ];
        for (status, body, expected) in cases {
            assert_eq!(reading(status, &[], body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_server_in_trouble_is_asked_again_when_it_says() {
        let later = |wait: Option<u64>| Reading::Later {
            why: "the server answered HTTP 503".to_owned(),
            wait: wait.map(Duration::from_secs),
        };
        assert_eq!(
            reading(503, &[("retry-after", "7")], "down"),
            later(Some(7))
        );
        assert_eq!(reading(503, &[], ""), later(None));
    }
}
