//! Token requests as RFC 6749 has them, and as some servers want them instead; pure.

mod answer;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use url::Url;
use url::form_urlencoded::{self, byte_serialize};
use zeroize::Zeroizing;

pub(super) use answer::{Class, Reading, Refusal, Tokens, read};

use crate::config::{BodyFormat, ClientAuth, OAuth};
use crate::http::{Answer, HeaderValue, Method, Request};
use crate::secret::{ExposeSecret, Secret};

/// The longest answer of a token endpoint we read. Tokens are a few KiB at most, and every attempt
/// reserves this much disk.
pub(super) const ANSWER_LIMIT: u64 = 256 * 1024;

/// What is asked of a token endpoint.
#[derive(Clone, Copy)]
pub(super) enum Ask<'a> {
    /// The first tokens of a login.
    Code {
        /// The authorization code, decoded.
        code: &'a Secret,
        /// Where it was sent, as it was authorized.
        redirect_uri: &'a Url,
        /// The PKCE verifier.
        verifier: Option<&'a Secret>,
    },
    /// New tokens for a refresh token.
    Refresh(&'a Secret),
    /// Tokens for the client itself.
    ClientCredentials,
}

/// A question to the token endpoint of a client.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    /// The client.
    pub oauth: &'a OAuth,
    /// Its secret.
    pub secret: Option<&'a Secret>,
    /// What it asks.
    pub ask: Ask<'a>,
}

impl Question<'_> {
    /// Writes the request.
    pub(super) fn request(&self) -> Request {
        request(self.oauth, self.secret, self.ask)
    }

    /// Reads the answer to it. Nothing that was sent is shown, whoever quotes it.
    pub(super) fn read(&self, answer: &Answer, now: Timestamp) -> Reading {
        let (first, second) = match self.ask {
            Ask::Code { code, verifier, .. } => (Some(code), verifier),
            Ask::Refresh(token) => (Some(token), None),
            Ask::ClientCredentials => (None, None),
        };
        let sent: Vec<&Secret> = [self.secret, first, second].into_iter().flatten().collect();
        read(self.oauth, answer, &sent, now)
    }
}

fn request(oauth: &OAuth, secret: Option<&Secret>, ask: Ask<'_>) -> Request {
    let mut request = Request::new(Method::POST, oauth.token_url.clone());
    let mut fields = Fields::default();
    ask_fields(oauth, ask, &mut fields);
    match oauth.client_auth {
        ClientAuth::Basic => {
            let header = basic(&oauth.client_id, secret);
            request.headers.insert("authorization", header);
        }
        ClientAuth::Body => {
            fields.put("client_id", &oauth.client_id);
            fields.put(
                "client_secret",
                secret.map_or("", ExposeSecret::expose_secret),
            );
        }
        ClientAuth::None => fields.put("client_id", &oauth.client_id),
    }
    for (name, value) in &oauth.token_params {
        fields.put(name, value);
    }
    let (content_type, body) = match oauth.body {
        BodyFormat::Form => ("application/x-www-form-urlencoded", fields.form()),
        BodyFormat::Json => ("application/json", fields.json()),
    };
    request
        .headers
        .insert("content-type", HeaderValue::from_static(content_type));
    request
        .headers
        .insert("accept", HeaderValue::from_static("application/json"));
    request
        .headers
        .insert("accept-encoding", HeaderValue::from_static("identity"));
    request.body = Some(body);
    request
}

fn ask_fields(oauth: &OAuth, ask: Ask<'_>, fields: &mut Fields) {
    match ask {
        Ask::Code {
            code,
            redirect_uri,
            verifier,
        } => {
            fields.put("grant_type", "authorization_code");
            fields.put("code", code.expose_secret());
            fields.put("redirect_uri", redirect_uri.as_str());
            fields.put(
                "code_verifier",
                verifier.map_or("", ExposeSecret::expose_secret),
            );
        }
        // No scope: what was granted stays granted (RFC 6749 section 6).
        Ask::Refresh(token) => {
            fields.put("grant_type", "refresh_token");
            fields.put("refresh_token", token.expose_secret());
        }
        Ask::ClientCredentials => {
            fields.put("grant_type", "client_credentials");
            fields.put("scope", &oauth.scopes.join(&oauth.scope_separator));
        }
    }
}

/// The parameters of a token request: none empty, none twice (RFC 6749 section 3.2).
#[derive(Default)]
struct Fields(Vec<(String, Zeroizing<String>)>);

impl Fields {
    fn put(&mut self, name: &str, value: &str) {
        if !value.is_empty() && self.0.iter().all(|(present, _)| present != name) {
            self.0
                .push((name.to_owned(), Zeroizing::new(value.to_owned())));
        }
    }

    fn form(&self) -> Zeroizing<Vec<u8>> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            form.append_pair(name, value);
        }
        Zeroizing::new(form.finish().into_bytes())
    }

    fn json(&self) -> Zeroizing<Vec<u8>> {
        use serde::ser::{SerializeMap, Serializer};
        let mut body = Zeroizing::new(Vec::new());
        let mut serializer = serde_json::Serializer::new(&mut *body);
        let written = serializer
            .serialize_map(Some(self.0.len()))
            .and_then(|mut map| {
                for (name, value) in &self.0 {
                    map.serialize_entry(name, value.as_str())?;
                }
                map.end()
            });
        written.expect("text written to memory does not fail");
        body
    }
}

/// HTTP Basic, with id and secret form-encoded first (RFC 6749 section 2.3.1): a server that takes
/// the standard at its word refuses a raw `:` or `%`.
fn basic(id: &str, secret: Option<&Secret>) -> HeaderValue {
    let encode = |text: &str| Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>());
    let secret = encode(secret.map_or("", ExposeSecret::expose_secret));
    let pair = Zeroizing::new(format!("{}:{}", *encode(id), *secret));
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&value).expect("base64 is fit for a header");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::oauth;

    fn body(request: &Request) -> &str {
        std::str::from_utf8(request.body.as_ref().unwrap()).unwrap()
    }

    #[test]
    fn requests_are_written_as_each_server_wants_them() {
        let secret = Secret::from("s:e/c%t é");
        let token = Secret::from("r!1");
        let ask = Ask::Refresh(&token);
        // style, secret given, body, authorization
        let cases = [
            (
                ClientAuth::Body,
                BodyFormat::Form,
                "grant_type=refresh_token&refresh_token=r%211&client_id=client+1&client_secret=s%3Ae%2Fc%25t+%C3%A9&x=y",
                None,
            ),
            (
                ClientAuth::Basic,
                BodyFormat::Json,
                r#"{"grant_type":"refresh_token","refresh_token":"r!1","x":"y"}"#,
                // client+1:s%3Ae%2Fc%25t+%C3%A9
                Some("Basic Y2xpZW50KzE6cyUzQWUlMkZjJTI1dCslQzMlQTk="),
            ),
            (
                ClientAuth::None,
                BodyFormat::Form,
                "grant_type=refresh_token&refresh_token=r%211&client_id=client+1&x=y",
                None,
            ),
        ];
        for (client_auth, format, expected, authorization) in cases {
            let mut oauth = oauth("http://127.0.0.1:1/token");
            oauth.client_id = "client 1".to_owned();
            oauth.client_auth = client_auth;
            oauth.body = format;
            oauth.token_params = vec![
                ("x".into(), "y".into()),
                ("grant_type".into(), "other".into()),
                ("e".into(), "".into()),
            ];
            let request = request(&oauth, Some(&secret), ask);
            assert_eq!(body(&request), expected);
            let header = request
                .headers
                .get("authorization")
                .map(|value| value.to_str().unwrap());
            assert_eq!(header, authorization);
            assert_eq!(request.headers["accept"], "application/json");
            assert!(!format!("{:?}", request.headers).contains("Y2xp"));
        }
    }

    #[test]
    fn a_code_is_sent_with_its_verifier_and_the_client_asks_for_its_scopes() {
        let mut oauth = oauth("http://127.0.0.1:1/token");
        oauth.client_auth = ClientAuth::None;
        oauth.scopes = vec!["a".into(), "b".into()];
        let redirect_uri = "https://test.local/cb".parse().unwrap();
        let (code, verifier) = (Secret::from("c!d"), Secret::from("v"));
        let ask = Ask::Code {
            code: &code,
            redirect_uri: &redirect_uri,
            verifier: Some(&verifier),
        };
        assert_eq!(
            body(&request(&oauth, None, ask)),
            "grant_type=authorization_code&code=c%21d&redirect_uri=https%3A%2F%2Ftest.local%2Fcb\
             &code_verifier=v&client_id=client"
        );
        assert_eq!(
            body(&request(&oauth, None, Ask::ClientCredentials)),
            "grant_type=client_credentials&scope=a+b&client_id=client"
        );
    }
}
