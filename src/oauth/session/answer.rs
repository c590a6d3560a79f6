//! What a source answered to a login of its own making.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::config::{Facts, Session, SessionEnd, TokenAt};
use crate::http::Answer;
use crate::oauth::grant::{Class, LONGEST_LIFE, Reading, Refusal, Tokens, is_token, retry_after};
use crate::record::FieldPath;
use crate::secret::{Redactor, Secret};

/// How much of a source's own words we show.
const DESCRIPTION: usize = 200;
/// Where sources put their words about a refused login.
const WORDS: [&[&str]; 6] = [
    &["error_description"],
    &["message"],
    &["error", "message", "value"],
    &["error", "message"],
    &["error"],
    &["detail"],
];

/// Reads the answer to a login, or to a refresh of the session of `present`, which may leave that
/// as it is. What `redactor` knows is not shown.
pub(in crate::oauth) fn read(
    session: &Session,
    answer: &Answer,
    present: Option<&Secret>,
    redactor: &Redactor,
    now: Timestamp,
) -> Reading {
    let body = String::from_utf8_lossy(&answer.body);
    let body = body.trim_start_matches('\u{feff}').trim();
    let is_success = (200..300).contains(&answer.status);
    let token = match is_success {
        true => token(&session.token, answer, body).or_else(|| present.cloned()),
        false => None,
    };
    if let Some(token) = token {
        return Reading::Tokens(Tokens {
            access_token: token,
            refresh_token: None,
            lifetime: lifetime(&session.ends, body, now),
            refresh_lifetime: None,
            scope: None,
            id_token: None,
            person: None,
            facts: Facts::default(),
            assumed: None,
        });
    }
    let words = if is_success {
        Some(format!(
            "the answer has no token where `{}` says",
            place(&session.token)
        ))
    } else {
        words(body).map(|words| redactor.clean(&words, DESCRIPTION))
    };
    Reading::Refused(Refusal {
        class: class(answer, now),
        status: answer.status,
        code: None,
        description: words.filter(|words| !words.is_empty()),
        clock_off: None,
    })
}

/// Says what an answer without a token means.
fn class(answer: &Answer, now: Timestamp) -> Class {
    match answer.status {
        // Also where everything but the token came: sources refuse passwords in words of their own,
        // and one that was refused must not be sent again.
        200..=299 | 400 | 401 | 403 | 422 => Class::DeadGrant,
        408 | 425 | 429 | 500.. => {
            let stated = answer.header("retry-after");
            Class::Transient {
                retry_after: stated.and_then(|text| retry_after(text, now)),
            }
        }
        _ => Class::Configuration,
    }
}

fn token(at: &TokenAt, answer: &Answer, body: &str) -> Option<Secret> {
    let token = match at {
        TokenAt::Path(path) => match find(body, path) {
            Some(value) => text(value)?,
            // Some answer with nothing but the token.
            None if path.segments().is_empty() && !body.contains(char::is_whitespace) => {
                Zeroizing::new(body.to_owned())
            }
            None => return None,
        },
        TokenAt::Header(name) => Zeroizing::new(answer.header(name.as_str())?.to_owned()),
        TokenAt::Cookie(name) => cookie(name, answer)?,
    };
    (!token.is_empty() && is_token(&token)).then(|| Secret::from(token.as_str()))
}

/// Returns `NAME=value` of the cookie an answer sets (RFC 6265 section 4.1), as it is sent back.
fn cookie(name: &str, answer: &Answer) -> Option<Zeroizing<String>> {
    let set = answer.headers.get_all("set-cookie").iter();
    let pairs = set.filter_map(|value| value.to_str().ok()?.split(';').next());
    let mut named = pairs.filter(|pair| {
        let split = pair.split_once('=');
        split.is_some_and(|(own, value)| own.trim() == name && !value.trim().is_empty())
    });
    Some(Zeroizing::new(named.next()?.trim().to_owned()))
}

fn place(at: &TokenAt) -> &'static str {
    match at {
        TokenAt::Path(_) => "token",
        TokenAt::Header(_) => "token_header",
        TokenAt::Cookie(_) => "token_cookie",
    }
}

fn lifetime(ends: &SessionEnd, body: &str, now: Timestamp) -> Option<Duration> {
    let stated = match ends {
        SessionEnd::Untold => return None,
        SessionEnd::After(life) => return Some(*life),
        SessionEnd::In(path, unit) => seconds(find(body, path)?, *unit)?,
        SessionEnd::At(path, unit) => {
            let value = find(body, path)?;
            let ends = match seconds(value, *unit) {
                Some(since_1970) => since_1970,
                None => moment(&text(value)?)?.as_second() as f64,
            };
            ends - now.as_second() as f64
        }
    };
    let longest = LONGEST_LIFE.as_secs_f64();
    Some(Duration::from_secs_f64(stated.clamp(0.0, longest)))
}

/// Reads a number, or text that holds one, as seconds.
fn seconds(value: &RawValue, unit: Duration) -> Option<f64> {
    let number: f64 = value.get().trim_matches('"').trim().parse().ok()?;
    let seconds = number * unit.as_secs_f64();
    seconds.is_finite().then_some(seconds)
}

/// Reads a date and time; one without a zone is taken for UTC.
fn moment(text: &str) -> Option<Timestamp> {
    let civil = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
    let moment = text.parse().ok();
    moment.or_else(|| Some(civil()?.timestamp()))
}

fn words(body: &str) -> Option<String> {
    let at = |names: &&[&str]| {
        let value = find(body, &FieldPath::of(names.iter().copied()))?;
        Some(text(value)?.to_string())
    };
    WORDS.iter().find_map(at)
}

/// Finds what stands at `path` of a JSON text, without copying the rest of it.
fn find<'b>(body: &'b str, path: &FieldPath) -> Option<&'b RawValue> {
    let mut value: &RawValue = serde_json::from_str(body).ok()?;
    for name in path.segments() {
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(value.get()).ok()?;
        value = fields.get(name.as_str()).copied()?;
    }
    Some(value)
}

/// Returns text, or a number as text.
fn text(value: &RawValue) -> Option<Zeroizing<String>> {
    let is_number = value
        .get()
        .starts_with(|first: char| first.is_ascii_digit());
    let text = match is_number {
        true => value.get().to_owned(),
        false => serde_json::from_str(value.get()).ok()?,
    };
    Some(Zeroizing::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeaderMap, HeaderValue};
    use crate::secret::ExposeSecret;

    const NOW: &str = "2026-01-05T08:00:00Z";

    fn session(token: TokenAt, ends: SessionEnd) -> Session {
        Session {
            token,
            ends,
            ..crate::oauth::testing::session("http://127.0.0.1:1/login")
        }
    }

    fn path(text: &str) -> FieldPath {
        text.parse().unwrap()
    }

    fn reading(
        session: &Session,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Reading {
        let pair = |(name, value): &(&'static str, &str)| {
            (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let answer = Answer {
            status,
            headers: headers.iter().map(pair).collect::<HeaderMap>(),
            body: body.to_owned().into(),
            url: "http://127.0.0.1:1/login".parse().unwrap(),
        };
        let redactor = Redactor::new([Secret::from("pass-canary")]);
        read(session, &answer, None, &redactor, NOW.parse().unwrap())
    }

    /// Returns the token and how many seconds it lives.
    fn granted(reading: Reading) -> (String, Option<u64>) {
        let Reading::Tokens(tokens) = reading else {
            panic!("{reading:?}")
        };
        let token = tokens.access_token.expose_secret().to_owned();
        (token, tokens.lifetime.map(|life| life.as_secs()))
    }

    #[test]
    fn a_token_is_found_where_the_source_puts_it() {
        let cases = [
            (
                TokenAt::Path(path("data.token")),
                r#"{"data":{"token":"t1"}}"#,
                "t1",
            ),
            (TokenAt::Path(path("$")), r#""t1""#, "t1"),
            (TokenAt::Path(path("$")), "t1\n", "t1"),
            (TokenAt::Path(path("id")), r#"{"id":17}"#, "17"),
            (TokenAt::Header("x-token".parse().unwrap()), "", "h1"),
            (TokenAt::Cookie("B1SESSION".to_owned()), "", "B1SESSION=c1"),
        ];
        let headers = [
            ("set-cookie", "ROUTEID=.node1; path=/"),
            ("set-cookie", "B1SESSION=c1; HttpOnly; Path=/"),
            ("x-token", "h1"),
        ];
        for (at, body, expected) in cases {
            let session = session(at, SessionEnd::Untold);
            let (token, life) = granted(reading(&session, 200, &headers, body));
            assert_eq!((token.as_str(), life), (expected, None), "{body}");
        }
    }

    #[test]
    fn its_end_is_told_in_any_unit_or_as_a_moment() {
        const HOUR: Duration = Duration::from_secs(3_600);
        const MILLISECOND: Duration = Duration::from_millis(1);
        const SECOND: Duration = Duration::from_secs(1);
        let at = |unit| SessionEnd::At(path("e"), unit);
        let cases = [
            (SessionEnd::In(path("e"), SECOND), "900", Some(900)),
            (SessionEnd::In(path("e"), HOUR), "\"1.5\"", Some(5_400)),
            (SessionEnd::In(path("e"), SECOND), "-5", Some(0)),
            (SessionEnd::In(path("e"), SECOND), "\"soon\"", None),
            (SessionEnd::After(HOUR), "1", Some(3_600)),
            (at(SECOND), "\"2026-01-05T08:30:00Z\"", Some(1_800)),
            (at(SECOND), "\"2026-01-05T09:30:00+01:00\"", Some(1_800)),
            (at(SECOND), "\"2026-01-05 08:30:00\"", Some(1_800)),
            (at(SECOND), "1767601800", Some(1_800)),
            (at(MILLISECOND), "1767601800000", Some(1_800)),
            (at(SECOND), "\"2020-01-01T00:00:00Z\"", Some(0)),
        ];
        for (ends, stated, life) in cases {
            let session = session(TokenAt::Path(path("t")), ends);
            let body = format!(r#"{{"t":"t1","e":{stated}}}"#);
            assert_eq!(
                granted(reading(&session, 200, &[], &body)).1,
                life,
                "{body}"
            );
        }
    }

    #[test]
    fn what_brings_no_token_is_told_apart_and_shows_no_secret() {
        let session = session(TokenAt::Path(path("t")), SessionEnd::Untold);
        let cases = [
            (
                401,
                r#"{"message":"pass-canary is wrong"}"#,
                Class::DeadGrant,
                "[removed] is wrong",
            ),
            (
                400,
                r#"{"error":{"message":{"value":"no"}}}"#,
                Class::DeadGrant,
                "HTTP 400: no",
            ),
            (
                200,
                r#"{"error":"no"}"#,
                Class::DeadGrant,
                "no token where `token` says",
            ),
            (200, r#"{"t":"a\nb"}"#, Class::DeadGrant, "no token where"),
            (404, "<html>", Class::Configuration, "HTTP 404"),
            (302, "", Class::Configuration, "HTTP 302"),
            (
                503,
                "",
                Class::Transient {
                    retry_after: Some(Duration::from_secs(7)),
                },
                "HTTP 503",
            ),
        ];
        for (status, body, class, words) in cases {
            let reading = reading(&session, status, &[("retry-after", "7")], body);
            let Reading::Refused(refusal) = reading else {
                panic!("{reading:?}")
            };
            assert_eq!(refusal.class, class, "{body}");
            let shown = refusal.to_string();
            assert!(
                shown.contains(words) && !shown.contains("canary"),
                "{shown}"
            );
        }
    }
}
