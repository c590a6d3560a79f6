//! A request as a person may see it: everything but its secrets.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::{self, Authorization, Request};
use crate::secret::{REMOVED, Redactor};

/// How many letters of a body are shown.
const LONGEST_BODY: usize = 2_000;
/// What the name of a parameter, header or field has in it if its value is nobody's business.
const TELLING: [&str; 12] = [
    "secret",
    "password",
    "passwd",
    "signature",
    "credential",
    "authorization",
    "cookie",
    "apikey",
    "accesskey",
    "accesstoken",
    "authtoken",
    "securitytoken",
];
/// The same for whole names. A `pageToken` is none of them.
const TELLING_ALONE: [&str; 8] = [
    "key", "sig", "token", "code", "jwt", "pwd", "auth", "session",
];
/// The same for headers: `X-Shop-Token` is a credential, and no header of a page is called so.
const TELLING_AT_END: [&str; 2] = ["token", "key"];

/// A request without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownRequest {
    /// The method.
    pub method: String,
    /// The URL with its query; a credential of the query is not in it.
    pub url: String,
    /// The headers in their order, each with its value.
    pub headers: Vec<(String, String)>,
    /// Where the credential goes, if one is sent: `header authorization`, `query parameter key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The body, if there is one, not longer than anybody reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl ShownRequest {
    /// Takes the secrets out of a request that `authorization` lets in.
    pub(super) fn of(request: &Request, authorization: Option<&Authorization>) -> Self {
        let nothing = Redactor::default();
        let redactor = authorization.map_or(&nothing, Authorization::redactor);
        let query = request.url.query().map(query);
        let url = match query {
            Some(query) => format!("{}?{query}", http::shown(&request.url)),
            None => http::shown(&request.url),
        };
        let headers = request.headers.iter().map(|(name, value)| {
            let name = name.as_str();
            let value = match is_telling(name) || ends_telling(name) {
                true => REMOVED.to_owned(),
                false => redactor.redact(&String::from_utf8_lossy(value.as_bytes())),
            };
            (name.to_owned(), value)
        });
        Self {
            method: request.method.to_string(),
            url: redactor.redact(&url),
            headers: headers.collect(),
            credential: authorization.map(Authorization::place),
            body: request.body.as_ref().map(|bytes| {
                let text = redactor.redact(&body(&String::from_utf8_lossy(bytes)));
                match text.char_indices().nth(LONGEST_BODY) {
                    Some((cut, _)) => format!("{}…", &text[..cut]),
                    None => text,
                }
            }),
        }
    }
}

/// Returns a query, or a form, without the values that nobody should read; the rest byte for byte.
fn query(text: &str) -> String {
    let parts = text.split('&').map(|part| {
        let name = part.split('=').next().unwrap_or_default();
        match is_telling(&percent_decode_str(name).decode_utf8_lossy()) {
            true => format!("{name}={REMOVED}"),
            false => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("&")
}

fn body(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut json) => {
            hide(&mut json);
            json.to_string()
        }
        Err(_) => query(text),
    }
}

fn hide(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                match is_telling(name) {
                    true => *value = REMOVED.into(),
                    false => hide(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns true if a value of this name is likely a secret, however the name is written.
fn is_telling(name: &str) -> bool {
    let plain = plain(name);
    TELLING.iter().any(|telling| plain.contains(telling))
        || TELLING_ALONE.iter().any(|telling| plain == *telling)
}

fn ends_telling(header: &str) -> bool {
    let plain = plain(header);
    TELLING_AT_END.iter().any(|end| plain.ends_with(end))
}

fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeaderValue, Method};
    use crate::secret::Secret;

    #[test]
    fn no_secret_is_shown_wherever_it_stands() {
        let url = "https://a.example/x?api_key=canary-1&pageToken=abc&X-Amz-Signature=canary-2";
        let mut request = Request::new(Method::POST, url.parse().unwrap());
        for (name, value) in [
            ("accept", "application/json"),
            ("x-shop-token", "canary-3"),
            ("x-echo", "canary-4"),
        ] {
            let value = HeaderValue::from_static(value);
            request.headers.insert(name, value);
        }
        let body = r#"{"page":1,"login":{"client_secret":"canary-5","name":"a"}}"#;
        request.body = Some(body.as_bytes().to_vec().into());
        let with = Authorization::query("sesame", &Secret::from("canary-4"));
        let shown = ShownRequest::of(&request, Some(&with));
        let json = serde_json::to_string(&shown).unwrap();
        assert!(!json.contains("canary"), "{json}");
        assert_eq!(
            shown.url,
            "https://a.example/x?api_key=[removed]&pageToken=abc&X-Amz-Signature=[removed]"
        );
        assert_eq!(shown.credential.unwrap(), "query parameter `sesame`");
        assert_eq!(
            shown.body.unwrap(),
            r#"{"login":{"client_secret":"[removed]","name":"a"},"page":1}"#
        );
    }
}
