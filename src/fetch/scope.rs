//! How a source says that an access token is good but does not reach far enough.
//!
//! RFC 6750 section 3.1 has a word for it in `WWW-Authenticate`; some sources say it in the body
//! instead. It must be told apart from a token that is refused: another token of the same login
//! would be refused as well.

use serde_json::Value;

use super::answer::COMPLAINT;
use super::link::split_outside_quotes;
use crate::http::{Answer, HeaderMap};

/// The error code of RFC 6750 section 3.1.
const INSUFFICIENT_SCOPE: &str = "insufficient_scope";
/// What bodies say instead, in lower case: Slack and HubSpot, Google twice, Exact Online.
const SAID_IN_BODIES: [&str; 5] = [
    INSUFFICIENT_SCOPE,
    "missing_scope",
    "access_token_scope_insufficient",
    "insufficient authentication scopes",
    "application scope violated",
];
/// Where bodies name the scope.
const SCOPES: [&str; 3] = ["/scope", "/error/scope", "/needed"];
/// The longest list of scopes that is shown.
const LONGEST: usize = 300;

/// What an access token lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lacking {
    /// The scopes that would do, if the source says.
    pub(super) scope: Option<String>,
}

/// Returns what the access token lacks, if that is why the source refuses.
pub(super) fn lacking(answer: &Answer) -> Option<Lacking> {
    let said = in_header(&answer.headers).or_else(|| in_body(&answer.body));
    said.map(|lacking| Lacking {
        scope: lacking.scope.filter(|scope| is_scope(scope)),
    })
}

fn in_header(headers: &HeaderMap) -> Option<Lacking> {
    let challenges = headers.get_all("www-authenticate");
    challenges.iter().find_map(|challenges| {
        let challenges = challenges.to_str().ok()?;
        let told = parameter(challenges, "error")? == INSUFFICIENT_SCOPE;
        told.then(|| Lacking {
            scope: parameter(challenges, "scope").map(str::to_owned),
        })
    })
}

/// Finds a parameter of any challenge. The first one of a challenge stands after the scheme word.
fn parameter<'c>(challenges: &'c str, name: &str) -> Option<&'c str> {
    let mut rest = Some(challenges);
    while let Some(some) = rest {
        let (part, after) = split_outside_quotes(some, ',');
        rest = after;
        let Some((left, value)) = part.split_once('=') else {
            continue;
        };
        let own = left.split_whitespace().last();
        if own.is_some_and(|own| own.eq_ignore_ascii_case(name)) {
            return Some(value.trim().trim_matches('"'));
        }
    }
    None
}

fn in_body(body: &[u8]) -> Option<Lacking> {
    if body.len() > COMPLAINT {
        return None;
    }
    let words = String::from_utf8_lossy(body).to_lowercase();
    if !SAID_IN_BODIES.iter().any(|said| words.contains(said)) {
        return None;
    }
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let scope = body.and_then(|body| {
        let mut named = SCOPES
            .iter()
            .filter_map(|place| body.pointer(place)?.as_str());
        named.next().map(str::to_owned)
    });
    Some(Lacking { scope })
}

/// Returns true for a list of scopes as RFC 6749 section 3.3 spells it: anything else is not shown.
fn is_scope(scope: &str) -> bool {
    let is_spelled = |letter: char| matches!(letter, ' '..='~') && !"\"\\".contains(letter);
    (1..=LONGEST).contains(&scope.len()) && scope.chars().all(is_spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lacking_scope_is_told_from_other_refusals() {
        let reads = Some("https://www.googleapis.com/auth/drive.readonly files:read");
        let long = format!(
            r#"Bearer error="insufficient_scope", scope="{}""#,
            "x".repeat(301)
        );
        let lacking_none = Some(None);
        let cases: [(&str, &str, Option<Option<&str>>); 13] = [
            ("Bearer error=\"insufficient_scope\"", "", lacking_none),
            (
                "Bearer realm=\"a, b\", error=insufficient_scope , scope=\"files:read\"",
                "",
                Some(Some("files:read")),
            ),
            (
                "Bearer realm=\"x\", error=\"insufficient_scope\", scope=\"https://www.googleapis.com/auth/drive.readonly files:read\"",
                "",
                Some(reads),
            ),
            (
                "Basic realm=\"x\", Bearer Error=\"insufficient_scope\"",
                "",
                lacking_none,
            ),
            (&long, "", lacking_none),
            (
                "Bearer error=\"invalid_token\", error_description=\"no insufficient_scope\"",
                "",
                None,
            ),
            ("Bearer realm=\"error=insufficient_scope\"", "", None),
            (
                "",
                r#"{"error":"insufficient_scope","scope":"read"}"#,
                Some(Some("read")),
            ),
            (
                "",
                r#"{"ok":false,"error":"missing_scope","needed":"users:read"}"#,
                Some(Some("users:read")),
            ),
            (
                "",
                r#"{"error":{"code":403,"message":"Request had insufficient authentication scopes."}}"#,
                lacking_none,
            ),
            ("", "Application Scope Violated", lacking_none),
            ("", r#"{"error":"no right to read"}"#, None),
            ("", "", None),
        ];
        for (header, body, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert("www-authenticate", header.parse().unwrap());
            let answer = Answer {
                status: 403,
                headers,
                body: body.to_owned().into(),
                url: "https://api.example.com/".parse().unwrap(),
            };
            let found = lacking(&answer).map(|lacking| lacking.scope);
            assert_eq!(
                found.as_ref().map(Option::as_deref),
                expected,
                "{header} {body}"
            );
        }
    }
}
