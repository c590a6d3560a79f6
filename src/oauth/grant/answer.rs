//! What a token endpoint answered; pure.

mod life;
mod message;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::Value;
use zeroize::Zeroizing;

pub(in crate::oauth) use self::life::LONGEST_LIFE;
use self::message::{Message, is_too_deep, member};
use super::refusal::{self, Class, Refusal};
use crate::config::{Facts, OAuth};
use crate::http::Answer;
use crate::oauth::id_token::Person;
use crate::secret::Secret;

/// The longest token. It must fit into a header.
const LONGEST_TOKEN: usize = 16 * 1024;
/// What servers say for a bearer token. The second is Apigee's word for it.
const BEARER: [&str; 2] = ["bearer", "bearertoken"];

/// What is said of an answer that is not looked into.
const TOO_DEEP: &str = "objects and arrays stand too deep inside each other";

/// What an answer comes to.
#[derive(Debug)]
pub(in crate::oauth) enum Reading {
    /// Tokens.
    Tokens(Tokens),
    /// Anything else.
    Refused(Refusal),
}

/// What was granted.
#[derive(Debug, Clone)]
pub(in crate::oauth) struct Tokens {
    pub access_token: Secret,
    /// `None` if the old one stays good.
    pub refresh_token: Option<Secret>,
    /// The access token's life; `None` if it lasts until it is refused.
    pub lifetime: Option<Duration>,
    /// The refresh token's life, if the server says.
    pub refresh_lifetime: Option<Duration>,
    /// The scope granted, if the server says.
    pub scope: Option<String>,
    /// Who signed in, as the server signed it (OpenID Connect Core 3.1.3.3).
    pub id_token: Option<Secret>,
    /// Who signed in, once that is verified.
    pub person: Option<Person>,
    /// What the server said beside the tokens, as far as the connection keeps it.
    pub facts: Facts,
    /// What the server left out or put oddly, so that we had to assume something.
    pub assumed: Option<&'static str>,
}

/// Reads an answer of `oauth`'s token endpoint to a request that held the secrets `sent`.
pub(in crate::oauth) fn read(
    oauth: &OAuth,
    answer: &Answer,
    sent: &[&Secret],
    now: Timestamp,
) -> Reading {
    // Some servers put a byte order mark first, or other bytes into members that we do not need.
    // Tokens are ASCII, so reading around such bytes can save a rotated one.
    let text = Zeroizing::new(String::from_utf8_lossy(&answer.body).into_owned());
    let text = text.trim_start_matches('\u{feff}').trim();
    let is_success = (200..300).contains(&answer.status);
    let message = match is_too_deep(text) {
        true if is_success => return Reading::Refused(unreadable(answer, TOO_DEEP)),
        true => Message::default(),
        false => Message::of(text, oauth.token_path.as_ref()),
    };
    if !is_success || message.access_token.is_none() {
        let said = refusal::Said {
            text,
            error: message.error.as_ref(),
            description: message.error_description.as_ref().and_then(Value::as_str),
        };
        return Reading::Refused(refusal::refusal(oauth, answer, &said, sent, now));
    }
    match tokens(oauth, message, now) {
        Ok(tokens) => Reading::Tokens(Tokens {
            facts: Facts::of_answer(&oauth.facts, |name| member(text, name.segments())),
            ..tokens
        }),
        Err(what) => Reading::Refused(unreadable(answer, what)),
    }
}

/// Makes what an answer comes to that says it succeeded and cannot be used.
fn unreadable(answer: &Answer, what: &str) -> Refusal {
    Refusal {
        class: Class::InDoubt,
        status: answer.status,
        code: None,
        description: Some(what.to_owned()),
        clock_off: None,
    }
}

fn tokens(oauth: &OAuth, message: Message, now: Timestamp) -> Result<Tokens, &'static str> {
    let mut assumed = None;
    match &message.token_type {
        None => assumed = Some("the answer has no `token_type`; taken for a bearer token"),
        Some(kind) if is_bearer(oauth, kind.as_str().unwrap_or_default()) => {}
        Some(_) => {
            return Err(
                "the token is of a type we cannot use; `token_types` can name it if it is sent as \
                 a bearer token is",
            );
        }
    }
    let lifetime = life::of_access_token(&message, now);
    let refresh_lifetime = life::of_refresh_token(&message);
    let access_token = message.access_token.ok_or("there is no access token")?;
    for token in [Some(&access_token), message.refresh_token.as_ref()]
        .into_iter()
        .flatten()
    {
        if !is_token(token) {
            return Err("a token holds characters no token may hold, or is too long");
        }
    }
    let can_be_renewed = message.refresh_token.is_some() || oauth.grant.is_unattended();
    let lifetime = lifetime.or_else(|| {
        assumed.get_or_insert("the answer does not say how long the access token lives");
        can_be_renewed.then_some(oauth.default_lifetime)
    });
    Ok(Tokens {
        access_token: Secret::from(access_token.as_str()),
        refresh_token: message
            .refresh_token
            .map(|token| Secret::from(token.as_str())),
        lifetime,
        refresh_lifetime,
        scope: message.scope.as_ref().and_then(scope),
        id_token: message.id_token.map(|token| Secret::from(token.as_str())),
        person: None,
        facts: Facts::default(),
        assumed,
    })
}

/// Reads what somebody brings in: an answer of `oauth`'s token endpoint (RFC 6749 section 5.1), whose
/// lives count from `now`, or a refresh token alone.
///
/// # Errors
/// What is wrong with it, without a word of it.
pub(in crate::oauth) fn imported(
    oauth: &OAuth,
    text: &str,
    now: Timestamp,
) -> Result<Tokens, &'static str> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if is_too_deep(text) {
        return Err(TOO_DEEP);
    }
    let is_object = text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok();
    if !is_object {
        return Err("it is not a JSON object");
    }
    let mut message = Message::of(text, oauth.token_path.as_ref());
    if message.access_token.is_none() && message.refresh_token.is_none() {
        return Err("there is no token in it");
    }
    let has_access_token = message.access_token.is_some();
    message.access_token.get_or_insert_default();
    let tokens = tokens(oauth, message, now)?;
    let lifetime = match has_access_token {
        true => tokens.lifetime,
        // It has ended, so that the refresh token is used first.
        false => Some(Duration::ZERO),
    };
    Ok(Tokens { lifetime, ..tokens })
}

/// Returns true if a token of this type is sent as a bearer token is (RFC 6749 section 7.1).
fn is_bearer(oauth: &OAuth, kind: &str) -> bool {
    let more = oauth.token_types.iter().map(String::as_str);
    let mut known = BEARER.into_iter().chain(more);
    known.any(|known| kind.eq_ignore_ascii_case(known))
}

/// Visible ASCII and spaces (RFC 6749 appendix A.12 and A.17), short enough for a header.
pub(in crate::oauth) fn is_token(token: &str) -> bool {
    token.len() <= LONGEST_TOKEN && token.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn scope(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(scopes) => Some(
            scopes
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(" "),
        ),
        _ => None,
    }
    .filter(|scope| !scope.is_empty())
}
