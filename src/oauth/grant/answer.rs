//! What a token endpoint answered, and what that means; pure.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::clock;
use crate::config::{ErrorRule, Grant, Meaning, OAuth};
use crate::http::Answer;
use crate::secret::{ExposeSecret, Secret, scrub};

/// The longest token. It must fit into a header.
const LONGEST_TOKEN: usize = 16 * 1024;
/// The longest life we believe.
pub(in crate::oauth) const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// The longest OAuth error code we show.
const LONGEST_CODE: usize = 64;
/// How much of an error's description we show.
const DESCRIPTION: usize = 200;
/// The least and the most we wait because a server says so.
const RETRY_AFTER: std::ops::RangeInclusive<u64> = 1..=3600;
/// What servers say for a bearer token. The second is Apigee's word for it.
const BEARER: [&str; 2] = ["bearer", "bearertoken"];

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
    /// What the server left out or put oddly, so that we had to assume something.
    pub assumed: Option<&'static str>,
}

/// Why no tokens came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::oauth) struct Refusal {
    pub class: Class,
    pub status: u16,
    /// The OAuth error code, if it is fit to show.
    pub code: Option<String>,
    /// The server's own words, made fit to show.
    pub description: Option<String>,
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
    /// The client or the request is configured wrongly.
    Configuration,
    /// The grant is gone.
    DeadGrant,
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
        Ok(())
    }
}

/// Reads an answer of `oauth`'s token endpoint to a request that held the secrets `sent`.
pub(in crate::oauth) fn read(
    oauth: &OAuth,
    answer: &Answer,
    sent: &[&Secret],
    now: Timestamp,
) -> Reading {
    let is_success = (200..300).contains(&answer.status);
    // Some servers put a byte order mark first, or other bytes into members that we do not need.
    // Tokens are ASCII, so reading around such bytes can save a rotated one.
    let text = Zeroizing::new(String::from_utf8_lossy(&answer.body).into_owned());
    let text = text.trim_start_matches('\u{feff}').trim();
    let message = serde_json::from_str::<Message>(text).unwrap_or_default();
    if is_success && message.access_token.is_some() {
        return match tokens(oauth, message) {
            Ok(tokens) => Reading::Tokens(tokens),
            Err(what) => Reading::Refused(Refusal {
                class: Class::InDoubt,
                status: answer.status,
                code: None,
                description: Some(what.to_owned()),
            }),
        };
    }
    let code = message
        .error
        .as_ref()
        .and_then(Value::as_str)
        .filter(|code| is_code(code));
    let description = message.error_description.as_ref().and_then(Value::as_str);
    Reading::Refused(Refusal {
        class: class(oauth, answer, text, &message, now),
        status: answer.status,
        // A code may be as long as a token; it is one of the server's own words.
        code: code.map(|code| without(code, sent)),
        description: description.and_then(|words| shown(words, sent)),
    })
}

/// The members we read. A member that stands there twice makes the answer unusable.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    #[serde(deserialize_with = "text")]
    access_token: Option<Zeroizing<String>>,
    #[serde(deserialize_with = "text")]
    refresh_token: Option<Zeroizing<String>>,
    token_type: Option<Value>,
    // As written: a number too large for any type must not cost us the tokens beside it.
    expires_in: Option<Box<RawValue>>,
    refresh_token_expires_in: Option<Box<RawValue>>,
    refresh_expires_in: Option<Box<RawValue>>,
    x_refresh_token_expires_in: Option<Box<RawValue>>,
    scope: Option<Value>,
    error: Option<Value>,
    error_description: Option<Value>,
}

/// Reads text, and takes null or nothing for absent.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    let text = Option::<String>::deserialize(from)?.map(Zeroizing::new);
    Ok(text.filter(|text| !text.is_empty()))
}

fn tokens(oauth: &OAuth, message: Message) -> Result<Tokens, &'static str> {
    let mut assumed = None;
    match message
        .token_type
        .as_ref()
        .map(|kind| kind.as_str().unwrap_or_default())
    {
        None => assumed = Some("the answer has no `token_type`; taken for a bearer token"),
        Some(kind)
            if BEARER
                .iter()
                .any(|bearer| kind.eq_ignore_ascii_case(bearer)) => {}
        Some(_) => return Err("the token is of a type we cannot use"),
    }
    let access_token = message.access_token.ok_or("there is no access token")?;
    for token in [Some(&access_token), message.refresh_token.as_ref()]
        .into_iter()
        .flatten()
    {
        if !is_token(token) {
            return Err("a token holds characters no token may hold, or is too long");
        }
    }
    let renews_itself =
        message.refresh_token.is_some() || matches!(oauth.grant, Grant::ClientCredentials);
    let lifetime = match message.expires_in.as_deref().and_then(seconds) {
        Some(life) => Some(life),
        None => {
            assumed = assumed.or(Some(
                "the answer does not say how long the access token lives",
            ));
            renews_itself.then_some(oauth.default_lifetime)
        }
    };
    let refresh_lifetime = [
        &message.refresh_token_expires_in,
        &message.refresh_expires_in,
        &message.x_refresh_token_expires_in,
    ]
    .into_iter()
    .filter_map(|stated| stated.as_deref().and_then(seconds))
    // Zero is how some servers say that it has no end of its own.
    .find(|life| !life.is_zero());
    Ok(Tokens {
        access_token: Secret::from(access_token.as_str()),
        refresh_token: message
            .refresh_token
            .map(|token| Secret::from(token.as_str())),
        lifetime,
        refresh_lifetime,
        scope: message.scope.as_ref().and_then(scope),
        assumed,
    })
}

/// Visible ASCII and spaces (RFC 6749 appendix A.12 and A.17), short enough for a header.
pub(in crate::oauth) fn is_token(token: &str) -> bool {
    token.len() <= LONGEST_TOKEN && token.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Reads a number of seconds: a number, or text that holds one; less than zero is zero.
fn seconds(stated: &RawValue) -> Option<Duration> {
    let seconds: f64 = stated.get().trim_matches('"').trim().parse().ok()?;
    let longest = LONGEST_LIFE.as_secs_f64();
    (!seconds.is_nan()).then(|| Duration::from_secs_f64(seconds.clamp(0.0, longest)))
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

fn class(oauth: &OAuth, answer: &Answer, text: &str, message: &Message, now: Timestamp) -> Class {
    let code = message
        .error
        .as_ref()
        .and_then(Value::as_str)
        .filter(|code| is_code(code));
    let class = rule(&oauth.errors, code, text).unwrap_or_else(|| match (code, &message.error) {
        (Some(code), _) => by_code(code, answer.status),
        // An error, though not in a word we know.
        (None, Some(_)) if answer.status < 300 => Class::Unclassified,
        (None, _) => by_status(answer, text),
    });
    match (class, &oauth.grant) {
        // There is no grant that could have died: the server means the client.
        (Class::DeadGrant, Grant::ClientCredentials) => Class::Configuration,
        (Class::Transient { .. }, _) => {
            let stated = answer.header("retry-after");
            Class::Transient {
                retry_after: stated.and_then(|text| retry_after(text, now)),
            }
        }
        (class, _) => class,
    }
}

/// Returns a server's words without what was sent to it and without anything like a token.
fn shown(words: &str, sent: &[&Secret]) -> Option<String> {
    let words = scrub(&without(words, sent), DESCRIPTION);
    Some(words).filter(|words| !words.is_empty())
}

/// Returns a server's words without what was sent to it.
fn without(words: &str, sent: &[&Secret]) -> String {
    let mut words = words.to_owned();
    for secret in sent
        .iter()
        .map(|secret| secret.expose_secret())
        .filter(|it| !it.is_empty())
    {
        words = words.replace(secret, "[removed]");
    }
    words
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
        "invalid_client"
        | "unauthorized_client"
        | "invalid_request"
        | "invalid_scope"
        | "unsupported_grant_type"
        | "invalid_target"
        | "incorrect_client_credentials"
        | "redirect_uri_mismatch" => Class::Configuration,
        // A server that broke while it answered may have rotated first.
        _ if status >= 500 => Class::InDoubt,
        "temporarily_unavailable" | "server_error" | "slow_down" => {
            Class::Transient { retry_after: None }
        }
        _ if status == 429 => Class::Transient { retry_after: None },
        _ => Class::Unclassified,
    }
}

fn by_status(answer: &Answer, text: &str) -> Class {
    let is_page = text.starts_with('<');
    match answer.status {
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
    use crate::http::HeaderMap;
    use crate::oauth::testing::oauth;

    fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status,
            headers: HeaderMap::new(),
            body: body.into().into(),
            url: "http://127.0.0.1:1/token".parse().unwrap(),
        }
    }

    fn reading(status: u16, body: impl Into<Vec<u8>>) -> Reading {
        let sent = Secret::from("hunter2");
        let oauth = oauth("http://127.0.0.1:1/token");
        read(
            &oauth,
            &answer(status, body),
            &[&sent],
            Timestamp::UNIX_EPOCH,
        )
    }

    fn granted(body: impl Into<Vec<u8>>) -> Tokens {
        match reading(200, body) {
            Reading::Tokens(tokens) => tokens,
            Reading::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    fn refused(status: u16, body: impl Into<Vec<u8>>) -> Refusal {
        match reading(status, body) {
            Reading::Refused(refusal) => refusal,
            Reading::Tokens(tokens) => panic!("{tokens:?}"),
        }
    }

    #[test]
    fn a_life_is_read_however_it_is_written() {
        const HOUR: u64 = 3600;
        let ten_years = LONGEST_LIFE.as_secs();
        // as written, seconds, assumed
        let cases = [
            ("600", 600, false),
            ("\"600\"", 600, false),
            ("\" 599.5 \"", 599, false),
            ("599.5", 599, false),
            ("0", 0, false),
            ("-1", 0, false),
            ("null", HOUR, true),
            ("\"3600abc\"", HOUR, true),
            ("[]", HOUR, true),
            ("1e400", ten_years, false),
            ("99999999999999999999999", ten_years, false),
        ];
        for (written, seconds, assumed) in cases {
            let tokens = granted(format!(
                r#"{{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":{written}}}"#
            ));
            assert_eq!(tokens.lifetime.unwrap().as_secs(), seconds, "{written}");
            assert_eq!(tokens.assumed.is_some(), assumed, "{written}");
        }
        let lasting = granted(r#"{"access_token":"a","token_type":"bearer"}"#);
        assert_eq!(lasting.lifetime, None);
    }

    #[test]
    fn tokens_are_found_in_whatever_surrounds_them() {
        let tokens = granted(
            r#"{"token_type":"bEaReR","access_token":"a","refresh_token":"r!","expires_in":"600",
                "scope":["x","y"],"refresh_token_expires_in":0,"x_refresh_token_expires_in":60,
                "other":{"deep":[1e999]}}"#,
        );
        assert_eq!(tokens.access_token.expose_secret(), "a");
        assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "r!");
        assert_eq!(tokens.scope.as_deref(), Some("x y"));
        assert_eq!(tokens.refresh_lifetime, Some(Duration::from_secs(60)));

        let marked = "\u{feff}{\"access_token\":\"a\",\"expires_in\":1}";
        assert!(granted(marked).assumed.is_some());
        let latin1 = b"{\"access_token\":\"a\",\"company\":\"Caf\xe9\",\"expires_in\":1}";
        assert_eq!(granted(latin1.to_vec()).access_token.expose_secret(), "a");

        for absent in [r#""refresh_token":null,"#, r#""refresh_token":"","#, ""] {
            let tokens = granted(format!(
                r#"{{{absent}"access_token":"a","token_type":"bearer"}}"#
            ));
            assert!(tokens.refresh_token.is_none(), "{absent}");
        }
    }

    #[test]
    fn a_success_that_cannot_be_used_is_in_doubt() {
        let cases: [&[u8]; 11] = [
            b"",
            b"<html>sign in to the hotel network</html>",
            b"{\"access_token\":\"a\",\"refresh_",
            b"{\"access_token\":\"a\",\"refresh_token\":\"r\",\"refresh_token\":\"s\"}",
            b"{\"access_token\":\"a\\r\\nset-cookie: x\",\"token_type\":\"bearer\"}",
            b"{\"access_token\":\"a\",\"refresh_token\":\"r\\u0000\",\"token_type\":\"bearer\"}",
            b"{\"access_token\":\"a\",\"refresh_token\":\"\xff\",\"token_type\":\"bearer\"}",
            b"{\"access_token\":\"a\",\"token_type\":\"mac\"}",
            b"{\"access_token\":7,\"token_type\":\"bearer\"}",
            b"{\"token_type\":\"bearer\"}",
            b"[]",
        ];
        for body in cases {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(refused(200, body).class, Class::InDoubt, "{shown}");
        }
    }

    #[test]
    fn errors_are_sorted_by_what_must_happen_next() {
        use Class::{Configuration, DeadGrant, InDoubt, Unclassified};
        let transient = Class::Transient { retry_after: None };
        let cases = [
            (400, r#"{"error":"invalid_grant"}"#, DeadGrant),
            (500, r#"{"error":"invalid_grant"}"#, DeadGrant),
            (
                200,
                r#"{"error":"bad_refresh_token","error_description":"…"}"#,
                DeadGrant,
            ),
            (200, r#"{"ok":false,"error":"Not A Code"}"#, Unclassified),
            (401, r#"{"error":"invalid_client"}"#, Configuration),
            (400, r#"{"error":"invalid_scope"}"#, Configuration),
            (503, r#"{"error":"temporarily_unavailable"}"#, InDoubt),
            (400, r#"{"error":"temporarily_unavailable"}"#, transient),
            (400, r#"{"error":"access_denied"}"#, Unclassified),
            (429, "", transient),
            (500, r#"{"fault":{}}"#, InDoubt),
            (502, "<html>", InDoubt),
            (302, "", Configuration),
            (404, "<html>", Configuration),
            (403, "<!DOCTYPE html>", transient),
            (403, "", Unclassified),
            (400, "", Unclassified),
        ];
        for (status, body, class) in cases {
            assert_eq!(refused(status, body).class, class, "{status} {body}");
        }
    }

    #[test]
    fn a_connection_may_know_its_server_better() {
        let mut oauth = oauth("http://127.0.0.1:1/token");
        let rule = |error: Option<&str>, contains: Option<&str>, means| ErrorRule {
            error: error.map(str::to_owned),
            contains: contains.map(str::to_owned),
            means,
        };
        oauth.errors = vec![
            rule(None, Some("access_token not expired"), Meaning::TooEarly),
            rule(
                Some("unauthorized_client"),
                Some("Old refresh token"),
                Meaning::DeadGrant,
            ),
            rule(None, Some("extractvariables"), Meaning::Transient),
        ];
        let class =
            |status, body: &str| match read(&oauth, &answer(status, body), &[], Timestamp::MIN) {
                Reading::Refused(refusal) => refusal.class,
                Reading::Tokens(_) => panic!("{body}"),
            };
        let early = r#"{"error":"access_denied","error_description":"Rate limit exceeded: access_token not expired"}"#;
        assert_eq!(class(400, early), Class::TooEarly);
        let old =
            r#"{"error":"unauthorized_client","error_description":"Old refresh token used."}"#;
        assert_eq!(class(401, old), Class::DeadGrant);
        assert_eq!(
            class(401, r#"{"error":"unauthorized_client"}"#),
            Class::Configuration
        );
        let fault = r#"{"fault":{"faultstring":"ExtractVariables failed"}}"#;
        assert_eq!(class(500, fault), Class::Transient { retry_after: None });

        oauth.errors.clear();
        oauth.grant = Grant::ClientCredentials;
        let refused = read(
            &oauth,
            &answer(400, r#"{"error":"invalid_grant"}"#),
            &[],
            Timestamp::MIN,
        );
        assert!(matches!(
            refused,
            Reading::Refused(Refusal {
                class: Class::Configuration,
                ..
            })
        ));
    }

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

    #[test]
    fn what_is_shown_of_an_error_holds_no_token() {
        let refusal = refused(
            400,
            r#"{"error":"invalid_grant","error_description":"token gAAAAABk3vXyz0123456789abcdef is used, not hunter2"}"#,
        );
        assert_eq!(
            refusal.to_string(),
            "HTTP 400, `invalid_grant`: token [removed] is used, not [removed]"
        );
        let odd = refused(400, r#"{"error":"<b>Tok en</b>"}"#);
        assert_eq!(odd.to_string(), "HTTP 400");
    }
}
