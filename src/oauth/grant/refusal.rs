//! What an answer without tokens means; pure.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::clock;
use crate::config::{ErrorRule, Meaning, OAuth};
use crate::http::Answer;
use crate::oauth::skew::Skew;
use crate::secret::{ExposeSecret, Redactor, Secret};

/// The longest OAuth error code we show.
const LONGEST_CODE: usize = 64;
/// How much of an error's description we show.
const DESCRIPTION: usize = 200;
/// The least and the most we wait because a server says so.
const RETRY_AFTER: std::ops::RangeInclusive<u64> = 1..=3600;

/// Why no tokens came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::oauth) struct Refusal {
    pub class: Class,
    pub status: u16,
    /// The OAuth error code, if it is fit to show.
    pub code: Option<String>,
    /// The server's own words, made fit to show.
    pub description: Option<String>,
    /// How far our clock is from the server's, where that may be the reason.
    pub clock_off: Option<Skew>,
}

/// What to make of an answer without tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::oauth) enum Class {
    /// Asked too early; nothing was spent.
    TooEarly,
    /// It may work later; nothing was spent.
    Transient {
        /// When, if the server says.
        retry_after: Option<Duration>,
    },
    /// Nobody can tell whether the refresh token was spent.
    InDoubt,
    /// The client is refused, whatever it asks.
    Client,
    /// The request is configured wrongly, or sent to the wrong place.
    Configuration,
    /// The grant is gone.
    DeadGrant,
    /// Access is denied, which may or may not pass.
    Denied,
    /// Refused without a word we know.
    Unclassified,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, ", `{code}`")?;
        }
        if let Some(description) = &self.description {
            write!(f, ": {description}")?;
        }
        match self.clock_off {
            Some(off) => write!(f, "; this clock is {off}"),
            None => Ok(()),
        }
    }
}

/// What stands in an answer without tokens.
pub(super) struct Said<'a> {
    /// All of it.
    pub text: &'a str,
    /// Its `error`.
    pub error: Option<&'a Value>,
    /// Its `error_description`.
    pub description: Option<&'a str>,
}

impl Said<'_> {
    fn code(&self) -> Option<&str> {
        self.error
            .and_then(Value::as_str)
            .filter(|code| is_code(code))
    }
}

/// Finds out what an answer without tokens means. Nothing of `sent` is shown.
pub(super) fn refusal(
    oauth: &OAuth,
    answer: &Answer,
    said: &Said<'_>,
    sent: &[&Secret],
    now: Timestamp,
) -> Refusal {
    let class = class(oauth, answer, said, now);
    let words = said.description.and_then(|words| shown(words, sent));
    let may_be_time = oauth.signs() && matches!(class, Class::Client | Class::DeadGrant);
    Refusal {
        class,
        status: answer.status,
        // A code may be as long as a token; it is one of the server's own words.
        code: said.code().map(|code| without(code, sent)),
        description: words.or_else(|| target(answer)),
        clock_off: Skew::seen(answer, now, now)
            .flatten()
            .filter(|_| may_be_time),
    }
}

fn class(oauth: &OAuth, answer: &Answer, said: &Said<'_>, now: Timestamp) -> Class {
    let code = said.code();
    let class = rule(&oauth.errors, code, said.text).unwrap_or_else(|| match (code, said.error) {
        (Some(code), _) => by_code(code, answer.status),
        // An error, though not in a word we know.
        (None, Some(_)) if answer.status < 300 => Class::Unclassified,
        (None, _) => by_status(answer.status, said.text),
    });
    match class {
        Class::Transient { .. } => {
            let stated = answer.header("retry-after");
            Class::Transient {
                retry_after: stated.and_then(|text| retry_after(text, now)),
            }
        }
        class => class,
    }
}

/// Returns a server's words without what was sent to it, in whole, in part or as a form spells it,
/// and without anything like a token.
fn shown(words: &str, sent: &[&Secret]) -> Option<String> {
    let spellings = sent.iter().flat_map(|secret| {
        let in_form: String =
            form_urlencoded::byte_serialize(secret.expose_secret().as_bytes()).collect();
        [(*secret).clone(), Secret::from(in_form)]
    });
    let words = Redactor::new(spellings).clean(words, DESCRIPTION);
    Some(words).filter(|words| !words.is_empty())
}

/// Returns an error code without a whole secret. Parts of one stay, or a secret with an ordinary word
/// in it would make `invalid_client` unreadable.
fn without(code: &str, sent: &[&Secret]) -> String {
    let mut words = code.to_owned();
    for secret in sent
        .iter()
        .map(|secret| secret.expose_secret())
        .filter(|it| !it.is_empty())
    {
        words = words.replace(secret, "[removed]");
    }
    words
}

/// Says where a redirect leads. It is not followed: what was asked holds secrets.
fn target(answer: &Answer) -> Option<String> {
    let target = answer.header("location")?;
    let target: Url = answer.url.join(target).ok()?;
    let origin = target.origin().ascii_serialization();
    (300..400)
        .contains(&answer.status)
        .then(|| format!("it redirects to {origin}, which is not followed"))
}

/// Returns true if `code` is fit to be shown as an OAuth error code.
pub(in crate::oauth) fn is_code(code: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    (1..=LONGEST_CODE).contains(&code.len()) && code.chars().all(is_letter)
}

/// Finds the first of the connection's own rules that fits.
fn rule(rules: &[ErrorRule], code: Option<&str>, text: &str) -> Option<Class> {
    if rules.is_empty() {
        return None;
    }
    let text = text.to_lowercase();
    let fits = |rule: &&ErrorRule| {
        rule.error
            .as_deref()
            .is_none_or(|error| Some(error) == code)
            && rule
                .contains
                .as_ref()
                .is_none_or(|words| text.contains(&words.to_lowercase()))
    };
    rules.iter().find(fits).map(|rule| match rule.means {
        Meaning::TooEarly => Class::TooEarly,
        Meaning::Transient => Class::Transient { retry_after: None },
        Meaning::Configuration => Class::Configuration,
        Meaning::DeadGrant => Class::DeadGrant,
    })
}

fn by_code(code: &str, status: u16) -> Class {
    match code {
        "invalid_grant"
        | "interaction_required"
        | "login_required"
        | "consent_required"
        | "bad_refresh_token"
        | "bad_verification_code" => Class::DeadGrant,
        "invalid_client" | "unauthorized_client" | "incorrect_client_credentials" => Class::Client,
        "invalid_request"
        | "invalid_scope"
        | "unsupported_grant_type"
        | "invalid_target"
        | "redirect_uri_mismatch"
        // What they want, a proof of possession (RFC 9449), is not spoken here.
        | "invalid_dpop_proof"
        | "use_dpop_nonce" => Class::Configuration,
        // A server that broke while it answered may have rotated first.
        _ if status >= 500 => Class::InDoubt,
        "temporarily_unavailable" | "server_error" | "slow_down" => {
            Class::Transient { retry_after: None }
        }
        _ if status == 429 => Class::Transient { retry_after: None },
        "access_denied" => Class::Denied,
        _ => Class::Unclassified,
    }
}

fn by_status(status: u16, text: &str) -> Class {
    let is_page = text.starts_with('<');
    match status {
        // Tokens that we cannot read may be in there.
        200..300 => Class::InDoubt,
        300..400 | 404 | 405 | 410 | 415 => Class::Configuration,
        408 | 425 | 429 => Class::Transient { retry_after: None },
        // A page is a gateway's answer rather than the server's.
        403 if is_page => Class::Transient { retry_after: None },
        500.. => Class::InDoubt,
        _ => Class::Unclassified,
    }
}

/// Reads `Retry-After`: seconds or an HTTP date (RFC 9110 section 10.2.3).
pub(in crate::oauth) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let seconds = match text.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
            clock::until(now, at.timestamp()).as_secs()
        }
    };
    Some(Duration::from_secs(
        seconds.clamp(*RETRY_AFTER.start(), *RETRY_AFTER.end()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_taken_from_seconds_or_a_date_and_bounded() {
        let now: Timestamp = "2025-03-02T06:00:00Z".parse().unwrap();
        let wait = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("0"), Some(1));
        assert_eq!(wait("99999999"), Some(3600));
        assert_eq!(wait("Sun, 02 Mar 2025 06:01:30 GMT"), Some(90));
        assert_eq!(wait("soon"), None);
    }
}
