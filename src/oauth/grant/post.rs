//! Requests in which a client says who it is, to any endpoint of its authorization server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::Fields;
use crate::config::{BodyFormat, ClientAuth, ClientKey, Issuer, OAuth};
use crate::http::{HeaderValue, Method, Request};
use crate::oauth::assertion::{self, Assertion, SignError, client_claims};
use crate::oauth::discovery::Server;
use crate::oauth::secrets::Secrets;
use crate::secret::{ExposeSecret, Secret};

/// A client before its authorization server.
#[derive(Clone, Copy)]
pub(in crate::oauth) struct Client<'a> {
    /// What is configured of it.
    pub oauth: &'a OAuth,
    /// Whom it asks.
    pub server: &'a Server,
    /// What it proves itself with.
    pub secrets: &'a Secrets,
}

impl Client<'_> {
    /// Writes a request to `url` with what proves who the client is (RFC 6749 section 2.3).
    ///
    /// Each call signs an assertion of its own, because a server takes none twice: a request that is
    /// sent again is written again.
    ///
    /// # Errors
    /// If an assertion cannot be signed.
    pub(in crate::oauth) fn post(
        &self,
        url: &Url,
        mut fields: Fields,
        now: Timestamp,
    ) -> Result<Request, SignError> {
        let Self { oauth, secrets, .. } = self;
        let mut request = Request::new(Method::POST, url.clone());
        let expose = |secret: &Option<Secret>| secret.clone().unwrap_or_default();
        match oauth.client_auth {
            ClientAuth::Basic => {
                let header = basic(&oauth.client_id, expose(&secrets.client).expose_secret());
                request.headers.insert("authorization", header);
            }
            ClientAuth::Body => {
                fields.put("client_id", &oauth.client_id);
                fields.put("client_secret", expose(&secrets.client).expose_secret());
            }
            ClientAuth::None | ClientAuth::TlsClientAuth => {
                fields.put("client_id", &oauth.client_id)
            }
            ClientAuth::PrivateKeyJwt => {
                let claims = client_claims(&oauth.client_id, self.audience());
                let assertion = self.sign(&claims, now)?;
                fields.put("client_id", &oauth.client_id);
                fields.put("client_assertion_type", assertion::CLIENT_ASSERTION_TYPE);
                fields.put("client_assertion", assertion.expose_secret());
            }
        }
        let (content_type, body) = match oauth.body {
            BodyFormat::Form => ("application/x-www-form-urlencoded", fields.form()),
            BodyFormat::Json => ("application/json", fields.json()),
        };
        let headers = [
            ("content-type", content_type),
            ("accept", "application/json"),
            ("accept-encoding", "identity"),
        ];
        for (name, value) in headers {
            request
                .headers
                .insert(name, HeaderValue::from_static(value));
        }
        request.body = Some(body);
        Ok(request)
    }

    /// Signs an assertion with the client's key.
    ///
    /// # Errors
    /// If there is no key, or it does not sign.
    pub(super) fn sign(
        &self,
        claims: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Secret, SignError> {
        let Self { oauth, secrets, .. } = self;
        let (Some(ClientKey { id, lifetime, .. }), Some(signer)) =
            (&oauth.client_key, &secrets.signer)
        else {
            return Err(SignError::Failed);
        };
        let assertion = Assertion {
            key: &signer.key,
            key_id: id.as_deref(),
            certificate: signer.certificate.as_deref(),
            claims,
            issued_at: now,
            lifetime: *lifetime,
        };
        assertion.sign()
    }

    /// Returns whom assertions are for.
    pub(super) fn audience(&self) -> &str {
        let stated = self.oauth.client_key.as_ref();
        let stated = stated.and_then(|key| key.audience.as_deref());
        let issuer = self.oauth.issuer.as_ref().map(Issuer::as_str);
        stated.or(issuer).unwrap_or(self.server.token.as_str())
    }
}

/// HTTP Basic, with id and secret form-encoded first (RFC 6749 section 2.3.1): a server that takes
/// the standard at its word refuses a raw `:` or `%`.
fn basic(id: &str, secret: &str) -> HeaderValue {
    let encode = |text: &str| Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>());
    let pair = Zeroizing::new(format!("{}:{}", *encode(id), *encode(secret)));
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&value).expect("base64 is fit for a header");
    value.set_sensitive(true);
    value
}
