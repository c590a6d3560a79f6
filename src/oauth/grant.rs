//! Token requests as RFC 6749 has them, and as some servers want them instead; pure.

mod answer;
mod fields;
mod post;
mod refusal;
mod scope;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use url::Url;

pub(super) use answer::{LONGEST_LIFE, Reading, Tokens, imported, is_token, read};
pub(super) use fields::Fields;
pub(super) use post::Client;
pub(super) use refusal::{Class, Refusal, is_code, retry_after};
pub(super) use scope::missing;

use super::assertion::{self, SignError};
use super::session;
use crate::config::{Facts, Session};
use crate::http::{Answer, Request};
use crate::secret::{ExposeSecret, Redactor, Secret};

/// The longest answer of a token endpoint we read. Tokens are a few KiB at most, and every attempt
/// reserves this much disk.
pub(super) const ANSWER_LIMIT: u64 = 256 * 1024;

/// The grant of a login on another device (RFC 8628 section 3.4).
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

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
        /// What the redirect said beside the code.
        told: &'a Facts,
    },
    /// The first tokens of a login on another device.
    Device(&'a Secret),
    /// New tokens for a refresh token.
    Refresh(&'a Secret),
    /// Tokens for the client itself.
    ClientCredentials,
    /// Tokens for a person whose password we have.
    Password {
        /// The user's name.
        username: &'a str,
        /// The password.
        password: &'a Secret,
    },
    /// Tokens for whomever an assertion of ours names.
    JwtBearer(&'a Map<String, Value>),
    /// A token of a source's own login, or longer life for the one there is.
    Session(&'a Session, Option<&'a Secret>),
}

/// Why a request could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritable {
    /// An assertion could not be signed.
    #[error(transparent)]
    Unsigned(#[from] SignError),
    /// A template gave nothing that can be sent.
    #[error(transparent)]
    Session(#[from] session::Unwritable),
}

/// A question to the token endpoint of a client.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    /// Who asks whom.
    pub client: Client<'a>,
    /// What it asks.
    pub ask: Ask<'a>,
    /// Who may be signed in by the answer.
    pub check: Check<'a>,
}

/// Who may be signed in by an answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Check<'a> {
    /// What the `id_token` repeats of the authorization request, if anything was said there.
    pub nonce: Option<&'a str>,
    /// True if it may be another person than before.
    pub may_be_another: bool,
}

impl Question<'_> {
    /// Writes the request, to be sent once.
    ///
    /// # Errors
    /// If an assertion cannot be signed, or a template gives nothing that can be sent.
    pub(super) fn request(&self, now: Timestamp) -> Result<Request, Unwritable> {
        if let Ask::Session(login, token) = self.ask {
            let call = token.and(login.refresh.as_ref()).unwrap_or(&login.login);
            return Ok(session::request(
                call,
                &self.client.secrets.session,
                token,
                now,
            )?);
        }
        let mut fields = Fields::default();
        self.put(&mut fields, now)?;
        let Client { oauth, server, .. } = self.client;
        for resource in &oauth.resources {
            fields.repeat("resource", resource);
        }
        for (name, value) in &oauth.token_params {
            fields.put(name, value);
        }
        let endpoint = match self.ask {
            Ask::Refresh(_) => &server.refresh,
            _ => &server.token,
        };
        Ok(self.client.post(endpoint, fields, now)?)
    }

    /// Reads the answer to it. Nothing that was sent is shown, whoever quotes it.
    pub(super) fn read(&self, answer: &Answer, now: Timestamp) -> Reading {
        if let Ask::Session(login, token) = self.ask {
            let sent = self.client.secrets.sent().chain(token).cloned();
            return session::read(login, answer, token, &Redactor::new(sent), now);
        }
        let asked = match self.ask {
            Ask::Code { code, verifier, .. } => [Some(code), verifier],
            Ask::Refresh(token) | Ask::Device(token) => [Some(token), None],
            Ask::ClientCredentials
            | Ask::Password { .. }
            | Ask::JwtBearer(_)
            | Ask::Session(..) => [None, None],
        };
        let sent: Vec<&Secret> = self
            .client
            .secrets
            .sent()
            .chain(asked.into_iter().flatten())
            .collect();
        match (read(self.client.oauth, answer, &sent, now), self.ask) {
            (Reading::Tokens(tokens), Ask::Code { told, .. }) => Reading::Tokens(Tokens {
                facts: tokens.facts.clone().over(told),
                ..tokens
            }),
            (reading, _) => reading,
        }
    }

    fn put(&self, fields: &mut Fields, now: Timestamp) -> Result<(), SignError> {
        let oauth = self.client.oauth;
        let scopes = oauth.scopes.join(&oauth.scope_separator);
        match self.ask {
            Ask::Code {
                code,
                redirect_uri,
                verifier,
                ..
            } => {
                fields.put("grant_type", "authorization_code");
                fields.put("code", code.expose_secret());
                fields.put("redirect_uri", redirect_uri.as_str());
                fields.put(
                    "code_verifier",
                    verifier.map_or("", ExposeSecret::expose_secret),
                );
            }
            Ask::Device(code) => {
                fields.put("grant_type", DEVICE_CODE);
                fields.put("device_code", code.expose_secret());
            }
            // No scope: what was granted stays granted (RFC 6749 section 6).
            Ask::Refresh(token) => {
                fields.put("grant_type", "refresh_token");
                fields.put("refresh_token", token.expose_secret());
            }
            Ask::ClientCredentials => {
                fields.put("grant_type", "client_credentials");
                fields.put("scope", &scopes);
            }
            Ask::Password { username, password } => {
                fields.put("grant_type", "password");
                fields.put("username", username);
                fields.put("password", password.expose_secret());
                fields.put("scope", &scopes);
            }
            Ask::JwtBearer(claims) => {
                let claims = self.assertion_claims(claims);
                let assertion = self.client.sign(&claims, now)?;
                fields.put("grant_type", assertion::GRANT_TYPE);
                fields.put("assertion", assertion.expose_secret());
                fields.put("scope", &scopes);
            }
            // The configuration has its whole request.
            Ask::Session(..) => {}
        }
        Ok(())
    }

    /// Says who asks and whom, where the configuration does not (RFC 7523 section 3).
    fn assertion_claims(&self, stated: &Map<String, Value>) -> Map<String, Value> {
        let mut claims = stated.clone();
        let ours = [
            ("iss", self.client.oauth.client_id.as_str()),
            ("aud", self.client.audience()),
        ];
        for (name, value) in ours {
            claims.entry(name).or_insert_with(|| json!(value));
        }
        claims
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BodyFormat, ClientAuth, OAuth};
    use crate::oauth::discovery::Server;
    use crate::oauth::secrets::Secrets;
    use crate::oauth::testing::oauth;

    fn request(oauth: &OAuth, secret: Option<&Secret>, ask: Ask<'_>) -> Request {
        let secrets = Secrets {
            client: secret.cloned(),
            ..Secrets::default()
        };
        let client = Client {
            oauth,
            server: &Server::of(oauth, None).unwrap(),
            secrets: &secrets,
        };
        let question = Question {
            client,
            ask,
            check: Check::default(),
        };
        question.request(Timestamp::UNIX_EPOCH).unwrap()
    }

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
                "grant_type=refresh_token&refresh_token=r%211&x=y&client_id=client+1&client_secret=s%3Ae%2Fc%25t+%C3%A9",
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
                "grant_type=refresh_token&refresh_token=r%211&x=y&client_id=client+1",
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
            told: &Facts::default(),
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
